"""One evaluation from what was asked to the finished run: suites opened, items drawn, a base checked, all of it run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from coalm_lite.errors import EvalError, UsageError
from coalm_lite.evals.items import Item, Suite
from coalm_lite.evals.run import Run, RunHeader
from coalm_lite.evals.running.backend import Backend
from coalm_lite.evals.running.header import Part, check_base, choose_dialect, run_header
from coalm_lite.evals.running.opening import BackendOptions, is_server, is_small, open_backend, trained_dialects
from coalm_lite.evals.running.pool_runner import PoolRunner
from coalm_lite.evals.running.process_pool import ProcessPool
from coalm_lite.evals.running.ray_pool import RayPool
from coalm_lite.evals.running.remote import chat_header
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import GROUP_ITEMS, BaseSteps, Progress, Runner, Speed, base_steps, groups
from coalm_lite.evals.running.selection import draw
from coalm_lite.evals.suites import DEFAULT_SUITE, open_suites
from coalm_lite.runtime.options import this_machine
from coalm_lite.store.locks import held


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is asked of which model. `items` or `detect` (a drop in points) reduces each suite; neither asks all.

    A suite with its own number ("multiwoz@200") is reduced to that.

    `base`: the run whose answers are this one's drafts. `force` begins `output` anew whatever is there.
    `ray`: the address of a cluster that runs it, "" for RAY_ADDRESS or one on this machine; None for no cluster.
    `workers`: processes with a model each, here or on the cluster; None for what suits the model.
    """

    model: str
    output: Path
    suites: Sequence[str] = (DEFAULT_SUITE,)
    data_dir: Path | None = None
    dialect: str | None = None
    items: int | None = None
    detect: float | None = None
    seed: int = 0
    base: Path | None = None
    force: bool = False
    ray: str | None = None
    workers: int | None = None
    backend: BackendOptions = field(default_factory=BackendOptions)


def evaluate(
    asked: Evaluation,
    *,
    tell: Callable[[str], object] = lambda words: None,
    report: Callable[[Progress], object] = lambda progress: None,
) -> tuple[Run, Speed]:
    """Run it, or go on with it where its file was begun. What does not fit together is refused before it is run.

    `tell` is given what it is about to do, in words; `report` how far it is, after each item.
    """
    _check(asked)
    parts = _parts(asked)
    base = read_run(asked.base) if asked.base else None
    tell(f"{asked.model}: {', '.join(map(_part_words, parts))}")
    with _opened(asked, parts, tell) as model:
        header = run_header(model, parts, seed=asked.seed, base=asked.base)
        if asked.backend.chat:
            header = chat_header(header)
        for words in _limits(asked.backend, header):
            tell(words)
        if asked.base and base:
            check_base(asked.base, base.header, header)
        with _alone(asked.output), RunAppender(asked.output, header, anew=asked.force) as file:
            if file.done:
                tell(f"going on behind the {len(file.done)} items that {asked.output} has")
            speed = _runner(model, parts, file, base_steps(base) if base else {}, report).run()
    return read_run(asked.output), speed


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """EvalError while another process writes this file; what a killed one leaves of its lock holds nobody up."""
    with held(output.with_name(f"{output.name}.lock")) as alone:
        if not alone:
            raise EvalError(f"another coalm-lite is writing {output}", "Wait for it, or give another file with -o.")
        yield


