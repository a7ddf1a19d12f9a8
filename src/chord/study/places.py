"""The local folders that a study names, and checks of their files. (For the hub see chord.study.hub.)"""

import difflib
from collections.abc import Iterator
from pathlib import Path

from chord.data.bfcl_reader import bfcl_files
from chord.data.hub_folder import data_files
from chord.data.rows_spec import BfclFiles, Place
from chord.errors import UserError
from chord.experts.experts_spec import ModelSource
from chord.study.config_problems import Keys
from chord.study.study import Study

Source = Place | ModelSource


def sources(study: Study) -> dict[Keys, Source]:
    """Keys of the study -> source of rows or model, for those that are local folders."""
    prompts = study.data.source
    by_keys = {("data", "source"): prompts}
    by_keys |= {(*keys, "source"): experts.source for keys, experts in study.expert_sections.items()}
    by_keys |= {("data", "source", part): getattr(prompts, part, None) for part in ("sft", "rl")}
    by_keys |= {("benchmarks", name, "data", "source"): row.data.source for name, row in study.benchmarks.items()}
    return {keys: one for keys, one in by_keys.items() if isinstance(one, Source) and one.folder is not None}


def folders(study: Study) -> dict[Keys, Path]:
    """Keys of the study -> local folder, including the start model's."""
    by_keys = {(*keys, "folder"): study.root / source.folder for keys, source in sources(study).items()}
    return by_keys if study.model_is_fetched else by_keys | {("model",): study.root / study.model}


def problems(study: Study) -> Iterator[tuple[Keys, str]]:
    """Yield (keys, message) for each missing folder or file. The study may train its start model itself, later."""
    if not study.model_is_fetched and not (study.pretrain and not (study.root / study.model).exists()):
        for message in _model_problems(study.root, study.model):
            yield ("model",), message
    for keys, source in sources(study).items():
        if isinstance(source, ModelSource):
            messages = _model_problems(study.root, source.folder)
        else:
            messages = _row_problems(study.root, source)
        for message in messages:
            yield (*keys, "folder"), message


def _model_problems(root: Path, folder: str) -> Iterator[str]:
    missing = _missing(root, folder, "config.json")
    if missing:
        yield f"{missing}; expected a model folder"
    elif not (root / folder / "config.json").is_file():
        yield f"{folder}: has no config.json; expected a model folder"
    elif not list((root / folder).glob("*.safetensors")):
        yield f"{folder}: has no safetensors; expected a model folder with its weights"


def _row_problems(root: Path, source: Place) -> Iterator[str]:
    missing = _missing(root, source.folder, "*")
    if missing:
        yield f"{missing}; expected a folder of .jsonl or .parquet files"
        return
    try:
        if isinstance(source, BfclFiles):
            bfcl_files(source, root / source.folder)
        else:
            data_files(root / source.folder, source.globs)
    except UserError as error:
        yield str(error)


def _missing(root: Path, folder: str, inside: str) -> str | None:
    """The problem of a path that is not a folder, or None. inside: a file that a suggested folder must have."""
    path = root / folder
    if path.is_dir():
        return None
    if path.exists():
        return f"{folder}: is a file"
    near = [place.name for place in path.parent.glob("*") if place.is_dir() and any(place.glob(inside))]
    close = difflib.get_close_matches(path.name, near, n=1)
    return f"{folder}: no such folder" + (f" (did you mean {Path(folder).with_name(close[0])}?)" if close else "")
