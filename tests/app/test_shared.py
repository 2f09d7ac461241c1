"""The shared desk: any thread, several answers at once, and no way to hang, to mix answers or to free too early."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.app.desks import AppDesk
from coalm_lite.app.shared import SharedDesk
from coalm_lite.decoding.desk import Desk, EngineDesk
from coalm_lite.decoding.requests import Generated, Piece, Request
from coalm_lite.errors import ContextFullError, DecodingError, UsageError
from coalm_lite.runtime.base import Cancel, Cancelled, Stretch
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.types import Sampling, Segment
from tests.app.conftest import SAID, asked, endless

SOON_S = 30.0  # only what hangs takes longer


def text_of(desk: Desk, request: Request) -> str:
    """An answer's whole text; its pieces are that text."""
    *pieces, last = desk.answer(request)
    assert isinstance(last, Generated)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Piece)) == last.text
    return last.text


def in_work(desk: AppDesk, count: int) -> bool:
    """Whether so many requests came to be in work, or waiting for it."""
    return until(lambda: desk.state.answering + desk.state.waiting == count)


def until(condition: Callable[[], bool]) -> bool:
    """Whether it came true."""
    end = time.monotonic() + SOON_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


class HeldEngine(LlamaEngine):
    """coalm-nano whose batches wait, or fail, where a test wants it: `before` is called with each."""

    before: Callable[[Sequence[Stretch]], object] = staticmethod(lambda stretches: None)

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> list[object]:  # type: ignore[override]
        self.before(stretches)
        return super().compute(stretches, cancel)  # type: ignore[return-value]


@pytest.fixture
def held(nano_path: Path) -> Iterator[tuple[HeldEngine, SharedDesk]]:
    engine = HeldEngine.load(nano_path, threads=1, sequences=2, room_tokens=4096)
    with SharedDesk(engine) as opened:
        yield engine, opened
        engine.before = lambda stretches: None


def test_eight_threads_get_the_answers_that_one_would(desk: SharedDesk, nano_path: Path) -> None:
    with LlamaEngine.load(nano_path, threads=1) as engine:
        alone = EngineDesk(engine)
        expected = [text_of(alone, asked(alone, words)) for words in SAID]
    with ThreadPoolExecutor(len(SAID)) as threads:
        found = [*threads.map(lambda words: [text_of(desk, asked(desk, words)) for _ in range(3)], SAID)]
    assert found == [[text] * 3 for text in expected]
    assert isinstance(desk, AppDesk)
    state = desk.state
    assert (state.answered, state.waiting, state.answering) == (24, 0, 0)
    assert state.reused_tokens > 24 * 40  # the tools are computed once


def test_an_engine_of_one_lane_serves_in_the_order_of_asking() -> None:
    class SlowScript(ScriptedEngine):
        def prefill(self, tokens: Sequence[int], cancel: Cancel) -> object:  # type: ignore[override]
            begin.wait(SOON_S)
            return super().prefill(tokens, cancel)

    begin = threading.Event()
    with SharedDesk(SlowScript(["one", "two", "three"])) as opened, ThreadPoolExecutor(3) as threads:
        prompts = [opened.tokenize((Segment(words),)) for words in ("a", "b", "c")]
        running = []
        for count, prompt in enumerate(prompts, start=1):
            running.append(threads.submit(text_of, opened, Request(prompt)))
            assert in_work(opened, count)
        begin.set()
        assert [each.result(SOON_S) for each in running] == ["one", "two", "three"]


def test_a_cancel_ends_its_answer_and_no_other(desk: SharedDesk) -> None:
    one, other = endless(desk), asked(desk, SAID[0])
    expected = text_of(desk, other)
    answer = desk.answer(one)
    next(answer)
    one.cancel.set()
    *pieces, last = answer
    assert isinstance(last, Generated)
    assert last.reason == "cancelled"
    assert len(pieces) < 50
    assert last.text.endswith("".join(piece.text for piece in pieces if isinstance(piece, Piece)))
    assert text_of(desk, other) == expected
    assert desk.state.cancelled == 1


def test_a_cancel_does_not_wait_for_a_batch_of_others(held: tuple[HeldEngine, SharedDesk]) -> None:
    engine, desk = held
    release, together = threading.Event(), threading.Event()

    def hold(stretches: Sequence[Stretch]) -> None:
        if len(stretches) == 2:
            together.set()
            release.wait(SOON_S)

    engine.before = hold
    one, other = endless(desk, SAID[0]), endless(desk, SAID[1])
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(lambda each: [*desk.answer(each)][-1], each) for each in (one, other)]
        assert together.wait(SOON_S)
        one.cancel.set()
        last = running[0].result(SOON_S)
        assert not release.is_set()  # the engine is still in that batch
        assert isinstance(last, Generated)
        assert last.reason == "cancelled"
        other.cancel.set()
        running[1].result(SOON_S)
        release.set()
    assert in_work(desk, 0)


