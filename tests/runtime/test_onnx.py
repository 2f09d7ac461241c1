"""The ONNX engine: its numbers against llama.cpp's, the KV cache, cancelling, the context's end, what it loads."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the extra `onnx`")

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.errors import ContextFullError, DecodingError, ModelError, UsageError
from coalm_lite.runtime.base import Cancel, Cancelled, Prefill, common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.onnx import OnnxEngine
from coalm_lite.types import Segment
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint
from tests.onnx_models import CONTEXT_TOKENS, FP16, FP32, METADATA

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

SAME = 1e-4  # between batches of different size
CLOSE = 2e-3  # between engines
LONG_PROMPT = [index * 7 % 256 for index in range(200)]
prompts = st.lists(st.integers(0, 255), min_size=1, max_size=24)


@pytest.fixture(scope="module")
def engine() -> Iterator[OnnxEngine]:
    with OnnxEngine.load(FP32, threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def small_batches() -> Iterator[OnnxEngine]:
    with OnnxEngine.load(FP32, threads=1, context_tokens=64, batch_tokens=8) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaEngine]:
    """The same checkpoint in llama.cpp, in 32 bits."""
    folder = tmp_path_factory.mktemp("twin")
    convert(write_checkpoint(folder / "tiny", Recipe()), folder / "tiny.gguf", Quant.F32, metadata=METADATA)
    with LlamaEngine.load(folder / "tiny.gguf", threads=1) as loaded:
        yield loaded


def fresh_logits(tokens: Sequence[int]) -> Logits:
    """The logits with an empty KV cache and one batch."""
    with OnnxEngine.load(FP32, threads=1, batch_tokens=CONTEXT_TOKENS) as fresh:
        assert fresh.prefill(tokens, Cancel()).reused_tokens == 0
        return fresh.logits()


@pytest.mark.parametrize(("folder", "tolerance"), [(FP32, CLOSE), (FP16, 0.02)], ids=["fp32", "fp16"])
def test_the_logits_are_those_of_llama_cpp(twin: LlamaEngine, folder: Path, tolerance: float) -> None:
    with OnnxEngine.load(folder, threads=1, batch_tokens=64) as engine:
        ours = np.stack(list(engine.logits_after(LONG_PROMPT, 0, Cancel())))
    theirs = np.stack(list(twin.logits_after(LONG_PROMPT, 0, Cancel())))
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < tolerance * np.abs(theirs).max()
    assert np.ptp(theirs, axis=1).min() > 10 * tolerance  # logits that are all alike would agree too


def test_text_becomes_the_tokens_of_llama_cpp_and_back(engine: OnnxEngine, twin: LlamaEngine) -> None:
    prompt = (
        Segment("<|begin_of_text|>", marker=True),
        Segment("a hotel <|eot_id|> house, the trains. Ünï 5stars\n\n"),
    )
    tokens = engine.tokenize(prompt)
    assert tokens == twin.tokenize(prompt)
    assert b"".join(map(engine.token_bytes, tokens)).decode() == prompt[1].text
    assert engine.is_end(engine.tokenize((Segment("<|eot_id|>", marker=True),))[0])
    with pytest.raises(ModelError, match="no special token"):
        engine.tokenize((Segment("<|nothing|>", marker=True),))


def test_what_a_loaded_model_says_of_itself(engine: OnnxEngine) -> None:
    assert engine.info.context_tokens == CONTEXT_TOKENS
    engine.prefill([1], Cancel())
    assert engine.info.vocabulary_size == len(engine.logits())
    assert METADATA.items() <= engine.info.metadata.items()
    assert "general.architecture" in engine.info.metadata


@settings(max_examples=40, deadline=None)
@given(turns=st.lists(prompts, min_size=1, max_size=5), extra=prompts)
def test_reuse_changes_no_logits(engine: OnnxEngine, turns: list[list[int]], extra: list[int]) -> None:
    """Whatever was computed before, the logits are those of a fresh engine, and exactly the prefix is reused."""
    held: list[int] = engine_held(engine)
    for tokens in turns:
        expected = min(common_prefix_length(held, tokens), len(tokens) - 1)
        assert engine.prefill(tokens, Cancel()) == Prefill(expected, len(tokens) - expected)
        held = list(tokens)
    engine.extend(extra, Cancel())
    assert np.abs(engine.logits() - fresh_logits([*held, *extra])).max() < SAME


def engine_held(engine: OnnxEngine) -> list[int]:
    """Brings the engine to a known state; returns what it holds."""
    engine.prefill([3, 1, 4], Cancel())
    return [3, 1, 4]


def test_batches_of_any_size_give_the_same_logits(small_batches: OnnxEngine) -> None:
    small_batches.prefill(LONG_PROMPT[:61], Cancel())
    whole = fresh_logits(LONG_PROMPT[:61])
    assert np.abs(small_batches.logits() - whole).max() < SAME
    rows = list(small_batches.logits_after(LONG_PROMPT[:61], 50, Cancel()))
    assert len(rows) == 11
    assert np.abs(rows[-1] - whole).max() < SAME


def test_half_precision_keeps_its_cache_across_a_cut() -> None:
    with OnnxEngine.load(FP16, threads=1) as engine:
        engine.prefill([1, 2, 3, 4, 5, 6], Cancel())
        assert engine.prefill([1, 2, 3, 9], Cancel()) == Prefill(3, 1)
        cut = engine.logits()
        engine.prefill([7], Cancel())
        engine.prefill([1, 2, 3, 9], Cancel())
        assert np.abs(engine.logits() - cut).max() < 0.02


class CancelsAt(Cancel):
    """Is set at the check before the batch with this number."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self._checks_left = batch

    def check(self) -> None:
        self._checks_left -= 1
        if not self._checks_left:
            self.set()
        super().check()


