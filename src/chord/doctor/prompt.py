"""A prompt of the study as its start model reads it: rendered by the chat template, tokenised, and decoded again.

What the model's tokenizer would do wrong shows here and not after a day: other tokens than its file has, a template
that takes no system message or has opened the thinking, an end token that is none.
"""

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from chord.data.columns_reader import column_rows
from chord.data.rows_spec import ColumnRows, SplitsSource, WorldSource
from chord.doctor.finding import Finding
from chord.doctor.free_space import start_model
from chord.errors import UserError
from chord.io.files import read_jsonl
from chord.study import Study
from chord.world.rows import world_rows

SHOWN_CHARACTERS = 300  # of a prompt's beginning, and of its end


def findings(study: Study, results: Path) -> Iterator[Finding]:
    folder = start_model(study, results)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        return  # a missing model is a finding of its own, and one that is trained here has no tokenizer yet
    try:
        rows = prompts(study, results)
    except UserError as error:
        yield Finding("missing", "prompt", str(error))
        return
    if not rows:
        yield Finding("note", "prompt", "shown when the data are there: after `snakemake` has prepared them")
        return
    # torch, which comes with the tokenizer, stays out of this process.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield from pool.submit(examined, folder, rows).result()


def examined(folder: Path, rows: list[dict]) -> list[Finding]:
    """rows: prompts that the policy in `folder` is to answer; the first is shown."""
    return list(_examined(folder, rows))


def _examined(folder: Path, rows: list[dict]) -> Iterator[Finding]:
    from chord.rollouts import chat, encode_prompts
    from chord.rollouts.policy import notes, policy_tokenizer  # seconds, and torch

    try:
        tokenizer = policy_tokenizer(folder, rows)
        ids = encode_prompts(tokenizer, rows[:1])[0]
    except UserError as error:
        yield Finding("missing", "prompt", str(error), "another model folder, or mend this one's files")
        return
    messages = rows[0]["messages"]
    rendered = chat.render(tokenizer, messages if chat.takes_system(tokenizer) else chat.without_system(messages))
    again = tokenizer.decode(ids, skip_special_tokens=False)
    same = "".join(again.split()) == "".join(rendered.split())
    end = chat.end_token(tokenizer)
    shown = f"{rows[0]['id']}: {len(ids)} tokens; a response ends with {chat.added_tokens(tokenizer)[end]} ({end})"
    yield Finding("ok", "prompt", f"{shown}; rendered {_shown(rendered)}")
    if same:
        yield Finding("ok", "decoded", "the tokens are the same text again, but for spaces")
    else:
        yield Finding("note", "decoded", _shown(again), "text that the tokenizer changes is lost to the model")
    for line in notes(tokenizer, rows):
        yield Finding("note", "prompt", line)


def prompts(study: Study, results: Path) -> list[dict]:
    """Prompts of RL: those that are prepared, else some of the source's where it can be read now; [] otherwise."""
    prepared = results / study.name / "data/rl.jsonl"
    if prepared.is_file():
        return read_jsonl(prepared)
    source = study.data.source
    if isinstance(source, WorldSource):
        return world_rows("rl", "rl", source.k, len(source.k), study.data.seed)
    if isinstance(source, SplitsSource):
        source = source.rl
    if not isinstance(source, ColumnRows):
        return []  # a recipe that chooses among the rows
    folder = study.root / source.folder if source.folder else results / study.name / "hub/datasets" / source.dataset
    return list(column_rows(source, folder, "rl", [])) if folder.is_dir() else []


def _shown(text: str) -> str:
    if len(text) > 2 * SHOWN_CHARACTERS:
        text = f"{text[:SHOWN_CHARACTERS]} [...] {text[-SHOWN_CHARACTERS:]}"
    return json.dumps(text, ensure_ascii=False)
