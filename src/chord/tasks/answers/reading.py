r"""What an answer states, as a value of one of the kinds below. Each reader refuses a text that is not wholly its own.

A text of none of the kinds is `Opaque`: it may be mathematics, but not of a kind that is compared here.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from chord.tasks.answers import expression, numerals, units
from chord.tasks.answers.expression import Tree, Unreadable
from chord.tasks.answers.units import NONE, Unit


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
    parts: "tuple[Value, ...]"


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
)

EMPTY = Items("{}", ())
WHOLE = Reals((Piece(None, None, False, False),))
MAX_ITEMS = 60


@lru_cache(maxsize=65536)
def read(text: str) -> Answer:
    """What a uniform text (`typography.uniform`) states."""
    text = _without_phrase(text)
    for reader in _READERS:
        found = reader(text)
        if found is not None:
            return found
    return Opaque(text)


_PHRASE = re.compile(
    r"^(?:\\text\{)?\s*(?:(?:so |thus |hence |therefore,? )?(?:the )?(?:final |correct |exact )?(?:answer|result|value|solution|total)s?"
    r"(?: is| are|:| =| equals)+|(?:is )?(?:approximately|about|roughly|around|exactly|equals?|only|simply|just|nearly|approx\.?)(?: equal to)?)"
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


# ---------------------------------------------------------------- splitting

_OPEN, _CLOSE = (
    ("(", "[", "{", "\\{", "\\langle", "\\lfloor", "\\lceil"),
    (")", "]", "}", "\\}", "\\rangle", "\\rfloor", "\\rceil"),
)
_PIECE = re.compile(r"\\(?:text)\{[^{}]*\}|\\[A-Za-z]+|\\.|.", re.DOTALL)


def _depths(text: str) -> list[tuple[int, str, int]]:
    """(place, piece, depth of brackets before it) of each character or command."""
    found, depth = [], 0
    for piece in _PIECE.finditer(text):
        if piece[0] in _CLOSE:
            depth -= 1
        found.append((piece.start(), piece[0], depth))
        if piece[0] in _OPEN:
            depth += 1
    return found


def split(text: str, separators: set[str]) -> list[tuple[str, str]]:
    """Parts between separators outside brackets, each with the separator before it (the first with "")."""
    parts, start, before = [], 0, ""
    for place, piece, depth in _depths(text):
        if depth == 0 and piece in separators:
            parts.append((before, text[start:place].strip()))
            start, before = place + len(piece), piece
    parts.append((before, text[start:].strip()))
    return parts


def _enclosed(text: str, opened: str, closed: str) -> str | None:
    """What is between `opened` and `closed`, where these hold all of the text."""
    if not (text.startswith(opened) and text.endswith(closed)) or len(text) < len(opened) + len(closed):
        return None
    pieces = _depths(text)
    inside = [depth for place, _, depth in pieces if len(opened) <= place < len(text) - len(closed)]
    return text[len(opened) : len(text) - len(closed)].strip() if all(depth >= 1 for depth in inside) else None


# ---------------------------------------------------------------- single values


def tree_of(text: str) -> Tree | None:
    """Tree of a number or formula, None for anything else."""
    if numeral := numerals.read(text):
        return ("number", numeral.value, numeral.unit if numeral.decimal else numerals.Fraction(0))
    if len(text) > MAX_FORMULA or "\\text" in text or _is_word(text) or _is_pair(text):
        return None
    try:
        return expression.read(text)
    except Unreadable:
        return None


MAX_FORMULA = 600


def _is_pair(text: str) -> bool:
    """(2,600) is a pair or an interval, and no number in brackets."""
    content = _enclosed(text, "(", ")")
    return content is not None and len(split(content, {","})) > 1


def _value(text: str) -> Value | None:
    tree = tree_of(text)
    return None if tree is None else Value(tree, NONE, text)


_CURRENCY = re.compile(
    r"^(?P<minus>-?)\s*(?P<sign>\\\$|(?:\\text\{\s*US\s*\}|US)?\s*\\\$|\\text\{\s*(?:EUR|GBP|JPY|INR|(?:US\s*)?USD|RMB|CNY|Rs\.?)\s*\}|(?:USD|EUR|GBP|JPY|INR|US\\\$|Rs\.?)(?=[\s\d]))\s*(?P<rest>.+)$"
)
_WORD = re.compile(
    r"\\text\{[^{}]*\}|(?<![\\A-Za-z])[A-Za-z]{2,}|\\?%|\\\$|\^\{\s*\\circ\s*\}|\^\\circ|(?<=\d)'{1,2}(?![A-Za-z])"
)
_ORDINAL = re.compile(r"^(\d+)\s*(?:\^?\s*\{?\s*(?:\\text\{)?(?:st|nd|rd|th)\}?\}?)$")


def _quantity(text: str) -> Value | None:
    """A number or formula with words or a unit behind it, or a currency sign before it."""
    if found := _ORDINAL.match(text):
        return _value(found[1])
    before = NONE
    if (found := _CURRENCY.match(text)) and (read := units.read(_words_of(found["sign"]))):
        before, text = read[1], found["minus"] + found["rest"]
    if (compound := _compound(text)) is not None:
        return compound
    place = _words_place(text)
    if place is None or _FUNCTION_BEFORE.search(text[:place]):
        value = _value(text)
        return value and value._replace(unit=before)
    head = text[:place].strip().rstrip("-").rstrip(",").strip() if not text[:place].strip().endswith("\\") else ""
    read = units.read(_words_of(text[place:]))
    tree = tree_of(head) if head else None
    if tree is None or read is None:
        return _value(text) if before is NONE else None
    factor, unit = read
    if unit.is_stated and before.is_stated and unit.dimensions != before.dimensions:
        return None
    return Value(_times(tree, factor), unit if unit.is_stated else before, head)


_FUNCTION_BEFORE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc|tg|ctg)(?![a-z])|(?<![a-z\\])(?:sin|cos|tan)(?![a-z])")


def _words_place(text: str) -> int | None:
    """Where the words behind a value begin."""
    depths = {place: depth for place, _, depth in _depths(text)}
    for found in _WORD.finditer(text):
        if depths.get(found.start(), 0) == 0 and (found[0][0] in "\\^%'" or not _is_symbolic(found[0])):
            # a unit's letter may stand before the first long word: m in m/s is one, and so is 5 L of water
            head = text[: found.start()]
            short = re.search(r"(?<=\d)\s+[A-Za-z]\s*(?:/\s*)?$", head)
            return short.start() if short else found.start()
    return None


def _words_of(text: str) -> str:
    text = re.sub(r"\^\{\s*\\circ\s*\}|\^\\circ", " degree ", text)
    text = re.sub(r"^'' *", " arcsecond ", re.sub(r"^'(?!')", " arcminute ", text))
    return re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)


def _times(tree: Tree, factor: int) -> Tree:
    if factor == 1:
        return tree
    if tree[0] == "number":
        return ("number", tree[1] * factor, tree[2] * factor)
    return ("mul", tree, expression.number(factor))


_PART = re.compile(
    r"\s*(?:and\s+|\\text\{\s*and\s*\}\s*|,\s*)?(\d+(?:\.\d+)?(?:\s*\\frac\{\d+\}\{\d+\})?)\s*((?:\\text\{[^{}\d]*\}|\^\{\\circ\}|'{1,2}|[A-Za-z.]+|\s)+)"
)


def _compound(text: str) -> Value | None:
    """2 hours 30 minutes: several quantities of one dimension, in the first one's unit."""
    parts, place = [], 0
    plain = re.sub(r"\\text\{([^{}]*\d[^{}]*)\}", r"\1", text)
    while place < len(plain):
        found = _PART.match(plain, place)
        if not found:
            return None
        words = re.sub(r"\band\s*$", "", _words_of(found[2]).strip()).strip()
        number, read = numerals.read(found[1]), units.read(words)
        if number is None or read is None or not read[1].is_stated:
            return None
        parts.append((number.value * read[0], read[1]))
        place = found.end()
    if len(parts) < 2:
        return None
    first = parts[0][1]
    if any(unit.dimensions != first.dimensions or not unit.dimensions for _, unit in parts):
        return None
    sizes = [unit.size for _, unit in parts]
    if sorted(set(sizes), reverse=True) != sizes:  # 90 and 60 degrees are two values
        return None
    total = sum(value * unit.size / first.size for value, unit in parts)
    return Value(expression.number(total), first, text)


