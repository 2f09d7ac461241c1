"""Conversion: pinned bytes, every value where llama.cpp looks for it, and nothing left behind when it fails."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from coalm_lite.converters.calibration.imatrix_file import ColumnSums, write_imatrix
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.writing import pipeline
from coalm_lite.errors import ModelError, StoreError, UsageError
from tests.converters.conftest import EditJson
from tests.converters.tiny_checkpoint import (
    Recipe,
    make_tensor,
    read_raw_safetensors,
    write_checkpoint,
    write_raw_safetensors,
    write_safetensors,
)

ROOT = Path(__file__).parents[2]
RECIPES = {
    "bf16": Recipe(),
    "f32 in shards": Recipe(dtype="F32", shards=3),
    "f16 tied": Recipe(dtype="F16", tied=True),
    "odd rows": Recipe(ffn=80),  # no multiple of 32: falls back to F16
}
# each equals what llama.cpp of llama-cpp-python 0.3.36 writes; test_peer_equality.py makes the comparison
PINNED = {
    ("bf16", Quant.F32): "6488f7eda28b7214043d60e5fe1a49622d960ff1ef2bc82a1d792ffca861b78c",
    ("bf16", Quant.F16): "92d71ab298807b43048dbf41f57fa83259457cb38e62ac0e6fd1184f6da9901a",
    ("bf16", Quant.BF16): "759dc3cdbed75603959f394e1e33f23c32cd9e9c61b71db8a99563d19de03e64",
    ("bf16", Quant.Q8_0): "7269d053a43531128941d1ace32435ec7dee314312ee0b847cc24132447c7ac6",
    ("f32 in shards", Quant.F32): "a9ce9a29ca5e403de7f6c40b5691993404eb82f0ae01a31292ace728f4dd31b0",
    ("f32 in shards", Quant.F16): "55adfb049cdf5fe57bce6e1c9865b4c19227742de51bab30dcaf5578e235f3c2",
    ("f32 in shards", Quant.BF16): "958829247d4a753bbe8a6b04a24c511baafed23bb76fa78cbc89e4d19828ca6e",
    ("f32 in shards", Quant.Q8_0): "2e15f2086215545109824ee7dcbc405fa3d8df4516a7391c132e9c1bb63a589a",
    ("f16 tied", Quant.F32): "988e7b049ad1443cd305102202b36015e5e01b066e87dcfe44c2fee02a2414df",
    ("f16 tied", Quant.F16): "271c67632d7b89ab17158ef3b19dcf5674017d7b40ed5cdde5da80b39ab70834",
    ("f16 tied", Quant.BF16): "3c23576012b766194b687e4b0d118e53f6151e624fe02f9fa773d9c979f0c8c1",
    ("f16 tied", Quant.Q8_0): "30d5d4c54fe49fd3bb18a4f2d635d785a0f072047dc06851885331af46d0b828",
    ("odd rows", Quant.F32): "2f300dd8eccb49043cdb65525a7dd2315faaea27fabd050c31619d5be44c6e88",
    ("odd rows", Quant.F16): "f15fc0b3d49dadae964a5264ea1b8cc77a337edec0fc6e6d5094b12af6b82dd6",
    ("odd rows", Quant.BF16): "31aba30f037562c3ddbf2d51530bc2c74a59c2eac05749342643e6cace98832d",
    ("odd rows", Quant.Q8_0): "57a7f5697eea91160fe839ca887ac76b277d5785b9b1e0d07bf670c1d2d46d5e",
}


@pytest.mark.parametrize(("recipe", "quant"), PINNED)
def test_the_bytes_are_those_that_llama_cpp_wrote(tmp_path: Path, recipe: str, quant: Quant) -> None:
    source = write_checkpoint(tmp_path / "tiny", RECIPES[recipe])
    convert(source, tmp_path / "out.gguf", quant)
    assert hashlib.sha256((tmp_path / "out.gguf").read_bytes()).hexdigest() == PINNED[recipe, quant]


@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="other machines round otherwise")
@pytest.mark.parametrize("quant", [Quant.F16, Quant.Q6_K, Quant.Q4_K_M])
def test_the_table_of_equal_bytes_is_of_this_converter_and_this_coalm_nano(tmp_path: Path, quant: Quant) -> None:
    lines = (ROOT / "benchmarks" / "results" / "equal_bytes.jsonl").read_text(encoding="utf-8").splitlines()
    last = {(row["checkpoint"], row["kind"], row["imatrix"]): row for row in map(json.loads, lines)}
    row = last["coalm-nano", quant, "none"]
    convert(ROOT / "nano" / "checkpoint", tmp_path / "nano.gguf", quant)
    assert row["equal"]
    assert hashlib.sha256((tmp_path / "nano.gguf").read_bytes()).hexdigest() == row["sha256"]


def test_the_report_says_what_was_written(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "tiny", RECIPES["odd rows"])
    report = convert(source, tmp_path / "out.gguf", Quant.Q8_0)
    assert report.size_bytes == (tmp_path / "out.gguf").stat().st_size
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    assert dict(report.tensor_types) == {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert report.parameters == sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert report.tensor_types["blk.0.ffn_down.weight"] == "F16"
    assert report.tensor_types["token_embd.weight"] == "Q8_0"
    assert report.tensor_types["blk.1.ffn_norm.weight"] == "F32"


@pytest.mark.parametrize("quant", [Quant.F32, Quant.Q8_0])
def test_small_blocks_give_the_same_bytes(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quant: Quant
) -> None:
    convert(checkpoint, tmp_path / "whole.gguf", quant)
    monkeypatch.setattr(pipeline, "BLOCK_VALUES", 64 * 17)  # 17 rows, or one head of 16
    convert(checkpoint, tmp_path / "blocks.gguf", quant)
    assert (tmp_path / "blocks.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()


def test_a_tied_model_has_no_output_tensor(tmp_path: Path) -> None:
    tied = convert(write_checkpoint(tmp_path / "tied", Recipe(tied=True)), tmp_path / "tied.gguf", Quant.F16)
    free = convert(write_checkpoint(tmp_path / "free", Recipe()), tmp_path / "free.gguf", Quant.F16)
    assert set(free.tensor_types) - set(tied.tensor_types) == {"output.weight"}


def test_an_unquantized_file_holds_every_value_of_the_checkpoint(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "tiny", Recipe(dtype="F32"))
    convert(source, tmp_path / "out.gguf", Quant.F32)
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(tmp_path / "out.gguf").tensors}
    np.testing.assert_array_equal(
        tensors["blk.1.ffn_down.weight"], make_tensor("model.layers.1.mlp.down_proj.weight", (64, 96))
    )
    heads = make_tensor("model.layers.1.self_attn.k_proj.weight", (32, 64)).reshape(2, 2, 8, 64)
    for row in range(32):  # llama.cpp's row 2i + j of a head is row i of its half j
        expected = heads[row // 16, row % 2, row % 16 // 2]
        np.testing.assert_array_equal(tensors["blk.1.attn_k.weight"][row], expected)


def test_old_rotary_tables_in_the_checkpoint_are_left_out(checkpoint: Path, tmp_path: Path) -> None:
    tensors = {"model.layers.0.self_attn.rotary_emb.inv_freq": make_tensor("x", (8,))}
    header, data = read_raw_safetensors(checkpoint / "model.safetensors")
    extra = tensors["model.layers.0.self_attn.rotary_emb.inv_freq"]
    span = [len(data), len(data) + extra.nbytes]
    header["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"dtype": "F32", "shape": [8], "data_offsets": span}
    before = convert(checkpoint, tmp_path / "before.gguf", Quant.F16)
    write_raw_safetensors(checkpoint / "model.safetensors", header, data + extra.tobytes())
    assert convert(checkpoint, tmp_path / "after.gguf", Quant.F16).tensor_types == before.tensor_types


def cut_shard(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lengthen_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes((10**9).to_bytes(8, "little") + path.read_bytes()[8:])


def rename_tensor(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        header, data = read_raw_safetensors(folder / "model.safetensors")
        header[new] = header.pop(old)
        write_raw_safetensors(folder / "model.safetensors", header, data)

    return change


def transpose(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        header, data = read_raw_safetensors(folder / "model.safetensors")
        header[name]["shape"].reverse()
        write_raw_safetensors(folder / "model.safetensors", header, data)

    return change


def poison(name: str, value: bytes) -> Callable[[Path], None]:
    """Overwrites the tensor's last value, so that the fault shows when most of the file is written."""

    def change(folder: Path) -> None:
        header, data = read_raw_safetensors(folder / "model.safetensors")
        end = header[name]["data_offsets"][1]
        write_raw_safetensors(folder / "model.safetensors", header, data[: end - 2] + value + data[end:])

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


