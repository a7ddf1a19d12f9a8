"""Which option of a multiple-choice question a response chose. What cannot be read is None: nothing here guesses."""

import re

LETTERS = "ABCDEFGHIJ"

_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_MARKUP = re.compile(r"\*\*|\$|\\(?:boxed|text|textbf|mathbf)\{|\}")
_STATED = re.compile(rf"\b[Aa]nswer(?: is:?|:)\s*\(?([{LETTERS}])\b(?!['’])")
_LETTER = re.compile(rf"\s*\(?([{LETTERS}])\)?\.?\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\s*\(?([0-9]{1,3})\)?\.?\s*")


def extract(text: str, options: list[str]) -> tuple[int | None, str]:
    """Position (from 0) of the option that a response to any prompt chose, and how it was read.

    Read are `\\boxed{}` with a letter or a position from 0, "answer is (X)" or "Answer: X" with a letter, and a
    response that is nothing but a letter or a position. All that is stated must agree. How: `boxed`, `stated` or
    `alone`; where the position is None: `nothing`, `ambiguous`, `unreadable` (a box with something else in it) or `no
    such option`.
    """
    part = answer_part(text)
    found = [("boxed", _alone(content)) for content in boxed(part)]
    found += [("stated", position) for position in stated(part)]
    if not found and _alone(part) is not None:
        found = [("alone", _alone(part))]
    chosen = {position for _, position in found}
    if len(chosen) != 1:
        return None, "ambiguous" if chosen else "nothing"
    how, position = found[0]
    if position is None:
        return None, "unreadable"
    return (position, how) if position < len(options) else (None, "no such option")


def answer_part(text: str) -> str:
    """What follows the last `</think>`: all of it where no thinking is marked, nothing where it never ends."""
    part = text.rpartition("</think>")[2]
    return "" if "<think>" in part else part


def boxed(part: str) -> list[str]:
    """Contents of each `\\boxed{}`, in order; braces in it may nest once."""
    return _BOXED.findall(part)


def stated(part: str) -> list[int]:
    """Positions of the letters after "answer is" or "Answer:", in order. Bold, dollars and boxes do not hide one."""
    return [LETTERS.index(letter) for letter in _STATED.findall(_MARKUP.sub("", part))]


def letter(text: str) -> int | None:
    """Position that a text names which is a letter and nothing else."""
    found = _LETTER.fullmatch(_MARKUP.sub("", text))
    return LETTERS.index(found.group(1).upper()) if found else None


def number(text: str) -> int | None:
    """Number that a text names which is a number and nothing else."""
    found = _NUMBER.fullmatch(_MARKUP.sub("", text))
    return int(found.group(1)) if found else None


def _alone(text: str) -> int | None:
    return number(text) if letter(text) is None else letter(text)
