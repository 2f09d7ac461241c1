"""The engine's process: loads a model, answers what comes over standard input, until that ends.

Run as a program by `IsolatedDesk` (runtime/child_command.py, so in a frozen app too), never by hand. Standard input and
output are the wire (`messages`); whatever else is printed goes to standard error, which the parent keeps the end of.
When the parent is gone, however it went, the wire ends and so does this process, in the middle of whatever it does. A
process that forked from the parent and lives on keeps the wire open. Interrupts of the terminal are the parent's.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from coalm_lite.app.engine_thread import EngineThread
from coalm_lite.app.messages import (
    OPENING,
    Ask,
    Forget,
    Keep,
    Loaded,
    Open,
    Ping,
    Pong,
    Ready,
    RulesAlone,
    Stop,
    Tokenize,
    Value,
    Wire,
    frame,
    packed,
    unpacked,
)
from coalm_lite.app.opening import open_spec
from coalm_lite.decoding.guide import TextGrammar
from coalm_lite.decoding.requests import AnswerEvent, Failed, Generated, Piece, Request
from coalm_lite.errors import CoalmError
from coalm_lite.runtime.base import Cancel, Cancelled
from coalm_lite.runtime.progress import PROGRESS

_BROKEN = 70  # the exit status for an engine that failed in a way that nobody foresaw (EX_SOFTWARE)
_LONG_TEXT = 1 << 16  # characters: some ten milliseconds of a tokenizer
_STANDARD_INPUT, _STANDARD_OUTPUT, _STANDARD_ERROR = range(3)


class Worker:
    """Serves one parent over `wire`. One thread hears and obeys; this one loads the model, and sees it end."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._gate = threading.Lock()  # around obeying: what came while the model was loading comes first
        self._early: list[object] = []
        self._engine: EngineThread | None = None
        self._grammars: dict[int, str | TextGrammar] = {}
        self._cancels: dict[int, Cancel] = {}

    def run(self) -> None:
        """Load what the first message names, while the others are heard; returns if it cannot be loaded."""
        opening = self._wire.read()
        assert isinstance(opening, Open)
        threading.Thread(target=self._listen, name="coalm-lite-listen", daemon=True).start()
        engine = self._load(opening)
        if engine is None:
            return
        with self._gate:
            for message in self._early:
                self._obey(message, engine)
            self._engine = engine
        engine.wait()  # one that ended by itself has told its answers; a fresh process is started then
        os._exit(_BROKEN)

    def _listen(self) -> None:
        """Hears the parent also while a model loads: how far it is, and that it is gone."""
        try:
            while True:
                self._hear(self._wire.read())
        except (EOFError, OSError):
            os._exit(0)
        except BaseException:  # a process that hears nothing any more must not live on
            _end_at_fault()

    def _hear(self, message: object) -> None:
        if isinstance(message, Ping):
            self._send(Pong(self._progress()))
        elif isinstance(message, Stop):
            cancel = self._cancels.get(message.number)  # none, if it has ended meanwhile
            if cancel is not None:
                cancel.set()
        else:
            if isinstance(message, Ask | Ready):
                self._cancels[message.number] = Cancel()
            self._take(message)

    def _take(self, message: object) -> None:
        with self._gate:
            if self._engine is None:
                self._early.append(message)
            else:
                self._obey(message, self._engine)

    def _progress(self) -> int:
        """Grows with each module that is imported, tensor that is loaded, and batch."""
        batches = self._engine.batches if self._engine is not None else 0
        return len(sys.modules) + PROGRESS.count + batches

    def _load(self, opening: Open) -> EngineThread | None:
        try:
            engine = open_spec(opening.spec)
        except CoalmError as error:
            self._tell(OPENING, Failed(error))
            return None
        thread = EngineThread(engine, opening.prefixes, opening.spec.sequences)
        self._tell(OPENING, Value(Loaded(engine.info, thread.answers)))
        return thread

    def _obey(self, message: object, engine: EngineThread) -> None:
        match message:
            case Keep(key, grammar):
                self._grammars[key] = grammar.grammar() if isinstance(grammar, RulesAlone) else grammar
            case Forget(key):
                del self._grammars[key]
            case Ask():
                self._ask(message, engine)
            case Tokenize(_, prompt) if engine.reads_at_once and sum(len(each.text) for each in prompt) < _LONG_TEXT:
                self._tokenize(message, engine)
            case Tokenize():
                self._aside(self._tokenize, message, engine)
            case Ready():
                self._aside(self._ready, message, engine)
            case _:
                raise AssertionError(f"unknown message {message!r}")

    def _aside(self, work: Callable[[Any, EngineThread], None], message: object, engine: EngineThread) -> None:
        """On a thread of its own, for what takes long or waits for the engine: this one must hear."""
        threading.Thread(target=work, args=(message, engine), daemon=True).start()

    def _tokenize(self, asked: Tokenize, engine: EngineThread) -> None:
        self._errand(asked.number, lambda: packed(engine.tokenize(asked.prompt)))

    def _ask(self, asked: Ask, engine: EngineThread) -> None:
        request = Request(
            prompt=unpacked(asked.prompt),
            sampling=asked.sampling,
            grammar=None if asked.grammar is None else self._grammars[asked.grammar],
            cancel=self._cancels[asked.number],
            drafts=asked.drafts,
            recorded=unpacked(asked.recorded),
        )
        try:
            engine.submit(request, lambda event: self._tell_event(asked, event))
        except CoalmError as error:
            self._tell_event(asked, Failed(error))

    def _tell_event(self, asked: Ask, event: AnswerEvent) -> None:
        if not isinstance(event, Piece):
            self._tell(asked.number, event)
            del self._cancels[asked.number]
        elif asked.pieces:
            self._tell(asked.number, event.text)

    def _ready(self, asked: Ready, engine: EngineThread) -> None:
        cancel = self._cancels[asked.number]
        self._errand(asked.number, lambda: engine.ready(unpacked(asked.block), cancel))
        del self._cancels[asked.number]

    def _errand(self, number: int, job: Callable[[], object]) -> None:
        try:
            value = job()
        except Cancelled:
            self._tell(number, Value(None))  # nobody waits for it any more
        except CoalmError as error:
            self._tell(number, Failed(error))
        else:
            self._tell(number, Value(value))

    def _tell(self, number: int, said: str | Generated | Failed | Value) -> None:
        self._send((number, said))

    def _send(self, message: object) -> None:
        try:
            self._wire.write(frame(message))
        except OSError:  # the parent is gone
            os._exit(0)


