"""Which grammars a child process has: each is sent once, and named by a number from then on.

Told apart by identity, since a session or a dialect keeps the one that it compiled. The child keeps the last ones.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from itertools import count

from coalm_lite.app.messages import Forget, Keep, RulesAlone, frame
from coalm_lite.decoding.guide import TextGrammar
from coalm_lite.errors import UsageError
from coalm_lite.grammar import Grammar

_MOST = 64


class SentGrammars:
    """The grammars of one child, for one thread at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[int, str | TextGrammar]] = OrderedDict()  # by identity: key, and the grammar
        self._keys = count(1)

    def sent(self, grammar: str | TextGrammar | None) -> tuple[list[bytes], int | None]:
        """What must be sent before a request with this grammar, and its key; UsageError for one that cannot be sent."""
        if grammar is None:
            return [], None
        known = self._kept.get(id(grammar))
        if known is not None:
            self._kept.move_to_end(id(grammar))
            return [], known[0]
        key = next(self._keys)
        messages = [_framed(key, grammar)]
        self._kept[id(grammar)] = key, grammar  # held, so that no other object gets this identity
        if len(self._kept) > _MOST:
            _, (oldest, _) = self._kept.popitem(last=False)
            messages.append(frame(Forget(oldest)))
        return messages, key


def _framed(key: int, grammar: str | TextGrammar) -> bytes:
    form = RulesAlone(dict(grammar.rules)) if isinstance(grammar, Grammar) else grammar
    try:
        return frame(Keep(key, form))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise UsageError(
            f"a {type(grammar).__name__} cannot go to an engine in another process: {error}",
            "Give its GBNF, or a grammar that pickle can copy, or use a desk that is not isolated.",
        ) from error