LAST = "model.norm.weight"
DOWN = "model.layers.1.mlp.down_proj.weight"
BAD_SOURCES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (remove("config.json"), "config.json: file not found"),
    "no weights": (remove("model.safetensors"), "model.safetensors: file not found"),
    "no tokenizer": (remove("tokenizer.json"), "tokenizer.json: file not found"),
    "truncated shard": (cut_shard, r"model.safetensors: [\w.]+: data up to byte"),
    "header beyond the file": (lengthen_header, "a header of 1000000000 bytes does not fit a file"),
    "missing tensor": (rename_tensor(DOWN, "model.layers.1.mlp.down.weight"), f"tiny: {DOWN} is in no safetensors"),
    "unknown tensor": (rename_tensor("__metadata__", "x"), "model.safetensors: x: dtype None"),
    "wrong shape": (transpose(DOWN), rf"model.safetensors: {DOWN}: has shape \[96, 64\], .* \[64, 96\]"),
    "NaN": (poison(DOWN, b"\xc0\x7f"), f"model.safetensors: {DOWN}: row 63, column 95 is nan"),
    "Inf": (poison(LAST, b"\x80\x7f"), f"model.safetensors: {LAST}: row 0, column 63 is inf"),
    "too large for F16": (poison(DOWN, b"\x00\x49"), f"model.safetensors: {DOWN}: a value is too large for F16"),
}


