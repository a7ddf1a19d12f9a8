"""Cues are the words around a letter by which a text states it: "the answer is D", "I choose D", "D is correct".

Each cue has heads, which are searched for as plain words, and a pattern from there to the letter. This is several
times faster than one pattern per cue.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# The strength of a statement. A weaker statement never contradicts a stronger one.
ALONE, NEARBY, NAMED, STATED = range(1, 5)

LETTER = (
    r"(?P<open>[(\[{<\"“”'‘«]{0,3})\s?(?P<letter>[A-Za-z])(?P<close>\s?[)\]}>\"”'’»]{1,3})?"
    r"(?![A-Za-z0-9_'’^=+*(\[{]|[-/.]\w)"
)
_NOUNS = ("answer", "ans", "choice", "option", "selection", "response", "pick", "letter")
NOUN = rf"(?:{'|'.join(_NOUNS)})"
FILLER = (
    r"(?:[,:>→–—-]\s*|(?:I (?:believe|think|guess)|we (?:believe|think)|I would say|I['’]d say|probably|likely|most"
    r"|clearly|indeed|therefore|thus|hence|then|simply|just|definitely|obviously|certainly|actually|now|still|given by"
    r"|only|the|option|choice|letter|answer|number|not [(\[]?[A-Z][)\]]?,? but)(?![A-Za-z])[\s,:]*){0,6}"
)
_MANNER = (
    r"(?:(?:clearly|also|indeed|therefore|thus|hence|definitely|certainly|obviously|probably|likely|actually|then|still"
    r"|most|the|our|my|only|single|one|final|best|correct|right|closest|overall)\s+){0,5}"
)
_RIGHT = r"(?:correct|right|best|closest|answer|choice|most (?:accurate|appropriate|suitable|likely))"
_END = r"(?=\s*(?:[.,;!]|$))"  # a longer sentence may say anything about the letter
_LINE_START = r"(?:^|\n)[^\S\n]*"


@dataclass(frozen=True)
class Cue:
    """before: what must precede the head, if anything. tail: from the end of the head to the end of the letter."""

    strength: int
    heads: tuple[str, ...]
    tail: re.Pattern[str]
    before: re.Pattern[str] | None = None

    def matches(self, text: str, lower: str) -> Iterator[tuple[int, re.Match[str]]]:
        """Yield the place of each head with the match of its tail. lower: `text` in lower case."""
        # A weak cue counts only in the last line.
        first = lower.rstrip().rfind("\n") + 1 if self.strength == NEARBY else 0
        for head in self.heads:
            place = lower.find(head, first)
            while place >= 0:
                end = place + len(head)
                alone = not (place and text[place - 1].isascii() and text[place - 1].isalnum())
                match = self.tail.match(text, end) if alone else None
                if match and (self.before is None or self.before.search(text, max(0, place - 40), place)):
                    yield place, match
                place = lower.find(head, end)


def _cue(strength: int, heads: tuple[str, ...], tail: str, before: str | None = None, end: str = "") -> Cue:
    flags = re.IGNORECASE | re.MULTILINE
    precedes = re.compile(f"(?:{before})$", re.IGNORECASE) if before else None
    return Cue(strength, heads, re.compile(tail + LETTER + end, flags), precedes)


CUES = (
    # the answer (to this question) is D, the correct option must be D
    _cue(
        STATED,
        (*_NOUNS, "correct one", "right one", "best one"),
        rf"(?![A-Za-z]|\s+[(\[]?(?-i:[A-HJ-Z])\b)(?P<gap>[^.:;?!\n]{{0,80}}?)\s(?:is|be|was|remains|becomes)\b,?\s*{FILLER}",
    ),
    # Answer: D, Answer - D, "answer": "D", a heading Answer with D below
    _cue(
        STATED,
        (*_NOUNS, "conclusion", "final", "correct", "selected"),
        rf"[\"”']?(?:\.|\s*(?::|=>?|-+>?|–|—|→|⇒|\n)){{1,4}}\s*{FILLER}",
    ),
    _cue(STATED, ("答案",), r"(?:应该|应該|應該|应|應)?(?:是|为|為|选|選)?\s*:?\s*"),
    _cue(NAMED, ("选", "選"), r"(?:择|擇|项|項)?\s*:?\s*"),
    _cue(
        NAMED,
        ("choose", "chose", "choosing", "pick", "picked", "select", "selected", "go with", "going with", "opt for"),
        rf"\s+{FILLER}",
    ),
    _cue(
        NAMED,
        ("say", "answer", "guess", "conclude"),
        rf"\s+{FILLER}",
        r"\b(?:I|we)(?:['’]d|['’]ll| would| will| must| can)?\s+",
    ),
    _cue(
        NEARBY,
        (
            "corresponds",
            "corresponding",
            "matches",
            "equals",
            "leads",
            "leading",
            "points",
            "agrees",
            "refers",
            "given",
        ),
        rf"\s+(?:\w+ly\s+)?(?:(?:to|with|by|in)\s+)?(?:the\s+)?{NOUN}\s+",
    ),
    _cue(NEARBY, ("which", "that", "this", "it"), rf"\s?(?:is|['’]s|must be|should be|has to be|would be)\s+{FILLER}"),
    _cue(NEARBY, _NOUNS, r"\s+(?=\W?[A-Za-z]\W*$)", rf"{_LINE_START}(?:final |correct )?"),
    _cue(
        STATED,
        ("no", "wait", "actually", "correction", "corrected", "sorry", "rather"),
        rf"[,:—–-]*\s+(?:it['’]?s |it is )?{FILLER}",
        end=_END,
    ),
    _cue(
        NEARBY,
        ("i.e.", "namely", "elimination", "leaves", "closest to", "∴", "=>", "→"),
        rf",?\s*(?:us with\s+)?{FILLER}",
        end=_END,
    ),
    _cue(
        NEARBY,
        ("so", "therefore", "thus", "hence"),
        rf",?\s*(?:it(?:['’]s| is)\s+)?{FILLER}",
        r"(?:^|[.\n])\s*",
        _END,
    ),
)

# From the letter on: D is (the) correct (answer), this leaves D as the answer.
AFTER = re.compile(
    rf"{LETTER}\s*(?:(?:is|must be|should be|would be|has to be|seems|appears|looks)\s+{_MANNER}{_RIGHT}"
    rf"|(?:as|to be|being)?\s*(?:the|our|my)\s+{_MANNER}(?:answer|choice|option))\b",
    re.IGNORECASE,
)
# The answer is 10 s (D).
WITH_TEXT = Cue(
    STATED,
    _NOUNS,
    re.compile(
        r"(?![A-Za-z])[^.:;?!\n]{0,60}?(?:\s(?:is|be)\b|:)\s*(?P<text>[^\n(]{1,120}?),?\s*"
        r"\((?:option |choice )?(?P<letter>[A-Z])\)",
        re.IGNORECASE,
    ),
)
