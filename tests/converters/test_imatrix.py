from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from coalm_lite import models
from coalm_lite.converters.calibration.imatrix_file import read_imatrix
from coalm_lite.converters.calibration.texts import made_here
from coalm_lite.converters.imatrix import DEFAULT_CHUNKS, ImatrixProgress, MeasureOptions, make_imatrix
from coalm_lite.errors import ModelError, UsageError
from coalm_lite.runtime.llamacpp import LlamaVocabulary
from tests.gguf_models import tiny_model

__all__ = ["tiny_model"]

NANO = Path(models.__file__).parent / "coalm-nano.Q8_0.gguf"
TEXT = "\n".join(f"{a} times {b} is {a * b}." for a in range(1, 8) for b in range(1, 8)) + "\n"
# What llama-imatrix of llama-cpp-python 0.3.36's llama.cpp gave for the tiny model and TEXT (-c 128 --chunks 4 -t 1):
# sum, largest value and its place.
PEER: Mapping[str, tuple[float, float, int]] = {
    "blk.0.attn_k.weight": (253.3234, 2.851366, 96),
    "blk.0.attn_output.weight": (6.611715, 0.207882, 94),
    "blk.0.attn_q.weight": (253.3234, 2.851366, 96),
    "blk.0.attn_v.weight": (253.3234, 2.851366, 96),
    "blk.0.ffn_down.weight": (7.787158, 0.361412, 132),
    "blk.0.ffn_gate.weight": (255.6178, 6.83426, 45),
    "blk.0.ffn_up.weight": (255.6178, 6.83426, 45),
    "blk.1.attn_k.weight": (255.7645, 7.831707, 69),
    "blk.1.attn_output.weight": (38.87713, 1.166396, 79),
    "blk.1.attn_q.weight": (255.7645, 7.831707, 69),
    "blk.1.attn_v.weight": (255.7645, 7.831707, 69),
    "blk.1.ffn_down.weight": (9.830292, 1.165898, 412),
    "blk.1.ffn_gate.weight": (255.9506, 4.987612, 137),
    "blk.1.ffn_up.weight": (255.9506, 4.987612, 137),
}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "times.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "imatrix.gguf"


def options(chunks: int | None = None, chunk_tokens: int = 128) -> MeasureOptions:
    return MeasureOptions(chunks=chunks, chunk_tokens=chunk_tokens, threads=1)


def test_values_are_those_of_llama_imatrix(tiny_model: Path, text: Path, target: Path) -> None:
    make_imatrix(tiny_model, target, text, options(4))
    values = read_imatrix(target).values
    assert {*values} == {*PEER}
    for name, (total, largest, place) in PEER.items():
        assert values[name].sum() == pytest.approx(total, rel=1e-3)
        assert values[name].max() == pytest.approx(largest, rel=1e-3)
        assert values[name].argmax() == place


def test_the_report_tells_what_the_file_holds(tiny_model: Path, text: Path, target: Path) -> None:
    report = make_imatrix(tiny_model, target, text, options(2))
    made = read_imatrix(target)
    assert (report.target, report.sha256, report.matrices) == (target, made.sha256, len(made.values))
    assert (report.chunks, report.chunk_tokens) == (made.chunks, made.chunk_tokens) == (2, 128)
    assert (report.dataset,) == made.datasets
    assert report.dataset.startswith("times.txt, sha256 ")


@pytest.mark.parametrize(("letters", "chunks"), [(382, 2), (383, 3)])
def test_all_whole_chunks_of_a_text_are_read(
    tiny_model: Path, tmp_path: Path, target: Path, letters: int, chunks: int
) -> None:
    path = tmp_path / "letters.txt"
    path.write_text("x" * letters + "\n")  # the first token in front, the last line break left out
    assert make_imatrix(tiny_model, target, path, options()).chunks == chunks
    assert make_imatrix(tiny_model, target, path, options(999)).chunks == chunks


def test_each_chunk_begins_with_the_first_token_in_place_of_its_own(tiny_model: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same.txt", tmp_path / "other.txt"
    begins = "x" * 63  # and the first token: one chunk of 64
    same.write_text(begins + "y" + "z" * 63)
    other.write_text(begins + "w" + "z" * 63)
    made = []
    for path in (same, other):
        make_imatrix(tiny_model, path.with_suffix(".gguf"), path, options(2, 64))
        made.append(read_imatrix(path.with_suffix(".gguf")).values)
    for name, values in made[0].items():
        assert np.array_equal(values, made[1][name])


def test_without_data_the_conversations_made_here_are_read(target: Path) -> None:
    report = make_imatrix(NANO, target, None, options(2, 512))
    assert (report.chunks, report.matrices) == (2, 6 * 7)
    assert report.dataset == made_here(short=True).name


def test_the_conversations_made_here_suffice_for_the_default() -> None:
    with LlamaVocabulary(NANO) as vocabulary:
        tokens = sum(len(vocabulary.tokenize(prompt)) for prompt in made_here(short=True).prompts)
    assert tokens >= DEFAULT_CHUNKS * 512


def test_progress_is_told_by_the_chunk(tiny_model: Path, text: Path, target: Path) -> None:
    seen: list[ImatrixProgress] = []
    make_imatrix(tiny_model, target, text, options(3), report=seen.append)
    assert [(now.done, now.total) for now in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[0].seconds_left > 0
    assert seen[-1].seconds_left == 0


def test_an_interrupted_run_leaves_nothing(tiny_model: Path, text: Path, target: Path) -> None:
    target.write_text("an older one")

    def stop(_progress: ImatrixProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_imatrix(tiny_model, target, text, options(3), report=stop)
    assert target.read_text() == "an older one"
    assert {path.name for path in target.parent.iterdir()} == {text.name, target.name}


def test_too_little_text_is_told_with_the_chunk_that_it_does_not_fill(
    tiny_model: Path, tmp_path: Path, target: Path
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("x" * 126)
    with pytest.raises(UsageError, match=r"short\.txt.*: too few tokens for a chunk of 128") as caught:
        make_imatrix(tiny_model, target, short, options())
    assert "--context" in caught.value.hint
    assert not target.exists()


def test_wrong_wishes_are_refused_before_the_model_is_opened(tmp_path: Path, text: Path, target: Path) -> None:
    missing = tmp_path / "missing.gguf"
    with pytest.raises(UsageError, match="is a folder"):
        make_imatrix(missing, tmp_path, text, options())
    with pytest.raises(UsageError, match="there is no folder"):
        make_imatrix(missing, tmp_path / "nowhere" / "imatrix.gguf", text, options())
    with pytest.raises(UsageError, match="1 chunks of 15 tokens cannot be measured"):
        make_imatrix(missing, target, text, options(1, 15))
    with pytest.raises(UsageError, match="0 chunks of 128 tokens cannot be measured"):
        make_imatrix(missing, target, text, options(0))
    with pytest.raises(ModelError, match="there is no model file"):
        make_imatrix(missing, target, text, options())


def test_a_context_beyond_the_trained_one_is_refused(tiny_model: Path, text: Path, target: Path) -> None:
    with pytest.raises(UsageError, match="context is 4096, outside 1 to 2048"):
        make_imatrix(tiny_model, target, text, options(1, 4096))
