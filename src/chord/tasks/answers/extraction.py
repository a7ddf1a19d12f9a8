r"""Finds the answer in a response: the boxes of the final statement, or without a box what the response states last.

Text inside the thinking is not an answer, nor is a box that never closes or a value that the response denies.
"""

import re
from typing import NamedTuple

from chord.tasks.answers import units
from chord.tasks.task import answer_part

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_OPEN_THINK, _CLOSE_THINK = "<think>", "</think>"


class Box(NamedTuple):
    """A box in a text. start, end: of the whole box. content: the text between its braces."""

    start: int
    end: int
    content: str


def is_well_formed(text: str) -> bool:
    """Whether there is exactly one <think> and after it exactly one </think> (Trinity-RFT, validate_think_pattern)."""
    return text.count(_OPEN_THINK) == text.count(_CLOSE_THINK) == 1 and text.find(_OPEN_THINK) < text.find(_CLOSE_THINK)


def boxes(text: str) -> list[Box]:
    r"""Every \boxed{...} or \fbox{...} with balanced braces; of nested boxes the innermost. Takes linear time."""
    starts = {match.end(): match.start() for match in _BOX.finditer(text)} if "box" in text else {}
    if not starts:
        return []
    innermost: list[Box] = []
    open_braces: list[int] = []
    for brace in _BRACE.finditer(text, min(starts) - 1):
        if brace.group() == "{":
            open_braces.append(brace.end())
        elif brace.group() == "}" and open_braces:
            begin = open_braces.pop()
            if begin in starts and not (innermost and innermost[-1].start > starts[begin]):
                innermost.append(Box(starts[begin], brace.end(), text[begin : brace.start()]))
    return innermost


# Between two boxes of one statement there may be: and, or, a comma, the name of the next value.
_BETWEEN = re.compile(
    r"[\s$.,;&\\()\[\]]*(?:(?:and|or|\\text\s*\{\s*,?\s*(?:and|or)\s*\}|\\(?:quad|qquad|land|lor))[\s$,;\\()\[\]]*)*"
    r"(?:also )?(?:\(?[a-e]\)\s*)?(?P<name>[A-Za-z](?:_\{?\w+\}?)?'?\s*=)?[\s$\\()\[\]]*"
)
_NAME_BEFORE = re.compile(r"(?P<name>[A-Za-z](?:_\{?\w+\}?)?'?)\s*=\s*\$?\s*$")
_DENIED = re.compile(
    r"\b(?:not|cannot|can't|isn't|isn\u2019t|aren't|don't|never|wrong|doubt)\b"
    r"(?:(?!\b(?:so|but|hence|thus|therefore|giving|get|then|only|just)\b)[^.!?,;:\n]){0,30}$",
    re.IGNORECASE,
)
# Text right after a box that denies it, replaces its value, or continues the computation.
_AFTER = re.compile(
    r"[\s$.,*)\\\]]*(?:"
    r"(?:(?:that|this|it)\s+)?(?:is|are|was|would be|seems|looks)\s+(?:\w+\s+)?"
    r"(?:wrong|incorrect|false|impossible|not (?:the|right|correct|a|what))\b"
    r"|(?:isn't|isn\u2019t|wasn't|wrong|incorrect)\b"
    r"|(?:wait|actually|no|oops|correction|hmm)\b[^.\n]{0,60}?"
    r"\b(?:it's|it is|answer is|should be|must be|is)\s+\$?\\?-?\d"
    r"|or[\s$]+-?\d"
    r")|[\s$]*,[\s$]*-?\d[\d.]*[\s$.]*$"
    r"|\s*(?:\^(?!\s*\{?\s*\\circ)|\\times(?![a-z])|\\cdot(?![a-z])|/\s*\d|\+\s*[\d\\A-Za-z(]|-\s*\d)",
    re.IGNORECASE,
)
# Text right before a box that makes it part of another statement: a sign, an operation or a relation.
_BEFORE = re.compile(
    r"(?:\S[ \t]*[-+/^_<>]|\\(?:ne|neq|le|leq|ge|geq|lt|gt|times|cdot|pm|mp|sqrt|approx|frac)\s*\{?|\}\s*\{)[\s$]*$"
)
# A unit, a multiplier, a base or a percent sign after a box is part of the answer.
_TAIL = re.compile(
    r"(?:[\s$~]|\\[,;: ])*(?P<tail>\\?%|\^\s*\{?\s*\\circ\s*\}?|_\s*(?:\{\w+\}|\w)"
    r"|\\(?:text|mathrm)\s*\{[^{}]{1,30}\}(?:\^\s*\{?-?\d\}?)?|(?:hundred|thousand|million|billion|trillion)\b)"
)
_PLACEHOLDERS = {"", "...", "\\ldots", "\\dots", "answer", "your answer"}


