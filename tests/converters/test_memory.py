"""What a conversion takes of memory: measured in a process of its own, on checkpoints of holes with a real vocabulary.

The peaks are the tokenizer's and some blocks of rows; neither depends on how large the model is. So a small number of
large matrices stands for many: the bounds for a 1B and an 8B model follow from the plan's formula, which holds here.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import Any

import pytest

from coalm_lite.converters.plan import memory_bytes, plan_conversion
from coalm_lite.converters.sources.opening import local_source
from coalm_lite.converters.writing.quants import Quant
from tests.converters.tiny_checkpoint import (
    Recipe,
    added_token,
    config_json,
    tensor_shapes,
    tokenizer_json,
    tokenizer_settings,
    write_json,
)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from Linux's /proc")
ROOT = Path(__file__).parents[2]
MB = 1_000_000
TOKENS, MERGES = 128_000, 280_147  # Llama 3's, without its special tokens
THREADS = 2
# what the process has at its peak, in kB; ru_maxrss would count the parent's pages too
CHILD = """
import sys
from pathlib import Path
from coalm_lite.converters.gguf import Quant, convert
convert(Path(sys.argv[1]), Path(sys.argv[2]), Quant.Q8_0, threads=int(sys.argv[3]))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def large_tokenizer() -> dict[str, Any]:
    """As many tokens and merges as Llama 3 has, of about their length."""
    tokenizer = tokenizer_json()
    vocab: dict[str, int] = tokenizer["model"]["vocab"]
    for number in range(len(vocab), TOKENS):
        vocab[f"Ġtok{number}"] = number
    texts = list(vocab)
    tokenizer["model"]["merges"] = [[texts[at % TOKENS], texts[at * 7 % TOKENS]] for at in range(MERGES)]
    tokenizer["added_tokens"] = [
        added_token(TOKENS + at, entry["content"]) for at, entry in enumerate(tokenizer["added_tokens"])
    ]
    first = tokenizer["added_tokens"][0]
    tokenizer["post_processor"]["processors"][1]["special_tokens"][first["content"]]["ids"] = [first["id"]]
    return tokenizer


def write_holes(folder: Path, **sizes: int) -> Path:
    """A checkpoint with the sizes, whose weights are holes in the file: all zero, and nothing on the disk."""
    folder.mkdir()
    config = config_json(Recipe(config=sizes, tied=True), TOKENS + 256)
    write_json(folder / "config.json", config)
    write_json(folder / "tokenizer.json", large_tokenizer())
    write_json(folder / "tokenizer_config.json", tokenizer_settings())
    header: dict[str, object] = {}
    at = 0
    for name, shape in tensor_shapes(config).items():
        size = 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + at)
    return folder


def peak_bytes(source: Path, target: Path) -> int:
    """The most memory that a process had which did nothing but convert."""
    command = [sys.executable, "-c", CHILD, str(source), str(target), str(THREADS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


@pytest.fixture(scope="module")
def holes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_holes(
        tmp_path_factory.mktemp("holes") / "model",
        hidden_size=512,
        intermediate_size=8192,
        num_hidden_layers=1,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=64,
    )


@pytest.fixture(scope="module")
def peak(holes: Path) -> int:
    return peak_bytes(holes, holes.parent / "out.gguf")


def test_the_peak_is_below_the_bound_and_what_the_plan_says(holes: Path, peak: int) -> None:
    planned = memory_bytes(local_source(str(holes)), THREADS)
    assert 100 * MB < peak < planned < 700 * MB
    # the table alone would be three times as much in single precision, were it held whole
    assert (TOKENS + 256) * 512 * 4 > 250 * MB


def test_twice_the_weights_take_no_more(tmp_path: Path, holes: Path, peak: int) -> None:
    larger = write_holes(
        tmp_path / "model",
        hidden_size=1024,
        intermediate_size=8192,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=128,
    )
    assert (larger / "model.safetensors").stat().st_size > 2 * (holes / "model.safetensors").stat().st_size
    assert peak_bytes(larger, tmp_path / "large.gguf") - peak < 30 * MB


@pytest.mark.parametrize(
    ("sizes", "bound"),
    [
        ({"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}, 700 * MB),
        ({"hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32}, 1500 * MB),
        ({"hidden_size": 16_384, "intermediate_size": 53_248, "num_hidden_layers": 126}, 1500 * MB),
    ],
    ids=["1B", "8B", "405B"],
)
def test_the_plan_of_a_large_model_keeps_the_bounds(tmp_path: Path, sizes: dict[str, int], bound: int) -> None:
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": TOKENS + 256}
    config = config_json(Recipe(config={**sizes, **heads}), TOKENS + 256)
    (tmp_path / "model").mkdir()
    write_json(tmp_path / "model" / "config.json", config)
    weight_map = dict.fromkeys(tensor_shapes(config), "model-00001-of-00002.safetensors")
    write_json(tmp_path / "model" / "model.safetensors.index.json", {"weight_map": weight_map})
    plan = plan_conversion(str(tmp_path / "model"), Quant.Q4_K_M, threads=THREADS, measured=False)
    assert plan.memory_bytes < bound
