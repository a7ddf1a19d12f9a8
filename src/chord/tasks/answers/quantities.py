r"""Reads and compares numbers and formulas with their units."""

import re
from fractions import Fraction

from chord.tasks.answers import evaluation, expression, numerals, trees, units
from chord.tasks.answers.kinds import Value
from chord.tasks.answers.splitting import depths, inside_brackets, split
from chord.tasks.answers.three_valued import Verdict, either
from chord.tasks.answers.tokens import Unreadable
from chord.tasks.answers.trees import Tree
from chord.tasks.answers.units import NONE
from chord.tasks.answers.words import is_symbolic, is_word


def tree_of(text: str) -> Tree | None:
    """The tree of a number or formula; None for anything else."""
    if numeral := numerals.read(text):
        return ("number", numeral.value, numeral.unit if numeral.decimal else Fraction(0))
    if len(text) > MAX_FORMULA or "\\text" in text or is_word(text) or _is_pair(text):
        return None
    try:
        return expression.read(text)
    except Unreadable:
        return None


MAX_FORMULA = 600


def _is_pair(text: str) -> bool:
    """Whether a text is a pair or an interval, as (2,600) is, and not a number in brackets."""
    content = inside_brackets(text, "(", ")")
    return content is not None and len(split(content, {","})) > 1


def value_of(text: str) -> Value | None:
    tree = tree_of(text)
    return None if tree is None else Value(tree, NONE, text)


_CURRENCY = re.compile(
    r"^(?P<minus>-?)\s*(?P<sign>\\\$|(?:\\text\{\s*US\s*\}|US)?\s*\\\$|\\text\{\s*(?:EUR|GBP|JPY|INR|(?:US\s*)?USD|RMB|CNY|Rs\.?)\s*\}|(?:USD|EUR|GBP|JPY|INR|US\\\$|Rs\.?)(?=[\s\d]))\s*(?P<rest>.+)$"
)
_WORD = re.compile(
    r"\\text\{[^{}]*\}|(?<![\\A-Za-z])[A-Za-z]{2,}|[\u4e00-\u9fff]|\\Omega(?![A-Za-z])|\\mu\s*(?=\\text)|\\?%|\\\$|\^\{\s*\\circ\s*\}|\^\\circ|(?<=\d)'{1,2}(?![A-Za-z])"
)
_ORDINAL = re.compile(r"^(\d+)\s*(?:\^?\s*\{?\s*(?:\\text\{)?(?:st|nd|rd|th)\}?\}?)$")


def read_quantity(text: str) -> Value | None:
    """Read a number or formula with words or a unit after it, or with a currency sign before it."""
    if match := _ORDINAL.match(text):
        return value_of(match[1])
    before = NONE
    if (match := _CURRENCY.match(text)) and (quantity := units.read(words_of(match["sign"]))):
        before, text = quantity[1], match["minus"] + match["rest"]
    if (compound := _compound(text)) is not None:
        return compound
    place = _words_place(text)
    if place is None or _FUNCTION_BEFORE.search(text[:place]):
        value = value_of(text)
        return value and value._replace(unit=before)
    head = text[:place].strip().rstrip("-").rstrip(",").strip() if not text[:place].strip().endswith("\\") else ""
    quantity = units.read(words_of(text[place:]))
    tree = tree_of(head) if head else None
    if tree is None or quantity is None:
        return value_of(text) if before is NONE else None
    factor, unit = quantity
    if unit.is_stated and before.is_stated and unit.dimensions != before.dimensions:
        if any(power > 0 for _, power in unit.dimensions):
            return None
        unit = units.product(before, unit)  # dollars per day
    return Value(scale(tree, factor), unit if unit.is_stated else before, head)


_FUNCTION_BEFORE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc|tg|ctg)(?![a-z])|(?<![a-z\\])(?:sin|cos|tan)(?![a-z])")


def _words_place(text: str) -> int | None:
    """Where the words after a value begin; None if there are none."""
    levels = {place: depth for place, _, depth in depths(text)}
    for word in _WORD.finditer(text):
        if levels.get(word.start(), 0) == 0 and (word[0][0] in "\\^%'" or not _is_factor(word, text)):
            # The letter of a unit may stand before the first long word, as in m/s and in 5 L of water.
            head = text[: word.start()]
            short = re.search(r"(?<=\d)\s+[A-Za-z]\s*(?:/\s*)?$", head)
            return short.start() if short else word.start()
    return None


def _is_factor(word: re.Match, text: str) -> bool:
    """Whether letters are factors: xy is, and so are up to three letters right after a digit that are not a unit."""
    follows_digit = word.start() > 0 and text[word.start() - 1].isdigit() and word[0].isascii()
    if is_symbolic(word[0]) or not follows_digit or len(word[0]) > 3:
        return is_symbolic(word[0])
    quantity = units.read(word[0])
    return quantity is None or not quantity[1].dimensions


def words_of(text: str) -> str:
    text = re.sub(r"\^\{\s*\\circ\s*\}|\^\\circ", " degree ", text)
    text = re.sub(r"degree\s*(?:\\text\{\s*)?([FC])(?:\s*\})?(?![A-Za-z])", r" deg\1 ", text)
    text = re.sub(r"\\mu\s*\\text\{\s*", r"\\text{u", re.sub(r"\\Omega(?![A-Za-z])", " ohm ", text))
    text = re.sub(r"^'' *", " arcsecond ", re.sub(r"^'(?!')", " arcminute ", text))
    return re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)


