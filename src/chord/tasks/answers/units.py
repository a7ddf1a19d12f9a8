"""Reads the words after (or before) a number: multipliers such as million, units with their sizes, and other nouns."""

import re
from fractions import Fraction
from typing import NamedTuple

MULTIPLIERS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "quadrillion": 10**15, "bn": 10**9, "mn": 10**6, "lakh": 10**5, "crore": 10**7, "万": 10**4, "亿": 10**8,
}  # fmt: skip

# dimension: {name: (size, other names)}. An SI prefix is part of the name, so that nothing is guessed.
_UNITS: dict[str, dict[str, tuple[str, str]]] = {
    "length": {
        "meter": ("1", "m metre 米"),
        "kilometer": ("1000", "km kilometre 千米 公里"), "centimeter": ("1/100", "cm centimetre 厘米"),
        "millimeter": ("1/1000", "mm millimetre"), "micrometer": ("1/1000000", "um micron"),
        "nanometer": ("1/1000000000", "nm"), "decimeter": ("1/10", "dm"), "inch": ("0.0254", "in inches"),
        "foot": ("0.3048", "ft feet"), "yard": ("0.9144", "yd"), "mile": ("1609.344", "mi"),
        "angstrom": ("1/10000000000", ""), "parsec": ("30856775814913673", "pc"),
        "lightyear": ("9460730472580800", "ly"),
    },
    "time": {
        "second": ("1", "s sec 秒"), "minute": ("60", "min 分钟"), "hour": ("3600", "h hr 小时"),
        "day": ("86400", "d 天"),
        "week": ("604800", "wk"), "millisecond": ("1/1000", "ms"), "microsecond": ("1/1000000", "us"),
        "nanosecond": ("1/1000000000", "ns"), "month": ("2629746", ""), "year": ("31556952", "yr"),
    },
    "mass": {
        "gram": ("1", "g gm"), "kilogram": ("1000", "kg 千克 公斤"), "milligram": ("1/1000", "mg"),
        "ton": ("907184.74", ""),
        "tonne": ("1000000", ""), "pound": ("453.59237", "lb"), "ounce": ("28.349523125", "oz"),
    },
    "volume": {
        "liter": ("1", "l L litre"), "milliliter": ("1/1000", "ml mL millilitre"), "gallon": ("3.785411784", "gal"),
        "quart": ("0.946352946", "qt"), "pint": ("0.473176473", "pt"), "cup": ("0.2365882365", ""),
    },
    "force": {"newton": ("1", "N"), "kilonewton": ("1000", "kN"), "dyne": ("1/100000", "dyn")},
    "energy": {
        "joule": ("1", "J"), "kilojoule": ("1000", "kJ"), "erg": ("1/10000000", ""), "calorie": ("4.184", "cal"),
        "electronvolt": ("1.602176634e-19", "eV"), "kilowatthour": ("3600000", "kWh"),
    },
    "power": {"watt": ("1", "W"), "kilowatt": ("1000", "kW"), "megawatt": ("1000000", "MW"),
    "horsepower": ("745.7", "hp")},
    "frequency": {"hertz": ("1", "Hz"), "kilohertz": ("1000", "kHz"), "megahertz": ("1000000", "MHz"),
    "gigahertz": ("1000000000", "GHz")},
    "pressure": {"pascal": ("1", "Pa"), "kilopascal": ("1000", "kPa"), "atmosphere": ("101325", "atm"),
    "bar": ("100000", "")},
    "charge": {"coulomb": ("1", "C")},
    "voltage": {"volt": ("1", "V"), "millivolt": ("1/1000", "mV"), "kilovolt": ("1000", "kV")},
    "current": {"ampere": ("1", "A amp"), "milliampere": ("1/1000", "mA")},
    "resistance": {"ohm": ("1", "\u03a9"), "kiloohm": ("1000", "")},
    "amount": {"mole": ("1", "mol")},
    "kelvin": {"kelvin": ("1", "K")}, "celsius": {"celsius": ("1", "degC")},
    "fahrenheit": {"fahrenheit": ("1", "degF")},
    "angle": {
        "degree": ("1", "deg 度"), "arcminute": ("1/60", ""), "arcsecond": ("1/3600", "")
    },
    "radian": {"radian": ("1", "rad")},
    "share": {"percent": ("1", "% pct")},
    "dollar": {"dollar": ("1", "$ 美元 USD usd buck"), "cent": ("1/100", "cents \u00a2")},
    "euro": {"euro": ("1", "EUR eur")}, "sterling": {"sterling": ("1", "GBP gbp")}, "yen": {"yen": ("1", "JPY jpy")},
    "rupee": {"rupee": ("1", "INR inr Rs rs")}, "yuan": {"yuan": ("1", "元 RMB CNY rmb")},
}  # fmt: skip


