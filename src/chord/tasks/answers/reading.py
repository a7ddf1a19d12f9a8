r"""What an answer states, as a value of one of the `kinds`. A reader refuses a text that is not wholly its own.

A text of none of the kinds is `Opaque`: it may be mathematics, but not of a kind that is compared here.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from chord.tasks.answers import notations, numerals
from chord.tasks.answers.evaluation import variables
from chord.tasks.answers.kinds import (
    EMPTY,
    Answer,
    Choice,
    Items,
    Matrix,
    Named,
    Opaque,
    Reals,
    Relation,
    Rounded,
    Value,
    Words,
)
from chord.tasks.answers.names import is_name, plain_name, tuple_of_names
from chord.tasks.answers.quantities import is_rounding, read_quantity, tree_of
from chord.tasks.answers.real_line import MEMBER, SET_BUILDER, joined_reals, read_inequality, read_reals, sides_of
from chord.tasks.answers.splitting import depths, enclosed, split
from chord.tasks.answers.words import read_words

MAX_ITEMS = 60


@lru_cache(maxsize=65536)
def read(text: str) -> Answer:
    """What a uniform text (`typography.uniform`) states."""
    text = _without_phrase(text)
    if turned := _TURNED.fullmatch(text):  # ]0, 1[
        text = f"{'(['[turned[1] == '[']}{turned[2]}{')]'[turned[3] == ']']}"
    for reader in _READERS:
        found = reader(text)
        if found is not None:
            return found
    return Opaque(text)


_TURNED = re.compile(r"(?=\]|.*\[$)([\[\]])([^\[\]]*)([\[\]])")
_PHRASE = re.compile(
    r"^(?:\\text\{)?\s*(?:"
    r"(?:so |thus |hence |therefore,? )?(?:the )?(?:final |correct |exact )?(?:answer|result|value|solution|total)s?"
    r"(?: is| are|:| =| equals)+|there (?:is|are)|we (?:get|have)|it is"
    r"|(?:is )?(?:approximately|about|roughly|around|exactly|equals?|only|simply|just|nearly|approx\.?)(?: equal to)?)"
    r"(?=[\s:}\d\\])\s*:?\s*(?P<close>\}?)\s*(?P<rest>.+)$",
    re.IGNORECASE,
)  # fmt: skip


def _without_phrase(text: str) -> str:
    found = _PHRASE.match(text)
    if not found:
        return text
    opened = text.lstrip().startswith("\\text{")
    if opened and not found["close"]:
        rest = found["rest"]
        if rest.endswith("}") and rest.count("{") + 1 == rest.count("}"):
            inner = rest[:-1].strip()
            return inner if numerals.read(inner) else f"\\text{{{inner}}}"
        return text
    return found["rest"] if opened or not found["close"] else text


_CHOICES = [
    re.compile(r"^\\text\{\s*\(?(?P<letter>[A-Z])\s*[).:]?\s*\}\s*[).:]?\s*(?P<rest>.*)$"),
    re.compile(r"^\\text\{\s*\(?(?P<letter>[A-Z])\s*[).:]\s+(?P<inner>[^{}]+)\}$"),
    re.compile(r"^\((?P<letter>[A-Z])\)\s*[.:]?\s*(?P<rest>.*)$"),
    re.compile(r"^(?P<letter>[A-J])\)\s*(?P<rest>.*)$"),
    re.compile(r"^(?P<letter>[A-J])[.:]\s+(?P<rest>.+)$"),
    re.compile(r"^\\text\{\s*(?:option|choice|answer)\s+\(?(?P<letter>[A-J])\)?\s*\}(?P<rest>)$", re.IGNORECASE),
    re.compile(r"^(?:option|choice)\s+\(?(?P<letter>[A-J])\)?(?P<rest>)$", re.IGNORECASE),
]


_NO_CONTENT = re.compile(r"[_^=+*/<>']|-(?!\d)")
# Beside a letter: another one, or words that deny it.
_ANOTHER_CHOICE = re.compile(
    r"(?<![A-Za-z])\(?[A-J]\)|^[^A-Za-z\d]*[A-J][^A-Za-z\d]*$|(?:or|and)\s+\(?[A-J]\b|(?:text\{\s*)?\([A-Z]\)"
    r"|\b(?:not|wrong|incorrect|neither|nor|either|cannot|isn't|false)\b",
)


def _choice(text: str) -> Choice | None:
    for pattern in _CHOICES:
        if found := pattern.match(text):
            parts = found.groupdict()
            rest = (parts.get("rest") or parts.get("inner") or "").strip()
            if rest and (_NO_CONTENT.match(rest) or _ANOTHER_CHOICE.search(rest)):
                return None
            return Choice(found["letter"].upper(), read(rest) if rest else None)
    return None


_SEPARATORS = {",", ";"}
_AND = re.compile(r"\\text\{\s*,?\s*(and|or|OR)\s*\}|(?<![A-Za-z\\])(and|or|OR)(?![A-Za-z])")


def _names_before(text: str) -> str | None:
    """(1,2), (3,4) of (x,y) = (1,2), (3,4)."""
    sides = split(text, {"="})
    names = tuple_of_names(sides[0][1])
    if (
        len(sides) == 2
        and names
        and names == sorted(names)
        and len(split(_AND.sub(" ; ", sides[1][1]), _SEPARATORS)) > 1
    ):
        return sides[1][1]
    return None


def _items(text: str) -> Answer | None:
    """A list without brackets; named values; inequalities that are joined."""
    joined = {found[1] or found[2] for found in _AND.finditer(text)}
    if several := _names_before(text):
        return read(several)
    plain = _AND.sub(" ; ", _ungrouped(text))
    parts = [part for _, part in split(plain, _SEPARATORS)]
    parts = [part for part in parts if part]
    if len(parts) < 2 or len(parts) > MAX_ITEMS:
        return None
    if any(sign in text for sign in ("<", ">", "\\le", "\\ge", "\\ne", "\\in")) and (
        reals := joined_reals(parts, joined)
    ):
        return reals
    found = [read(part) for part in parts]
    if joined == {"OR"}:
        return Items("or", tuple(found))
    if all(isinstance(part, Words | Opaque) for part in found) and not any(
        isinstance(part, Words) and len(part.text.split()) <= 3 for part in found
    ):
        return None
    return Items("", tuple(item for part in found for item in _flattened(part)))


_GROUPED = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")


def _ungrouped(text: str) -> str:
    """Without the commas between thousands, where these are outside brackets: y = 3,400 is one value."""
    levels = {place: depth for place, _, depth in depths(text)}
    return _GROUPED.sub(lambda found: found[0].replace(",", "") if levels.get(found.start()) == 0 else found[0], text)


def _flattened(answer: Answer) -> tuple[Answer, ...]:
    """The values of a plus-minus among others."""
    return answer.items if isinstance(answer, Items) and answer.brackets == "" else (answer,)


_PAIRS = [
    ("\\{", "\\}", "{}"),
    ("\\langle", "\\rangle", "<>"),
    ("<", ">", "<>"),
    ("(", ")", "()"),
    ("[", "]", "[]"),
    ("(", "]", "(]"),
    ("[", ")", "[)"),
]


def _bracketed(text: str) -> Answer | None:
    for opened, closed, kind in _PAIRS:
        content = enclosed(text, opened, closed)
        if content is None:
            continue
        if kind == "{}" and (condition := _condition(content)) is not None:
            return condition
        if kind != "{}" and _PLUS_MINUS.search(content):
            return _plus_minus(text)  # (1, ±2) is two pairs
        parts = [part for _, part in split(content, {",", ";"})]
        if kind == "{}" and content == "":
            return EMPTY
        if "" in parts or len(parts) > MAX_ITEMS or (len(parts) < 2 and kind in ("()", "(]", "[)")):
            return None
        found = [read(part) for part in parts]
        return Items(kind, tuple(item for part in found for item in (_flattened(part) if kind == "{}" else (part,))))
    return None


def _condition(content: str) -> Answer | None:
    found = SET_BUILDER.match(content)
    if not found:
        return None
    condition = re.sub(
        r"^[A-Za-z]\s*\\in\s*\\mathbb\s*\{?R\}?\s*,\s*|,?\s*[A-Za-z]\s*\\in\s*\\mathbb\s*\{?R\}?$",
        "",
        found["condition"],
    )
    answer = read(condition)
    return answer if isinstance(answer, Reals) else None


_MATRIX = re.compile(
    r"^\\begin\s*\{(?:[pbB]?(?:small)?matrix|array)\}(?:\{[lcr|\s]*\})?(?P<rows>.*)\\end\s*\{(?:[pbB]?(?:small)?matrix|array)\}$",
    re.DOTALL,
)


def _matrix(text: str) -> Answer | None:
    for opened, closed in (("(", ")"), ("[", "]")):
        inner = enclosed(text, opened, closed)
        if inner is not None and inner.startswith("\\begin"):
            text = inner
    found = _MATRIX.match(text)
    if not found:
        return None
    rows = [
        [cell.strip() for cell in row.split("&")]
        for row in re.split(r"\\\\(?:\s*\[[^\]]*\])?", found["rows"])
        if row.strip()
    ]
    if not rows or len({len(row) for row in rows}) != 1 or any(not cell for row in rows for cell in row):
        return None
    cells = tuple(tuple(read(cell) for cell in row) for row in rows)
    if len(cells) == len(cells[0]) == 1:
        return cells[0][0]
    if len(cells) == 1 or len(cells[0]) == 1:
        return Items("<>", tuple(cell for row in cells for cell in row))
    return Matrix(cells)


_PLUS_MINUS = re.compile(r"\\(p(?=m)|m(?=p))[mp](?![A-Za-z])")


def _plus_minus(text: str) -> Items | None:
    if not _PLUS_MINUS.search(text):
        return None
    found = []
    for plus, minus in (("+", "-"), ("-", "+")):
        one = _PLUS_MINUS.sub(lambda sign, plus=plus, minus=minus: plus if sign[1] == "p" else minus, text).strip()
        found.append(read(one.removeprefix("+").strip()))
    return Items("", tuple(item for part in found for item in _flattened(part)))


def _relation(text: str) -> Answer | None:
    """Names with their values, and relations between formulas."""
    found = sides_of(text)
    if found is None:
        return None
    sides, signs = found
    if set(signs) <= {"=", "~"}:
        return _equation(sides, signs)
    if reals := read_inequality(text):
        return reals
    if len(sides) != 2:
        return None
    trees = tree_of(sides[0]), tree_of(sides[1])
    if None in trees:
        return None
    sign = signs[0]
    return Relation(sign.replace(">", "<"), *(trees[::-1] if sign.startswith(">") else trees))


MAX_SIDES = 12  # of one chain of equations


def _equation(sides: list[str], signs: list[str]) -> Answer | None:
    names = []
    while len(sides) > 1 and (is_name(sides[0]) or tuple_of_names(sides[0])):
        names.append(sides[0])
        sides, signs = sides[1:], signs[1:]
    equation = None
    trees = [tree_of(side) for side in (*names[-1:], sides[0])]
    if names and None not in trees:
        equation = Relation("=", trees[0], trees[1])
        if len(sides) == 1 and trees[0][0] == "name" and trees[0][1] in variables(trees[1]):
            return equation  # x = 2x
    if names and len(sides) == 1:
        content = read(sides[0])
        several = tuple_of_names(names[0])
        if several and isinstance(content, Items) and len(content.items) == len(several):
            return Items(
                "",
                tuple(Named(plain_name(name), item, None) for name, item in zip(several, content.items, strict=True)),
            )
        if several:
            return content if isinstance(content, Items) else None
        return Named(plain_name(names[0]), content, equation)
    if len(sides) == 2 and is_name(sides[1]) and not is_name(sides[0]) and not names:
        return _equation(sides[::-1], signs)  # 5 = x
    chain = tuple(read(side) for side in sides)
    left, right = (side.tree if isinstance(side, Value) else None for side in chain[:2])
    if len(sides) > MAX_SIDES:
        return None
    if "~" in signs:
        if len(sides) != 2 or not isinstance(chain[0], Value) or not isinstance(chain[1], Value):
            return None
        if not is_rounding(chain[0].tree, chain[1].tree):
            return None
        return Named(plain_name(names[0]), Rounded(*chain), equation) if names else Rounded(*chain)
    if names:  # x = 10/2 = 5: all sides say the same
        return Named(
            plain_name(names[0]), Relation("=", left or ("name", "?"), right or ("name", "?"), chain), equation
        )
    if left is None or right is None:
        return None
    return Relation("=", left, right, chain)


def _membership(text: str) -> Answer | None:
    r"""x \in S, where S is no part of the real line that `read_reals` reads."""
    found = MEMBER.match(text)
    if not found or not found["rest"].startswith(("\\{", "(", "[")):
        return None
    return read(found["rest"].strip())


def _constants(text: str) -> Answer | None:
    plain = text.replace(" ", "")
    if plain in ("\\emptyset", "\\{\\}"):
        return EMPTY
    if plain in ("\\infty", "+\\infty", "-\\infty", "oo", "-oo"):
        return Opaque(plain.removeprefix("+").replace("oo", "\\infty"))
    return None


def _wrapped(text: str) -> Answer | None:
    """What is in round brackets that hold all of it and one thing only."""
    content = enclosed(text, "(", ")")
    if content is None or len(split(content, {",", ";"})) > 1:
        return None
    found = read(content)
    return None if isinstance(found, Opaque) else found


_READERS: list[Callable[[str], Answer | None]] = [
    _constants,
    _choice,
    notations.read_time,
    notations.read_date,
    notations.read_residue,
    notations.read_based,
    notations.read_range,
    read_reals,
    read_quantity,
    _matrix,
    _bracketed,
    _membership,
    _items,
    _condition,
    _relation,
    _plus_minus,
    notations.read_ratio,
    read_words,
    _wrapped,
]
