"""The tool block's state: saved once, restored by another engine, never trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coalm_lite.decoding import prefix as subject
from coalm_lite.decoding.prefix import prefix_folder, ready_prefix
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.runtime.snapshots import SnapshotFolder

PREFIX = [1 + n * 7 % 255 for n in range(200)]


def ready(engine: LlamaEngine, folder: SnapshotFolder, tokens: list[int] = PREFIX) -> str:
    return ready_prefix(engine, tokens, folder, Cancel(), worth_s=0)


def test_another_engine_restores_what_one_saved_and_goes_on_equally(tiny_model: Path, tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    with LlamaEngine.load(tiny_model, threads=1) as first:
        assert ready(first, folder) == "saved"
        assert ready(first, folder) == "held"
        first.prefill([*PREFIX, 9, 10], Cancel())
        wanted = first.logits()
    with LlamaEngine.load(tiny_model, threads=1) as second:
        assert ready(second, folder) == "restored"
        assert second.prefill([*PREFIX, 9, 10], Cancel()).reused_tokens == len(PREFIX)
        np.testing.assert_array_equal(second.logits(), wanted)


def test_changed_tools_are_computed_from_the_first_difference_only(tiny_model: Path, tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    changed = [*PREFIX[:120], *([3] * 100)]
    with LlamaEngine.load(tiny_model, threads=1) as first:
        ready(first, folder)
    with LlamaEngine.load(tiny_model, threads=1) as second:
        reused = []
        prefill = second.prefill
        second.prefill = lambda *given: reused.append(prefill(*given)) or reused[-1]  # type: ignore[assignment,method-assign,func-returns-value]
        assert ready(second, folder, changed) == "saved"
        assert reused[0].reused_tokens == 120
    with LlamaEngine.load(tiny_model, threads=1) as third:
        assert ready(third, folder, changed) == "restored"


def test_other_settings_and_damaged_files_are_not_restored(tiny_model: Path, tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    with LlamaEngine.load(tiny_model, threads=1) as first:
        ready(first, folder)
    with LlamaEngine.load(tiny_model, threads=1, context_tokens=512) as other:
        assert ready(other, folder) == "saved"
    for path in tmp_path.iterdir():
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    with LlamaEngine.load(tiny_model, threads=1) as second:
        assert ready(second, folder) == "saved"
        assert second.prefill([*PREFIX, 9], Cancel()).reused_tokens == len(PREFIX)


def test_a_state_of_another_shape_leaves_an_empty_and_usable_engine(tiny_model: Path) -> None:
    with LlamaEngine.load(tiny_model, threads=1) as engine:
        engine.prefill(PREFIX, Cancel())
        state = engine.copy_state()
        assert not engine.restore_state(PREFIX[:-1], state)
        assert list(engine.held(0)) == []
        assert engine.restore_state(PREFIX, state)
        assert list(engine.held(0)) == PREFIX


def test_what_is_quickly_computed_or_switched_off_is_not_saved(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SnapshotFolder(tmp_path)
    with LlamaEngine.load(tiny_model, threads=1) as engine:
        assert ready_prefix(engine, PREFIX, folder, Cancel(), worth_s=60) == "computed"
        assert ready_prefix(engine, PREFIX, None, Cancel()) == "off"
        assert ready_prefix(engine, PREFIX[:10], folder, Cancel()) == "off"
    assert ready_prefix(ScriptedEngine([]), PREFIX, folder, Cancel()) == "off"
    assert not [*tmp_path.iterdir()]
    assert prefix_folder() is not None
    monkeypatch.setenv(subject.SWITCH, "off")
    assert prefix_folder() is None
