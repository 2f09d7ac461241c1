"""One assistant under 8 threads and 50 asyncio tasks: random cancels, closes and resets, nothing mixed, no leak.

usage: python benchmarks/assistant_stress.py [--turns 2000] [--in-process] [--seed 0] [--keep]

Every question books a table of its own: no two have the same people, day and time. The tool notes for whom it ran (a
context variable of the asker) and gives a reference that is drawn for this call. What is checked of every turn: the
references that it saw were drawn on its asker's behalf, were seen by nobody else, and stand in the conversation behind
its own question; its pieces of text make up its end's text; it ends once, and as it may (after a close with an error).
Of every conversation: it has whole turns; where a call has other values than its question, which happens to this model
in long talks, an engine of its own says the same after the same talk (counted as the model's slips). A share of the
turns asks for a structured value, which must be the question's.

Phases: warm-up with closes; half of the turns with closes, each of which opens the model again; the other half with
cancels and resets alone, in one engine's life. Memory is measured after each, when a fresh assistant has had some
turns: this process from the first to the last, the engine's process over its one life. One JSON object is printed last;
`--keep` appends it to results/assistant.jsonl. Exit code 1 when something was mixed, lost or leaked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import ctypes
import gc
import itertools
import json
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from assistant_questions import ASKER, Question, Table, Town, questions

from coalm_lite import (
    Assistant,
    Event,
    Message,
    Observation,
    TextDelta,
    TurnDone,
)
from coalm_lite.decoding.requests import Generated
from coalm_lite.errors import AnswerCancelledError, DecodingError, OutputError
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.types import Sampling
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "assistant.jsonl"
THREADS, TASKS = 8, 50
WARM_UP, SETTLE = 400, 200
MOST_GROWTH = 0.05
SAMPLING = Sampling(max_tokens=96)


@dataclass
class Findings:
    """What was counted, and what must not be."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    cancel_s: list[float] = field(default_factory=list)


