"""Finds the statements of a plain text about the options, each with its place: which letter, or why none."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from chord.tasks.choice_cues import AFTER, CUES, FILLER, LETTER, NAMED, NOUN, STATED, WITH_TEXT
from chord.tasks.choice_text import Options, texts_beside_label

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

AMBIGUOUS, NO_SUCH_OPTION = "ambiguous", "no such option"
NO_OPTION = -1  # the strength of a statement that names no option


@dataclass(frozen=True)
class OptionStatement:
    """A statement about one option. start, end: its place in the text. position: of the option, from 0.

    The position is None if the statement has a `problem`.
    """

    start: int
    end: int
    strength: int
    position: int | None
    how: str  # boxed, stated, alone
    problem: str | None = None


# What may follow a letter that is not a word of the sentence. After A and I, which are words, less may follow.
_SIGN = r"[^\sA-Za-z0-9=+*<>^]"
_GOES_ON = re.compile(
    rf"\s+(?:{_SIGN}|(?:because|since|as|for|with|which|where|when|due|based|from|in|by|here|according|after|given|not"
    r"|rather|instead|although|though|while|but|so|that|and|or|i|we|it|the|this|option|both)\b)",
    re.IGNORECASE,
)
_GOES_ON_AFTER_A_WORD = re.compile(
    rf"\s+(?:{_SIGN}|(?:because|since|due|based|according|which|not|rather|instead|and|or)\b)"
)
_ANOTHER = re.compile(
    r"[)\].,;]?\s*(?:[,;/&|+、]|\(?(?:and|or|nor|as well as|alternatively|或|和|及)(?:/or)?\b)[,\s]*"
    r"(?:(?:also|maybe|possibly|perhaps|even|both|else|with|it['’]s|it|is|could|might|may|be|the|option|choice|answer)"
    rf"\s+){{0,6}}{LETTER}(?P<next>\s*\w*)",
    re.IGNORECASE,
)
_LIST_GOES_ON = {"", "and", "or", "are", "both", "depending", "together", "as"}
_LISTED_SUBJECT = re.compile(  # "; A and B are too small" is about other options
    r"\s*[)\].]?\s*[,;]\s*\W?[A-Z]\W?(?:\s*(?:,|and|or)\s*\W?[A-Z]\b\W?){1,26}\s*"
    r"(?:is|are|was|were|would|do|does|can|could|give|have)\b"
)
_ALSO = re.compile(rf"[^\n]{{0,80}}?\b(?:could|may|might|can)\s+(?:\w+\s+)?be\s+{FILLER}{LETTER}", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:some|many|people|students?|others|they|he|she|someone|one)\b.*\b(?:say|said|claim|think|believe|argue)s?\b"
    r"|\b(?:if|whether|unless|suppos\w+|assum\w+|imagine|not|never|doubt|neither|cannot|why|nor|wrong|incorrect|false"
    r"|tempting)\b|n['’]t\b",
    re.IGNORECASE,
)
_DENIED_GAP = re.compile(
    r"\b(?:not|never|cannot|could|may|might|can(?! only)|nor|neither|unlikely|either|both|none)\b|n['’]t\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[.,;:!?\n]|(?-i:(?=\bThe\b))|\b(?:so|therefore|thus|hence|then|but|and|because|since)\b", re.IGNORECASE
)
_CONDITION = re.compile(r"\s*[)\]]?,?\s*(?:only\s+)?(?:if|unless|provided|assuming)\b", re.IGNORECASE)
_QUESTION = re.compile(r"[\s)\]]*\?")
_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)|\n")
_ARITHMETIC = re.compile(r"\s*[-–+]\s*\W?[A-Za-z](?![A-Za-z])")
_STANDS_ALONE = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z](?![A-Za-z0-9_])")
_OPENING = re.compile(r"[(\[{<\"“”'‘«]{1,3}\s?$")
_NOUN_BEFORE = re.compile(rf"\b{NOUN}\s+$", re.IGNORECASE)
_CLAUSE_BEGINS = re.compile(  # before a bare letter; anywhere else it may be the name of a point, a vitamin ...
    r"(?:^|[^\w\s]\s*|\n\s*|\b(?:so|therefore|thus|hence|then|and|but|that|only|think|believe|conclude|say|since|because|with"
    r"|or|nor|is)\s+)$",
    re.IGNORECASE,
)
_PRAISE_ENDS = re.compile(
    r"\s*(?:[^\w\s-]|$|(?:because|since|as|for|here|in|and|but|given|based|among|by|according|to|of|when|answer|choice"
    r"|option|one|response|statement)\b)",
    re.IGNORECASE,
)
_SHARED_BEFORE = re.compile(r"[A-Z]\W*(?:and|or|nor|[/&])\s*\W?$")
_REST, _NEAR = 300, 120  # characters after and before a statement that may change it


def statements(text: str, options: Options) -> Iterator[OptionStatement]:
    """Yield the statements of a plain text, which has the letters of its boxes in parentheses; in any order."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters are longer in lower case
        lower = "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
    for cue in CUES:
        for start, match in cue.matches(text, lower):
            if not (_is_denied(text, start) or _DENIED_GAP.search(match.groupdict().get("gap") or "")):
                yield from _after_cue(text, start, match, cue.strength, options)
    for start, match in WITH_TEXT.matches(text, lower):
        position = LETTERS.index(match.group("letter").upper())
        if position in options.named(match.group("text")) and not _is_denied(text, start):
            yield OptionStatement(start, match.end(), STATED, position, "stated")
    yield from _before_praise(text, options)


