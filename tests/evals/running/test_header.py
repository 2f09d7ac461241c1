"""Headers: what makes two runs comparable is in them, alike in each process; what differs from a base is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.errors import EvalError, UsageError
from coalm_lite.evals.items import Item
from coalm_lite.evals.run import ModelStory, RunHeader, SuiteStory
from coalm_lite.evals.running.header import check_base, choose_dialect, items_sha256
from coalm_lite.evals.running.model_story import template_sha256
from tests.evals.running.asking import Asking

SUITE = SuiteStory("asking", "hammer", 9, 3, "items", "template", ())
HEADER = RunHeader(ModelStory("a", "gguf", vocabulary_sha256="v"), (SUITE,), top_logprobs=10)


def test_a_run_of_the_same_is_a_base() -> None:
    check_base(Path("b"), HEADER, replace(HEADER, model=replace(HEADER.model, name="b", quant="Q4_K_M")))


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (replace(HEADER, top_logprobs=0), "b has no log-probabilities"),
        (replace(HEADER, grammar=False), "its use of a grammar is off, here on"),
        (replace(HEADER, model=ModelStory("a", "gguf", vocabulary_sha256="w")), "its vocabulary is w, here v"),
        (replace(HEADER, suites=()), "its suites is not known, here asking"),
        (replace(HEADER, suites=(replace(SUITE, dialect="cra"),)), "its dialect of asking is cra, here hammer"),
        (replace(HEADER, suites=(replace(SUITE, items_sha256="i"),)), "its item set of asking is i, here items"),
        (replace(HEADER, suites=(replace(SUITE, template_sha256="t"),)), "its template of asking is t, here template"),
    ],
)
def test_what_differs_from_a_base_is_named(base: RunHeader, words: str) -> None:
    with pytest.raises(EvalError, match=words):
        check_base(Path("b"), base, HEADER)


def test_a_dialect_that_a_model_was_trained_in_is_chosen() -> None:
    suite = Asking(1)  # hammer, cra
    assert choose_dialect(suite, None, ("dst", "cra")) == "cra"
    assert choose_dialect(suite, None, ()) == "hammer"
    assert choose_dialect(suite, "cra", ("hammer",)) == "cra"
    with pytest.raises(UsageError, match="trained on dst, and asking is asked in hammer, cra"):
        choose_dialect(suite, None, ("dst",))
    with pytest.raises(UsageError, match="asking cannot be asked in the dialect 'dst'"):
        choose_dialect(suite, "dst", ("dst",))


def test_an_item_set_s_hash_hangs_on_ids_order_and_content() -> None:
    items = Asking(4).items
    changed = (*items[:3], replace(items[3], content=replace(items[3].content, turns=5)))
    hashes = {items_sha256(each) for each in (items, items[::-1], items[:3], changed)}
    assert len(hashes) == 4
    assert items_sha256(Asking(4).items) == items_sha256(items)


def test_sets_hash_alike_in_each_process() -> None:
    words = frozenset(f"word {number}" for number in range(50))
    here = items_sha256([Item("i", "s", "c", words)])
    program = (
        "from coalm_lite.evals.items import Item; from coalm_lite.evals.running.header import items_sha256;"
        "print(items_sha256([Item('i', 's', 'c', frozenset(f'word {n}' for n in range(50)))]))"
    )
    command = [sys.executable, "-c", program]
    there = {subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)}
    assert there == {here}


def test_a_template_s_hash_tells_dialects_and_instructions_apart() -> None:
    cases = [(dialect, short) for dialect in ("cra", "dst", "hammer", "bfcl") for short in (False, True)]
    assert len({template_sha256(*case) for case in cases}) >= 6  # some dialects have no brief form
