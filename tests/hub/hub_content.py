"""What the test hub holds: repositories, their commits, and the files of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

BLOCK_BYTES = 1 << 18


class Stored:
    """One version of a file: its bytes or the path of them, its length and its hashes."""

    def __init__(self, path: str, source: Path | bytes) -> None:
        self.source = source
        self.size = source.stat().st_size if isinstance(source, Path) else len(source)
        self.is_large = path.endswith((".gguf", ".safetensors"))  # kept apart from git, served by the CDN
        digest = hashlib.sha256() if self.is_large else hashlib.sha1(b"blob %d\0" % self.size)
        for block in self.blocks(0, self.size):
            digest.update(block)
        self.hash = digest.hexdigest()

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` to `stop`, a block at a time."""
        if isinstance(self.source, bytes):
            yield from (self.source[at : min(at + BLOCK_BYTES, stop)] for at in range(start, stop, BLOCK_BYTES))
            return
        with self.source.open("rb") as file:
            file.seek(start)
            for at in range(start, stop, BLOCK_BYTES):
                yield file.read(min(BLOCK_BYTES, stop - at))


@dataclass
class Repository:
    """A repository's commits, oldest first: what each file was."""

    license: str = ""
    gated: bool = False
    private: bool = False
    commits: dict[str, dict[str, Stored]] = field(default_factory=dict)

    def commit(self, files: dict[str, Stored]) -> None:
        """Add a commit of these files."""
        text = repr((len(self.commits), sorted((path, stored.hash) for path, stored in files.items())))
        self.commits[hashlib.sha1(text.encode()).hexdigest()] = files

    def find(self, revision: str, forget_history: bool) -> tuple[str, dict[str, Stored]] | None:
        """The commit and its files; None for a revision that there is not."""
        newest = next(reversed(self.commits))
        if revision in ("main", newest) or (forget_history and revision in self.commits):
            return newest if revision == "main" else revision, self.commits[newest]
        return (revision, self.commits[revision]) if revision in self.commits else None


def repositories_of(files: Mapping[str, Path | bytes], licenses: Mapping[str, str]) -> dict[str, Repository]:
    """Repositories with these files ("owner/repo/path") in one commit each."""
    stored: dict[str, dict[str, Stored]] = {}
    for key in sorted(files):
        repository, path = split(key)
        stored.setdefault(repository, {})[path] = Stored(path, files[key])
    repositories = {name: Repository(licenses.get(name, "")) for name in stored}
    for name, kept in repositories.items():
        kept.commit(stored[name])
    return repositories


def split(key: str) -> tuple[str, str]:
    """Repository and path of "owner/repo/path"."""
    owner, name, path = key.split("/", 2)
    return f"{owner}/{name}", path
