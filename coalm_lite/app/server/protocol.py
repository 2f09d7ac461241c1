"""HTTP/1.1 as uvicorn speaks it, with a bound on the time that a request's head may take.

uvicorn itself waits for ever for the first request of a connection, and for the rest of a head that was begun.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from coalm_lite.app.server.settings import HEAD_S


class PatientProtocol(H11Protocol):
    """A connection; closed when a head is not whole after `head_s`."""

    head_s: ClassVar[float] = HEAD_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that was begun must end in time."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._watch()
        else:
            self._unwatch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self._give_up)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        self.transport.close()


def protocol(head_s: float) -> type[PatientProtocol]:
    """The protocol with this bound."""
    return type("Protocol", (PatientProtocol,), {"head_s": head_s})
