"""Computes formulas and decides whether two of them are the same function: exactly if possible, else to many digits.

Rational numbers are computed as fractions. Everything else is computed by mpmath to `DIGITS` digits, and to more if
the numbers inside are large enough to hide a difference. A formula with variables is computed at several points. Equal
values there are taken as an identity: no two different formulas of an answer's length agree to fifty digits by chance.
"""

import math
from fractions import Fraction
from functools import lru_cache

import mpmath

from chord.tasks.answers.numerals import ROUNDING
from chord.tasks.answers.rational import NotComputed, exact
from chord.tasks.answers.trees import Tree, has_decimal, names, operations

DIGITS = 50
MAX_DIGITS = 1200
MAX_TERMS = 3000  # of all sums in a formula
MAX_EXPONENT = 10**12
LOG_BASES = {"e": mpmath.e, "10": mpmath.mpf(10)}  # what \log without a base may mean
_FAILURES = (NotComputed, ZeroDivisionError, ValueError, OverflowError, mpmath.libmp.NoConvergence)


def same(first: Tree, second: Tree) -> bool | None:
    """Whether two trees are equal; None if that cannot be decided. Upper and lower case are different variables.

    A `\\log` without a base is natural or decimal, and it means the same on both sides.
    """
    if first == second:
        return True
    bases = ("e", "10") if "log" in operations(first) | operations(second) else ("e",)
    verdicts = [_same(first, second, base) for base in bases]
    return True if True in verdicts else None if None in verdicts else False


def _same(first: Tree, second: Tree, base: str) -> bool | None:
    free = variables(first) | variables(second)
    if not free:
        values = exact(first), exact(second)
        if None not in values and not (has_decimal(first) or has_decimal(second)):
            return values[0] == values[1]
        return _same_values(first, second, {}, base)
    agreements = 0
    for point in _points(tuple(sorted(free)), *_traits(first, second)):
        verdict = _same_values(first, second, point, base)
        if verdict is False:
            return False
        agreements += verdict is True
    return True if agreements >= MIN_POINTS else None


MIN_POINTS = 3  # points at which two formulas must have values, and the same ones, to be equal
_CONSTANTS = {"\\pi", "e", "i", "log base"}


def variables(tree: Tree) -> set[str]:
    """The names in a formula that are not constants."""
    return names(tree) - _CONSTANTS


def _traits(first: Tree, second: Tree) -> tuple[bool, bool, tuple[Fraction, ...]]:
    """Returns (whether variables are integers, whether they are reals as well, where a formula may have a corner)."""
    all_operations = operations(first) | operations(second)
    steps = all_operations & {"floor", "ceil"}
    counts = bool(all_operations & {"sum", "product", "gcd", "lcm", "alternating"} or steps)
    real = not counts or (steps and not (variables(first) | variables(second)) <= _INTEGER_NAMES)
    corners = all_operations & {"abs", "max", "min", "floor", "ceil"}
    return counts, bool(real), _constants(first, second) if corners else ()


_INTEGER_NAMES = set("ijklmnpqKLMN")  # letters that stand for integers in a formula with floor or ceiling


def _constants(*trees: Tree) -> tuple[Fraction, ...]:
    """Returns up to six different numbers that occur in the trees, without their signs."""
    constants: dict[Fraction, None] = {}
    todo = list(trees)
    while todo and len(constants) < 6:
        tree = todo.pop()
        if tree[0] == "number" and 0 < abs(tree[1]) < 10**6:
            constants[abs(tree[1])] = None
        todo += [part for part in tree[1:] if isinstance(part, tuple)]
    return tuple(constants)


@lru_cache(maxsize=4096)
def _points(variables: tuple[str, ...], counts: bool, real: bool, corners: tuple[Fraction, ...]) -> list[dict]:
    """Points to compute at: integers with several residues, and reals of several sizes, signs and orders."""
    rows: list[list] = []
    if counts:
        rows += [[mpmath.mpf(_COUNTS[(turn + 3 * place) % 8]) for place in range(len(variables))] for turn in range(8)]
    if real:
        with mpmath.workdps(MAX_DIGITS):
            for turn, (size, signs) in enumerate(_SIZES):
                roots = [mpmath.sqrt(_PRIMES[(turn * 7 + place * 3) % 24]) for place in range(len(variables))]
                rows.append([root * size * signs[place % 2] for place, root in enumerate(roots)])
            for corner in corners:
                near = mpmath.mpf(corner.numerator) / corner.denominator
                for share, sign in ((0.9, 1), (1.1, 1), (0.9, -1), (1.1, -1)):
                    factors = [mpmath.sqrt(_PRIMES[place % 24]) / 100 + share for place in range(len(variables))]
                    rows += [[sign * near * factor for factor in order] for order in (factors, factors[::-1])]
    return [dict(zip(variables, row, strict=True)) for row in rows]