def test_closing_a_generator_drops_the_request_and_leaves_the_callers_cancel_alone(desk: SharedDesk) -> None:
    request = endless(desk)
    answer = desk.answer(request)
    next(answer)
    answer.close()
    assert in_work(desk, 0)
    assert not request.cancel.is_set
    answer = desk.answer(request)  # one that nobody begins is not asked for
    assert desk.state.waiting + desk.state.answering == 0
    del answer
    assert desk.state.cancelled == 1


def test_a_request_that_is_cancelled_before_it_is_asked_for_ends_at_once(desk: SharedDesk) -> None:
    request = endless(desk)
    request.cancel.set()
    (last,) = desk.answer(request)
    assert isinstance(last, Generated)
    assert (last.reason, last.text) == ("cancelled", "")


def test_an_error_of_a_request_is_its_own(desk: SharedDesk) -> None:
    good = asked(desk, SAID[0])
    expected = text_of(desk, good)
    too_long = replace(good, prompt=[*good.prompt] * 40)
    wrong = replace(good, sampling=Sampling(temperature=-1))
    unknown = replace(good, prompt=[-1])
    no_grammar = replace(good, grammar="root ::= (")
    with ThreadPoolExecutor(5) as threads:
        fine = [threads.submit(text_of, desk, good) for _ in range(2)]
        for request, error in (
            (too_long, ContextFullError),
            (wrong, UsageError),
            (unknown, DecodingError),
            (replace(good, prompt=["hotel"]), DecodingError),
            (replace(good, prompt=[1 << 40]), DecodingError),
            (no_grammar, DecodingError),
        ):
            with pytest.raises(error):
                text_of(desk, request)
        assert [each.result(SOON_S) for each in fine] == [expected] * 2
    assert desk.state.failed == 3  # the others were refused before they came in


def test_an_error_of_a_batch_ends_what_is_in_work_and_the_desk_goes_on(held: tuple[HeldEngine, SharedDesk]) -> None:
    engine, desk = held
    good = asked(desk, SAID[0])
    expected = text_of(desk, good)

    def fail(stretches: Sequence[Stretch]) -> None:
        if len(stretches) == 2:
            raise DecodingError("llama.cpp failed to compute")

    engine.before = fail
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(text_of, desk, endless(desk, words)) for words in SAID[:2]]
        for each in running:
            with pytest.raises(DecodingError, match="failed to compute"):
                each.result(SOON_S)
    engine.before = lambda stretches: None
    assert text_of(desk, good) == expected


def test_what_nobody_foresaw_ends_all_answers_and_is_told_to_later_ones(held: tuple[HeldEngine, SharedDesk]) -> None:
    engine, desk = held
    good = asked(desk, SAID[0])

    def fail(stretches: Sequence[Stretch]) -> None:
        if len(stretches) == 2:
            raise ZeroDivisionError("of the engine")

    engine.before = fail
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(text_of, desk, endless(desk, words)) for words in SAID[:2]]
        for each in running:
            with pytest.raises(DecodingError, match="the engine failed: ZeroDivisionError: of the engine"):
                each.result(SOON_S)
    with pytest.raises(DecodingError, match="ZeroDivisionError"):
        text_of(desk, good)
    with pytest.raises(DecodingError, match="ZeroDivisionError"):
        desk.tokenize((Segment("x"),))
    assert not desk.state.loaded


def test_closing_ends_the_answers_in_work_with_an_error_and_frees_the_engine(nano_path: Path) -> None:
    engine = LlamaEngine.load(nano_path, threads=1, sequences=2)
    desk = SharedDesk(engine)
    requests = [endless(desk, words) for words in SAID[:3]]
    with ThreadPoolExecutor(6) as threads:
        running = [threads.submit(text_of, desk, each) for each in requests]
        assert in_work(desk, 3)
        for closer in [threads.submit(desk.close) for _ in range(3)]:
            closer.result(SOON_S)
        for each in running:
            with pytest.raises(DecodingError, match="the engine was closed"):
                each.result(SOON_S)
    with pytest.raises(DecodingError, match="the engine is closed"):
        engine.tokenize((Segment("x"),))
    for call in (lambda: text_of(desk, requests[0]), lambda: desk.tokenize((Segment("x"),))):
        with pytest.raises(DecodingError, match="the engine was closed"):
            call()
    assert not desk.state.loaded


def test_closing_does_not_wait_for_the_batch_of_several_answers_to_be_computed(nano_path: Path) -> None:
    """Two prompts of 1,500 tokens are 6 batches; a close in their middle aborts the one that is running."""
    with SharedDesk(LlamaEngine.load(nano_path, threads=1, sequences=2, room_tokens=4096)) as desk:
        tokens = [*range(100, 300)] * 7
        requests = [Request([first, *tokens], Sampling(max_tokens=8)) for first in (5, 6)]
        with ThreadPoolExecutor(2) as threads:
            running = [threads.submit(text_of, desk, each) for each in requests]
            assert in_work(desk, 2)
            desk.close()
            for each in running:
                with pytest.raises(DecodingError, match="the engine was closed"):
                    each.result(SOON_S)