def loosely(value: Value) -> Value | None:
    """5 m as five metres, not five times m: a number and a unit of one letter, or several without \\text."""
    found = re.fullmatch(
        r"(?P<number>-?[\d.,]+(?:\s*\\frac\{\d+\}\{\d+\}|/\d+)?)\s*(?P<unit>[A-Za-z][A-Za-z/^{}\d\s\\-]*)", value.text
    )
    if not found or value.unit.is_stated:
        return None
    tree, read = tree_of(found["number"]), units.read(found["unit"])
    if tree is None or read is None or not read[1].dimensions or read[1].words:
        return None
    return Value(tree, read[1], found["number"])


# ---------------------------------------------------------------- words

_ONLY_WORDS = re.compile(r"[A-Za-z\s.,;:!?'\"()-]+")
_ARTICLE = re.compile(r"^(?:the|an?) ")
_PRODUCT_LETTERS = set("abcdfghjklmnpqrstvwxyz")


def _is_symbolic(word: str) -> bool:
    """A run of letters that stands for a product or a function and not for a word: xy, ab, sin."""
    if word in _MATHEMATICAL:
        return True
    if len(word) == 2 and not word.islower() and not word.isupper():
        return set(word.lower()) <= _PRODUCT_LETTERS - {"a"}  # Rr and kK
    return len(word) <= 3 and word.islower() and set(word) <= _PRODUCT_LETTERS and word not in _SHORT_WORDS


