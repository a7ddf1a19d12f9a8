"""Three small skills that have nothing to do with the world's arithmetic: what a method must not forget.

Each is a question with four numbered options; the answer names the value and the number of its option, which is all
that counts. Pure functions of a seed.

    largest   largest of 1 is 7 , 2 is 3 , 3 is 9 , 4 is 0 ?                      "9 is option 3"
    odd       odd of 1 is red , 2 is 4 , 3 is pink , 4 is blue ?                  "4 is option 2"
    next      2 4 6 next ? 1 is 7 , 2 is 9 , 3 is 8 , 4 is 1 ?                    "8 is option 3"
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("red", "blue", "green", "black", "white", "pink")
DIGITS = tuple("0123456789")
GROUPS = ("largest", "odd", "next")
TEST_SHARE = 0.2  # of all distinct questions, by hash: held out of pretraining


@dataclass(frozen=True)
class Question:
    text: str
    gold: str  # number of the right option, "1" to "4"
    value: str  # what stands at that option

    @property
    def solution(self) -> str:
        return f"{self.value} is option {self.gold}"


def is_test(text: str) -> bool:
    """Whether a question is held out of pretraining: a property of its text, so the two sets cannot overlap."""
    place = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    return place % 1000 < 1000 * TEST_SHARE


def generate(seed: int, group: str) -> Question:
    rng = random.Random(seed)
    if group == "largest":
        options = rng.sample(DIGITS, 4)
        return _question("largest of", options, max(options))
    if group == "odd":
        kinds = [COLOURS, DIGITS]
        rng.shuffle(kinds)
        odd = rng.choice(kinds[0])
        options = [odd, *rng.sample(kinds[1], 3)]
        rng.shuffle(options)
        return _question("odd of", options, odd)
    if group == "next":
        start, step = rng.randrange(10), rng.randint(1, 3)
        row = [str((start + place * step) % 10) for place in range(4)]
        options = [row[3], *rng.sample([digit for digit in DIGITS if digit != row[3]], 3)]
        rng.shuffle(options)
        return _question(f"{' '.join(row[:3])} next ?", options, row[3])
    raise ValueError(f"unknown skill {group!r}: expected one of {', '.join(GROUPS)}")


def _question(text: str, options: Sequence[str], right: str) -> Question:
    shown = " , ".join(f"{place} is {value}" for place, value in enumerate(options, start=1))
    return Question(f"{text} {shown} ?", str(options.index(right) + 1), right)
