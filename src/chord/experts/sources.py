"""Sources of expert trajectories with one interface.

They are the world's solver, BFCL's official answers, a model, a served model and a dataset.

A source takes prompt rows and returns judged candidates for each. It does not select any (`chord.experts.make` does).
"""

import json
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from chord import tasks
from chord.data import row_values
from chord.data.columns_reader import prompt_of
from chord.data.hub_folder import read_folder, source_folder
from chord.data.openr1_reader import read_openr1
from chord.data.row_format import question_of
from chord.errors import UserError
from chord.experts.experts_spec import (
    DatasetSource,
    ModelSource,
    OfficialSource,
    ServerSource,
    SolverSource,
    Source,
)
from chord.experts.written_calls import write
from chord.io.devices import claim_gpus
from chord.io.provenance import folder_sha256, json_hash, source_sha256
from chord.rollouts import encode_prompts
from chord.tasks import Verdict
from chord.world import problems, solutions

if TYPE_CHECKING:  # checking a configuration must not load pyarrow
    from chord.rollouts.completions import Batch, CompleteBatches, Completion, FinishedBatches


class Candidate(NamedTuple):
    """A trajectory that may be selected. verdict: the task's, or that of the dataset from which it comes."""

    text: str
    verdict: Verdict


class Candidates(Protocol):
    """A source, which returns the candidates of every row in the order of the rows."""

    def candidates(self, rows: list[dict]) -> Iterable[list[Candidate]]: ...


def open_source(source: Source, seed: int, parts: "FinishedBatches") -> Candidates:
    """Open a source. parts: where a source that generates stores its finished batches."""
    if isinstance(source, SolverSource):
        return Solver()
    if isinstance(source, OfficialSource):
        return Official(source)
    if isinstance(source, ModelSource):
        return Model(source, seed, parts)
    if isinstance(source, ServerSource):
        return Server(source, seed, parts)
    return Dataset(source)


