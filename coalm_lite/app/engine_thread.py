"""An engine and its scheduler on one thread, which alone uses them, and the ways in from others.

Requests and errands are handed in through one queue. Between two batches the thread takes what came, an errand's turn
being then as well; with nothing to do it sleeps. An error of a request is told to that request, one of a batch to all
that were in work, and anything unforeseen ends the thread, tells all of them, and whoever comes later.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeAlias, TypeVar

from coalm_lite.app.answering import Tell
from coalm_lite.app.desks import DeskState
from coalm_lite.app.prefixes import ready_among
from coalm_lite.app.tally import Tally
from coalm_lite.decoding.prefix import Outcome
from coalm_lite.decoding.requests import AnswerEvent, Failed, Piece, Request
from coalm_lite.decoding.scheduler import Scheduler
from coalm_lite.errors import CoalmError, DecodingError
from coalm_lite.runtime.base import Cancel, Cancelled, Engine, ManySequences, TokenizesBeside
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.types import Prompt

T = TypeVar("T")
logger = logging.getLogger("coalm_lite.app")
logger.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A request, and who hears its events."""

    request: Request
    tell: Tell


class _Errand(Generic[T]):
    """A function that the engine's thread is to run between two batches."""

    def __init__(self, job: Callable[[], T]) -> None:
        self._job = job
        self._outcome: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()

    def run(self) -> None:
        try:
            self._outcome.put((self._job(),))
        except BaseException as error:  # whatever it is, it is the asker's
            self._outcome.put(error)

    def fail(self, error: CoalmError) -> None:
        self._outcome.put(error)

    def wake(self) -> None:
        self._outcome.put(None)

    def result(self) -> T:
        """What the function gave; its error, or Cancelled after `wake`."""
        outcome = self._outcome.get()
        if outcome is None:
            raise Cancelled
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome[0]


_Entry: TypeAlias = "_Asked | _Errand[object] | None"  # None: close


def answers_of(engine: Engine, wanted: int | None) -> int:
    """How many answers at once: what is wanted, at most as many as the engine has sequences."""
    sequences = engine.sequences if isinstance(engine, ManySequences) else 1
    return min(wanted or sequences, sequences)


