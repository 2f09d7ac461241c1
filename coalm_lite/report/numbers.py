"""Numbers as the report writes them: points, probabilities, counts, sizes, shares and KL divergence."""

from __future__ import annotations

import math
from collections.abc import Sequence

UNKNOWN = "\u2013"
_MINUS = "\u2212"
_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def points(value: float) -> str:
    """A score or a size of a difference: "82.4"."""
    return f"{abs(value) if abs(value) < 0.05 else value:.1f}".replace("-", _MINUS) if math.isfinite(value) else UNKNOWN


def signed(value: float) -> str:
    """A difference with its sign: "+0.4", "0.0", or below 0 with a minus sign proper."""
    return f"+{points(value)}" if math.isfinite(value) and value >= 0.05 else points(value)


def probability(value: float) -> str:
    """A p-value, after "p": "= 0.012", "< 0.001"."""
    if not math.isfinite(value):
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"= {value:.3f}" if value < 0.1 else f"= {value:.2f}"


def size(count: int) -> str:
    """A size in bytes: "4.92 GB", "8.4 MB"; "size not known" of 0."""
    if count <= 0:
        return "size not known"
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def ticks_of_size(values: Sequence[float]) -> tuple[tuple[float, str], ...]:
    """Ticks of an axis of sizes, labelled."""
    return tuple((value, size(round(value))) for value in values)


def share(part: float, whole: float) -> str:
    """A share in percent: "92.3 %"."""
    return f"{100 * part / whole:.1f} %" if whole else UNKNOWN


def divergence(value: float | None) -> str:
    """A KL divergence to two digits: "0.012", "below 0.0001"."""
    if value is None or not math.isfinite(value):
        return "not measured"
    return f"{value:.2g}" if value >= 1e-4 else "below 0.0001" if value > 0 else "0"


def listed(words: Sequence[str]) -> str:
    """Words as a list of a sentence: "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The 95 % interval of a share, by Wilson's formula; 0 to 1 of nothing."""
    if not whole:
        return 0.0, 1.0
    z, rate = 1.96, part / whole
    middle = (rate + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(rate * (1 - rate) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return max(middle - half, 0.0), min(middle + half, 1.0)