def _after_cue(text: str, start: int, match: re.Match, strength: int, options: Options) -> Iterator[OptionStatement]:
    rest = text[match.end() : match.end() + _REST]
    if _QUESTION.match(rest) or _CONDITION.match(rest) or not _is_choice(match, rest, options):
        return
    line = rest.partition("\n")[0]
    matches = options.named(match.group("letter") + line) if line.strip(" .)") else []
    if len(matches) == 1:  # "E. coli" is an option, and not a letter
        yield OptionStatement(start, match.end(), strength, matches[0], "stated")
    else:
        yield _of_letter(start, match, strength, options, _is_shared(match, rest, options))


def _before_praise(text: str, options: Options) -> Iterator[OptionStatement]:
    """Yield statements such as "D is correct"."""
    for letter in _STANDS_ALONE.finditer(text):
        match = AFTER.match(text, letter.start())
        if match is None:
            continue
        opening = _OPENING.search(text, max(0, letter.start() - 4), letter.start())
        start = opening.start() if opening else letter.start()
        noun = _NOUN_BEFORE.search(text, max(0, start - 20), start)
        start = noun.start() if noun else start
        rest = text[match.end() : match.end() + _REST]
        is_marked = (
            noun or opening or (letter.group().isupper() and _CLAUSE_BEGINS.search(text, max(0, start - 20), start))
        )
        if (
            is_marked
            and _PRAISE_ENDS.match(rest)
            and not (_is_denied(text, start) or _QUESTION.match(rest) or _CONDITION.match(rest))
        ):
            shared = _SHARED_BEFORE.search(text, max(0, start - 20), start) is not None
            yield _of_letter(start, match, NAMED, options, shared)


def _of_letter(start: int, match: re.Match, strength: int, options: Options, shared: bool) -> OptionStatement:
    position = LETTERS.index(match.group("letter").upper())
    if position >= options.count:
        return OptionStatement(start, match.end(), NO_OPTION, None, "stated", NO_SUCH_OPTION)
    if shared:
        return OptionStatement(start, match.end(), strength, None, "stated", AMBIGUOUS)
    return OptionStatement(start, match.end(), strength, position, "stated")


def _is_choice(match: re.Match, rest: str, options: Options) -> bool:
    """Whether the letter names an option, and is not a word, a variable or the beginning of a name."""
    close = (match.group("close") or "").strip()
    if match.group("open").strip("\"“”'‘") and close:
        return True
    if _ARITHMETIC.match(rest) or (close in ("'", "’") and not match.group("open")):
        return False
    if not re.match(r"[^\S\n]+\S", rest):
        return True
    letter = match.group("letter")
    position = LETTERS.index(letter.upper())
    if position < options.count and options.begins(position, rest.lstrip(" =:(–—-")):
        return True
    return bool((_GOES_ON_AFTER_A_WORD if letter in "AIai" else _GOES_ON).match(rest))


def _is_shared(match: re.Match, rest: str, options: Options) -> bool:
    """Whether another option is named together with this one, by its letter or by its text."""
    letter = match.group("letter")
    other = _ANOTHER.match(rest)
    if other and not _LISTED_SUBJECT.match(rest):
        is_listed = other.group("open") or (
            (other.group("letter").isupper() or letter.islower())
            and other.group("next").strip().lower() in _LIST_GOES_ON
        )
        place = LETTERS.index(other.group("letter").upper())
        if is_listed and other.group("letter").upper() != letter.upper() and place < options.count:
            return True
    also = _ALSO.match(rest)
    if also and also.group("letter").isupper() and also.group("letter") != letter.upper():
        return True
    sentences = [_SENTENCE_END.split(tail, maxsplit=1)[0] for tail in (rest.lstrip(".) "), rest)]
    matches = [options.named(text) for sentence in sentences for text in texts_beside_label(sentence)]
    position = LETTERS.index(letter.upper())
    return any(matches) and not any(position in places for places in matches)


def _is_denied(text: str, start: int) -> bool:
    """Whether the clause before a statement denies it, makes it a condition or attributes it to somebody else."""
    return bool(_DENIED.search(_CLAUSE.split(text[max(0, start - _NEAR) : start])[-1]))