class EngineThread:
    """Works from its making to `close`, which frees the engine too. Every method is for any thread.

    `answers`: how many at once; None for all the sequences that the engine has.
    """

    def __init__(self, engine: Engine, prefixes: SnapshotFolder | None, answers: int | None = None) -> None:
        self._engine = engine
        self._prefixes = prefixes
        self.answers = answers_of(engine, answers)
        self._scheduler = Scheduler(engine, most=self.answers)
        self._inbox: SimpleQueue[_Entry] = SimpleQueue()
        self._gate = threading.Lock()  # held for a moment: around what follows
        self._in_work: dict[int, _Asked] = {}
        self._handed_in = 0  # requests that are still in the inbox
        self._computed_ahead: Cancel | None = None  # of a prefix that is computed just now, and gives way to requests
        self._end: CoalmError | None = None
        self._tally = Tally()
        self._texts = threading.Lock()  # while tokens are read beside the thread, the engine must not be freed
        self._thread = threading.Thread(target=self._work, name="coalm-lite-engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request, tell: Tell) -> None:
        """Take a request that `answering` checked; raises the thread's end once it has ended.

        `tell` hears its events on the engine's thread, and must neither wait nor raise.
        """
        with self._gate:
            self._check()
            self._handed_in += 1
            if self._computed_ahead is not None:
                self._computed_ahead.set()
            self._inbox.put(_Asked(request, tell))

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, without waiting for a batch where the engine allows that."""
        engine = self._engine
        if not isinstance(engine, TokenizesBeside):
            return self._call(lambda: engine.tokenize(prompt), Cancel())
        with self._texts:
            with self._gate:
                self._check()
            return engine.tokenize_beside(prompt)

    @property
    def reads_at_once(self) -> bool:
        """Whether `tokenize` does not wait for a batch."""
        return isinstance(self._engine, TokenizesBeside)

    def ready(self, block: Sequence[int], cancel: Cancel) -> Outcome:
        """As `Desk.ready`. "off" also where restoring would disturb others' answers, which then compute it."""
        if self._prefixes is None:
            return "off"
        return self._call(lambda: self._ready(block, cancel), cancel)

    @property
    def state(self) -> DeskState:
        """How busy it is, and what it did."""
        with self._gate:
            queued = self._scheduler.waiting
            waiting, answering = self._handed_in + queued, max(0, len(self._in_work) - queued)
            return self._tally.state(self._end is None, self.answers, waiting, answering)

    @property
    def batches(self) -> int:
        """How many batches were computed."""
        return self._scheduler.spent.batches

    def wait(self) -> None:
        """Until the thread has ended, by `close` or by itself."""
        self._thread.join()

    def close(self) -> None:
        """End what is in work, wait for the thread, free the engine; a second call does nothing more."""
        self._stop(DecodingError("the engine was closed", "Open the model again."))
        self._inbox.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _check(self) -> None:
        if self._end is not None:
            raise copy.copy(self._end)

    def _call(self, job: Callable[[], T], cancel: Cancel) -> T:
        errand = _Errand(job)
        cancel.tell(errand.wake)
        try:
            with self._gate:
                self._check()
                self._inbox.put(errand)  # type: ignore[arg-type]  # its own asker knows what it gives
            return errand.result()
        finally:
            cancel.forget(errand.wake)

    # On the thread

    def _work(self) -> None:
        end = DecodingError("the engine was closed", "Open the model again.")
        try:
            while self._take():
                self._step()
        except BaseException as error:
            logger.exception("the engine's thread ended")
            end = DecodingError(f"the engine failed: {type(error).__name__}: {error}", "Open the model again.")
        finally:
            self._stop(end)
            self._refuse_the_rest(end)
            self._scheduler.close()
            with self._texts:
                self._engine.close()

    def _take(self) -> bool:
        """Take what was handed in, waiting for it if there is nothing else to do; False when it is time to end."""
        while True:
            try:
                entry = self._inbox.get(block=not self._scheduler.busy)
            except Empty:
                return True
            if entry is None:
                return False
            if isinstance(entry, _Errand):
                entry.run()
            else:
                self._begin(entry)

    def _begin(self, asked: _Asked) -> None:
        with self._gate:
            self._handed_in -= 1
            if self._end is None:
                self._in_work[self._scheduler.submit(asked.request)] = asked
                return
        asked.tell(Failed(self._end))

    def _step(self) -> None:
        """One batch; an error of it is that of all in work, and the engine goes on with those that come."""
        try:
            for number, event in self._scheduler.step():
                self._tell(number, event)
        except CoalmError as error:
            self._scheduler.close()
            self._fail_all(error)

    def _tell(self, number: int, event: AnswerEvent) -> None:
        with self._gate:
            asked = self._in_work.get(number) if isinstance(event, Piece) else self._in_work.pop(number, None)
            if asked is not None:
                self._tally.count(event)
        if asked is not None:
            asked.tell(event)

    def _stop(self, end: CoalmError) -> None:
        """Let nothing more in, and end what is in work, the running batch too."""
        with self._gate:
            self._end = self._end or end
            in_work, ahead = [*self._in_work.values()], self._computed_ahead
        for asked in in_work:
            asked.request.cancel.set()
        if ahead is not None:
            ahead.set()
        self._fail_all(self._end)
        self._scheduler.abort.set()

    def _fail_all(self, error: CoalmError) -> None:
        with self._gate:
            in_work = [*self._in_work.values()]
            self._in_work.clear()
            for _ in in_work:
                self._tally.count(Failed(error))
        for asked in in_work:
            asked.tell(Failed(copy.copy(error)))  # each is raised in a thread of its own

    def _refuse_the_rest(self, end: CoalmError) -> None:
        while True:
            try:
                entry = self._inbox.get_nowait()
            except Empty:
                return
            if isinstance(entry, _Errand):
                entry.fail(end)
            elif entry is not None:
                self._begin(entry)

    def _ready(self, block: Sequence[int], cancel: Cancel) -> Outcome:
        cancel.check()
        own = Cancel()
        with self._gate:
            self._computed_ahead = own
            if self._handed_in or self._end is not None:
                own.set()
        cancel.tell(own.set)
        try:
            return ready_among(self._engine, block, self._prefixes, own, busy=self._scheduler.busy)
        except Cancelled:
            cancel.check()
            return "computed"  # as far as it went: the answer that waits goes on from there
        finally:
            cancel.forget(own.set)
            with self._gate:
                self._computed_ahead = None
