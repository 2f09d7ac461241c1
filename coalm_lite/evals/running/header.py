"""The header of a run that is to be made, and whether it can stand beside a base run: asked before much is computed."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import coalm_lite
from coalm_lite import dialects
from coalm_lite.errors import EvalError, UsageError
from coalm_lite.evals.items import Item, Suite
from coalm_lite.evals.run import RunHeader, SuiteStory
from coalm_lite.evals.running.backend import Model
from coalm_lite.evals.running.model_story import template_sha256
from coalm_lite.evals.running.run_file import header_sha256

_SHOWN = 12  # characters of a hash


@dataclass(frozen=True, slots=True)
class Part:
    """A suite of a run: the dialect it is asked in, and the items that were drawn."""

    suite: Suite
    dialect: str
    items: tuple[Item, ...]


def choose_dialect(suite: Suite, wanted: str | None, trained: Sequence[str]) -> str:
    """The dialect in which a model is asked a suite: the wanted one, or the suite's first that it was trained on.

    A model that tells nothing of its training is asked in the suite's first. UsageError where none fits.
    """
    if wanted is not None:
        if wanted not in suite.dialects:
            raise UsageError(
                f"{suite.name} cannot be asked in the dialect {wanted!r}", f"Use one of {', '.join(suite.dialects)}."
            )
        return wanted
    fitting = [name for name in suite.dialects if name in trained or not trained or name not in dialects.NAMES]
    if not fitting:
        raise UsageError(
            f"the model was trained on {', '.join(trained)}, and {suite.name} is asked in {', '.join(suite.dialects)}",
            "Name one with --dialect to ask it all the same.",
        )
    return fitting[0]


def run_header(
    model: Model, parts: Sequence[Part], *, seed: int = 0, base: Path | None = None, machine: str | None = None
) -> RunHeader:
    """The first line of a run of these parts on a model."""
    return RunHeader(
        model=model.story,
        suites=tuple(_suite_story(part, model.short) for part in parts),
        grammar=model.grammar,
        seed=seed,
        top_logprobs=model.top_logprobs,
        base_sha256=header_sha256(base) if base else "",
        machine=this_machine() if machine is None else machine,
        versions={"coalm-lite": coalm_lite.__version__, **model.versions},
    )


def _suite_story(part: Part, short: bool) -> SuiteStory:
    return SuiteStory(
        name=part.suite.name,
        dialect=part.dialect,
        items_in_all=len(part.suite.items),
        items_drawn=len(part.items),
        items_sha256=items_sha256(part.items),
        template_sha256=template_sha256(part.dialect, short),
        metrics=tuple(part.suite.metrics),
    )


def check_base(path: Path, base: RunHeader, header: RunHeader) -> None:
    """EvalError where a run with `header` cannot be held against the base run in `path`."""
    remote = base.model.kind == "remote"  # its answers are compared as texts, where it tells no tokens' numbers
    if not base.top_logprobs and not remote:
        raise EvalError(f"{path} has no log-probabilities", "Make the base run with --top-logprobs 10.")
    pairs: list[tuple[str, object, object]] = [
        ("suites", [suite.name for suite in base.suites], [suite.name for suite in header.suites]),
        ("use of a grammar", base.grammar, header.grammar),
    ]
    if not remote:
        pairs.append(("vocabulary", base.model.vocabulary_sha256, header.model.vocabulary_sha256))
    for old, new in zip(base.suites, header.suites, strict=False):
        pairs += [
            (f"dialect of {new.name}", old.dialect, new.dialect),
            (f"template of {new.name}", old.template_sha256, new.template_sha256),
            (f"item set of {new.name}", old.items_sha256, new.items_sha256),
        ]
    for name, old_value, new_value in pairs:
        if old_value != new_value:
            raise EvalError(
                f"{path} cannot be the base of this run: its {name} is {_words(old_value)}, here {_words(new_value)}",
                "Base and quantized model are asked the same: same suites, items, seed, dialect, grammar and tokens.",
            )


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return (", ".join(value) if isinstance(value, list) else str(value)[:_SHOWN]) or "not known"


def this_machine() -> str:
    """The kind of machine, in words that stay as they are from run to run."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


def items_sha256(items: Sequence[Item]) -> str:
    """Of the items' ids in their order, and of all that each of them says."""
    digest = sha256()
    for item in items:
        digest.update(repr((item.id, item.stratum, item.cluster, _plain(item.content))).encode())
    return digest.hexdigest()


def _plain(value: Any) -> object:
    """A value as text that is the same in each process; of what is no data, its type alone."""
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, [_plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Mapping):
        return [(_plain(key), _plain(each)) for key, each in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(repr(_plain(each)) for each in value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    return type(value).__name__
