"""Whether the statistics of a comparison keep what they promise, by simulation of runs whose truth is known.

usage: python benchmarks/calibration.py [--runs 2000] [--kinds items,strata,dialogues,slots] [--parts truth,power]
           [--sizes 200,500,1000,2000] [--flips 0.01,0.03,0.05,0.1,0.15] [--workers 1] [--keep]

truth: for each setting, in so many synthetic pairs of runs: how often the 95 % interval has the true difference in it;
how often the verdict is "regressed" where there is no drop (a false alarm), and "holds" where the drop is `max_drop` (2
points; a false comfort). power: how often it is "regressed" where the drop is what the set was sized for. The intervals
take 2,000 draws where a report takes 10,000, the tests 2,000 exchanges where it takes 20,000. A row a setting, appended
to results/statistics.jsonl with --keep, whether it met its bound or not; the last line printed counts them.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
from synthetic_pairs import KINDS, TURNS, World

from coalm_lite.evals.statistics.intervals import difference_interval
from coalm_lite.evals.statistics.paired import design_effect, flip_rate
from coalm_lite.evals.statistics.significance import holm, no_drop
from coalm_lite.evals.statistics.sizing import items_needed, items_needed_unpaired
from coalm_lite.evals.statistics.verdicts import decide
from rows import provenance

RESULTS = Path(__file__).parent / "results" / "statistics.jsonl"
MAX_DROP = 0.02
DRAWS = 2_000
SIZES = (200, 500, 1000, 2000)
ACCURACY, OTHER_ACCURACIES = 0.6, (0.3, 0.95)
FLIPS = (0.01, 0.03, 0.05, 0.10, 0.15)
DETECTED = (0.02, 0.03, 0.05)
POPULATION = 700_000  # units, for what has no formula
BOUNDS = {"cover": (93.0, 97.0), "false_alarms": (0.0, 5.0), "false_comfort": (0.0, 5.0), "power": (77.0, 83.0)}


@dataclass(frozen=True)
class Setting:
    """A cell of the table. `metrics`: headline metrics that are tested together, all but the first without a drop."""

    part: str
    kind: str
    world: World
    metrics: int = 1
    max_drop: float = MAX_DROP
    true_difference: float = 0.0
    wanted_flips: float = 0.0


def truth_settings(kind: str) -> Iterator[Setting]:
    """Sizes, accuracies and flip rates, without a drop and with the largest that is allowed."""
    for units, accuracy, flips in _cells():
        for drop in (0.0, MAX_DROP):
            world = World(units, accuracy, max(flips, drop), drop)
            if world.possible:
                difference = -drop if kind != "slots" else _true_difference(world)
                # Where the score is no share of units, the drop that is allowed is the one that there is.
                allowed = MAX_DROP if kind != "slots" or drop == 0 else -difference
                yield Setting("truth", kind, world, 1, allowed, difference, flips)


def _cells() -> Iterator[tuple[int, float, float]]:
    """Units, accuracy, flips: all sizes and flip rates at one accuracy, and the others at one size."""
    for units in SIZES:
        for flips in FLIPS:
            yield units, ACCURACY, flips
    for accuracy in OTHER_ACCURACIES:
        for flips in FLIPS[::2]:
            yield SIZES[1], accuracy, flips


def power_settings(kind: str) -> Iterator[Setting]:
    """Drops to detect at several flip rates, on as many items as `items_needed` says."""
    for drop in DETECTED if kind != "slots" else ():
        for flips in FLIPS:
            for metrics in (1, 3) if kind == "items" else (1,):
                if flips < drop or (kind != "items" and not (drop == 0.03 and flips > drop)):
                    continue
                world = World(POPULATION, ACCURACY, flips, drop)
                known = KINDS[kind](np.random.default_rng(5), world)
                effect = 1.0 if kind == "items" else design_effect(known)
                rate = flips if kind == "items" else flip_rate(known)
                units = items_needed(100 * drop, flip_rate=rate, metrics=metrics, design_effect=effect)
                yield Setting("power", kind, replace(world, units=units), metrics, MAX_DROP / 2, -drop, flips)


def _true_difference(world: World) -> float:
    base, score = KINDS["slots"](np.random.default_rng(7), replace(world, units=4 * POPULATION)).scores
    return 0.0 if world.drop == 0 else score - base


def measured(setting: Setting, runs: int) -> dict[str, object]:
    """The setting's row."""
    random = np.random.default_rng(zlib.crc32(repr(setting).encode()))
    verdicts, lows, highs, widths = [], 0, 0, 0.0
    for _ in range(runs):
        pairs = KINDS[setting.kind](random, setting.world)
        interval = difference_interval(pairs, int(random.integers(1 << 30)), DRAWS)
        p = no_drop(pairs, int(random.integers(1 << 30)), DRAWS).p
        if setting.metrics > 1:
            p = holm([p, *(_p_without_drop(random, setting) for _ in range(setting.metrics - 1))])[0]
        verdicts.append(decide(interval.low, p, setting.max_drop))
        lows += interval.low > setting.true_difference + 1e-9
        highs += interval.high < setting.true_difference - 1e-9
        widths += 100 * (interval.high - interval.low) / runs
    counts = {name: 100 * verdicts.count(name) / runs for name in ("holds", "regressed", "undecided")}
    return _row(setting, runs, counts, (100 * lows / runs, 100 * highs / runs), widths)


