"""Finds training prompts that repeat a test question, in the same words or in most of them.

Two questions are the same if their words are (letters and digits; case and punctuation do not count). They are
near-duplicates if runs of 8 words that both have cover more than half of the words of the test question: the rule of
Tulu 3 (arXiv 2411.15124, section 3.2). A single common run, the rule of GPT-3 (arXiv 2005.14165, appendix C), would
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
    __test__ = False  # it is not a test class, although pytest would think so from its name

    benchmark: str
    row_id: str
    text: str


class Match(NamedTuple):
    """A test question that a text repeats. share: the share of its words that are in common runs."""

    benchmark: str
    row_id: str
    share: float

    @property
    def exact(self) -> bool:
        return self.share == 1.0


class TestQuestions:
    """An index of test questions; the time to look up a text hardly depends on their number."""

    __test__ = False

    def __init__(self, questions: Iterable[TestQuestion]) -> None:
        self._questions = list(questions)
        self._numbers: dict[str, int] = {}  # word -> number, so that a run hashes the same in every process
        self._same: dict[tuple[int, ...], list[int]] = defaultdict(list)  # all words of a question -> its questions
        self._lengths: list[int] = []
        runs, owners, places = [], [], []
        for owner, question in enumerate(self._questions):
            numbers = tuple(self._numbers.setdefault(word, len(self._numbers)) for word in words(question.text))
            self._lengths.append(len(numbers))
            self._same[numbers].append(owner)
            own_runs = _runs(numbers)
            runs += own_runs
            owners += [owner] * len(own_runs)
            places += range(len(own_runs))
        order = np.argsort(np.array(runs, dtype=np.int64), kind="stable")
        # For each run of 8 words: its hash (ascending), its question, and its place in the question.
        self._runs = np.array(runs, dtype=np.int64)[order]
        self._owners = np.array(owners, dtype=np.int32)[order]
        self._places = np.array(places, dtype=np.int32)[order]

    def matches(self, text: str) -> list[Match]:
        """The questions that `text` repeats, in the order of the index."""
        numbers = tuple(self._numbers.get(word, -1) for word in words(text))
        if not numbers:
            return []
        shares = dict.fromkeys(self._same.get(numbers, ()), 1.0)
        runs = np.array(_runs(numbers), dtype=np.int64)
        first = np.searchsorted(self._runs, runs, side="left")
        last = np.searchsorted(self._runs, runs, side="right")
        covered_places: dict[int, set[int]] = defaultdict(set)
        for run in np.flatnonzero(last > first):
            here = slice(first[run], last[run])
            for owner, place in zip(self._owners[here].tolist(), self._places[here].tolist(), strict=True):
                covered_places[owner].update(range(place, place + RUN_WORDS))
        for owner, places in covered_places.items():
            share = len(places) / self._lengths[owner]
            if share > COVERED_SHARE:
                shares[owner] = max(share, shares.get(owner, 0.0))
        return [
            Match(self._questions[owner].benchmark, self._questions[owner].row_id, share)
            for owner, share in sorted(shares.items())
        ]


def _runs(numbers: tuple[int, ...]) -> list[int]:
    """A hash of each run of words; the hash of integers is the same in every process."""
    return [hash(numbers[start : start + RUN_WORDS]) for start in range(len(numbers) - RUN_WORDS + 1)]


class Report:
    """Collects the dropped rows: counts per benchmark for the manifest, and every pair for the report file."""

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
        """Benchmark -> number of rows that were dropped because of it; a row that repeats two counts for both."""
        return {name: {kind: counts[kind] for kind in ("exact", "near")} for name, counts in self._dropped.items()}
