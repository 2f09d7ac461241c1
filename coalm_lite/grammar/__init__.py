"""Grammars of valid calls, from the tools' JSON Schemas; fails closed.

`compile_schema` makes the grammar of one schema's values, `compile_frame` that of every output of a dialect with valid
calls of the tools at hand or with none: each a `Grammar` with GBNF for llama.cpp and an automaton of its own.
`fill_frame` gives the GBNF alone, `check_tools` refuses tools whose grammar cannot be made. The frames are data in
`coalm_lite.grammars`.
"""

from __future__ import annotations

from coalm_lite.grammar.automaton import State
from coalm_lite.grammar.compiled import Grammar
from coalm_lite.grammar.frames import check_tools, compile_frame, fill_frame
from coalm_lite.grammar.parts import Held
from coalm_lite.grammar.values import compile_schema

__all__ = ["Grammar", "Held", "State", "check_tools", "compile_frame", "compile_schema", "fill_frame"]
