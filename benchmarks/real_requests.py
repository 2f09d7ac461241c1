"""Real requests with their tools, and the calls that each must get where these are known, for benchmarks of decoding.

Sources: `town` (nano's own test requests over the demo tools), `multiwoz` (turns of dev conversations), `snips`
(validation requests, tools under masked names), `apibank` (the one-call form) and `bfcl` (questions of its simple
categories; no gold calls here, for BFCL's own rules judge those). None of them was trained on. Not covered: scoring by
a suite's own rules (coalm_lite.evals).
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))  # nano's recipe is not installed with the package

from coalm_lite import dialects
from coalm_lite.demo import tools as demo_tools
from coalm_lite.errors import OutputError, SchemaError
from coalm_lite.evals.apibank.calls import equal_calls, plain_call
from coalm_lite.evals.apibank.suite import open_suite
from coalm_lite.runtime.base import Engine
from coalm_lite.tools import Toolbox
from coalm_lite.tools.foreign_types import spec_from_foreign
from coalm_lite.types import Message, ToolCall, ToolSpec
from nano import snips
from nano.evaluate import dev_steps
from nano.requests import REQUESTS, SMALL_TALK

SOURCES = ("town", "snips", "multiwoz", "apibank", "bfcl")
ANSWER_TOKENS = 128
_BFCL = ("BFCL_v3_live_simple", "BFCL_v3_simple")


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation that ends with what is asked; `gold`: the calls it must get, () for words, None if not known."""

    source: str
    dialect: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    gold: tuple[ToolCall, ...] | None = None

    def prompt(self, engine: Engine) -> list[int]:
        """Its tokens, with the brief instructions that nano was trained on."""
        return engine.tokenize(dialects.get(self.dialect).render(self.messages, self.tools, True))

    def is_right(self, text: str) -> bool:
        """Whether the text is exactly the gold calls: names, and values as text, in any order of arguments."""
        assert self.gold is not None
        try:
            calls = dialects.get(self.dialect).parse(text).calls
        except OutputError:
            return False
        pairs = zip(self._plain(calls), self._plain(self.gold), strict=False)
        return len(calls) == len(self.gold) and all(equal_calls([written], gold) for written, gold in pairs)

    def _plain(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        plain = [plain_call(call, self.tools) for call in calls]
        return [
            ToolCall(call.name, {key: str(value).lower() for key, value in call.arguments.items()}) for call in plain
        ]


def requests(engine: Engine, data: Path, sources: Sequence[str], count: int) -> list[Asked]:
    """Up to `count` requests of each source whose tools a grammar holds and whose prompts fit, the same each time."""
    found: list[Asked] = []
    for source in sources:
        found += islice((asked for asked in _of(source, data) if _fits(engine, asked)), count)
    return found


def _fits(engine: Engine, asked: Asked) -> bool:
    try:
        dialects.get(asked.dialect).compiled(asked.tools)
    except SchemaError:
        return False
    return len(asked.prompt(engine)) + ANSWER_TOKENS < engine.info.context_tokens


def _of(source: str, data: Path) -> Iterator[Asked]:
    match source:
        case "town":
            specs = tuple(Toolbox(demo_tools()).specs)
            for words, call in [*REQUESTS, *((words, None) for words in SMALL_TALK)]:
                yield Asked(source, "cra", (Message("user", words),), specs, () if call is None else (call,))
        case "snips":
            yield from _snips(data / "snips")
        case "multiwoz":
            for example, step in dev_steps("multiwoz", data, 10**6):
                yield Asked(source, example.dialect, step.messages, example.tools, step.reply.calls)
        case "apibank":
            for item in open_suite(data / "apibank").items:
                content = item.content
                yield Asked(source, "hammer", content.messages, content.tools, (content.gold,))
        case "bfcl":
            yield from _bfcl(data / "bfcl")


def _snips(folder: Path) -> Iterator[Asked]:
    """One request of each intent after the other, its tools under masked names, the others drawn by seed."""
    rng = random.Random(11)
    requests = snips.read_requests(folder, "validate")
    known = snips.domains(requests)
    rng.shuffle(requests)
    for request in requests:
        example = snips.masked_example([request], known, rng)
        (step,) = example.steps
        yield Asked("snips", example.dialect, step.messages, example.tools, step.reply.calls)


def _bfcl(folder: Path) -> Iterator[Asked]:
    for name in _BFCL:
        with gzip.open(folder / f"{name}.json.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                item = json.loads(line)
                messages = tuple(Message(said["role"], said["content"]) for said in item["question"][0])
                yield Asked("bfcl", "hammer", messages, tuple(map(spec_from_foreign, item["function"])))