class Stress:
    """One assistant at a time, whoever opens the next, and all that is seen of it."""

    def __init__(self, isolate: bool, seed: int) -> None:
        self.findings = Findings()
        self._isolate = isolate
        self._town = Town()
        self._seen: dict[str, Question] = {}
        self._sessions: list[Session] = []
        self._cut: set[str] = set()
        self._questions = questions(seed)
        self._random = random.Random(seed)
        self._alone = LlamaEngine.load(shipped_model_path("coalm-nano.Q8_0.gguf"), threads=1)
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._left = 0
        self._closes = False
        self.assistant = self._opened()

    def _opened(self) -> Assistant:
        return Assistant("nano", [self._town.book_restaurant], isolate=self._isolate, threads=1, sampling=SAMPLING)

    def play(self, turns: int, closes: bool) -> None:
        """So many turns, by all threads and tasks together; returns when all are through."""
        self._left, self._closes = turns, closes
        with ThreadPoolExecutor(THREADS) as pool:
            workers = [pool.submit(self._thread) for _ in range(THREADS)]
            asyncio.run(self._tasks())
            for worker in workers:
                worker.result()
        self._check_conversations()

    def _next(self) -> tuple[Question, float] | None:
        """The next question and a number that decides how its turn goes."""
        with self._lock:
            if self._left == 0:
                return None
            self._left -= 1
            return next(self._questions), self._random.random()

    # Two kinds of askers

    def _thread(self) -> None:
        while (turn := self._next()) is not None:
            question, fate = turn
            contextvars.Context().run(self._ask, question, fate)

    def _ask(self, question: Question, fate: float) -> None:
        ASKER.set(question.number)
        assistant = self._current()
        try:
            self._meddle(fate, assistant)
            if 0.30 <= fate < 0.35:
                self._check_value(question, assistant.call(Table, question.text))
                return
            events: list[Event] = []
            with closing(assistant.send(question.text)) as stream:
                for event in stream:
                    events.append(event)
                    if fate < 0.10 and isinstance(event, TextDelta):
                        self._count("left by its thread")
                        break
            self._check(question, events)
        except (DecodingError, AnswerCancelledError, OutputError) as error:
            self._ended_early(question, error)

    async def _tasks(self) -> None:
        await asyncio.gather(*(asyncio.create_task(self._task()) for _ in range(TASKS)))

    async def _task(self) -> None:
        while (turn := self._next()) is not None:
            question, fate = turn
            asked = asyncio.create_task(self._aask(question, fate))
            if 0.10 <= fate < 0.15:
                await asyncio.sleep(fate * 2)
                if asked.cancel():
                    self._count("task cancelled")
            await asyncio.wait([asked])
            if not asked.cancelled():
                asked.result()

    async def _aask(self, question: Question, fate: float) -> None:
        ASKER.set(question.number)
        assistant = await asyncio.to_thread(self._current)
        try:
            await asyncio.to_thread(self._meddle, fate, assistant)
            if 0.30 <= fate < 0.35:
                self._check_value(question, await assistant.acall(Table, question.text))
                return
            events: list[Event] = []
            async with aclosing(assistant.asend(question.text)) as stream:
                async for event in stream:
                    events.append(event)
                    if fate < 0.10 and isinstance(event, TextDelta):
                        self._count("left by its task")
                        break
            self._check(question, events)
        except (DecodingError, AnswerCancelledError, OutputError) as error:
            self._ended_early(question, error)

    # What happens to everybody

    def _current(self) -> Assistant:
        """The assistant, once it is open again."""
        with self._opening:
            return self.assistant

    def _meddle(self, fate: float, assistant: Assistant) -> None:
        """Cancel, reset or close, now and then."""
        if 0.400 <= fate < 0.406:
            began = time.perf_counter()
            running = assistant._turns.running
            assistant.cancel()
            while running is not None and not running.ended:
                time.sleep(0.0005)
            self.findings.cancel_s.append(time.perf_counter() - began)
            self._count("cancelled all")
        elif 0.50 <= fate < 0.60:
            self._sessions.append(assistant._session)
            assistant.reset()
            self._count("reset")
        elif 0.600 <= fate < 0.608 and self._closes:
            with self._opening:
                if self.assistant is assistant:
                    self._sessions.append(assistant._session)
                    assistant.close()
                    self.assistant = self._opened()
                    self._count("closed and opened")

    def _ended_early(self, question: Question, error: Exception) -> None:
        if isinstance(error, AnswerCancelledError):
            self._count("value cancelled")
        elif isinstance(error, OutputError):
            self._cut.add(question.text)
            self._count("cut at the token limit")
        elif "was closed" in str(error):
            self._count("met a close")
        else:
            self._wrong(f"{type(error).__name__}: {error}")

    # Checks

    def _check(self, question: Question, events: list[Event]) -> None:
        ends = [event for event in events if isinstance(event, TurnDone)]
        said = "".join(event.text for event in events if isinstance(event, TextDelta))
        for observed in (event for event in events if isinstance(event, Observation)):
            self._check_observation(question, observed, bool(ends) and ends[0].reason == "cancelled")
        if not ends:
            return
        if len(ends) > 1 or ends[0] is not events[-1] or ends[0].text != said:
            self._wrong(f"turn {question.number}: its pieces make {said!r}, its ends {ends}")
        self._count(f"ended: {ends[0].reason}")
        if ends[0].reason == "stop" and not any(isinstance(event, Observation) for event in events):
            self._count("answered without a call")

    def _check_observation(self, question: Question, observed: Observation, cancelled: bool) -> None:
        if not observed.ok:
            self._count("call stopped")
            if not cancelled:
                self._wrong(f"turn {question.number}: {observed.text}")
            return
        reference = json.loads(observed.text)["reference"]
        if self._town.drawn[reference] != question.number or reference in self._seen:
            self._wrong(f"turn {question.number} saw {reference}, drawn for {self._town.drawn[reference]}")
        self._seen[reference] = question
        self._count("references seen")

    def _check_value(self, question: Question, table: Table) -> None:
        self._count("value")
        if not question.is_of(table.model_dump()):
            self._wrong(f"turn {question.number}: {question.text!r} gave {table}")

    def _check_conversations(self) -> None:
        """What everybody saw since the last time stands behind their own questions."""
        behind: dict[str, str] = {}
        for session in {id(one): one for one in (*self._sessions, self.assistant._session)}.values():
            self._check_conversation(session.messages, behind)
        for reference, question in self._seen.items():
            if behind.get(reference) != question.text:
                self._wrong(f"{reference} stands behind {behind.get(reference)!r}, seen by {question.text!r}")
        self._seen.clear()
        self._sessions.clear()
        self._cut.clear()
        self._town.drawn.clear()
        self.assistant.reset()

    def _check_conversation(self, messages: list[Message], behind: dict[str, str]) -> None:
        """Whole turns, one after the other; fills in behind which question each reference stands."""
        asked = ""
        slips: list[int] = []
        for at, (before, message) in enumerate(itertools.pairwise((Message("assistant", "."), *messages))):
            if message.role == "user":
                whole = before.role == "assistant" and not before.calls
                whole, asked = whole or asked in self._cut, message.text
                if not whole:
                    self._wrong(f"{asked!r} stands behind {before}")
            if message.role == "tool":
                behind[json.loads(message.text).get("reference", "")] = asked
            if not all(
                str(call.arguments[key]) in asked for call in message.calls for key in ("people", "day", "time")
            ):
                slips.append(at)
        if slips:
            self._replay(messages, slips)

    def _replay(self, messages: list[Message], slips: list[int]) -> None:
        """A call with other values than its question's is the model's own: alone, after the same talk, it comes too."""
        replay = Session(self._alone, Toolbox([self._town.book_restaurant]), sampling=SAMPLING)
        for at in range(slips[-1] + 1):
            if messages[at].role != "assistant":
                continue
            replay.messages[:] = messages[:at]
            if at not in slips:
                replay.hidden_messages = replay._first_shown()  # what was hidden depends on what was asked before
                continue
            written = _said(replay._generate(Cancel()))
            self._count("the model's slips")
            if replay.dialect.parse(written).calls != messages[at].calls:
                self._wrong(f"{messages[at].calls} stands behind {messages[at - 1].text!r}; alone it says {written!r}")

    def _count(self, what: str) -> None:
        with self._lock:
            self.findings.counts[what] += 1

    def _wrong(self, what: str) -> None:
        self.findings.wrong.append(what)

    def reopen(self) -> None:
        """A fresh assistant in the place of this one."""
        self.assistant.close()
        self.assistant = self._opened()

    def rss(self) -> tuple[int, int]:
        """Bytes that this process and the engine's have in memory, when both are idle.

        This one has given back what glibc kept for later: with an engine in it, that comes and goes by 15 MiB.
        """
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        own = psutil.Process()
        return own.memory_info().rss, sum(child.memory_info().rss for child in own.children(recursive=True))


