r"""Reads what an answer states, as a value of one of the `kinds`.

Each reader refuses a text that it does not understand completely. A text of none of the kinds is `Opaque`: it may be
mathematics, but not of a kind that is compared here.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from chord.tasks.answers import notations, numerals
from chord.tasks.answers.evaluation import variables
from chord.tasks.answers.kinds import (
    EMPTY,
    Answer,
    Approximation,
    Choice,
    Items,
    Matrix,
    NamedValue,
    Opaque,
    Reals,
    Relation,
    Value,
    Words,
)
from chord.tasks.answers.names import is_name, plain_name, tuple_of_names
from chord.tasks.answers.quantities import is_rounding, read_quantity, tree_of
from chord.tasks.answers.real_line import MEMBER, SET_BUILDER, join_reals, read_inequality, read_reals, sides_of
from chord.tasks.answers.splitting import depths, inside_brackets, split
from chord.tasks.answers.words import read_words

MAX_ITEMS = 60


@lru_cache(maxsize=65536)
def read(text: str) -> Answer:
    """What a normalized text (`typography.normalize`) states."""
    text = _strip_phrase(text)
    if interval := _TURNED_INTERVAL.fullmatch(text):  # ]0, 1[
        text = f"{'(['[interval[1] == '[']}{interval[2]}{')]'[interval[3] == ']']}"
    for reader in _READERS:
        answer = reader(text)
        if answer is not None:
            return answer
    return Opaque(text)


_TURNED_INTERVAL = re.compile(r"(?=\]|.*\[$)([\[\]])([^\[\]]*)([\[\]])")
_PHRASE = re.compile(
    r"^(?:\\text\{)?\s*(?:"
    r"(?:so |thus |hence |therefore,? )?(?:the )?(?:final |correct |exact )?(?:answer|result|value|solution|total)s?"
    r"(?: is| are|:| =| equals)+|there (?:is|are)|we (?:get|have)|it is"
    r"|(?:is )?(?:approximately|about|roughly|around|exactly|equals?|only|simply|just|nearly|approx\.?)(?: equal to)?)"
    r"(?=[\s:}\d\\])\s*:?\s*(?P<close>\}?)\s*(?P<rest>.+)$",
    re.IGNORECASE,
)  # fmt: skip


def _strip_phrase(text: str) -> str:
    match = _PHRASE.match(text)
    if not match:
        return text
    in_text = text.lstrip().startswith("\\text{")
    if in_text and not match["close"]:
        rest = match["rest"]
        if rest.endswith("}") and rest.count("{") + 1 == rest.count("}"):
            inner = rest[:-1].strip()
            return inner if numerals.read(inner) else f"\\text{{{inner}}}"
        return text
    return match["rest"] if in_text or not match["close"] else text


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
# Next to the letter there is another one, or words that deny it.
_ANOTHER_CHOICE = re.compile(
    r"(?<![A-Za-z])\(?[A-J]\)|^[^A-Za-z\d]*[A-J][^A-Za-z\d]*$|(?:or|and)\s+\(?[A-J]\b|(?:text\{\s*)?\([A-Z]\)"
    r"|\b(?:not|wrong|incorrect|neither|nor|either|cannot|isn't|false)\b",
)


def _read_choice(text: str) -> Choice | None:
    for pattern in _CHOICES:
        if match := pattern.match(text):
            parts = match.groupdict()
            rest = (parts.get("rest") or parts.get("inner") or "").strip()
            if rest and (_NO_CONTENT.match(rest) or _ANOTHER_CHOICE.search(rest)):
                return None
            return Choice(match["letter"].upper(), read(rest) if rest else None)
    return None


_SEPARATORS = {",", ";"}
_AND = re.compile(r"\\text\{\s*,?\s*(and|or|OR)\s*\}|(?<![A-Za-z\\])(and|or|OR)(?![A-Za-z])")


def _values_behind_names(text: str) -> str | None:
    """The values (1,2), (3,4) of (x,y) = (1,2), (3,4); None for any other text."""
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


def _read_items(text: str) -> Answer | None:
    """Read a list without brackets, named values, or inequalities that are joined by `and` or `or`."""
    conjunctions = {match[1] or match[2] for match in _AND.finditer(text)}
    if values := _values_behind_names(text):
        return read(values)
    plain = _AND.sub(" ; ", _without_thousands_commas(text))
    parts = [part for _, part in split(plain, _SEPARATORS)]
    parts = [part for part in parts if part]
    if len(parts) < 2 or len(parts) > MAX_ITEMS:
        return None
    if any(sign in text for sign in ("<", ">", "\\le", "\\ge", "\\ne", "\\in")) and (
        reals := join_reals(parts, conjunctions)
    ):
        return reals
    answers = [read(part) for part in parts]
    if conjunctions == {"OR"}:
        return Items("or", tuple(answers))
    if all(isinstance(part, Words | Opaque) for part in answers) and not any(
        isinstance(part, Words) and len(part.text.split()) <= 3 for part in answers
    ):
        return None
    return Items("", tuple(item for part in answers for item in _flatten(part)))


_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")


def _without_thousands_commas(text: str) -> str:
    """Remove the commas between thousands outside brackets: y = 3,400 is one value."""
    levels = {place: depth for place, _, depth in depths(text)}
    return _THOUSANDS.sub(lambda match: match[0].replace(",", "") if levels.get(match.start()) == 0 else match[0], text)


def _flatten(answer: Answer) -> tuple[Answer, ...]:
    """The items of a plain list, such as the two values of a plus-minus; any other answer is its own only item."""
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


def _read_bracketed(text: str) -> Answer | None:
    for opening, closing, kind in _PAIRS:
        content = inside_brackets(text, opening, closing)
        if content is None:
            continue
        if kind == "{}" and (condition := _read_condition(content)) is not None:
            return condition
        if kind != "{}" and _PLUS_MINUS.search(content):
            return _read_plus_minus(text)  # (1, ±2) is two pairs
        parts = [part for _, part in split(content, {",", ";"})]
        if kind == "{}" and content == "":
            return EMPTY
        if "" in parts or len(parts) > MAX_ITEMS or (len(parts) < 2 and kind in ("()", "(]", "[)")):
            return None
        answers = [read(part) for part in parts]
        return Items(kind, tuple(item for part in answers for item in (_flatten(part) if kind == "{}" else (part,))))
    return None


def _read_condition(content: str) -> Answer | None:
    match = SET_BUILDER.match(content)
    if not match:
        return None
    condition = re.sub(
        r"^[A-Za-z]\s*\\in\s*\\mathbb\s*\{?R\}?\s*,\s*|,?\s*[A-Za-z]\s*\\in\s*\\mathbb\s*\{?R\}?$",
        "",
        match["condition"],
    )
    answer = read(condition)
    return answer if isinstance(answer, Reals) else None


_MATRIX = re.compile(
    r"^\\begin\s*\{(?:[pbB]?(?:small)?matrix|array)\}(?:\{[lcr|\s]*\})?(?P<rows>.*)\\end\s*\{(?:[pbB]?(?:small)?matrix|array)\}$",
    re.DOTALL,
)


def _read_matrix(text: str) -> Answer | None:
    for opening, closing in (("(", ")"), ("[", "]")):
        inner = inside_brackets(text, opening, closing)
        if inner is not None and inner.startswith("\\begin"):
            text = inner
    match = _MATRIX.match(text)
    if not match:
        return None
    rows = [
        [cell.strip() for cell in row.split("&")]
        for row in re.split(r"\\\\(?:\s*\[[^\]]*\])?", match["rows"])
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


def _read_plus_minus(text: str) -> Items | None:
    if not _PLUS_MINUS.search(text):
        return None
    answers = []
    for plus, minus in (("+", "-"), ("-", "+")):
        one = _PLUS_MINUS.sub(lambda sign, plus=plus, minus=minus: plus if sign[1] == "p" else minus, text).strip()
        answers.append(read(one.removeprefix("+").strip()))
    return Items("", tuple(item for part in answers for item in _flatten(part)))


def _read_relation(text: str) -> Answer | None:
    """Read names with their values, and relations between formulas."""
    chain = sides_of(text)
    if chain is None:
        return None
    sides, signs = chain
    if set(signs) <= {"=", "~"}:
        return _read_equation(sides, signs)
    if reals := read_inequality(text):
        return reals
    if len(sides) != 2:
        return None
    trees = tree_of(sides[0]), tree_of(sides[1])
    if None in trees:
        return None
    sign = signs[0]
    return Relation(sign.replace(">", "<"), *(trees[::-1] if sign.startswith(">") else trees))


MAX_SIDES = 12  # in one chain of equations


def _read_equation(sides: list[str], signs: list[str]) -> Answer | None:
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
        components = tuple_of_names(names[0])
        if components and isinstance(content, Items) and len(content.items) == len(components):
            pairs = zip(components, content.items, strict=True)
            return Items("", tuple(NamedValue(plain_name(name), item, None) for name, item in pairs))
        if components:
            return content if isinstance(content, Items) else None
        return NamedValue(plain_name(names[0]), content, equation)
    if len(sides) == 2 and is_name(sides[1]) and not is_name(sides[0]) and not names:
        return _read_equation(sides[::-1], signs)  # 5 = x
    chain = tuple(read(side) for side in sides)
    left, right = (side.tree if isinstance(side, Value) else None for side in chain[:2])
    if len(sides) > MAX_SIDES:
        return None
    if "~" in signs:
        if len(sides) != 2 or not isinstance(chain[0], Value) or not isinstance(chain[1], Value):
            return None
        if not is_rounding(chain[0].tree, chain[1].tree):
            return None
        return NamedValue(plain_name(names[0]), Approximation(*chain), equation) if names else Approximation(*chain)
    if names:  # x = 10/2 = 5: all sides must be equal
        return NamedValue(
            plain_name(names[0]), Relation("=", left or ("name", "?"), right or ("name", "?"), chain), equation
        )
    if left is None or right is None:
        return None
    return Relation("=", left, right, chain)


def _read_membership(text: str) -> Answer | None:
    r"""Read x \in S, where S is not a part of the real line that `read_reals` reads."""
    match = MEMBER.match(text)
    if not match or not match["rest"].startswith(("\\{", "(", "[")):
        return None
    return read(match["rest"].strip())


def _read_constant(text: str) -> Answer | None:
    plain = text.replace(" ", "")
    if plain in ("\\emptyset", "\\{\\}"):
        return EMPTY
    if plain in ("\\infty", "+\\infty", "-\\infty", "oo", "-oo"):
        return Opaque(plain.removeprefix("+").replace("oo", "\\infty"))
    return None


def _read_wrapped(text: str) -> Answer | None:
    """Read a single value whose parentheses enclose the whole text."""
    content = inside_brackets(text, "(", ")")
    if content is None or len(split(content, {",", ";"})) > 1:
        return None
    answer = read(content)
    return None if isinstance(answer, Opaque) else answer


_READERS: list[Callable[[str], Answer | None]] = [
    _read_constant,
    _read_choice,
    notations.read_time,
    notations.read_date,
    notations.read_residue,
    notations.read_based,
    notations.read_range,
    read_reals,
    read_quantity,
    _read_matrix,
    _read_bracketed,
    _read_membership,
    _read_items,
    _read_condition,
    _read_relation,
    _read_plus_minus,
    notations.read_ratio,
    read_words,
    _read_wrapped,
]
