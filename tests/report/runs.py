"""Runs made as values: a base's and those of quantized models that flip some of its items."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from coalm_lite.evals.items import FAIL, PASS, Metric, Share, Unit
from coalm_lite.evals.run import Agreement, ItemResult, ModelStory, Run, RunHeader, Step, SuiteStory
from coalm_lite.evals.running.run_file import RunAppender, header_line

METRICS = (
    Metric("passed", "passed", headline=True),
    Metric("even", "even strata", weights={"easy": 0.5, "hard": 0.5}),
    Metric("slots", "slot F1", pass_fail=False),
)
STRATA = ("easy", "hard")
SOURCE = "hf:uiuc-convai/CoALM-8B@0123/model.gguf"
Change = Callable[[Run], Run]


def run(
    quant: str = "F16", lost: int = 0, won: int = 0, *, items: int = 300, suites: tuple[str, ...] = ("smoke",)
) -> Run:
    """A run in which a third of the items fails; `lost` that pass in the base's fail too, and `won` that fail pass."""
    header = RunHeader(
        model=ModelStory(f"model-{quant}", "gguf", quant, 1_000_000, sha256(quant.encode()).hexdigest(), SOURCE, "aa"),
        suites=tuple(SuiteStory(name, "hammer", 2 * items, items, "b" * 64, "c" * 64, METRICS) for name in suites),
        top_logprobs=10,
        machine="x86_64, 2 CPUs",
        versions={"coalm-lite": "0.1.0"},
    )
    return Run(header, tuple(item for name in suites for item in _items(name, lost, won, items)))


def _items(suite: str, lost: int, won: int, count: int) -> list[ItemResult]:
    chance = random.Random(1)
    passed = [chance.random() < 2 / 3 for _ in range(count)]
    right = [index for index, each in enumerate(passed) if each]
    wrong = [index for index, each in enumerate(passed) if not each]
    now = [each != (index in {*right[:lost], *wrong[:won]}) for index, each in enumerate(passed)]
    return [_item(suite, index, each) for index, each in enumerate(now)]


def _item(suite: str, index: int, passed: bool) -> ItemResult:
    share, stratum = PASS if passed else FAIL, STRATA[index % 2]
    unit = Unit(f"{index}/0", stratum, {"passed": share, "even": share, "slots": Share(4 if passed else 2, 5)})
    step = Step("0" * 16, 9, f"answer {index} {'right' if passed else 'wrong'}", "stop")
    return ItemResult(suite, str(index), stratum, str(index), (unit,), (step,), "" if passed else "expected right")


def differential(base: Run, other: Run, agreed: int = 8, kl: float = 0.1) -> Run:
    """The other run as it would be against this base: of each answer's 10 tokens so many agreed."""
    header = replace(other.header, base_sha256=sha256(header_line(base.header)).hexdigest())
    agreement = Agreement(agreed, 10, kl * agreed, agreed)
    items = [
        replace(item, steps=tuple(replace(step, agreement=agreement) for step in item.steps)) for item in other.items
    ]
    return Run(header, tuple(items))


def with_suite(base: Run, **changes: object) -> Run:
    """The run with its first suite's story changed."""
    first, *others = base.header.suites
    story: SuiteStory = replace(first, **changes)  # type: ignore[arg-type]  # the fields differ from case to case
    return Run(replace(base.header, suites=(story, *others)), base.items)


def write(path: Path, values: Run) -> Path:
    """The run as a run file."""
    with RunAppender(path, values.header) as file:
        for item in values.items:
            file.append(item)
    return path