def test_cancelling_between_batches_keeps_the_finished_ones(small_batches: OnnxEngine) -> None:
    tokens = LONG_PROMPT[:40]
    small_batches.prefill([255], Cancel())
    with pytest.raises(Cancelled):
        small_batches.prefill(tokens, CancelsAt(batch=4))
    assert small_batches.prefill(tokens, Cancel()) == Prefill(24, 16)
    assert np.abs(small_batches.logits() - fresh_logits(tokens)).max() < SAME


def test_cancelling_within_a_batch_stops_it_and_leaves_nothing_behind(engine: OnnxEngine) -> None:
    """A flag that nobody checks between batches is still seen while onnxruntime computes."""

    class SeenWithin(Cancel):
        def check(self) -> None:
            """The check before the batch does not see it."""

    cancel = SeenWithin()
    cancel.set()
    engine.prefill([1, 2], Cancel())
    seen = False
    for _ in range(50):  # a tiny model's batch may be done before the watcher's first look
        try:
            engine.extend(LONG_PROMPT, cancel)
        except Cancelled:
            seen = True
            break
        engine.prefill([1, 2], Cancel())
    assert seen
    assert engine.prefill([1, 2, 5], Cancel()) == Prefill(2, 1)
    assert np.abs(engine.logits() - fresh_logits([1, 2, 5])).max() < SAME


def test_a_full_context_is_an_error_before_any_work(small_batches: OnnxEngine) -> None:
    small_batches.prefill(LONG_PROMPT[:64], Cancel())
    logits = small_batches.logits()
    with pytest.raises(ContextFullError, match="1 more tokens after the 64 it holds"):
        small_batches.extend([1], Cancel())
    with pytest.raises(ContextFullError, match="65 more tokens"):
        small_batches.prefill(LONG_PROMPT[:65], Cancel())
    assert np.array_equal(small_batches.logits(), logits)


def test_there_are_no_logits_before_anything_is_computed() -> None:
    with OnnxEngine.load(FP32, threads=1) as engine, pytest.raises(DecodingError, match="no logits"):
        engine.logits()


def test_what_cannot_be_computed_is_refused(engine: OnnxEngine) -> None:
    with pytest.raises(DecodingError, match="no tokens"):
        engine.prefill([], Cancel())
    for token in (-1, engine.info.vocabulary_size):
        with pytest.raises(DecodingError, match=f"token {token} is outside the vocabulary"):
            engine.prefill([1, token], Cancel())
    assert engine.prefill([1, 2], Cancel()).computed_tokens >= 1


def test_a_grammar_holds_on_the_engines_logits(engine: OnnxEngine) -> None:
    engine.prefill(engine.tokenize((Segment("the"),)), Cancel())
    constraint = engine.constraint('root ::= "hotel" [0-9]')
    text = b""
    while not constraint.finished():
        token = int(np.argmax(constraint.mask(engine.logits())))
        constraint.accept(token)
        text += engine.token_bytes(token)
        engine.extend([token], Cancel())
    constraint.close()
    assert text[:-1] == b"hotel"
    assert text[-1:].isdigit()


def test_two_threads_cannot_be_inside_at_once() -> None:
    with OnnxEngine.load(FP32, threads=1) as engine:
        entered, leave = threading.Event(), threading.Event()

        class Waits(Cancel):
            def check(self) -> None:
                entered.set()
                leave.wait(10)

        thread = threading.Thread(target=lambda: engine.prefill([1, 2, 3], Waits()))
        thread.start()
        assert entered.wait(10)
        try:
            with pytest.raises(DecodingError, match="two threads"):
                engine.logits()
            with pytest.raises(DecodingError, match="two threads"):
                engine.close()
        finally:
            leave.set()
            thread.join()
        assert engine.logits().shape == (engine.info.vocabulary_size,)


def test_a_closed_engine_says_so() -> None:
    engine = OnnxEngine.load(FP32, threads=1)
    constraint = engine.constraint('root ::= "a"')
    engine.close()
    engine.close()
    for use in (lambda: engine.prefill([1], Cancel()), lambda: engine.tokenize(()), lambda: constraint.allows(1)):
        with pytest.raises(DecodingError, match="closed"):
            use()


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="context is 257, outside 1 to 256"):
        OnnxEngine.load(FP32, context_tokens=257)
    with pytest.raises(UsageError, match="gpu_layers is 3"):
        OnnxEngine.load(FP32, gpu_layers=3)


FRESH = """
import sys
from pathlib import Path
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.onnx import OnnxEngine
with OnnxEngine.load(Path(sys.argv[1]), threads=1) as engine:
    engine.prefill([1, 2, 3], Cancel())
    engine.extend([4], Cancel())
    engine.constraint('root ::= "a"').mask(engine.logits())
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_nothing_but_onnxruntime_is_needed_at_run_time() -> None:
    """A fresh interpreter that loads and runs a model has none of the packages that made it, and writes nothing."""
    done = subprocess.run([sys.executable, "-c", FRESH, str(FP32)], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"onnxruntime", "numpy", "llama_cpp"} <= loaded
    assert not loaded & {"torch", "transformers", "optimum", "onnx", "tokenizers", "safetensors", "huggingface_hub"}
    assert done.stderr == ""
