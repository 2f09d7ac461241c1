from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest
from gguf import GGML_QUANT_SIZES, GGUFReader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.runtime.gguf_types import BLOCKS
from tests.runtime.gguf_bytes import gguf_file, model_file, pair, string, tensor_row, u32, u64

IN_MEMORY_ONLY = {9, 15}
PAIR = pair("a", 1)
ROW = tensor_row("t", (9,), 0, 0)


def test_block_sizes_are_those_of_the_gguf_package() -> None:
    theirs = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items() if int(kind) not in IN_MEMORY_ONLY}
    assert {kind: BLOCKS.get(kind) for kind in theirs} == theirs
    assert len(theirs) > 25


def test_a_real_file_reads_as_the_gguf_package_reads_it(tiny_model: Path) -> None:
    header, theirs = read_header(tiny_model), GGUFReader(tiny_model)
    keys = [key for key in theirs.fields if not key.startswith("GGUF.")]
    assert set(keys) == header.values.keys() | header.arrays.keys()
    assert all(header.values[key] == theirs.fields[key].contents() for key in header.values)
    assert [token.decode() for token in header.vocabulary] == theirs.fields["tokenizer.ggml.tokens"].contents()
    assert [(t.name, t.shape, t.type_id, header.data_offset + t.offset, t.size_bytes) for t in header.tensors] == [
        (t.name, tuple(t.shape), int(t.tensor_type), t.data_offset, t.n_bytes) for t in theirs.tensors
    ]
    assert header.needed_bytes == tiny_model.stat().st_size


def test_only_string_values_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_file([pair("s", "ü"), pair("i", 1), pair("b", True), pair("f", 0.5), pair("l", ["x"])]))
    assert read_header(path).texts == {"s": "ü"}
    assert read_header(path).values == {"s": "ü", "i": 1, "b": True, "f": 0.5}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04 a zip file", "does not begin with the letters GGUF"),
        (b"GGUF", "version needs 4 bytes"),
        (gguf_file([], version=1), "version 1; versions 2 and 3"),
        (gguf_file([], version=3 << 24), "version 50331648"),
        (b"GGUF" + u32(3) + u64(1 << 60) + u64(0), "tensors cannot be in a file of 24 bytes"),
        (b"GGUF" + u32(3) + u64(0) + u64(1 << 60), "metadata entries cannot be in a file"),
        (gguf_file([PAIR, PAIR]), "the key 'a', empty or a second time"),
        (gguf_file([pair("", 1)]), "the key '', empty"),
        (gguf_file([pair(b"\xff", 1)]), "key of metadata entry 0 is not UTF-8"),
        (gguf_file([pair("a\0", 1)]), "key of metadata entry 0 holds a NUL"),
        (gguf_file([PAIR], [tensor_row("t\0", (1,), 0, 0)]), "name of tensor 0 holds a NUL"),
        (gguf_file([string("a") + u32(9) + u32(8) + u64(2) + string("x")]), "elements of 'a' cannot be in"),
        (b"GGUF" + u32(3) + u64(0) + u64(1) + string("a") + u32(9) + u32(8) + u64(2) + string("x" * 8), "'a' needs 24"),
        (gguf_file([pair("k" * 999, 1)] * 2), "the key 'kkk"),
        (gguf_file([u64(1 << 40) + b"abcdefgh"]), "has 1099511627776 bytes, more than"),
        (gguf_file([string("a") + u32(13) + bytes(8)]), "'a' has the unknown type 13"),
        (gguf_file([string("a") + u32(8) + u64(999)]), "the value of 'a' needs 999 bytes"),
        (gguf_file([string("a") + u32(9) + u32(9) + u64(1) + bytes(32)]), "'a' has the unknown type 9"),
        (gguf_file([string("a") + u32(9) + u32(4) + u64(1 << 60)]), "elements of 'a' cannot be in a file"),
        (gguf_file([string("a") + u32(9) + u32(8) + u64(1) + u64(99)]), "element 0 of 'a' has a length of 99 bytes"),
        (gguf_file([pair("general.alignment", 3)]), "general.alignment is 3, not a power of two"),
        (gguf_file([pair("general.alignment", 0)]), "general.alignment is 0, not a power of two"),
        (gguf_file([pair("general.alignment", "x")]), "general.alignment is 'x'"),
        (gguf_file([PAIR], [tensor_row("t" * 64, (1,), 0, 0)]), "the name of tensor 0 has 64 bytes"),
        (gguf_file([PAIR], [tensor_row("t", (), 0, 0)]), "'t' has 0 dimensions"),
        (gguf_file([PAIR], [tensor_row("t", (1,) * 5, 0, 0)]), "'t' has 5 dimensions"),
        (gguf_file([PAIR], [tensor_row("t", (0,), 0, 0)]), "cannot have the shape (0,)"),
        (gguf_file([PAIR], [tensor_row("t", (1 << 62, 4), 0, 0)]), "cannot have the shape"),
        (gguf_file([PAIR], [tensor_row("t", (31,), 8, 0)]), "'t' of type 8 cannot have the shape (31,)"),
        (gguf_file([PAIR], [tensor_row("t", (32,), 4, 0)]), "'t' has the unknown type 4"),
        (gguf_file([PAIR], [tensor_row("t", (8,), 0, 32)]), "'t' lies at 32, expected at 0"),
        (
            gguf_file([PAIR], [tensor_row("t", (9,), 0, 0), tensor_row("t", (8,), 0, 64)]),
            "a second tensor is named 't'",
        ),
        (
            gguf_file([PAIR], [tensor_row("t", (9,), 0, 0), tensor_row("u", (8,), 0, 32)]),
            "'u' lies at 32, expected at 64",
        ),
    ],
)
def test_a_broken_header_names_what_is_wrong_and_the_way_out(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        read_header(path)
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_token_longer_than_any_real_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_file({"tokenizer.ggml.tokens": ["a", "b" * 5000]}))
    with pytest.raises(ModelError, match=r"element 1 of 'tokenizer\.ggml\.tokens' has a length of 5000 bytes"):
        read_header(path)


