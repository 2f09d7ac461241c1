"""BFCL's own objects for multi-turn items (file system, trading, travel...), in a process of their own with limits.

The process runs `executors_child.py` over an unpacked bfcl-eval, as `coalm-lite data fetch bfcl-executors` leaves it: a
folder with `bfcl_eval/`. It has an empty environment, limits and no network (see there), and a time limit for each
answer. One that dies or is stopped is begun anew, and what an item did until then is done again.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from coalm_lite.errors import CoalmError, StoreError
from coalm_lite.types import JsonObject, JsonValue

ANSWER_LIMIT_S = 20.0
PACKAGE = "bfcl-executors"
FETCH_HINT = f"Fetch them with `coalm-lite data fetch {PACKAGE}`, or evaluate bfcl:non_live and bfcl:live without them."
_CHILD = Path(__file__).with_name("executors_child.py")
# Equal runs need equal orders of sets; nothing else of this process's environment goes along.
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
_FLAGS = ("-s", "-S", "-P", "-B")  # no site-packages, nothing of the working folder, no bytecode written


class ExecutorsError(CoalmError):
    """BFCL's objects gave no answer: their code failed, or their process ended or took too long."""


class Executors:
    """The process, begun when it is first needed, shared by all items; for one thread at a time."""

    def __init__(self, folder: Path, limit_s: float = ANSWER_LIMIT_S) -> None:
        if not (folder / "bfcl_eval" / "eval_checker").is_dir():
            raise StoreError(f"{folder} has no bfcl_eval/eval_checker: BFCL's executors are not there", FETCH_HINT)
        self._folder = folder
        self._limit_s = limit_s
        self._process: _Process | None = None
        self._begun = 0
        self._lock = threading.Lock()

    def objects(self, item: JsonObject) -> Objects:
        """New objects for an item: its `id`, `initial_config` and `involved_classes` as in BFCL's data."""
        self._begun += 1
        return Objects(self, self._begun, item)

    def ask(self, request: JsonObject) -> JsonValue:
        """The process's answer; ExecutorsError where there is none."""
        with self._lock:
            if self._process is None:
                self._process = _Process(self._folder)
            try:
                answer = self._process.ask(request, self._limit_s)
            except ExecutorsError:
                self.close()
                raise
        if "error" in answer:
            raise ExecutorsError(f"BFCL's objects failed: {answer['error']}")
        return answer["answer"]

    @property
    def process(self) -> object:
        """The process that runs now, or None; another one than before knows nothing of what was begun."""
        return self._process

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.close()
            self._process = None


class Objects:
    """One item's objects: they run its calls and say whether its turns are right. Made at once, or ExecutorsError."""

    def __init__(self, executors: Executors, number: int, item: JsonObject) -> None:
        self._executors = executors
        self._number = number
        self._item: JsonObject = {name: item[name] for name in ("id", "initial_config", "involved_classes")}
        self._ran: list[list[str]] = []
        self._home: object = None
        self._make()

    def run(self, calls: Sequence[str]) -> list[str]:
        """What each call gave, as BFCL tells a model; a call that fails gives words that say so."""
        results = self._ask({"do": "run", "calls": list(calls)})
        self._ran.append(list(calls))
        return [str(result) for result in results] if isinstance(results, list) else []

    def problem(self, turns: Sequence[Sequence[Sequence[str]]], gold: Sequence[Sequence[str]]) -> str:
        """What BFCL's check finds wrong in the turns' steps of calls beside the gold turns' calls; "" for nothing."""
        as_lists: JsonValue = [[list(step) for step in turn] for turn in turns]
        return str(self._ask({"do": "check", "turns": as_lists, "gold": [list(turn) for turn in gold]}))

    def end(self) -> None:
        """Let the objects go."""
        if self._executors.process is self._home:
            self._executors.ask({"do": "end", "number": self._number})

    def _ask(self, request: JsonObject) -> JsonValue:
        if self._executors.process is not self._home:
            self._make()
        return self._executors.ask({**request, "number": self._number})

    def _make(self) -> None:
        """Begin in the process of now, and do again what was done in an earlier one."""
        self._executors.ask({"do": "begin", "number": self._number, "item": self._item})
        self._home = self._executors.process
        for calls in self._ran:
            self._executors.ask({"do": "run", "number": self._number, "calls": list(calls)})


class _Process:
    """The child process; a thread reads its answers, so that waiting for one can end."""

    def __init__(self, folder: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, *_FLAGS, str(_CHILD), str(folder.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd=folder,
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(self._child.stdout, self._answers), daemon=True).start()
        self._end = weakref.finalize(self, _end, self._child)

    def ask(self, request: JsonObject, limit_s: float) -> JsonObject:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
            line = self._answers.get(timeout=limit_s)
        except queue.Empty:
            raise ExecutorsError(f"BFCL's objects gave no answer within {limit_s:g} s") from None
        except OSError:
            line = ""
        if not line:
            raise ExecutorsError(f"the process of BFCL's objects ended with {self._child.poll()}")
        answer: JsonObject = json.loads(line)
        return answer

    def close(self) -> None:
        self._end()


def _read(answers: IO[str] | None, into: queue.SimpleQueue[str]) -> None:
    """Hand over each line, and "" at the end."""
    if answers is not None:
        for line in answers:
            into.put(line)
    into.put("")


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:  # what was still to be written has no reader any more
                continue
