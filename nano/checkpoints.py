"""Reads and writes the exported checkpoint: Hugging Face layout, weights in bf16."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nano.model import ModelConfig

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def write_checkpoint(work: Path, folder: Path) -> None:
    """Writes `work/last.pt` and its tokenizer as a Hugging Face folder."""
    state = torch.load(work / "last.pt", map_location="cpu")
    config = ModelConfig(**state["config"])
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {_published_name(name): _as_bf16(tensor) for name, tensor in state["model"].items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name in TOKENIZER_FILES:
        shutil.copyfile(work / name, folder / name)
    tokens = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    ids = {token["content"]: token["id"] for token in tokens}
    _write_json(folder / "config.json", _config(config, ids))
    generation = {"bos_token_id": ids["<|begin_of_text|>"], "eos_token_id": _ends(ids), "do_sample": False}
    _write_json(folder / "generation_config.json", generation)
    named = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    _write_json(folder / "tokenizer_config.json", named | {"chat_template": _CHAT_TEMPLATE})


def _published_name(name: str) -> str:
    return name if name.startswith("lm_head") else f"model.{name}"


def _as_bf16(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.bfloat16).contiguous()


def _ends(ids: dict[str, int]) -> list[int]:
    return [ids["<|end_of_text|>"], ids["<|eom_id|>"], ids["<|eot_id|>"]]


def _config(config: ModelConfig, ids: dict[str, int]) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
        "vocab_size": config.vocabulary, "hidden_size": config.hidden, "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers, "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads, "head_dim": config.head_dim,
        "max_position_embeddings": config.context_tokens, "rope_theta": config.rope_theta,
        "rms_norm_eps": config.rms_epsilon, "hidden_act": "silu", "tie_word_embeddings": False,
        "attention_bias": False, "mlp_bias": False,
        "bos_token_id": ids["<|begin_of_text|>"], "eos_token_id": _ends(ids),
        "pad_token_id": ids["<|finetune_right_pad_id|>"],
    }  # fmt: skip


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_checkpoint(folder: Path) -> dict[str, Tensor]:
    """The weights of an exported checkpoint in float32, under the names of `nano.model.Llama`."""
    tensors = load_file(folder / "model.safetensors")
    return {name.removeprefix("model."): tensor.float() for name, tensor in tensors.items()}
