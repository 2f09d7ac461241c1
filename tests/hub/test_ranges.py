"""Parts of a file by range: the right bytes or an error, few requests, no byte twice, on a hub that does all wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from coalm_lite.errors import HubError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.places import HubPlace
from coalm_lite.hub.ranges import RangeReader
from tests.hub.conftest import KEY, MODEL, MODEL_BYTES, QUICK, REPOSITORY, content
from tests.hub.hub_server import Hub, Refusal

SIZE = len(MODEL_BYTES)


@pytest.fixture
def said() -> list[str]:
    """What a user was told of waits."""
    return []


@pytest.fixture
def reader(hub: Hub, said: list[str]) -> Iterator[RangeReader]:
    client = HubClient(waits=QUICK, tell=said.append)
    remote = client.find(HubPlace(REPOSITORY, MODEL))
    hub.requests.clear()
    hub.callers.clear()
    with client.reading() as read:
        yield read(remote)


def read(reader: RangeReader, offset: int, *sizes: int) -> bytes:
    pieces = list(reader.pieces(offset, sizes))
    assert [len(piece) for piece in pieces] == list(sizes)
    return b"".join(pieces)


def test_many_pieces_are_one_request_of_exactly_their_bytes(hub: Hub, reader: RangeReader) -> None:
    assert read(reader, 1000, 7, 0, 100_000, 93) == MODEL_BYTES[1000:101_100]
    assert [(request.where, request.range) for request in hub.requests] == [
        ("resolve", "bytes=1000-101099"),
        ("cdn", "bytes=1000-101099"),
    ]
    assert hub.body_bytes_sent() == 100_100
    assert (reader.name, reader.size_bytes) == (KEY, SIZE)


def test_connections_are_used_again(hub: Hub, reader: RangeReader) -> None:
    for offset in range(5):
        read(reader, offset, 1000, 1000)
    assert hub.connections() == 2, "one to the hub, one to its storage"


def test_a_piece_stays_as_it_is_when_the_next_one_is_read(reader: RangeReader) -> None:
    pieces = reader.pieces(0, [50_000, 50_000])
    first = next(pieces)
    next(pieces)
    assert first == MODEL_BYTES[:50_000]


def test_what_nobody_takes_is_not_read(hub: Hub, reader: RangeReader) -> None:
    hub.faults.bytes_per_s = 50_000_000
    pieces = reader.pieces(0, [1000, SIZE - 1000])
    next(pieces)
    pieces.close()
    assert read(reader, 0, 10) == MODEL_BYTES[:10]


def test_nothing_is_a_part_of_any_file(hub: Hub, reader: RangeReader) -> None:
    assert read(reader, SIZE) == b""
    assert hub.requests == []
    with pytest.raises(HubError, match=f"bytes up to {SIZE + 1} were asked for, and the file has {SIZE}"):
        read(reader, SIZE, 1)


@pytest.mark.parametrize("seed", range(10))
def test_a_connection_cut_anywhere_goes_on_where_it_stopped(
    hub: Hub, reader: RangeReader, said: list[str], seed: int
) -> None:
    chance = random.Random(seed)
    hub.faults.cut_after += [chance.randrange(60_000) for _ in range(6)]
    sizes = [chance.randrange(1, 40_000) for _ in range(9)]
    assert read(reader, 5, *sizes) == MODEL_BYTES[5 : 5 + sum(sizes)]
    assert hub.body_bytes_sent() == sum(sizes), "no byte came twice"
    assert said


def test_a_server_that_always_cuts_before_the_first_byte_is_given_up(hub: Hub, reader: RangeReader) -> None:
    hub.faults.cut_after += [0] * 99
    with pytest.raises(HubError):
        read(reader, 0, 10)
    assert len(hub.faults.cut_after) == 99 - QUICK.tries


@pytest.mark.parametrize(
    "refusals",
    [
        [Refusal(429, headers={"Retry-After": "0"})] * 3,
        [Refusal(503), Refusal(503, "cdn")],
        [Refusal(403, "cdn")] * 3,
    ],
    ids=["slow down", "in trouble", "the storage address ran out"],
)
def test_a_refusal_that_may_pass_is_waited_for(hub: Hub, reader: RangeReader, refusals: list[Refusal]) -> None:
    hub.faults.refusals += refusals
    assert read(reader, 77, 1000) == MODEL_BYTES[77:1077]
    assert len([request for request in hub.requests if request.where == "resolve"]) == len(refusals) + 1


def test_a_refusal_that_will_not_pass_is_told_at_once(hub: Hub, reader: RangeReader) -> None:
    hub.repositories[REPOSITORY].gated = True
    with pytest.raises(HubError, match="is gated: it needs a token"):
        read(reader, 0, 10)
    assert len(hub.requests) == 1


def test_a_file_that_changed_is_never_spliced(hub: Hub, reader: RangeReader) -> None:
    pieces = reader.pieces(0, [1000, 200_000])
    hub.faults.cut_after.append(50_000)
    next(pieces)
    hub.replace(KEY, content(SIZE, "newer"))
    hub.faults.forget_history = True  # a mirror that gives the newest file at an old commit's address
    with pytest.raises(HubError, match=f"{MODEL} changed on the Hub while it was fetched"):
        next(pieces)


def test_the_pinned_commit_is_read_however_the_branch_moves(hub: Hub, reader: RangeReader) -> None:
    hub.replace(KEY, content(SIZE, "newer"))
    assert read(reader, 3, 500) == MODEL_BYTES[3:503]


def test_a_server_without_ranges_can_only_give_the_beginning(hub: Hub, reader: RangeReader) -> None:
    hub.faults.ignore_ranges = True
    assert read(reader, 0, 500, 500) == MODEL_BYTES[:1000]
    with pytest.raises(HubError, match="the server gives whole files and no parts of them") as caught:
        read(reader, 1, 500)
    assert f"hf download {REPOSITORY}" in caught.value.hint


def test_another_part_than_the_one_asked_for_is_not_taken(hub: Hub, reader: RangeReader) -> None:
    hub.faults.shift_ranges = 4
    with pytest.raises(HubError, match="another part came than the one that was asked for"):
        read(reader, 10, 500)


def test_another_length_than_the_hub_named_is_an_error(hub: Hub, reader: RangeReader) -> None:
    hub.faults.told_extra_bytes = 3
    with pytest.raises(HubError, match=f"the Hub named {SIZE} bytes, its storage has {SIZE + 3}"):
        read(reader, 10, 500)
