"""Integers and numbers between bounds, written as `json.dumps` and `repr` write them.

Integers are exact. A number with a point or an exponent is compared as the decimal that it is, with the bounds moved
inward to the next value a float can have, so that no rounding carries it across. Exponents are written with a sign and
at least two digits, after one digit before the point, as both writers do. Without a bound the value files' limits hold:
18 digits, 20 decimals, 1.7e308.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache

from coalm_lite.grammar import ir
from coalm_lite.grammar.digits import decimal_digits, natural
from coalm_lite.grammar.regular import Dfa, all_of, dfa_of

_LARGEST_INTEGER = 10**18 - 1
_LARGEST = 1.7e308
_MOST_DIGITS = 300
_DECIMALS = 20
_LEAST_EXPONENT, _MOST_EXPONENT = -324, 308
_SOME_DIGITS = ir.Repeat(ir.DIGITS, 0, None)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value; None: none. `above` and `below`: the value itself is out."""

    least: int | float | None = None
    above: bool = False
    most: int | float | None = None
    below: bool = False

    @property
    def are_none(self) -> bool:
        return self.least is None and self.most is None

    def narrowed(self, other: Bounds) -> Bounds:
        """What both allow."""
        least, above = max(_least(self), _least(other))
        most, within = min(_most(self), _most(other))
        return Bounds(None if least == -math.inf else least, above, None if most == math.inf else most, not within)


def _least(bounds: Bounds) -> tuple[float, bool]:
    return (-math.inf if bounds.least is None else bounds.least), bounds.above


def _most(bounds: Bounds) -> tuple[float, bool]:
    return (math.inf if bounds.most is None else bounds.most), not bounds.below


def integers(bounds: Bounds) -> ir.Expression:
    """The integers within the bounds, up to 18 digits where a side has none."""
    low, high = _integer_range(bounds)
    return ir.choice(_signed_integers(low, high))


def _integer_range(bounds: Bounds) -> tuple[int, int]:
    low = None if bounds.least is None else math.ceil(Fraction(bounds.least))
    high = None if bounds.most is None else math.floor(Fraction(bounds.most))
    if low is not None and bounds.above and low == bounds.least:
        low += 1
    if high is not None and bounds.below and high == bounds.most:
        high -= 1
    widest = max(_LARGEST_INTEGER, *(10 ** len(str(abs(side))) - 1 for side in (low, high) if side is not None), 0)
    return -widest if low is None else low, widest if high is None else high


def _signed_integers(low: int, high: int) -> Iterator[ir.Expression]:
    if high >= 0 and low <= high:
        yield natural(max(low, 0), high)
    if low < 0 and low <= high:
        yield ir.sequence(ir.Literal("-"), natural(max(1, -high), -low))


@lru_cache(maxsize=256)
def decimals(bounds: Bounds) -> tuple[tuple[str, Dfa], ...]:
    """The numbers with a point or an exponent within the bounds: the automaton of what follows each sign."""
    low, high = _float_range(bounds)
    found: list[tuple[str, Dfa]] = []
    if high >= 0 and low <= high:
        found.append(("", _magnitudes(max(low, 0.0), high)))
    if low <= 0 and low <= high:
        found.append(("-", _magnitudes(max(-high, 0.0), abs(low))))
    return tuple((sign, dfa) for sign, dfa in found if not dfa.is_empty)


def _float_range(bounds: Bounds) -> tuple[float, float]:
    """The least and the greatest float within the bounds."""
    low = -_LARGEST if bounds.least is None else _as_float(bounds.least, up=True)
    high = _LARGEST if bounds.most is None else _as_float(bounds.most, up=False)
    if bounds.least is not None and bounds.above and low == bounds.least:
        low = math.nextafter(low, math.inf)
    if bounds.most is not None and bounds.below and high == bounds.most:
        high = math.nextafter(high, -math.inf)
    return max(low, -_LARGEST), min(high, _LARGEST)


def _as_float(value: float, up: bool) -> float:
    """The float nearest to an integer or a float, not below it (`up`) or not above it."""
    try:
        near = float(value)
    except OverflowError:
        return math.copysign(math.inf, value)
    wrong_side = near < value if up else near > value
    return math.nextafter(near, math.inf if up else -math.inf) if wrong_side else near


def _magnitudes(low: float, high: float) -> Dfa:
    """The unsigned numbers from `low` to `high` that have a point or an exponent."""
    languages = [_every_magnitude()]
    if high < _LARGEST:
        languages.append(dfa_of(_at_most(high)))
    if low > 0:
        languages.append(dfa_of(_at_least(low)))
    return all_of(languages)


@cache
def _every_magnitude() -> Dfa:
    return all_of([dfa_of(_at_most(_LARGEST)), dfa_of(_form())])


