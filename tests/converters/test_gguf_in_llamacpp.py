"""llama.cpp itself on the converted file: it loads, computes what the checkpoint computes, and quantizes alike.

llama-quantize is a command line for `llama_model_quantize`, which llama-cpp-python's library has: so its half of the
two steps is run here, and whole files are compared, with nothing pinned to a machine.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from numpy.typing import NDArray

from coalm_lite.converters.calibration.imatrix_file import ColumnSums, write_imatrix
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.sources.checkpoint import checkpoint_source
from coalm_lite.converters.writing.quants import RECIPES
from tests.converters.llama_quantize import quantize
from tests.converters.tiny_checkpoint import Recipe, make_tensor, tensor_shapes, write_checkpoint

llama_cpp = pytest.importorskip("llama_cpp")
F32 = 0  # enum ggml_type, for the KV cache
# grouped queries 4:1, rows of whole blocks of 256, and as many layers as the rules for first and last ones need
WIDE_SIZES = {
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
}
QUANTIZED = [quant for quant in Quant if RECIPES[quant].quantized]
# The hash of the tensors of each file of `wide`, on x86-64 Linux. ggml's quantizers are plain C in single precision: a
# build with fused multiply-adds (arm64 has them by default, x86-64 with -march=native) rounds otherwise.
PINNED = {
    Quant.Q8_0: "680a640c25b9cd099519c5751f36f4d2549b1d7d187b4dbc55d7034bae702e6f",
    Quant.Q6_K: "1dd1a57b363378e4a20563311d5ebf0b9244eabc42cee1de374f28e2c774b7d3",
    Quant.Q5_K_M: "e31c7436e1dab5474f2f78e2070495922e465ce3f63608ed6e73cd2223e9bc02",
    Quant.Q5_K_S: "afea6df37806fbf034abd2098597dbc56a7f60b0218be6dd052540d4de3e7cc2",
    Quant.Q4_K_M: "6144d7b278723a9be23192550c1e19d6e8dc7242849feb7eb1073255841431c2",
    Quant.Q4_K_S: "0fbaa35ec298a0971c4ae2509863c0312e0ae186cf3e2b2ccabfed2a7652bce5",
    Quant.Q4_0: "92503c383b0197c6716cbc0f78787b83fb073c15c4b99c71d99c73b5ae4ea29b",
    Quant.Q3_K_L: "049cd9ef7b23d8958bc3801d9cd3d258bf67125040e3872d3639ba6a5f92fa91",
    Quant.Q3_K_M: "46c107266821715016b92abeb09f0272d74c6b6932cd1089398a56b12dd68fb8",
    Quant.Q3_K_S: "ceddcd2ad20982801bb0621abe3c8e8c3bba8d8f0f679c8c28d83956e4f12d0d",
    Quant.Q2_K: "c5d1dc93dcba83a2eac0bb9366428e32ed667f4a344d2a2d101193731fd9006f",
    Quant.IQ4_XS: "f46fac575b3f198e1117b3d77dec6b35d22ef17f4430d9a0d7d7a429325a2f1f",
    Quant.IQ4_NL: "35e6369dbe247acf7e79afbb918f3eb663b39683ab2fd9edc4fe1d41c0bb4632",
    Quant.IQ3_M: "a22d81b2766a9b6deaa01e79e698ef63f9ec784671cb24a77fcdf839fee71858",
}
# those whose choice of types, or whose way to quantize, an importance matrix changes most
WITH_IMATRIX = [Quant.Q2_K, Quant.Q3_K_S, Quant.Q4_0, Quant.Q4_K_M, Quant.Q6_K, Quant.Q8_0, Quant.IQ4_XS]
TOKENS = [293, *(7 * step % 290 for step in range(47))]


@pytest.mark.parametrize("recipe", [Recipe(dtype="F32"), Recipe(dtype="F32", tied=True)], ids=["untied", "tied"])
def test_logits_are_those_of_the_checkpoint(tmp_path: Path, recipe: Recipe) -> None:
    source = write_checkpoint(tmp_path / "tiny", recipe)
    convert(source, tmp_path / "out.gguf", Quant.F32)
    expected = reference_logits(source, TOKENS)
    found = llama_logits(tmp_path / "out.gguf", TOKENS)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=2e-4 * float(np.abs(expected).max()))


@pytest.mark.parametrize("quant", [Quant.F16, Quant.BF16, Quant.Q8_0])
def test_a_smaller_type_stays_near_the_checkpoint(tmp_path: Path, quant: Quant) -> None:
    source = write_checkpoint(tmp_path / "tiny", Recipe(dtype="F32"))
    convert(source, tmp_path / "out.gguf", quant)
    expected = reference_logits(source, TOKENS)
    error = llama_logits(tmp_path / "out.gguf", TOKENS) - expected
    assert 0 < np.sqrt((error**2).mean()) < 0.02 * expected.std()


@pytest.mark.parametrize(
    ("recipe", "sixteen_bit"),
    [
        (Recipe(dtype="BF16"), Quant.BF16),
        (Recipe(dtype="F16", tied=True), Quant.F16),
        (Recipe(dtype="F32", shards=2), Quant.F16),
        (Recipe(dtype="BF16", ffn=80), Quant.BF16),
    ],
    ids=["bf16", "f16 tied", "f32 in shards", "odd rows"],
)
@pytest.mark.parametrize("quant", [Quant.Q8_0, Quant.Q4_K_M])
def test_one_pass_equals_llama_cpps_two_steps(tmp_path: Path, recipe: Recipe, sixteen_bit: Quant, quant: Quant) -> None:
    source = write_checkpoint(tmp_path / "tiny", recipe)
    metadata = {"coalm.source": "made in a test", "general.license": "apache-2.0"}
    convert(source, tmp_path / "one.gguf", quant, metadata=metadata)
    convert(source, tmp_path / "sixteen.gguf", sixteen_bit, metadata=metadata)
    quantize(tmp_path / "sixteen.gguf", tmp_path / "two.gguf", quant)
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of WIDE_SIZES; beside it its 16-bit file and an importance matrix with made-up numbers."""
    folder = write_checkpoint(tmp_path_factory.mktemp("wide") / "wide", Recipe(config=WIDE_SIZES))
    convert(folder, folder.parent / "sixteen.gguf", Quant.BF16)
    shapes = {tensor.name: tensor.shape for tensor in checkpoint_source(folder).tensors if len(tensor.shape) > 1}
    random = np.random.default_rng(1)
    sums = {
        name: ColumnSums(random.gamma(0.5, 100, shape[1]).astype(np.float32), 512)
        for name, shape in shapes.items()
        if name.startswith("blk.")
    }
    write_imatrix(folder.parent / "imatrix.gguf", sums, ["made up"], 3, 512)
    return folder


