"""Runs an application on a socket until a signal: SIGINT or SIGTERM end it within a bounded time, a second one at once.

Answers in work may end within the grace time; then they are cancelled, and their clients are told. A server that is not
on the main thread, as in a test, hears no signals; `stop` ends it too.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import HANDLED_SIGNALS

from coalm_lite.app.server.line import Line
from coalm_lite.app.server.protocol import protocol
from coalm_lite.app.server.settings import Limits
from coalm_lite.errors import UsageError

INTERRUPTED = 130
_MOST_CONNECTIONS = 512
_KEEP_ALIVE_S = 30
_LAST_WORDS_S = 3  # for cancelled answers to tell their clients


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens on `host`; port 0 takes a free one. UsageError where it cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        # asyncio sends at once (TCP_NODELAY) only on sockets that name TCP: without it, each answer's body would wait
        # 40 ms for the client's word that its head has come.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name != "nt":  # there it would let two servers have one port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        raise UsageError(
            f"nothing can be served on {host} port {port}: {error}", "Give --port 0 for a free port, or another --host."
        ) from error
    return listening


def address_of(listening: socket.socket) -> str:
    """`http://127.0.0.1:8080`; an address that means all of the machine's is told as loopback."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Running:
    """A server on `listening`; `run` returns when it has ended."""

    def __init__(self, app: ASGIApp, listening: socket.socket, line: Line, limits: Limits) -> None:
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=protocol(limits.head_s),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO),
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=math.ceil(limits.grace_s) + _LAST_WORDS_S,
        )
        self._server = _Server(config, line, limits.grace_s)
        self._listening = listening

    def run(self, ready: Callable[[], object]) -> int:
        """Serve; `ready` is called once requests are taken. Returns the exit code: 130 after SIGINT, else 0."""
        self._server.ready = ready
        asyncio.run(self._server.serve([self._listening]))
        return INTERRUPTED if self._server.signal == signal.SIGINT else 0

    def stop(self) -> None:
        """End it as a signal does; from any thread."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, line: Line, grace_s: float) -> None:
        super().__init__(config)
        self.ready: Callable[[], object] = lambda: None
        self.signal: int | None = None
        self._line = line
        self._grace_s = grace_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take requests, and say so."""
        await super().startup(sockets)
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests; those that are there may end within the grace time."""
        self._line.stop()
        timer = asyncio.get_running_loop().call_later(self._grace_s, self._line.cancel_all)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()
            self._line.cancel_all()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear signals while it runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; the second time, end at once. The engine's process ends with this one."""
        if self.signal is not None:
            os._exit(INTERRUPTED)
        self.signal = sig
        self.should_exit = True
