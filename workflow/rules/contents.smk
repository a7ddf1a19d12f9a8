# Folders of models and datasets that the study reads and does not make. Their content counts, through the parameter
# `content` of the jobs that read them; the times of their files do not (`as_input`).
from functools import cache

from chord.data.hub_folder import data_files
from chord.experts.experts_spec import ExpertsSpec
from chord.io.contents import content, model_files

MANIFESTS = Path(".snakemake/contents")


class Unrecorded:
    """A parameter that Snakemake does not record, since its type is not built in: a new value runs no job again."""

    def __init__(self, text: str = ""):
        self.text = text

    def __str__(self) -> str:
        return self.text


# A job without local input is the same job as one without the parameter `content`.
NOTHING_LOCAL = Unrecorded()


def is_external(folder: str) -> bool:
    return not Path(folder).is_relative_to(RESULTS)


def as_input(folder: str):
    """A folder as an input; Snakemake ignores the times of a folder that the study does not make."""
    return ancient(folder) if is_external(folder) else folder


@cache
def content_of(folder: str, kind: str, globs: tuple[str, ...] = ()):
    """The content of a folder as a parameter. kind: model, tokenizer, or the rows of the files that match `globs`.

    Snakemake or the job reports a folder that does not exist or has no such files.
    """
    if not is_external(folder) or not Path(folder).is_dir():
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
    """The content of a source with folders. place: the same source in the study's settings, which know its files."""
    contents = [content_of(source["folder"], "rows", place.globs)] if "folder" in source else []
    contents += [content_of_rows(source[part], getattr(place, part)) for part in ("sft", "rl") if part in source]
    return join_contents(*contents)


def content_of_experts(source: dict, settings: ExpertsSpec):
    """The content of the source of trajectories. settings: those of the study, which know its files."""
    if source["kind"] == "model":
        return content_of(source["folder"], "model")
    return content_of_rows(source, settings.source)


def join_contents(*contents):
    """Join several contents into one parameter."""
    local = [one for one in contents if one is not NOTHING_LOCAL]
    return " ".join(local) if local else NOTHING_LOCAL
