"""Training prompts that repeat a test question, in the same words or in most of them.

Two questions are the same when their words are (letters and digits; case and signs do not count). They are
near-duplicates when runs of 8 words that both have cover more than half of the words of the test question: the rule of
Tulu 3 (arXiv 2411.15124, section 3.2). A single shared run, the rule of GPT-3 (arXiv 2005.14165, appendix C), would
drop every problem that ends in "where m and n are relatively prime positive integers. Find m + n."
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

RUN_WORDS = 8
COVERED_SHARE = 0.5
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class TestQuestion(NamedTuple):
    __test__ = False  # no test class, whatever pytest reads from the name

    benchmark: str
    row_id: str
    text: str


class Match(NamedTuple):
    """A test question that a text repeats; share: of its words, in common runs."""

    benchmark: str
    row_id: str
    share: float

    @property
    def exact(self) -> bool:
        return self.share == 1.0


class TestQuestions:
    """An index of test questions: a text is looked up in a time that hardly depends on their number."""

    __test__ = False

    def __init__(self, questions: Iterable[TestQuestion]) -> None:
        self._questions = list(questions)
        self._numbers: dict[str, int] = {}  # word -> number, so that a run hashes the same in every process
        self._same: dict[tuple[int, ...], list[int]] = defaultdict(list)  # all words of questions -> those questions
        self._lengths: list[int] = []
        runs, owners, places = [], [], []
        for owner, question in enumerate(self._questions):
            found = tuple(self._numbers.setdefault(word, len(self._numbers)) for word in words(question.text))
            self._lengths.append(len(found))
            self._same[found].append(owner)
            own = _runs(found)
            runs += own
            owners += [owner] * len(own)
            places += range(len(own))
        order = np.argsort(np.array(runs, dtype=np.int64), kind="stable")
        # Of each run of 8 words: its hash, ascending, the question it stands in, and the place there.
        self._runs = np.array(runs, dtype=np.int64)[order]
        self._owners = np.array(owners, dtype=np.int32)[order]
        self._places = np.array(places, dtype=np.int32)[order]

    def matches(self, text: str) -> list[Match]:
        """The questions that `text` repeats, in the order they were given."""
        found = tuple(self._numbers.get(word, -1) for word in words(text))
        if not found:
            return []
        shares = dict.fromkeys(self._same.get(found, ()), 1.0)
        runs = np.array(_runs(found), dtype=np.int64)
        first = np.searchsorted(self._runs, runs, side="left")
        last = np.searchsorted(self._runs, runs, side="right")
        covered: dict[int, set[int]] = defaultdict(set)
        for run in np.flatnonzero(last > first):
            here = slice(first[run], last[run])
            for owner, place in zip(self._owners[here].tolist(), self._places[here].tolist(), strict=True):
                covered[owner].update(range(place, place + RUN_WORDS))
        for owner, places in covered.items():
            share = len(places) / self._lengths[owner]
            if share > COVERED_SHARE:
                shares[owner] = max(share, shares.get(owner, 0.0))
        return [
            Match(self._questions[owner].benchmark, self._questions[owner].row_id, share)
            for owner, share in sorted(shares.items())
        ]


def _runs(numbers: tuple[int, ...]) -> list[int]:
    """A hash of each run of words; that of whole numbers is the same in every process."""
    return [hash(numbers[start : start + RUN_WORDS]) for start in range(len(numbers) - RUN_WORDS + 1)]


class Report:
    """What was dropped: counts by benchmark for the manifest, and every pair for the report file."""

    def __init__(self, benchmarks: Sequence[str]):
        self.pairs: list[dict] = []
        self._dropped: dict[str, Counter] = {name: Counter() for name in benchmarks}

    def drop(self, row_id: str, matches: Sequence[Match]) -> None:
        for match in matches:
            self.pairs.append(
                {
                    "row": row_id,
                    "benchmark": match.benchmark,
                    "question": match.row_id,
                    "share": round(match.share, 3),
                }
            )
        for name in {match.benchmark for match in matches}:
            exact = any(match.exact for match in matches if match.benchmark == name)
            self._dropped[name]["exact" if exact else "near"] += 1

    def counts(self) -> dict[str, dict[str, int]]:
        """Benchmark -> rows dropped because of it; a row that repeats two benchmarks counts for both."""
        return {name: {kind: counts[kind] for kind in ("exact", "near")} for name, counts in self._dropped.items()}
