"""The wire between the app and the engine's process: whole messages, however the pipe cuts them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from coalm_lite.app.messages import Ask, Wire, frame, packed, unpacked
from coalm_lite.types import Sampling


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_messages_of_any_size_come_whole_and_in_order_also_from_several_threads(pipe: tuple[int, int]) -> None:
    wire = Wire(*pipe)
    tokens = [*range(100_000)]
    sent = [Ask(number, packed(tokens[: number * 7919]), Sampling(), None, True, b"") for number in range(1, 9)]

    def write(messages: list[Ask]) -> None:
        for message in messages:
            wire.write(frame(message))

    writers = [threading.Thread(target=write, args=(part,)) for part in (sent[:4], sent[4:])]
    for writer in writers:
        writer.start()
    found = [wire.read() for _ in sent]
    for writer in writers:
        writer.join()
    assert sorted(found, key=lambda message: message.number) == sent  # type: ignore[attr-defined]
    assert unpacked(found[-1].prompt) == tokens[: found[-1].number * 7919]  # type: ignore[attr-defined]


def test_a_wire_that_ends_says_so_also_in_the_middle_of_a_message(pipe: tuple[int, int]) -> None:
    read_fd, write_fd = pipe
    framed = frame(("one", 2))
    os.write(write_fd, framed + framed[:-3])
    os.close(write_fd)
    wire = Wire(read_fd, write_fd)
    assert wire.read() == ("one", 2)
    with pytest.raises(EOFError):
        wire.read()


def test_a_wire_that_nobody_reads_is_an_error(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        Wire(*pipe).write(frame("words"))
