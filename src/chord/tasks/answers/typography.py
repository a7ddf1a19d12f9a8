r"""Normalizes the text of an answer: one way to write each sign, no typesetting, no Markdown, no decoration around it.

A normalized text is in ASCII. It has LaTeX commands for symbols, `\frac` and `\text` as the only commands of their
families, `\{ \}` for visible braces, single spaces, and numbers without spaces inside.
"""

import ast
import json
import re
import unicodedata

from chord.tasks.answers.tokens import FUNCTIONS

# A text beyond these limits is not an answer that a reader would check: real reference answers have at most 150
# characters and nest 4 deep.
MAX_CHARACTERS, MAX_NESTING = 1000, 12


class _Characters(dict):
    """A table for str.translate: digits of all scripts, signs, vulgar fractions, letters of mathematical alphabets."""

    def __missing__(self, code: int) -> str:
        self[code] = text = self._of(chr(code))
        return text

    @staticmethod
    def _of(character: str) -> str:
        if character.isdecimal():
            return str(unicodedata.decimal(character))
        if unicodedata.category(character) == "Cf":  # zero-width characters and direction marks
            return ""
        kind, *codes = unicodedata.decomposition(character).split() or [""]
        plain = "".join(chr(int(code, 16)) for code in codes)
        above, _, below = plain.partition("\u2044")
        if kind == "<fraction>" and below:
            return rf"\frac{{{above}}}{{{below}}}"
        if kind in ("<wide>", "<font>", "<noBreak>", "<compat>") and plain.isascii():
            return plain
        return character


_SIGNS = {
    "\u2212\u2012\u2013\u2010\u2011\ufe63\uff0d": "-",  # minus signs, dashes and hyphens
    "\u2044\u2215": "/",
    "\u2018\u2019\u2032\u00b4": "'",
    "\u2033": "''",
    "\u201c\u201d": '"',
    "\u2223": "|",
    "、": ",",
    "。": ".",
    "×⨯": "\\times ", "·⋅∙•": "\\cdot ", "÷": "\\div ", "±": "\\pm ", "∓": "\\mp ",
    "≤⩽": "\\le ", "≥⩾": "\\ge ", "≠": "\\ne ", "≈≅": "\\approx ", "≡": "\\equiv ", "→": "\\to ",
    "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∅Ø": "\\emptyset ", "∖": "\\setminus ",
    "ℝ": "\\mathbb{R} ", "ℤ": "\\mathbb{Z} ", "ℕ": "\\mathbb{N} ",
    "⟨〈": "\\langle ", "⟩〉": "\\rangle ", "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ",
    "∞": "\\infty ", "π": "\\pi ", "…": "\\ldots ", "°º": "^{\\circ}", "µ": "\\mu ",
    "€": "\\text{EUR}", "£": "\\text{GBP}", "¥": "\\text{JPY}", "₹": "\\text{INR}", "¢": "\\text{cents}",
}  # fmt: skip
_GREEK = {
    chr(code): f"\\{unicodedata.name(chr(code)).rsplit(' ', 1)[1].lower().replace('lamda', 'lambda')} "
    for code in range(ord("α"), ord("ω") + 1)
    if chr(code) not in "ςοπ"
} | {"Δ": "\\Delta ", "Ω": "\\Omega ", "Σ": "\\Sigma ", "Φ": "\\Phi ", "Θ": "\\Theta "}
_CHARACTERS = _Characters(
    {ord(character): text for characters, text in _SIGNS.items() for character in characters}
    | {ord(character): text for character, text in _GREEK.items()}
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_RAISED_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ]+")
_LOWERED_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_RADICAL = re.compile(r"([√∛∜])\s*(\([^()]*\)|\d+(?:\.\d+)?|[A-Za-z]|\{[^{}]*\})?")
_RADICALS = {"√": "\\sqrt", "∛": "\\sqrt[3]", "∜": "\\sqrt[4]"}


def _to_ascii(text: str) -> str:
    text = _RAISED_RUN.sub(lambda match: f"^{{{match[0].translate(_RAISED)}}}", text)
    text = _LOWERED_RUN.sub(lambda match: f"_{{{match[0].translate(_LOWERED)}}}", text)
    if "√" in text or "∛" in text or "∜" in text:
        text = _RADICAL.sub(lambda match: f"{_RADICALS[match[1]]}{{{(match[2] or '').strip('(){}')}}}", text)
    return text.translate(_CHARACTERS)


