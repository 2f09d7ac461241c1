"""Packed trees: every reply sees exactly its own prompt, at the positions it will have at inference."""

from __future__ import annotations

import random

import numpy as np
import pytest

from coalm_lite import dialects
from nano.examples import Example
from nano.multiwoz import Dialogue, Turn, state_example
from nano.town_talk import conversation

pytest.importorskip("tokenizers")
from nano.packing import Row, Tree, batch_rows, build_tree, pack_rows
from nano.tokenizer import SPECIAL_TOKENS, Encoder, train_tokenizer

TURNS = (
    Turn("", "i need a cheap hotel ?", {"hotel-pricerange": "cheap"}, "which area ?"),
    Turn("which area ?", "north .", {"hotel-pricerange": "cheap", "hotel-area": "north"}, "ok"),
    Turn("ok", "thanks !", {"hotel-pricerange": "cheap", "hotel-area": "north"}, ""),
)
EXAMPLES = [state_example(Dialogue("a", TURNS)), *(conversation(random.Random(seed)) for seed in range(6))]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    texts = [segment.text for example in EXAMPLES for segment in prompts(example)[-1]]
    return Encoder(train_tokenizer(texts, 600))


def prompts(example: Example) -> list[tuple[object, ...]]:
    dialect = dialects.get(example.dialect)
    return [dialect.render(step.messages, example.tools, short=True) for step in example.steps]


def visible(tree: Tree, index: int) -> list[int]:
    """The ids that the token at `index` sees, itself included, in the order of their positions."""
    own = tree.branches[index]
    seen = [i for i in range(index + 1) if tree.branches[i] in (0, own)]
    assert [int(tree.positions[i]) for i in seen] == list(range(len(seen)))
    return [int(tree.tokens[i]) for i in seen]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_reply_token_sees_its_prompt_and_the_reply_before_it(number: int, encoder: Encoder) -> None:
    example = EXAMPLES[number]
    tree = build_tree(example, encoder, 0.1)
    dialect = dialects.get(example.dialect)
    for branch, (step, prompt) in enumerate(zip(example.steps, prompts(example), strict=True), 1):
        reply = [*encoder.text(dialect.render_reply(step.reply)), encoder.end_of_turn]
        whole = [*encoder.prompt(prompt), *reply]  # type: ignore[arg-type]  # a Prompt
        last = int(np.flatnonzero(tree.branches == branch)[-1])
        assert visible(tree, last) == whole
        learnt = [i for i in np.flatnonzero(tree.branches == branch) if tree.weights[i] > 0]
        assert [int(tree.targets[i]) for i in learnt] == reply


def test_the_trunk_learns_its_own_next_tokens(encoder: Encoder) -> None:
    tree = build_tree(EXAMPLES[0], encoder, 0.1)
    trunk = np.flatnonzero(tree.branches == 0)
    learnt = [i for i in trunk if tree.weights[i] > 0]
    assert learnt
    for here in learnt:
        following = trunk[list(trunk).index(here) + 1]
        assert tree.targets[here] == tree.tokens[following]


def test_history_is_computed_once(encoder: Encoder) -> None:
    tree = build_tree(EXAMPLES[1], encoder, 0.1)
    separate = sum(len(encoder.prompt(prompt)) for prompt in prompts(EXAMPLES[1]))  # type: ignore[arg-type]
    steps = len(EXAMPLES[1].steps)
    assert steps == 1 or len(tree) < separate


def test_text_encodes_the_same_whole_and_by_cached_lines() -> None:
    texts = ["a b\nc\n\n d\n- e?\nF", "x?\n\n\ny \n z", "\n\n", "tail\n"]
    tokenizer = train_tokenizer(texts * 3, 256 + len(SPECIAL_TOKENS) + 10)
    encoder = Encoder(tokenizer)
    for text in texts:
        assert encoder.text(text) == tokenizer.encode(text, add_special_tokens=False).ids


def test_rows_hold_every_fitting_tree_once_and_no_row_overflows(encoder: Encoder) -> None:
    trees = [build_tree(example, encoder, 0.1) for example in EXAMPLES]
    longest = max(map(len, trees))
    lengths = (longest // 2, longest)
    rows = pack_rows(trees, lengths)
    assert sorted(len(tree) for row in rows for tree in row.trees) == sorted(map(len, trees))
    assert all(row.length in lengths and sum(map(len, row.trees)) <= row.length for row in rows)
    assert pack_rows(trees, (longest - 1,)) != rows


def test_batches_keep_every_column_in_place(encoder: Encoder) -> None:
    tree = build_tree(EXAMPLES[0], encoder, 0.1)
    batch = batch_rows([Row(2 * len(tree) + 3, (tree, tree))])
    assert batch.tokens.shape == (1, 2 * len(tree) + 3)
    assert list(batch.examples[0]) == [1] * len(tree) + [2] * len(tree) + [0] * 3
    np.testing.assert_array_equal(batch.targets[0, len(tree) : 2 * len(tree)], tree.targets)
    assert batch.weights[0, 2 * len(tree) :].sum() == 0
