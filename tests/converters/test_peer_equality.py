"""Whole files equal to llama.cpp's own: convert_hf_to_gguf.py, then its quantizer. Skipped where the peer is missing.

All kinds of file; with importance matrices and at full size, benchmarks/equal_bytes.py makes the same comparison.

To run it, unpack the sdist of the llama-cpp-python in use and point COALM_LLAMA_CPP at its vendor/llama.cpp, and
COALM_PEER_PYTHON at a Python with what llama.cpp's requirements/requirements-convert_hf_to_gguf.txt names.
COALM_PEER_CHECKPOINTS may list further checkpoint folders, separated as in PATH. The converter's question which
pre-tokenizer an unknown tokenizer has is answered with `llama-bpe`; nothing else of it is changed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.writing.quants import RECIPES
from tests.converters.llama_quantize import quantize
from tests.converters.tiny_checkpoint import SPECIALS, Recipe, added_token, tokenizer_json, write_checkpoint

LLAMA_CPP, PEER = os.environ.get("COALM_LLAMA_CPP", ""), os.environ.get("COALM_PEER_PYTHON", "")
NANO = Path(__file__).parents[2] / "nano" / "checkpoint"
OTHERS = [Path(name) for name in os.environ.get("COALM_PEER_CHECKPOINTS", "").split(os.pathsep) if name]
pytestmark = pytest.mark.skipif(not (LLAMA_CPP and PEER), reason="COALM_LLAMA_CPP and COALM_PEER_PYTHON name no peer")

DRIVER = """
import json, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/gguf-py"]
import conversion.base, convert_hf_to_gguf
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "llama-bpe"
for folder, kind, target in json.loads(sys.argv[2]):
    sys.argv = ["convert", folder, "--outtype", kind, "--outfile", target]
    convert_hf_to_gguf.main()
"""
CARD = """---
license: cc-by-nc-4.0
tags: [agents, function-calling]
language: en
base_model: meta-llama/Llama-3.1-8B-Instruct
datasets: [uiuc-convai/CoALM-IT]
---
A card.
"""


def change(name: str, **values: object) -> Callable[[Path], None]:
    """Sets keys of a JSON file; None removes one."""

    def apply(folder: Path) -> None:
        data = json.loads((folder / name).read_text(encoding="utf-8")) | values
        kept = {key: value for key, value in data.items() if value is not None}
        (folder / name).write_text(json.dumps(kept), encoding="utf-8")

    return apply


def add_card(folder: Path) -> None:
    (folder / "README.md").write_text(CARD, encoding="utf-8")


def move_template(folder: Path) -> None:
    change("tokenizer_config.json", chat_template=None)(folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}\n", encoding="utf-8")


def user_defined() -> dict[str, Any]:
    tokenizer = tokenizer_json()
    first = len(tokenizer["model"]["vocab"]) + len(SPECIALS)
    plain = [added_token(first, "[TOOL]", special=False), added_token(first + 1, "<|odd|>", special=False)]
    return tokenizer | {"added_tokens": tokenizer["added_tokens"] + plain}


def with_eos() -> dict[str, Any]:
    """A template that ends with another token than tokenizer_config.json's eos, and no ByteLevel step."""
    tokenizer = tokenizer_json()
    template = tokenizer["post_processor"]["processors"][1]
    last = {"SpecialToken": {"id": SPECIALS[1], "type_id": 0}}
    token_id = len(tokenizer["model"]["vocab"]) + 1
    specials = template["special_tokens"] | {
        SPECIALS[1]: {"id": SPECIALS[1], "ids": [token_id], "tokens": [SPECIALS[1]]}
    }
    return tokenizer | {
        "post_processor": template | {"single": [*template["single"], last], "special_tokens": specials}
    }


def nothing(_: Path) -> None:
    """Leaves the checkpoint as it is."""


BOS_OBJECT = {"__type": "AddedToken", "content": "<|begin_of_text|>", "special": True}
LINEAR = {"rope_type": "linear", "factor": 2.0}
MODERN = {"rope_parameters": {"rope_type": "default", "rope_theta": 20_000.0}, "rope_scaling": None, "rope_theta": None}
CASES: dict[str, tuple[Recipe, Callable[[Path], None]]] = {
    "bf16": (Recipe(), nothing),
    "f16-tied": (Recipe(dtype="F16", tied=True), nothing),
    "f32-in-3-shards": (Recipe(dtype="F32", shards=3), nothing),
    "odd-rows": (Recipe(ffn=80), nothing),
    "MyModel-0.1B-Instruct-v1.2": (Recipe(), add_card),
    "linear-rope": (Recipe(config={"rope_scaling": LINEAR}), nothing),
    "plain-rope": (Recipe(), change("config.json", **MODERN)),
    "few-keys": (Recipe(), change("config.json", head_dim=None, rope_theta=None, torch_dtype=None)),
    "template-file": (Recipe(), move_template),
    "user-defined": (Recipe(tokenizer=user_defined()), nothing),
    "eos-added": (Recipe(tokenizer=with_eos()), nothing),
    "bos-object": (Recipe(), change("tokenizer_config.json", bos_token=BOS_OBJECT, eos_token=None)),
    "config-ids": (Recipe(config={"eos_token_id": [294, 298], "pad_token_id": 295, "bos_token_id": 293}), nothing),
}


def run_peer(jobs: list[tuple[str, str, str]]) -> None:
    command = [PEER, "-c", DRIVER, LLAMA_CPP, json.dumps(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def compare(folder: Path, out: Path) -> None:
    kinds = ("f32", "f16", "bf16", "auto")
    run_peer([(str(folder), kind, str(out / f"peer.{kind}")) for kind in kinds])
    for quant in Quant:
        convert(folder, out / "ours", quant)
        peer = out / f"peer.{quant}"
        if RECIPES[quant].quantized:
            quantize(out / "peer.auto", peer, quant)
        assert same_bytes(out / "ours", peer), f"{quant} differs from {peer.name}"
        peer.unlink()
    (out / "ours").unlink()


def same_bytes(left: Path, right: Path, step: int = 1 << 24) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb") as one, right.open("rb") as two:
        return all(one.read(step) == two.read(step) for _ in range(0, left.stat().st_size, step))


@pytest.mark.parametrize("name", CASES)
def test_a_made_checkpoint_gives_llama_cpps_files(tmp_path: Path, name: str) -> None:
    recipe, alter = CASES[name]
    folder = write_checkpoint(tmp_path / name, recipe)
    alter(folder)
    compare(folder, tmp_path)


@pytest.mark.parametrize("folder", [NANO, *OTHERS], ids=str)
def test_a_real_checkpoint_gives_llama_cpps_files(tmp_path: Path, folder: Path) -> None:
    if not (folder / "config.json").is_file():
        pytest.skip(f"{folder} is not there")
    compare(folder, tmp_path)