_SAME = {  # commands that mean the same as another one
    "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac",
    "lt": "<", "gt": ">", "leq": "\\le", "leqslant": "\\le", "geq": "\\ge", "geqslant": "\\ge", "neq": "\\ne",
    "simeq": "\\approx", "sim": "\\approx", "thickapprox": "\\approx", "doteq": "\\approx",
    "varnothing": "\\emptyset", "notin": "\\not\\in", "backslash": "\\setminus", "smallsetminus": "\\setminus",
    "R": "\\mathbb{R}", "reals": "\\mathbb{R}",
    "lbrace": "\\{", "rbrace": "\\}", "lbrack": "[", "rbrack": "]",
    "vert": "|", "lvert": "|", "rvert": "|", "mid": "|", "colon": ":",
    "rightarrow": "\\to", "implies": "\\to", "cdotp": "\\cdot", "bullet": "\\cdot", "ast": "*", "star": "*",
    "dots": "\\ldots", "cdots": "\\ldots", "dotsc": "\\ldots", "dotsb": "\\ldots",
    "land": "\\text{ and }", "wedge": "\\text{ and }", "lor": "\\text{ or }", "vee": "\\text{ or }",
    "prime": "'", "degree": "^{\\circ}", "degrees": "^{\\circ}", "textdegree": "^{\\circ}", "textendash": "-",
    "euro": "\\text{EUR}", "pounds": "\\text{GBP}", "textdollar": "\\$",
    "dot": "\\overline", "bar": "\\overline",  # over repeating decimals
    "bmod": "\\pmod", "mod": "\\pmod",
}  # fmt: skip
_SPACES = set("quad qquad enspace thinspace enskip hfill medspace thickspace negthinspace space".split())
_LAYOUT_COMMANDS = set(
    "left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle "
    "scriptstyle limits nolimits tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge "
    "checkmark qed blacksquare bf rm it sf tt cal "
    "mathstrut strut centering noindent bfseries boldmath itshape".split()
)
_FONT_COMMANDS = set(
    "mathbf boldsymbol bm mathit mathsf mathtt underline pmb overbrace underbrace bold mathnormal mathds emph "
    "boxed fbox uline displaylines ensuremath smash mathop mathopen mathclose mathord mathrel mathbin".split()
)
_TEXTS = set(
    "text textrm textbf textit textsf texttt textup textnormal mathrm mbox hbox operatorname unit textsc mathop".split()
)
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?|\\(.)", re.DOTALL)
_ARGUMENT = re.compile(r"\s*\{")
_COMBINATIONS = re.compile(r"\\(?:mathrm|text|rm)\s*\{([CAP])\}(?=\s*[_^])")  # an upright C with indices
_DERIVATIVE = re.compile(r"\\frac\s*\{\s*d\s*([a-zA-Z])\s*\}\s*\{\s*d\s*([a-zA-Z])\s*\}")
_ROMAN = re.compile(r"\{\s*\\rm\s+([^{}]*)\}")
_ALIGNED = re.compile(r"\\(?:begin|end)\s*\{(?:aligned|align\*?|gathered|split|equation\*?)\}")
_COLOUR = re.compile(r"\\(?:textcolor|colorbox|color)\s*(?:\[[^\]]*\])?\{[^{}]*\}")
_SPACING = re.compile(
    r"\\(?:[hv]space|[hv]skip|kern|mspace)\s*\*?(?:\{[^{}]*\}|-?[\d.]+\s*(?:pt|em|ex|mu|cm|mm))|\\[hv]?phantom\{[^{}]*\}"
)


def _normalize_commands(text: str) -> str:
    """Write each command in its one form; remove commands of fonts and sizes, and keep their contents."""
    if "\\" not in text:
        return text
    if "\\begin" in text and "\\\\" not in text and _ALIGNED.search(text):
        text = _ALIGNED.sub("", text).replace("&", "")
    text = _DERIVATIVE.sub(r"D_{\1\2}", _ROMAN.sub(r"\\text{\1}", text))
    text = _SPACING.sub(" ", _COLOUR.sub("", _COMBINATIONS.sub(r"\1", text)))
    parts, place = [], 0
    while command := _COMMAND.search(text, place):
        parts.append(text[place : command.start()])
        place = command.end()
        name, sign = command[1], command[2]
        if sign is not None:
            parts.append(_SIGN_COMMANDS.get(sign, f"\\{sign}"))
        elif name in _LAYOUT_COMMANDS:
            if text.startswith(".", place) and name in ("left", "right"):  # an invisible bracket
                place += 1
        elif name in _SPACES:
            parts.append(" ")
        elif name in _FONT_COMMANDS:
            continue  # the braces remain as a group
        elif name in _TEXTS and (brace := _ARGUMENT.match(text, place)) and (end := _closing(text, brace.end())):
            parts.append(_normalize_text(name, text[brace.end() : end]))
            place = end + 1
        elif name in _TEXTS:  # \text 5, \mathrm x
            continue
        elif name in _SAME:
            parts.append(_SAME[name])
            if _SAME[name][-1:].isalpha() and text[place : place + 1].isalpha():
                parts.append(" ")
        else:
            parts.append(f"\\{name}")
            if text[place : place + 1].isalpha() and text[command.end() - 1] == "*":
                parts.append(" ")
    parts.append(text[place:])
    return "".join(parts)


