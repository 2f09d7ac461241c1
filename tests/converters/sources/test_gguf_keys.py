"""Keys come back with their types and values, in their order; another file than the checked one is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFValue, GGUFValueType

from coalm_lite.converters.sources.gguf_keys import read_keys
from coalm_lite.errors import ModelError
from tests.runtime.gguf_bytes import gguf_file, model_file, string, u32, u64


def keys_of(folder: Path, data: bytes) -> dict[str, GGUFValue]:
    (folder / "m.gguf").write_bytes(data)
    return read_keys(folder / "m.gguf")


def test_every_key_comes_in_its_place(tmp_path: Path) -> None:
    keys = keys_of(tmp_path, model_file())
    assert list(keys)[:2] == ["general.architecture", "llama.context_length"]
    assert keys["llama.context_length"] == GGUFValue(64, GGUFValueType.UINT32)
    assert keys["tokenizer.ggml.tokens"] == GGUFValue(["a", "b", "c"], GGUFValueType.ARRAY, GGUFValueType.STRING)


def test_a_text_ends_at_its_first_nul_and_may_be_no_utf8(tmp_path: Path) -> None:
    data = gguf_file([string("a") + u32(8) + string(b"x\0y"), string("b") + u32(8) + string(b"\xff")])
    keys = keys_of(tmp_path, data)
    assert (keys["a"].value, keys["b"].value) == ("x", b"\xff")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([string("a") + u32(9) + u32(8) + u64(0)], "the array 'a' is empty"),
        ([string("a") + u32(99)], "99 is not a valid GGUFValueType"),
        ([string("a") + u32(8) + u64(1000) + b"text"], "1000 bytes are needed, and the file ends"),
        ([string("a") + u32(9) + u32(4) + u64(2**60)], "bytes are needed, and the file ends"),
    ],
)
def test_what_cannot_be_read_or_written_again_is_an_error(tmp_path: Path, pairs: list[bytes], said: str) -> None:
    data = gguf_file(pairs)
    with pytest.raises(ModelError, match=said) as caught:
        keys_of(tmp_path, data)
    assert str(tmp_path / "m.gguf") in caught.value.message