@pytest.mark.parametrize("fault", BAD_SOURCES)
def test_a_bad_source_is_named_and_nothing_is_left_behind(checkpoint: Path, tmp_path: Path, fault: str) -> None:
    damage, said = BAD_SOURCES[fault]
    damage(checkpoint)
    (tmp_path / "out.gguf").write_bytes(b"what was here before")
    with pytest.raises(ModelError, match=said) as caught:
        convert(checkpoint, tmp_path / "out.gguf", Quant.F16)
    assert caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.gguf", "tiny"]
    assert (tmp_path / "out.gguf").read_bytes() == b"what was here before"


def test_an_extra_tensor_is_refused(checkpoint: Path, tmp_path: Path, edit_json: EditJson) -> None:
    edit_json(checkpoint / "config.json", lambda data: data.update(num_hidden_layers=1))
    with pytest.raises(ModelError, match=r"model.layers.1.\S+: not a tensor of a Llama with 1 layers"):
        convert(checkpoint, tmp_path / "out.gguf", Quant.F16)


def test_an_untied_model_without_an_output_matrix_is_refused(tmp_path: Path, edit_json: EditJson) -> None:
    source = write_checkpoint(tmp_path / "tiny", Recipe(tied=True))
    edit_json(source / "config.json", lambda data: data.update(tie_word_embeddings=False))
    with pytest.raises(ModelError, match=r"lm_head\.weight is in no safetensors file"):
        convert(source, tmp_path / "out.gguf", Quant.F16)


def test_a_file_instead_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"a": make_tensor("a", (2, 2))}, "F32")
    with pytest.raises(ModelError, match=r"config\.json"):
        convert(tmp_path / "model.safetensors", tmp_path / "out.gguf", Quant.F16)


def test_a_target_that_cannot_be_written_is_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent: cannot be written: No such file"):
        convert(checkpoint, tmp_path / "absent" / "out.gguf", Quant.F16)
    with pytest.raises(UsageError, match="tiny is a folder"):
        convert(checkpoint, checkpoint, Quant.F16)


def test_an_interrupt_leaves_nothing_behind(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        assert (tmp_path / "out.gguf.partial").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "quantize_rows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(checkpoint, tmp_path / "out.gguf", Quant.F16)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"blk.0.attn_q.weight": 64, "blk.1.ffn_down.weight": 97},
            r"blk.1.ffn_down.weight has 97 values, .* 96 columns",
        ),
        ({"blk.7.attn_q.weight": 64}, "none of its 1 entries is of this model"),
    ],
)
def test_an_importance_matrix_of_another_model_is_refused(
    checkpoint: Path, tmp_path: Path, columns: dict[str, int], said: str
) -> None:
    sums = {name: ColumnSums(np.ones(count, np.float32), 512) for name, count in columns.items()}
    write_imatrix(tmp_path / "i.gguf", sums, ["x"], 1, 512)
    with pytest.raises(ModelError, match=rf"i\.gguf: {said}") as caught:
        convert(checkpoint, tmp_path / "out.gguf", Quant.Q4_0, imatrix=tmp_path / "i.gguf")
    assert "this" in caught.value.hint
    assert not (tmp_path / "out.gguf").exists()


def test_of_the_token_table_alone_a_wrong_length_is_passed_over_as_llama_quantize_does(
    checkpoint: Path, tmp_path: Path
) -> None:
    sums = {"token_embd.weight": 65, "blk.0.attn_q.weight": 64}
    write_imatrix(
        tmp_path / "i.gguf", {name: ColumnSums(np.ones(n, np.float32), 1) for name, n in sums.items()}, ["x"], 1, 512
    )
    assert convert(checkpoint, tmp_path / "out.gguf", Quant.Q4_0, imatrix=tmp_path / "i.gguf").size_bytes


@pytest.mark.parametrize("threads", [1, 3])
def test_the_bytes_do_not_depend_on_the_threads(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    expected = convert(checkpoint, tmp_path / "a.gguf", Quant.Q4_K_M, measured=True)
    monkeypatch.setattr(pipeline, "BLOCK_VALUES", 64 * 17)
    found = convert(checkpoint, tmp_path / "b.gguf", Quant.Q4_K_M, threads=threads)
    assert found.data_sha256 == expected.data_sha256
    assert found.errors is None
