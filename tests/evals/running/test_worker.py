"""What a worker does with a group, without a cluster."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from coalm_lite.errors import UsageError
from coalm_lite.evals.running.backend import Costs
from coalm_lite.evals.running.header import Part, run_header
from coalm_lite.evals.running.opening import BackendOptions, open_backend
from coalm_lite.evals.running.pool_runner import numbered_groups
from coalm_lite.evals.running.ray_pool import RayPool
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Runner
from coalm_lite.evals.running.worker import Facts, Failure, GroupResult, Worker, added
from tests.evals.running.asking import Asking

OPTIONS = BackendOptions(parallel=4, context_tokens=1024, threads=1, top_logprobs=2)
SUITE = Asking(12)
PART = Part(SUITE, "hammer", SUITE.items)


def test_groups_of_two_workers_are_the_run_of_one_machine(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with open_backend("nano", OPTIONS) as backend, RunAppender(path, run_header(backend, [PART])) as file:
        Runner(backend, [PART], file, group_items=4).run()
        facts = backend.story, backend.short, backend.grammar, backend.top_logprobs
    workers = [Worker("nano", OPTIONS) for _ in range(2)]
    for worker in workers:
        told = worker.facts()
        assert isinstance(told, Facts) and told.process == os.getpid()
        assert (told.story, told.short, told.grammar, told.top_logprobs) == facts
    groups = numbered_groups([PART], 4, {})
    assert len(groups) > 2 and groups[1].first == len(groups[0].items)
    results = {}
    for number, group in reversed([*enumerate(groups)]):
        result = workers[number % 2].answer(SUITE, pickle.loads(pickle.dumps(group)))
        assert isinstance(result, GroupResult)
        results[number] = pickle.loads(pickle.dumps(result))
    assert tuple(item for number in sorted(results) for item in results[number].items) == read_run(path).items


def test_a_workers_error_is_a_value_that_names_its_node() -> None:
    failure = Worker("/nowhere/model.gguf", OPTIONS).facts()
    assert isinstance(failure, Failure)
    assert "/nowhere/model.gguf" in failure.message and failure.node


def test_costs_of_workers_are_added_up() -> None:
    total = added([Costs(prompt_tokens=5, sampling_s=0.5), Costs(prompt_tokens=7, answer_tokens=1)])
    assert (total.prompt_tokens, total.answer_tokens, total.sampling_s) == (12, 1, 0.5)


def test_a_server_needs_no_cluster() -> None:
    with pytest.raises(UsageError, match="needs no cluster"):
        RayPool("https://host/v1", OPTIONS)