def _p_without_drop(random: np.random.Generator, setting: Setting) -> float:
    world = replace(setting.world, drop=0.0)
    return no_drop(KINDS[setting.kind](random, world), int(random.integers(1 << 30)), DRAWS).p


def _row(
    setting: Setting, runs: int, verdicts: dict[str, float], missed: tuple[float, float], width: float
) -> dict[str, object]:
    world = setting.world
    figures = _figures(setting, verdicts, 100 - sum(missed))
    flips = world.units * world.flips
    return {
        "benchmark": "calibration",
        "part": setting.part,
        "kind": setting.kind,
        "n": runs,
        "units": world.units,
        "clusters": world.units if setting.kind in ("items", "strata") else round(world.units / TURNS),
        "accuracy": world.accuracy,
        "flips": world.flips,
        "expected_flips": round(flips if setting.kind in ("items", "strata") else flips * 2 / (TURNS + 1), 1),
        "difference_points": round(100 * setting.true_difference, 3),
        "max_drop_points": round(100 * setting.max_drop, 3),
        "metrics": setting.metrics,
        **{name: round(value, 2) for name, value in figures.items()},
        "standard_error": {name: round(_error(value, runs), 2) for name, value in figures.items()},
        "missed_above": round(missed[1], 2),
        "missed_below": round(missed[0], 2),
        "width_points": round(width, 2),
        **{f"verdict_{name}": round(value, 2) for name, value in verdicts.items()},
        "out_of_bounds": [name for name, value in figures.items() if not BOUNDS[name][0] <= value <= BOUNDS[name][1]],
        **_sizes(setting),
    }


def _figures(setting: Setting, verdicts: dict[str, float], cover: float) -> dict[str, float]:
    if setting.part == "power":
        return {"power": verdicts["regressed"]}
    if setting.world.drop == 0:
        return {"cover": cover, "false_alarms": verdicts["regressed"]}
    return {"cover": cover, "false_comfort": verdicts["holds"]}


def _sizes(setting: Setting) -> dict[str, object]:
    """What an unpaired test of the same power would need, for single items."""
    if setting.part != "power" or setting.kind != "items":
        return {}
    drop = 100 * setting.world.drop
    each = {str(score): items_needed_unpaired(drop, score, metrics=setting.metrics) for score in (0.3, 0.5, 0.8, 0.95)}
    return {"unpaired_items_each_by_base_score": each}


def _error(percent: float, runs: int) -> float:
    return sqrt(max(percent * (100 - percent), 0.0) / runs)


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--kinds", default="items,strata,dialogues,slots")
    parser.add_argument("--parts", default="truth,power")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--flips", default=",".join(map(str, FLIPS)))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    makers = {"truth": truth_settings, "power": power_settings}
    sizes, flips = ({float(word) for word in words.split(",")} for words in (options.sizes, options.flips))
    settings = [
        each
        for kind in options.kinds.split(",")
        for part in options.parts.split(",")
        for each in makers[part](kind)
        if each.wanted_flips in flips and (part == "power" or each.world.units in sizes)
    ]
    missed: dict[str, int] = {}
    with ProcessPoolExecutor(options.workers) as workers:
        for row in workers.map(measured, settings, [options.runs] * len(settings)):
            text = json.dumps(row | provenance())
            print(text, flush=True)
            if options.keep:
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(text + "\n")
            for name in row["out_of_bounds"]:  # type: ignore[attr-defined]
                missed[name] = missed.get(name, 0) + 1
    print(json.dumps({"settings": len(settings), "runs": options.runs, "out_of_bounds": missed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
