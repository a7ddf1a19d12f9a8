"""Makes rows from the procedural data sets of reasoning_gym, mixed by weights.

A hash of its question puts every entry on one side: SFT, RL, validation or test. So no question is on two, whatever
their seeds and sizes. (Two sums may still differ in one digit only: that is what procedural tasks are.)
"""

from collections.abc import Iterator
from itertools import accumulate, count, islice

from chord.data.row_format import render, row
from chord.data.rows_spec import GymPromptsSource, GymSource, GymTestSource
from chord.errors import UserError
from chord.io.seeds import MAX_SEED, derive_seed
from chord.tasks.reasoning_gym import open_dataset

SIDES = ("sft", "rl", "validation", "test")
MAX_MISSES = 2_000  # entries in a row that are on another side or known: a side has a quarter of all questions
TASK = "reasoning_gym"


def mixed_rows(side: str, source: GymPromptsSource, size: int, seed: int) -> list[dict]:
    """`size` rows of one side; row i is the same for every larger size. Each data set has its weight's share."""
    names = sorted(source.datasets)
    bounds = list(accumulate(source.weights.get(name, 1.0) for name in names))
    streams = {name: _stream(name, source, side, side, seed) for name in names}
    rows = []
    for place in range(size):
        point = derive_seed(seed, TASK, side, place) / (MAX_SEED + 1) * bounds[-1]
        name = next(name for name, bound in zip(names, bounds, strict=True) if point < bound)
        rows.append(next(streams[name]))
    return rows


def rows_of_each(benchmark: str, source: GymTestSource, size: int, seed: int) -> list[dict]:
    """`size` questions of every data set, each after the same solved examples, which are no test questions."""
    rows = []
    for name in source.datasets:
        examples = islice(_stream(name, source, "sft", benchmark, seed), source.examples)
        turns = [turn for example in examples for turn in _solved(example)]
        for question in islice(_stream(name, source, "test", benchmark, seed), size):
            system, asked = question["messages"]
            rows.append(question | {"messages": [system, *turns, asked]})
    return rows


def _solved(example: dict) -> list[dict]:
    """The question of a row, and its right answer as a reply."""
    if not example["gold"]:
        raise UserError(
            f"reasoning_gym: data set {example['group']!r} has no reference answers; expected examples: 0 for it"
        )
    return [example["messages"][-1], {"role": "assistant", "content": f"<answer>{example['gold']}</answer>"}]


def _stream(name: str, source: GymSource, side: str, prefix: str, seed: int) -> Iterator[dict]:
    """The different questions of one data set and side. prefix: of the ids, and part of the seed."""
    config = source.datasets[name]
    gym_seed = derive_seed(seed, TASK, prefix, name) % 2**32
    dataset = open_dataset(name, gym_seed, config)
    seen: set[str] = set()
    misses = 0
    for index in count():
        try:
            entry = dataset[index]
        except ValueError as error:  # a configuration that cannot be met
            raise UserError(f"reasoning_gym: data set {name!r}, entry {index}: {error}") from None
        question = entry["question"]
        if side_of(question) == side and _key(question) not in seen:
            seen.add(_key(question))
            misses = 0
            yield row(
                f"{prefix}-{name}-{index:06d}",
                render(TASK, question),
                entry["answer"] or "",  # some have a verifier only
                TASK,
                name,
                question,
                dataset=name,
                config=config,
                seed=gym_seed,
                index=index,
                reward=source.reward,
            )
        elif (misses := misses + 1) == MAX_MISSES:
            raise UserError(
                f"{side}: reasoning_gym's data set {name!r} has no new question after {len(seen):,} rows; ask for "
                "fewer, or configure it to have more"
            )


def side_of(question: str) -> str:
    return SIDES[derive_seed(TASK, "side", _key(question)) % len(SIDES)]


def _key(question: str) -> str:
    return " ".join(question.casefold().split())
