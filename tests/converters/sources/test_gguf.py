"""A GGUF as a source gives what llama-quantize makes of it, byte for byte, and only a 16- or 32-bit Llama is one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.sources.gguf import gguf_source
from coalm_lite.converters.sources.gguf_keys import read_keys
from coalm_lite.converters.sources.opening import open_source
from coalm_lite.errors import CoalmError, ModelError
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint
from tests.gguf_models import write_tiny_model

FILE_TYPES = {
    Quant.F32: LlamaFileType.ALL_F32,
    Quant.F16: LlamaFileType.MOSTLY_F16,
    Quant.BF16: LlamaFileType.MOSTLY_BF16,
    Quant.Q8_0: LlamaFileType.MOSTLY_Q8_0,
    Quant.Q6_K: LlamaFileType.MOSTLY_Q6_K,
    Quant.Q4_K_M: LlamaFileType.MOSTLY_Q4_K_M,
    Quant.Q4_0: LlamaFileType.MOSTLY_Q4_0,
    Quant.Q3_K_L: LlamaFileType.MOSTLY_Q3_K_L,
    Quant.Q2_K: LlamaFileType.MOSTLY_Q2_K,
    Quant.IQ4_XS: LlamaFileType.MOSTLY_IQ4_XS,
    Quant.IQ3_M: LlamaFileType.MOSTLY_IQ3_M,
}
# llama-quantize is a command line for this call; in a process of its own, since it may end the process
QUANTIZE = """
import json, sys
import llama_cpp
for source, target, file_type in json.loads(sys.argv[1]):
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = file_type, 2
    assert llama_cpp.llama_model_quantize(source.encode(), target.encode(), parameters) == 0
