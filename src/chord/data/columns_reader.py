"""Reads a dataset with any columns by a map of the columns: questions, multiple choice, or ready chat messages."""

from collections.abc import Iterator
from pathlib import Path

from chord.data import row_values
from chord.data.hub_folder import read_folder
from chord.data.references import NoReference, reference
from chord.data.row_format import render, row, user_text
from chord.data.rows_spec import ColumnRows
from chord.errors import UserError


def column_rows(
    source: ColumnRows, folder: Path, name: str, without: list[NoReference] | None = None
) -> Iterator[dict]:
    """Yield rows in the order of the files. name: prefix of every id, and the group if the dataset has none.

    without: collects the errors of rows without a reference answer, which are skipped; if it is None, such a row raises
    its error.
    """
    columns = source.columns
    for number, (place, raw) in enumerate(read_folder(folder, source.files)):
        meta = {}
        if columns.messages is not None:
            messages = prompt_of(row_values.messages(place, raw, columns.messages))
            question = user_text(messages)
        else:
            question = row_values.text(place, raw, columns.question)
            content: list = [question]
            if columns.options is not None:
                meta["options"] = row_values.texts(place, raw, columns.options)
                content.append(meta["options"])
            try:
                messages = render(source.task, *content)
            except UserError as error:
                raise UserError(f"{place}: column {columns.options or columns.question}: {error}") from None
            question = "\n".join([question, *meta.get("options", [])])
        if columns.rubric is not None:
            meta["rubric"] = row_values.criteria(place, raw, columns.rubric)
        if not messages or not question.strip():
            raise UserError(f"{place}: column {columns.messages}: expected a message of the user before the answer")
        try:
            gold = reference(place, raw, source)
        except NoReference as error:
            if without is None:
                raise
            without.append(error)
            continue
        if (
            "options" in meta
            and columns.answer is not None
            and not (gold.isdecimal() and int(gold) < len(meta["options"]))
        ):
            raise UserError(
                f"{place}: column {columns.answer}: expected the index of one of {len(meta['options'])} options, "
                f"counted from 0, got {gold!r}"
            )
        row_name = f"{number:06d}" if columns.id is None else row_values.label(place, raw, columns.id)
        group = name if columns.group is None else row_values.label(place, raw, columns.group)
        yield row(f"{name}-{row_name}", messages, gold, source.task, group, question, **meta)


def prompt_of(messages: list[dict]) -> list[dict]:
    """The messages before the last one of the assistant, or all messages if it has none."""
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    return messages[: places[-1]] if places else messages
