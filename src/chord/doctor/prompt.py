"""Shows a prompt of the study as its start model reads it: rendered by the chat template, tokenised, and decoded again.

This reveals problems of a tokenizer before a day of training: tokens that differ from its file, a template that takes
no system message or opens the thinking, an end token that is none.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from chord.data.columns_reader import column_rows
from chord.data.download_spec import folder_name
from chord.data.rows_spec import ColumnRows, SplitsSource, WorldSource
from chord.doctor.finding import Finding
from chord.doctor.free_space import start_model
from chord.errors import UserError
from chord.io.files import read_jsonl
from chord.study import Study
from chord.world.rows import world_rows

EXCERPT_CHARACTERS = 300  # of a prompt's beginning, and of its end


def findings(study: Study, results: Path) -> Iterator[Finding]:
    folder = start_model(study, results)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        return  # local_data reports a missing model, and a model that is trained here has no tokenizer yet
    try:
        rows = prompts(study, results)
    except UserError as error:
        yield Finding("missing", "prompt", str(error))
        return
    if not rows:
        yield Finding("note", "prompt", "no data yet; `snakemake` prepares them, then a prompt is shown here")
        return
    yield from examine_prompts(folder, rows)


def examine_prompts(folder: Path, rows: list[dict]) -> Iterator[Finding]:
    """rows: prompts for the policy in `folder`; the first is shown."""
    from chord.rollouts import chat, encode_prompts
    from chord.rollouts.policy import notes, policy_tokenizer  # seconds, and torch

    try:
        tokenizer = policy_tokenizer(folder, rows)
        ids = encode_prompts(tokenizer, rows[:1])[0]
    except UserError as error:
        yield Finding("missing", "prompt", str(error), "another model folder, or corrected files in this one")
        return
    messages = rows[0]["messages"]
    rendered = chat.render(tokenizer, messages if chat.takes_system(tokenizer) else chat.without_system(messages))
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    is_same = "".join(decoded.split()) == "".join(rendered.split())
    end = chat.end_token(tokenizer)
    summary = f"{rows[0]['id']}: {len(ids)} tokens; a response ends with {chat.added_tokens(tokenizer)[end]} ({end})"
    yield Finding("ok", "prompt", f"{summary}; rendered {_excerpt(rendered)}")
    if is_same:
        yield Finding("ok", "decoded", "the tokens decode to the same text, except for spaces")
    else:
        yield Finding("note", "decoded", _excerpt(decoded), "the model does not see text that the tokenizer changes")
    for line in notes(tokenizer, rows):
        yield Finding("note", "prompt", line)


def prompts(study: Study, results: Path) -> list[dict]:
    """Prompts of RL: those that are prepared, or else some of the source if it is readable already; otherwise []."""
    prepared = results / study.name / "data/rl.jsonl"
    if prepared.is_file():
        return read_jsonl(prepared)
    source = study.data.source
    if isinstance(source, WorldSource):
        return world_rows("rl", "rl", source.k, len(source.k), study.data.seed)
    if isinstance(source, SplitsSource):
        source = source.rl
    if not isinstance(source, ColumnRows):
        return []  # `prepare` has to select rows first
    if source.folder:
        folder = study.root / source.folder
    else:
        folder = results / study.name / "hub/datasets" / folder_name(source.dataset)
    return list(column_rows(source, folder, "rl", [])) if folder.is_dir() else []


def _excerpt(text: str) -> str:
    if len(text) > 2 * EXCERPT_CHARACTERS:
        text = f"{text[:EXCERPT_CHARACTERS]} [...] {text[-EXCERPT_CHARACTERS:]}"
    return json.dumps(text, ensure_ascii=False)
