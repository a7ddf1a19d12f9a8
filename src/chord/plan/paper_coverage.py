"""The page docs/coverage.md: the parts of the paper that this repository answers, their targets, and their states.

The state of a target is derived, never written by hand. It is the first of these that applies:
  not expressible yet  the study, its comparison, the table or figure, or a method in it does not exist
  data missing         the item says that its data is not available
  measured             the result is committed under results/reference
  does not fit         `chord plan` refuses the study
  ready to run         otherwise: nobody has run it
"""

from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from chord.errors import UserError, problems_of
from chord.plan.job_counts import job_gpus, jobs
from chord.plan.text import hours_text
from chord.plan.verdict import refusals
from chord.settings import Settings
from chord.study import load_study
from chord.study.yaml_files import read_yaml

ITEMS = "config/paper/items.yaml"
NOT_YET, NO_DATA, MEASURED = "not expressible yet", "data missing", "measured"
NO_FIT, READY = "does not fit", "ready to run"


class Target(Settings):
    """A table or figure of a comparison of a study."""

    study: str
    comparison: str
    table: str | None = None
    figure: str | None = None
    methods: tuple[str, ...] = ()
    but: str | None = None
    lacks: str | None = None
    data: str | None = None

    @model_validator(mode="after")
    def _table_or_figure(self) -> "Target":
        if (self.table is None) == (self.figure is None):
            raise ValueError("expected either a table or a figure")
        return self

    @property
    def kind(self) -> str:
        return "tables" if self.table else "figures"

    @property
    def name(self) -> str:
        return self.table or self.figure

    def __str__(self) -> str:
        return f"`{self.study}` {self.comparison}/{self.name}"


class PaperItem(Settings):
    place: str
    content: str
    targets: tuple[Target, ...]


class PaperItems(Settings):
    items: tuple[PaperItem, ...] = Field(min_length=1)


def read_items(root: Path) -> tuple[PaperItem, ...]:
    try:
        return PaperItems.model_validate(read_yaml(root / ITEMS, ITEMS)).items
    except ValidationError as error:
        raise UserError("\n".join(f"{ITEMS}: {problem}" for problem in problems_of(error))) from None


class States:
    """Derives the states of targets; loads and plans each study once."""

    def __init__(self, root: Path):
        self.root = root
        self.studies = {}
        self.refused: dict[str, bool] = {}

    def of(self, target: Target) -> str:
        exists = self._exists(target)
        if exists == bool(target.lacks):
            advice = "it exists; remove `lacks`" if exists else "it does not exist; say in `lacks` what is missing"
            raise UserError(f"{ITEMS}: {target}: {advice}")
        if not exists:
            return NOT_YET
        if target.data:
            return NO_DATA
        file = f"{target.name}.md" if target.table else f"{target.name}.png"
        if (self.root / "results/reference" / target.study / target.comparison / target.kind / file).is_file():
            return MEASURED
        if target.study not in self.refused:
            self.refused[target.study] = bool(refusals(self.studies[target.study]))
        return NO_FIT if self.refused[target.study] else READY

    def _exists(self, target: Target) -> bool:
        if not (self.root / "config/studies" / f"{target.study}.yaml").is_file():
            return False
        if target.study not in self.studies:
            self.studies[target.study] = load_study(target.study, self.root)
        comparison = self.studies[target.study].comparisons.get(target.comparison)
        if comparison is None or target.name not in getattr(comparison, target.kind):
            return False
        return {method.partition("@")[0] for method in comparison.methods} >= set(target.methods)


def page(root: Path) -> str:
    """The text of docs/coverage.md."""
    states = States(root)
    lines = [
        "# What of the paper is covered",
        "",
        "`chord coverage` makes this page from [config/paper/items.yaml](../config/paper/items.yaml), the",
        "studies, their plans and the committed results, and a test keeps it current. A target is a table or",
        "figure of a comparison:",
        "`snakemake results/<study>/<comparison>/tables/<table>.md --config study=<study>`.",
        "",
        "| state | meaning |",
        "|---|---|",
        f"| {MEASURED} | its result is in [results/reference](../results/reference) |",
        f"| {READY} | the study is checked and its plan fits; nobody has run it |",
        f"| {NO_FIT} | the study is checked, but `chord plan` refuses it on the GPU that it names and says why |",
        f"| {NO_DATA} | its data cannot be obtained |",
        f"| {NOT_YET} | the last column says what is missing |",
        "",
        "| paper | content | target | state | remark |",
        "|---|---|---|---|---|",
    ]
    for item in read_items(root):
        place, content = item.place, item.content
        for target in item.targets:
            remarks = [text for text in (target.lacks and f"lacks {target.lacks}", target.data, target.but) if text]
            lines.append(f"| {place} | {content} | {target} | {states.of(target)} | {'; '.join(remarks)} |")
            place = content = ""
        if not item.targets:
            lines.append(f"| {place} | {content} | | | |")
    lines += ["", *_studies(root)]
    return "\n".join(lines) + "\n"


def _studies(root: Path) -> list[str]:
    """The section on the studies that need a GPU, from their plans."""
    lines = [
        "## The studies on GPUs",
        "",
        "`chord plan` gives these numbers for all comparisons, from nothing, with the study's own number of",
        "seeds. They are computed, not measured ([plan.md](plan.md)). If a study does not fit, the hours are",
        "what it would take if it did.",
        "",
        "| study | start model | parameters | GPU | fits | runs | GPU-hours | longest run, hours |",
        "|---|---|---:|---|---|---:|---:|---:|",
    ]
    for path in sorted((root / "config/studies").glob("*.yaml")):
        study = load_study(path.name.removesuffix(".yaml"), root)
        if study.gpu is None:
            continue
        needed = jobs(study, study.regular)
        hours = sum(sum(minutes) * job_gpus(study, job) for job, minutes in needed.items()) / 60
        fits = "no" if refusals(study) else "yes"
        numbers = [f"{study.shape.parameters():,}", study.gpu.name, fits, len(needed["train"]), hours_text(hours)]
        longest = hours_text(max(needed["train"]) / 60)
        lines.append(f"| `{study.name}` | {study.model} | {' | '.join(map(str, [*numbers, longest]))} |")
    return lines
