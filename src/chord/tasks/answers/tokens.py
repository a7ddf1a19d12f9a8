r"""Splits a formula in LaTeX or plain text into tokens, and lists the names of functions and constants."""

import re

from chord.tasks.answers.numerals import NUMBER

FUNCTIONS = {
    name: name
    for name in (
        "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln exp max min gcd lcm det arg Re Im".split()
    )
} | {"tg": "tan", "ctg": "cot", "cotg": "cot", "arctg": "arctan", "cosec": "csc", "asin": "arcsin", "acos": "arccos",
     "atan": "arctan", "sh": "sinh", "ch": "cosh", "th": "tanh", "arcctg": "arccot", "arccot": "arccot",
     "sqrt": "sqrt", "abs": "abs", "floor": "floor", "ceil": "ceil"}  # fmt: skip
MULTI_ARGUMENT = {"max", "min", "gcd", "lcm"}
GREEK = set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon "
    "phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar".split()
)
FUNCTION_LETTERS = set("fghFGH")  # before a parenthesis these are functions, not factors


class Unreadable(Exception):
    """A text is not a formula that this reader understands."""


_TOKEN = re.compile(
    rf"\s*(?:(?P<number>{NUMBER})|(?P<text>\\(?:text|operatorname\*?)\s*\{{[^{{}}]*\}})|(?P<command>\\[A-Za-z]+|\\[{{}}%|])"
    r"|(?P<power>\*\*)|(?P<sign>[-+*/^_!()\[\]{}|,=<>:;'.&])|(?P<letter>[A-Za-z]))"
)
_WORD = re.compile(r"[A-Za-z]{2,}")
_CAPITALS = re.compile(r"(?<![\\A-Za-z])[A-Z]{2,}(?![A-Za-z])")
_CALLS = sorted([*FUNCTIONS, "log", "lg"], key=len, reverse=True)


def tokens_of(text: str) -> list[tuple[str, str, bool]]:
    """Returns (kind, text, whether a space stands before it) of each token; Unreadable for any other character."""
    tokens, place = [], 0
    text = text.rstrip()
    capitals = len(set(_CAPITALS.findall(text)))
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match:
            raise Unreadable(f"{text[place : place + 10]!r}")
        kind, value = match.lastgroup, match[match.lastgroup]
        end = match.end()
        spaced = match.start(kind) > place
        if kind == "letter" and (word := _WORD.match(text, match.start(kind))):
            # Functions and constants may be written without a backslash: sin x, sqrt(2), pi.
            if word[0].isupper() and capitals > 1:  # several such words, AB and CD, are segments
                tokens.append(("name", word[0], spaced))
                place = word.end()
                continue
            name = next((call for call in _CALLS if word[0].startswith(call) and _may_call(text, word, call)), None)
            if name:
                kind, value, end = "command", f"\\{name}", word.start() + len(name)
            elif word[0] in ("pi", "theta", "alpha", "beta", "lambda"):
                kind, value, end = "command", f"\\{word[0]}", word.end()
        tokens.append((kind, value, spaced))
        place = end
    return tokens


def _may_call(text: str, word: re.Match, call: str) -> bool:
    """Whether a word is a call: `sin`, `sqrt` and the like alone, or some of them with one letter after it (`sinx`)."""
    if len(word[0]) == len(call):
        return True
    return call in ("sin", "cos", "tan", "ln", "log") and len(word[0]) == len(call) + 1
