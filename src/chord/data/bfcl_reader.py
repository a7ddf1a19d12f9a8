"""Reads the Berkeley Function-Calling Leaderboard, version 3: JSON Lines of questions and of possible answers.

Each category is a file of questions and, except for irrelevance, a file of the same name in `possible_answer/`. The
hub's own loader fails on their mixed types, so they are read line by line. The paper evaluates the eight categories
whose calls are checked argument by argument (the authors' README in Trinity-RFT, examples/mix_chord).
"""

import json
from collections.abc import Iterator
from pathlib import Path

from chord.data import row_values
from chord.data.hub_folder import data_files, read_data_file
from chord.data.row_format import render, row, user_text
from chord.data.rows_spec import BfclFiles, BfclPromptsSource, BfclSource
from chord.errors import UserError
from chord.tasks.bfcl_checker import check_question

ANSWERS = "possible_answer"


def bfcl_files(source: BfclFiles, folder: Path) -> dict[str, tuple[Path, Path | None]]:
    """Category -> its file of questions and its file of answers, or None if no call is the right answer."""
    all_files = data_files(folder, [*source.globs, *(f"*BFCL_v3_{category}.parquet" for category in source.categories)])
    files = {}
    for category in source.categories:
        name = f"BFCL_v3_{category}.json"
        names = (name, f"BFCL_v3_{category}.parquet")
        matches = {path.parent.name == ANSWERS: path for path in all_files if path.name in names}
        if False not in matches:
            raise UserError(f"{folder}: no file {name}; expected one for the category {category!r}")
        if True not in matches and not category.endswith("irrelevance"):
            raise UserError(f"{folder}: no file {ANSWERS}/{name}; only the irrelevance categories have none")
        files[category] = (matches[False], matches.get(True))
    return files


def bfcl_rows(source: BfclSource | BfclPromptsSource, folder: Path) -> Iterator[dict]:
    """Yield the rows of the categories in the given order. gold: JSON of the ground truth, `[]` if no call is right.

    Groups are live/<category> and non_live/<category>, so that tables show both halves and the categories.
    """
    for category, (questions, answers) in bfcl_files(source, folder).items():
        truths: dict[str, list] = {}
        for place, raw in read_data_file(answers) if answers else ():
            truth = truths[row_values.label(place, raw, "id")] = _list(place, raw, "ground_truth")
            _check(place, "ground_truth", truth, [], truth)
        for place, raw in read_data_file(questions):
            row_id = row_values.label(place, raw, "id")
            if answers and row_id not in truths:
                raise UserError(f"{place}: column id: {row_id!r} has no answer in {answers}")
            turns = _list(place, raw, "question")
            if len(turns) != 1:
                raise UserError(f"{place}: column question: expected one turn, got {len(turns)}")
            messages = row_values.messages(place, {"question": turns[0]}, "question")
            functions = _list(place, raw, "function")
            _check(place, "function", functions, functions, [])
            yield row(
                row_id,
                render(source.task, messages, functions),
                json.dumps(truths.get(row_id, []), ensure_ascii=False),
                source.task,
                f"{'live' if category.startswith('live_') else 'non_live'}/{category}",
                user_text(messages),
                functions=functions,
                category=category,
            )


def _check(place: str, column: str, value: list, functions: list, truth: list) -> None:
    if not all(isinstance(item, dict) for item in value):
        raise row_values.wrong(place, column, "a list of objects", value)
    try:
        check_question(functions, truth)
    except UserError as error:
        raise UserError(f"{place}: column {column}: {error}") from None


def _list(place: str, raw: dict, column: str) -> list:
    value = row_values.value(place, raw, column)
    if not isinstance(value, list):
        raise row_values.wrong(place, column, "a list", value)
    return value
