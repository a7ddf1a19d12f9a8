r"""Reads and compares answers in special notations: times, dates, ranges, ratios, numbers with a base, residues."""

import re

from chord.tasks.answers import numerals, rational, trees, units
from chord.tasks.answers.kinds import Date, NumberInBase, Range, Ratio, Residue, Time, Value
from chord.tasks.answers.quantities import same_trees, scale, tree_of, value_of, words_of
from chord.tasks.answers.splitting import inside_brackets, split
from chord.tasks.answers.three_valued import Verdict, every
from chord.tasks.answers.words import NUMBER_WORDS, is_symbolic

_TIME = re.compile(r"^(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*([ap])?\.?\s*(m)?\.?(?:\s*o'?clock)?$", re.IGNORECASE)


def read_time(text: str) -> Time | None:
    plain = " ".join(words_of(text).split())
    plain = re.sub(r"\bin the morning$", "am", plain)
    plain = re.sub(r"\bin the (?:afternoon|evening)$", "pm", plain)
    match = _TIME.match(plain)
    if not match or bool(match[4]) != bool(match[5]) or not (match[2] or match[4]):
        return None
    hours, minutes = int(match[1]), int(match[2] or 0)
    if hours > 24 or minutes > 59:
        return None
    parts = (hours, minutes) + ((int(match[3]),) if match[3] else ())
    return Time(parts, (match[4] or "").lower() + ("m" if match[4] else ""))


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


def read_date(text: str) -> Date | None:
    if match := _NUMERIC_DATE.match(text.replace(" ", "")):
        if len(match[1]) == 4 or len(match[4]) == 4 or match[2] == "-":
            return Date((match[2], *(str(int(part)) for part in (match[1], match[3], match[4]))))
        return None
    if match := _WORD_DATE.match(" ".join(words_of(text).split())):
        name = (match["m"] or match["m2"]).lower()
        month = next((number for full, number in _MONTHS.items() if full.startswith(name)), None)
        if month:
            return Date(("word", month, str(int(match["d"] or match["d2"])), match["y"] or ""))
    return None


_RANGE = re.compile(
    r"^(?:(?:\\text\{)?\s*(?:from|between)\s*\}?\s*)?(?P<low>-?\\?\$?\d+(?:,\d{3})*(?:\.\d+)?)\s*(?P<mark>-{1,3}|\\text\{\s*(?:to|and|-)\s*\}|to(?=\s)|and(?=\s))\s*(?P<high>\\?\$?\d+(?:,\d{3})*(?:\.\d+)?)(?P<unit>\s*(?:\\text.*|[A-Za-z]{2,}.*|\\%|\^.*\\circ.*)?)$"
)


def read_range(text: str) -> Range | None:
    match = _RANGE.match(text)
    if not match:
        return None
    between = re.match(r"^(?:\\text\{)?\s*between", text)
    if ("and" in match["mark"]) != bool(between) or is_symbolic(match["unit"].strip()):
        return None
    low, high = (numerals.read(match[key].replace("\\$", "")) for key in ("low", "high"))
    quantity = units.read(words_of(match["unit"]))
    if low is None or high is None or quantity is None or low.value >= high.value:
        return None
    if "to" in match["mark"] and not (match["unit"].strip() or re.match(r"^(?:\\text\{)?\s*from", text)):
        return None  # 3 to 7 may also be a ratio
    return Range(
        ("number", low.value, low.unit if low.decimal else low.value * 0),
        ("number", high.value, high.unit if high.decimal else high.value * 0),
        quantity[1],
    )


def read_ratio(text: str) -> Ratio | None:
    plain = _TO.sub(":", text)
    parts = split(plain, {":"})
    if not 2 <= len(parts) <= 6:
        return None
    values = tuple(value_of(part) for _, part in parts)
    return Ratio(values, worded=plain != text) if None not in values else None


_TO = re.compile(r"\\text\{\s*to\s*\}|(?<=[\d\s}])\bto\b(?=\s*[\d\\])")


_BASED = re.compile(
    r"^[({]?\s*([0-9A-Fa-f]+)\s*[)}]?\s*_\s*(?:\{\s*\(?\s*(?:\\text\{)?\s*(?:base\s*\}?\s*)?([0-9]+|[a-z]+)\s*\}?\s*\)?\s*\}|(\d+))$"
)
_BASE_WORDS = re.compile(r"^([0-9A-Fa-f]+)\s*\\?(?:text\{)?\s*\(?(?:in )?base[ -]*\}?\s*([0-9]+|[a-z]+)\s*\)?\s*\}?$")