_COUNTS = [2, 3, 4, 5, 9, 6, 12, 103]
_SIZES = [(0.3, (1, 1)), (1, (1, 1)), (0.1, (1, 1)), (0.4, (1, -1)), (6, (1, 1)), (0.7, (-1, -1)), (31, (1, 1))]
_PRIMES = [2, 89, 3, 83, 5, 79, 7, 73, 11, 71, 13, 67, 17, 61, 19, 59, 23, 53, 29, 47, 31, 43, 37, 41]


def _same_values(first: Tree, second: Tree, point: dict, base: str) -> bool | None:
    """Whether both have the same value at a point; None if either has no value there, or not enough digits."""
    tolerance = _rounding(first, second)
    digits = DIGITS
    while True:
        computer = _Computer(point, base)
        try:
            one, other = _value(computer, first, digits), _value(computer, second, digits)
        except _FAILURES:
            return None
        with mpmath.workdps(digits + 10):
            largest = max(abs(one), abs(other))
            largest_difference = largest * mpmath.mpf(10) ** -digits if tolerance is None else tolerance(largest)
            same = abs(one - other) <= largest_difference
            if point and not same and (_is_complex(one) or _is_complex(other)):
                return None  # roots and logarithms have several branches outside the reals
        needed_digits = DIGITS + computer.magnitude
        if not same or tolerance or needed_digits <= digits:
            return bool(same)
        if needed_digits > MAX_DIGITS:
            return None
        digits = needed_digits


def _rounding(first: Tree, second: Tree):
    """How far apart two values may be, as a function of the larger one, if a decimal stands for a rounded value.

    It does if only one side has decimals, or if a plain decimal is compared with a formula; otherwise None.
    """
    units = [tree[2] for tree in (first, second) if tree[0] == "number" and tree[2]]
    if has_decimal(first) == has_decimal(second) and len(units) != 1:
        return None
    if variables(first) != variables(second):  # 0.5 + x / 10^9 is not a rounding of 0.5
        return None
    share = mpmath.mpf(ROUNDING.numerator) / ROUNDING.denominator
    unit = mpmath.mpf(units[0].numerator) / units[0].denominator if units else mpmath.inf
    return lambda largest: min(share * largest, unit)


