"""Opening a desk: memory is looked at first, and the engine is the one that the path needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from coalm_lite.app.isolated import IsolatedDesk
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.opening import open_desk, sized
from coalm_lite.app.shared import SharedDesk
from coalm_lite.decoding.requests import Request
from coalm_lite.errors import ModelError, ModelTooLargeError, UsageError
from coalm_lite.pull.machine import Machine
from coalm_lite.types import Sampling, Segment
from tests.app.conftest import SAID, asked
from tests.app.test_shared import text_of
from tests.onnx_models import FP32


@pytest.mark.parametrize("isolate", [True, False])
def test_a_spec_becomes_a_desk_in_a_process_of_its_own_or_in_this_one(nano_path: Path, isolate: bool) -> None:
    spec = ModelSpec(path=nano_path, threads=1, sequences=3, context_tokens=1024)
    with open_desk(spec, isolate=isolate) as desk:
        assert isinstance(desk, IsolatedDesk if isolate else SharedDesk)
        assert (desk.state.sequences, desk.info.context_tokens) == (3, 1024)
        assert text_of(desk, asked(desk, SAID[0]))


def test_several_answers_have_a_room_of_a_few_contexts(nano_path: Path) -> None:
    for sequences, contexts in ((1, 1), (3, 3), (16, 4)):
        assert sized(ModelSpec(path=nano_path, sequences=sequences))[0].room_tokens == contexts * 2048
    assert sized(ModelSpec(path=nano_path, sequences=16, room_tokens=5000))[0].room_tokens == 5000
    assert sized(ModelSpec(path=nano_path, room_tokens=10))[0].room_tokens == 2048


@pytest.mark.parametrize("isolate", [True, False])
def test_a_model_that_may_not_take_so_much_is_refused_with_the_numbers(nano_path: Path, isolate: bool) -> None:
    need = sized(ModelSpec(path=nano_path))[1]
    with pytest.raises(ModelTooLargeError) as caught:
        open_desk(ModelSpec(path=nano_path, max_memory_bytes=90_000_000), isolate=isolate)
    assert "coalm-nano.Q8_0.gguf needs about 0.12 GB of memory (weights 7.39 MB, cache " in caught.value.message
    assert "and 90.00 MB are allowed (max_memory_bytes)" in caught.value.message
    assert "a smaller quant" in caught.value.hint
    with pytest.raises(ModelTooLargeError):
        open_desk(ModelSpec(path=nano_path, max_memory_bytes=need.total_bytes - 1), isolate=isolate)
    open_desk(ModelSpec(path=nano_path, max_memory_bytes=need.total_bytes), isolate=isolate).close()


def test_a_model_for_which_the_machine_has_no_room_now_is_refused(
    nano_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coalm_lite.app.opening.this_machine", lambda: Machine(1 << 34, 50_000_000))
    with pytest.raises(ModelTooLargeError, match=r"of memory .*, and this machine has 50.00 MB free"):
        open_desk(ModelSpec(path=nano_path))
    monkeypatch.setattr("coalm_lite.app.opening.has_gpu", lambda: True)  # the weights may lie on the card
    open_desk(ModelSpec(path=nano_path, threads=1), isolate=False).close()


def test_what_the_formula_says_covers_the_child(nano_path: Path) -> None:
    """Within a tenth: what a Python takes depends on its version."""
    spec, need = sized(ModelSpec(path=nano_path, threads=1, sequences=4))
    with open_desk(spec) as desk:
        assert isinstance(desk, IsolatedDesk)
        desk_tokens = asked(desk, SAID[0])
        assert text_of(desk, desk_tokens)
        assert psutil.Process(desk.pid).memory_info().rss < need.total_bytes * 1.1


@pytest.mark.parametrize("isolate", [True, False])
def test_an_onnx_folder_answers_one_request_after_the_other(isolate: bool) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the extra `onnx`")
    with open_desk(ModelSpec(path=FP32, threads=1, sequences=4), isolate=isolate) as desk:
        assert desk.state.sequences == 1
        request = Request(desk.tokenize((Segment("a hotel"),)), Sampling(max_tokens=4))
        with ThreadPoolExecutor(3) as threads:
            assert len({*threads.map(lambda _: text_of(desk, request), range(3))}) == 1


@pytest.mark.parametrize("isolate", [True, False])
def test_what_is_no_model_or_no_option_is_said_before_anything_starts(
    tmp_path: Path, nano_path: Path, isolate: bool
) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        open_desk(ModelSpec(path=tmp_path / "none.gguf"), isolate=isolate)
    with pytest.raises(UsageError, match="context is 4000000"):
        open_desk(ModelSpec(path=nano_path, context_tokens=4_000_000), isolate=isolate)