def take_streams() -> Wire:
    """The wire over standard input and output, whose places are taken by nothing and by standard error."""
    read_fd, write_fd = os.dup(_STANDARD_INPUT), os.dup(_STANDARD_OUTPUT)
    if sys.platform == "win32":
        import msvcrt

        for fd in (read_fd, write_fd):
            msvcrt.setmode(fd, os.O_BINARY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STANDARD_INPUT)
    os.close(nothing)
    os.dup2(_STANDARD_ERROR, _STANDARD_OUTPUT)
    return Wire(read_fd, write_fd)


def main() -> None:
    """Serve the parent; ends without Python's own end, which would free the engine under a thread that uses it."""
    wire = take_streams()
    PROGRESS.watched = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(RuntimeError, ValueError, OSError):  # a program without a console may have no such stream
        # Of the thread at fault alone: reading the stacks of threads that run could end in a fault of its own.
        faulthandler.enable(_STANDARD_ERROR, all_threads=False)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    _dump_no_core()
    try:
        Worker(wire).run()
    except BaseException:
        _end_at_fault()
    os._exit(0)


def _end_at_fault() -> NoReturn:
    """Leave the fault in the last lines, and end."""
    logging.getLogger(__name__).exception("the engine's process failed")
    os._exit(_BROKEN)


def _dump_no_core() -> None:
    """A crash is to be known at once, and writing gigabytes of weights to a disk takes long."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


if __name__ == "__main__":
    main()