_MATHEMATICAL = {
    *expression.FUNCTIONS,
    "log",
    "lg",
    "pi",
    "sinx",
    "cosx",
    "tanx",
    "lnx",
    "theta",
    "alpha",
    "beta",
    "lambda",
}
_SHORT_WORDS = {"cm", "mm", "km", "kg", "mg", "ft", "lb", "yd", "hr", "pm", "am", "lbs", "yds", "and", "all", "mph", "kph", "dm", "nm", "th", "nd", "st", "rd", "by", "cats", "ml", "ms", "ns", "gal", "mln", "fps", "rad", "days", "sq"}  # fmt: skip


def _is_word(text: str) -> bool:
    """Whether a run of letters in the text is a word. Two or three capitals beside an operator are none: 2RC + C, AB + BC."""
    formula = re.search(r"[\d+*/^=\\]|\s-", text) is not None
    runs = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)
    return any(not (_is_symbolic(run) or (formula and run.isupper() and len(run) <= 3)) for run in runs)


def _words(text: str) -> Words | None:
    """A text of words, or an order of capital letters."""
    plain = (
        re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text.replace("\\overline", "").replace("\\ldots", "..."))
        .replace("{", "")
        .replace("}", "")
    )
    plain = re.sub(r"\\(?:triangle|angle|leftrightarrow|to|square)(?![A-Za-z])", " ", plain)
    if not _ONLY_WORDS.fullmatch(plain) or not ("\\text" in text or _is_word(plain)):
        return None
    return Words(normal(plain))


def normal(text: str) -> str:
    text = " ".join(re.sub(r"[.,;:!?'\"()-]", " ", text).casefold().split())
    return _ARTICLE.sub("", text)


_NOTHING = {
    "no solution",
    "no solutions",
    "no real solution",
    "no real solutions",
    "empty set",
    "none",
    "null set",
    "no such solution",
}
_EVERYTHING = {
    "all real numbers",
    "all reals",
    "real numbers",
    "all real",
    "every real number",
    "any real number",
    "reals",
    "r",
}
_NUMBERS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty".split()
    )
}


def meaning(words: Words) -> Answer | None:
    """What some words stand for: the empty set, all real numbers, infinity, a small number."""
    if words.text in _NOTHING:
        return EMPTY
    if words.text in _EVERYTHING and words.text != "r":
        return WHOLE
    if words.text in ("infinity", "positive infinity", "infinite"):
        return Opaque("\\infty")
    if words.text == "negative infinity":
        return Opaque("-\\infty")
    if words.text in _NUMBERS:
        return Value(expression.number(_NUMBERS[words.text]), NONE, str(_NUMBERS[words.text]))
    return None


# ---------------------------------------------------------------- kinds with marks of their own

