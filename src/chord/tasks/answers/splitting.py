"""Parts of a text between separators that stand outside all brackets."""

import re

_OPEN, _CLOSE = (
    ("(", "[", "{", "\\{", "\\langle", "\\lfloor", "\\lceil"),
    (")", "]", "}", "\\}", "\\rangle", "\\rfloor", "\\rceil"),
)
_PIECE = re.compile(r"\\(?:text)\{[^{}]*\}|\\[A-Za-z]+|\\.|.", re.DOTALL)


def depths(text: str) -> list[tuple[int, str, int]]:
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
    for place, piece, depth in depths(text):
        if depth == 0 and piece in separators:
            parts.append((before, text[start:place].strip()))
            start, before = place + len(piece), piece
    parts.append((before, text[start:].strip()))
    return parts


def enclosed(text: str, opened: str, closed: str) -> str | None:
    """What is between `opened` and `closed`, where these hold all of the text."""
    if not (text.startswith(opened) and text.endswith(closed)) or len(text) < len(opened) + len(closed):
        return None
    pieces = depths(text)
    inside = [depth for place, _, depth in pieces if len(opened) <= place < len(text) - len(closed)]
    return text[len(opened) : len(text) - len(closed)].strip() if all(depth >= 1 for depth in inside) else None
