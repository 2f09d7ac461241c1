"""Whether two runs may be compared at all: a verdict on runs of other items or other prompts would say nothing.

Refused: another set of suites, other items, dialect, instructions, grammar, or metrics. What only makes a reader
careful (another machine, seed, version or vocabulary) is told beside the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from coalm_lite.errors import EvalError
from coalm_lite.evals.run import Run, RunHeader, SuiteStory
from coalm_lite.evals.running.run_file import header_line

_AGAIN = "Evaluate both models with the same options of `coalm-lite eval`, the base first."
_SHOWN_HASH = 12


def check_comparable(base: Run, other: Run, name: str) -> None:
    """EvalError, with what differs and where, for a run that cannot be held against the base; `name` is the run's."""
    left, right = ({suite.name: suite for suite in run.header.suites} for run in (base, other))
    for suite in [*left, *right]:
        if suite not in left or suite not in right:
            where = "the base run" if suite not in left else name
            raise EvalError(f"the suite {suite} is not in {where}", _AGAIN)
    for suite, story in left.items():
        _check_suite(story, right[suite], name)
        _check_items(base, other, suite, name)
    if base.header.grammar != other.header.grammar:
        words = ("with", "without") if other.header.grammar else ("without", "with")
        raise EvalError(f"{name} was made {words[0]} a grammar, and the base {words[1]}", _AGAIN)


def is_against(base: RunHeader, other: RunHeader) -> bool:
    """Whether the other run is differential, and against this base."""
    return other.base_sha256 == sha256(header_line(base)).hexdigest()


def cautions(base: RunHeader, other: RunHeader, name: str) -> Iterator[str]:
    """What a reader of the comparison must know."""
    if other.base_sha256 and not is_against(base, other):
        yield f"{name} was run differentially against another base, so agreement of tokens and KL are not shown."
    elif other.base_sha256 and not base.top_logprobs:
        yield f"The base run kept no log-probabilities: there is no KL divergence of {name}."
    if base.seed != other.seed:
        yield f"{name} was run with seed {other.seed}, the base with {base.seed}."
    if base.machine != other.machine:
        machines = " and ".join(header.machine or "one unknown" for header in (other, base))
        yield f"{name} was run on another machine than the base: {machines}."
    changed = [key for key in {**base.versions, **other.versions} if base.versions.get(key) != other.versions.get(key)]
    if changed:
        yield f"{name} was run with other versions than the base: {_versions(changed, base, other)}."
    vocabularies = {header.model.vocabulary_sha256 for header in (base, other)} - {""}
    if len(vocabularies) > 1:
        yield f"{name} has another vocabulary than the base: it may be no quantization of the same model."


def _check_suite(base: SuiteStory, other: SuiteStory, name: str) -> None:
    for what, left, right in _facts(base, other):
        if left != right:
            raise EvalError(f"{name}: its {what} of {base.name} is {right}, and the base's is {left}", _AGAIN)
    if base.items_sha256 != other.items_sha256:
        raise EvalError(
            f"{name}: its items of {base.name} are others than the base's: {_short(other.items_sha256)}, and"
            f" {_short(base.items_sha256)} in the base",
            "Draw both with the same --items, --detect and --seed from the same data.",
        )
    for metric, theirs in zip(base.metrics, other.metrics, strict=False):
        if metric != theirs:
            raise EvalError(f"{name}: {base.name} defines {theirs.name} as {theirs}, and the base {metric}", _AGAIN)
    if len(base.metrics) != len(other.metrics):
        raise EvalError(f"{name}: {base.name} has {len(other.metrics)} metrics, the base {len(base.metrics)}", _AGAIN)


def _facts(base: SuiteStory, other: SuiteStory) -> Iterator[tuple[str, object, object]]:
    yield "dialect", base.dialect, other.dialect
    yield "number of items", base.items_drawn, other.items_drawn
    yield "template (of the instructions, by its hash)", _short(base.template_sha256), _short(other.template_sha256)


def _check_items(base: Run, other: Run, suite: str, name: str) -> None:
    """The items themselves, whatever the headers say."""
    left, right = ({item.id: item for item in run.items if item.suite == suite} for run in (base, other))
    only = [*(left.keys() - right.keys()), *(right.keys() - left.keys())]
    if only:
        where = "the base" if min(only) in left else name
        raise EvalError(f"{len(only)} items of {suite} are in one run alone; {min(only)!r} only in {where}", _AGAIN)
    for key, item in left.items():
        if (item.stratum, item.cluster) != (right[key].stratum, right[key].cluster):
            raise EvalError(f"{name}: the item {key!r} of {suite} is of another stratum or cluster", _AGAIN)


def _versions(keys: Sequence[str], base: RunHeader, other: RunHeader) -> str:
    return ", ".join(f"{key} {other.versions.get(key, 'none')} ({base.versions.get(key, 'none')})" for key in keys)


def _short(digest: str) -> str:
    return digest[:_SHOWN_HASH] or "none"
