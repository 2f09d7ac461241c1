"""Parts of a file on the Hub, read in order by range and never stored: one request for many pieces.

Checked: each answer is the part that was asked for, of a file that has the size which the metadata named; and each
request goes through the Hub's own address at the pinned commit, which names the content's hash anew, so that a file
that changed is an error and never spliced. Not checked: the bytes against that hash, for which all of the file would
have to be read; on their way TLS guards them. A cut connection is continued at the byte where it stopped; a storage
address that ran out is asked for anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from coalm_lite.errors import HubError
from coalm_lite.hub.backoff import Patience, Waits, wait_words
from coalm_lite.hub.refusals import TemporaryError
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.hub.transfer import Body, open_body

if TYPE_CHECKING:
    from requests import Session


class RangeReader:
    """Reads pieces of one file; `tell` hears of each wait."""

    def __init__(self, remote: RemoteFile, session: Session, waits: Waits, tell: Callable[[str], None]) -> None:
        self.remote = remote
        self._session = session
        self._waits = waits
        self._tell = tell

    @property
    def name(self) -> str:
        """Repository and path, for messages."""
        return self.remote.place

    @property
    def size_bytes(self) -> int:
        """The file's length, as the Hub names it."""
        return self.remote.size_bytes

    def pieces(self, offset: int, sizes: Iterable[int]) -> Iterator[bytearray]:
        """The bytes from `offset` on, in pieces of exactly these sizes; at most one network block is held besides.

        Raises HubError for what waiting does not mend. Bytes that nobody takes stay with the server.
        """
        listed = list(sizes)
        end = offset + sum(listed)
        if end > self.size_bytes:
            raise HubError(f"{self.name}: bytes up to {end} were asked for, and the file has {self.size_bytes}")
        blocks = self._blocks(offset, end)
        kept = memoryview(b"")
        for size in listed:
            piece = bytearray(size)
            filled = 0
            while filled < size:
                kept = kept or memoryview(next(blocks))
                count = min(len(kept), size - filled)
                piece[filled : filled + count] = kept[:count]
                filled, kept = filled + count, kept[count:]
            yield piece
        next(blocks, None)  # reads the end of the body, which frees its connection

    def _blocks(self, position: int, end: int) -> Iterator[bytes]:
        """The bytes up to `end` as they come, by as many requests as it takes."""
        patience = Patience(self._waits, position)
        while position < end:
            try:
                with open_body(self.remote, position, end - 1, self._session) as body:
                    self._check_start(body, position)
                    for block in body.blocks():
                        wanted = block[: end - position]
                        position += len(wanted)
                        if wanted:
                            yield wanted
                        if len(wanted) < len(block):  # the whole file comes, from its beginning
                            return
                if position < end:
                    raise TemporaryError(f"{self.name}: the bytes ended {end - position} too early")
            except TemporaryError as error:
                pause_s = patience.pause_s(error, position)
                self._tell(wait_words(error, pause_s))
                time.sleep(pause_s)

    def _check_start(self, body: Body, position: int) -> None:
        if body.start == position:
            return
        if body.start == 0 and body.response.status_code == 200:
            hint = f"Fetch it as a whole (`hf download {self.remote.repository}`), then name the folder."
            raise HubError(f"{self.name}: the server gives whole files and no parts of them", hint)
        raise TemporaryError(f"{self.name}: another part came than the one that was asked for")
