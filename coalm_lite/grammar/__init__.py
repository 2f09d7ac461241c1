"""GBNF of every valid output of a dialect for the tools at hand; fails closed.

Covered: `fill_frame` (the grammar), `check_tools` (refuses what the grammar cannot hold, for registration). The frames
are data in `coalm_lite.grammars`. Not covered here: matching text against a grammar, which llama.cpp does.
"""

from __future__ import annotations

from coalm_lite.grammar.frames import check_tools, fill_frame

__all__ = ["check_tools", "fill_frame"]
