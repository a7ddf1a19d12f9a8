"""Removes markup from an answer to a multiple-choice question, takes out its boxes, and finds options by their text."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

BOX = "\ue000"  # replaces a box in a text; a private-use character that no response needs

_TOKENS = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{|\\.|[{}]", re.DOTALL)
_TAGS = re.compile(r"<(final_?|)answer>(.{0,2000}?)</\1answer>", re.DOTALL | re.IGNORECASE)
_INNER_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?=\{)")
_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|bb|cal|normal)|operatorname|boldsymbol|bm|mbox|hbox|emph"
    r"|underline)\s*\{([^{}]*)\}"
)
_MARKS = re.compile(
    r"\*{2,}|(?<![A-Za-z0-9)])\*|\*(?![A-Za-z0-9(])"  # bold and italics, not 2*3
    r"|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])"  # nor the underscore of CO_2
    r"|\\(?=[%$#&])|[`$\u200b\u2060\ufeff]|\\[()\[\]]|\\(?:left|right)(?=[()\[\]])"
    r"|\\(?:bf|rm|it|sf|tt|bfseries|displaystyle|large|Large|LARGE|huge|Huge)(?![A-Za-z])\s*"
    r"|\\math(?:bf|rm|sf)(?![A-Za-z{\s]|\s*\{)\s*|\\math(?:bf|rm|sf)\s+(?=[A-Za-z](?![A-Za-z]))"
    r"|\\(?:text)?color\s*\{\w+\}"
    r"|</?(?:b|strong|i|em|u|p|br|span|code|center|div|mark)(?:\s[^<>]{0,60})?/?>"
)
_MAY_BE_MARKED = re.compile(r"[*_`$\\<\u200b\u2060\ufeff]")
_SPACES = re.compile(r"(?:\\[ ,;:!]|\\q?quad(?![A-Za-z])|(?<=[\w}])~(?=[\w\\])|[\t\r\f\v]|  +)+")
_BLANK_LINES = re.compile(r"\s*\n\s*\n\s*")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def strip_markup(text: str) -> str:
    """Remove bold, italics, code marks, dollars and LaTeX fonts; full-width characters become ASCII."""
    text = unicodedata.normalize("NFKC", text)
    text = _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", text))
    if _MAY_BE_MARKED.search(text):
        text = _MARKS.sub("", text)
    while "\\" in text and (shorter := _WRAPPER.sub(r"\1", text)) != text:
        text = shorter
    return text


def boxed(text: str) -> list[str]:
    r"""The content of each `\boxed{}` or `\fbox{}` that closes, in order; of nested boxes the outer content."""
    return [text[start:end] for _, start, end, _ in _boxes(text)]


def split_boxes(text: str) -> tuple[str, list[str]]:
    """Returns the text with BOX in place of each box and each closed `<answer>`, and their contents in order."""
    text = text.replace(BOX, "")
    places = [(m.start(), m.start(2), m.end(2), m.end()) for m in _TAGS.finditer(text)]
    inside = iter(places)
    tag = next(inside, None)
    for box in _boxes(text):
        while tag and tag[3] <= box[0]:
            tag = next(inside, None)
        if not (tag and tag[0] <= box[0]):
            places.append(box)
    places.sort()
    parts, end = [], 0
    for outer_start, _, _, outer_end in places:
        parts += [text[end:outer_start], BOX]
        end = outer_end
    return "".join([*parts, text[end:]]), [text[start:stop] for _, start, stop, _ in places]


def _boxes(text: str) -> list[tuple[int, int, int, int]]:
    """Returns (start, start of the content, its end, end) of each outermost box that closes."""
    outermost: list[tuple[int, int, int, int]] = []
    open_braces: list[tuple[int, int] | None] = []
    for token in _TOKENS.finditer(text):
        if token.group() == "{":
            open_braces.append(None)
        elif token.group() == "}":
            box = open_braces.pop() if open_braces else None
            if box:
                while outermost and outermost[-1][0] > box[0]:
                    outermost.pop()
                outermost.append((*box, token.start(), token.end()))
        elif token.group().endswith("{") and len(token.group()) > 2:
            open_braces.append((token.start(), token.end()))
    return outermost


def content(box: str) -> str:
    """The content of a box as plain text."""
    return " ".join(strip_markup(_INNER_BOX.sub("", box)).split()).strip(" {}")


class Options:
    """The options of one question, which can be looked up by their text."""

    def __init__(self, texts: Sequence[str]):
        self.count = len(texts)
        self.keys = [_key(strip_markup(text)) for text in texts]
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._folded: dict[str, list[int]] = defaultdict(list)
        for position, key in enumerate(self.keys):
            self._exact[key].append(position)
            self._folded[key.casefold()].append(position)
        self._numbers = {m.group() for key in self.keys if (m := _NUMBER.match(key))}

    def named(self, text: str) -> list[int]:
        """The positions of the options with exactly this plain text; case counts only if it tells options apart."""
        key = _key(text)
        return (self._exact.get(key) or self._folded.get(key.casefold(), [])) if key else []

    def begins(self, position: int, text: str) -> bool:
        """Whether `text` begins with the text of this option."""
        return bool(self.keys[position]) and _key(text).startswith(self.keys[position])

    def have_value(self, number: str) -> bool:
        """Whether an option begins with this number, so that it is a value rather than the number of an option."""
        return number in self._numbers


def texts_beside_label(rest: str) -> list[str]:
    """The texts that may follow a label: signs at the beginning separate the two, or belong to it (`-5`, `.20`)."""
    rest = rest.strip()
    less = rest.lstrip(')]}>"”')
    least = less.lstrip(" .:;,–—-")
    texts = [rest, less.strip(), less[1:].strip() if less[:1] in ".:;,–—-" else less, least]
    return [*texts, least.strip("()[]")]


def _key(text: str) -> str:
    return re.sub(r"[\s{}\"“”]", "", text).rstrip(".,;")
