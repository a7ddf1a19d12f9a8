r"""Computes a LaTeX expression with a separate parser, by which the tables of `grade.py` prove their pairs.

Variables stand for fixed random numbers: two expressions with different values are different, and two with equal values
at several points are equal with near certainty. The parser does not read all of mathematics: it raises ValueError for
what it cannot read, and the pair is not used.
"""

import random
import re

import mpmath

_OPENING, _CLOSING = "([{", ")]}"


def matching(text: str, start: int) -> int:
    """The index of the bracket that closes the one at `start`, in any form ((1,2] is an interval), or -1."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in _OPENING) - (text[place] in _CLOSING)
        if not depth:
            return place
    return -1


def split(text: str, marks: str = ",") -> list[str]:
    """The parts between marks outside brackets; a comma inside a number (`2,500`, `2{,}500`) does not separate."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if character in marks and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]


_SPACING = re.compile(r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,;:! ]|~|\\quad")
_TOKEN = re.compile(r"\s*(\\[a-zA-Z]+|\\%|\d+\.\d*|\.\d+|\d+|\S)")
_FUNCTIONS = {
    "\\sin": mpmath.sin,
    "\\cos": mpmath.cos,
    "\\tan": mpmath.tan,
    "\\ln": mpmath.log,
    "\\exp": mpmath.exp,
    "\\arcsin": mpmath.asin,
    "\\log": mpmath.log10,
}
_GREEK = {f"\\{name}" for name in "alpha beta gamma delta Delta zeta theta lambda rho sigma tau omega hbar".split()}
_END = set("+-)]},=") | {"\\pm", "\\cup", "/", "\\cdot", "\\times", "*", "\\rfloor", "\\rceil", ""}


class _Parser:
    def __init__(self, text: str, seed: int):
        text = _SPACING.sub(" ", text).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
        self.tokens = _TOKEN.findall(text.strip())
        self.place, self.seed = 0, seed

    def next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.next()
        if not token or (expected is not None and token != expected):
            raise ValueError(f"expected {expected or 'more'}, got {token!r}")
        self.place += 1
        return token

    def sum(self):
        value = self.product()
        while self.next() in ("+", "-"):
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self):
        sign = 1
        while self.next() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        value = self.power()
        while True:
            if self.next() == "/":
                self.take()
                value /= self.power()
            elif self.next() in ("\\cdot", "\\times", "*"):
                self.take()
                value *= self.signed_power()
            elif self.next() in _END:
                return sign * value
            else:
                value *= self.power()

    def signed_power(self):
        if self.next() == "-":
            self.take()
            return -self.power()
        return self.power()

    def power(self):
        value = self.atom()
        while self.next() in ("^", "!", "\\%"):
            mark = self.take()
            if mark == "!":
                value = mpmath.factorial(value)
            elif mark == "\\%":
                value /= 100
            elif self.degree():
                continue
            else:
                value = mpmath.power(value, self.group())
        return value

    def degree(self) -> bool:
        for form in (["\\circ"], ["{", "\\circ", "}"]):
            if self.tokens[self.place : self.place + len(form)] == form:
                self.place += len(form)
                return True
        return False

    def group(self):
        r"""The argument of a command: {...}, a digit of a longer number (`\frac43`), or one token."""
        token = self.next()
        if token == "{":
            return self.bracketed("{", "}")
        if token.isdigit() and len(token) > 1:
            self.tokens[self.place : self.place + 1] = list(token)
        if token == "-":
            raise ValueError("a sign where a group is expected")
        return self.atom()

    def bracketed(self, opening: str, closing: str):
        self.take(opening)
        value = self.sum()
        self.take(closing)
        return value

    def subscript(self) -> str:
        if self.next() != "_":
            return ""
        self.take()
        if self.next() != "{":
            return "_" + self.take()
        start = self.place
        while self.take() != "}":
            pass
        return "_" + "".join(self.tokens[start + 1 : self.place - 1])

    def atom(self):
        token = self.take()
        if token[0].isdigit() or token[0] == ".":
            return self.mixed(token)
        if token in ("(", "{", "["):
            self.place -= 1
            return self.bracketed(token, {"(": ")", "{": "}", "[": "]"}[token])
        if token == "\\pi":
            return +mpmath.pi
        if token in _FUNCTIONS:
            return self.function(token)
        if token.isalpha() or token in _GREEK:
            return self.variable(token + self.subscript())
        return self.command(token)

    def mixed(self, token: str):
        value = mpmath.mpf(token)
        if "." in token or self.next() != "\\frac":
            return value
        plain = re.match(r"\\frac(?:\{\d+\}|\d)(?:\{\d+\}|\d)", "".join(self.tokens[self.place :]))
        return value + self.atom() if plain else value

    def variable(self, name: str):
        if name in ("i", "e"):
            return mpmath.mpc(0, 1) if name == "i" else mpmath.e
        return mpmath.mpf(random.Random(f"{name} {self.seed}").uniform(0.2, 0.9))

    def command(self, token: str):
        if token == "\\frac":
            above, below = self.group(), self.group()
            return above / below
        if token == "\\binom":
            return mpmath.binomial(self.group(), self.group())
        if token == "\\sqrt":
            degree = self.bracketed("[", "]") if self.next() == "[" else 2
            return mpmath.root(self.group(), int(degree))
        if token in ("\\lfloor", "\\lceil"):
            value = self.sum()
            self.take(token.replace("l", "r", 1))
            return mpmath.floor(value) if token == "\\lfloor" else mpmath.ceil(value)
        raise ValueError(f"no value for {token}")

    def function(self, token: str):
        if self.next() == "_" and token == "\\log":
            self.take()
            base = self.group()
            return mpmath.log(self.argument()) / mpmath.log(base)
        if self.next() == "^":
            self.take()
            exponent = self.group()
            if exponent == -1:
                raise ValueError("an inverse function")
            return _FUNCTIONS[token](self.argument()) ** exponent
        return _FUNCTIONS[token](self.argument())

    def argument(self):
        if self.next() in ("(", "{"):
            return self.power()
        value = self.power()
        while self.next() not in _END | _FUNCTIONS.keys():
            value *= self.power()
        return value


POINTS = 3


def values(text: str) -> tuple:
    """The values of an expression at POINTS points; raises ValueError if it cannot be read or has none."""
    results = []
    with mpmath.workdps(40):
        for seed in range(POINTS):
            parser = _Parser(text, seed)
            try:
                results.append(parser.sum())
            except (ZeroDivisionError, OverflowError, TypeError) as error:
                raise ValueError(f"{text} has no value: {error!r}") from error
            if parser.next():
                raise ValueError(f"{text}: {parser.next()!r} is left over")
    return tuple(results)


def equal(first: str, second: str) -> bool:
    """Whether two expressions have equal values; raises ValueError if one of them cannot be read."""
    return all(_close(one, other) for one, other in zip(values(first), values(second), strict=True))


def _close(one, other) -> bool:
    with mpmath.workdps(40):
        return abs(one - other) <= mpmath.mpf(10) ** -30 * max(abs(one), abs(other))