_CHOICES = [
    re.compile(r"^\\text\{\s*\(?(?P<letter>[A-Z])\s*[).:]?\s*\}\s*[).:]?\s*(?P<rest>.*)$"),
    re.compile(r"^\\text\{\s*\(?(?P<letter>[A-Z])\s*[).:]\s+(?P<inner>[^{}]+)\}$"),
    re.compile(r"^\((?P<letter>[A-Z])\)\s*[.:]?\s*(?P<rest>.*)$"),
    re.compile(r"^(?P<letter>[A-J])\)\s*(?P<rest>.*)$"),
    re.compile(r"^(?P<letter>[A-J])[.:]\s+(?P<rest>.+)$"),
    re.compile(r"^\\text\{\s*(?:option|choice|answer)\s+\(?(?P<letter>[A-J])\)?\s*\}(?P<rest>)$", re.IGNORECASE),
    re.compile(r"^(?:option|choice)\s+\(?(?P<letter>[A-J])\)?(?P<rest>)$", re.IGNORECASE),
]


def _choice(text: str) -> Choice | None:
    for pattern in _CHOICES:
        if found := pattern.match(text):
            parts = found.groupdict()
            rest = (parts.get("rest") or parts.get("inner") or "").strip()
            if rest and rest[0] in "_^=+-*/<>'" and not re.match(r"-?\d", rest):
                return None
            if not rest and not pattern.pattern.startswith((r"^\\text", r"^\((", "^(?:option")):
                return None
            return Choice(found["letter"].upper(), read(rest) if rest else None)
    return None


_TIME = re.compile(r"^(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*([ap])?\.?\s*(m)?\.?(?:\s*o'?clock)?$", re.IGNORECASE)


def _time(text: str) -> Time | None:
    plain = " ".join(_words_of(text).split())
    plain = re.sub(r"\bin the morning$", "am", plain)
    plain = re.sub(r"\bin the (?:afternoon|evening)$", "pm", plain)
    found = _TIME.match(plain)
    if not found or bool(found[4]) != bool(found[5]) or not (found[2] or found[4]):
        return None
    hours, minutes = int(found[1]), int(found[2] or 0)
    if hours > 24 or minutes > 59:
        return None
    parts = (hours, minutes) + ((int(found[3]),) if found[3] else ())
    return Time(parts, (found[4] or "").lower() + ("m" if found[4] else ""))


_MONTHS = {
    name: str(number)
    for number, name in enumerate(
        "january february march april may june july august september october november december".split(), 1
    )
}
_NUMERIC_DATE = re.compile(r"^(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})$")
_WORD_DATE = re.compile(
    r"^(?:(?P<m>[A-Za-z]{3,9})\.?\s+(?P<d>\d{1,2})(?:st|nd|rd|th)?|(?P<d2>\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m2>[A-Za-z]{3,9})\.?)(?:,?\s+(?P<y>\d{4}))?$"
)


def _date(text: str) -> Date | None:
    if found := _NUMERIC_DATE.match(text.replace(" ", "")):
        if len(found[1]) == 4 or len(found[4]) == 4 or found[2] == "-":
            return Date((found[2], *(str(int(part)) for part in (found[1], found[3], found[4]))))
        return None
    if found := _WORD_DATE.match(" ".join(_words_of(text).split())):
        name = (found["m"] or found["m2"]).lower()
        month = next((number for full, number in _MONTHS.items() if full.startswith(name)), None)
        if month:
            return Date(("word", month, str(int(found["d"] or found["d2"])), found["y"] or ""))
    return None


_RANGE = re.compile(
    r"^(?:(?:\\text\{)?\s*(?:from|between)\s*\}?\s*)?(?P<low>-?\\?\$?\d+(?:,\d{3})*(?:\.\d+)?)\s*(?P<mark>-{1,3}|\\text\{\s*(?:to|and|-)\s*\}|to(?=\s)|and(?=\s))\s*(?P<high>\\?\$?\d+(?:,\d{3})*(?:\.\d+)?)(?P<unit>\s*(?:\\text.*|[A-Za-z]{2,}.*|\\%|\^.*\\circ.*)?)$"
)


def _range(text: str) -> Range | None:
    found = _RANGE.match(text)
    if not found:
        return None
    between = re.match(r"^(?:\\text\{)?\s*between", text)
    if ("and" in found["mark"]) != bool(between) or _is_symbolic(found["unit"].strip()):
        return None
    low, high = (numerals.read(found[key].replace("\\$", "")) for key in ("low", "high"))
    read_unit = units.read(_words_of(found["unit"]))
    if low is None or high is None or read_unit is None or low.value >= high.value:
        return None
    if "to" in found["mark"] and not (found["unit"].strip() or re.match(r"^(?:\\text\{)?\s*from", text)):
        return None  # 3 to 7 is a ratio as well
    return Range(
        ("number", low.value, low.unit if low.decimal else low.value * 0),
        ("number", high.value, high.unit if high.decimal else high.value * 0),
        read_unit[1],
    )