@pytest.mark.parametrize("quant", QUANTIZED)
def test_every_kind_equals_what_llama_cpp_makes_of_the_16_bit_file(tmp_path: Path, wide: Path, quant: Quant) -> None:
    report = convert(wide, tmp_path / "one.gguf", quant)
    quantize(wide.parent / "sixteen.gguf", tmp_path / "two.gguf", quant)
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):
        assert report.data_sha256 == PINNED[quant]


@pytest.mark.parametrize("quant", WITH_IMATRIX)
def test_an_importance_matrix_is_used_as_llama_cpp_uses_it(tmp_path: Path, wide: Path, quant: Quant) -> None:
    imatrix = wide.parent / "imatrix.gguf"
    convert(wide, tmp_path / "one.gguf", quant, imatrix=imatrix)
    quantize(wide.parent / "sixteen.gguf", tmp_path / "two.gguf", quant, imatrix)
    one, two = (GGUFReader(tmp_path / name) for name in ("one.gguf", "two.gguf"))
    said = {key: field.contents() for key, field in one.fields.items() if key.startswith("quantize.imatrix")}
    assert said == {
        "quantize.imatrix.file": "imatrix.gguf",
        "quantize.imatrix.dataset": "made up",
        "quantize.imatrix.entries_count": 56,
        "quantize.imatrix.chunks_count": 3,
    }
    # these keys are llama-quantize's, and no part of the function that it calls
    assert [key for key in one.fields if key not in said] == list(two.fields)
    for ours, theirs in zip(one.tensors, two.tensors, strict=True):
        assert (ours.name, ours.tensor_type) == (theirs.name, theirs.tensor_type)
        assert ours.data.tobytes() == theirs.data.tobytes(), ours.name


