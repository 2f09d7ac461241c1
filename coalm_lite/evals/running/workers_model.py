"""What is known of a model that several workers have: what its first worker told, and what all took together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Mapping

from coalm_lite.errors import EvalError
from coalm_lite.evals.run import ModelStory
from coalm_lite.evals.running.backend import Costs
from coalm_lite.evals.running.worker import Facts, Group, GroupResult, added

MOST_LOSSES = 3  # of workers by one group, or before any was ready: then it is no accident


class WorkersModel(ABC):
    """A `Model`, as its first worker tells; all workers must tell the same."""

    @abstractmethod
    def _start_worker(self) -> None:
        """Start one more worker, which tells its facts when it is ready."""

    @abstractmethod
    def finished(self) -> tuple[Group, GroupResult | None] | None:
        """Wait for the next thing to happen, as `Pool.finished`."""

    def _start(self, workers: int) -> None:
        """Start so many workers, and wait until the first is ready."""
        for _ in range(workers):
            self._start_worker()
        while self._facts is None:
            self.finished()

    def __init__(self) -> None:
        self._facts: Facts | None = None
        self._costs: dict[Hashable, tuple[Costs, float]] = {}
        self._losses: Counter[int] = Counter()

    @property
    def facts(self) -> Facts:
        """What the workers' model is."""
        assert self._facts is not None, "the first worker was waited for"
        return self._facts

    @property
    def story(self) -> ModelStory:
        """Which model it is."""
        return self.facts.story

    @property
    def short(self) -> bool:
        """Whether prompts have the brief instructions."""
        return self.facts.short

    @property
    def grammar(self) -> bool:
        """Whether answers are held to their dialect's grammar."""
        return self.facts.grammar

    @property
    def top_logprobs(self) -> int:
        """How many log-probabilities are kept a token."""
        return self.facts.top_logprobs

    @property
    def versions(self) -> Mapping[str, str]:
        """The programs that a result hangs on."""
        return self.facts.versions

    @property
    def costs(self) -> tuple[Costs, float]:
        """What all groups took that came back, added up over the workers; and the seconds of scoring."""
        return added([costs for costs, _ in self._costs.values()]), sum(scoring for _, scoring in self._costs.values())

    def _count_costs(self, worker: Hashable, result: GroupResult) -> None:
        self._costs[worker] = (result.costs, result.scoring_s + self._costs.get(worker, (Costs(), 0.0))[1])

    def _count_loss(self, group: Group | None, hint: str) -> None:
        """EvalError once a group, or the start, has lost too many workers."""
        key = group.first if group else -1
        self._losses[key] += 1
        if self._losses[key] >= MOST_LOSSES:
            what = f"with the group of {group.items[0].id!r}" if group else "before they were ready"
            raise EvalError(f"{MOST_LOSSES} workers were lost {what}", hint)

    def _check_facts(self, facts: Facts) -> None:
        self._facts = self._facts or facts
        if facts.same != self._facts.same:
            raise EvalError(
                f"the nodes {self._facts.node} and {facts.node} have different models or versions under the same name:"
                f" {_difference(self._facts, facts)}",
                "Give all nodes the same file and the same coalm-lite.",
            )


def _difference(left: Facts, right: Facts) -> str:
    names = ("story", "short", "grammar", "top_logprobs", "versions")
    return ", ".join(name for name in names if getattr(left, name) != getattr(right, name))
