"""What the Hub says of a file, before its first byte: which one, its hash, size, licence and gate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from coalm_lite.errors import HubError, UsageError
from coalm_lite.hub import library, snapshot
from coalm_lite.hub.backoff import Waits, patiently
from coalm_lite.hub.download import download
from coalm_lite.hub.folder import RemoteFolder
from coalm_lite.hub.partial import companion_of
from coalm_lite.hub.places import HubPlace, check_file_name
from coalm_lite.hub.ranges import RangeReader
from coalm_lite.hub.refusals import endpoint, no_hub, offline, offline_reason
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.hub.transfer import open_body

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_MAX_LISTED = 20
Answer = TypeVar("Answer")


class HubClient:
    """Asks the Hub that HF_ENDPOINT names, with the token of HF_TOKEN or of a saved login.

    `tell` hears of each wait for a busy Hub. Every method raises HubError for what the Hub refuses and, at once and
    without touching the network, when `offline` (or HF_HUB_OFFLINE) forbids to ask.
    """

    def __init__(
        self, offline: bool = False, waits: Waits | None = None, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._forbidden_by = "--offline" if offline else offline_reason()
        self._waits = waits or Waits()
        self._tell = tell

    def find(self, place: HubPlace) -> RemoteFile:
        """The file that `place` means, as it is now.

        Raises UsageError when the place fits several files, HubError when it fits none.
        """
        info, commit = self._info(place)
        path = place.path or _choose(place, [sibling.rfilename for sibling in info.siblings or ()])
        _check_takable(place, path)
        metadata = self._patiently(lambda: library.file_metadata(place.repository, path, commit))
        if metadata.commit_hash != commit or metadata.size is None:
            raise no_hub(endpoint(), f"it names no size, or another commit, for {path!r}")
        return RemoteFile(
            repository=place.repository,
            path=path,
            revision=commit,
            etag=metadata.etag or "",
            size_bytes=metadata.size,
            license=_license_of(info),
            gated=bool(info.gated),
            branch=place.revision,
        )

    def folder(self, place: HubPlace) -> RemoteFolder:
        """All files of the repository that `place` means, at the commit that it has now."""
        info, commit = self._info(place)
        listed = self._patiently(lambda: library.file_tree(place.repository, commit))
        entries = {file.path: (file.lfs.sha256 if file.lfs else file.blob_id, file.size) for file in listed}
        return RemoteFolder(place.repository, commit, place.revision, _license_of(info), bool(info.gated), entries)

    def fetch(self, remote: RemoteFile, target: Path) -> None:
        """Write the whole file to `target`, its hash checked; what a failed call leaves, the next one goes on with."""
        self._check_allowed(remote.place)
        download(remote, target, lambda progress: self._tell(progress.note) if progress.note else None, self._waits)
        companion_of(target).unlink(missing_ok=True)

    @contextmanager
    def reading(self) -> Iterator[Callable[[RemoteFile], RangeReader]]:
        """How to read parts of files; all of them share their connections, until the block ends."""
        from requests import Session

        with Session() as session:
            yield lambda remote: RangeReader(remote, session, self._waits, self._tell)

    def read_start(self, remote: RemoteFile, count: int) -> bytes:
        """The file's first `count` bytes, or all when it has fewer."""
        self._check_allowed(remote.place)
        count = min(count, remote.size_bytes)
        return self._patiently(lambda: _read_start(remote, count)) if count else b""

    def link(self, remote: RemoteFile, cache_root: Path) -> Path:
        """The file's path in the cache, leading to its blob, which must be there; asks nobody."""
        return snapshot.link(remote, cache_root)

    def _info(self, place: HubPlace) -> tuple[ModelInfo, str]:
        """What the Hub says of a repository, and its commit."""
        self._check_allowed(place.text)
        info = self._patiently(lambda: library.model_info(place.repository, place.revision))
        if not info.sha:
            raise no_hub(endpoint(), f"it names no commit of {place.repository}")
        return info, info.sha

    def _check_allowed(self, wanted: str) -> None:
        if self._forbidden_by:
            raise offline(wanted, self._forbidden_by)

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        return patiently(ask, self._waits, self._tell)


def _read_start(remote: RemoteFile, count: int) -> bytes:
    start = bytearray()
    with open_body(remote, 0, count - 1) as body:
        if body.start:
            raise no_hub(endpoint(), "it gives another part of the file than the one that was asked for")
        for block in body.blocks():
            start += block[: count - len(start)]
            if len(start) == count:
                break
    return bytes(start)


def _choose(place: HubPlace, listed: list[str]) -> str:
    """The one GGUF file of the list that has the place's quant in its name; of any quant when the place names none."""
    files = [path for path in listed if isinstance(path, str) and path.lower().endswith(".gguf")]
    fitting = [path for path in files if has_quant(path, place.quant)]
    form = f"Name one: hf:{place.repository}/PATH."
    if not fitting:
        raise HubError(
            f"{place.text} fits none of the repository's GGUF files: {_listing(files)}", form if files else ""
        )
    if len(fitting) == 1 or all(map(_SPLIT.search, fitting)):
        return fitting[0]
    raise UsageError(f"{place.text} fits several files: {_listing(fitting)}", form)


def has_quant(path: str, quant: str) -> bool:
    """Whether a file's name has this quant between dots, dashes and underscores: Q4_K is not in `m.Q4_K_M.gguf`."""
    longer = r"_(?:XXS|XS|S|M|L|XL|NL|K|[0-9])(?![A-Za-z0-9])"
    pattern = rf"(?<![A-Za-z0-9]){re.escape(quant)}(?![A-Za-z0-9])(?!{longer})"
    return not quant or re.search(pattern, path.rpartition("/")[2], re.IGNORECASE) is not None


def _check_takable(place: HubPlace, path: str) -> None:
    """Raise an error for a name that cannot be taken, or that is one part of a model in several files."""
    check_file_name(path)
    parts = _SPLIT.search(path)
    if parts:
        hint = "Choose a quant that is one file; the parts can be joined by llama.cpp's llama-gguf-split --merge."
        raise HubError(f"{place.text} is split into {int(parts[2])} files, which coalm-lite does not join", hint)


def _listing(paths: list[str]) -> str:
    """The names for a message; as reprs, since they come from elsewhere."""
    more = f" and {len(paths) - _MAX_LISTED} more" if len(paths) > _MAX_LISTED else ""
    return (", ".join(repr(path) for path in paths[:_MAX_LISTED]) + more) or "it has none"


def _license_of(info: ModelInfo) -> str:
    """The licence that the repository names; empty when it names none."""
    prefix = "license:"
    tags = [tag.removeprefix(prefix) for tag in info.tags or () if isinstance(tag, str) and tag.startswith(prefix)]
    return "".join(letter for letter in (tags or [""])[0] if letter.isprintable())[:80]
