from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from numpy.typing import NDArray

from coalm_lite.errors import DecodingError, ModelError, UsageError
from coalm_lite.runtime.base import Cancel, Cancelled
from coalm_lite.runtime.llamacpp import ggml_tensor
from coalm_lite.runtime.llamacpp.activations import ActivationMeter
from coalm_lite.runtime.llamacpp.ggml_tensor import GgmlTensor
from coalm_lite.types import Segment
from tests.gguf_models import HIDDEN, LAYERS, write_tiny_model

CHUNK = 64
MATRICES = ("attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up")
ALL_MATRICES = [f"blk.{layer}.{name}.weight" for layer in range(LAYERS) for name in MATRICES]


@pytest.fixture
def meter(tiny_model: Path) -> Iterator[ActivationMeter]:
    with ActivationMeter.load(tiny_model, context_tokens=CHUNK, threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def embeddings(tiny_model: Path) -> NDArray[np.float32]:
    """The rows of the tiny model's embedding matrix."""
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(tiny_model).tensors}
    return np.array(tensors["token_embd.weight"], dtype=np.float32)


def first_inputs(embeddings: NDArray[np.float32], tokens: list[int]) -> NDArray[np.float64]:
    """What the first layer's attention matrices get: normalised embeddings; the norms' weights are ones."""
    inputs = embeddings[tokens].astype(np.float64)
    return inputs / np.sqrt((inputs**2).mean(axis=1, keepdims=True) + 1e-5)


def test_every_matrix_of_every_layer_is_measured_and_the_output_is_not(meter: ActivationMeter) -> None:
    meter.add_chunk(range(CHUNK), Cancel())
    assert {*meter.sums} == {*ALL_MATRICES}
    assert {entry.tokens for entry in meter.sums.values()} == {CHUNK}


def test_sums_are_those_of_the_squares_of_the_inputs(meter: ActivationMeter, embeddings: NDArray[np.float32]) -> None:
    tokens = [3 * number % 250 for number in range(CHUNK)]
    meter.add_chunk(tokens, Cancel())
    expected = (first_inputs(embeddings, tokens) ** 2).sum(axis=0)
    for name in ("attn_q", "attn_k", "attn_v"):
        np.testing.assert_allclose(meter.sums[f"blk.0.{name}.weight"].squares, expected, rtol=1e-5)


def test_chunks_add_up_and_each_begins_anew(meter: ActivationMeter) -> None:
    meter.add_chunk(range(CHUNK), Cancel())
    once = {name: entry.squares.copy() for name, entry in meter.sums.items()}
    meter.add_chunk(range(CHUNK), Cancel())
    for name, entry in meter.sums.items():
        assert entry.tokens == 2 * CHUNK
        np.testing.assert_allclose(entry.squares, 2 * once[name], rtol=1e-6)


def test_a_long_chunk_is_the_same_in_several_batches(tiny_model: Path) -> None:
    tokens = [7 * number % 256 for number in range(512 + 40)]
    with ActivationMeter.load(tiny_model, context_tokens=len(tokens), threads=1) as meter:
        meter.add_chunk(tokens, Cancel())
        assert {entry.tokens for entry in meter.sums.values()} == {len(tokens)}


def test_a_batch_of_few_tokens_is_passed_over_as_llama_imatrix_does(meter: ActivationMeter) -> None:
    meter.add_chunk(range(15), Cancel())
    assert not meter.sums
    meter.add_chunk(range(16), Cancel())
    assert {entry.tokens for entry in meter.sums.values()} == {16}


def test_the_first_token_and_the_words_are_those_of_the_vocabulary(meter: ActivationMeter) -> None:
    assert meter.first_token == meter.tokenize((Segment("<|begin_of_text|>", marker=True),))[0]
    assert meter.first_token not in meter.tokenize((Segment("<|begin_of_text|>"),))


def test_a_cancelled_chunk_ends_at_once_and_the_meter_goes_on(meter: ActivationMeter) -> None:
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled):
        meter.add_chunk(range(CHUNK), cancel)
    meter.add_chunk(range(CHUNK), Cancel())
    assert meter.sums


def test_an_interrupt_from_the_keyboard_is_not_lost(meter: ActivationMeter) -> None:
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.05, lambda: signal.pthread_kill(main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        while timer.is_alive() or not timer.finished.is_set():
            meter.add_chunk(range(CHUNK), Cancel())
        meter.add_chunk(range(CHUNK), Cancel())
    before = {name: meter.sums[name].tokens if name in meter.sums else 0 for name in ALL_MATRICES}
    meter.add_chunk(range(CHUNK), Cancel())  # what was left in the middle does not end the next graph there
    assert {name: meter.sums[name].tokens - before[name] for name in ALL_MATRICES} == dict.fromkeys(ALL_MATRICES, CHUNK)


def test_inputs_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "broken.gguf")
    position = next(t.data_offset for t in GGUFReader(model).tensors if t.name == "token_embd.weight")
    with model.open("r+b") as file:
        file.seek(position)
        file.write(np.full(HIDDEN, np.nan, dtype=np.float32).tobytes())
    refused = pytest.raises(ModelError, match=r"the input of blk\.0\.attn_\w\.weight is no finite number")
    with ActivationMeter.load(model, context_tokens=CHUNK, threads=1) as meter, refused:
        meter.add_chunk(range(CHUNK), Cancel())


def test_another_layout_of_tensors_is_refused_before_one_is_read(
    meter: ActivationMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shorter(GgmlTensor):
        _fields_ = (("more", ctypes.c_int64),)

    monkeypatch.setattr(ggml_tensor, "GgmlTensor", Shorter)
    with pytest.raises(ModelError, match=r"its tensors take \d+ bytes, not \d+"):
        meter.add_chunk(range(CHUNK), Cancel())


def test_a_context_beyond_the_trained_one_and_a_closed_meter_are_refused(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="context is 4096, outside 1 to 2048"):
        ActivationMeter.load(tiny_model, context_tokens=4096)
    meter = ActivationMeter.load(tiny_model, context_tokens=CHUNK, threads=1)
    meter.close()
    meter.close()
    with pytest.raises(DecodingError, match="is closed"):
        meter.add_chunk(range(CHUNK), Cancel())
