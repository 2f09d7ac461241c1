"""What `convert` is given, opened by its kind: a checkpoint's folder, `hf:owner/repo`, or a GGUF file.

Every kind yields the same values (base.py). Not covered: pickled weights, and guessing what a text may mean: a name
without `hf:` is a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from coalm_lite.converters.sources.base import Source
from coalm_lite.converters.sources.checkpoint import checkpoint_source
from coalm_lite.converters.sources.gguf import gguf_source
from coalm_lite.converters.sources.hub import hub_source
from coalm_lite.errors import ModelError, UsageError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.places import SCHEME, HubPlace, parse_place

_KINDS_HINT = "SOURCE is a Hugging Face folder, hf:owner/repo, or a GGUF file with F16, BF16 or F32 weights."
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@contextmanager
def open_source(text: str, client: HubClient | None = None) -> Iterator[Source]:
    """The source that `text` names, to be read while the block lasts; `client` asks the Hub, a new one when None.

    Raises UsageError for what names no source, ModelError and HubError for one that cannot be converted or reached.
    """
    if text.startswith(SCHEME):
        with hub_source(hub_place(text), client or HubClient()) as source:
            yield source
    else:
        yield local_source(text)


def local_source(text: str) -> Source:
    """The folder or the file at the path `text`."""
    path = Path(text)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
        with path.open("rb") if is_file else BytesIO() as file:
            start = file.read(4)
    except (OSError, ValueError) as error:
        raise ModelError(f"{text!r}: cannot be read: {error}", "Check the path and its permissions.") from error
    if is_folder:
        return checkpoint_source(path)
    if not is_file:
        like = f" For the repository on the Hub write {SCHEME}{text}." if _REPOSITORY.fullmatch(text) else ""
        raise UsageError(f"there is no folder or file {text}", _KINDS_HINT + like)
    if path.suffix == ".safetensors":
        raise UsageError(f"{text} is one file of a checkpoint", f"Name its folder: {path.absolute().parent}")
    if start != b"GGUF" and path.suffix.lower() != ".gguf":
        raise UsageError(f"{text} is neither a folder nor a GGUF file", _KINDS_HINT)
    return gguf_source(path)


def hub_place(text: str) -> HubPlace:
    """The repository that `hf:owner/repo[@revision]` names; UsageError for a place that names a file in one."""
    place = parse_place(text)
    if place.path or place.quant:
        hint = f"Name the checkpoint's repository; a GGUF file is fetched first: `coalm-lite pull {text}`."
        raise UsageError(f"{text} names a file, where a repository is needed", hint)
    return place
