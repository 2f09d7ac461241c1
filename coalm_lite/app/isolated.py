"""An engine in a process of its own: whatever native code does there, the app goes on.

The process is a child of this one (worker.py). One that aborts, is killed or hangs is an `EngineCrashed` for the
requests that it had; the next request starts a fresh one, and waits until its model is loaded. No native code of the
engine runs here, so tokens are the child's work too.
"""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue

from coalm_lite.app.answering import Tell, events_of
from coalm_lite.app.child import LOOK_S, Child, Hear
from coalm_lite.app.desks import DeskState
from coalm_lite.app.messages import Ask, Loaded, Open, Ready, Stop, Tokenize, Value, frame, packed, unpacked
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.sent_grammars import SentGrammars
from coalm_lite.app.tally import Tally
from coalm_lite.decoding.prefix import Outcome
from coalm_lite.decoding.requests import Failed, Generated, Piece, Request
from coalm_lite.errors import CoalmError, DecodingError, UsageError
from coalm_lite.runtime.base import Cancel, Cancelled
from coalm_lite.runtime.one_thread import ClosedAtExit
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.types import ModelInfo, Prompt

DEFAULT_HANG_S = 60.0


class IsolatedDesk(ClosedAtExit):
    """An `AppDesk` whose engine is in a child process; made when its model is loaded there.

    `hang_s`: how long native code may stand still while there is work, before the child is ended. Requests with a
    `sampler` of their own are refused: it could not be asked from there. A desk that nobody holds any more, and one
    that is open at the program's end, is closed.
    """

    def __init__(self, spec: ModelSpec, prefixes: SnapshotFolder | None = None, hang_s: float = DEFAULT_HANG_S) -> None:
        """Raises the errors of loading, EngineCrashed among them."""
        self._children = _Children(Open(spec, prefixes), hang_s)
        self._prefixes = prefixes
        self._close = weakref.finalize(self, self._children.close)
        try:
            loaded: Loaded = self._children.opened()
        except BaseException:
            self._close()
            raise
        self._info, self._sequences = loaded.info, loaded.sequences

    @property
    def info(self) -> ModelInfo:
        """The engine's."""
        return self._info

    @property
    def pid(self) -> int | None:
        """The child's process number, for whoever watches processes; None while there is no child."""
        return self._children.pid

    @property
    def state(self) -> DeskState:
        """How busy it is, and what it did."""
        return self._children.state(self._sequences)

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The engine's tokens; a round trip of a fraction of a millisecond."""
        data = self._children.run(lambda number: frame(Tokenize(number, prompt)), Cancel())
        assert isinstance(data, bytes)
        return unpacked(data)

    def answer(self, request: Request) -> Generator[Piece | Generated, None, None]:
        """The answer's events, asked for at the first `next`; raises EngineCrashed when the child ends before."""
        yield from events_of(request, self._children.submit, self._children.look, LOOK_S)

    def ready(self, block: Sequence[int], cancel: Cancel) -> Outcome:
        """As `SharedDesk.ready`, in the child."""
        if self._prefixes is None:
            return "off"
        outcome: Outcome = self._children.run(lambda number: frame(Ready(number, packed(block))), cancel)  # type: ignore[assignment]
        return outcome

    def close(self) -> None:
        """End the child, and the answers in work."""
        self._close()


class _Children:
    """One child after the other, and what goes to them."""

    def __init__(self, opening: Open, hang_s: float) -> None:
        self._opening = opening
        self._hang_s = hang_s
        self._gate = threading.Lock()
        self._child: Child | None = None
        self._grammars = SentGrammars()
        self._loaded = False
        self._started = 0
        self._closed: CoalmError | None = None
        self._counting = threading.Lock()
        self._tally = Tally()
        self._answers = 0  # in work, or waiting for it

    def opened(self) -> Loaded:
        """The first child's model, loaded."""
        box: SimpleQueue[Value | Failed | None] = SimpleQueue()
        self._running(box.put)
        loaded = self._outcome(box)
        assert isinstance(loaded, Loaded)
        return loaded

    @property
    def pid(self) -> int | None:
        child = self._child
        return None if child is None or child.ended else child.pid

    def state(self, sequences: int) -> DeskState:
        with self._counting:
            answering = min(self._answers, sequences)
            loaded = self.pid is not None and self._loaded
            return self._tally.state(
                loaded, sequences, self._answers - answering, answering, restarts=max(0, self._started - 1)
            )

    def submit(self, request: Request, tell: Tell) -> None:
        """Send a request; UsageError for what cannot be sent."""
        if request.sampler is not None:
            raise UsageError(
                "a request with a sampler of its own cannot go to an engine in another process",
                "Use Sampling, or a desk that is not isolated.",
            )
        prompt, recorded = packed(request.prompt), packed(request.recorded)

        def messages(number: int) -> list[bytes]:
            sent, key = self._grammars.sent(request.grammar)
            return [*sent, frame(Ask(number, prompt, request.sampling, key, request.drafts, recorded, request.pieces))]

        def hear(said: str | Generated | Failed) -> None:
            event = Piece(said) if isinstance(said, str) else said
            if not isinstance(event, Piece):
                self._ended(event)
            tell(event)

        with self._counting:
            self._answers += 1
        try:
            child, number = self._ask(messages, hear)
        except BaseException:
            with self._counting:
                self._answers -= 1
            raise
        request.cancel.tell(lambda: child.send(Stop(number)))

    def _ended(self, event: Generated | Failed) -> None:
        with self._counting:
            self._answers -= 1
            self._tally.count(event)

    def run(self, make: Callable[[int], bytes], cancel: Cancel) -> object:
        """An errand's value; Cancelled when that is set before."""
        box: SimpleQueue[Value | Failed | None] = SimpleQueue()
        child, number = self._ask(lambda number: [make(number)], box.put)

        def stop() -> None:
            child.send(Stop(number))
            box.put(None)

        cancel.tell(stop)
        try:
            return self._outcome(box)
        finally:
            cancel.forget(stop)

    def look(self) -> None:
        """Whether the child gets on."""
        child = self._child
        if child is not None:
            child.look()

    def close(self) -> None:
        """End the child; whoever waits or comes is told."""
        with self._gate:
            self._closed = self._closed or DecodingError("the engine was closed", "Open the model again.")
            child = self._child
        if child is not None:
            child.close(self._closed)

    def _outcome(self, box: SimpleQueue[Value | Failed | None]) -> object:
        while True:
            try:
                said = box.get(timeout=LOOK_S)
            except Empty:
                self.look()
                continue
            if said is None:
                raise Cancelled
            if isinstance(said, Failed):
                raise said.error
            return said.value

    def _ask(self, make: Callable[[int], list[bytes]], hear: Hear) -> tuple[Child, int]:
        """Send to the child that runs; if it has ended just now, to the next."""
        while True:
            child = self._running(lambda said: None)
            number = child.ask(make, hear)
            if number:
                return child, number

    def _running(self, hear_opening: Callable[[Value | Failed], object]) -> Child:
        """The child, started if there is none; it is loading then, and takes requests."""

        def hear(said: Value | Failed) -> None:
            self._loaded = isinstance(said, Value)
            hear_opening(said)

        with self._gate:
            if self._closed is not None:
                raise copy.copy(self._closed)
            if self._child is None or self._child.ended:
                self._loaded = False
                self._grammars = SentGrammars()
                self._child = Child(self._opening, self._hang_s, hear)
                self._started += 1
            return self._child