def _value(computer: "_Computer", tree: Tree, digits: int):
    """The value to `digits` digits. It is zero if a computation with more digits makes it even smaller."""
    with mpmath.workdps(digits + 10):
        value = computer.value(tree)
        if not mpmath.isfinite(value):
            raise NotComputed
        if not value or abs(value) > mpmath.mpf(10) ** (-digits // 2):
            return value
    with mpmath.workdps(2 * digits + 10):
        again = computer.value(tree)
        return mpmath.mpf(0) if abs(again) < abs(value) * mpmath.mpf(10) ** (-digits // 3) else value


def _is_complex(value) -> bool:
    return isinstance(value, mpmath.mpc) and abs(value.imag) > abs(value.real) * mpmath.mpf(10) ** (-DIGITS)


class _Computer:
    """Computes values with mpmath at its current precision.

    magnitude: number of digits of the largest intermediate value, which is how many may cancel at worst.
    """

    def __init__(self, point: dict, base: str):
        self.point, self.base, self.magnitude, self.terms = point, LOG_BASES[base], 0, 0

    def value(self, tree: Tree):
        value = self._value(tree)
        # sin(pi) does not count: what remains of a zero says nothing about the size of the numbers inside
        if tree[0] in ("number", "pow", "factorial", "exp", "call", "div") and value and mpmath.isfinite(value):
            size = mpmath.mag(value)
            self.magnitude = max(self.magnitude, min(int(abs(size) * 0.302), MAX_DIGITS + 1))
        return value

    def _value(self, tree: Tree):
        operation, parts = tree[0], tree[1:]
        if operation == "number":
            return mpmath.mpf(tree[1].numerator) / tree[1].denominator
        if operation == "name":
            return self.name(parts[0])
        if operation in ("sum", "product"):
            return self.series(operation, *parts)
        if operation == "call":
            return self.call(parts[0], [self.value(part) for part in parts[1:]])
        if operation not in _NUMERIC:
            raise NotComputed
        return _NUMERIC[operation](*[self.value(part) for part in parts])

    def name(self, name: str):
        if name in self.point:
            return self.point[name]
        if name == "log base":
            return self.base
        return {"\\pi": mpmath.pi, "e": mpmath.e, "i": mpmath.mpc(0, 1)}[name] * 1

    def series(self, operation: str, index: str, first: Tree, last: Tree, body: Tree):
        begin, end = (self.value(bound) for bound in (first, last))
        if not (_is_whole(begin) and _is_whole(end)) or end - begin > MAX_TERMS:
            raise NotComputed
        self.terms += max(0, int(end - begin) + 1)
        if self.terms > MAX_TERMS:
            raise NotComputed
        total = mpmath.mpf(operation == "product")
        outer = self.point
        for number in range(int(begin), int(end) + 1):
            self.point = outer | {index: mpmath.mpf(number)}
            term = self.value(body)
            total = total + term if operation == "sum" else total * term
        self.point = outer
        return total

    def call(self, name: str, values: list):
        if name == "binomial":
            return mpmath.binomial(*values)
        if name == "permutations":
            return mpmath.ff(*values)
        # Any fixed function can stand for an unknown one, as long as it is not a simple one.
        total = mpmath.mpf(sum(map(ord, name)))
        for value in values:
            total = mpmath.sin(total * 3 + value * 7) + total / 5 + value * value
        return total


def _is_whole(value) -> bool:
    return not isinstance(value, mpmath.mpc) and mpmath.isint(value)


def _pow(base, exponent):
    if abs(exponent) > MAX_EXPONENT:
        raise NotComputed
    if not base and not exponent:
        raise NotComputed
    return mpmath.power(base, exponent)


def _factorial(value):
    if isinstance(value, mpmath.mpc) or (value < 0 and mpmath.isint(value)) or abs(value) > 10**9:
        raise NotComputed
    return mpmath.factorial(value)


def _root(index, radicand):
    if _is_whole(index) and int(index) % 2 and not isinstance(radicand, mpmath.mpc) and radicand < 0:
        return -mpmath.power(-radicand, 1 / index)  # the real one
    return mpmath.power(radicand, 1 / index)


def _whole_numbers(function):
    def of(*values):
        if not all(map(_is_whole, values)):
            raise NotComputed
        return mpmath.mpf(function(*map(int, values)))

    return of


def _real(function):
    def of(*values):
        if any(isinstance(value, mpmath.mpc) for value in values):
            raise NotComputed
        return function(*values)

    return of


def _periodic(function):
    def of(value):
        if abs(value) > MAX_EXPONENT:  # finding its place within a period would take all of its digits
            raise NotComputed
        return function(value)

    return of


_NUMERIC = {
    "add": lambda *values: mpmath.fsum(values),
    "mul": lambda one, other: one * other,
    "neg": lambda one: -one,
    "div": lambda one, other: one / other,
    "pow": _pow,
    "root": _root,
    "degrees": lambda one: one * mpmath.pi / 180,
    "factorial": _factorial,
    "abs": abs,
    "floor": _real(mpmath.floor),
    "ceil": _real(mpmath.ceil),
    "log": lambda base, value: mpmath.log(value) / mpmath.log(base),
    "ln": mpmath.log,
    "exp": lambda one: _pow(mpmath.e * 1, one),
    "max": _real(lambda *values: max(values)),
    "min": _real(lambda *values: min(values)),
    "gcd": _whole_numbers(math.gcd),
    "lcm": _whole_numbers(math.lcm),
    "sin": _periodic(mpmath.sin), "cos": _periodic(mpmath.cos), "tan": _periodic(mpmath.tan),
    "cot": _periodic(mpmath.cot), "sec": _periodic(mpmath.sec), "csc": _periodic(mpmath.csc),
    "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan, "arccot": mpmath.acot,
    "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh,
    "Re": mpmath.re, "Im": mpmath.im, "arg": mpmath.arg,
}  # fmt: skip


def real(tree: Tree) -> mpmath.mpf | None:
    """The value of a formula without variables, to DIGITS digits; None if it has no real value."""
    if variables(tree):
        return None
    try:
        value = _value(_Computer({}, "e"), tree, DIGITS)
    except _FAILURES:
        return None
    return None if isinstance(value, mpmath.mpc) else value


def proportional(first: Tree, second: Tree, positive: bool) -> bool | None:
    """Whether one formula is a nonzero constant times the other. positive: the constant must be above zero."""
    values = []
    for point in _points(tuple(sorted(variables(first) | variables(second))), *_traits(first, second)):
        try:
            values.append(tuple(_value(_Computer(point, "e"), tree, DIGITS) for tree in (first, second)))
        except _FAILURES:
            continue
    values = [pair for pair in values if any(pair)]
    if len(values) < MIN_POINTS:
        return None
    with mpmath.workdps(DIGITS + 10):
        one, other = values[0]
        if not one or not other:
            return False
        for left, right in values[1:]:
            if abs(left * other - right * one) > mpmath.mpf(10) ** (-DIGITS + 5) * max(
                abs(left * other), abs(right * one)
            ):
                return False
        return not positive or (not isinstance(one / other, mpmath.mpc) and one / other > 0)
