"""The tool block of a prompt, computed once for many processes: restored from disk before the first turn, or saved.

Only the beginning that every prompt of a session shares is kept (system text, instruction and tools), never what was
said. It is saved where computing it took longer than reading it would; `COALM_LITE_PREFIX_CACHE=off` switches both off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Literal, TypeAlias

from coalm_lite.paths import cache_dir
from coalm_lite.runtime.base import Cancel, Engine, KeepsState, ManySequences, common_prefix_length
from coalm_lite.runtime.snapshots import Snapshot, SnapshotFolder

SWITCH = "COALM_LITE_PREFIX_CACHE"
Outcome: TypeAlias = Literal["off", "held", "restored", "saved", "computed"]
_WORTH_TOKENS = 64
_WORTH_S = 1.0


def prefix_folder() -> SnapshotFolder | None:
    """Where states are kept; None when the user switched it off."""
    return (
        None if os.environ.get(SWITCH, "").lower() in ("off", "0", "no") else SnapshotFolder(cache_dir() / "prefixes")
    )


def ready_prefix(
    engine: Engine, prefix: Sequence[int], folder: SnapshotFolder | None, cancel: Cancel, worth_s: float = _WORTH_S
) -> Outcome:
    """Make the engine hold `prefix`, as far as something is on disk or it is worth computing apart.

    What does not fit or is damaged is computed anew. Raises Cancelled as `prefill` does.
    """
    if folder is None or not isinstance(engine, KeepsState) or not isinstance(engine, ManySequences):
        return "off"
    if len(prefix) < _WORTH_TOKENS or len(prefix) >= engine.info.context_tokens:
        return "off"
    held = common_prefix_length(engine.held(0), prefix)
    key = engine.state_key if held < len(prefix) - _WORTH_TOKENS else ""
    if not key:
        return "held"
    found = folder.find(key, prefix, held + _WORTH_TOKENS)
    restored = found is not None and engine.restore_state(found.tokens, found.state)
    if restored and common_prefix_length(engine.held(0), prefix) == len(prefix):
        return "restored"
    return _compute(engine, prefix, folder, key, cancel, worth_s)


def _compute(
    engine: KeepsState, prefix: Sequence[int], folder: SnapshotFolder, key: str, cancel: Cancel, worth_s: float
) -> Outcome:
    """Compute what is missing and save the whole, if that took long enough."""
    began = time.perf_counter()
    engine.prefill(prefix, cancel)  # type: ignore[attr-defined]
    if time.perf_counter() - began < worth_s:
        return "computed"
    state = engine.copy_state()
    if not len(state):
        return "computed"
    return "saved" if folder.save(key, Snapshot(tuple(prefix), state)) else "computed"
