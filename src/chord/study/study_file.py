"""The contents of the YAML files of a study, a method and a benchmark, and the JSON schemas of these files for editors.
(Claims: chord.analysis.claims.claims_spec.)

A section that is only complete together with others (training defaults, method, override) or with the study's seed is a
plain mapping here. `chord.study.loading` merges such sections and checks them against the settings class of the
subpackage that runs the job, so a new key there needs no edit here.
"""

import json
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from chord.analysis.catalogue import FIGURES, TABLES
from chord.analysis.claims.claims_spec import ClaimsFile, Role
from chord.analysis.specs import ALL
from chord.data.download_spec import Commit, check_wheel, is_wheel
from chord.data.rows_spec import BenchmarkSpec, PrepareSpec
from chord.experts.experts_spec import ExpertsSpec
from chord.jobs import RESOURCE_KEYS
from chord.rollouts import Backend, Decoding, HuggingFaceBackend
from chord.settings import Distinct, Settings
from chord.study.config_problems import unknown
from chord.study.priming import PrimingSection
from chord.study.resources import Cost, Resources
from chord.study.yaml_values import DERIVED, Name, Partial, Section, Text
from chord.training.scale.scale_spec import Scale
from chord.training.train_spec import HybridStage, SftStage, Validation
from chord.world.pretrain_spec import PretrainSpec

BASE = "base"  # start_from of a method that starts from the study's model
START = "start_from"
ResourceKey = Literal["default", *RESOURCE_KEYS]


class MethodFile(Settings):
    """A recipe. It has at most one stage of its own; the earlier stages are those of the method that it starts from."""

    title: Text = Field(description="its name in tables and figures")
    paper: Text = Field(description="the cell or figure of the paper that it answers, with the paper's settings")
    start_from: str = Field(
        default=BASE,
        description="base (the study's model, primed where the study primes it), unprimed (the model itself), one of "
        "the study's bases, or the method whose result is the start",
    )
    teacher_from: str | None = Field(
        default=None,
        description="the trained method whose result, with the same seed, is the teacher of stage.distillation",
    )
    stage: Annotated[Section, Partial(SftStage, HybridStage)] | None = Field(
        default=None, description="the kind of the stage, and where it differs from the study's training"
    )


class MethodOverride(Settings):
    """What one study changes of a method."""

    title: Text | None = None
    start_from: str | None = None
    teacher_from: str | None = None
    stage: Annotated[Section, Partial(SftStage, HybridStage)] = Field(default_factory=dict)


class Training(Settings):
    """Settings of all stages of a kind; a method may override them."""

    sft: Annotated[Section, Partial(SftStage, without=("kind",))]
    hybrid: Annotated[Section, Partial(HybridStage, without=("kind",))]
    scale: Scale = Scale()
    stop_when_hopeless: bool = Field(
        default=False,
        description="stop training that cannot learn: no response ends, none can be read, or all rewards are equal",
    )


class Protocol(Settings):
    """Training settings for all methods of a comparison that names this protocol; they override the study's."""

    title: Text
    sft: Annotated[Section, Partial(SftStage, without=("kind",))] = Field(default_factory=dict)
    hybrid: Annotated[Section, Partial(HybridStage, without=("kind",))] = Field(default_factory=dict)


class Search(Settings):
    """The search of one method: one setting of its stage, and the values to try."""

    setting: Annotated[str, StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+)*$")] = Field(
        description="key of the stage, with dots: optimizer.lr, schedule.peak"
    )
    values: Annotated[list[PositiveFloat], Field(min_length=1), Distinct]


class Tuning(Settings):
    """Searches, in which validation rows choose the values; no table shows their seed."""

    seed_index: NonNegativeInt
    search: dict[str, Search] = Field(description="by method; every method has the same number of values")
    table: Text | None = Field(
        default=None,
        description="result of the search, relative to the root; the methods train with the values that it chose",
    )


Value = int | float | str


def value_text(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


class Axis(Settings):
    """One setting along the rows or the columns of a grid, and its values."""

    setting: Annotated[str, StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+)*$")] = Field(
        description="start_from, or a key of the stage with dots: schedule.mu, optimizer.lr"
    )
    values: Annotated[list[Value], Field(min_length=1), Distinct]
    title: Text | None = Field(default=None, description="its name in figures; by default the last key of the setting")

    @property
    def symbol(self) -> str:
        return self.setting.rpartition(".")[2]

    @property
    def heading(self) -> str:
        return self.title or self.symbol

    def label(self, value: Value) -> str:
        """The label of one value: x0.02 for a start, mu = 0.1 for a setting of the stage."""
        return str(value) if self.setting == START else f"{self.heading} = {value_text(value)}"


