"""An engine that replays given texts: the public test double for programs that use coalm-lite.

Tokens are bytes, plus one special token for each Llama 3 marker that the dialects write. Context limit, cancelling and
counting of reused tokens are those of a real engine. What it does not do: it computes nothing, and its constraints
accept everything, so a reply may leave its grammar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.dialects.base import BEGIN_OF_TEXT, END_HEADER, END_OF_TURN, START_HEADER
from coalm_lite.errors import DecodingError, ModelError
from coalm_lite.runtime.base import Cancel, Prefill, check_room, common_prefix_length
from coalm_lite.runtime.one_thread import ClosedAtExit
from coalm_lite.types import ModelInfo, Prompt

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

END = 256
_MARKERS = {END_OF_TURN: END, BEGIN_OF_TEXT: 257, START_HEADER: 258, END_HEADER: 259}
_TEXTS = {token: text for text, token in _MARKERS.items()}
_VOCABULARY_SIZE = 256 + len(_MARKERS)
_CERTAIN = 100.0


class ScriptedEngine(ClosedAtExit):
    """An `Engine` whose answers are `replies`, in order; `prompts` collects what it was asked.

    A `prefill` takes the next reply, unless its tokens are the last prompt and a beginning of the running reply without
    its end: then that reply goes on. So the same prompt asked twice gets two replies.
    """

    ignores_grammars = True  # for the decoder, which has grammars of its own

    def __init__(self, replies: Sequence[str], context_tokens: int = 4096) -> None:
        self.prompts: list[str] = []
        self._replies: list[list[int]] = [[*reply.encode(), END] for reply in replies]
        self._info = ModelInfo(context_tokens, _VOCABULARY_SIZE, {"general.architecture": "scripted"})
        self._held: list[int] = []
        self._prompt_length = 0
        self._closed = False

    @property
    def info(self) -> ModelInfo:
        """The given context, a vocabulary of bytes and markers."""
        return self._info

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The UTF-8 bytes of the prompt, one token for each marker; ModelError for a marker without one."""
        tokens: list[int] = []
        for segment in prompt:
            if segment.marker and segment.text not in _MARKERS:
                raise ModelError(f"the scripted vocabulary has no special token {segment.text!r}")
            tokens += [_MARKERS[segment.text]] if segment.marker else segment.text.encode()
        return tokens

    def token_bytes(self, token: int) -> bytes:
        """The one byte of `token`, b"" for a marker."""
        return bytes([token]) if token < END else b""

    def is_end(self, token: int) -> bool:
        """Whether `token` is the end token, `<|eot_id|>`."""
        return token == END

    def prefill(self, tokens: Sequence[int], cancel: Cancel) -> Prefill:
        """Hold exactly `tokens` and start the next reply; DecodingError when there is none left."""
        self._check_open()
        if not tokens:
            raise DecodingError("a prompt of no tokens cannot be computed")
        check_room(0, len(tokens), self._info.context_tokens)
        cancel.check()
        reused = min(common_prefix_length(self._held, tokens), len(tokens) - 1)
        if not self._goes_on(tokens):
            self._start(tokens)
        self._held = list(tokens)
        return Prefill(reused, len(tokens) - reused)

    def _goes_on(self, tokens: Sequence[int]) -> bool:
        """Whether `tokens` are the running prompt and at least one token of its reply, but not its end."""
        start = self._prompt_length
        if not self.prompts or list(tokens[:start]) != self._held[:start]:
            return False
        said, reply = list(tokens[start:]), self._replies[len(self.prompts) - 1]
        return 0 < len(said) < len(reply) and said == reply[: len(said)]

    def _start(self, tokens: Sequence[int]) -> None:
        if len(self.prompts) == len(self._replies):
            raise DecodingError(
                f"the script has {len(self._replies)} replies, and one more was asked for",
                "Give ScriptedEngine a reply for every step of the conversation.",
            )
        self._prompt_length = len(tokens)
        self.prompts.append(_text(tokens))

    def extend(self, tokens: Sequence[int], cancel: Cancel) -> None:
        """Append `tokens`, which must be what the script says next."""
        self._check_open()
        check_room(len(self._held), len(tokens), self._info.context_tokens)
        cancel.check()
        for token in tokens:
            if token != self._next():
                raise DecodingError(f"token {token} follows, and the script says {self._next()}")
            self._held.append(token)

    def _next(self) -> int:
        """The token that the script says next; the end again after the end."""
        if not self.prompts:
            raise DecodingError("there are no logits: nothing was computed yet")
        reply = self._replies[len(self.prompts) - 1]
        return reply[min(len(self._held) - self._prompt_length, len(reply) - 1)]

    def logits(self) -> Logits:
        """Logits that make the script's next token certain at any usual temperature. Shape [vocabulary]."""
        self._check_open()
        logits = np.zeros(_VOCABULARY_SIZE, dtype=np.float32)
        logits[self._next()] = _CERTAIN
        return logits

    def constraint(self, gbnf: str) -> ScriptedConstraint:
        """A constraint that accepts everything; `gbnf` is not read."""
        return ScriptedConstraint()

    def close(self) -> None:
        """Refuse further work; a second call does nothing."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise DecodingError("the engine is closed", "Make a new one.")


class ScriptedConstraint:
    """A `Constraint` that allows every token everywhere."""

    def allows(self, token: int) -> bool:
        """True."""
        return True

    def mask(self, logits: Logits) -> Logits:
        """A copy of `logits`."""
        return logits.copy()

    def accept(self, token: int) -> None:
        """Nothing to move on."""

    def finished(self) -> bool:
        """False: the script's own end token ends a reply."""
        return False

    def close(self) -> None:
        """Nothing to free."""


def _text(tokens: Sequence[int]) -> str:
    """The prompt as text, markers by name."""
    data = b"".join(_TEXTS[token].encode() if token in _TEXTS else bytes([token]) for token in tokens)
    return data.decode(errors="replace")
