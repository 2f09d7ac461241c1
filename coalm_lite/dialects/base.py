"""What every dialect module offers, and the wrapper of markers that all of them share.

A dialect is a module with the names of `Dialect`; `coalm_lite.dialects.get` finds it by name. The chat wrapper is
Llama 3's: special-token markers around each role. The instruct wrapper is CoALM-IT's: instruction, a blank line,
`### Input:` on its own line, input (see shared facts in the README's "Dialects").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from coalm_lite.types import Message, Prompt, Segment, ToolSpec

if TYPE_CHECKING:
    from coalm_lite.grammar import Grammar

BEGIN_OF_TEXT = "<|begin_of_text|>"
START_HEADER = "<|start_header_id|>"
END_HEADER = "<|end_header_id|>"
END_OF_TURN = "<|eot_id|>"
INPUT_HEADER = "\n\n### Input:\n"


class Dialect(Protocol):
    """One trained form. `short` asks for the brief instruction sentences that coalm-nano is trained on."""

    @property
    def NAME(self) -> str: ...

    def render(self, messages: Sequence[Message], tools: Sequence[ToolSpec], short: bool = False) -> Prompt:
        """The prompt that asks for the next assistant message."""
        ...

    def instruction(self, tools: Sequence[ToolSpec], short: bool = False) -> str:
        """The part of the prompt that tells the task and the tools."""
        ...

    def render_reply(self, reply: Message) -> str:
        """The assistant message as the model writes it; `parse` reads it back equal."""
        ...

    def parse(self, text: str) -> Message:
        """The assistant message in `text`; raises MalformedOutputError or TruncatedOutputError."""
        ...

    def visible_text(self, partial: str) -> str:
        """The part of an unfinished output that a person may see already: the answer's text, no call."""
        ...

    def grammar(self, tools: Sequence[ToolSpec]) -> str:
        """GBNF, with the start rule `root`, of every valid output for these tools."""
        ...

    def compiled(self, tools: Sequence[ToolSpec]) -> Grammar:
        """The same as an object that also knows what text is forced, and which keyword is held how."""
        ...


def header(role: str) -> Prompt:
    """The markers that open a role's turn."""
    return (Segment(START_HEADER, marker=True), Segment(role), Segment(END_HEADER, marker=True), Segment("\n\n"))


def instruct_prompt(instruction: str, request: str, system: str = "") -> Prompt:
    """A one-exchange Llama 3 prompt in CoALM-IT's wrapper, open for the assistant's words."""
    opening: Prompt = (Segment(BEGIN_OF_TEXT, marker=True),)
    if system:
        opening += (*header("system"), Segment(system), Segment(END_OF_TURN, marker=True))
    asked = (*header("user"), Segment(instruction + INPUT_HEADER + request), Segment(END_OF_TURN, marker=True))
    return opening + asked + header("assistant")


def block(title: str, body: str) -> str:
    """A marked block of an instruction, `[BEGIN OF X]` to `[END OF X]`."""
    return f"[BEGIN OF {title}]\n{body}\n[END OF {title}]"


def one_line(text: str) -> str:
    """`text` on one line, as history entries were trained: a line break cannot forge another speaker's line."""
    return " ".join(text.split())


def system_text(messages: Sequence[Message]) -> str:
    """The text of all system messages, in order, a blank line between two."""
    return "\n\n".join(message.text for message in messages if message.role == "system" and message.text)
