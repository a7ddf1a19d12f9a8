r"""The kinds of answers: what a text can state."""

from typing import NamedTuple

from chord.tasks.answers.trees import Tree
from chord.tasks.answers.units import Unit


class Value(NamedTuple):
    """A formula with a unit; text: without the unit, to be read otherwise where it is ambiguous."""

    tree: Tree
    unit: Unit
    text: str


class Words(NamedTuple):
    """Words in small letters, without articles and stops."""

    text: str


class Choice(NamedTuple):
    """A letter of a multiple-choice question, and what stands beside it."""

    letter: str
    content: "Answer | None"


class Named(NamedTuple):
    """name = content. equation: both sides as trees, where the content is a formula."""

    name: str
    content: "Answer"
    equation: "Relation | None"


class Relation(NamedTuple):
    """left sign right; sign is one of = < <= !=, so that > is turned round. chain: more sides of an equation."""

    sign: str
    left: Tree
    right: Tree
    chain: "tuple[Answer, ...]" = ()


class Rounded(NamedTuple):
    """An exact value and what it is about: sqrt(5), about 2.24."""

    exact: "Answer"
    shown: "Answer"


class Items(NamedTuple):
    """Several values. brackets: `` for a plain list, `{}` a set, `()` `[]` `(]` `[)` in order, `<>` a vector."""

    brackets: str
    items: "tuple[Answer, ...]"


class Matrix(NamedTuple):
    rows: "tuple[tuple[Answer, ...], ...]"


class Piece(NamedTuple):
    """Of the real line; None is infinity."""

    low: Tree | None
    high: Tree | None
    with_low: bool
    with_high: bool


class Reals(NamedTuple):
    """A union of pieces, in no order. without: points that are left out."""

    pieces: tuple[Piece, ...]
    without: tuple[Tree, ...] = ()


class Time(NamedTuple):
    """Of day, or a duration; half: am, pm or nothing."""

    parts: tuple[int, ...]
    half: str


class Ratio(NamedTuple):
    """worded: 3 to 7, which may be a range as well."""

    parts: "tuple[Value, ...]"
    worded: bool = False


class Range(NamedTuple):
    """From a number to a larger one."""

    low: Tree
    high: Tree
    unit: Unit


class Date(NamedTuple):
    parts: tuple[str, ...]


class Based(NamedTuple):
    digits: str
    base: int


class Residue(NamedTuple):
    """value modulo modulus."""

    value: Tree
    modulus: Tree


class Opaque(NamedTuple):
    text: str


Answer = (
    Value
    | Words
    | Choice
    | Named
    | Relation
    | Items
    | Matrix
    | Reals
    | Time
    | Ratio
    | Range
    | Date
    | Based
    | Residue
    | Opaque
    | Rounded
)
EMPTY = Items("{}", ())
WHOLE = Reals((Piece(None, None, False, False),))
