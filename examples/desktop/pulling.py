"""Listing and pulling models off the window's thread. A pull that is stopped keeps what came, for the next one."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Event, Thread

from PySide6.QtCore import QObject, Signal

from coalm_lite.hub.client import HubClient
from coalm_lite.hub.progress import Progress
from coalm_lite.pull.fetch import fetch
from coalm_lite.pull.licenses import accept
from coalm_lite.pull.plan import PullPlan, gigabytes, plan_pull
from coalm_lite.store.cache import HubCache
from offers import offers
from talk import told

_STAGES = {"fetching": "fetching", "hashing": "checking", "waiting": "waiting", "converting": "building"}


class _StoppedError(Exception):
    """The user stopped the pull."""


class Listing(QObject):
    """The models to choose from, read on a thread of its own."""

    found = Signal(object)  # list[Offer]
    failed = Signal(object)  # a CoalmError

    def start(self) -> None:
        """Read them; a signal follows."""
        Thread(target=self._run, name="list models", daemon=True).start()

    def _run(self) -> None:
        try:
            found = offers()
        except Exception as error:  # as below
            self.failed.emit(told(error))
        else:
            self.found.emit(found)


class Pull(QObject):
    """One pull. `licence_asked` waits for `answer`; one of done, failed and stopped comes last.

    A daemon thread, since a dead network can hold it for a while after it was stopped and the app must be able to end:
    a pull survives that at any moment.
    """

    planned = Signal(str)  # what will be fetched
    licence_asked = Signal(str)
    progressed = Signal(int, str)  # thousandths, words
    told = Signal(str)
    done = Signal(str)  # the model's name
    failed = Signal(object)  # a CoalmError
    stopped = Signal()

    def __init__(self, name: str) -> None:
        super().__init__()  # without a parent: its thread may outlive the dialog
        self._name = name
        self._stop = Event()
        self._consent: Future[bool] = Future()

    def start(self) -> None:
        """Begin."""
        Thread(target=self._run, name=f"pull {self._name}", daemon=True).start()

    def stop(self) -> None:
        """End it soon; `stopped` follows."""
        self._stop.set()
        self.answer(False)

    def answer(self, accepted: bool) -> None:
        """Whether the licence is accepted."""
        if not self._consent.done():
            self._consent.set_result(accepted)

    def _run(self) -> None:
        try:
            name = self._pulled()
        except _StoppedError:
            self.stopped.emit()
        except Exception as error:  # whatever went wrong, the dialog must not wait for ever
            if self._stop.is_set():
                self.stopped.emit()
            else:
                self.failed.emit(told(error))
        else:
            self.done.emit(name)

    def _pulled(self) -> str:
        client, cache = HubClient(tell=self._tell), HubCache.of_user()
        plan = plan_pull(self._name, client, cache)
        plan.check()
        self.planned.emit(f"{plan.remote.path}, {gigabytes(plan.remote.size_bytes)}, from {plan.remote.repository}")
        self._agree(plan)
        return fetch(plan, client, cache, self._report, self._tell).manifest.name

    def _agree(self, plan: PullPlan) -> None:
        if plan.needs_consent:
            self.licence_asked.emit(plan.license)
            if not self._consent.result():
                raise _StoppedError
            accept(plan.license)

    def _tell(self, text: str) -> None:
        self._check_stop()
        self.told.emit(text)

    def _report(self, progress: Progress) -> None:
        self._check_stop()
        if progress.note:
            self.told.emit(progress.note)
        else:
            share = 1000 * progress.done_bytes // max(progress.total_bytes, 1)
            self.progressed.emit(share, words_of(progress))

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise _StoppedError


def words_of(progress: Progress) -> str:
    """`fetching 1.97 GB of 4.92 GB, 11.2 MB/s, 4 min left`, as far as it is known."""
    words = f"{_STAGES[progress.stage]} {gigabytes(progress.done_bytes)} of {gigabytes(progress.total_bytes)}"
    if progress.bytes_per_s:
        words += f", {progress.bytes_per_s / 1e6:.1f} MB/s"
    left = progress.seconds_left
    if left and left >= 1:
        words += f", {left:.0f} s left" if left < 100 else f", {left / 60:.0f} min left"
    return words
