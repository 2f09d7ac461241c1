"""Whether a model file may be given to llama.cpp, which ends the process over some of the files that it dislikes.

`check_model_file` looks at the path, the header and its meaning, and at a split model's other parts. What llama.cpp
refuses politely (a missing tensor, an unknown architecture) is left to it; here stands what it asserts, and what is no
generative model. The assertions are those of src/llama-model.cpp (load_hparams) and src/llama-vocab.cpp (load).
"""

from __future__ import annotations

import re
from pathlib import Path

from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_header import DAMAGED_HINT, VOCABULARY_KEY, GgufHeader, Value, read_header

_MAX_LAYERS = 512
_MAX_EXPERTS = 1024
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
_TOKENIZERS_WITH_MARKERS = ("gpt2", "llama")
_SPLIT_NAME = re.compile(r"(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_CHAT_HINT = "Choose a model that writes text, such as CoALM-8B in GGUF form."


def check_model_file(path: Path) -> GgufHeader:
    """The header of the model at `path`; ModelError, with the way out, for a file that must not be loaded."""
    header = _checked_header(path)
    _check_generative(path, header)
    _check_vocabulary(path, header)
    _check_shape(path, header)
    for part in _other_parts(path, header):
        _checked_header(part)
    return header


def trained_context_tokens(header: GgufHeader) -> int:
    """The longest context that the model was made for; `check_model_file` has seen that it is there."""
    value = header.values.get(f"{header.texts['general.architecture']}.context_length")
    return value if isinstance(value, int) else 0


def _checked_header(path: Path) -> GgufHeader:
    """The header of a file that is there and as long as its header says."""
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder, and a model is one GGUF file", "Give the path of the .gguf file.")
        if not path.is_file():
            raise ModelError(f"there is no model file {path}", "Check the path and its spelling.")
        size_bytes = path.stat().st_size
        if size_bytes == 0:
            raise ModelError(f"{path} is empty", DAMAGED_HINT)
        header = read_header(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", "Check the path and its permissions.") from error
    except ValueError as error:  # a NUL in the path
        raise ModelError(f"{str(path)!r} is no file name: {error}", "Check the path and its spelling.") from error
    if header.needed_bytes > size_bytes:
        raise ModelError(
            f"{path} is cut short: its header tells of {header.needed_bytes} bytes, the file has {size_bytes}",
            DAMAGED_HINT,
        )
    return header


def _check_generative(path: Path, header: GgufHeader) -> None:
    architecture = header.values.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise ModelError(f"{path} names no architecture (general.architecture)", DAMAGED_HINT)
    if not header.tensors and _number(header, "split.count") < 2:
        raise ModelError(f"{path} holds a vocabulary and no weights", _CHAT_HINT)
    causal = header.values.get(f"{architecture}.attention.causal", True)
    if architecture == "clip" or not causal or _number(header, f"{architecture}.pooling_type"):
        raise ModelError(f"{path} ({architecture}) makes embeddings and cannot write text", _CHAT_HINT)


def _check_vocabulary(path: Path, header: GgufHeader) -> None:
    tokens = header.vocabulary
    if not tokens:
        raise ModelError(f"{path} has no vocabulary ({VOCABULARY_KEY})", _CHAT_HINT)
    # As llama.cpp reads them: up to a NUL, and an empty one by its number.
    named = {token.split(b"\0", 1)[0] or b"[EMPTY_%d]" % index for index, token in enumerate(tokens)}
    if len(named) != len(tokens):
        raise ModelError(f"{path} has {len(tokens) - len(named)} tokens a second time", DAMAGED_HINT)
    if header.values.get("tokenizer.ggml.model") not in _TOKENIZERS_WITH_MARKERS:
        kind = header.values.get("tokenizer.ggml.model")
        raise ModelError(f"{path} has a tokenizer of the kind {kind!r}, which is not supported", _CHAT_HINT)


def _check_shape(path: Path, header: GgufHeader) -> None:
    """What llama.cpp asserts of the hyperparameters of any architecture, when they are there."""
    prefix = header.texts["general.architecture"]
    layers = _number(header, f"{prefix}.block_count")
    experts = _number(header, f"{prefix}.expert_count")
    used = _number(header, f"{prefix}.expert_used_count")
    scaling = header.values.get(f"{prefix}.rope.scaling.type", "none")
    wrong = {
        f"{prefix}.context_length": _number(header, f"{prefix}.context_length") < 1,
        f"{prefix}.block_count": not 0 < layers <= _MAX_LAYERS,
        f"{prefix}.nextn_predict_layers": not 0 <= _number(header, f"{prefix}.nextn_predict_layers") <= layers,
        f"{prefix}.expert_count": not 0 <= experts <= _MAX_EXPERTS,
        f"{prefix}.expert_used_count": not min(experts, 1) <= used <= experts,
        f"{prefix}.rope.scaling.type": scaling not in _ROPE_SCALINGS,
    }
    for key, is_wrong in wrong.items():
        if is_wrong:
            raise ModelError(f"{path}: {key} is {_shown(header.values.get(key))}, which cannot be", DAMAGED_HINT)


def _number(header: GgufHeader, key: str) -> int:
    """The integer at `key`; 0 when there is none, -1 for a value of another kind."""
    value = header.values.get(key, 0)
    return value if isinstance(value, int) else -1


def _shown(value: Value | None) -> str:
    return "missing" if value is None else repr(value)


def _other_parts(path: Path, header: GgufHeader) -> list[Path]:
    """The other files of a split model; llama.cpp finds them by name, beside the first."""
    count = _number(header, "split.count")
    if count < 2:
        return []
    match = _SPLIT_NAME.fullmatch(path.name)
    if match is None or int(match["count"]) != count or int(match["number"]) != 1:
        raise ModelError(
            f"{path} is one of {count} parts of a model, and not the first by its name",
            f"Give the part whose name ends in -00001-of-{count:05d}.gguf, with the others beside it.",
        )
    return [path.with_name(f"{match['prefix']}-{number:05d}-of-{count:05d}.gguf") for number in range(2, count + 1)]
