"""The socket that is served on: what is answered goes out at once, and a port that cannot be had is told."""

from __future__ import annotations

import asyncio
import socket

import pytest

from coalm_lite.app.server.running import address_of, bound_socket
from coalm_lite.errors import UsageError


async def _delay_is_off(listening: socket.socket) -> bool:
    """TCP_NODELAY of a connection that asyncio accepted on the socket."""
    found: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = writer.get_extra_info("socket")
        found.set_result(bool(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    server = await asyncio.start_server(accepted, sock=listening)
    async with server:
        _, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        writer.close()
        return await asyncio.wait_for(found, 10)


def test_an_answer_does_not_wait_until_its_head_was_received() -> None:
    with bound_socket("127.0.0.1", 0) as listening:
        assert asyncio.run(_delay_is_off(listening))


def test_a_port_that_is_taken_is_told_with_the_way_out() -> None:
    with bound_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}") as told:
            bound_socket("127.0.0.1", port)
    assert "--port 0" in str(told.value.hint)


def test_an_address_of_the_whole_machine_is_told_as_loopback() -> None:
    with bound_socket("0.0.0.0", 0) as listening:
        assert address_of(listening).startswith("http://127.0.0.1:")