def _ratio(text: str) -> Ratio | None:
    parts = split(re.sub(r"\\text\{\s*to\s*\}|(?<=[\d\s}])\bto\b(?=\s*[\d\\])", ":", text), {":"})
    if not 2 <= len(parts) <= 6:
        return None
    values = tuple(_value(part) for _, part in parts)
    return Ratio(values) if None not in values else None


_BASED = re.compile(
    r"^[({]?\s*([0-9A-Fa-f]+)\s*[)}]?\s*_\s*(?:\{\s*(?:\\text\{)?\s*(?:base\s*)?([0-9]+|[a-z]+)\s*\}?\s*\}|(\d+))$"
)
_BASE_WORDS = re.compile(r"^([0-9A-Fa-f]+)\s*\\?(?:text\{)?\s*\(?(?:in )?base[ -]([0-9]+|[a-z]+)\s*\)?\s*\}?$")


def _based(text: str) -> Based | None:
    found = _BASED.match(text) or _BASE_WORDS.match(text)
    if not found or not any(character.isdigit() for character in found[1]):
        return None
    name = next(group for group in found.groups()[1:] if group)
    base = int(name) if name.isdigit() else _NUMBERS.get(name)
    return None if base is None or not 2 <= base <= 36 else Based(found[1].upper().lstrip("0") or "0", base)


_MODULO = re.compile(
    r"^(?P<value>.*?)\s*(?:\(\s*)?(?:\\pmod|\\text\{\s*\(?\s*mod(?:ulo)?\s*\}|(?<![a-z])mod(?![a-z]))\s*(?P<modulus>.+?)\s*\)?$"
)


def _residue(text: str) -> Residue | None:
    found = _MODULO.match(text)
    if not found:
        return None
    modulus = found["modulus"].strip().removesuffix("\\text{)}")
    while (inner := _enclosed(modulus, "{", "}")) is not None:
        modulus = inner
    value = split(found["value"].strip().rstrip(","), {"\\equiv", "="})[-1][1]
    trees = tree_of(value), tree_of(modulus)
    return None if None in trees else Residue(*trees)


# ---------------------------------------------------------------- several values

_SEPARATORS = {",", ";"}
_AND = re.compile(r"\\text\{\s*,?\s*(and|or|OR)\s*\}|(?<![A-Za-z\\])(and|or|OR)(?![A-Za-z])")


def _items(text: str) -> Answer | None:
    """A list without brackets; named values; inequalities that are joined."""
    joined = {found[1] or found[2] for found in _AND.finditer(text)}
    # words that \text holds together with their commas are one text
    plain = _AND.sub(" ; ", _ungrouped(text))
    parts = [part for _, part in split(plain, _SEPARATORS)]
    parts = [part for part in parts if part]
    if len(parts) < 2 or len(parts) > MAX_ITEMS:
        return None
    if any(sign in text for sign in ("<", ">", "\\le", "\\ge", "\\ne", "\\in")) and (
        reals := _joined_reals(parts, joined)
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
    depths = {place: depth for place, _, depth in _depths(text)}
    return _GROUPED.sub(lambda found: found[0].replace(",", "") if depths.get(found.start()) == 0 else found[0], text)


def _flattened(answer: Answer) -> tuple[Answer, ...]:
    """The values of a plus-minus among others."""
    return answer.items if isinstance(answer, Items) and answer.brackets == "" else (answer,)


def _joined_reals(parts: list[str], joined: set[str]) -> Reals | None:
    found = [_reals(part) or _relation_reals(part) or ("or" in joined and _point(part)) for part in parts]
    if not all(found):
        return None
    if all(part.without and part.pieces == WHOLE.pieces for part in found):
        return Reals(WHOLE.pieces, tuple(point for part in found for point in part.without))
    if "and" in joined or (not joined and "or" not in joined):
        bounds = [piece for part in found for piece in part.pieces]
        without = tuple(point for part in found for point in part.without)
        bounds = [piece for piece in bounds if piece != WHOLE.pieces[0]]
        if len(bounds) == 1:
            return Reals(tuple(bounds), without)
        if len(bounds) == 2 and (bounds[0].low is None) != (bounds[1].low is None) and "and" in joined:
            upper, lower = sorted(bounds, key=lambda piece: piece.low is not None)
            return Reals((Piece(lower.low, upper.high, lower.with_low, upper.with_high),), without)
        if joined:
            return None
    return Reals(
        tuple(piece for part in found for piece in part.pieces),
        tuple(point for part in found for point in part.without),
    )


def _point(text: str) -> Reals | None:
    """x = 1 among inequalities."""
    parts = [part for _, part in split(text, {"="})]
    tree = tree_of(parts[1]) if len(parts) == 2 and is_name(parts[0]) else None
    return None if tree is None else Reals((Piece(tree, tree, True, True),))


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
        content = _enclosed(text, opened, closed)
        if content is None:
            continue
        if kind == "{}" and (condition := _condition(content)) is not None:
            return condition
        parts = [part for _, part in split(content, {",", ";"})]
        if kind == "{}" and content == "":
            return EMPTY
        if "" in parts or len(parts) > MAX_ITEMS or (len(parts) < 2 and kind in ("()", "(]", "[)")):
            return None
        found = [read(part) for part in parts]
        return Items(kind, tuple(item for part in found for item in (_flattened(part) if kind == "{}" else (part,))))
    return None


_SET_BUILDER = re.compile(r"^(?P<name>[A-Za-z](?:\s*\\in\s*\\mathbb\s*\{?R\}?)?)\s*(?:\||:)\s*(?P<condition>.+)$")


def _condition(content: str) -> Answer | None:
    found = _SET_BUILDER.match(content)
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
    r"^\\begin\s*\{(?:[pbBvV]?(?:small)?matrix|array)\}(?:\{[lcr|\s]*\})?(?P<rows>.*)\\end\s*\{(?:[pbBvV]?(?:small)?matrix|array)\}$",
    re.DOTALL,
)


