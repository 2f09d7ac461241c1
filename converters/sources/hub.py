"""A checkpoint on the Hub as a source: its small files fetched, its weights read by range and never stored.

Covered: `hf:owner/repo[@revision]`, pinned to the commit that it has at the beginning; what a safetensors checkpoint in
Hugging Face layout holds. The small files are checked by their hash; of the weights only parts are in memory at a time,
so each range is held against the commit, the ETag and the size of its file, and not against the file's hash (see
coalm_lite.hub.ranges). Not covered: a GGUF on the Hub, which `coalm-lite pull` fetches first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coalm_lite.converters.sources.base import Source, SourceFacts, SourceFile
from coalm_lite.converters.sources.checkpoint import matched_source
from coalm_lite.converters.sources.hf_config import read_config
from coalm_lite.converters.sources.weights import INDEX_NAME, SINGLE_NAME, index_checkpoint, read_weight_map
from coalm_lite.errors import ModelError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.folder import RemoteFolder
from coalm_lite.hub.places import HubPlace
from coalm_lite.hub.ranges import RangeReader
from coalm_lite.hub.remote import RemoteFile

CONFIG_NAME = "config.json"
_SMALL_NAMES = (
    CONFIG_NAME,
    INDEX_NAME,
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "README.md",
)
_LARGEST_SMALL_BYTES = 64 << 20  # Llama 3's tokenizer.json has 17 MB, the largest index 0.1 MB
_Opener = Callable[[RemoteFile], RangeReader]


@contextmanager
def hub_source(place: HubPlace, client: HubClient) -> Iterator[Source]:
    """The checkpoint at `place`, to be read while the block lasts.

    Raises HubError for what the Hub refuses, ModelError naming file and tensor for a checkpoint that is damaged,
    incomplete or of another kind.
    """
    remote = client.folder(place)
    with fetched_folder(remote, client, _SMALL_NAMES) as folder, client.reading() as read:
        config = read_config(folder / CONFIG_NAME)
        stored = index_checkpoint(folder, lambda name: _open(remote, read, name))
        yield matched_source(remote.place, folder, config, stored, remote_facts(remote, folder))


@contextmanager
def fetched_folder(remote: RemoteFolder, client: HubClient, names: tuple[str, ...]) -> Iterator[Path]:
    """A folder with those of the small files that there are; it has the repository's name, as a clone would.

    The model's name in a GGUF comes from the folder's, where the checkpoint itself gives none.
    """
    with tempfile.TemporaryDirectory(prefix="coalm-lite-") as temporary:
        folder = Path(temporary, remote.repository.partition("/")[2])
        folder.mkdir()
        for name in names:
            if name in remote.entries:
                file = remote.file(name)
                _check_small(file)
                client.fetch(file, folder / name)
        yield folder


def _open(remote: RemoteFolder, read: _Opener, name: str) -> RangeReader:
    """The file of weights `name`; ModelError when the repository has none of this name."""
    if name not in remote.entries:
        others = sorted(path for path in remote.entries if path.endswith((".bin", ".gguf", ".pth")))
        found = f"; there is {others[0]!r}" if name == SINGLE_NAME and others else ""
        hint = "Only checkpoints in safetensors can be converted; a GGUF file is fetched by `coalm-lite pull`."
        raise ModelError(f"{remote.repository}/{name}: no such file on the Hub{found}", hint)
    return read(remote.file(name))


def _check_small(file: RemoteFile) -> None:
    if file.size_bytes > _LARGEST_SMALL_BYTES:
        problem = f"{file.size_bytes} bytes, more than the {_LARGEST_SMALL_BYTES} that a file of this kind can have"
        raise ModelError(f"{file.place}: {problem}", "It is no checkpoint that can be converted.")


def remote_facts(remote: RemoteFolder, folder: Path) -> SourceFacts:
    """The repository, its commit, and the hashes that the Hub names; `folder` holds the index, if there is one."""
    index = folder / INDEX_NAME
    weights = set(read_weight_map(index).values()) if index.is_file() else {SINGLE_NAME}
    listed_names = sorted(name for name in weights | set(_SMALL_NAMES) if name in remote.entries)
    files = [remote.file(name) for name in listed_names]
    listed = tuple(SourceFile(file.path, file.size_bytes, file.sha256) for file in files)
    return SourceFacts(remote.repository, remote.place, remote.revision, listed)
