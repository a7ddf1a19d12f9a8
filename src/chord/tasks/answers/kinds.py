r"""The kinds of answers that a text can state."""

from typing import NamedTuple

from chord.tasks.answers.trees import Tree
from chord.tasks.answers.units import Unit


class Value(NamedTuple):
    """A formula with a unit. text: the formula's text without the unit, which is read again if it is ambiguous."""

    tree: Tree
    unit: Unit
    text: str


class Words(NamedTuple):
    """Words in lower case, without articles and punctuation."""

    text: str


class Choice(NamedTuple):
    """A letter of a multiple-choice question, and the content written next to it."""

    letter: str
    content: "Answer | None"


class NamedValue(NamedTuple):
    """A statement `name = content`. equation: both sides as trees if the content is a formula."""

    name: str
    content: "Answer"
    equation: "Relation | None"


class Relation(NamedTuple):
    """An equation or inequality `left sign right`.

    sign: = < <= or !=; the sides of > and >= are swapped. chain: all sides of an equation that may have more than two.
    """

    sign: str
    left: Tree
    right: Tree
    chain: "tuple[Answer, ...]" = ()


class Approximation(NamedTuple):
    """An exact value and its rounding: sqrt(5), about 2.24."""

    exact: "Answer"
    rounding: "Answer"


class Items(NamedTuple):
    """Several values. brackets: empty for a plain list, `{}` a set, `()` `[]` `(]` `[)` in order, `<>` a vector.

    With `or`, they are forms of one value, each of which counts.
    """

    brackets: str
    items: "tuple[Answer, ...]"


class Matrix(NamedTuple):
    rows: "tuple[tuple[Answer, ...], ...]"


class Piece(NamedTuple):
    """An interval of the real line; None as an end is infinity."""

    low: Tree | None
    high: Tree | None
    with_low: bool
    with_high: bool


class Reals(NamedTuple):
    """A union of intervals in any order. without: points that are excluded."""

    pieces: tuple[Piece, ...]
    without: tuple[Tree, ...] = ()


class Time(NamedTuple):
    """A time of day or a duration. half: am, pm or empty."""

    parts: tuple[int, ...]
    half: str


class Ratio(NamedTuple):
    """A ratio. worded: it is written as `3 to 7`, which may also be a range."""

    parts: "tuple[Value, ...]"
    worded: bool = False


class Range(NamedTuple):
    """A range from a number to a larger one."""

    low: Tree
    high: Tree
    unit: Unit


class Date(NamedTuple):
    parts: tuple[str, ...]


class NumberInBase(NamedTuple):
    digits: str
    base: int


class Residue(NamedTuple):
    """A residue: `value` modulo `modulus`."""

    value: Tree
    modulus: Tree


class Opaque(NamedTuple):
    text: str


Answer = (
    Value
    | Words
    | Choice
    | NamedValue
    | Relation
    | Items
    | Matrix
    | Reals
    | Time
    | Ratio
    | Range
    | Date
    | NumberInBase
    | Residue
    | Opaque
    | Approximation
)
EMPTY = Items("{}", ())
ALL_REALS = Reals((Piece(None, None, False, False),))