"""
EditKeys = Callable[[GGUFWriter], None]


def quantize(jobs: list[tuple[str, str, int]]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUANTIZE, json.dumps(jobs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(("stored", "tied"), [(Quant.F16, False), (Quant.BF16, True), (Quant.F32, False)])
def test_each_kind_equals_llama_quantizes(tmp_path: Path, stored: Quant, tied: bool) -> None:
    # 256 columns, so that each type is one of its own kind
    wide = {"hidden_size": 256, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32}
    folder = write_checkpoint(tmp_path / "CoALM-0B", Recipe(ffn=256, tied=tied, config=wide))
    source = tmp_path / "source.gguf"
    convert(folder, source, stored)
    targets = {quant: tmp_path / f"peer.{quant}" for quant in FILE_TYPES}
    quantize([(str(source), str(target), int(FILE_TYPES[quant])) for quant, target in targets.items()])
    for quant, target in targets.items():
        with open_source(str(source)) as opened:
            convert(opened, tmp_path / "ours", quant)
        assert (tmp_path / "ours").read_bytes() == target.read_bytes(), f"{quant} of {stored}"


def test_keys_of_any_kind_stay_as_they_are_and_in_their_place(tmp_path: Path) -> None:
    source = altered(tmp_path, add_odd_keys)
    quantize([(str(source), str(tmp_path / "peer"), int(LlamaFileType.MOSTLY_Q8_0))])
    convert(gguf_source(source), tmp_path / "ours", Quant.Q8_0)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "peer").read_bytes()


def add_odd_keys(writer: GGUFWriter) -> None:
    for kind, value in (
        (GGUFValueType.UINT8, 255),
        (GGUFValueType.INT8, -1),
        (GGUFValueType.UINT16, 65535),
        (GGUFValueType.INT16, -2),
        (GGUFValueType.INT32, -3),
        (GGUFValueType.FLOAT32, 0.1),
        (GGUFValueType.UINT64, 2**63),
        (GGUFValueType.INT64, -(2**62)),
        (GGUFValueType.FLOAT64, 0.1),
        (GGUFValueType.BOOL, True),
        (GGUFValueType.STRING, ""),
    ):
        writer.add_key_value(f"odd.{kind.name}", value, kind)
        writer.add_key_value(f"odd.list.{kind.name}", [value, value], GGUFValueType.ARRAY, sub_type=kind)
    writer.add_key_value("general.file_type", 1, GGUFValueType.UINT32)
    writer.add_key_value("odd.nul", "before\0after", GGUFValueType.STRING)
    writer.add_key_value("odd.text", "Grüße \N{GRINNING FACE}", GGUFValueType.STRING)
    writer.add_key_value("odd.bytes", b"\xff\xfe", GGUFValueType.STRING)  # no UTF-8


def altered(folder: Path, edit: EditKeys, change: Callable[[str, np.ndarray], np.ndarray | None] | None = None) -> Path:
    """The tiny model with other keys, and tensors as `change` gives them; None leaves one out."""
    made = GGUFReader(write_tiny_model(folder / "made.gguf"))
    path = folder / "altered.gguf"
    writer = GGUFWriter(path, "llama")
    for key, value in read_keys(folder / "made.gguf").items():
        if key != "general.architecture":
            writer.add_key_value(key, value.value, value.type, sub_type=value.sub_type)
    edit(writer)
    for tensor in made.tensors:
        values = change(tensor.name, tensor.data) if change else tensor.data
        if values is not None:
            writer.add_tensor(tensor.name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def nothing(_: object) -> None:
    """Leaves the keys as they are."""


def test_the_source_is_the_file(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf")
    facts = gguf_source(path).facts
    assert (facts.id, facts.revision, [file.size_bytes for file in facts.files]) == (
        "tiny.gguf",
        "",
        [path.stat().st_size],
    )
    identity = facts.identity
    write_tiny_model(path, seed=1)
    assert gguf_source(path).facts.identity != identity


def refusal(path: Path, target: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        convert(gguf_source(path), target, Quant.Q8_0)
    assert list(target.parent.glob(f"{target.name}*")) == []
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    convert(gguf_source(write_tiny_model(tmp_path / "tiny.gguf")), tmp_path / "q8.gguf", Quant.Q8_0)
    error = refusal(tmp_path / "q8.gguf", tmp_path / "out")
    assert "output.weight: Q8_0 is quantized already" in error.message
    assert "F16, BF16 or F32 file that it was made from" in error.hint


def test_a_split_model_is_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        made = altered(tmp_path / str(number), split_keys(number - 1))
        made.rename(tmp_path / f"altered-0000{number}-of-00002.gguf")
    error = refusal(tmp_path / "altered-00001-of-00002.gguf", tmp_path / "out")
    assert "is the first of 2 files, and one is needed" in error.message


def split_keys(number: int) -> EditKeys:
    def edit(writer: GGUFWriter) -> None:
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 2)

    return edit


NORM, DOWN = "blk.1.ffn_norm.weight", "blk.0.ffn_down.weight"


def with_value(name: str, value: float) -> Callable[[str, np.ndarray], np.ndarray]:
    def change(found: str, values: np.ndarray) -> np.ndarray:
        changed = values.copy()
        if found == name:
            changed.flat[1] = value
        return changed

    return change


@pytest.mark.parametrize(
    ("edit", "change", "said"),
    [
        (nothing, lambda name, values: None if name == NORM else values, f"{NORM} is not in the file"),
        (nothing, lambda name, values: values[:-1] if name == DOWN else values, f"{DOWN}: has shape"),
        (nothing, with_value(DOWN, np.nan), f"{DOWN}: row 0, column 1 is nan, not a finite number"),
        (nothing, with_value(NORM, np.inf), f"{NORM}: row 0, column 1 is inf, not a finite number"),
        (lambda w: w.add_uint32("llama.block_count", 1), None, "blk.1.attn_norm.weight: not a tensor of a Llama"),
        (lambda w: w.add_uint16("split.count", 3), None, "is one of 3 parts of a model"),
        (lambda w: w.add_custom_alignment(64), None, "general.alignment is 64, and only 32"),
        (lambda w: w.add_string("tokenizer.ggml.pre", "qwen2"), None, "splits text into words in the way 'qwen2'"),
    ],
    ids=["missing", "shape", "nan", "inf", "too many layers", "split", "alignment", "tokenizer"],
)
def test_what_is_no_whole_llama_is_refused(
    tmp_path: Path,
    edit: EditKeys,
    change: Callable[[str, np.ndarray], np.ndarray | None] | None,
    said: str,
) -> None:
    assert said in refusal(altered(tmp_path, edit, change), tmp_path / "out").message


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:-100])
    assert "is cut short" in refusal(path, tmp_path / "out").message


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"no model at all")
    (tmp_path / "notes.txt").write_bytes(b"no model at all")
    for name, said in (
        ("x.gguf", "does not begin with the letters GGUF"),
        ("notes.txt", "neither a folder nor a GGUF"),
    ):
        with pytest.raises(CoalmError, match=said), open_source(str(tmp_path / name)):
            pass
