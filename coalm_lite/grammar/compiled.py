"""A compiled grammar: GBNF for llama.cpp, an automaton of the same rules, the check after parsing, what holds what."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property

from coalm_lite.errors import SchemaError
from coalm_lite.grammar.automaton import Automaton, State
from coalm_lite.grammar.gbnf_writer import size_problem, write_gbnf
from coalm_lite.grammar.ir import Rules, pruned
from coalm_lite.grammar.parts import Held


class Grammar:
    """Texts that are valid: what is written here can be read, and means a value that fits.

    `check`, of a whole text, holds what the rules cannot; `accepts` asks both. Shared freely: nothing of it changes.
    """

    def __init__(self, rules: Rules, held: tuple[Held, ...], check: Callable[[str], bool], name: str) -> None:
        self.rules = pruned(rules, "root")
        self._held = held
        self._check = check
        if problem := size_problem(self.rules):
            raise SchemaError(name, "", "properties", problem, "Make the schema smaller, or use fewer tools at once.")

    @cached_property
    def gbnf(self) -> str:
        """The rules as llama.cpp reads them, the start rule called `root`."""
        return write_gbnf(self.rules)

    @cached_property
    def _automaton(self) -> Automaton:
        return Automaton(self.rules)

    @property
    def start(self) -> State:
        """The state before any text, from which a decoder advances."""
        return self._automaton.start

    def checked_by(self, check: Callable[[str], bool]) -> Grammar:
        """The same grammar with this check, sharing everything else."""
        self.gbnf, self._automaton  # noqa: B018 - made here, once for both
        other = copy.copy(self)
        other._check = check
        return other

    def accepts(self, text: str) -> bool:
        """Whether the text is of the grammar and passes the check."""
        state = self.start.advance(text)
        return state is not None and state.may_end and self._check(text)

    def forced(self, prefix: str) -> str:
        """The text that must come after `prefix`; "" if that is free, if the text may end, or if none starts so."""
        state = self.start.advance(prefix)
        return "" if state is None else state.forced()

    def explain(self) -> tuple[Held, ...]:
        """How each keyword of the schema is held: by the rules, by the check, or not at all (an annotation)."""
        return self._held

    @property
    def needs_check(self) -> bool:
        """Whether some keyword is held by the check."""
        return any(held.how == "check" for held in self._held)
