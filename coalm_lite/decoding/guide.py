"""What holds an answer to its grammar: asks about one token at a time, knows what text is forced.

Two kinds. `TokenGuide` has GBNF alone and asks the engine's constraint. `TextGuide` has the grammar's own automaton,
which answers without the engine and knows what must come next; the engine's constraint is made, and brought up to
date, only when the whole vocabulary is to be masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from coalm_lite.errors import DecodingError
from coalm_lite.runtime.base import Constraint, Engine
from coalm_lite.types import Segment

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits


class TextState(Protocol):
    """How far a text has come in a grammar; immutable."""

    @property
    def may_end(self) -> bool:
        """Whether the text is complete as it stands."""
        ...

    def advance_bytes(self, data: bytes) -> TextState | None:
        """The state after these UTF-8 bytes, which may end inside a character; None if no text goes on so."""
        ...

    def forced(self) -> str:
        """The text that must come next; "" where there is a choice or the text may end."""
        ...

    def next_characters(self) -> Iterable[Sequence[tuple[int, int]]]:
        """The sets of characters that may come next, each as ranges of code points."""
        ...

    @property
    def ending_bytes(self) -> int:
        """How many bytes `ending` has."""
        ...

    def ending(self) -> bytes:
        """The shortest text that completes this one; b"" where it may end."""
        ...


class TextGrammar(Protocol):
    """A grammar in both its forms."""

    @property
    def gbnf(self) -> str:
        """GBNF with the start rule `root`."""
        ...

    @property
    def start(self) -> TextState:
        """The state before any text."""
        ...


class Guide(Protocol):
    """A grammar and how far the answer has come in it."""

    def allows(self, token: int) -> bool:
        """Whether `token` may come next."""
        ...

    def accept(self, token: int) -> None:
        """Move on by `token`; DecodingError, and nothing moved, when it is refused."""
        ...

    def mask(self, logits: Logits) -> Logits:
        """A new array with -inf for every refused token."""
        ...

    def finished(self) -> bool:
        """Whether nothing but an end token may follow."""
        ...

    def allowed_length(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, one after the other, may come next; all of them where that is not known."""
        ...

    @property
    def state(self) -> TextState | None:
        """Where the text is, if that is known."""
        ...

    def accept_text(self, text: str) -> None:
        """Move on by text that is forced here."""
        ...

    def close(self) -> None:
        """Free it; a second call does nothing."""
        ...


def guide_for(engine: Engine, grammar: str | TextGrammar | None) -> Guide | None:
    """The guide for GBNF or for a grammar with an automaton; None for none. DecodingError when it does not compile."""
    if grammar is None:
        return None
    if not isinstance(grammar, str) and not getattr(engine, "ignores_grammars", False):  # a script's replies stand
        return TextGuide(engine, grammar)
    return TokenGuide(engine.constraint(grammar if isinstance(grammar, str) else grammar.gbnf))


class TokenGuide:
    """A `Guide` on an engine's constraint alone: no text is known to be forced."""

    state: TextState | None = None

    def __init__(self, constraint: Constraint) -> None:
        self._constraint = constraint
        self.allows = constraint.allows
        self.accept = constraint.accept
        self.mask = constraint.mask
        self.finished = constraint.finished
        self.close = constraint.close

    def allowed_length(self, tokens: Sequence[int]) -> int:
        """All of them: the constraint cannot be asked ahead."""
        return len(tokens)

    def accept_text(self, text: str) -> None:
        """Never asked for."""
        raise AssertionError("no text is forced where there is no automaton")


class TextGuide:
    """A `Guide` on a grammar's automaton."""

    def __init__(self, engine: Engine, grammar: TextGrammar) -> None:
        self._engine = engine
        self._gbnf = grammar.gbnf
        self._state = grammar.start
        self._next: tuple[int, TextState] | None = None  # a token known to pass here, and where it leads
        self._constraint: Constraint | None = None
        self._behind = bytearray()  # what the constraint was not yet told

    @property
    def state(self) -> TextState:
        """Where the text is."""
        return self._state

    def allows(self, token: int) -> bool:
        """Whether `token` may come next; an end token where the text may end."""
        after = self._after(self._state, token)
        if after is not None:
            self._next = token, after
        return after is not None

    def _after(self, state: TextState, token: int) -> TextState | None:
        piece = self._engine.token_bytes(token)
        if piece:
            return state.advance_bytes(piece)
        return state if state.may_end and self._engine.is_end(token) else None

    def accept(self, token: int) -> None:
        """Move on by `token`."""
        if (self._next is None or self._next[0] != token) and not self.allows(token):
            raise DecodingError(f"the grammar does not allow token {token} here")
        assert self._next is not None
        self._state, self._next = self._next[1], None
        self._behind += self._engine.token_bytes(token)

    def accept_text(self, text: str) -> None:
        """Move on by `text`."""
        after = self._state.advance_bytes(text.encode())
        if after is None:
            raise DecodingError(f"the grammar does not allow {text!r} here")
        self._state, self._next = after, None
        self._behind += text.encode()

    def allowed_length(self, tokens: Sequence[int]) -> int:
        """How many of `tokens` may come next; an end token is none."""
        state = self._state
        for count, token in enumerate(tokens):
            after = self._after(state, token) if self._engine.token_bytes(token) else None
            if after is None:
                return count
            state = after
        return len(tokens)

    def mask(self, logits: Logits) -> Logits:
        """By the engine's constraint, which is first told what was written since."""
        if self._constraint is None:
            self._constraint = self._engine.constraint(self._gbnf)
        whole = _whole_characters(self._behind)
        for token in self._engine.tokenize((Segment(whole),)) if whole else ():
            self._constraint.accept(token)
        del self._behind[: len(whole.encode())]
        if not self._behind:
            return self._constraint.mask(logits)
        return self._mask_inside_a_character(logits)

    def _mask_inside_a_character(self, logits: Logits) -> Logits:
        """Asks about every token: the constraint stands before the character that was begun."""
        masked = logits.copy()
        for token in range(len(logits)):
            if self._after(self._state, token) is None:
                masked[token] = float("-inf")
        return masked

    def finished(self) -> bool:
        """Whether the text is complete and no character may follow."""
        return self._state.may_end and not any(self._state.next_characters())

    def close(self) -> None:
        """Free the constraint, if one was made."""
        if self._constraint is not None:
            self._constraint.close()


def _whole_characters(data: bytearray) -> str:
    """`data` without the beginning of a character at its end."""
    for missing in range(4):
        try:
            return data[: len(data) - missing].decode()
        except UnicodeDecodeError:
            continue
    raise AssertionError("an answer under a grammar is UTF-8")
