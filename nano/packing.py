"""Examples to rows of tokens: each example is a tree, so that a dialogue's history is computed once.

The prompts of an example's steps share a growing prefix. The prefix is the trunk; what a step's prompt has beyond the
next step's common prefix, and its reply, is a branch. A token sees the trunk before it and its own branch. Positions
count along the path, as they will at inference, where the branch is generated and dropped again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coalm_lite import dialects
from nano.examples import Example
from nano.tokenizer import Encoder

TRUNK = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """One example, arrays [length]: ids, positions, branch numbers (0: trunk), next ids and their loss weights."""

    tokens: NDArray[np.int32]
    positions: NDArray[np.int32]
    branches: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.tokens)


class _Builder:
    """The columns of a tree while its tokens are laid down."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.branches: list[int] = []
        self.targets: list[int] = []
        self.weights: list[float] = []

    def add(self, ids: Sequence[int], start: int, branch: int, weights: Sequence[float]) -> None:
        """Lays down ids at positions from `start`; `weights` are those of predicting each id's successor."""
        self.tokens += ids
        self.positions += range(start, start + len(ids))
        self.branches += [branch] * len(ids)
        self.targets += [*ids[1:], 0]
        self.weights += weights

    def tree(self) -> Tree:
        """The finished columns."""
        ints = (np.asarray(column, np.int32) for column in (self.tokens, self.positions, self.branches, self.targets))
        return Tree(*ints, np.asarray(self.weights, np.float32))


def build_tree(example: Example, encoder: Encoder, history_weight: float) -> Tree:
    """The tree of an example; `history_weight` is the loss weight of the history's own next tokens."""
    dialect = dialects.get(example.dialect)
    prompts = [encoder.prompt(dialect.render(step.messages, example.tools, short=True)) for step in example.steps]
    replies = [[*encoder.text(dialect.render_reply(step.reply)), encoder.end_of_turn] for step in example.steps]
    instruction = encoder.text(dialect.instruction(example.tools, short=True))
    builder = _Builder()
    laid = 0
    for number, (prompt, reply, step) in enumerate(zip(prompts, replies, example.steps, strict=True), 1):
        following = prompts[number] if number < len(prompts) else []
        shared = max(laid, _common_prefix(prompt, following))
        learnt = [0.0 if laid + i < len(instruction) + 4 else history_weight for i in range(shared - laid)]
        _lay_trunk(builder, prompt[laid:shared], laid, learnt)
        closing = prompt[shared:]
        told = [0.0] * (len(closing) - 1) + [step.weight] * len(reply)
        builder.add([*closing, *reply], shared, number, [*told, 0.0])
        laid = shared
    return builder.tree()


def _lay_trunk(builder: _Builder, ids: Sequence[int], start: int, weights: Sequence[float]) -> None:
    """Adds trunk tokens and points the trunk's last token so far at the first of them."""
    if not ids:
        return
    last = next((i for i in reversed(range(len(builder.branches))) if builder.branches[i] == TRUNK), None)
    if last is not None:
        builder.targets[last], builder.weights[last] = ids[0], weights[0]
    builder.add(ids, start, TRUNK, [*weights[1:], 0.0])


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    length = min(len(first), len(second))
    return next((i for i in range(length) if first[i] != second[i]), length)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of trees: arrays [rows, length]; `examples` numbers the tree of each token in its row (0: padding)."""

    tokens: NDArray[np.int32]
    positions: NDArray[np.int32]
    branches: NDArray[np.int32]
    examples: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """Trees that share a row of `length` tokens."""

    length: int
    trees: tuple[Tree, ...]


def pack_rows(trees: Iterable[Tree], lengths: Sequence[int]) -> list[Row]:
    """Rows of these lengths (ascending): best fit, else a new row of the smallest length; longer trees are left out."""
    rows: list[tuple[int, list[Tree]]] = []
    spare: list[tuple[int, int]] = []  # (free tokens, row number), ascending
    for tree in sorted(trees, key=len, reverse=True):
        best = bisect_left(spare, (len(tree), -1))
        if best == len(spare):
            length = next((length for length in lengths if length >= len(tree)), None)
            if length is None:
                continue
            rows.append((length, []))
            spare.append((length, len(rows) - 1))
        free, row = spare.pop(best)
        rows[row][1].append(tree)
        insort(spare, (free - len(tree), row))
    return [Row(length, tuple(members)) for length, members in rows]


def batch_rows(rows: Sequence[Row]) -> Batch:
    """Rows of one length as arrays, padded to it."""
    length = rows[0].length
    ints = [np.zeros((len(rows), length), np.int32) for _ in range(5)]
    weights = np.zeros((len(rows), length), np.float32)
    for r, row in enumerate(rows):
        at = 0
        for number, tree in enumerate(row.trees, 1):
            span = slice(at, at + len(tree))
            columns = (tree.tokens, tree.positions, tree.branches, np.full(len(tree), number), tree.targets)
            for column, values in zip(ints, columns, strict=True):
                column[r, span] = values
            weights[r, span] = tree.weights
            at += len(tree)
    return Batch(*ints, weights)
