"""One pinned file brought to a place on disk, its hash checked: from its public address, a mirror, or a folder.

Bytes that came stay in a file named by the hash, so a later call goes on from there by range; a server that ignores
ranges starts anew. The file gets its name only when its hash is right. A mirror has the layout of the fetched folder:
`MIRROR/apibank/hammer_apibank_l1.json`, in a folder plain or gzipped. Proxies come from the environment.
"""

from __future__ import annotations

import gzip
import re
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from coalm_lite.errors import HubError, StoreError, UsageError
from coalm_lite.evals.data.pins import Pin, PinnedSuite
from coalm_lite.hub.backoff import Patience, Waits, wait_words
from coalm_lite.hub.partial import disk_errors
from coalm_lite.hub.refusals import TemporaryError, UnreachableError

if TYPE_CHECKING:
    from requests import Response

MIRROR_VARIABLE = "COALM_LITE_DATA_MIRROR"
_TIMEOUTS_S = (10.0, 30.0)  # to connect; of silence
_BLOCK_BYTES = 1 << 18
_RANGE = re.compile(r"bytes ([0-9]{1,18})-")
_OTHER_WAY = "Check the network and the proxy, or name a copy with --from (an address or a folder)."


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a suite's files come from: `mirror` is "" (their public addresses), an address, or a folder."""

    mirror: str = ""

    def __post_init__(self) -> None:
        if "://" in self.mirror and urlsplit(self.mirror).scheme not in ("http", "https"):
            raise UsageError(f"{self.mirror!r} is no mirror", "Give an http or https address, or a folder.")

    def place_of(self, suite: PinnedSuite, pin: Pin) -> str | Path:
        """The address or the path of a file; a path is told without `.gz`."""
        if not self.mirror:
            return pin.url
        if "://" in self.mirror:
            return f"{self.mirror.rstrip('/')}/{suite.folder}/{pin.path}"
        return Path(self.mirror).expanduser() / suite.folder / pin.path


class Download:
    """Brings files into a folder; `keep` holds what came of unfinished ones. `came` hears of each block's length."""

    def __init__(self, keep: Path, came: Callable[[int], None], tell: Callable[[str], None], waits: Waits) -> None:
        self._keep = keep
        self._came = came
        self._tell = tell
        self._waits = waits

    def bring(self, pin: Pin, place: str | Path, target: Path) -> None:
        """Have the file at `target`.

        Raises HubError (no network, refused, a wrong hash: it names both), StoreError (no such file in the folder, no
        room, not writable).
        """
        partial = self._keep / pin.etag
        with disk_errors(partial, pin.size_bytes):
            self._keep.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
        kept = _length(partial) if isinstance(place, str) else 0
        self._came(kept)
        self._take(pin, place, partial)
        if kept and not _is_right(pin, partial):  # what an earlier call left may be at fault
            with disk_errors(partial):
                partial.unlink()
            self._take(pin, place, partial)
        _check(pin, place, partial)
        with disk_errors(target):
            partial.replace(target)

    def _take(self, pin: Pin, place: str | Path, partial: Path) -> None:
        if isinstance(place, Path):
            _copy(place, partial, pin)
            self._came(pin.size_bytes)
            return
        patience = Patience(self._waits, _length(partial))
        unanswered = 0
        while not (pin.size_bytes and _length(partial) == pin.size_bytes):
            try:
                self._ask(pin, place, partial)
                return
            except TemporaryError as error:
                unanswered += isinstance(error, UnreachableError)
                if unanswered > 1:  # a user without a network should soon read so
                    raise
                pause_s = patience.pause_s(error, _length(partial))
                self._tell(wait_words(error, pause_s))
                time.sleep(pause_s)

    def _ask(self, pin: Pin, url: str, partial: Path) -> None:
        have = _length(partial)
        with _answer(url, have) as response:
            if response.status_code == 416:  # all of a file of unknown size is here; its hash tells whether it is right
                return
            start = _start(response, url)
            if start not in (0, have):
                raise TemporaryError(f"{url}: another part came than the one that was asked for", _OTHER_WAY)
            promised = response.headers.get("Content-Length", "")
            end = start + int(promised) if promised.isascii() and promised.isdigit() else 0
            self._append(pin, url, partial, response, start)
        if _length(partial) < max(end, pin.size_bytes):
            raise TemporaryError(f"{url}: the bytes ended too early, at {_length(partial)}", _OTHER_WAY)

    def _append(self, pin: Pin, url: str, partial: Path, response: Response, start: int) -> None:
        with disk_errors(partial, pin.size_bytes), partial.open("r+b" if start else "wb") as file:
            if start:
                file.seek(start)
                file.truncate()
            for block in _blocks(response, url):
                file.write(block)
                self._came(len(block))
                if pin.size_bytes and file.tell() > pin.size_bytes:
                    break
        if pin.size_bytes and _length(partial) > pin.size_bytes:
            partial.unlink()
            raise HubError(f"{url} is longer than the {pin.size_bytes} bytes of the pinned file", _changed_hint())


