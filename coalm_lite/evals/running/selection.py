"""Reduced sets: some of a suite's items, drawn by a seed so that each stratum has its share and dialogues stay whole.

The order of drawing hangs on seed, suite and cluster alone: a larger set of the same seed contains the smaller one,
stratum by stratum, as far as the strata's shares let it. The items keep the suite's order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256

from coalm_lite.errors import UsageError
from coalm_lite.evals.items import Item

LEAST = 3  # items of each stratum, where it has as many; fewer where that would be more than was asked for


def draw(suite: str, items: Sequence[Item], count: int, seed: int) -> tuple[Item, ...]:
    """`count` of the items of a suite, or a few more where a cluster is drawn whole; all where there are no more."""
    if count < 1:
        raise UsageError(f"{count} items of {suite} cannot be drawn", "Draw at least 1.")
    if count >= len(items):
        return tuple(items)
    strata: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        strata[item.stratum].append(item)
    shares = _shares({name: len(members) for name, members in strata.items()}, count)
    drawn: set[str] = set()
    for name, members in strata.items():
        drawn |= _drawn(suite, members, shares[name], seed)
    return tuple(item for item in items if item.id in drawn)


def _shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of each stratum: by its size, a few at least, `count` in all where that can be."""
    whole, few = sum(sizes.values()), max(1, min(LEAST, count // len(sizes)))
    wanted = {name: count * size / whole for name, size in sizes.items()}
    shares = {name: max(min(few, size), int(wanted[name])) for name, size in sizes.items()}
    behind = sorted(sizes, key=lambda name: (shares[name] - wanted[name], name))
    for name in behind:
        if sum(shares.values()) < count and shares[name] < sizes[name]:
            shares[name] += 1
    for name in sorted(sizes, key=lambda name: (-shares[name], name)):
        surplus = sum(shares.values()) - count
        shares[name] -= max(0, min(surplus, shares[name] - min(few, sizes[name])))
    return shares


def _drawn(suite: str, members: Sequence[Item], count: int, seed: int) -> set[str]:
    """The ids of at least `count` items, whole clusters of them."""
    clusters: defaultdict[str, list[str]] = defaultdict(list)
    for item in members:
        clusters[item.cluster].append(item.id)
    drawn: set[str] = set()
    for cluster in sorted(clusters, key=lambda name: sha256(f"{seed}\0{suite}\0{name}".encode()).digest()):
        if len(drawn) >= count:
            break
        drawn.update(clusters[cluster])
    return drawn
