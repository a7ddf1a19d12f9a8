"""Which option of a multiple-choice question a response chose. What cannot be read is None: nothing here guesses."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from chord.tasks.choice_cues import ALONE, STATED
from chord.tasks.choice_statements import AMBIGUOUS, LETTERS, NO_OPTION, NO_SUCH_OPTION, Statement, statements
from chord.tasks.choice_text import BOX, Options, beside, boxed, content, plain, split_boxes
from chord.tasks.task import answer_part

__all__ = ["LETTERS", "boxed", "extract", "number"]

NOTHING, UNREADABLE = "nothing", "unreadable"
IN_PASSING = 0  # strength of a box with mathematics
_MATHEMATICS = "□"  # shows in the text where such a box was

_ANNOUNCED = re.compile(
    r"^(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|option|choice)(?:\s+is)?\s*[:=-]?\s*", re.IGNORECASE
)
_LETTER = re.compile(r"[\[({<\"“'‘]*\s?([A-Za-z])\s?[\])}>\"”'’.:;!]*")
_LABELLED = re.compile(r"[\[({<\"]?(?P<letter>[A-Za-z])(?P<text>(?:[\])}>\"]|\s*[.:,–—-]).*\S|(?<=[A-Z])\s.*\S)")
_LABEL_BEHIND = re.compile(r"(?P<text>.*\S)\s*[(\[](?:option )?(?P<letter>[A-Z])[)\]]\.?")
_NUMBER = re.compile(r"[(\[]?([0-9]{1,3})[)\]]?\.?")
_TURNS = re.compile(
    r"\b(?:(?:no|wait|hmm+)(?=[,.!?;:—–-])|wait,? no|no,? wait|nope|actually|correct(?:ion|ed|ing)|mistaken?|misread"
    r"|misspoke|sorry|oops|hold on|scratch that|second thought|re-?check\w*|re-?consider\w*|re-?read\w*|re-?evaluat\w*"
    r"|double-?check\w*|(?:is|was|am|that['’]s) (?:incorrect|wrong|not right|not correct))\b",
    re.IGNORECASE,
)
_LEADS_ON = re.compile(
    r"\b(?:however|but|instead|rather|error|change\w*|revis\w*|updated?|finally|final|therefore|thus|hence|so|conclu\w+"
    r"|in summary|overall|ultimately|in the end)\b",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\b(?:(?:wait|hmm+)(?=[,.!?;:—–-]|$)|scratch that|correction\b|oops|hold on|on second thought|I was wrong"
    r"|I (?:have )?(?:misread|misspoke)|I made an? (?:\w+ )?(?:mistake|error)"
    r"|let me (?:re|double|check|think|start|try)\w*)",
    re.IGNORECASE,
)
_TAKEN_BACK_AT_ONCE = re.compile(
    r"[\s.,;!)\]}—–-]*(?:(?:no|but|hmm+)\W+)?"
    r"(?:that|this|it)(?: is|['’]s| was) (?:wrong|incorrect|not (?:right|correct))",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    r"\b(?:yes|confirm\w*|indeed|still|stands|holds|consistent|agrees?|matches|verified)\b", re.IGNORECASE
)
_LONG = 20_000  # characters of an answer's end that are read: none takes more to state its option
_FAR = 2000  # characters before a statement in which an earlier one may be taken back


def extract(text: str, options: list[str], numbers: bool = True) -> tuple[int | None, str]:
    """Position (from 0) of the option that a response to any prompt chose, and how it was read.

    numbers: whether a number by itself may be the position of an option. The last statement counts where it takes an
    earlier one back or concludes; two that merely differ are `ambiguous`. How: `boxed`, `stated` or `alone`; where the
    position is None: `nothing`, `ambiguous`, `unreadable` (a box with something else in it) or `no such option`.
    """
    known = _options(tuple(options))
    part, boxes = split_boxes(answer_part(text)[-_LONG:])
    shown, found = _show(plain(part), boxes, known, numbers)
    if not any(statement.strength > IN_PASSING for statement in found):
        found += _alone(shown, known, numbers)
    last = _last(shown, sorted(found, key=lambda statement: (statement.start, statement.strength)))
    if last is None:
        return None, NOTHING
    if last.position is None:
        return None, last.problem
    return last.position, last.how


@lru_cache(maxsize=1024)
def _options(texts: tuple[str, ...]) -> Options:
    return Options(texts)


def number(text: str) -> int | None:
    """Number that a text names which is a number and nothing else."""
    found = _NUMBER.fullmatch(content(text))
    return int(found.group(1)) if found else None


def _show(part: str, boxes: list[str], options: Options, numbers: bool) -> tuple[str, list[Statement]]:
    """The text with each box's letter in its place, for the words around it, and all that boxes and words state."""
    parts, found, length, numbered = [], [], 0, False
    for piece, box in zip(part.split(BOX), [*boxes, None], strict=True):
        parts.append(piece)
        length += len(piece)
        if box is None:
            break
        position, kind = read(content(box), options, numbers)
        numbered |= kind == "number"
        shown = f"({LETTERS[position]})" if kind in ("letter", "text") else _MATHEMATICS
        strength = {NO_SUCH_OPTION: NO_OPTION, UNREADABLE: STATED if numbered else IN_PASSING}.get(kind, STATED)
        problem = kind if position is None else None
        found.append(Statement(length, length + len(shown), strength, position, "boxed", problem))
        parts.append(shown)
        length += len(shown)
    text = "".join(parts)
    stated = list(statements(text, options))
    last_letter = max(
        (item.end for item in [*stated, *found] if item.strength == STATED and text[item.start] != _MATHEMATICS),
        default=0,
    )
    # A number in a box is mathematics on the way where a letter is stated afterwards.
    found = [
        replace(item, strength=min(item.strength, IN_PASSING))
        if text[item.start] == _MATHEMATICS and item.end < last_letter
        else item
        for item in found
    ]
    return text, [*found, *stated]