def test_without_it_the_bytes_are_others(tmp_path: Path, wide: Path) -> None:
    with_it = convert(wide, tmp_path / "a.gguf", Quant.Q4_0, imatrix=wide.parent / "imatrix.gguf")
    without = convert(wide, tmp_path / "b.gguf", Quant.Q4_0)
    assert with_it.data_sha256 != without.data_sha256
    assert with_it.tensor_types["blk.0.ffn_down.weight"] == "Q4_1"


def llama_logits(path: Path, tokens: list[int]) -> NDArray[np.float32]:
    """llama.cpp's logits (position, token), computed and kept in single precision."""
    model = llama_cpp.Llama(
        str(path), n_ctx=64, n_batch=64, n_threads=1, logits_all=True, type_k=F32, type_v=F32, verbose=False
    )
    try:
        model.eval(tokens)
        return np.array(model.scores[: len(tokens)], dtype=np.float32)
    finally:
        model.close()


def reference_logits(source: Path, tokens: list[int]) -> NDArray[np.float32]:
    """The checkpoint's logits by the formulas of transformers' Llama, in double precision."""
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    weights = {name: make_tensor(name, shape).astype(np.float64) for name, shape in tensor_shapes(config).items()}
    hidden = weights["model.embed_tokens.weight"][tokens]
    turns = rotations(len(tokens), config["head_dim"], config["rope_theta"], config["rope_scaling"])
    for layer in range(config["num_hidden_layers"]):
        part = {
            name.removeprefix(f"model.layers.{layer}.").removesuffix(".weight"): value
            for name, value in weights.items()
        }
        hidden = hidden + attention(normed(hidden, part["input_layernorm"]), part, turns)
        inner = normed(hidden, part["post_attention_layernorm"])
        gate = inner @ part["mlp.gate_proj"].T
        hidden = hidden + (gate / (1 + np.exp(-gate)) * (inner @ part["mlp.up_proj"].T)) @ part["mlp.down_proj"].T
    output = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return (normed(hidden, weights["model.norm.weight"]) @ output.T).astype(np.float32)


def normed(hidden: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    return hidden / np.sqrt((hidden**2).mean(axis=-1, keepdims=True) + 1e-5) * weight


def attention(
    hidden: NDArray[np.float64], part: dict[str, NDArray[np.float64]], turns: NDArray[np.complex128]
) -> NDArray[np.float64]:
    """Grouped causal attention of 4 query heads on 2 key heads of 16 values."""
    length = len(hidden)
    queries = rotated((hidden @ part["self_attn.q_proj"].T).reshape(length, 4, 16), turns)
    keys = rotated((hidden @ part["self_attn.k_proj"].T).reshape(length, 2, 16), turns).repeat(2, axis=1)
    values = (hidden @ part["self_attn.v_proj"].T).reshape(length, 2, 16).repeat(2, axis=1)
    scores = np.einsum("qhd,khd->hqk", queries, keys) / 4
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = np.einsum("hqk,khd->qhd", shares / shares.sum(axis=-1, keepdims=True), values)
    return mixed.reshape(length, 64) @ part["self_attn.o_proj"].T


def rotations(length: int, head_dim: int, theta: float, scaling: dict[str, float]) -> NDArray[np.complex128]:
    """The turn of each position (row) and frequency (column) under Llama 3.1's scaling."""
    frequencies = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    share = scaling["original_max_position_embeddings"] * frequencies / (2 * np.pi)
    smooth = np.clip((share - scaling["low_freq_factor"]) / (scaling["high_freq_factor"] - 1), 0, 1)
    scaled = frequencies * ((1 - smooth) / scaling["factor"] + smooth)
    return np.exp(1j * np.outer(np.arange(length), scaled))


def rotated(heads: NDArray[np.float64], turns: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Each head's two halves are the real and imaginary parts that turn together."""
    half = heads.shape[-1] // 2
    turned = (heads[..., :half] + 1j * heads[..., half:]) * turns[:, np.newaxis]
    return np.concatenate([turned.real, turned.imag], axis=-1)