def _matrix(text: str) -> Answer | None:
    for opened, closed in (("(", ")"), ("[", "]")):
        inner = _enclosed(text, opened, closed)
        if inner is not None and inner.startswith("\\begin"):
            text = inner
    found = _MATRIX.match(text)
    if not found:
        return None
    rows = [[cell.strip() for cell in row.split("&")] for row in re.split(r"\\\\", found["rows"]) if row.strip()]
    if not rows or len({len(row) for row in rows}) != 1 or any(not cell for row in rows for cell in row):
        return None
    cells = tuple(tuple(read(cell) for cell in row) for row in rows)
    if len(cells) == 1 or len(cells[0]) == 1:
        return Items("<>", tuple(cell for row in cells for cell in row))
    return Matrix(cells)


def _plus_minus(text: str) -> Items | None:
    if "\\pm" not in text and "\\mp" not in text:
        return None
    found = []
    for plus, minus in (("+", "-"), ("-", "+")):
        one = re.sub(r"\\pm(?![a-z])", plus, re.sub(r"\\mp(?![a-z])", minus, text)).strip()
        found.append(read(one.removeprefix("+").strip()))
    return Items("", tuple(item for part in found for item in _flattened(part)))


# ---------------------------------------------------------------- parts of the real line


def _endpoint(text: str) -> tuple[Tree | None] | None:
    """(tree,) of an endpoint, (None,) of an infinity, None for anything else."""
    plain = text.replace(" ", "").removeprefix("+")
    if plain in ("\\infty", "-\\infty", "oo", "-oo", "inf", "-inf", "infinity", "-infinity"):
        return (None,)
    tree = tree_of(text)
    return None if tree is None else (tree,)


def _interval(text: str) -> Piece | None:
    if len(text) < 5 or text[0] not in "([" or text[-1] not in ")]":
        return None
    parts = [part for _, part in split(text[1:-1], {",", ";"})]
    if len(parts) != 2:
        return None
    low, high = _endpoint(parts[0]), _endpoint(parts[1])
    if low is None or high is None:
        return None
    return Piece(low[0], high[0], text[0] == "[" and low[0] is not None, text[-1] == "]" and high[0] is not None)


_LINE = re.compile(r"^(?:\\mathbb\s*\{?\s*R\s*\}?|\\text\{R\})$")
_MEMBER = re.compile(r"^(?:[A-Za-z]|\\[a-z]+|[a-z]\([a-z]\))\s*\\in(?![a-z])\s*(?P<rest>.+)$")