_PART = re.compile(
    r"\s*(?:and\s+|\\text\{\s*and\s*\}\s*|,\s*)?(\d+(?:\.\d+)?(?:\s*\\frac\{\d+\}\{\d+\})?)\s*((?:\\text\{[^{}\d]*\}|\^\{\\circ\}|'{1,2}|[A-Za-z.]+|\s)+)"
)


def _compound(text: str) -> Value | None:
    """Read several quantities of one dimension, in the unit of the first: 2 hours 30 minutes."""
    parts, place = [], 0
    plain = re.sub(r"\\text\{([^{}]*\d[^{}]*)\}", r"\1", text)
    while place < len(plain):
        match = _PART.match(plain, place)
        if not match:
            return None
        words = re.sub(r"\band\s*$", "", words_of(match[2]).strip()).strip()
        number, quantity = numerals.read(match[1]), units.read(words)
        if number is None or quantity is None or not quantity[1].is_stated:
            return None
        parts.append((number.value * quantity[0], quantity[1]))
        place = match.end()
    if len(parts) < 2:
        return None
    first = parts[0][1]
    if any(unit.dimensions != first.dimensions or not unit.dimensions for _, unit in parts):
        return None
    sizes = [unit.size for _, unit in parts]
    if sorted(set(sizes), reverse=True) != sizes:  # 90 and 60 degrees are two values
        return None
    total = sum(value * unit.size / first.size for value, unit in parts)
    return Value(trees.number(total), first, text)


def read_letter_as_unit(value: Value) -> Value | None:
    """Read 5 m as five metres, not five times m: a number and a unit that is written without \\text."""
    match = re.fullmatch(
        r"(?P<number>-?[\d.,]+(?:\s*\\frac\{\d+\}\{\d+\}|/\d+)?)\s*(?P<unit>[A-Za-z][A-Za-z/^{}\d\s\\-]*)", value.text
    )
    if not match or value.unit.is_stated:
        return None
    tree, quantity = tree_of(match["number"]), units.read(match["unit"])
    if tree is None or quantity is None or not quantity[1].dimensions or quantity[1].words:
        return None
    return Value(tree, quantity[1], match["number"])


DEGREES, RADIANS = (("angle", 1),), (("radian", 1),)


def same_values(gold: Value, answer: Value) -> Verdict:
    if not gold.unit.is_stated or not answer.unit.is_stated:
        # 5 m and 5: the letter is a unit if the other side has no such variable
        loose_gold, loose_answer = gold, answer
        if trees.names(answer.tree) - trees.names(gold.tree):
            loose_answer = read_letter_as_unit(answer) or answer
        if trees.names(gold.tree) - trees.names(answer.tree):
            loose_gold = read_letter_as_unit(gold) or gold
        gold, answer = loose_gold, loose_answer
    if answer.unit.dimensions == RADIANS and not answer.unit.words:
        if gold.unit.dimensions == DEGREES:
            return same_trees(("degrees", scale(gold.tree, gold.unit.size)), answer.tree)
        answer = answer._replace(unit=NONE)
    factor = units.agree(gold.unit, answer.unit)
    if factor is None:
        return None if gold.unit.is_stated and not answer.unit.is_stated else False
    with_unit = [value for value in (gold, answer) if value.unit.is_stated]
    other = answer if with_unit and with_unit[0] is gold else gold
    if len(with_unit) == 1 and with_unit[0].unit.dimensions == DEGREES and "\\pi" in trees.names(other.tree):
        return same_trees(("degrees", with_unit[0].tree), other.tree)  # radians
    verdict = _same_formulas(gold, answer, factor)
    if verdict is not True and len(with_unit) == 1 and with_unit[0].unit.dimensions == (("share", 1),):
        return either((verdict, same_trees(scale(with_unit[0].tree, Fraction(1, 100)), other.tree)))
    return verdict


def _same_formulas(gold: Value, answer: Value, factor: Fraction) -> Verdict:
    """Whether two formulas are equal, also if a slash before a product can be read in two ways."""
    verdicts = [same_trees(gold.tree, scale(answer.tree, factor))]
    if verdicts[0] is not True:
        for one, other in ((gold, answer), (answer, gold)):
            if _SLASH.search(one.text) and (loose := _read_slash_loosely(one.text)):
                verdicts.append(same_trees(loose, other.tree))
    return either(verdicts)


def is_rounding(exact: Tree, rounding: Tree) -> bool:
    """Whether a decimal or an integer is a rounding of a value: within one unit of its last place."""
    values = evaluation.real(exact), evaluation.real(rounding)
    if None in values or rounding[0] != "number":
        return False
    unit = rounding[2] or Fraction(1)
    return abs(values[0] - values[1]) * unit.denominator < unit.numerator


# A factor right after a divisor: 1/2x.
_SLASH = re.compile(r"/\s*(?:[\d.]+|[A-Za-z]|\\[a-z]+)\s*(?:[A-Za-z(]|\\(?:pi|sqrt|frac|alpha|theta))")


def _read_slash_loosely(text: str) -> Tree | None:
    try:
        return expression.read(text, loose=True)
    except Unreadable:
        return None


def scale(tree: Tree, factor: Fraction | int) -> Tree:
    if factor == 1:
        return tree
    if tree[0] == "number":
        return ("number", tree[1] * factor, tree[2] * factor)
    return ("mul", tree, trees.number(factor))


def same_trees(first: Tree, second: Tree) -> Verdict:
    if first[0] == second[0] == "number":
        return numerals.same(*(numerals.Numeral(tree[1], bool(tree[2]), tree[2]) for tree in (first, second)))
    return evaluation.same(first, second)
