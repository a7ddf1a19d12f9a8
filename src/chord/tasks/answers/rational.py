"""Computes formulas of rational numbers as fractions."""

import math
from fractions import Fraction
from functools import lru_cache

from chord.tasks.answers.trees import Tree

MAX_BITS = 200_000  # of a fraction that is written out


class NotComputed(Exception):
    """A formula has no value here: it is undefined, too large, or has an operation that is not implemented."""


@lru_cache(maxsize=16384)
def exact(tree: Tree) -> Fraction | None:
    """The value of a formula; None if it is not rational, or has more than MAX_BITS bits."""
    try:
        return _fraction(tree)
    except (NotComputed, ZeroDivisionError, OverflowError):
        return None


def _fraction(tree: Tree) -> Fraction:
    operation, parts = tree[0], tree[1:]
    if operation == "number":
        return tree[1]
    if operation in _RATIONAL:
        return _small(_RATIONAL[operation](*map(_fraction, parts)))
    if operation == "call" and parts[0] in ("binomial", "permutations"):
        above, below = (_natural(_fraction(part)) for part in parts[1:])
        return Fraction({"binomial": math.comb, "permutations": math.perm}[parts[0]](_bounded(above), _bounded(below)))
    raise NotComputed


def _small(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise NotComputed
    return value


def _natural(value: Fraction) -> int:
    if value.denominator != 1 or value < 0:
        raise NotComputed
    return int(value)


def _bounded(value: int) -> int:
    if value > 3000:
        raise NotComputed
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if (
        exponent.denominator != 1
        or (base.numerator.bit_length() + base.denominator.bit_length()) * abs(exponent) > MAX_BITS
    ):
        raise NotComputed
    return base ** int(exponent)


_RATIONAL = {
    "add": lambda *values: sum(values, Fraction(0)),
    "mul": lambda one, other: one * other,
    "neg": lambda one: -one,
    "div": lambda one, other: one / other,
    "abs": abs,
    "floor": lambda one: Fraction(math.floor(one)),
    "ceil": lambda one: Fraction(math.ceil(one)),
    "pow": _power,
    "factorial": lambda one: Fraction(math.factorial(_bounded(_natural(one)))),
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "gcd": lambda *values: Fraction(math.gcd(*map(_natural, values))),
    "lcm": lambda *values: Fraction(math.lcm(*map(_natural, values))),
}  # fmt: skip