class MethodGrid(Settings):
    """One method with every combination of a row's value and a column's value."""

    method: str
    rows: Axis = Field(description="a setting that changes for the method only")
    columns: Axis = Field(description="a setting that changes for the method and for the references")


class NamedDecoding(Decoding):
    """A protocol of evaluation: how answers are sampled, and how many for each question."""

    k: PositiveInt = Field(description="samples for each question")

    @model_validator(mode="after")
    def _samples_differ(self) -> "NamedDecoding":
        self.refuse_copies("k", self.k)
        return self


Decodings = dict[Name, NamedDecoding]


class BenchmarkFile(Settings):
    """A task, its rows, its decodings, and its columns in tables."""

    title: Text
    role: Role = Field(description="target (what the methods train for) or unrelated (what training may harm)")
    columns: Annotated[dict[str, Text], Field(min_length=1)] = Field(
        description=f"the columns of a table: group of rows ({ALL}: all rows) -> heading"
    )
    parts: dict[str, Text] = Field(
        default_factory=dict, description="the columns of the table `groups`: further groups of rows -> heading"
    )
    decodings: Annotated[Decodings, Field(min_length=1)] = Field(description="decodings by name: paper, field, ...")
    decoding: Name = Field(description="name of the default decoding, unless the study chooses another")
    batch_rows: PositiveInt = Field(description="number of completions sampled together")
    questions: PositiveInt | None = Field(
        default=None, description="approximate number of questions, for the plan of a dataset that is not fetched yet"
    )
    data: Annotated[Section, Partial(BenchmarkSpec, without=DERIVED)] = Field(
        description="the source of the rows and their number"
    )

    @model_validator(mode="after")
    def _decoding_is_known(self) -> "BenchmarkFile":
        if self.decoding not in self.decodings:
            raise ValueError(f"decoding: {unknown('decoding of this benchmark', self.decoding, self.decodings)}")
        return self