def read(text: str, options: Options, numbers: bool) -> tuple[int | None, str]:
    """Position that a text names which names nothing else, and as what: `letter`, `text` or `number`.

    Else None with the problem. A letter may stand with the text of its own option; another text beside it is
    `ambiguous` if it is that of another option.
    """
    text = _ANNOUNCED.sub("", text, count=1)
    named = options.named(text)
    letter = _LETTER.fullmatch(text)
    if letter:
        position = LETTERS.index(letter.group(1).upper())
        if position < options.count and not (named and letter.group(1).islower()):
            return position, "letter"
        if not named:
            return None, NO_SUCH_OPTION
    if named:
        return (named[0], "text") if len(named) == 1 else (None, AMBIGUOUS)
    if label := _LABELLED.fullmatch(text) or _LABEL_BEHIND.fullmatch(text):
        position = LETTERS.index(label.group("letter").upper())
        named = [options.named(rest) for rest in beside(label.group("text"))]
        if any(position in places for places in named):
            return position, "letter"
        return None, AMBIGUOUS if any(named) else UNREADABLE
    found = _NUMBER.fullmatch(text)
    if found and numbers and not options.have_value(found.group(1)):
        position = int(found.group(1))
        return (position, "number") if position < options.count else (None, NO_SUCH_OPTION)
    return None, UNREADABLE


def _alone(shown: str, options: Options, numbers: bool) -> Iterator[Statement]:
    """A letter, with or without its option's text, that is the whole response or its first or last line.

    Not where further lines begin with letters too: that is a list of options.
    """
    lines = [line for line in shown.splitlines() if line.strip()]
    whole = len(lines) == 1
    if sum(_LABELLED.fullmatch(line.strip()) is not None for line in lines) > 1:
        return
    for place in {0, len(lines) - 1} if lines else ():
        line = lines[place].strip()
        position, kind = read(line, options, numbers and whole)
        if kind == "text" and not (whole and line[0].isdigit()):
            continue
        if position is not None or (kind == NO_SUCH_OPTION and whole):
            start = 0 if place == 0 else len(shown)
            yield Statement(start, start, ALONE, position, "alone", kind if position is None else None)


def _last(shown: str, found: list[Statement]) -> Statement | None:
    """The statement that holds at the end; with a problem where two differ and neither is taken back."""
    current: Statement | None = None
    for statement in found:
        between = shown[max(current.end, statement.end - _FAR) : statement.end] if current else ""
        if current is None or statement.strength > current.strength or _TURNS.search(between):
            current = statement
        elif statement.strength < current.strength:
            continue
        elif statement.position == current.position:
            how = "boxed" if "boxed" in (statement.how, current.how) else current.how
            current = replace(current, end=max(current.end, statement.end), how=how)
        elif _LEADS_ON.search(between):
            current = statement
        else:
            end = max(current.end, statement.end)
            current = replace(current, end=end, position=None, problem=AMBIGUOUS)
    if current is None:
        return None
    tail = shown[current.end : current.end + _FAR]
    doubted = _TAKEN_BACK.search(tail) and not _CONFIRMED.search(tail)
    if current.position is not None and (doubted or _TAKEN_BACK_AT_ONCE.match(tail)):
        return replace(current, position=None, problem=AMBIGUOUS)
    return current
