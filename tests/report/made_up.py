"""A comparison made up for tests: five quantized models, three suites, flips with real-looking and hostile answers."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from coalm_lite.evals.items import Metric, Share, Unit
from coalm_lite.evals.run import ItemResult, ModelStory, RunHeader, Step, StepEnd, SuiteStory
from coalm_lite.evals.statistics.verdicts import Verdict, worst
from coalm_lite.report.comparison import (
    Change,
    Comparison,
    Flip,
    FlipKind,
    Likeness,
    MetricResult,
    Published,
    RunResult,
    StratumResult,
)

MAX_DROP = 2.0
PEOPLE = ("Ada", "Bea", "Cyrus", "Dilan", "Emil", "Farah", "Goro", "Hana")
TOWNS = ("Bern", "Gdansk", "Lagos", "Lima", "Osaka", "Perth", "Quito", "Turin")
FUNCTIONS = ("rent_bicycle", "book_table", "water_plants", "find_ferry", "print_poster", "tune_piano")
HOSTILE = (
    "<script>document.title = 'owned'</script>",
    "</div></article><img src=x onerror=\"document.title='owned'\">",
    "\u202egnorw\u202c \x00 \x1b[31m \ud800 &amp; {{ 7 * 7 }} {% raw %}",
    "A" * 9000,
)


def step(text: str, end: StepEnd = "stop", asked: str = "", tokenized: bool = True) -> Step:
    """An answer whose tokens are its words with the space before them."""
    words = re.findall(r" ?\w+| ?[^\w\s]|\s", text)
    ends: list[int] = []
    for word in words:
        ends.append((ends[-1] if ends else 0) + len(word.encode("utf-8", "surrogatepass")))
    numbers = tuple(sum(word.encode("utf-8", "surrogatepass")) for word in words)
    return Step(
        "00ff00ff00ff00ff", 120, text, end, numbers if tokenized else (), tuple(ends) if tokenized else (), asked=asked
    )


def flip(
    number: int,
    suite: str,
    metric: str,
    kind: FlipKind,
    base: tuple[Step, ...],
    other: tuple[Step, ...],
    note: str = "",
) -> Flip:
    """A flipped item of one metric."""
    before, after = (100.0, 0.0) if kind == "lost" else (0.0, 100.0)
    name = f"{suite.partition(':')[0]}-{number}"
    results = [
        ItemResult(suite, name, "simple", name, (Unit(name, "simple", {metric: Share(score / 100)}),), steps, words)
        for score, steps, words in ((before, base, ""), (after, other, note))
    ]
    return Flip(kind, suite, name, "simple", name, (Change(name, metric, before, after),), *results)


def call(function: str, town: str, count: int) -> str:
    return f'[{{"name": "{function}", "arguments": {{"town": "{town}", "count": {count}, "insured": true}}}}]'


def flips(seed: int, lost: int, won: int) -> tuple[Flip, ...]:
    """So many flips, each with an answer that is nearly that of the base."""
    chance = random.Random(seed)
    kinds: list[FlipKind] = [*["lost"] * lost, *["won"] * won]  # type: ignore[list-item]
    return tuple(_one(chance, number, kind) for number, kind in enumerate(kinds))


def _one(chance: random.Random, number: int, kind: FlipKind) -> Flip:
    function, town, count = chance.choice(FUNCTIONS), chance.choice(TOWNS), chance.randint(1, 9)
    person = chance.choice(PEOPLE)
    asked = f"{person} would like {count} of them in {town}, please; insured, if that can be had. ({function})"
    right, wrong = (
        call(function, town, count),
        chance.choice(
            (
                call(function, town, count + 1),
                call(function, town.lower(), count),
                "[]",
                call(function, town, count)[:-4],
            )
        ),
    )
    base, other = (right, wrong) if kind == "lost" else (wrong, right)
    if number % 5 == 3:
        turns = [step(f"System: Which town, {person}?", asked="Good morning."), step(base, asked=asked)]
        others = [step(f"System: Which town, {person}?", asked="Good morning."), step(other, asked=asked)]
        return flip(number, "multiwoz", "jga", kind, tuple(turns), tuple(others), f"expected {right}")
    suite, metric = [("bfcl:non_live", "non_live"), ("apibank", "rouge_l")][number % 2]
    end: StepEnd = "length" if other.endswith("tru") else "stop"
    return flip(
        number, suite, metric, kind, (step(base, asked=asked),), (step(other, end, asked),), f"expected {right}"
    )


def metric(
    name: str, base: float, difference: float, half: float, verdict: Verdict, headline: bool = True
) -> MetricResult:
    """A figure with an interval of `half` on both sides."""
    suite, title, pass_fail = TITLES[name]
    strata = tuple(
        StratumResult(f"{title} part {index}", 40 * index, base + index, base + index + difference, 0.25)
        for index in range(1, 5)
    )
    published = (Published(85.17, "CoALM 8B", "paper"), Published(85.25, "CoALM 8B", "BFCL leaderboard"))
    return MetricResult(
        suite=suite,
        name=name,
        title=title,
        headline=headline,
        pass_fail=pass_fail,
        base=base,
        score=base + difference,
        difference=difference,
        low=difference - half,
        high=difference + half,
        test="McNemar, exact" if pass_fail else "bootstrap by cluster",
        p=0.0004 if verdict == "regressed" else 0.21,
        p_holm=0.0016 if verdict == "regressed" else 0.63,
        verdict=verdict,
        items_still=410 if verdict == "undecided" else 0,
        units=1150 if name != "jga" else 1480,
        clusters=1150 if name != "jga" else 200,
        lost=31,
        won=12,
        strata=strata if name == "non_live" else (),
        published=published if name == "non_live" else (),
    )


TITLES = {
    "non_live": ("bfcl:non_live", "Non-live AST", True),
    "irrelevance": ("bfcl:non_live", "Irrelevance", True),
    "rouge_l": ("apibank", "Rouge-L", False),
    "exact": ("apibank", "Exact call", True),
    "jga": ("multiwoz", "Joint goal accuracy", True),
}
BASES = {"non_live": 71.3, "irrelevance": 84.0, "rouge_l": 91.2, "exact": 66.4, "jga": 30.4}
QUANTS = (  # label, size, difference, half the interval, verdict, KL, flips lost and won
    ("Q8_0", 8_540_000_000, -0.1, 0.5, "holds", 0.0011, 3, 3),
    ("Q5_K_M", 5_730_000_000, 0.2, 0.9, "holds", 0.0062, 4, 5),
    ("Q4_K_M", 4_920_000_000, -0.6, 1.2, "holds", 0.019, 8, 5),
    ("ONNX int4", 5_100_000_000, -1.4, 1.5, "undecided", None, 7, 3),
    ("Q2_K", 3_180_000_000, -9.3, 2.4, "regressed", 0.31, 12, 2),
)


def header(label: str, size: int) -> RunHeader:
    suites = tuple(
        SuiteStory(name, "hammer", drawn, drawn, "ab" * 32, "cd" * 32, (Metric("m", "M"),))
        for name, drawn in (("bfcl:non_live", 1150), ("apibank", 526), ("multiwoz", 200))
    )
    story = ModelStory(
        f"CoALM-8B.{label}.gguf",
        "onnx" if "ONNX" in label else "gguf",
        label,
        size,
        "0123456789abcdef" * 4,
        "hf:uiuc-convai/CoALM-8B@main",
        "fe" * 32,
    )
    versions = {"coalm-lite": "0.1.0", "llama-cpp-python": "0.3.36", "python": "3.11.7"}
    return RunHeader(
        story, suites, seed=7, top_logprobs=20, machine="x86_64, 2 cores, 24 GiB, Linux", versions=versions
    )


def quant(
    label: str, size: int, difference: float, half: float, verdict: Verdict, kl: float | None, lost: int, won: int
) -> RunResult:
    def one(name: str, factor: float, of: Verdict, headline: bool = True) -> MetricResult:
        return metric(name, BASES[name], difference * factor, half, of, headline)

    soft: Verdict = "holds" if verdict == "holds" else verdict
    metrics = (
        one("non_live", 1.0, verdict),
        one("rouge_l", 0.4, "holds"),
        one("jga", 0.7, "holds" if verdict == "holds" else "undecided"),
        one("irrelevance", 0.5, soft, headline=False),
        one("exact", 1.1, verdict, headline=False),
    )
    same = 1876 - 20 * (lost + won)
    likeness = (
        Likeness(1876, same)
        if kl is None
        else Likeness(1876, same, 61_000, 61_000 - 400 * (lost + won), kl, 52_000, kl * 0.9, kl * 1.12)
    )
    return RunResult(label, header(label, size), verdict, metrics, flips(size % 97, lost, won), likeness)


def comparison() -> Comparison:
    """Five models of which three hold, one is undecided and one regressed; 52 flips."""
    runs = tuple(quant(*values) for values in QUANTS)  # type: ignore[arg-type]
    notes = ("ONNX int4 was not run against the base's recorded answers: no KL divergence.",)
    return Comparison("F16", header("F16", 16_100_000_000), runs, MAX_DROP, worst([run.verdict for run in runs]), notes)


def one_run(label: str) -> Comparison:
    """The same with one model alone."""
    whole = comparison()
    run = next(run for run in whole.runs if run.label == label)
    return replace(whole, runs=(run,), verdict=run.verdict, notes=())


def hostile() -> Comparison:
    """Every text of a comparison that comes from a file is an attack, and its answers are."""
    whole = comparison()
    bad = HOSTILE[0] + HOSTILE[1] + HOSTILE[2]
    attacks = tuple(
        flip(number, bad, bad, "lost", (step(text, asked=bad), step("same")), (step(other), step("same")), note=bad)
        for number, text in enumerate(HOSTILE)
        for other in HOSTILE
        if text != other
    )
    run = whole.runs[-1]
    story = replace(run.header.model, name=bad, source=bad, sha256=bad, quant=bad)
    metrics = tuple(replace(metric, title=bad, suite=bad, name=bad + metric.name) for metric in run.metrics)
    bad_header = replace(run.header, model=story, machine=bad, versions={bad: bad})
    bad_run = replace(run, label=bad, header=bad_header, flips=attacks, metrics=metrics)
    return replace(whole, base_label=bad, runs=(*whole.runs[:-1], bad_run), notes=(bad,))