_SIGN_COMMANDS = {
    ",": "\\,",
    ";": "\\,",
    ":": "\\,",
    "!": "",
    " ": " ",
    "\n": " ",
    "(": "",
    ")": "",
    "[": "",
    "]": "",
    "|": "|",
    "-": "",
    "/": "",
    "_": "_",
    "#": "#",
    "&": "&",
}


def _closing(text: str, place: int) -> int | None:
    """The place of the brace that closes the one opened before `place`; None if it never closes."""
    depth = 1
    for brace in _BRACE.finditer(text, place):
        depth += (brace[0] == "{") - (brace[0] == "}")
        if not depth:
            return brace.start()
    return None


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_LETTER_CONSTANT = re.compile(r"[ei]")
_NUMBER_FIRST = re.compile(r"([+-]?\d[\d.,]*(?:/\d+)?)\s*(\D+)", re.DOTALL)
_MATHEMATICAL = re.compile(r"[\s(+-]*[\d.][\d\s.,%/^:{}()+-]*|\\.*|.*\$.*")


def _normalize_text(name: str, content: str) -> str:
    r"""Put words in \text{...}; numbers and single letters that \mathrm sets upright are mathematics."""
    inner = _normalize_commands(content)
    stripped = inner.strip()
    if _LETTER_CONSTANT.fullmatch(stripped):
        return stripped
    if name in ("mathrm", "operatorname") and stripped in _NAMED_FUNCTIONS:
        return f"\\{stripped} "
    if not stripped:
        return " "
    if not stripped.strip("-+~"):
        return stripped.replace("--", "-")
    if _MATHEMATICAL.fullmatch(stripped.replace("\\,", "")) and not re.search(r"[A-Za-z]", stripped.replace("\\", "")):
        return f" {stripped} " if inner != stripped else stripped
    if _LISTED_TEXT.fullmatch(stripped) and not _SINGLE.fullmatch(stripped):
        return f" {stripped} "
    if number := _NUMBER_FIRST.fullmatch(stripped):  # \text{52 cows}
        words = number[2].strip()
        return f"{number[1]}\\%" if words in ("%", "\\%") else f"{number[1]} \\text{{{_flatten(words)}}}"
    return f"\\text{{{_flatten(inner)}}}"


# Values inside \text: 3, 5, and 7; B and C; k = 1.
_LISTED_TEXT = re.compile(r"(?:(?:and|or|to|between|from|[A-Za-z]|-?\d[\d.]*)(?![A-Za-z\d])[\s,;=]*)+")
_SINGLE = re.compile(r"and|or|to|between|from|[A-Za-z]|\d+ [A-Za-z]|[\s,;]*(?:and|or|to|between|from)[\s,;]*")
_NAMED_FUNCTIONS = {*FUNCTIONS, "log", "lg"}


def _flatten(text: str) -> str:
    r"""Remove dollar signs, inner \text and braces from the words of \text, which are read, not typeset."""
    text = text.replace("\\,", " ").replace("\\$", " USD ").replace("\\%", " percent ")
    return re.sub(r"[{}$]|\\text", "", text)