@pytest.mark.parametrize("field", ["tensors", "pairs", "key", "array"])
def test_memory_is_not_taken_by_a_claimed_length(tmp_path: Path, field: str) -> None:
    claims = {
        "tensors": b"GGUF" + u32(3) + u64(1 << 62) + u64(0),
        "pairs": b"GGUF" + u32(3) + u64(0) + u64(1 << 62),
        "key": b"GGUF" + u32(3) + u64(0) + u64(1) + u64(1 << 62),
        "array": b"GGUF" + u32(3) + u64(0) + u64(1) + string("a") + u32(9) + u32(8) + u64(1 << 33),
    }
    path = tmp_path / "claims.gguf"
    path.write_bytes(claims[field] + bytes(64))
    tracemalloc.start()
    try:
        with pytest.raises(ModelError):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_header_cut_anywhere_is_refused(tiny_model: Path, tmp_path: Path, share: float) -> None:
    header = read_header(tiny_model)
    table_end = header.data_offset - 32
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_model.read_bytes()[: max(1, int(table_end * share))])
    with pytest.raises(ModelError):
        read_header(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(seed=st.integers(0, 1 << 32), flips=st.integers(1, 8))
def test_flipped_bytes_never_raise_anything_but_a_model_error(
    tiny_model: Path, tmp_path: Path, seed: int, flips: int
) -> None:
    header_bytes = bytearray(tiny_model.read_bytes()[: read_header(tiny_model).data_offset])
    chance = random.Random(seed)
    for _ in range(flips):
        header_bytes[chance.randrange(len(header_bytes))] = chance.choice(
            [0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)]
        )
    path = tmp_path / "flipped.gguf"
    path.write_bytes(header_bytes)
    try:
        header = read_header(path)
    except ModelError as error:
        assert error.hint
    else:
        assert header.needed_bytes > 0
