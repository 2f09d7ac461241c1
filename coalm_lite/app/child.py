"""The engine's process as its parent sees it: started, talked to, watched, and its end told in words.

Three threads wait on its pipes: one writes what is sent, so that nobody waits for a child that does not read; one hears
it; one keeps the last lines of its standard error. Its end, or what is taken for it, is told to all who wait.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue
from typing import Any, TypeAlias

from coalm_lite.app.crashes import LastLines, crashed, ending_words
from coalm_lite.app.messages import OPENING, Ping, Pong, Wire, frame
from coalm_lite.decoding.requests import Failed
from coalm_lite.errors import CoalmError
from coalm_lite.runtime.child_command import child_command

WORKER = "coalm_lite.app.worker"
LOOK_S = 1.0  # who waits without hearing anything looks this often whether the child gets on
_END_S = 1.0  # what a child that was told to end may take
Hear: TypeAlias = Callable[[Any], object]


class Child:
    """A process that was started for `opening`, the first message; `hang_s` without native progress is its end."""

    def __init__(self, opening: object, hang_s: float, hear_opening: Hear) -> None:
        self._hang_s = hang_s
        self._gate = threading.Lock()
        self._hearers: dict[int, Hear] = {OPENING: hear_opening}
        self._numbers = count(OPENING + 1)
        self._end: CoalmError | None = None
        self._cause: CoalmError | str = ""  # why it ends, if that is known: an error of its own, or words
        self._progress = -1
        self._looks_in_vain = 0
        self._looked_at = time.monotonic()
        self._lines = LastLines()
        self._process = _started()
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._wire = Wire(self._process.stdout.fileno(), self._process.stdin.fileno())
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._outbox.put(frame(opening))
        self._threads = [
            threading.Thread(target=work, name=f"coalm-lite-child-{work.__name__.strip('_')}", daemon=True)
            for work in (self._write, self._keep_lines, self._read)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it takes nothing more."""
        return self._end is not None

    def ask(self, make: Callable[[int], list[bytes]], hear: Hear) -> int:
        """Send what `make` gives for a new number, whose messages `hear` hears on another thread; 0 after the end.

        The last one heard is a `Failed` if the process ends before. `make` runs alone, in the order of sending.
        """
        with self._gate:
            if self._end is not None:
                return 0
            number = next(self._numbers)
            messages = make(number)
            if not self._hearers:
                self._looks_in_vain = 0
            self._hearers[number] = hear
            for message in messages:
                self._outbox.put(message)
            return number

    def send(self, message: object) -> None:
        """Send what nobody waits for an answer to; from a signal handler too."""
        if self._end is None:
            self._outbox.put(frame(message))

    def look(self) -> None:
        """Called by each who waits: asks how far it is, and ends it when it did not get on for `hang_s`.

        Counted in looks, not in time, so that a machine that slept does not find it hanging.
        """
        with self._gate:
            now = time.monotonic()
            if now - self._looked_at < LOOK_S * 0.9:
                return
            self._looked_at = now
            self._looks_in_vain += 1
            hangs = self._looks_in_vain * LOOK_S > self._hang_s
        if hangs:
            self._kill(f"was stopped, since it did nothing more for {self._hang_s:g} s")
        else:
            self.send(Ping())

    def close(self, cause: CoalmError) -> None:
        """End it, and tell `cause` to all who wait; a second call does nothing more."""
        with self._gate:
            self._cause = self._cause or cause
        self._tell_end(cause)
        self._outbox.put(None)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_END_S)

    def _kill(self, words: str) -> None:
        with self._gate:
            self._cause = self._cause or words
        self._process.kill()

    # Its threads

    def _write(self) -> None:
        assert self._process.stdin
        try:
            while (framed := self._outbox.get()) is not None:
                self._wire.write(framed)
        except OSError:  # it has ended, which its reader hears
            pass
        finally:
            self._process.stdin.close()  # which ends it

    def _keep_lines(self) -> None:
        assert self._process.stderr
        with self._process.stderr as pipe:
            while chunk := os.read(pipe.fileno(), 1 << 16):
                self._lines.take(chunk)

    def _read(self) -> None:
        assert self._process.stdout
        try:
            with self._process.stdout:
                while True:
                    self._hear(self._wire.read())
        except (EOFError, OSError):
            pass
        except Exception as error:  # what comes is no message: some library wrote where it must not
            self._kill(f"was stopped, since it said what cannot be read ({type(error).__name__}: {error})")
        finally:
            self._finish()

    def _hear(self, message: Any) -> None:
        if isinstance(message, Pong):
            if message.progress != self._progress:
                self._progress, self._looks_in_vain = message.progress, 0
            return
        number, said = message
        self._looks_in_vain = 0
        with self._gate:
            hear = self._hearers.get(number) if isinstance(said, str) else self._hearers.pop(number, None)
            if number == OPENING and isinstance(said, Failed):
                self._cause = self._cause or said.error
        if hear is not None:
            hear(said)

    def _finish(self) -> None:
        """It speaks no more: wait for its last words and its status, and tell who waits how it ended."""
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._threads[1].join(_END_S)
        cause = self._cause
        if not isinstance(cause, CoalmError):
            cause = crashed(cause or ending_words(status), status, self._lines.all)
        self._outbox.put(None)
        self._tell_end(cause)

    def _tell_end(self, error: CoalmError) -> None:
        with self._gate:
            self._end = self._end or error
            hearers = [*self._hearers.values()]
            self._hearers.clear()
        for hear in hearers:
            hear(Failed(copy.copy(error)))  # each is raised in a thread of its own


def _started() -> subprocess.Popen[bytes]:
    """The process, apart from the terminal, so that an interrupt there is the parent's alone."""
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}  # else it waits for a debugger when it aborts
    if sys.platform == "win32":
        flags, session = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW, False
    else:
        flags, session = 0, True
    return subprocess.Popen(
        child_command(WORKER),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment,
        start_new_session=session,
        creationflags=flags,
    )