def read_based(text: str) -> NumberInBase | None:
    match = _BASED.match(text) or _BASE_WORDS.match(text)
    if not match or not any(character.isdigit() for character in match[1]):
        return None
    name = next(group for group in match.groups()[1:] if group)
    base = int(name) if name.isdigit() else NUMBER_WORDS.get(name)
    if base is None or not 2 <= base <= 36 or any(int(digit, 36) >= base for digit in match[1]):
        return None
    return NumberInBase(match[1].upper().lstrip("0") or "0", base)


_MODULO = re.compile(
    r"^(?P<value>.*?)\s*(?:\(\s*)?(?:\\pmod|\\text\{\s*\(?\s*mod(?:ulo)?\s*\}|(?<![a-z])mod(?![a-z]))\s*(?P<modulus>.+?)\s*\)?$"
)


def read_residue(text: str) -> Residue | None:
    match = _MODULO.match(text)
    if not match:
        return None
    modulus = match["modulus"].strip().removesuffix("\\text{)}")
    while (inner := inside_brackets(modulus, "{", "}")) is not None:
        modulus = inner
    value = split(match["value"].strip().rstrip(","), {"\\equiv", "="})[-1][1]
    trees = tree_of(value), tree_of(modulus)
    return None if None in trees else Residue(*trees)


def same_times(gold: Time, answer: Time) -> Verdict:
    hours = [side.parts[0] % 12 + 12 * (side.half == "pm") if side.half else side.parts[0] for side in (gold, answer)]
    rest = gold.parts[1:] == answer.parts[1:]
    if gold.half and not answer.half:
        if rest and answer.parts[0] == hours[0] and answer.parts[0] > 12:
            return True  # 15:05 for 3:05 pm
        return None if gold.parts == answer.parts else False
    if answer.half and not gold.half:
        return gold.parts == answer.parts or (rest and hours[0] == hours[1])
    return rest and hours[0] == hours[1]


def same_ratio_and_time(gold: Ratio, answer: Time) -> Verdict:
    if answer.half:
        return False
    return same_ratios(gold, Ratio(tuple(Value(trees.number(part), units.NONE, str(part)) for part in answer.parts)))


def same_ratios(gold: Ratio, answer: Ratio) -> Verdict:
    if len(gold.parts) != len(answer.parts) or rational.exact(answer.parts[0].tree) == 0:
        return False
    verdicts = []
    for first, second in zip(gold.parts[1:], answer.parts[1:], strict=True):
        verdicts.append(same_trees(("mul", first.tree, answer.parts[0].tree), ("mul", second.tree, gold.parts[0].tree)))
    return every(verdicts)


def same_ratio_and_value(ratio: Ratio, value: Value) -> Verdict:
    if len(ratio.parts) != 2 or value.unit.is_stated or not re.search(r"/|\\frac", value.text):
        return False
    return same_trees(("div", ratio.parts[0].tree, ratio.parts[1].tree), value.tree)


def same_based_and_value(based: NumberInBase, value: Value) -> Verdict:
    return value.text.replace(" ", "").lstrip("0").upper() == based.digits and not value.unit.is_stated


def same_residues(gold: Residue, answer: Residue) -> Verdict:
    if same_trees(gold.modulus, answer.modulus) is not True:
        return False
    values = [rational.exact(tree) for tree in (gold.value, answer.value, gold.modulus)]
    if None in values or not values[2]:
        return same_trees(gold.value, answer.value)
    return (values[0] - values[1]) % values[2] == 0


def same_value_and_residue(gold: Value, answer: Residue) -> Verdict:
    """The residue must be the smallest one: 42 mod 5 is not 42."""
    value, modulus = rational.exact(answer.value), rational.exact(answer.modulus)
    if gold.unit.is_stated or value is None or modulus is None or not 0 <= value < modulus:
        return False
    return same_trees(gold.tree, answer.value)


def same_ranges(gold: Range, answer: Range) -> Verdict:
    factor = units.agree(gold.unit, answer.unit)
    if factor is None:
        return False
    return every((same_trees(gold.low, scale(answer.low, factor)), same_trees(gold.high, scale(answer.high, factor))))


def same_range_and_ratio(gold: Range, answer: Ratio) -> Verdict:
    """Compare a range with `15 to 20`, which was read as a ratio."""
    if not answer.worded or len(answer.parts) != 2:
        return False
    return every((same_trees(gold.low, answer.parts[0].tree), same_trees(gold.high, answer.parts[1].tree)))


def same_dates(gold: Date, answer: Date) -> Verdict:
    first, second = gold.parts, answer.parts
    if first[0] == second[0] == "word":
        return first[1:3] == second[1:3] and (first[3] == second[3] or not first[3])
    if "word" not in (first[0], second[0]):
        return first[1:] == second[1:]
    numeric, word = (first, second) if second[0] == "word" else (second, first)
    if len(numeric[1]) == 4:  # 2021-05-06
        return (numeric[2], numeric[3], numeric[1]) == word[1:]
    return None  # nothing says whether the month comes first
