"""Bring a file's bytes into a partial file and check their hash, whatever the network does.

A cut connection is continued by range, in the same call or a later one; a server that ignores ranges starts anew.
Every try must bring a byte that was never there before, or it counts as a failure. The caller names the partial, holds
its lock, and gives it its final name: only a file that came out of `download` deserves one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.errors import HubError
from coalm_lite.hub.backoff import Patience, Waits, wait_words
from coalm_lite.hub.partial import Partial, discard, disk_errors, open_partial
from coalm_lite.hub.progress import Meter, Progress
from coalm_lite.hub.refusals import TemporaryError
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.hub.transfer import Body, open_body

_WRONG_HASH_HINT = "Something on the way changes bytes (a proxy, a mirror, a bad disk). Try another network or disk."


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What a download cost: bytes that came, bytes kept from earlier ones, and how often bytes were thrown away."""

    fetched_bytes: int
    resumed_bytes: int
    restarted: int


def download(
    remote: RemoteFile, partial: Path, report: Callable[[Progress], None], waits: Waits | None = None
) -> Downloaded:
    """What it cost to have the whole file at `partial`, its hash checked and the bytes on the disk.

    Raises HubError (network, refusals, wrong size, wrong hash twice) and StoreError (no room, not writable). Except
    after a wrong hash, and when interrupted too, what came is kept for the next call.
    """
    meter = Meter(report)
    with open_partial(partial, remote) as kept:
        kept.take_up(meter)
        fetch = _Fetch(kept, meter, waits or Waits())
        resumed = kept.length
        fetch.run()
        if not kept.is_right():
            fetch.start_anew()
            fetch.run()
        right = kept.is_right()
        if right:
            kept.flush()
    if not right:
        with disk_errors(partial):
            discard(partial)
        raise HubError(f"{remote.place}: the bytes do not have the hash that the Hub names, twice", _WRONG_HASH_HINT)
    return Downloaded(fetch.fetched, 0 if fetch.restarted else resumed, fetch.restarted)


class _Fetch:
    """Fills a partial to its full length, by as many requests as it takes."""

    def __init__(self, kept: Partial, meter: Meter, waits: Waits) -> None:
        self.fetched = 0
        self.restarted = 0
        self._kept = kept
        self._meter = meter
        self._waits = waits

    def start_anew(self) -> None:
        """Throw away what came."""
        self._kept.restart()
        self.restarted += 1

    def run(self) -> None:
        """Ask until nothing is missing; the error of the last try when too many brought nothing new."""
        patience = Patience(self._waits, self._kept.length)
        while self._kept.missing_bytes:
            try:
                self._ask()
            except TemporaryError as error:
                pause_s = patience.pause_s(error, self._kept.length)
                self._meter.wait(wait_words(error, pause_s))
                time.sleep(pause_s)

    def _ask(self) -> None:
        kept = self._kept
        with open_body(kept.remote, kept.length) as body:
            if body.start != kept.length:
                self.start_anew()
                if body.start:
                    raise TemporaryError(f"{kept.remote.place}: another part came than the one that was asked for")
            self._meter.begin("fetching", kept.length, kept.remote.size_bytes)
            self._take(body)
        if kept.missing_bytes:
            raise TemporaryError(f"{kept.remote.place}: the bytes ended {kept.missing_bytes} too early")

    def _take(self, body: Body) -> None:
        for block in body.blocks():
            if len(block) > self._kept.missing_bytes:
                size = self._kept.remote.size_bytes
                raise HubError(f"{self._kept.remote.place}: more bytes came than the {size} that the Hub named")
            self._kept.append(block)
            self.fetched += len(block)
            self._meter.add(len(block))
