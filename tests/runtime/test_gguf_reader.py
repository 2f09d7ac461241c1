from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coalm_lite import models
from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_header import read_header, read_leading_values
from coalm_lite.runtime.gguf_reader import quoted
from coalm_lite.runtime.model_file import check_model_file
from tests.runtime.gguf_bytes import gguf_file, model_file, pair, string, u32, u64

EMBEDDED = Path(models.__file__).parent / "coalm-nano.Q8_0.gguf"
LIMIT_BYTES = 64 << 20
TOKENS_HEAD = string("tokenizer.ggml.tokens") + u32(9) + u32(8)


def sparse(path: Path, start: bytes, size_bytes: int) -> Path:
    """A file that begins with `start` and goes on with zeros, which take no room on the disk."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size_bytes)
    return path


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(ModelError):
            check_model_file(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_first_bytes_tell_what_the_whole_file_tells() -> None:
    header = read_header(EMBEDDED)
    whole = EMBEDDED.read_bytes()
    leading = read_leading_values(whole[: header.data_offset], "nano", len(whole))
    assert leading.complete
    assert (leading.values, leading.arrays) == (header.values, header.arrays)
    assert leading.texts == header.texts


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_any_first_bytes_tell_a_part_of_the_same_and_no_more(share: float) -> None:
    header = read_header(EMBEDDED)
    whole = EMBEDDED.read_bytes()
    leading = read_leading_values(whole[: 24 + int(share * header.data_offset)], "nano", len(whole))
    assert leading.values.items() <= header.values.items()
    assert leading.arrays.items() <= header.arrays.items()
    assert leading.complete == (leading.values.keys() == header.values.keys())


def test_the_length_of_an_array_is_known_before_its_elements_came() -> None:
    data = gguf_file([pair("a", 1), pair("tokenizer.ggml.tokens", ["x"] * 500), pair("b", 2)])
    leading = read_leading_values(data[:150], "peek", len(data))
    assert leading.values == {"a": 1}
    assert leading.arrays["tokenizer.ggml.tokens"].length == 500
    assert not leading.complete


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not a GGUF file"),
        (b"GGUF", "too few to tell"),
        (b"<!doctype html>", "is not a GGUF file"),
        (b"GGUF" + u32(1) + u64(0) + u64(0), "version 1"),
        (b"GGUF" + u32(3) + u64(0) + u64(1 << 40), "cannot be in a file of 99 bytes"),
        (b"GGUF" + u32(3) + u64(0) + u64(1) + u64(90), "the key of metadata entry 0 needs 90 bytes"),
    ],
)
def test_first_bytes_that_no_model_begins_with_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_leading_values(data, "peek", 99)
    assert words in caught.value.message
    assert "peek" in caught.value.message


@pytest.mark.parametrize("kind", ["tokens", "strings", "pairs", "tensors", "text", "texts"])
def test_a_large_file_of_many_things_costs_little_memory(tmp_path: Path, kind: str) -> None:
    """The claims are true here: the file is as long as they need, so only a limit can refuse it."""
    count = 40_000_000
    starts = {
        "tokens": gguf_file([TOKENS_HEAD + u64(count)]),
        "strings": gguf_file([string("a") + u32(9) + u32(8) + u64(count)]),
        "pairs": b"GGUF" + u32(3) + u64(0) + u64(count // 2),
        "tensors": b"GGUF" + u32(3) + u64(count // 4) + u64(0),
        "text": gguf_file([string("a") + u32(8) + u64(count)]),
        "texts": gguf_file([pair(str(index), "x" * 1_000_000) for index in range(9)]),
    }
    assert peak_bytes(sparse(tmp_path / "large.gguf", starts[kind], count * 8 + 4096)) < LIMIT_BYTES


def test_the_most_that_the_limits_let_through_fits_into_the_memory(tmp_path: Path) -> None:
    """The vocabulary, the pairs and the tensors each as many as allowed, and the texts as long: a file that passes."""
    tokens, text = [f"{index:x}" for index in range(1 << 18)], "\U0001f3e8" + "x" * 2_500_000
    numbers = [pair(f"k{index}", index) for index in range(4000)]
    tensors = [(f"t{index}", (1, 1, 1, 1), 0, index * 32) for index in range(1 << 14)]
    path = tmp_path / "most.gguf"
    path.write_bytes(model_file({"tokenizer.ggml.tokens": tokens, "general.name": text}, tensors, numbers))
    tracemalloc.start()
    try:
        header = check_model_file(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(header.vocabulary), len(header.tensors)) == (1 << 18, 1 << 14)
    assert LIMIT_BYTES / 2 < peak < LIMIT_BYTES


def test_a_long_value_is_cut_where_it_is_shown() -> None:
    assert quoted("x" * 10**6) == "'" + "x" * 59 + "..."
    assert quoted("a\x1b[2J") == r"'a\x1b[2J'"
    assert quoted(None) == "None"


def test_a_few_thousand_fuzzed_files_crash_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/fuzz_header.py", "--executions", "2000", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"check: passed": ' in done.stdout
    assert '"check: refused": ' in done.stdout
    assert not list(tmp_path.glob("crash-*"))
