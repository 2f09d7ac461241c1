"""What a user names on the Hub: `hf:owner/repo/dir/file.gguf`, `hf:owner/repo:Q4_K_M`, either with `@revision`.

Names become paths on disk, so they are refused wherever any of the three platforms would take them for something else:
the same file has the same name everywhere. Covered: models. Not covered: data sets, Spaces, the `hf://` scheme.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from coalm_lite.errors import UsageError

SCHEME = "hf:"
MAX_PART_BYTES = 255  # of a name in ext4, APFS and NTFS
_HINT = "Write hf:owner/repo/file.gguf or hf:owner/repo:Q4_K_M, with @revision after the repository if need be."
_FORM = re.compile(
    r"(?P<repository>[^/@:]+/[^/@:]+)(?:@(?P<revision>refs/[^/@:]+/[^/@:]+|[^/@:]+))?(?P<rest>[/:].*)?", re.DOTALL
)
_REPOSITORY_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_QUANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,30}[A-Za-z0-9])?")
_FORBIDDEN = frozenset('\\:*?"<>|')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HubPlace:
    """A file by its path, or by its quant, or the only one of a repository; checked when it is made."""

    repository: str
    path: str = ""
    quant: str = ""
    revision: str = "main"

    def __post_init__(self) -> None:
        parts = self.repository.split("/")
        if len(parts) != 2 or not all(map(_REPOSITORY_PART.fullmatch, parts)) or re.search(r"--|\.\.", self.repository):
            raise UsageError(f"{_short(self.repository)} is no repository's name", _HINT)
        if self.path and self.quant:
            raise UsageError(f"{_short(self.path)} names a file, {_short(self.quant)} a quant: only one can be", _HINT)
        if self.quant and not _QUANT.fullmatch(self.quant):
            raise UsageError(f"{_short(self.quant)} is no quant's name", _HINT)
        check_file_name(self.revision)
        if self.path:
            check_file_name(self.path)

    @property
    def text(self) -> str:
        """The place as a user writes it."""
        revision = "" if self.revision == "main" else f"@{self.revision}"
        rest = f"/{self.path}" if self.path else f":{self.quant}" if self.quant else ""
        return f"{SCHEME}{self.repository}{revision}{rest}"


def parse_place(text: str) -> HubPlace:
    """The place that a user wrote.

    Raises UsageError, which says what is wrong with the text.
    """
    form = _FORM.fullmatch(text.removeprefix(SCHEME)) if text.startswith(SCHEME) else None
    rest = (form["rest"] or "") if form else ""
    if form is None or rest in ("/", ":"):
        raise UsageError(f"{_short(text)} is no place on the Hub", _HINT)
    path, quant = (rest[1:], "") if rest.startswith("/") else ("", rest[1:])
    return HubPlace(form["repository"], path, quant, form["revision"] or "main")


def check_file_name(path: str) -> None:
    """Raise UsageError, with the reason, for a path inside a repository that must not become a path on disk."""
    for part in path.split("/"):
        reason = next(_faults(part), "")
        if reason:
            hint = "Give the path as the repository's page shows it; a file that really has this name cannot be pulled."
            raise UsageError(f"{_short(path)} cannot be a file's name here: {reason}", hint)


def _faults(part: str) -> Iterator[str]:
    """Each reason why a file or folder must not have this name."""
    if part == "":
        yield "it starts or ends with a slash, or has two in a row"
    if part in (".", ".."):
        yield f"{part!r} leads elsewhere"
    if not part.isprintable():
        yield "it has control characters, or others that cannot be seen"
    if _FORBIDDEN.intersection(part):
        yield f"{' '.join(sorted(_FORBIDDEN.intersection(part)))} is not allowed in names on every platform"
    if part.endswith((".", " ")):
        yield "a part ends with a dot or a space, which Windows drops"
    if _RESERVED.fullmatch(part.partition(".")[0].rstrip()):
        yield f"{_short(part)} is a device on Windows"
    if len(part.encode(errors="replace")) > MAX_PART_BYTES:
        yield f"a part is longer than {MAX_PART_BYTES} bytes"


def _short(path: str) -> str:
    return repr(path) if len(path) <= 80 else f"{path[:60]!r}... ({len(path)} characters)"
