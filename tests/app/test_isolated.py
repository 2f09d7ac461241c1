"""The isolated desk: the engine's process may end in any way, and the app goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from coalm_lite.app import child
from coalm_lite.app.desks import AppDesk
from coalm_lite.app.isolated import IsolatedDesk
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.shared import SharedDesk
from coalm_lite.decoding.prefix import ready_prefix
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.errors import ContextFullError, DecodingError, EngineCrashed, ModelError, UsageError
from coalm_lite.runtime.base import Cancel, Cancelled
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.types import Sampling, Segment
from tests.app.conftest import SAID, asked, endless
from tests.app.faulty_worker import ABORTS, FAILS, HANGS, PRINTS, SLOW, WRONG
from tests.app.test_shared import SOON_S, in_work, text_of, until
from tests.decoding.one_of import OneOf

ROOT = Path(__file__).parents[2]


def spec_of(path: Path) -> ModelSpec:
    return ModelSpec(path=path, threads=1, sequences=4, room_tokens=8192)


@pytest.fixture
def isolated(nano_path: Path) -> Iterator[IsolatedDesk]:
    with IsolatedDesk(spec_of(nano_path)) as opened:
        yield opened


@pytest.fixture
def faulty(nano_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedDesk]:
    """A desk whose engine goes wrong where it is asked to, and is soon found to hang."""
    monkeypatch.setattr(child, "WORKER", "tests.app.faulty_worker")
    monkeypatch.setattr(child, "LOOK_S", 0.02)  # so often that it is also asked while it imports what it needs
    monkeypatch.setattr("coalm_lite.app.isolated.LOOK_S", 0.02)
    with IsolatedDesk(spec_of(nano_path)) as opened:
        first = opened._children._child
        assert first is not None
        first._hang_s = 1.0  # only now: on a busy machine a library may take longer to import
        yield opened


def wrong(fault: int) -> Request:
    """A request at which the faulty engine goes wrong so."""
    return Request([fault, 6, 7, WRONG, fault], Sampling(max_tokens=3))  # no beginning in common


def crash_of(call: Callable[[], object]) -> EngineCrashed:
    with pytest.raises(EngineCrashed) as caught:
        call()
    return caught.value


def test_answers_and_tokens_are_those_of_an_engine_of_this_process(isolated: IsolatedDesk, desk: SharedDesk) -> None:
    expected = [text_of(desk, asked(desk, words)) for words in SAID]
    with ThreadPoolExecutor(len(SAID)) as threads:
        found = [*threads.map(lambda words: [text_of(isolated, asked(isolated, words)) for _ in range(2)], SAID)]
    assert found == [[text] * 2 for text in expected]
    assert isolated.info == desk.info
    assert isinstance(isolated, AppDesk)
    state = isolated.state
    assert (state.answered, state.failed, state.waiting, state.answering, state.restarts) == (16, 0, 0, 0, 0)
    assert state.loaded
    request = replace(asked(desk, SAID[0]), sampling=Sampling(temperature=0.7, seed=3, max_tokens=30))
    assert text_of(isolated, request) == text_of(desk, request)


def test_an_answer_whose_pieces_nobody_reads_comes_at_its_end_alone(isolated: IsolatedDesk) -> None:
    request = asked(isolated, SAID[0])
    (end,) = isolated.answer(replace(request, pieces=False))
    assert isinstance(end, Generated)
    assert end.text == text_of(isolated, request)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
def test_a_child_that_is_ended_in_mid_answer_is_an_error_of_all_in_work_and_the_next_request_works(
    isolated: IsolatedDesk, how: signal.Signals
) -> None:
    expected = text_of(isolated, asked(isolated, SAID[0]))
    requests = [endless(isolated, words) for words in SAID[:6]]  # two of them wait
    with ThreadPoolExecutor(6) as threads:
        running = [threads.submit(text_of, isolated, each) for each in requests]
        assert in_work(isolated, 6)
        assert isolated.pid is not None
        os.kill(isolated.pid, how)
        for each in running:
            error = each.exception(SOON_S)
            assert isinstance(error, EngineCrashed)
            assert f"the engine's process was ended by {how.name}" in error.message
            assert "The next request starts a fresh engine" in error.hint
    assert text_of(isolated, asked(isolated, SAID[0])) == expected
    assert (isolated.state.restarts, isolated.state.failed) == (1, 6)


def test_an_abort_of_llama_cpp_leaves_its_words_in_the_log(faulty: IsolatedDesk) -> None:
    error = crash_of(lambda: text_of(faulty, wrong(ABORTS)))
    assert error.ending.startswith("was ended by SIGABRT")
    assert any("GGML_ASSERT(all is well) failed" in line for line in error.log)
    assert any("faulty_worker.py" in line for line in error.log)  # where Python was
    assert text_of(faulty, asked(faulty, SAID[0]))


def test_native_code_that_stands_still_is_found_though_the_childs_threads_live(faulty: IsolatedDesk) -> None:
    error = crash_of(lambda: text_of(faulty, wrong(HANGS)))
    assert error.ending == "was stopped, since it did nothing more for 1 s"
    assert text_of(faulty, asked(faulty, SAID[0]))


def all_halted(process: psutil.Process) -> bool:
    """Whether each of its threads stands still: they stop one after the other."""
    threads = [each.id for each in process.threads()] if sys.platform == "linux" else [process.pid]
    return all(psutil.Process(each).status() == psutil.STATUS_STOPPED for each in threads)


def test_a_child_that_is_halted_whole_is_found_too_and_by_those_who_want_tokens(faulty: IsolatedDesk) -> None:
    assert faulty.pid is not None
    os.kill(faulty.pid, signal.SIGSTOP)
    assert until(lambda: all_halted(psutil.Process(faulty.pid)))
    error = crash_of(lambda: faulty.tokenize((Segment("a hotel"),)))
    assert "did nothing more" in error.message
    assert faulty.tokenize((Segment("a hotel"),))


def test_native_code_that_takes_long_and_gets_on_is_left_alone(faulty: IsolatedDesk) -> None:
    assert text_of(faulty, wrong(SLOW))  # twice the time after which one that stands still is ended
    assert faulty.state.restarts == 0


def test_an_engine_that_fails_in_python_is_replaced(faulty: IsolatedDesk) -> None:
    with pytest.raises(DecodingError, match="the engine failed: ZeroDivisionError: of the engine"):
        text_of(faulty, wrong(FAILS))
    assert until(lambda: faulty.pid is None)
    assert text_of(faulty, asked(faulty, SAID[0]))
    assert faulty.state.restarts == 1


def test_what_a_library_prints_reaches_neither_the_wire_nor_our_streams(
    faulty: IsolatedDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    assert text_of(faulty, wrong(PRINTS))
    error = crash_of(lambda: text_of(faulty, wrong(ABORTS)))
    assert {"words of a library", "more of its words"} <= {*error.log}
    assert capfd.readouterr() == ("", "")


def test_a_child_that_ended_while_it_had_nothing_to_do_is_nobodys_error(isolated: IsolatedDesk) -> None:
    assert isolated.pid is not None
    os.kill(isolated.pid, signal.SIGKILL)
    assert until(lambda: isolated.pid is None)
    assert not isolated.state.loaded
    assert text_of(isolated, asked(isolated, SAID[0]))
    assert isolated.state.loaded


def test_a_cancel_ends_an_answer_also_while_a_fresh_child_loads(isolated: IsolatedDesk) -> None:
    request = endless(isolated)
    answer = isolated.answer(request)
    next(answer)
    request.cancel.set()
    *_, last = answer
    assert isinstance(last, Generated)
    assert last.reason == "cancelled"
    assert in_work(isolated, 0)
    assert isolated.pid is not None
    os.kill(isolated.pid, signal.SIGKILL)
    assert until(lambda: isolated.pid is None)
    request = replace(request, cancel=Cancel())
    answer = isolated.answer(request)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(lambda: [*answer])
        assert until(lambda: isolated.pid is not None)
        assert isolated.pid is not None
        os.kill(isolated.pid, signal.SIGSTOP)  # it will not get as far as to hear of it
        request.cancel.set()
        (last,) = running.result(SOON_S)
    assert isinstance(last, Generated)
    assert (last.reason, last.text) == ("cancelled", "")


def test_closing_a_generator_frees_its_lane_in_the_child(isolated: IsolatedDesk) -> None:
    for _ in range(12):  # three times as many as there are lanes
        answer = isolated.answer(endless(isolated))
        next(answer)
        answer.close()
    assert in_work(isolated, 0)
    assert isolated.state.cancelled == 12


def test_closing_the_desk_ends_child_and_answers(isolated: IsolatedDesk) -> None:
    pid = isolated.pid
    requests = [endless(isolated, words) for words in SAID[:3]]
    with ThreadPoolExecutor(5) as threads:
        running = [threads.submit(text_of, isolated, each) for each in requests]
        assert in_work(isolated, 3)
        for closing in [threads.submit(isolated.close) for _ in range(2)]:
            closing.result(SOON_S)
        for each in running:
            with pytest.raises(DecodingError, match="the engine was closed"):
                each.result(SOON_S)
    assert pid is not None
    assert not psutil.pid_exists(pid)
    for call in (lambda: text_of(isolated, requests[0]), lambda: isolated.tokenize((Segment("x"),))):
        with pytest.raises(DecodingError, match="the engine was closed"):
            call()
    assert not isolated.state.loaded


def test_a_halted_child_can_be_closed(isolated: IsolatedDesk) -> None:
    pid = isolated.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    isolated.close()
    assert not psutil.pid_exists(pid)


def test_errors_of_a_request_come_as_they_are(isolated: IsolatedDesk) -> None:
    good = asked(isolated, SAID[0])
    for request, error in (
        (replace(good, prompt=[*good.prompt] * 40), ContextFullError),
        (replace(good, sampling=Sampling(temperature=-1)), UsageError),
        (replace(good, prompt=[-1]), DecodingError),
        (replace(good, grammar="root ::= ("), DecodingError),
    ):
        with pytest.raises(error) as caught:
            text_of(isolated, request)
        assert type(caught.value) is error
    with pytest.raises(ContextFullError) as caught:
        text_of(isolated, replace(good, prompt=[*good.prompt] * 40))
    assert "--context" in caught.value.hint
    with pytest.raises(ModelError, match="no special token"):
        isolated.tokenize((Segment("<|nothing|>", marker=True),))
    assert text_of(isolated, good)


def test_what_cannot_be_sent_is_said(isolated: IsolatedDesk) -> None:
    good = asked(isolated, SAID[0])
    with pytest.raises(UsageError, match="a sampler of its own cannot go to an engine in another process"):
        text_of(isolated, replace(good, sampler=Sampler(Sampling())))

    class Local(OneOf):
        pass

    with pytest.raises(UsageError, match="a Local cannot go to an engine in another process"):
        text_of(isolated, replace(good, grammar=Local(("one", "two"))))
    assert text_of(isolated, replace(good, grammar=OneOf(("one", "two")))) in ("one", "two")
    assert text_of(isolated, replace(good, grammar='root ::= "three"')) == "three"
    assert in_work(isolated, 0)


def test_what_cannot_be_loaded_is_an_error_at_the_opening_and_at_a_restart(nano_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "nano.gguf"
    with pytest.raises(ModelError, match="there is no model file"):
        IsolatedDesk(spec_of(path))
    shutil.copy(nano_path, path)
    with IsolatedDesk(spec_of(path)) as opened:
        request = asked(opened, SAID[0])
        expected = text_of(opened, request)
        path.rename(tmp_path / "elsewhere.gguf")
        assert opened.pid is not None
        os.kill(opened.pid, signal.SIGKILL)
        assert until(lambda: opened.pid is None)
        with pytest.raises(ModelError, match="there is no model file"):
            text_of(opened, request)
        (tmp_path / "elsewhere.gguf").rename(path)
        assert until(lambda: opened.pid is None)
        assert text_of(opened, request) == expected


def test_a_beginning_on_disk_is_restored_by_a_fresh_child(nano_path: Path, tmp_path: Path) -> None:
    folder, block = SnapshotFolder(tmp_path), [*range(100, 300)] * 4
    with LlamaEngine.load(nano_path, threads=1) as engine:
        assert ready_prefix(engine, block, folder, Cancel(), 0.0) == "saved"
    with IsolatedDesk(spec_of(nano_path), folder) as opened:
        assert opened.ready(block, Cancel()) == "restored"
        assert opened.ready(block, Cancel()) == "held"
        cancelled = Cancel()
        cancelled.set()
        with pytest.raises(Cancelled):
            opened.ready(block, cancelled)


def test_an_interrupt_of_the_terminal_is_the_parents_alone(isolated: IsolatedDesk) -> None:
    assert isolated.pid is not None
    assert os.getpgid(isolated.pid) != os.getpgid(0)
    os.kill(isolated.pid, signal.SIGINT)
    assert text_of(isolated, asked(isolated, SAID[0]))
    assert isolated.state.restarts == 0


PARENT = """
import sys
from pathlib import Path
from coalm_lite.app.isolated import IsolatedDesk
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.decoding.requests import Request
from coalm_lite.types import Sampling
print("a script without a guard for __main__", flush=True)
desk = IsolatedDesk(ModelSpec(path=Path(sys.argv[1]), threads=1))
answer = desk.answer(Request([5, 6, 7], Sampling(max_tokens=1500), 'root ::= [a-z] root'))
next(answer)
print(desk.pid, flush=True)
if sys.argv[2] == "waits":
    sys.stdin.read()
"""


def started(tmp_path: Path, nano_path: Path, what: str) -> tuple[subprocess.Popen[str], int]:
    """A program that has an isolated desk in mid-answer, and its child's number."""
    script = tmp_path / "app.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(nano_path), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout
    assert parent.stdout.readline() == "a script without a guard for __main__\n"
    return parent, int(parent.stdout.readline())


def gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody collects has."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_child_ends_with_a_parent_that_is_killed(tmp_path: Path, nano_path: Path) -> None:
    parent, pid = started(tmp_path, nano_path, "waits")
    with parent:
        assert not gone(pid)
        parent.kill()
        assert parent.wait(SOON_S) == -signal.SIGKILL
    assert until(lambda: gone(pid))


def test_a_program_ends_in_mid_answer_without_a_close_and_runs_once(tmp_path: Path, nano_path: Path) -> None:
    began = time.monotonic()
    parent, pid = started(tmp_path, nano_path, "ends")
    assert parent.communicate(timeout=SOON_S) == ("", "")
    assert parent.returncode == 0
    assert until(lambda: gone(pid))
    assert time.monotonic() - began < SOON_S
