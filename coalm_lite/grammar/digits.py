"""Numbers of a fixed base between two bounds, as expressions: for integers, exponents and hexadecimal escapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from coalm_lite.grammar import ir
from coalm_lite.grammar.charset import charset


def decimal_digits(low: int, high: int) -> ir.Chars:
    """One digit, `low` to `high`."""
    return ir.chars((0x30 + low, 0x30 + high))


def hex_digits(low: int, high: int) -> ir.Chars:
    """One hexadecimal digit of either case, `low` to `high`."""
    written = "0123456789abcdef"[low : high + 1]
    return ir.Chars(charset(written, written.upper()))


def fixed_width(low: int, high: int, width: int, base: int, digit: Callable[[int, int], ir.Chars]) -> ir.Expression:
    """Every number from `low` to `high` in `width` digits, leading zeros written."""
    return ir.choice(_ranges(_in_digits(low, width, base), _in_digits(high, width, base), base, digit))


def _in_digits(number: int, width: int, base: int) -> list[int]:
    digits: list[int] = []
    for _ in range(width):
        number, digit = divmod(number, base)
        digits.insert(0, digit)
    return digits


def _ranges(
    low: list[int], high: list[int], base: int, digit: Callable[[int, int], ir.Chars]
) -> Iterator[ir.Expression]:
    if low > high:
        return
    if all(d == 0 for d in low) and all(d == base - 1 for d in high):
        yield ir.Repeat(digit(0, base - 1), len(low), len(low)) if low else ir.EMPTY
        return
    first, last, rest = low[0], high[0], len(low) - 1
    if first == last:
        yield ir.sequence(digit(first, first), ir.choice(_ranges(low[1:], high[1:], base, digit)))
        return
    start = first if all(d == 0 for d in low[1:]) else first + 1
    end = last if all(d == base - 1 for d in high[1:]) else last - 1
    if start > first:
        yield ir.sequence(digit(first, first), ir.choice(_ranges(low[1:], [base - 1] * rest, base, digit)))
    if start <= end:
        yield ir.sequence(digit(start, end), *([ir.Repeat(digit(0, base - 1), rest, rest)] if rest else []))
    if end < last:
        yield ir.sequence(digit(last, last), ir.choice(_ranges([0] * rest, high[1:], base, digit)))


def natural(low: int, high: int) -> ir.Expression:
    """Every number from `low` to `high`, 0 or more, without leading zeros."""
    return ir.choice(_naturals(max(low, 0), high))


def _naturals(low: int, high: int) -> Iterator[ir.Expression]:
    full: list[int] = []
    for width in range(len(str(low)), len(str(high)) + 1):
        least, most = 10 ** (width - 1) if width > 1 else 0, 10**width - 1
        if low <= least and most <= high and width > 1:
            full.append(width)
        elif max(low, least) <= min(high, most):
            yield fixed_width(max(low, least), min(high, most), width, 10, decimal_digits)
    if full:
        yield ir.sequence(decimal_digits(1, 9), ir.Repeat(ir.DIGITS, full[0] - 1, full[-1] - 1))
