"""What a differential run costs beside computing its prompts alone.

usage: python benchmarks/eval_differential.py MODEL.gguf --data-dir DIR [--suite apibank] [--dialect bfcl] [--items 12]
                                              [--rounds 3] [--threads N] [--parallel 1] [--kl] [--keep]

Both sides go through the backend of `eval`, in turn, each prompt once a round, the KV cache emptied before each side:
`prefill` asks each prompt for one token that no grammar holds, `differential` has a recorded base answer for each and
verifies it. The model may have random weights, whose own answers mean nothing, so its outputs are steered: the
recorded answer is the gold call as its dialect writes it, and after the sampler has chosen as always (log-
probabilities recorded, the grammar asked), what it gives is the recorded token. That is a quantized model that agrees
with its base everywhere, the case that the issue's limit is about. --kl gives the base 10 log-probabilities a place,
so that divergences are computed too. `overhead` is differential over prefill, by wall and by processor time. The last
line is one JSON object; --keep appends it to results/eval_speed.jsonl.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eval_speed import RESULTS, _spread

from coalm_lite import dialects
from coalm_lite.evals.items import Ask, Item
from coalm_lite.evals.run import Choice, ModelStory, Step
from coalm_lite.evals.running import local
from coalm_lite.evals.running.backend import Question
from coalm_lite.evals.running.local import LocalBackend, prompt_sha256
from coalm_lite.evals.running.recording import Recorder
from coalm_lite.evals.running.selection import draw
from coalm_lite.evals.suites import open_suites
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Message, Segment, ToolCall
from rows import provenance

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits


class SteeredRecorder(Recorder):
    """Records and chooses as always, and then says the base's next token; the first end token behind it."""

    end = 0
    place = -1

    def choose(self, logits: Logits, recent_tokens: Sequence[int]) -> int:
        """The base's token at this place."""
        chosen = super().choose(logits, recent_tokens)
        if self._base is None:
            return chosen
        place, before = len(recent_tokens) - self._prompt_length, self.place
        self.place = place
        if place == before:  # what was said is refused by the grammar: it is cut otherwise there
            return chosen
        return self._base.tokens[place] if place < len(self._base.tokens) else self.end


@contextmanager
def steered(engine: LlamaEngine) -> Iterator[None]:
    """Backends record with `SteeredRecorder`."""
    SteeredRecorder.end = next(token for token in range(engine.info.vocabulary_size) if engine.is_end(token))
    before, local.Recorder = local.Recorder, SteeredRecorder  # type: ignore[misc]
    try:
        yield
    finally:
        local.Recorder = before  # type: ignore[misc]


def gold_text(ask: Ask, item: Item) -> str:
    """An item's gold call as its dialect writes it; "" where it has none, or the grammar of its tools refuses it."""
    gold = getattr(item.content, "gold", None)
    if not isinstance(gold, ToolCall):
        return ""
    dialect = dialects.get(ask.dialect)
    text = dialect.render_reply(Message("assistant", calls=(gold,)))
    return text if dialect.compiled(ask.tools).accepts(text) else ""


def recorded(engine: LlamaEngine, ask: Ask, text: str, short: bool, kl: bool) -> Step:
    """The step of a base that wrote `text`."""
    prompt = engine.tokenize(dialects.get(ask.dialect).render(ask.messages, ask.tools, short))
    tokens = tuple(engine.tokenize((Segment(text),)))
    top = tuple(range(10)), (-2.5,) * 10
    choices = tuple(Choice(at, *top) for at in range(len(tokens) + 1)) if kl else ()
    return Step(prompt_sha256(prompt), len(prompt), text, "stop", tokens, tuple(range(len(tokens))), choices)


def side(backend: LocalBackend, questions: Sequence[Question]) -> tuple[float, float, list[Step]]:
    """Seconds, processor seconds and steps of asking all."""
    backend.forget()
    began, cpu, steps = time.perf_counter(), time.process_time(), list[Step]()
    waiting = list(questions)
    open_ = 0
    while waiting or open_:
        while waiting and open_ < backend.parallel:
            backend.submit(waiting.pop(0))
            open_ += 1
        found = backend.finished()
        open_ -= len(found)
        steps += [step for _, step in found]
    return time.perf_counter() - began, time.process_time() - cpu, steps


def measured(wanted: argparse.Namespace) -> dict[str, object]:
    """Both sides, in turn."""
    (suite,) = open_suites([wanted.suite], wanted.data_dir)
    items = draw(suite.name, suite.items, 4 * wanted.items, 0)
    asked = [(next(suite.play(item, wanted.dialect)), item) for item in items]
    pairs = [(ask, text) for ask, item in asked if (text := gold_text(ask, item))][: wanted.items]
    room = 4096 * min(4, wanted.parallel)
    rows: list[dict[str, float]] = []
    with (
        LlamaEngine.load(wanted.model, threads=wanted.threads, sequences=wanted.parallel, room_tokens=room) as engine,
        steered(engine),
        LocalBackend(engine, ModelStory(wanted.model.name, "gguf"), grammar=False) as free,
        LocalBackend(engine, ModelStory(wanted.model.name, "gguf")) as backend,
    ):
        steps = [recorded(engine, ask, text, backend.short, wanted.kl) for ask, text in pairs]
        alone = [Question(number, replace(ask, max_tokens=1)) for number, (ask, _) in enumerate(pairs)]
        verified = [
            Question(number, ask, step) for number, ((ask, _), step) in enumerate(zip(pairs, steps, strict=True))
        ]
        for _ in range(wanted.rounds):
            row: dict[str, float] = {}
            row["prefill_s"], row["prefill_cpu_s"], _ = side(free, alone)
            row["differential_s"], row["differential_cpu_s"], found = side(backend, verified)
            agreements = [step.agreement for step in found if step.agreement]
            row["agreed"] = sum(each.agreed_tokens for each in agreements)
            row["of"] = sum(each.base_tokens for each in agreements)
            rows.append(row)
    return {
        "items": len(pairs),
        "prompt_tokens": sum(step.prompt_tokens for step in steps),
        "recorded_tokens": sum(len(step.tokens) for step in steps),
        "overhead": _spread([row["differential_s"] / row["prefill_s"] for row in rows]),
        "overhead_cpu": _spread([row["differential_cpu_s"] / row["prefill_cpu_s"] for row in rows]),
        "rounds": rows,
    }


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--suite", default="apibank")
    parser.add_argument("--dialect", default="bfcl")
    parser.add_argument("--items", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--kl", action="store_true")
    parser.add_argument("--keep", action="store_true")
    wanted = parser.parse_args()
    row = {
        "case": "eval_differential", "model": wanted.model.name, "suite": wanted.suite, "dialect": wanted.dialect,
        "threads": wanted.threads, "parallel": wanted.parallel, "kl": wanted.kl, **measured(wanted), **provenance(),
    }  # fmt: skip
    if wanted.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