def _said(step: Generator[Event, None, Generated]) -> str:
    """The step of a session as it was written."""
    while True:
        try:
            next(step)
        except StopIteration as end:
            return str(end.value.text)


def run(isolate: bool, turns: int, seed: int) -> dict[str, object]:
    """All phases; the row without its provenance."""
    stress = Stress(isolate, seed)
    measured: list[tuple[int, int]] = []
    wall_s = 0.0
    try:
        for count, closes in ((WARM_UP, True), (turns // 2, True), (turns - turns // 2, False)):
            began = time.perf_counter()
            stress.play(count, closes)
            wall_s += time.perf_counter() - began if measured else 0.0
            if closes:  # measured in the same state: an assistant of its own, some turns old
                stress.reopen()
                stress.play(SETTLE, closes=False)
            measured.append(stress.rss())
    finally:
        stress.assistant.close()
    (parent_warm, _), (parent_half, child_settled), (parent_end, child_end) = measured
    growth = {"parent": parent_end / parent_warm - 1}
    if isolate:
        growth["child"] = child_end / child_settled - 1
    return _row(stress.findings, growth) | {
        "isolate": isolate,
        "n": turns,
        "turns_besides": WARM_UP + 2 * SETTLE,
        "wall_s": wall_s,
        "rss_mib": {
            "parent": [each >> 20 for each in (parent_warm, parent_half, parent_end)],
            "child": [each >> 20 for each in (child_settled, child_end)],
        },
        "seed": seed,
    }


def _row(found: Findings, growth: dict[str, float]) -> dict[str, object]:
    cancel_ms = sorted(1000 * seconds for seconds in found.cancel_s)
    return {
        "benchmark": "assistant_stress",
        "askers": {"threads": THREADS, "asyncio_tasks": TASKS},
        "counts": dict(sorted(found.counts.items())),
        "wrong": found.wrong[:20],
        "wrong_count": len(found.wrong),
        "rss_growth": growth,
        "cancel_to_end_ms": {
            "n": len(cancel_ms),
            "median": statistics.median(cancel_ms) if cancel_ms else None,
            "max": cancel_ms[-1] if cancel_ms else None,
        },
        "threads_left": [each.name for each in threading.enumerate() if each is not threading.main_thread()],
    }


def main() -> int:
    """Run, print the row, append it; 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--in-process", action="store_true", help="the engine in this process, not in a child")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    wanted = parser.parse_args()
    row = run(not wanted.in_process, wanted.turns, wanted.seed) | provenance()
    if wanted.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    print(json.dumps(row))
    leaked = any(growth > MOST_GROWTH for growth in row["rss_growth"].values())  # type: ignore[attr-defined]
    return int(bool(row["wrong_count"]) or leaked)


if __name__ == "__main__":
    sys.exit(main())
