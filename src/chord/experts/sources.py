"""Three sources of expert trajectories behind one interface: the world's solver, a model, a dataset.

A source takes prompt rows and gives the candidates of each, judged. It selects nothing (`chord.experts.make` does).
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from chord import tasks
from chord.data import solutions, values, world
from chord.data.columns import prompt_of
from chord.data.hub_folder import located, read_folder
from chord.data.openr1 import read_openr1
from chord.data.rendering import question_of
from chord.errors import UserError
from chord.experts.spec import DatasetSource, ModelSource, SolverSource, Source
from chord.rollouts import encode_prompts
from chord.seeds import derive_seed
from chord.tasks import Verdict

CHUNK_ROWS = 64  # prompts a model is given at once: bounds memory, changes no sample


class Candidate(NamedTuple):
    """A trajectory that might be kept; verdict: of the task, or of the dataset it comes from."""

    text: str
    verdict: Verdict


class Candidates(Protocol):
    """A source: the candidates of every row, in the order of the rows."""

    def candidates(self, rows: list[dict]) -> Iterable[list[Candidate]]: ...


def open_source(source: Source, seed: int) -> Candidates:
    if isinstance(source, SolverSource):
        return Solver()
    if isinstance(source, ModelSource):
        return Model(source, seed)
    return Dataset(source)


class Solver:
    """One trajectory for every problem of the world."""

    def candidates(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        for row in rows:
            if row["task"] != "world":
                raise UserError(f"row {row['id']!r}: the solver knows task 'world' only, not {row['task']!r}")
            text = solutions.write_expert(world.parse(row["messages"][-1]["content"]))
            yield [Candidate(text, tasks.verdict(row, text, truncated=False))]


class Model:
    """`samples` completions of every prompt. The noise of each belongs to (seed, row id, sample number)."""

    def __init__(self, source: ModelSource, seed: int):
        # Here and not above: the other sources need no torch.
        from chord.rollouts.huggingface import HuggingFaceEngine, load_model, stop_tokens

        self.source, self.seed = source, seed
        model, self.tokenizer = load_model(source.folder)
        self.engine = HuggingFaceEngine(model, *stop_tokens(model, self.tokenizer), source.batch_rows)

    def candidates(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        for start in range(0, len(rows), CHUNK_ROWS):
            yield from self._chunk(rows[start : start + CHUNK_ROWS])

    def _chunk(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        count = self.source.samples
        prompts = [ids for ids in encode_prompts(self.tokenizer, rows) for _ in range(count)]
        seeds = [derive_seed(self.seed, "experts", row["id"], sample) for row in rows for sample in range(count)]
        samples = self.engine.generate(prompts, seeds, self.source.decoding)
        judged = tasks.judge_samples(self.tokenizer, [row for row in rows for _ in range(count)], samples)
        for start in range(0, len(judged), count):
            yield [Candidate(*pair) for pair in judged[start : start + count]]


class Dataset:
    """The generations that the dataset has for a row: of its problem, or as the answer to the very same messages."""

    def __init__(self, source: DatasetSource):
        self.source = source
        self.folder = located(source.folder, source.dataset)

    def candidates(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        keys = [self._key(row) for row in rows]
        asked = set(keys)
        found: dict[str, list[Candidate]] = {}
        for key, candidates in self._generations():  # 220,000 long rows on the hub: few stay in memory
            if key in asked:
                found.setdefault(key, []).extend(candidates)
        if not found:
            raise UserError(
                f"{self.folder}: none of its problems is among the {len(rows)} prompts; a dataset serves only prompts "
                "that were taken from it"
            )
        for key in keys:
            yield found.get(key, [])

    def _key(self, row: dict) -> str:
        return question_of(row) if self.source.format == "openr1" else json.dumps(row["messages"])

    def _generations(self) -> Iterator[tuple[str, list[Candidate]]]:
        if self.source.format == "openr1":
            for problem in read_openr1(self.folder, self.source.files):
                verdicts = [_verified(generation.verified) for generation in problem.generations]
                texts = [generation.text for generation in problem.generations]
                yield problem.problem, [Candidate(*pair) for pair in zip(texts, verdicts, strict=True)]
        else:
            for place, raw in read_folder(self.folder, self.source.files):
                messages = values.messages(place, raw, self.source.messages)
                prompt = prompt_of(messages)
                if len(prompt) == len(messages):
                    raise UserError(f"{place}: column {self.source.messages}: expected a message of the assistant")
                text = messages[len(prompt)]["content"]
                yield json.dumps(prompt), [Candidate(text, Verdict(tasks.CORRECT, True, True, "dataset"))]


def _verified(verified: bool) -> Verdict:
    if verified:
        return Verdict(tasks.CORRECT, True, True, "correctness_math_verify")
    return Verdict(tasks.WRONG, False, True, "not_verified")