def _reals(text: str) -> Reals | None:
    """Unions of intervals, the real line, and what is left of it without some points."""
    if found := _MEMBER.match(text):
        text = found["rest"].strip()
        if piece := _interval(text):
            return Reals((piece,))
    removed = split(text, {"\\setminus", "-"} if "\\mathbb" in text else {"\\setminus"})
    if len(removed) == 2 and removed[0][1]:
        base = _union([removed[0][1]]) or _reals(removed[0][1])
        content = _enclosed(removed[1][1], "\\{", "\\}")
        if base is None or content is None:
            return None
        points = tuple(tree_of(part) for _, part in split(content, {","}))
        return None if None in points else Reals(base.pieces, points)
    if _LINE.match(text):
        return WHOLE
    parts = [part for _, part in split(text, {"\\cup"})]
    if len(parts) > 1:
        return _union(parts)
    piece = _interval(text)
    return Reals((piece,)) if piece and (piece.low is None or piece.high is None) else None


def _union(parts: list[str]) -> Reals | None:
    """Intervals, sets of points and unions in round brackets."""
    pieces: list[Piece] = []
    for part in parts:
        if (found := _interval(part)) is not None:
            pieces.append(found)
        elif (content := _enclosed(part, "\\{", "\\}")) is not None:
            points = [tree_of(item) for _, item in split(content, {","})]
            if None in points:
                return None
            pieces += [Piece(point, point, True, True) for point in points]
        elif (inner := _enclosed(part, "(", ")")) is not None and (nested := _reals(inner)) is not None:
            pieces += nested.pieces
        else:
            return None
    return Reals(tuple(pieces))


_SIGNS = {"<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!=", "=": "=", "\\approx": "~"}


def _sides(text: str) -> tuple[list[str], list[str]] | None:
    """Sides of a chain of relations and the signs between them."""
    text = re.sub(r"\\not\s*=", "\\\\ne ", text).replace("<=", "\\le ").replace(">=", "\\ge ").replace("!=", "\\ne ")
    parts = split(text, set(_SIGNS))
    if len(parts) < 2 or any(not part for _, part in parts):
        return None
    return [part for _, part in parts], [_SIGNS[sign] for sign, _ in parts[1:]]


def _relation_reals(text: str) -> Reals | None:
    """Inequalities for one name: a < x <= b, x < 3, x != 0."""
    found = _sides(text)
    if found is None:
        return None
    sides, signs = found
    places = [place for place, side in enumerate(sides) if is_name(side)]
    if len(places) != 1 or "=" in signs or "~" in signs:
        return None
    place = places[0]
    ends = [_endpoint(side) if number != place else (None,) for number, side in enumerate(sides)]
    if any(end is None for end in ends):
        return None
    if len(sides) == 2:
        sign, end = signs[0], ends[1 - place][0]
        if sign == "!=":
            return None if end is None else Reals(WHOLE.pieces, (end,))
        below = sign.startswith("<") == (place == 0)
        closed = sign.endswith("=") and end is not None
        return Reals((Piece(None, end, False, closed) if below else Piece(end, None, closed, False),))
    if len(sides) == 3 and place == 1 and "!=" not in signs and signs[0][0] == signs[1][0]:
        low, high = (0, 2) if signs[0][0] == "<" else (2, 0)
        order = signs if low == 0 else signs[::-1]
        return Reals((Piece(ends[low][0], ends[high][0], order[0].endswith("="), order[1].endswith("=")),))
    return None


# ---------------------------------------------------------------- relations

_NAME = re.compile(
    r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|theta|lambda|mu|nu|rho|sigma|tau|phi|varphi|psi|omega|Delta|Omega|Phi|ell))"
    r"(?:_(?:\{[^{}]*(?:\{[^{}]*\})?\}|\w|\\[a-z]+))?'*(?:\^\{?\*\}?)?"
)
_APPLIED = re.compile(rf"{_NAME.pattern}\s*\(\s*[^()=]*\s*\)")
_GEOMETRIC = re.compile(
    r"(?:m?\s*\\(?:angle|measuredangle|triangle|overline|operatorname|text)\s*)?(?:\{?[A-Z]{1,4}'?\}?|\[[A-Z]{3,6}\]|\|[A-Z]{2}\||\\text\{[^{}]*\})"
)
_WORDS_NAME = re.compile(r"(?:\\text\{[^{}=]*\}|[A-Za-z][A-Za-z ]+)(?:\s*\([^()]*\))?(?:_\{?\w+\}?)?")
_DERIVATIVE = re.compile(
    r"\\frac\{d\^?\d?\s*[a-z]?\}\{d[a-z]\^?\d?\}|\\(?:max|min|gcd|lcm|deg|det|dim|lim|Re|Im)(?:\([^()]*\))?|\\mathbb\s*\{?[EP]\}?\s*[(\[][^()\[\]]*[)\]]|(?:dy|du|dv)/d[a-z]"
)