class Solver:
    """One trajectory for every problem of the world."""

    def candidates(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        for row in rows:
            if row["task"] != "world":
                raise UserError(f"row {row['id']!r}: the solver only solves task 'world', got {row['task']!r}")
            text = solutions.write_expert(problems.parse(row["messages"][-1]["content"]))
            yield [Candidate(text, tasks.verdict(row, text, truncated=False))]


class Official:
    """The official answer of every row of BFCL's training tasks."""

    def __init__(self, source: OfficialSource):
        self.style = source.style

    def candidates(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        for row in rows:
            if row["task"] not in ("bfcl_call", "bfcl_tool_call"):
                raise UserError(
                    f"row {row['id']!r}: official answers are only those of the tasks 'bfcl_call' and "
                    f"'bfcl_tool_call', got {row['task']!r}"
                )
            text = write(row, self.style)
            yield [] if text is None else [Candidate(text, tasks.verdict(row, text, truncated=False))]


class Model:
    """`samples` completions of every prompt by a model folder; the noise of each depends on (seed, row id, sample)."""

    def __init__(self, source: ModelSource, seed: int, parts: "FinishedBatches"):
        self.source, self.seed, self.parts = source, seed, parts

    def candidates(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        # Imported here because the other sources need no torch.
        from chord.rollouts.policy import policy_tokenizer
        from chord.rollouts.workers import complete_batches, machine_record

        source, folder = self.source, Path(self.source.folder)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected a model folder")
        claim_gpus(getattr(source.backend, "tensor_parallel_size", 1))
        where = {"model": folder_sha256(folder)} | machine_record()
        self.parts.claim(_identity(source.decisive_specification(), self.seed, rows) | where)
        prompts = encode_prompts(policy_tokenizer(folder, rows), rows)
        complete = partial(complete_batches, source.backend, folder, source.decoding)
        return _judge_completions(rows, prompts, source, self.seed, self.parts, complete)


class Server:
    """`samples` answers of a served model to every prompt, under the server's own chat template."""

    def __init__(self, source: ServerSource, seed: int, parts: "FinishedBatches"):
        self.source, self.seed, self.parts = source, seed, parts

    def candidates(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        from chord.rollouts.server import ChatServer

        source = self.source
        self.parts.claim(_identity(source.decisive_specification(), self.seed, rows))
        server = ChatServer(source, source.decoding)

        def complete(batches: "list[Batch]") -> "Iterator[tuple[Batch, list[Completion]]]":
            return ((batch, server.complete(batch)) for batch in batches)

        return _judge_completions(rows, [row["messages"] for row in rows], source, self.seed, self.parts, complete)


def _identity(source: dict, seed: int, rows: list[dict]) -> dict:
    return {"source": source, "seed": seed, "rows": json_hash(rows), "code": source_sha256("rollouts")}


def _judge_completions(
    rows: list[dict],
    prompts: list[list],
    source: ModelSource | ServerSource,
    seed: int,
    parts: "FinishedBatches",
    complete_batches: "CompleteBatches",
) -> Iterator[list[Candidate]]:
    """Yield the candidates of each row. `parts` stores no verdicts: a new grader must not require new completions."""
    from chord.rollouts.completions import stream

    count, noise = source.samples, (seed, "experts")
    completions = stream(rows, prompts, count, noise, source.batch_rows, parts, complete_batches)
    texts, truncated = completions["text"].to_pylist(), completions["truncated"].to_pylist()
    every = (row for row in rows for _ in range(count))
    candidates = map(Candidate, texts, tasks.verdicts(zip(every, texts, truncated, strict=True)))
    for _ in rows:
        yield list(islice(candidates, count))


class Dataset:
    """The generations that a dataset has for a row: for its problem, or as the answer to exactly the same messages."""

    def __init__(self, source: DatasetSource):
        self.source = source
        self.folder = source_folder(source.folder, source.dataset)

    def candidates(self, rows: list[dict]) -> Iterator[list[Candidate]]:
        keys = [self._key(row) for row in rows]
        wanted_keys = set(keys)
        candidates_by_key: dict[str, list[Candidate]] = {}
        for key, candidates in self._generations():  # of 220,000 long rows on the hub only a few stay in memory
            if key in wanted_keys:
                candidates_by_key.setdefault(key, []).extend(candidates)
        if not candidates_by_key:
            raise UserError(
                f"{self.folder}: none of its problems is among the {len(rows)} prompts; expected prompts that were "
                "taken from this dataset"
            )
        for key in keys:
            yield candidates_by_key.get(key, [])

    def _key(self, row: dict) -> str:
        return json.dumps(row["messages"]) if self.source.format == "messages" else question_of(row)

    def _generations(self) -> Iterator[tuple[str, list[Candidate]]]:
        if self.source.format == "openr1":
            for problem in read_openr1(self.folder, self.source.files):
                verdicts = [_verified(generation.verified) for generation in problem.generations]
                texts = [generation.text for generation in problem.generations]
                yield problem.problem, [Candidate(*pair) for pair in zip(texts, verdicts, strict=True)]
        elif self.source.format == "answers":
            for place, raw in read_folder(self.folder, self.source.files):
                columns = (self.source.question, self.source.thinking, self.source.answer)
                question, thinking, answer = (row_values.text(place, raw, column) for column in columns)
                text = f"<think>\n{thinking.strip()}\n</think>\n{answer.strip()}"
                yield question, [Candidate(text, _of_dataset())]
        else:
            for place, raw in read_folder(self.folder, self.source.files):
                messages = row_values.messages(place, raw, self.source.messages)
                prompt = prompt_of(messages)
                if len(prompt) == len(messages):
                    raise UserError(f"{place}: column {self.source.messages}: expected a message of the assistant")
                text = messages[len(prompt)]["content"]
                yield json.dumps(prompt), [Candidate(text, _of_dataset())]


def _of_dataset() -> Verdict:
    return Verdict(tasks.CORRECT, True, True, "dataset")


def _verified(verified: bool) -> Verdict:
    if verified:
        return Verdict(tasks.CORRECT, True, True, "correctness_math_verify")
    return Verdict(tasks.WRONG, False, True, "not_verified")
