"""Computed beginnings of prompts for an engine that several answers share: put there only where none is disturbed."""

from __future__ import annotations

from collections.abc import Sequence

from coalm_lite.decoding.prefix import Outcome, ready_prefix
from coalm_lite.runtime.base import Cancel, Engine, ManySequences, common_prefix_length
from coalm_lite.runtime.snapshots import SnapshotFolder

_FIRST = 0  # the sequence that states are restored into
_NEARLY_TOKENS = 64  # what a held beginning may lack: not worth a look at the disk


def ready_among(
    engine: Engine, block: Sequence[int], folder: SnapshotFolder | None, cancel: Cancel, *, busy: bool
) -> Outcome:
    """As `ready_prefix`; what any sequence holds counts, since the scheduler shares it.

    While answers are in work (`busy`) it is "off": the room is theirs, and so may sequence 0 be.
    """
    if isinstance(engine, ManySequences):
        lengths = [common_prefix_length(engine.held(each), block) for each in range(engine.sequences)]
        if max(lengths) >= len(block) - _NEARLY_TOKENS:
            return "held"
        if busy:
            return "off"
        _make_way(engine, len(block))
    return "off" if busy else ready_prefix(engine, block, folder, cancel)


def _make_way(engine: ManySequences, tokens: int) -> None:
    """Move what sequence 0 holds to an empty one, if there is one; empty others until `tokens` fit."""
    others = range(_FIRST + 1, engine.sequences)
    empty = next((each for each in others if not engine.held(each)), None)
    if engine.can_cut and empty is not None and engine.held(_FIRST):
        engine.share(_FIRST, empty, len(engine.held(_FIRST)))
    for each in reversed(others):
        if engine.free_tokens() >= tokens:
            return
        engine.cut(each, 0)