@contextmanager
def _opened(
    asked: Evaluation, parts: Sequence[Part], tell: Callable[[str], object]
) -> Iterator[Backend | RayPool | ProcessPool]:
    """The model: in this process, in several, behind a server, or on a cluster's workers."""
    processes = _processes(asked, parts)
    if asked.ray is not None:
        with RayPool(asked.model, asked.backend, asked.ray, workers=asked.workers, tell=tell) as pool:
            yield pool
    elif processes > 1:
        threads = asked.backend.threads or max(1, this_machine(gpu_offload=False).physical_cores // processes)
        with ProcessPool(asked.model, replace(asked.backend, threads=threads), processes, tell) as workers:
            yield workers
    else:
        with open_backend(asked.model, asked.backend, tell) as backend:
            yield backend


def _processes(asked: Evaluation, parts: Sequence[Part]) -> int:
    """How many processes have the model: as many as are asked for, or for a small model one a core."""
    chosen = asked.backend.threads is None and asked.backend.parallel is None and is_small(asked.model)
    wanted = asked.workers or (this_machine(gpu_offload=False).physical_cores if chosen else 1)
    return min(wanted, sum(1 for _ in groups(parts, GROUP_ITEMS)))


def _runner(
    model: Backend | RayPool | ProcessPool,
    parts: Sequence[Part],
    file: RunAppender,
    base: BaseSteps,
    report: Callable[[Progress], object],
) -> Runner | PoolRunner:
    if isinstance(model, RayPool | ProcessPool):
        return PoolRunner(model, parts, file, base=base, report=report)
    return Runner(model, parts, file, base=base, report=report)


def _check(asked: Evaluation) -> None:
    if asked.items is not None and asked.detect is not None:
        raise UsageError("--items and --detect both say how many items are asked", "Give one of them.")
    if asked.workers is not None and is_server(asked.model):
        raise UsageError(f"--workers is for models that run here, not for {asked.model}", "Give --parallel instead.")
    if asked.base is not None and is_server(asked.model):
        raise UsageError(
            f"{asked.model} is a server, which cannot be given recorded answers to verify",
            "Run it without --base: `coalm-lite report` compares the two runs.",
        )
    if asked.base is not None and asked.base.exists() and asked.output.exists() and asked.base.samefile(asked.output):
        raise UsageError(f"{asked.output} is the base itself", "Give another file with -o.")


def _limits(wanted: BackendOptions, header: RunHeader) -> Iterator[str]:
    """What a server's run will not have, though it was asked for."""
    if header.model.kind != "remote":
        return
    if wanted.grammar:
        yield "no grammar holds a server's answers: compare with runs that were made with --no-grammar"
    if wanted.top_logprobs and not header.top_logprobs:
        yield "the server does not number its tokens: runs with this one as --base compare texts, without KL divergence"
    if wanted.chat:
        yield "chat completions wrap prompts in the server's template: compare with runs by --chat alone"


def _parts(asked: Evaluation) -> tuple[Part, ...]:
    named = [_named(text) for text in asked.suites]
    suites = open_suites([name for name, _ in named], asked.data_dir)
    trained = trained_dialects(asked.model)
    count = _count(asked, suites)
    return tuple(
        Part(suite, choose_dialect(suite, asked.dialect, trained), _drawn(suite, own or count, asked.seed))
        for suite, (_, own) in zip(suites, named, strict=True)
    )


def _named(text: str) -> tuple[str, int | None]:
    """A suite's name and, behind an @, how many items of it are asked: "multiwoz@200"."""
    name, at, count = text.partition("@")
    if at and not (count.isdecimal() and int(count)):
        raise UsageError(
            f"{text!r}: {count!r} is no number of items", "Write a suite with a part of it as multiwoz@200."
        )
    return name, int(count) if at else None


def _count(asked: Evaluation, suites: Sequence[Suite]) -> int | None:
    """How many items of each suite are asked; None for all. A dialogue counts as one item, whatever its turns."""
    if asked.detect is None:
        return asked.items
    from coalm_lite.evals.statistics.sizing import items_needed

    return items_needed(asked.detect, metrics=sum(metric.headline for suite in suites for metric in suite.metrics) or 1)


def _drawn(suite: Suite, count: int | None, seed: int) -> tuple[Item, ...]:
    return draw(suite.name, suite.items, count or len(suite.items), seed)


def _part_words(part: Part) -> str:
    drawn, whole = len(part.items), len(part.suite.items)
    return f"{part.suite.name} ({drawn if drawn == whole else f'{drawn} of {whole}'} items, {part.dialect})"
