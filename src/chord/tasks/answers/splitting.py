"""Splits a text at separators that stand outside all brackets."""

import re

_OPEN, _CLOSE = (
    ("(", "[", "{", "\\{", "\\langle", "\\lfloor", "\\lceil"),
    (")", "]", "}", "\\}", "\\rangle", "\\rfloor", "\\rceil"),
)
_PIECE = re.compile(r"\\(?:text)\{[^{}]*\}|\\[A-Za-z]+|\\.|.", re.DOTALL)


def depths(text: str) -> list[tuple[int, str, int]]:
    """Returns (place, piece, depth of brackets before it) of each character or command."""
    result, depth = [], 0
    for piece in _PIECE.finditer(text):
        if piece[0] in _CLOSE:
            depth -= 1
        result.append((piece.start(), piece[0], depth))
        if piece[0] in _OPEN:
            depth += 1
    return result


def split(text: str, separators: set[str]) -> list[tuple[str, str]]:
    """Returns (separator before it, part) of each part; the separator of the first one is ""."""
    parts, start, before = [], 0, ""
    for place, piece, depth in depths(text):
        if depth == 0 and piece in separators:
            parts.append((before, text[start:place].strip()))
            start, before = place + len(piece), piece
    parts.append((before, text[start:].strip()))
    return parts


def inside_brackets(text: str, opening: str, closing: str) -> str | None:
    """The text between `opening` and `closing` if this pair of brackets encloses the whole text, else None."""
    if not (text.startswith(opening) and text.endswith(closing)) or len(text) < len(opening) + len(closing):
        return None
    pieces = depths(text)
    inside = [depth for place, _, depth in pieces if len(opening) <= place < len(text) - len(closing)]
    return text[len(opening) : len(text) - len(closing)].strip() if all(depth >= 1 for depth in inside) else None
