"""Three small skills that have nothing to do with the world's arithmetic: what a method must not forget.

Each is a question with four numbered options; the answer is the number of the option. Pure functions of a seed.

    largest   largest of 1 is 7 , 2 is 3 , 3 is 9 , 4 is 0 ?                                   (gold "3")
    count     red blue red green . how many red ? 1 is 4 , 2 is 2 , 3 is 1 , 4 is 3 ?          (gold "2")
    next      2 4 6 next ? 1 is 7 , 2 is 9 , 3 is 8 , 4 is 1 ?                                 (gold "3")
"""

import hashlib
import random
from dataclasses import dataclass

COLOURS = ("red", "blue", "green", "black", "white", "pink")
GROUPS = ("largest", "count", "next")
TEST_SHARE = 0.2  # of all distinct questions, by hash: held out of pretraining


@dataclass(frozen=True)
class Choice:
    text: str
    gold: str  # "1" to "4"


def is_test(text: str) -> bool:
    """Whether a question is held out of pretraining: a property of its text, so the two sets cannot overlap."""
    place = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    return place % 1000 < 1000 * TEST_SHARE


def generate(seed: int, group: str) -> Choice:
    rng = random.Random(seed)
    if group == "largest":
        options = rng.sample(range(10), 4)
        return Choice(f"largest of {_options(options)}", _number(options, max(options)))
    if group == "count":
        wanted = rng.choice(COLOURS)
        right = rng.randint(1, 4)
        row = [wanted] * right + rng.choices([colour for colour in COLOURS if colour != wanted], k=rng.randint(1, 4))
        rng.shuffle(row)
        options = rng.sample(range(1, 5), 4)
        return Choice(f"{' '.join(row)} . how many {wanted} ? {_options(options)}", _number(options, right))
    if group == "next":
        start, step = rng.randrange(10), rng.randint(1, 4)
        row = [(start + place * step) % 10 for place in range(4)]
        options = [row[3], *rng.sample([digit for digit in range(10) if digit != row[3]], 3)]
        rng.shuffle(options)
        return Choice(f"{' '.join(map(str, row[:3]))} next ? {_options(options)}", _number(options, row[3]))
    raise ValueError(f"unknown skill {group!r}: expected one of {', '.join(GROUPS)}")


def answer(number: str) -> str:
    return f"option {number}"


def _options(options: list[int]) -> str:
    return " , ".join(f"{place} is {value}" for place, value in enumerate(options, start=1)) + " ?"


def _number(options: list[int], right: int) -> str:
    return str(options.index(right) + 1)