def final_box(text: str) -> str | None:
    """The content of the last box and of those before it in the same statement; None if there is no box."""
    part = answer_part(text)
    accepted = [
        box
        for box in boxes(part)
        if box.content.strip() not in _PLACEHOLDERS
        and not _DENIED.search(part, max(0, box.start - 40), box.start)
        and not _BEFORE.search(part, max(0, box.start - 12), box.start)
        and not _AFTER.match(part, box.end)
    ]
    if not accepted:
        return None
    last = len(accepted) - 1
    first = last
    while first > max(0, last - MAX_BOXES) and _is_connective(part[accepted[first - 1].end : accepted[first].start]):
        first -= 1
    statement = list(dict.fromkeys(_add_name(part, box, many=first < last) for box in accepted[first:]))
    return ", ".join(statement)


MAX_BOXES = 50  # in one statement


def _is_connective(between: str) -> bool:
    return len(between) < 60 and "\n\n" not in between and _BETWEEN.fullmatch(between) is not None


def _add_name(text: str, box: Box, many: bool) -> str:
    """The box's content; with several boxes also the name before it: x = \\boxed{2} and y = \\boxed{5}."""
    if not many or not (name := _NAME_BEFORE.search(text[max(0, box.start - 12) : box.start])):
        return _add_tail(text, box)
    return f"{name['name']} = {_add_tail(text, box)}"


def _add_tail(text: str, box: Box) -> str:
    tail = _TAIL.match(text, box.end)
    if not tail:
        return box.content
    words = re.sub(r"\\(?:text|mathrm)\s*\{([^{}]*)\}", r"\1", tail["tail"])
    if tail["tail"].startswith("\\") and "%" not in words:
        quantity = units.read(words)
        if quantity is None or not (quantity[1].dimensions or quantity[0] > 1):
            return box.content
    return f"{box.content}{'' if tail['tail'][0] in '_^' else ' '}{tail['tail']}"