def test_tokens_are_read_while_answers_are_computed(held: tuple[HeldEngine, SharedDesk]) -> None:
    engine, desk = held
    release, inside = threading.Event(), threading.Event()

    def hold(stretches: Sequence[Stretch]) -> None:
        inside.set()
        release.wait(SOON_S)

    request = asked(desk, SAID[0])
    expected = desk.tokenize((Segment("a hotel"),))
    engine.before = hold
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(text_of, desk, request)
        assert inside.wait(SOON_S)
        assert desk.tokenize((Segment("a hotel"),)) == expected
        assert not running.done()
        release.set()
        running.result(SOON_S)


def test_a_desk_with_nothing_to_do_takes_no_time_of_the_processor(desk: SharedDesk) -> None:
    text_of(desk, asked(desk, SAID[0]))
    began = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - began < 0.25


def test_a_beginning_is_restored_between_answers_and_left_alone_beside_them(
    nano_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SnapshotFolder(tmp_path)
    monkeypatch.setattr("coalm_lite.decoding.prefix._WORTH_S", 0.0)
    block = [*range(100, 300)] * 4
    with LlamaEngine.load(nano_path, threads=1) as engine:  # another process's, with nothing else to do
        from coalm_lite.decoding.prefix import ready_prefix

        assert ready_prefix(engine, block, folder, Cancel(), 0.0) == "saved"
    with SharedDesk(LlamaEngine.load(nano_path, threads=1, sequences=2), folder) as desk:
        busy = endless(desk)
        answer = desk.answer(busy)
        next(answer)
        assert desk.ready(block, Cancel()) == "off"
        answer.close()
        assert in_work(desk, 0)
        assert desk.ready(block, Cancel()) == "restored"
        assert desk.ready(block, Cancel()) == "held"
        *_, last = desk.answer(Request([*block, 7, 8, 9], Sampling(max_tokens=2)))
        assert isinstance(last, Generated)
        assert last.timings.reused_tokens == len(block)


def test_a_beginning_that_is_computed_gives_way_to_a_request(nano_path: Path, tmp_path: Path) -> None:
    class Slow(LlamaEngine):
        def prefill(self, tokens: Sequence[int], cancel: Cancel) -> object:  # type: ignore[override]
            inside.set()
            assert until(lambda: cancel.is_set)
            return super().prefill(tokens, cancel)

    inside = threading.Event()
    with SharedDesk(Slow.load(nano_path, threads=1, sequences=2), SnapshotFolder(tmp_path)) as desk:
        request = asked(desk, SAID[0])
        with ThreadPoolExecutor(1) as threads:
            ahead = threads.submit(desk.ready, [*range(100, 300)] * 4, Cancel())
            assert inside.wait(SOON_S)
            assert text_of(desk, request)
            assert ahead.result(SOON_S) == "computed"
            inside.clear()
            cancel = Cancel()
            ahead = threads.submit(desk.ready, [*range(100, 300)] * 4, cancel)
            assert inside.wait(SOON_S)
            cancel.set()
            with pytest.raises(Cancelled):
                ahead.result(SOON_S)


def test_a_desk_that_nobody_holds_is_closed(nano_path: Path) -> None:
    engine = LlamaEngine.load(nano_path, threads=1)
    desk = SharedDesk(engine)
    text_of(desk, asked(desk, SAID[0]))
    del desk
    gc.collect()
    with pytest.raises(DecodingError, match="the engine is closed"):
        engine.tokenize((Segment("x"),))


def test_a_generator_keeps_its_desk(nano_path: Path) -> None:
    answer = SharedDesk(LlamaEngine.load(nano_path, threads=1)).answer(Request([5, 6, 7], Sampling(max_tokens=5)))
    gc.collect()
    assert isinstance([*answer][-1], Generated)


@pytest.mark.parametrize("held_by", ["desk, answer = open()", "answer = open()[1]"])
def test_a_program_ends_in_the_middle_of_an_answer_without_a_close(nano_path: Path, held_by: str) -> None:
    """Also when the thread is in native code of a grammar, which has a finalizer of its own."""
    code = f"""
import time
from pathlib import Path
from coalm_lite.app.shared import SharedDesk
from coalm_lite.decoding.requests import Request
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.llamacpp.constraint import LlamaConstraint
from coalm_lite.types import Sampling

accept = LlamaConstraint.accept
LlamaConstraint.accept = lambda *given: (time.sleep(0.05), accept(*given))[1]

def open():
    desk = SharedDesk(LlamaEngine.load(Path({str(nano_path)!r}), threads=1))
    answer = desk.answer(Request([5, 6, 7], Sampling(max_tokens=1500), 'root ::= [a-z] root'))
    return desk, answer

{held_by}
next(answer)
print("ended")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