def _table() -> dict[str, tuple[str, Fraction]]:
    sizes = {}
    for dimension, units in _UNITS.items():
        for name, (size, others) in units.items():
            for alias in (name, *others.split()):
                sizes[alias] = (dimension, Fraction(size))
    return sizes


_SIZES = _table()
_COMPOUND = {"mph": "mile/hour", "kph": "kilometer/hour", "kmh": "kilometer/hour", "kmph": "kilometer/hour",
"mps": "meter/second",
             "fps": "foot/second", "cc": "cm^3", "sqft": "ft^2", "rpm": "revolution/minute", "ph": ""}  # fmt: skip
# If the reference has one of these words, so must the answer, whatever it qualifies.
ESSENTIAL = set(
    "am pm a.m p.m north south east west n s e w northeast northwest southeast southwest up down left right above "
    "below win loss "
    "profit gain clockwise counterclockwise anticlockwise bc ad bce ce".split()
)
_EMPTY = set(
    "unit total altogether each exactly only about of the a an in approximately equal answer sq places".split()
)
_SQUARE, _CUBIC = ("square", "sq", "sq.", "平方"), ("cubic", "cu", "立方")
# After a number these words change its value, or deny it.
_CHANGING = set(
    "and or not no if when where factorial over minus plus times divided power choose root modulo mod half halves "
    "third thirds quarter "
    "quarters fourth fourths fifth fifths sixth sixths more less fewer remainder log to through below above between "
    "than "
    "is are was were be wrong incorrect incorrectly right correct true false invalid impossible fails rejected "
    "maybe perhaps possibly probably unless nor neither never cannot without excluding before after base "
    "twice double doubled triple tripled negative opposite reciprocal inverse point off short too many squared cubed "
    "tenth hundredth thousandth millionth seventh eighth ninth twelfth ten k m b mil gross score "
    "googol kilo mega giga extraneous excluded most least "
    "zero one two three four five six seven eight nine eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety".split()
)


class Unit(NamedTuple):
    """dimensions: (name, power) of known units. size: in the first unit of each dimension. words: all other words."""

    dimensions: tuple[tuple[str, int], ...] = ()
    size: Fraction = Fraction(1)
    words: tuple[str, ...] = ()

    @property
    def is_stated(self) -> bool:
        return bool(self.dimensions or self.words)


NONE = Unit()
_TOKEN = re.compile(r"[万亿]|平方|立方|[\u4e00-\u9fff]+|[A-Za-z\u00a2\u03a9]+(?:\.[A-Za-z]+)*\.?|[$%/*()^{}+-]|-?\d+")
_PER = {"/", "per"}


