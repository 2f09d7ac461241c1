"""Whether a model file may be given to llama.cpp, which ends the process over some of the files that it dislikes.

`check_model_file` looks at the path, the header and its meaning (`llama_limits`), and at a split model's other parts.
What llama.cpp refuses politely (a missing tensor, one of a wrong shape) is left to it. Tensor data is not looked at:
any bytes are weights, if bad ones. Nothing here guards against a file that is changed while it is in use.
"""

from __future__ import annotations

import re
from pathlib import Path

from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_header import GgufHeader, read_header
from coalm_lite.runtime.gguf_reader import DAMAGED_HINT, quoted
from coalm_lite.runtime.gguf_types import UINT16
from coalm_lite.runtime.llama_limits import ARCHITECTURE, tensor_problem, vocabulary_problem, wrong_value

_SPLIT_NAME = re.compile(r"(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)
_SPLIT_NUMBER = "split.no"
_OTHER_HINT = (
    "The file is damaged, or made for another program: fetch it again, or choose a model such as CoALM-8B in GGUF form."
)
_CHAT_HINT = "Choose a model that writes text, such as CoALM-8B in GGUF form."


def check_model_file(path: Path) -> GgufHeader:
    """The header of the model at `path`; ModelError, with the way out, for a file that must not be loaded."""
    header = check_vocabulary_file(path)
    _check_generative(path, header)
    _check_tensors(path, header)
    for part in _other_parts(path, header):
        _check_part(part)
    return header


def check_vocabulary_file(path: Path) -> GgufHeader:
    """The header of a file whose vocabulary may be loaded, with weights or without; ModelError as above."""
    header = whole_header(path)
    _check_architecture(path, header)
    if problem := vocabulary_problem(header):
        raise ModelError(f"{path} {problem}", _CHAT_HINT)
    if problem := wrong_value(header):
        raise ModelError(f"{path}: {problem}, which is not supported", _OTHER_HINT)
    return header


def trained_context_tokens(header: GgufHeader) -> int:
    """The longest context that the model was made for; `check_model_file` has seen that it is there."""
    value = header.values.get(f"{header.texts['general.architecture']}.context_length")
    return value if isinstance(value, int) else 0


def model_bytes(path: Path, header: GgufHeader) -> int:
    """The length of a model that `check_model_file` let pass, all its parts together."""
    return sum(part.stat().st_size for part in (path, *_other_parts(path, header)))


def whole_header(path: Path, kind: str = "model") -> GgufHeader:
    """The header of a GGUF file that is there and as long as its header says; `kind` names it in errors."""
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder, and the {kind} is one GGUF file", "Give the path of the .gguf file.")
        if not path.is_file():
            raise ModelError(f"there is no {kind} file {path}", "Check the path and its spelling.")
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


def _check_architecture(path: Path, header: GgufHeader) -> str:
    """The architecture's name, which is the supported one."""
    architecture = header.values.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise ModelError(f"{path} names no architecture (general.architecture)", DAMAGED_HINT)
    if architecture != ARCHITECTURE:
        raise ModelError(
            f"{path} has the architecture {quoted(architecture)}; only {ARCHITECTURE!r}, CoALM's, is supported",
            _CHAT_HINT,
        )
    return architecture


def _check_generative(path: Path, header: GgufHeader) -> None:
    architecture = _check_architecture(path, header)
    if not header.tensors and _number(header, "split.count") < 2:
        raise ModelError(f"{path} holds a vocabulary and no weights", _CHAT_HINT)
    causal = header.values.get(f"{architecture}.attention.causal", True)
    if not causal or _number(header, f"{architecture}.pooling_type"):
        raise ModelError(f"{path} ({architecture}) makes embeddings and cannot write text", _CHAT_HINT)


def _check_tensors(path: Path, header: GgufHeader) -> None:
    if problem := tensor_problem(header):
        raise ModelError(f"{path}: {problem}", _OTHER_HINT)


def _check_part(path: Path) -> None:
    """A part's own claims; llama.cpp asserts the type of its number, and refuses politely what else is wrong."""
    header = whole_header(path)
    if header.type_ids.get(_SPLIT_NUMBER) != UINT16:
        raise ModelError(f"{path} does not say which part it is ({_SPLIT_NUMBER})", DAMAGED_HINT)
    _check_tensors(path, header)


def _number(header: GgufHeader, key: str) -> int:
    """The integer at `key`; 0 when there is none, -1 for a value of another kind."""
    value = header.values.get(key, 0)
    return value if isinstance(value, int) else -1


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
