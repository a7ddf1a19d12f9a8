r"""Recognizes names that an answer may put before an equals sign."""

import re

from chord.tasks.answers.splitting import inside_brackets, split
from chord.tasks.answers.words import is_word

_NAME = re.compile(
    r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|theta|lambda|mu|nu|rho|sigma|tau|phi|varphi|psi|omega|Delta|Omega|Phi|ell))"
    r"(?:_(?:\{[^{}]*(?:\{[^{}]*\})?\}|\w|\\[a-z]+))?'*(?:\^\{?\*\}?)?"
)
_APPLICATION = re.compile(rf"{_NAME.pattern}\s*\(\s*[^()=]*\s*\)")
_GEOMETRIC = re.compile(
    r"(?:m?\s*\\(?:angle|measuredangle|triangle|overline|operatorname|text)\s*)?(?:\{?[A-Z]{1,4}'?\}?|\[[A-Z]{3,6}\]|\|[A-Z]{2}\||\\text\{[^{}]*\})"
)
_WORDS_NAME = re.compile(r"(?:\\text\{[^{}=]*\}|[A-Za-z][A-Za-z ]+)(?:\s*\([^()]*\))?(?:_\{?\w+\}?)?")
_DERIVATIVE = re.compile(
    r"\\frac\{d\^?\d?\s*[a-z]?\}\{d[a-z]\^?\d?\}|\\(?:max|min|gcd|lcm|deg|det|dim|lim|Re|Im)(?:\([^()]*\))?|\\mathbb\s*\{?[EP]\}?\s*[(\[][^()\[\]]*[)\]]|(?:dy|du|dv)/d[a-z]"
)


def is_name(text: str) -> bool:
    r"""Whether a text is such a name: x, a_1, f(3), AB, \angle ABC, \text{Area}."""
    text = text.strip()
    while (inner := inside_brackets(text, "{", "}")) is not None:
        text = inner
    if any(pattern.fullmatch(text) for pattern in (_NAME, _APPLICATION, _GEOMETRIC, _DERIVATIVE)):
        return True
    return (
        _WORDS_NAME.fullmatch(text) is not None
        and ("\\text" in text or is_word(text))
        and len(text.split()) <= 5
        and not _STATEMENT.search(text)
    )


_STATEMENT = re.compile(
    r"\b(?:is|are|was|not|false|wrong|that|if|half|twice|double|square of|root of)\b", re.IGNORECASE
)


def tuple_of_names(text: str) -> list[str] | None:
    for opening, closing in (("(", ")"), ("\\{", "\\}"), ("\\langle", "\\rangle")):
        content = inside_brackets(text, opening, closing)
        if content is not None:
            parts = [part for _, part in split(content, {","})]
            return parts if len(parts) > 1 and all(is_name(part) for part in parts) else None
    return None


def plain_name(text: str) -> str:
    return re.sub(r"\\(?:text|overline|angle|triangle)|[{}\s$]", "", text)


def may_be_one(first: str, second: str) -> bool:
    """Whether two names may stand for the same thing.

    They may if they are equal, or if one of them is in words or has an argument: f(x) and y, Area and A.
    """
    if first.casefold() == second.casefold() and (first == second or len(first) > 1):
        return True
    symbols = [re.fullmatch(r"\\?[A-Za-z](?:_\w+|_\\?\w+)?'*|\\[a-z]+", name) is not None for name in (first, second)]
    applications = [re.fullmatch(r"(\w+)\(.*\)", name) for name in (first, second)]
    if all(applications):
        return applications[0][1] == applications[1][1] and first == second
    if any(applications):
        return symbols != [False, False]
    # Area and A, but not MR and M
    words = [re.search("[a-z]{2}", name) is not None for name in (first, second)]
    return symbols[0] != symbols[1] and words != [False, False]