_TAGGED = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL | re.IGNORECASE)
_HASHES = re.compile(r"^\s*####\s*(.+?)\s*$", re.MULTILINE)
_STATEMENT = re.compile(
    r"(?:\b(?:final\s+)?(?:answer|result|total|solution|value|sum|product)s?\b(?:\s+(?:to|of|for)\s+[^.:=\n]{1,60}?)?\s*(?:\*\*)?"
    r"(?:\s+(?:is|are|equals|becomes|comes\s+to|must\s+be|will\s+be|would\s+be)\b\s*:?|\s*[:=])(?:\*\*)?)"
    r"\s*(?:therefore|thus|approximately|about|indeed|exactly)?\s*(?P<answer>[^\n]+?)\s*(?=$|\n|(?<!\d)\.\s|\.\s+[A-Z]|\.$)",
    re.IGNORECASE | re.MULTILINE,
)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(*$\\])|\n+")
_NUMBER_WORDS = re.compile(
    r"-?\\?\$?\d[\d,]*(?:\.\d+)?(?:\s+\d+/\d+|/\d+)?(?:[eE][+-]?\d+(?![\w]))?(?![eE]\d)\s*\\?%?(?:\s*(?:million|billion|thousand))?"
)
# A clause with one of these words states no value, or one that differs from its number.
_DENYING = re.compile(
    r"\b(?:not|cannot|can't|isn't|isn\u2019t|aren't|never|wrong|incorrect|false|unless"
    r"|less than|more than|greater than|fewer than"
    r"|smaller than|larger than|bigger than|at least|at most|impossible|neither|nor|doubt|or)\b",
    re.IGNORECASE,
)
_VERB = re.compile(r"\b(?:is|are|get|gets|gives|equals|becomes|was|were|leaves|obtain)\b|=", re.IGNORECASE)
# These words change the number that follows them.
_CHANGING = re.compile(
    r"\b(?:twice|half|double|triple|thrice|squared?|cubed?|root|near|close|subtract|add|multiply|divide|minus|plus|times|reciprocal"
    r"|inverse|opposite|negative|before|after|almost|nearly)\b",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r";\s+|,?\s+\b(?:but|rather|instead|so|hence|thus|therefore|however)\b,?\s+", re.IGNORECASE)
_CONNECTIVE = re.compile(
    r"^(?:\*\*)?(?:(?:hence|thus|so|therefore|then|finally)\b,?"
    r"|(?:(?:final )?answer|total|result)(?::\*\*|\*\*:|:))\s+",
    re.IGNORECASE,
)
_TWO_WORDS = re.compile(r"(?<![\\\w])[A-Za-z]{2,} [A-Za-z]{2,}")
MAX_BARE_CHARACTERS = 200
MAX_RESPONSE_CHARACTERS = 4000
MAX_SENTENCE = 2000


def stated_answers(text: str) -> list[str]:
    """Texts that may be the answer of a response without a box; the first that can be read counts, no later one.

    The answer may stand after `####` (GSM8K) or between answer tags. It may be the whole text if that is short. It may
    follow "the answer is", or be the last formula or number of the last sentence, in a clause that does not deny it.
    """
    part = answer_part(text).strip()
    if not part or _BOX.search(part):  # a box that never closes states nothing
        return []
    if match := _HASHES.search(part):
        return [match[1]]
    part = part[-MAX_RESPONSE_CHARACTERS:]
    if (start := part.lower().rfind("<answer>")) >= 0 and (tagged := _TAGGED.match(part, start)):
        return [tagged[1]]
    part = _CONNECTIVE.sub("", part.lstrip("# "))
    whole_text = [part] if len(part) <= MAX_BARE_CHARACTERS and "\n" not in part else []
    if whole_text and not _TWO_WORDS.search(part):
        return whole_text  # an answer, not a sentence about one
    if statements := list(_STATEMENT.finditer(part)):
        return [*whole_text, *_clause_values(statements[-1]["answer"].rstrip("!"), itself=True)]
    sentences = [sentence for sentence in _SENTENCE.split(part[-MAX_SENTENCE:]) if sentence.strip()]
    return [*whole_text, *_clause_values(sentences[-1], itself=False)]


def _clause_values(sentence: str, itself: bool) -> list[str]:
    """The last formula or number in the last clause that denies nothing. itself: the clause may be the answer too."""
    clauses = [clause for clause in _CLAUSES.split(sentence) if clause.strip() and not _DENYING.search(clause)]
    if not clauses:
        return []
    last = _VERB.split(clauses[-1].strip())[-1].strip()
    if _CHANGING.search(last):
        return []
    values = [last] if itself else []
    formulas = [next(group for group in groups if group) for groups in _FORMULA.findall(last)]
    if formulas:
        return [*values, formulas[-1]]
    numbers = _NUMBER_WORDS.findall(last)
    return [*values, numbers[-1].strip()] if numbers else values