def read(text: str) -> tuple[int, Unit] | None:
    """Returns (factor by which the words multiply, unit) of a quantity's words; None if they are not words of one.

    text: without dollars, braces of \\text and commands; `^2` after a unit is its power.
    """
    text = text.replace("\\%", " percent ").replace("\\$", " dollar ").replace("\\cdot", " ").replace("\\", " ").strip()
    if not text:
        return 1, NONE
    tokens = _TOKEN.findall(text)
    if len("".join(tokens)) < len(re.sub(r"[\s,.;:!]", "", text).replace(".", "")):
        return None
    factor, side, power = 1, 1, 1
    dimensions: dict[str, int] = {}
    size = Fraction(1)
    words: list[str] = []
    last: tuple[str, Fraction, int] | None = None
    place = 0
    while place < len(tokens):
        token = tokens[place]
        place += 1
        lower = token.lower().rstrip(".")
        if lower in _PER:
            side, last = -1, None
        elif token in ("US", "U.S.") or token in "(){}*":
            continue
        elif token == "^":
            while place < len(tokens) and tokens[place] in "{}(":
                place += 1
            exponent = tokens[place : place + 1]
            if exponent == ["-"]:
                place += 1
                exponent = ["-" + token for token in tokens[place : place + 1]]
            place += 1
            if not exponent or not re.fullmatch(r"-?\d", exponent[0]):
                return None
            if last is None:  # square units
                continue
            name, one, sign = last
            change = sign * (int(exponent[0]) - 1)
            dimensions[name] += change
            size *= one**change
        elif token.lstrip("-").isdigit() or _is_changing(token):
            return None
        elif lower in MULTIPLIERS and not dimensions and not words:
            factor *= MULTIPLIERS[lower]
        elif lower.removesuffix("s") in MULTIPLIERS and not dimensions and not words:
            factor *= MULTIPLIERS[lower.removesuffix("s")]
        elif lower in _SQUARE:
            power = 2
        elif lower in _CUBIC:
            power = 3
        elif _COMPOUND.get(lower):
            inner = read(_COMPOUND[lower])[1]
            dimensions |= dict(inner.dimensions)
            size *= inner.size
            words += inner.words
        elif entry := _unit_of(token):
            name, one = entry
            dimensions[name] = dimensions.get(name, 0) + side * power
            size *= one ** (side * power)
            last, power = (name, one, side), 1
        elif lower == "squared" and last:
            dimensions[last[0]] += last[2]
            size *= last[1] ** last[2]
        elif lower == "cubed" and last:
            dimensions[last[0]] += 2 * last[2]
            size *= last[1] ** (2 * last[2])
        elif lower in ("squared", "cubed") or token in "$%+-":
            return None
        elif _singular(lower) not in _EMPTY:
            # Letters next to a number are variables, not a word: 3 x i.
            if len(lower) <= 2 and lower not in ESSENTIAL and lower.isascii():
                return None
            if lower in MULTIPLIERS:
                return None
            words.append(_singular(lower))
            power = 1
    remaining = tuple(sorted((name, number) for name, number in dimensions.items() if number))
    if any(name in ("share", "angle") and number != 1 for name, number in remaining):
        return None
    return factor, Unit(remaining, size, tuple(words))


def product(first: Unit, second: Unit) -> Unit:
    powers = dict(first.dimensions)
    for name, power in second.dimensions:
        powers[name] = powers.get(name, 0) + power
    return Unit(tuple(sorted(powers.items())), first.size * second.size, first.words + second.words)


def _is_changing(token: str) -> bool:
    word = token.lower().rstrip(".")
    if _unit_of(token):
        return False
    return bool({word, _singular(word)} & _CHANGING) or word.endswith(("n't", "illionth", "illionths"))


def _unit_of(token: str) -> tuple[str, Fraction] | None:
    token = token.rstrip(".") if token.rstrip(".") in _SIZES else token
    if token in _SIZES:
        return _SIZES[token]
    lower = token.lower().rstrip(".")
    if len(lower) < 2:
        return None
    return next((_SIZES[name] for name in (lower, _singular(lower)) if name in _SIZES), None)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


def agree(gold: Unit, answer: Unit) -> Fraction | None:
    """The factor that converts the answer's number to the reference's unit; None if the units differ.

    A unit that only one side states makes no difference, but the answer needs the ESSENTIAL words of the reference.
    """
    if not answer.is_stated or not gold.is_stated:
        if set(gold.words) & ESSENTIAL and not set(answer.words) & ESSENTIAL:
            return None
        # 5' for 5: a minute of arc, unlike other units, must not be left out.
        return None if answer.dimensions == (("angle", 1),) and answer.size != 1 else Fraction(1)
    if gold.dimensions != answer.dimensions:
        if gold.dimensions and answer.dimensions:
            return None
        # 3 cups of tea and 3 tea: both sides have the words, and one has a unit as well.
        return Fraction(1) if gold.words and answer.words and _contained(gold.words, answer.words) else None
    if gold.words != answer.words and not _contained(gold.words, answer.words):
        return None
    if set(gold.words) & ESSENTIAL and not set(answer.words) & ESSENTIAL:
        return None
    return answer.size / gold.size


def _contained(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether the longer list of words has all words of the shorter one, in the same order."""
    short, long = sorted((first, second), key=len)
    rest = iter(long)
    return all(word in rest for word in short)
