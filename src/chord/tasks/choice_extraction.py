"""Finds the option of a multiple-choice question that a response chose. Nothing is guessed: an unclear one is None."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from chord.tasks.choice_cues import ALONE, STATED
from chord.tasks.choice_statements import AMBIGUOUS, LETTERS, NO_OPTION, NO_SUCH_OPTION, OptionStatement, statements
from chord.tasks.choice_text import BOX, Options, boxed, content, split_boxes, strip_markup, texts_beside_label
from chord.tasks.task import answer_part

__all__ = ["LETTERS", "boxed", "extract", "number"]

NOTHING, UNREADABLE = "nothing", "unreadable"
IN_PASSING = 0  # the strength of a box with mathematics
_MATHEMATICS = "□"  # replaces such a box in the text

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
_RETRACTION = re.compile(
    r"\b(?:(?:wait|hmm+)(?=[,.!?;:—–-]|$)|scratch that|correction\b|oops|hold on|on second thought|I was wrong"
    r"|I (?:have )?(?:misread|misspoke)|I made an? (?:\w+ )?(?:mistake|error)"
    r"|let me (?:re|double|check|think|start|try)\w*)",
    re.IGNORECASE,
)
_RETRACTION_AT_ONCE = re.compile(
    r"[\s.,;!)\]}—–-]*(?:(?:no|but|hmm+)\W+)?"
    r"(?:that|this|it)(?: is|['’]s| was) (?:wrong|incorrect|not (?:right|correct))",
    re.IGNORECASE,
)
_CONFIRMATION = re.compile(
    r"\b(?:yes|confirm\w*|indeed|still|stands|holds|consistent|agrees?|matches|verified)\b", re.IGNORECASE
)
_LONG = 20_000  # characters at the end of an answer that are read; no answer needs more to state its option
_FAR = 2000  # characters before a statement in which an earlier one may be retracted


def extract(text: str, options: list[str], numbers: bool = True) -> tuple[int | None, str]:
    """Returns the position (from 0) of the option that a response to any prompt chose, and how it was read.

    numbers: whether a number by itself may be the position of an option. The last statement counts if it retracts an
    earlier one or concludes; two statements that merely differ are `ambiguous`. The second value is `boxed`, `stated`
    or `alone`; if the position is None, it is `nothing`, `ambiguous`, `unreadable` (a box with something else in it)
    or `no such option`.
    """
    question_options = _options(tuple(options))
    part, boxes = split_boxes(answer_part(text)[-_LONG:])
    plain, all_statements = _show_boxes(strip_markup(part), boxes, question_options, numbers)
    if not any(statement.strength > IN_PASSING for statement in all_statements):
        all_statements += _statements_alone(plain, question_options, numbers)
    last = _last_statement(plain, sorted(all_statements, key=lambda statement: (statement.start, statement.strength)))
    if last is None:
        return None, NOTHING
    if last.position is None:
        return None, last.problem
    return last.position, last.how


@lru_cache(maxsize=1024)
def _options(texts: tuple[str, ...]) -> Options:
    return Options(texts)


def number(text: str) -> int | None:
    """The number that a text consists of; None for any other text."""
    match = _NUMBER.fullmatch(content(text))
    return int(match.group(1)) if match else None


def _show_boxes(part: str, boxes: list[str], options: Options, numbers: bool) -> tuple[str, list[OptionStatement]]:
    """Returns the text with the letter of each box in its place, and the statements of boxes and words.

    The letter must be there for the words around it.
    """
    parts, in_boxes, length, any_number = [], [], 0, False
    for piece, box in zip(part.split(BOX), [*boxes, None], strict=True):
        parts.append(piece)
        length += len(piece)
        if box is None:
            break
        position, kind = read(content(box), options, numbers)
        any_number |= kind == "number"
        replacement = f"({LETTERS[position]})" if kind in ("letter", "text") else _MATHEMATICS
        strength = {NO_SUCH_OPTION: NO_OPTION, UNREADABLE: STATED if any_number else IN_PASSING}.get(kind, STATED)
        problem = kind if position is None else None
        in_boxes.append(OptionStatement(length, length + len(replacement), strength, position, "boxed", problem))
        parts.append(replacement)
        length += len(replacement)
    text = "".join(parts)
    in_words = list(statements(text, options))
    last_letter = max(
        (item.end for item in [*in_words, *in_boxes] if item.strength == STATED and text[item.start] != _MATHEMATICS),
        default=0,
    )
    # A number in a box is an intermediate result if a letter is stated afterwards.
    in_boxes = [
        replace(item, strength=min(item.strength, IN_PASSING))
        if text[item.start] == _MATHEMATICS and item.end < last_letter
        else item
        for item in in_boxes
    ]
    return text, [*in_boxes, *in_words]


def read(text: str, options: Options, numbers: bool) -> tuple[int | None, str]:
    """Returns the position that a text names and as what: `letter`, `text` or `number`; or None and the problem.

    The text must not name anything else. A letter may come with the text of its own option; with the text of another
    option it is `ambiguous`.
    """
    text = _ANNOUNCED.sub("", text, count=1)
    positions = options.named(text)
    letter = _LETTER.fullmatch(text)
    if letter:
        position = LETTERS.index(letter.group(1).upper())
        if position < options.count and not (positions and letter.group(1).islower()):
            return position, "letter"
        if not positions:
            return None, NO_SUCH_OPTION
    if positions:
        return (positions[0], "text") if len(positions) == 1 else (None, AMBIGUOUS)
    if label := _LABELLED.fullmatch(text) or _LABEL_BEHIND.fullmatch(text):
        position = LETTERS.index(label.group("letter").upper())
        matches = [options.named(rest) for rest in texts_beside_label(label.group("text"))]
        if any(position in places for places in matches):
            return position, "letter"
        return None, AMBIGUOUS if any(matches) else UNREADABLE
    digits = _NUMBER.fullmatch(text)
    if digits and numbers and not options.have_value(digits.group(1)):
        position = int(digits.group(1))
        return (position, "number") if position < options.count else (None, NO_SUCH_OPTION)
    return None, UNREADABLE


def _statements_alone(text: str, options: Options, numbers: bool) -> Iterator[OptionStatement]:
    """Yield a letter, with or without the text of its option, that is the whole response or its first or last line.

    If several lines begin with letters, the response lists the options, and none of them is a statement.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    is_one_line = len(lines) == 1
    if sum(_LABELLED.fullmatch(line.strip()) is not None for line in lines) > 1:
        return
    for place in {0, len(lines) - 1} if lines else ():
        line = lines[place].strip()
        position, kind = read(line, options, numbers and is_one_line)
        if kind == "text" and not (is_one_line and line[0].isdigit()):
            continue
        if position is not None or (kind == NO_SUCH_OPTION and is_one_line):
            start = 0 if place == 0 else len(text)
            yield OptionStatement(start, start, ALONE, position, "alone", kind if position is None else None)


def _last_statement(text: str, in_order: list[OptionStatement]) -> OptionStatement | None:
    """The statement that is valid at the end; it has a problem if two differ and neither is retracted."""
    current: OptionStatement | None = None
    for statement in in_order:
        between = text[max(current.end, statement.end - _FAR) : statement.end] if current else ""
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
    tail = text[current.end : current.end + _FAR]
    is_doubted = _RETRACTION.search(tail) and not _CONFIRMATION.search(tail)
    if current.position is not None and (is_doubted or _RETRACTION_AT_ONCE.match(tail)):
        return replace(current, position=None, problem=AMBIGUOUS)
    return current