_MARKDOWN = re.compile(r"\*\*([^*]+)\*\*|__([^_]+)__|`([^`]+)`|\*([^*\s][^*]*)\*")
_THIN_COMMA = re.compile(r",\\!\s*(\d{3})(?!\d)")
_SPACE = re.compile(r"(?<!\\)\\(?=\s|$)")
_DOLLAR = re.compile(r"(?<!\\)\$")
_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3})((?:(?:\\,| |~|\{,\}|')\d{3})+)(?![\d])")
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d+)\{,\}(\d+)(?![\d])")
_OVER = re.compile(
    r"\{([^{}]*)\\(over|choose|atop)(?![a-z])\s*([^{}]*)\}|^([^{}\\]*)\\(over|choose)(?![a-z])\s*([^{}\\]*)$"
)
_PRIMES = re.compile(r"\^\s*(?:\{\s*('+)\s*\}|('+))")
_BRACED_SIGN = re.compile(r"\{([:;=+<>-])\}")
_UNIT_FRACTION = re.compile(
    r"\\frac\s*\{\s*(\\text\{[^{}]*\}[^{}]*)\}\s*\{\s*(\\text\{[^{}]*\}(?:[^{}]|\{[^{}]*\})*)\}"
)
_CHOOSE = re.compile(r"(?:\{\s*\})?[_^]\s*\{?(\d+)\}?\s*([CP])\s*_\s*\{?(\d+)\}?")  # {}_9C_4
_CIRCLE = re.compile(r"\^\s*\\circ(?![a-z])")
_MIXED_AND = re.compile(r"(?<![\d.])(\d+)\s*\\text\{\s*and\s*\}\s*(?=\\frac)")
_LONE_LETTER = re.compile(r"\\text\{\s*([a-z])\s*\}")
_AROUND = re.compile(r"^(?:[=:~,;]|\\approx|\\,|\s|\\to(?![a-z]))+|(?:[,;:~]|\\,|\s|(?<!\\)\\\\)+$")


def normalize(text: str) -> str:
    """Returns the normalized text of an answer; beyond MAX_CHARACTERS only its spaces are normalized.

    A list in the notation of JSON or Python, ["4", "9"], becomes 4, 9.
    """
    text = " ".join(_SPACE.sub(" ", text).split())
    if len(text) > MAX_CHARACTERS:
        return text
    if (texts := _texts_of_list(text)) is not None:
        return ", ".join(map(normalize, texts))
    if not text.isascii():
        text = _to_ascii(text)
    if "*" in text or "`" in text or "__" in text:
        bold = _MARKDOWN.fullmatch(text.strip(" ."))
        text = next(group for group in bold.groups() if group) if bold else text
    text = _DOLLAR.sub("", _normalize_commands(_THIN_COMMA.sub(r",\1", text)).replace("~", " "))
    if "\\" in text or "'" in text:
        text = _OVER.sub(_fraction, _PRIMES.sub(lambda match: match[1] or match[2], text))
        text = _LONE_LETTER.sub(r"\1", text) if _LONE_LETTER.fullmatch(text) else text
        text = _UNIT_FRACTION.sub(r"\1/\2", text)
    text = _CIRCLE.sub("^{\\\\circ}", text)
    text = _MIXED_AND.sub(r"\1 ", text.replace("...", "\\ldots "))
    text = _CHOOSE.sub(r"\2(\1,\3)", _BRACED_SIGN.sub(r"\1", text)) if "_" in text else _BRACED_SIGN.sub(r"\1", text)
    text = _GROUPS.sub(lambda match: match[1] + re.sub(r"\D", "", match[2]), text)
    text = _DECIMAL_COMMA.sub(r"\1.\2", text).replace("{,}", ",")
    text = text.replace("\\,", " ")
    return _strip_decoration(" ".join(text.split()))


def _fraction(match: re.Match) -> str:
    above, command, below = match.groups()[:3] if match[2] else match.groups()[3:]
    return f"\\{'frac' if command == 'over' else 'binom'}{{{above.strip()}}}{{{below.strip()}}}"


_QUOTED = re.compile(r"""^\[\s*(?:"[^"]*"|'[^']*')""")


def _texts_of_list(text: str) -> list[str] | None:
    """The texts of a list in JSON or Python, else None; a backslash in it belongs to LaTeX, whether doubled or not."""
    if not _QUOTED.match(text) or not text.endswith("]"):
        return None
    escaped = re.sub(r"(?<!\\)\\(?!\\)", r"\\\\", text)
    for parse in (json.loads, ast.literal_eval):
        try:
            values = parse(escaped)
        except (ValueError, SyntaxError):
            continue
        return [str(value) for value in values] if isinstance(values, list) else None
    return None


def _strip_decoration(text: str) -> str:
    """Remove what surrounds an answer: a relation sign before it, punctuation after it, braces around all of it."""
    while True:
        before = text
        text = _AROUND.sub("", text).strip()
        if text.endswith(".") and not text.endswith(".."):
            text = text[:-1].rstrip()
        if text.startswith("{") and _closing(text, 1) == len(text) - 1:
            text = text[1:-1]
        if text == before:
            return text


_BRACKETS = re.compile(r"[()\[\]{}]")
# a^{b^{c^...: three powers on top of each other
_TOWER = re.compile(r"(?:(?:\^|\*\*)\s*(?:[({][^(){}^]*|[\w.\\]+\s*)){2}(?:\^|\*\*)")


def is_too_complex(text: str) -> bool:
    """Whether a normalized text is too long, too deeply nested or a tower of powers, and must not be computed."""
    if len(text) > MAX_CHARACTERS:
        return True
    depth = deepest = 0
    for bracket in _BRACKETS.findall(text):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    return deepest > MAX_NESTING or _TOWER.search(text) is not None


def is_balanced(text: str) -> bool:
    """Whether every brace that opens also closes; escaped braces do not count."""
    depth = 0
    for brace in _BRACE.findall(text):
        depth += (brace == "{") - (brace == "}")
        if depth < 0:
            return False
    return depth == 0