def _form() -> ir.Expression:
    """Every unsigned number with a point or an exponent."""
    whole = ir.choice([ir.Literal("0"), ir.sequence(decimal_digits(1, 9), ir.Repeat(ir.DIGITS, 0, 17))])
    fraction = ir.sequence(ir.Literal("."), ir.Repeat(ir.DIGITS, 1, _DECIMALS))
    mantissa = ir.sequence(decimal_digits(1, 9), ir.optional(fraction))
    return ir.choice([ir.sequence(whole, fraction), ir.sequence(mantissa, _exponents(_LEAST_EXPONENT, _MOST_EXPONENT))])


def _at_most(limit: float) -> ir.Expression:
    """Unsigned numbers up to `limit`, more forms than `_form` has among them."""
    whole, fraction, exponent = _digits_of(limit)
    options = [_compared(whole, fraction, below=True)]
    if limit > 0:
        mantissa = _compared(*_mantissa(limit), below=True)
        options += [ir.sequence(_any_mantissa(), _exponents(_LEAST_EXPONENT, exponent - 1))]
        options += [ir.sequence(mantissa, _exponents(exponent, exponent))]
    return ir.choice(options)


def _at_least(limit: float) -> ir.Expression:
    """Unsigned numbers from `limit` on, which is above 0."""
    whole, fraction, exponent = _digits_of(limit)
    return ir.choice(
        [
            _compared(whole, fraction, below=False),
            ir.sequence(_any_mantissa(), _exponents(exponent + 1, _MOST_EXPONENT)),
            ir.sequence(_compared(*_mantissa(limit), below=False), _exponents(exponent, exponent)),
        ]
    )


def _digits_of(value: float) -> tuple[str, str, int]:
    """A value's digits before and behind the point, and the exponent that leaves one digit before it."""
    exact = Decimal(repr(value))
    whole, _, fraction = f"{exact:f}".partition(".")
    return whole, fraction.rstrip("0"), exact.adjusted() if exact else 0


def _mantissa(value: float) -> tuple[str, str]:
    digits = "".join(map(str, Decimal(repr(value)).normalize().as_tuple().digits))
    return digits[0], digits[1:]


def _any_mantissa() -> ir.Expression:
    return ir.sequence(decimal_digits(1, 9), ir.optional(ir.sequence(ir.Literal("."), _SOME_DIGITS)))


def _exponents(low: int, high: int) -> ir.Expression:
    """`e`, a sign and an exponent from `low` to `high` in two or three digits."""
    low, high = max(low, _LEAST_EXPONENT), min(high, _MOST_EXPONENT)
    options: list[ir.Expression] = []
    if high >= 0 and low <= high:
        options.append(ir.sequence(ir.Literal("e+"), _two_digits(max(low, 0), high)))
    if low < 0 and low <= high:
        options.append(ir.sequence(ir.Literal("e-"), _two_digits(max(1, -high), -low)))
    return ir.choice(options)


def _two_digits(low: int, high: int) -> ir.Expression:
    options: list[ir.Expression] = []
    if low < 10:
        options.append(ir.sequence(ir.Literal("0"), decimal_digits(low, min(high, 9))))
    if high >= 10:
        options.append(natural(max(low, 10), high))
    return ir.choice(options)


def _compared(whole: str, fraction: str, below: bool) -> ir.Expression:
    """`W` or `W.F`, without leading zeros, at most or at least the number of these digits."""
    any_fraction = ir.optional(ir.sequence(ir.Literal("."), _SOME_DIGITS))
    number = int(whole)
    if number > _LARGEST_INTEGER:  # no number is written so long without an exponent
        return ir.sequence(ir.Repeat(ir.DIGITS, 1, None), any_fraction) if below else ir.NOTHING
    options = [ir.sequence(ir.Literal(whole), _fractions(fraction, below))]
    if below and number > 0:
        options.append(ir.sequence(natural(0, number - 1), any_fraction))
    if not below:
        same_width = natural(number + 1, 10 ** len(whole) - 1)
        longer = ir.sequence(decimal_digits(1, 9), ir.Repeat(ir.DIGITS, len(whole), None))
        options += [ir.sequence(same_width, any_fraction), ir.sequence(longer, any_fraction)]
    return ir.choice(options)


def _fractions(limit: str, below: bool) -> ir.Expression:
    """A fraction with its point, or none, at most or at least 0.LIMIT; the limit has no zeros at its end."""
    is_cut, limit = len(limit) > _DECIMALS, limit[:_DECIMALS]
    options: list[ir.Expression] = [ir.EMPTY] if below or not limit else []
    for at, digit in enumerate(map(int, limit)):
        start = ir.text("." + limit[:at])
        if below and digit > 0:
            options.append(ir.sequence(start, decimal_digits(0, digit - 1), _SOME_DIGITS))
        if not below and digit < 9:
            options.append(ir.sequence(start, decimal_digits(digit + 1, 9), _SOME_DIGITS))
        if below and at > 0:
            options.append(start)
    if below or not is_cut:
        zeros = ir.Repeat(ir.Literal("0"), 0, None)
        options.append(ir.sequence(ir.Literal("." + limit), zeros if below else _SOME_DIGITS))
    return ir.choice(options)
