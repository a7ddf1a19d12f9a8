"""The synthetic world: arithmetic word problems whose statements are shuffled and mixed with distractors.

A problem gives every person a number of things, either directly or in terms of earlier persons, all modulo 10, and asks
for TWO of them, so a blind guess is right one time in a hundred:

    Bob has Ann plus 4 . Eva has 2 . Ann has 7 . Cat has Bob minus Ann . find Cat and Bob ?      (gold "4 1")

`k` is the number of quantities that the answer depends on; Eva is a distractor. Everything is a pure function of
(seed, k). Which split a problem belongs to follows from the problem itself (`bucket`), so splits cannot overlap.
"""

import hashlib
import random
import re
from dataclasses import dataclass

from chord.errors import UserError

MODULUS = 10
NAMES = (
    "Ann", "Bob", "Cat", "Dan", "Eva", "Fay", "Gus", "Hal", "Ida", "Jon", "Kim", "Leo", "Mia", "Ned", "Ola", "Pam",
)  # fmt: skip
MIN_K, MAX_K = 2, 6
MIN_DISTRACTORS, MAX_DISTRACTORS = 1, 4
BUCKETS = 100
# Half-open ranges of buckets. The share of pretraining is large because it reads hundreds of thousands of rows.
SPLITS = {"pretrain": (0, 60), "sft": (60, 70), "rl": (70, 80), "validation": (80, 90), "test": (90, 100)}


@dataclass(frozen=True)
class Statement:
    """`name` has `left` (`operator` `right`); an operand is a digit or a name, and a plain number has no operator."""

    name: str
    left: str
    operator: str | None = None
    right: str | None = None

    @property
    def expression(self) -> str:
        return self.left if self.operator is None else f"{self.left} {self.operator} {self.right}"

    @property
    def text(self) -> str:
        return f"{self.name} has {self.expression} ."

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(operand for operand in (self.left, self.right) if operand is not None and not operand.isdigit())


@dataclass(frozen=True)
class Problem:
    """Statements in the order of the text, and the two persons of the question in the order of the answer."""

    statements: tuple[Statement, ...]
    asked: tuple[str, str]

    @property
    def text(self) -> str:
        shown = " ".join(statement.text for statement in self.statements)
        return f"{shown} find {self.asked[0]} and {self.asked[1]} ?"

    @property
    def canonical(self) -> str:
        """The same for every order of statements and of the two questions: reordering does not make a new problem."""
        shown = " ".join(sorted(statement.text for statement in self.statements))
        return f"{shown} find {' and '.join(sorted(self.asked))} ?"


_STATEMENT = re.compile(r"(\w+) has (\w+)(?: (plus|minus) (\w+))? \.")
_PROBLEM = re.compile(r"((?:\w+ has [\w ]+ \. )+)find (\w+) and (\w+) \?")


def parse(text: str) -> Problem:
    """Parse a problem; the inverse of `Problem.text`."""
    match = _PROBLEM.fullmatch(text)
    if not match:
        raise UserError(f"not a problem of the world: {text!r}")
    statements = tuple(Statement(*parts.groups()) for parts in _STATEMENT.finditer(match[1]))
    problem = Problem(statements, (match[2], match[3]))
    if problem.text != text:
        raise UserError(f"not a problem of the world: {text!r}")
    return problem


def compute(left: int, operator: str, right: int) -> int:
    if operator == "plus":
        return (left + right) % MODULUS
    if operator == "minus":
        return (left - right) % MODULUS
    raise ValueError(f"unknown operator {operator!r}")


def bucket(canonical_text: str) -> int:
    """Stable hash of the canonical problem in [0, BUCKETS)."""
    return int.from_bytes(hashlib.blake2b(canonical_text.encode(), digest_size=8).digest(), "big") % BUCKETS


def split_of(problem: Problem) -> str:
    """The one split that may contain this problem."""
    place = bucket(problem.canonical)
    return next(name for name, (low, high) in SPLITS.items() if low <= place < high)


def generate(seed: int, k: int) -> Problem:
    """The problem of this seed with exactly `k` needed quantities and 1 to 4 distractors."""
    if not MIN_K <= k <= MAX_K:
        raise ValueError(f"k={k}: expected {MIN_K} to {MAX_K}")
    rng = random.Random(seed)
    names = rng.sample(NAMES, k + rng.randint(MIN_DISTRACTORS, MAX_DISTRACTORS))
    while True:  # in most draws the two answers do not depend on all of the first k
        needed = [_statement(rng, name, names[:place]) for place, name in enumerate(names[:k])]
        derived = [statement.name for statement in needed if statement.operator]
        # Both asked quantities are derived if k > 2: a number given outright would be half of the answer for free.
        others = [name for name in (derived if k > 2 else names[:k]) if name != names[k - 1]]
        if not others or not needed[-1].operator:
            continue
        asked = [names[k - 1], rng.choice(others)]
        if len(_ancestors(needed, asked)) == k:
            break
    rng.shuffle(asked)
    # A distractor may build on anything before it, so that "is built on" alone does not tell what is needed.
    distractors = [_statement(rng, name, names[: k + place]) for place, name in enumerate(names[k:])]
    shown = needed + distractors
    rng.shuffle(shown)
    return Problem(tuple(shown), (asked[0], asked[1]))


def _statement(rng: random.Random, name: str, earlier: list[str]) -> Statement:
    """A number outright (always for the first), a person and a number, or two persons."""
    if not earlier or rng.random() < 0.15:
        return Statement(name, str(rng.randrange(MODULUS)))
    operator = rng.choice(("plus", "minus"))
    if len(earlier) > 1 and rng.random() < 0.35:
        left, right = rng.sample(earlier, 2)
        return Statement(name, left, operator, right)
    return Statement(name, rng.choice(earlier), operator, str(rng.randint(1, MODULUS - 1)))


def _ancestors(statements: list[Statement], asked: list[str]) -> set[str]:
    parents = {statement.name: statement.parents for statement in statements}
    ancestors: set[str] = set()
    waiting = list(asked)
    while waiting:
        name = waiting.pop()
        if name not in ancestors:
            ancestors.add(name)
            waiting.extend(parents[name])
    return ancestors
