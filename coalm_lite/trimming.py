"""Which messages of a conversation a prompt shows when they do not all fit: the oldest exchanges go first.

An exchange is a user's message with all that follows it up to the next one. The last one always stays, and so do system
text and tools, which are not in the messages. More is left out than the next turn needs, so that the following turns
find their beginning computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coalm_lite.types import Message

_ROOM_SHARE = 4  # of the context, at most, is kept free for the answer
_FULLEST = 0.75  # of what is then left, after leaving something out


def first_shown(
    messages: Sequence[Message], start: int, count: Callable[[int], int], context_tokens: int, max_tokens: int
) -> int:
    """The index of the first message that the prompt shows; at least `start`, what was left out stays so.

    `count`: how many tokens the prompt has when it begins with the message of an index.
    """
    room = context_tokens - min(max_tokens, context_tokens // _ROOM_SHARE)
    if count(start) <= room:
        return start
    starts = [index for index, message in enumerate(messages) if message.role == "user" and index > start]
    for index in starts:
        if count(index) <= room * _FULLEST:
            return index
    return starts[-1] if starts else start