@contextmanager
def _answer(url: str, have: int) -> Iterator[Response]:
    """The answer to a request for the bytes from `have` on; errors of the network and of the server as ours."""
    import requests

    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=_TIMEOUTS_S)
    except (requests.RequestException, OSError) as error:
        raise UnreachableError(f"no answer from {url}: {_said(error)}", _OTHER_WAY) from error
    with response:
        if response.status_code in (408, 425, 429) or response.status_code >= 500:
            raise TemporaryError(f"{url}: the server refuses with status {response.status_code}", _OTHER_WAY)
        if response.status_code not in (200, 206) and not (have and response.status_code == 416):
            raise HubError(f"{url}: the server refuses with status {response.status_code}", _OTHER_WAY)
        yield response


def _start(response: Response, url: str) -> int:
    """Where in the file an answer's bytes begin."""
    if response.status_code == 200:
        return 0
    told = _RANGE.match(response.headers.get("Content-Range", ""))
    if told is None:
        raise HubError(f"{url}: the server gives a part without saying which", _OTHER_WAY)
    return int(told[1])


def _blocks(response: Response, url: str) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    while True:
        try:
            block = response.raw.read1(_BLOCK_BYTES, decode_content=False)
        except (HTTPError, OSError) as error:
            raise TemporaryError(f"{url}: the bytes broke off: {_said(error)}", _OTHER_WAY) from error
        if not block:
            return
        yield block


def _said(error: BaseException) -> str:
    """The innermost reason, without the libraries' wrapping."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__


def _copy(place: Path, partial: Path, pin: Pin) -> None:
    there = next((path for path in (place, place.with_name(f"{place.name}.gz")) if path.is_file()), None)
    if there is None:
        raise StoreError(f"there is no {place}, plain or .gz", "Check the folder that --from names.")
    try:
        with there.open("rb") as plain, partial.open("wb") as file:
            if there.suffix == ".gz":
                with gzip.open(plain) as unzipped:
                    shutil.copyfileobj(unzipped, file)
            else:
                shutil.copyfileobj(plain, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StoreError(f"{there} cannot be unzipped: {error}", "The copy is damaged: take another one.") from error
    except OSError as error:
        with disk_errors(there, pin.size_bytes):
            raise error


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_right(pin: Pin, path: Path) -> bool:
    with disk_errors(path):
        return path.exists() and pin.hash_of(path) == pin.etag


def _check(pin: Pin, place: str | Path, partial: Path) -> None:
    """Raise HubError, and drop the bytes, when they are not the pinned ones."""
    with disk_errors(partial):
        found = pin.hash_of(partial)
        if found == pin.etag:
            return
        size = partial.stat().st_size
        partial.unlink()
    wanted = f"{pin.kind} {pin.etag}" + (f", {pin.size_bytes} bytes" if pin.size_bytes else "")
    raise HubError(
        f"{place} is not the pinned file: it has {pin.kind} {found}, {size} bytes, not {wanted}", _changed_hint()
    )


def _changed_hint() -> str:
    return "A proxy, a login page or a mirror answers in its place, or the copy is damaged. Try another with --from."
