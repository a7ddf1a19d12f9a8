r"""Typesets a right answer in other ways: the same signs with other commands, braces, spaces or characters."""

import re
from collections.abc import Iterator

from references import Answer, Shape


def spacing(text: str) -> Iterator[Answer]:
    """Yield the text with what may surround any text."""
    for form in ("~%s", "%s~", "\\,%s\\,", "\\;%s", "%s\\ ", "\\quad %s"):
        yield "space", form % text
    yield "outer braces", f"{{{text}}}"
    yield "full stop", f"{text.removesuffix('.')}."
    yield "comma at the end", f"{text.removesuffix('.')},"


def typesetting(reference: Shape) -> Iterator[Answer]:
    text = reference.text
    yield from (way for way in spacing(text) if reference.kind != "list" or way[0] != "comma at the end")
    yield "outer braces", f"{{{{{text}}}}}"
    yield "delimiters", f"${text}$"
    yield "delimiters", f"\\({text}\\)"
    yield "colour", f"\\color{{red}}{{{text}}}"
    yield "colour", f"\\textcolor{{blue}}{{{text}}}"
    yield "size", f"\\displaystyle {text}"
    yield "size", f"\\large {text}"
    yield "underlined", f"\\underline{{{text}}}"
    yield "box in the box", f"\\boxed{{{text}}}"
    if reference.kind in ("text", "option"):
        return
    yield "bold", f"\\boldsymbol{{{text}}}"
    if reference.kind in ("number", "pair", "interval", "list"):
        yield "bold", f"\\mathbf{{{text}}}"
        yield "bold", f"{{\\bf {text}}}"
    if reference.kind == "number" and "e" in reference.number.body:
        return  # -5 is an exponent in 1e-5, and `1e - 5` a difference
    yield from _commands(text)


def _commands(text: str) -> Iterator[Answer]:
    """Yield the same signs with another command, or with other braces and spaces."""
    words = "\\text" in text or "\\mbox" in text
    if "\\frac" in text:
        yield "form of \\frac", text.replace("\\frac", "\\dfrac")
        yield "form of \\frac", text.replace("\\frac", "\\tfrac")
    if "\\dfrac" in text:
        yield "form of \\frac", text.replace("\\dfrac", "\\frac")
    yield "braces", re.sub(r"\\frac ?(\d) ?(\d)", r"\\frac{\1}{\2}", text)
    yield "braces", re.sub(r"\\frac\{(\d)\}\{(\d)\}(?!\d)", r"\\frac\1\2", text)
    yield "braces", re.sub(r"\^(\w)", r"^{\1}", text)
    yield "braces", re.sub(r"\^\{(\w)\}(?!\d)", r"^\1", text)
    yield "braces", re.sub(r"\\sqrt\{(\d)\}(?!\w)", r"\\sqrt\1", text)
    yield "braces", re.sub(r"\\sqrt(\d)", r"\\sqrt{\1}", text)
    if "\\sqrt[" not in text and "\\begin" not in text:
        for opening, closing in (("\\left", "\\right"), ("\\bigl", "\\bigr")):
            sized = re.sub(r"((?:\\(?=\{))?(?<![\\a-z])[(\[]|\\\{)", lambda match, mark=opening: mark + match[1], text)
            sized = re.sub(r"([)\]]|\\\})", lambda match, mark=closing: mark + match[1], sized)
            if sized.count(opening) == sized.count(closing):
                yield "size of brackets", sized
    if not words:
        yield "spaces", re.sub(r" (?![a-zA-Z])|(?<![a-zA-Z]) ", "", text)
        if not re.search(r"\d,\d{3}(?!\d)", text):
            yield "spaces", re.sub(r" *([,=]) *", r" \1 ", text)
            yield "spaces", text.replace("-", " - ").replace("+", " + ").strip()
        yield "Unicode", _unicode(text)
    yield "Unicode", text.replace("-", "\u2212")


_SIGNS = {
    "\\pi": "π", "\\infty": "∞", "\\cup": "∪", "\\cdot": "·", "\\times": "×", "\\pm": "±", "\\geqslant": "≥",
    "^\\circ": "°", "^{\\circ}": "°", "\\alpha": "α", "\\omega": "ω", "\\lambda": "λ", "\\tau": "τ", "\\sigma": "σ",
    "^{2}": "²", "^2": "²", "^{3}": "³", "^3": "³",
}  # fmt: skip


def _unicode(text: str) -> str:
    text = re.sub(r"\\sqrt(?:\{(\d+)\}|(\d))(?![\d^])", lambda match: f"√{match[1] or match[2]}", text)
    for command, sign in _SIGNS.items():
        text = re.sub(re.escape(command) + (r"(?![a-zA-Z])" if command[-1].isalpha() else r"(?!\d)"), sign, text)
    return text
