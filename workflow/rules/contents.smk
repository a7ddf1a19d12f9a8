# What the study reads and does not make: folders of models and datasets. Their content counts, as the parameter
# `content` of the jobs that read them, and none of their times (`given`).
from functools import cache

from chord.io.contents import content, model_files
from chord.data.hub_folder import data_files

MANIFESTS = Path(".snakemake/contents")


class Unrecorded:
    """A parameter that Snakemake does not record, since it is of no built-in type: another value makes no job run again."""

    def __init__(self, text: str = ""):
        self.text = text

    def __str__(self) -> str:
        return self.text


# A job without local input is the same job as before there was `content`.
NOTHING_LOCAL = Unrecorded()


def is_given(folder: str) -> bool:
    return not Path(folder).is_relative_to(RESULTS)


def given(folder: str):
    """A folder as an input; the times of one that the study does not make are not looked at."""
    return ancient(folder) if is_given(folder) else folder


@cache
def content_of(folder: str, kind: str, globs: tuple[str, ...] = ()):
    """kind: model, tokenizer, or the rows of those files that `globs` choose. Of a folder that is not there, or has no
    such files, Snakemake or the job says so."""
    if not is_given(folder) or not Path(folder).is_dir():
        return NOTHING_LOCAL
    place = Path(folder)
    files = rows_in(place, globs) if kind == "rows" else model_files(place, weights=kind == "model")
    try:
        return content(place, files, MANIFESTS, lambda line: print(line, file=sys.stderr))
    except UserError as error:
        sys.exit(str(error))


def rows_in(folder: Path, globs: tuple[str, ...]) -> list[Path]:
    try:
        return data_files(folder, globs)
    except UserError:  # there are none
        return []


def content_of_rows(source: dict, place):
    """Of a located source. place: the same source as the study's settings have it, which know its files."""
    found = [content_of(source["folder"], "rows", place.globs)] if "folder" in source else []
    found += [content_of_rows(source[part], getattr(place, part)) for part in ("sft", "rl") if part in source]
    return together(*found)


def content_of_experts(source: dict):
    """Of the located source of the trajectories."""
    if source["kind"] == "model":
        return content_of(source["folder"], "model")
    return content_of_rows(source, STUDY.experts.source)


def together(*found):
    """One parameter for several contents."""
    local = [one for one in found if one is not NOTHING_LOCAL]
    return " ".join(local) if local else NOTHING_LOCAL
