"""Builds the pool from which a training set is drawn: the rows that a recipe admits, and why it drops the others.

The recipe for maths is the authors' script `get_openr1_data.py` in Trinity-RFT's example mix_chord. The recipe for tool
calls is Tool-N1's processing in their `get_toolace_data.py`, of which the paper uses the single-turn dialogues.
"""

import itertools
import json
import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chord.data.bfcl_reader import bfcl_rows
from chord.data.columns_reader import column_rows
from chord.data.openr1_reader import read_openr1
from chord.data.references import NoReference
from chord.data.row_format import render, row
from chord.data.rows_spec import BfclPromptsSource, ColumnRows, OpenR1Source, ToolAceSource
from chord.data.toolace_reader import read_toolace
from chord.errors import UserError
from chord.tasks import fault
from chord.tasks.bfcl_answers import right_calls

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)
CHINESE = re.compile("[\\u3400-\\u4dbf\\u4e00-\\u9fff]")
CHUNK_PROBLEMS = 256  # problems whose generations are tokenised together, on all cores of the process


@dataclass
class Pool:
    """Rows in the order of the dataset."""

    rows: list[dict] = field(default_factory=list)
    for_rl: list[bool] = field(default_factory=list)  # whether RL may use the row
    rows_read: int = 0
    drops: Counter = field(default_factory=Counter)  # reason -> number of rows

    def add(self, new: dict, for_rl: bool) -> None:
        self.rows.append(new)
        self.for_rl.append(for_rl)


def openr1_pool(source: OpenR1Source, folder: Path, tokenizer: "PreTrainedTokenizerBase") -> Pool:
    """The problems without Chinese characters and with a verified generation that is not too long.

    RL needs an integer answer and `min_generations_rl` such generations.
    """
    pool = Pool()
    problems = iter(read_openr1(folder, source.files))
    while chunk := list(itertools.islice(problems, CHUNK_PROBLEMS)):
        pool.rows_read += len(chunk)
        without_chinese = [problem for problem in chunk if not CHINESE.search(problem.problem)]
        pool.drops["chinese"] += len(chunk) - len(without_chinese)
        texts = [
            generation.text for problem in without_chinese for generation in problem.generations if generation.verified
        ]
        lengths = iter(_lengths(tokenizer, texts))
        for problem in without_chinese:
            verified = [next(lengths) for generation in problem.generations if generation.verified]
            surviving = sum(length <= source.max_generation_tokens for length in verified)
            if not surviving:
                pool.drops["no_verified_generation" if not verified else "generations_too_long"] += 1
            elif not problem.problem.strip() or not problem.answer.strip():
                pool.drops["empty"] += 1
            else:
                new = row(
                    f"openr1-{problem.uuid}",
                    render(source.task, problem.problem),
                    problem.answer.strip(),
                    source.task,
                    "openr1",
                    problem.problem,
                    generations=surviving,
                )
                pool.add(new, _is_integer(problem.answer) and surviving >= source.min_generations_rl)
    return pool


def _lengths(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> list[int]:
    """The number of tokens of each text, with the end token."""
    return [len(ids) + 1 for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []


def _is_integer(answer: str) -> bool:
    """Whether Python's `int` accepts the answer, which is the test in the authors' script."""
    try:
        int(answer)
    except ValueError:
        return False
    return True


def toolace_pool(source: ToolAceSource, folder: Path) -> Pool:
    """The single-turn dialogues whose calls name functions that are offered."""
    pool = Pool()
    for dialogue in read_toolace(folder, source.files):
        pool.rows_read += 1
        if dialogue.dropped:
            pool.drops[dialogue.dropped] += 1
            continue
        turns = [{"role": "user", "content": dialogue.question}]
        new = row(
            f"toolace-{dialogue.number:06d}",
            render(source.task, turns, list(dialogue.functions)),
            json.dumps(dialogue.calls, ensure_ascii=False),
            source.task,
            "toolace",
            dialogue.question,
        )
        pool.add(new, True)
    return pool


def bfcl_pool(source: BfclPromptsSource, folder: Path) -> Pool:
    """All questions of the categories that can be answered: BFCL v3 has four whose answer its own rules refuse."""
    pool = Pool()
    for new in bfcl_rows(source, folder):
        pool.rows_read += 1
        if right_calls(new["meta"]["functions"], json.loads(new["gold"]), new["meta"]["category"]) is None:
            pool.drops["no_right_answer"] += 1
        else:
            pool.add(new, True)
    return pool


def column_pool(source: ColumnRows, folder: Path, name: str) -> Pool:
    """All rows, read by the map of the columns, whose reference answer (if any) the grader of the task can use.

    Other rows are dropped from training; in a benchmark they are an error (`chord.data.benchmark`).
    """
    pool = Pool()
    faults: list[UserError] = []
    without: list[NoReference] = []
    for new in column_rows(source, folder, name, without):
        problem = fault(new) if source.columns.graded else None
        if problem:
            faults.append(UserError(f"column {source.columns.answer}: {problem}"))
        else:
            pool.add(new, True)
    unusable = [*without, *faults]
    pool.rows_read = len(pool.rows) + len(unusable)
    pool.drops["unusable_answer"] = len(unusable)
    if unusable and not pool.rows:
        raise UserError(f"{folder}: none of its {pool.rows_read} rows has an answer that can be used; {unusable[0]}")
    if unusable:
        log.warning("dropped %d of %d rows without a usable answer: %s", len(unusable), pool.rows_read, unusable[0])
    return pool
