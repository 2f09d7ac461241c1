"""Sets of Unicode characters as sorted ranges of code points, surrogates never among them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Inclusive ranges, sorted, none touching the next."""

LAST = 0x10FFFF
ALL: Ranges = ((0, 0xD7FF), (0xE000, LAST))


def charset(*parts: str | tuple[int, int]) -> Ranges:
    """The set of each character of the strings and of the inclusive ranges."""
    pairs: list[tuple[int, int]] = []
    for part in parts:
        pairs.extend([(ord(character),) * 2 for character in part] if isinstance(part, str) else [part])
    return normal(pairs)


def normal(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Any ranges as a set of characters."""
    return intersection(_merged(pairs), ALL)


def _merged(pairs: Iterable[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def union(*sets: Ranges) -> Ranges:
    """What is in any of the sets."""
    return sets[0] if len(sets) == 1 else _merged(pair for ranges in sets for pair in ranges)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """What is in both sets."""
    found: list[tuple[int, int]] = []
    at = other = 0
    while at < len(left) and other < len(right):
        low, high = max(left[at][0], right[other][0]), min(left[at][1], right[other][1])
        if low <= high:
            found.append((low, high))
        if left[at][1] < right[other][1]:
            at += 1
        else:
            other += 1
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    """Every character that is not in the set."""
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if start < low:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        gaps.append((start, LAST))
    return intersection(tuple(gaps), ALL)


def difference(left: Ranges, right: Ranges) -> Ranges:
    """What is in `left` and not in `right`."""
    return intersection(left, complement(right))


def contains(ranges: Ranges, point: int) -> bool:
    """Whether the code point is in the set."""
    at = bisect_right(ranges, (point, LAST)) - 1
    return at >= 0 and point <= ranges[at][1]


def partition(sets: Iterable[Ranges]) -> list[tuple[Ranges, frozenset[int]]]:
    """All characters in classes that no set splits, each with the indices of the sets that hold it."""
    listed = list(sets)
    edges: dict[int, list[int]] = {0: [], LAST + 1: []}
    for index, ranges in enumerate(listed):
        for low, high in ranges:
            edges.setdefault(low, []).append(index)
            edges.setdefault(high + 1, []).append(index)
    classes: dict[frozenset[int], list[tuple[int, int]]] = {}
    inside: set[int] = set()
    points = sorted(edges)
    for low, following in pairwise(points):
        inside.symmetric_difference_update(_odd(edges[low]))
        classes.setdefault(frozenset(inside), []).append((low, following - 1))
    normals = [(normal(pairs), held) for held, pairs in classes.items()]
    return [(ranges, held) for ranges, held in normals if ranges]


def _odd(indices: list[int]) -> set[int]:
    """The indices that stand an odd number of times: a set that ends where it begins again goes on."""
    odd: set[int] = set()
    for index in indices:
        odd.symmetric_difference_update({index})
    return odd