def is_name(text: str) -> bool:
    r"""A name that an answer may put before an equals sign: x, a_1, f(3), AB, \angle ABC, \text{Area}."""
    text = text.strip()
    while (inner := _enclosed(text, "{", "}")) is not None:
        text = inner
    if any(pattern.fullmatch(text) for pattern in (_NAME, _APPLIED, _GEOMETRIC, _DERIVATIVE)):
        return True
    return _WORDS_NAME.fullmatch(text) is not None and ("\\text" in text or _is_word(text))


def _tuple_of_names(text: str) -> list[str] | None:
    for opened, closed in (("(", ")"), ("\\{", "\\}"), ("\\langle", "\\rangle")):
        content = _enclosed(text, opened, closed)
        if content is not None:
            parts = [part for _, part in split(content, {","})]
            return parts if len(parts) > 1 and all(is_name(part) for part in parts) else None
    return None


def _relation(text: str) -> Answer | None:
    """Names with their values, and relations between formulas."""
    found = _sides(text)
    if found is None:
        return None
    sides, signs = found
    if set(signs) <= {"=", "~"}:
        return _equation(sides, signs)
    if reals := _relation_reals(text):
        return reals
    if len(sides) != 2:
        return None
    trees = tree_of(sides[0]), tree_of(sides[1])
    if None in trees:
        return None
    sign = signs[0]
    return Relation(sign.replace(">", "<"), *(trees[::-1] if sign.startswith(">") else trees))


def _equation(sides: list[str], signs: list[str]) -> Answer | None:
    names = []
    while len(sides) > 1 and (is_name(sides[0]) or _tuple_of_names(sides[0])):
        names.append(sides[0])
        sides, signs = sides[1:], signs[1:]
    equation = None
    trees = [tree_of(side) for side in (*names[-1:], sides[0])]
    if names and None not in trees:
        equation = Relation("=", trees[0], trees[1])
    if names and len(sides) == 1:
        content = read(sides[0])
        several = _tuple_of_names(names[0])
        if several and isinstance(content, Items) and len(content.items) == len(several):
            return Items(
                "",
                tuple(Named(_plain_name(name), item, None) for name, item in zip(several, content.items, strict=True)),
            )
        if several:
            return content if isinstance(content, Items) else None
        return Named(_plain_name(names[0]), content, equation)
    if len(sides) == 2 and is_name(sides[1]) and not is_name(sides[0]) and not names:
        return _equation(sides[::-1], signs)  # 5 = x
    left, right = tree_of(sides[0]), tree_of(sides[1])
    chain = tuple(read(side) for side in sides)
    if signs[-1:] == ["~"] and len(sides) > 1:
        chain = tuple(read(side) for side, sign in zip(sides, ["=", *signs], strict=True) if sign == "=")
        if len(chain) == 1:
            return Named(_plain_name(names[0]), chain[0], equation) if names else chain[0]
    if names:  # x = 10/2 = 5: all sides say the same
        return Named(
            _plain_name(names[0]), Relation("=", left or ("name", "?"), right or ("name", "?"), chain), equation
        )
    if left is None or right is None:
        return None
    return Relation("=", left, right, chain)


def _plain_name(text: str) -> str:
    return re.sub(r"\\(?:text|overline|angle|triangle)|[{}\s$]", "", text)


def _membership(text: str) -> Answer | None:
    r"""x \in S, where S is no part of the real line that `_reals` reads."""
    found = _MEMBER.match(text)
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
    content = _enclosed(text, "(", ")")
    if content is None or len(split(content, {",", ";"})) > 1:
        return None
    found = read(content)
    return None if isinstance(found, Opaque) else found


_READERS: list[Callable[[str], Answer | None]] = [
    _constants,
    _choice,
    _time,
    _date,
    _residue,
    _based,
    _range,
    _reals,
    _quantity,
    _matrix,
    _bracketed,
    _membership,
    _items,
    _condition,
    _relation,
    _plus_minus,
    _ratio,
    _words,
    _wrapped,
]