class BenchmarkOverride(Settings):
    """What one study changes of a benchmark."""

    benchmark: Name | None = Field(
        default=None, description="another benchmark of this study, whose questions are asked with another decoding"
    )
    decoding: Name | None = Field(default=None, description="name of the decoding to use")
    decodings: Decodings = Field(default_factory=dict, description="decodings in addition to those of the file")
    batch_rows: PositiveInt | None = None
    questions: PositiveInt | None = None
    data: Annotated[Section, Partial(BenchmarkSpec, without=DERIVED)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _the_same_questions(self) -> "BenchmarkOverride":
        if self.benchmark is not None and self.data:
            raise ValueError(f"data: expected none, as its questions are those of {self.benchmark}")
        if self.benchmark is not None and self.decoding is None:
            raise ValueError(f"benchmark: expected a key decoding too, as nothing else differs from {self.benchmark}")
        return self


class Comparison(Settings):
    """Methods that tables and figures show side by side."""

    title: Text
    paper: Text = Field(description="the tables and figures of the paper that it answers")
    protocol: str | None = Field(
        default=None, description="one of the study's protocols; null: the study's training without changes"
    )
    methods: Annotated[list[str], Distinct] = Field(default_factory=list, description="empty if there is a grid")
    grid: MethodGrid | None = Field(default=None, description="methods over two axes instead of a list")
    references: Annotated[list[str], Distinct] = Field(
        description="methods that every other method is compared with in pairs; in a grid, within each column"
    )
    benchmarks: Annotated[list[str], Field(min_length=1), Distinct] | None = Field(
        default=None, description="the benchmarks that it shows; null: all benchmarks of the study"
    )
    tables: Annotated[list[Literal[tuple(TABLES)]], Distinct]
    figures: Annotated[list[Literal[tuple(FIGURES)]], Distinct]
    on_demand: bool = Field(
        default=False, description="only the target of its own name makes it; not part of all, the claims or a report"
    )

    @model_validator(mode="after")
    def _methods_or_a_grid(self) -> "Comparison":
        if bool(self.methods) == (self.grid is not None):
            raise ValueError("methods: expected either methods or a grid")
        if self.grid is not None and self.protocol is not None:
            raise ValueError("protocol: expected none in a comparison with a grid")
        for figure in self.figures:
            if FIGURES[figure].kind == "grid" and self.grid is None:
                raise ValueError(f"figures: {figure} shows a grid; expected a key grid too")
        return self


class StudyFile(Settings):
    title: Text
    question: Text = Field(description="the question that the study answers, in a sentence or two")
    meaningful: bool = Field(description="false: its numbers mean nothing, and its report says so")
    model: Annotated[Text, AfterValidator(check_wheel)] = Field(
        description="start model: a folder relative to the repository root, a hub id, or a wheel with a GGUF file "
        "(pypi:name==version)"
    )
    model_revision: Commit | None = Field(
        default=None, description="commit of a model on the hub; null: the commit in the study's lock"
    )
    base_model: Annotated[Section, Partial(PretrainSpec, without=DERIVED)] | None = Field(
        default=None, description="how a rule trains `model` from scratch"
    )
    bases: dict[Name, Annotated[Section, Partial(PretrainSpec, without=DERIVED)]] = Field(
        default_factory=dict,
        description="further base models that methods may start from: the settings of base_model that change while "
        "each is trained further",
    )
    priming: PrimingSection | None = Field(
        default=None, description="a short SFT of `model` that all methods start from, except those from `unprimed`"
    )
    seed: NonNegativeInt = Field(description="seed of the study, from which every other seed is derived")
    seeds: PositiveInt = Field(description="runs of each method; their indices count from 0")
    data: Annotated[Section, Partial(PrepareSpec, without=DERIVED)]
    experts: Annotated[Section, Partial(ExpertsSpec, without=DERIVED)]
    validation: Validation
    save_every: PositiveInt = Field(description="steps between two checkpoints")
    generation: Backend = Field(
        default=HuggingFaceBackend(), description="the engine that answers the benchmarks (docs/benchmarks.md)"
    )
    training: Training
    methods: Annotated[dict[Name, MethodOverride], Field(min_length=1)]
    benchmarks: Annotated[dict[Name, BenchmarkOverride], Field(min_length=1)]
    protocols: dict[Name, Protocol] = Field(default_factory=dict)
    comparisons: Annotated[dict[Name, Comparison], Field(min_length=1)]
    paper_setting: Text | None = Field(
        default=None,
        description="a setting in config/paper/reported.yaml; tables show its numbers beside those of the study",
    )
    claims: Text | None = Field(default=None, description="a file in config/claims; its claims are judged on the study")
    tuning: Tuning | None = None
    resources: dict[ResourceKey, Resources] = Field(description="by job; `default` applies to all other jobs")
    cost: Cost

    @model_validator(mode="after")
    def _a_wheel_has_its_version(self) -> "StudyFile":
        if self.model_revision is not None and is_wheel(self.model):
            raise ValueError("model_revision: expected none for a wheel, whose version is part of its address")
        return self

    @model_validator(mode="after")
    def _jobs_request_the_gpus_that_they_use(self) -> "StudyFile":
        generation = getattr(self.generation, "tensor_parallel_size", 1)
        used = {"train": self.training.scale.gpus_per_node, "generate": generation}
        for job, count in used.items() if self.cost.gpu else ():
            request = self.resources.get(job, self.resources.get("default"))
            if request and request.gpus != count:
                raise ValueError(f"resources: {job}: expected gpus {count}, got {request.gpus}, as cost.gpu is set")
        return self

    @model_validator(mode="after")
    def _every_job_has_resources(self) -> "StudyFile":
        if "default" not in self.resources:
            raise ValueError("resources: missing key default; expected resources for all other jobs")
        return self


FILES: dict[str, type[BaseModel]] = {
    "study": StudyFile,
    "method": MethodFile,
    "benchmark": BenchmarkFile,
    "claims": ClaimsFile,
}


def schema_text(kind: str) -> str:
    """The text of workflow/schemas/<kind>.schema.json; a test compares it with the file.

    `load_study` is stricter: it also checks values across files.
    """
    schema = FILES[kind].model_json_schema()
    if kind == "study":
        schema = _with_overlays(schema)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _with_overlays(study: dict) -> dict:
    """The schema of complete studies, and of files that change another study; of these it only knows the top keys."""
    base = {
        "type": "string",
        "description": "name of the study that this one changes; null removes a key of that study",
    }
    keys = {"base": base} | dict.fromkeys(study["properties"], True)
    overlay = {"properties": keys, "additionalProperties": False}
    return {"$defs": study.pop("$defs"), "if": {"required": ["base"]}, "then": overlay, "else": study}
