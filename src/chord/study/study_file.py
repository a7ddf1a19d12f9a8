"""What stands in the YAML files of a study, a method and a benchmark, and the JSON schemas of these files for editors.
(Claims: chord.analysis.claims.claims_spec.)

Sections that are laid over each other (training defaults, method, override) or that lack a value which only the study
knows (its seed) stay plain here. `chord.study.loading` puts them together and checks them against the settings class of
the room that runs the job, so a new key of a room needs no edit here.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
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
from chord.data.rows_spec import BenchmarkSpec, Commit, PrepareSpec
from chord.experts.experts_spec import ExpertsSpec
from chord.jobs import RESOURCE_KEYS
from chord.rollouts import Backend, Decoding, HuggingFaceBackend
from chord.settings import Distinct, Settings
from chord.study.config_problems import unknown
from chord.study.yaml_values import Minutes, Name, Partial, Section, Text
from chord.training.scale.scale_spec import Scale
from chord.training.train_spec import HybridStage, SftStage, Validation
from chord.world.pretrain_spec import PretrainSpec

DERIVED = ("seed", "name")  # keys of a room's settings that the study fills in
BASE = "base"  # start_from of a method that starts at the study's model
START = "start_from"
ResourceKey = Literal["default", *RESOURCE_KEYS]


class MethodFile(Settings):
    """A recipe. It has at most one stage of its own; the stages before it are those of the method it starts from."""

    title: Text = Field(description="how tables and figures call it")
    paper: Text = Field(description="the cell or figure of the paper it answers, with the paper's settings in words")
    start_from: str = Field(
        default=BASE,
        description="base (the study's model), one of the study's bases, or the method whose result is the start",
    )
    stage: Annotated[Section, Partial(SftStage, HybridStage)] | None = Field(
        default=None, description="the stage's kind and what differs from the study's training"
    )


class MethodOverride(Settings):
    """What one study changes of a method."""

    title: Text | None = None
    start_from: str | None = None
    stage: Annotated[Section, Partial(SftStage, HybridStage)] = Field(default_factory=dict)


class Training(Settings):
    """Settings that all stages of a kind share unless a method says otherwise."""

    sft: Annotated[Section, Partial(SftStage, without=("kind",))]
    hybrid: Annotated[Section, Partial(HybridStage, without=("kind",))]
    scale: Scale = Scale()
    stop_when_hopeless: bool = Field(
        default=False,
        description="end a training that cannot learn: no response ends, none can be read, or all rewards are equal",
    )


class Protocol(Settings):
    """A rule for what all methods get, laid over the study's training: a comparison names the one it is under."""

    title: Text
    sft: Annotated[Section, Partial(SftStage, without=("kind",))] = Field(default_factory=dict)
    hybrid: Annotated[Section, Partial(HybridStage, without=("kind",))] = Field(default_factory=dict)


class Search(Settings):
    """The trials of one method: one setting of its stage, and the values to try."""

    setting: Annotated[str, StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+)*$")] = Field(
        description="key of the stage, with dots: optimizer.lr, schedule.peak"
    )
    values: Annotated[list[PositiveFloat], Field(min_length=1), Distinct]


class Tuning(Settings):
    """Trials of each method, with a seed that no table shows, chosen on validation rows."""

    seed_index: NonNegativeInt
    search: dict[str, Search] = Field(description="by method; as many values for each")
    table: Text | None = Field(
        default=None,
        description="result of the search, relative to the root: the methods train with the values that it chose",
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
    title: Text | None = Field(default=None, description="how figures call it; the setting's last key when not given")

    @property
    def symbol(self) -> str:
        return self.setting.rpartition(".")[2]

    @property
    def heading(self) -> str:
        return self.title or self.symbol

    def label(self, value: Value) -> str:
        """Of one value: x0.02 for a start, mu = 0.1 for a setting of the stage."""
        return str(value) if self.setting == START else f"{self.heading} = {value_text(value)}"


class MethodGrid(Settings):
    """One method with the value of each row and each column."""

    method: str
    rows: Axis = Field(description="what changes of the method only")
    columns: Axis = Field(description="what changes of the method and of the references that it is compared with")


def _under_either_name(schema: dict) -> None:
    schema["properties"]["runtime"] = schema["properties"]["minutes"]
    schema["required"].remove("minutes")
    schema["oneOf"] = [{"required": ["minutes"]}, {"required": ["runtime"]}]


class Resources(Settings):
    """What one job asks for."""

    model_config = ConfigDict(json_schema_extra=_under_either_name)

    threads: PositiveInt = 1
    mem_mb: PositiveInt
    minutes: Minutes = Field(
        validation_alias=AliasChoices("minutes", "runtime"),
        description="upper limit: a number, or a time such as 1h30m, under this name or Snakemake's own, runtime; the "
        "scheduler may stop a longer job",
    )
    gpus: NonNegativeInt = 0

    @model_validator(mode="before")
    @classmethod
    def _one_limit(cls, values: Any) -> Any:
        if isinstance(values, dict) and {"minutes", "runtime"} <= values.keys():
            raise ValueError("minutes: expected no runtime beside it, which is another name for the same")
        return values


class Cost(Settings):
    """What the plan's estimate of one job rests on: speeds that were measured with one thread, or a GPU's data sheet
    (docs/plan.md). A guide, not a promise."""

    gpu: Text | None = Field(default=None, description="one of config/gpus.yaml: speeds are worked out for it")
    gpus: PositiveInt = Field(default=1, description="of these, how many jobs share")
    measured_on: Text | None = None
    train_tokens_per_second: PositiveFloat | None = Field(
        default=None, description="forward and backward, prompt and response tokens"
    )
    generate_tokens_per_second: PositiveFloat | None = Field(default=None, description="response tokens")
    response_tokens: PositiveInt = Field(description="typical length of a response")
    prompt_tokens: PositiveInt = Field(description="typical length of a prompt")
    expert_tokens: PositiveInt = Field(description="typical length of an expert trajectory")
    start_seconds: PositiveFloat = Field(description="start of a job that loads a model")
    light_seconds: PositiveFloat = Field(description="a job that loads none: scores, tables, figures")

    @model_validator(mode="after")
    def _measured_or_worked_out(self) -> "Cost":
        measured = [self.measured_on, self.train_tokens_per_second, self.generate_tokens_per_second]
        if self.gpu is None and None in measured:
            raise ValueError(
                "gpu: missing; expected a GPU, or measured_on, train_tokens_per_second and generate_tokens_per_second"
            )
        if self.gpu is not None and measured != [None] * 3:
            raise ValueError("gpu: expected no measured speeds beside it, or no GPU")
        return self


class NamedDecoding(Decoding):
    """A protocol of evaluation: how answers are sampled, and how many of each question."""

    k: PositiveInt = Field(description="samples of each question")

    @model_validator(mode="after")
    def _samples_differ(self) -> "NamedDecoding":
        self.refuse_copies("k", self.k)
        return self


Decodings = dict[Name, NamedDecoding]


class BenchmarkFile(Settings):
    """A task, its rows, how answers may be sampled, and how tables show it."""

    title: Text
    role: Role = Field(description="target (what the methods are trained for) or unrelated (what training may cost)")
    columns: Annotated[dict[str, Text], Field(min_length=1)] = Field(
        description=f"the columns of a table: group of the rows ({ALL}: the whole benchmark) -> heading"
    )
    parts: dict[str, Text] = Field(
        default_factory=dict, description="the columns of the table `groups`: further groups of the rows -> heading"
    )
    decodings: Annotated[Decodings, Field(min_length=1)] = Field(description="by name: the paper's, the field's ...")
    decoding: Name = Field(description="name of the one to use unless the study chooses another")
    batch_rows: PositiveInt = Field(description="completions sampled at a time")
    questions: PositiveInt | None = Field(
        default=None, description="about how many, for the plan: of a dataset nobody knows it before it is fetched"
    )
    data: Annotated[Section, Partial(BenchmarkSpec, without=DERIVED)] = Field(
        description="the rows: their source and how many"
    )

    @model_validator(mode="after")
    def _decoding_is_known(self) -> "BenchmarkFile":
        if self.decoding not in self.decodings:
            raise ValueError(f"decoding: {unknown('decoding of this benchmark', self.decoding, self.decodings)}")
        return self


class BenchmarkOverride(Settings):
    """How one study uses a benchmark: as its file says but for what stands here."""

    benchmark: Name | None = Field(
        default=None, description="another benchmark of this study: the same questions under another decoding"
    )
    decoding: Name | None = Field(default=None, description="name of the decoding to use")
    decodings: Decodings = Field(default_factory=dict, description="further ones, beside those of the file")
    batch_rows: PositiveInt | None = None
    questions: PositiveInt | None = None
    data: Annotated[Section, Partial(BenchmarkSpec, without=DERIVED)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _the_same_questions(self) -> "BenchmarkOverride":
        if self.benchmark is not None and self.data:
            raise ValueError(f"data: expected none, as its questions are those of {self.benchmark}")
        if self.benchmark is not None and self.decoding is None:
            raise ValueError(f"benchmark: expected a key decoding too: what else differs from {self.benchmark}?")
        return self


class Comparison(Settings):
    """Methods that one set of tables and figures puts side by side."""

    title: Text
    paper: Text = Field(description="the tables and figures of the paper it answers")
    protocol: str | None = Field(default=None, description="one of the study's protocols; none: training as it stands")
    methods: Annotated[list[str], Distinct] = Field(default_factory=list, description="none where there is a grid")
    grid: MethodGrid | None = Field(default=None, description="methods over two axes instead of a list")
    references: Annotated[list[str], Distinct] = Field(
        description="methods that every other method is compared with, in pairs; in a grid within each column"
    )
    benchmarks: Annotated[list[str], Field(min_length=1), Distinct] | None = Field(
        default=None, description="those of the study that it is about; none: all"
    )
    tables: Annotated[list[Literal[tuple(TABLES)]], Distinct]
    figures: Annotated[list[Literal[tuple(FIGURES)]], Distinct]
    on_demand: bool = Field(
        default=False, description="made by the target of its name only: no part of all, of the claims, of a report"
    )

    @model_validator(mode="after")
    def _methods_or_a_grid(self) -> "Comparison":
        if bool(self.methods) == (self.grid is not None):
            raise ValueError("methods: expected methods or a grid, and not both")
        if self.grid is not None and self.protocol is not None:
            raise ValueError("protocol: expected none beside a grid")
        for figure in self.figures:
            if FIGURES[figure].kind == "grid" and self.grid is None:
                raise ValueError(f"figures: {figure} shows a grid; expected a key grid too")
        return self


class StudyFile(Settings):
    title: Text
    question: Text = Field(description="what the study is asked, in a sentence or two")
    meaningful: bool = Field(description="false: its numbers mean nothing, and its report says so")
    model: Text = Field(description="start model: a folder relative to the repository root, or a hub id")
    model_revision: Commit | None = Field(
        default=None, description="of a model on the hub: its commit; null: the one in the study's lock"
    )
    base_model: Annotated[Section, Partial(PretrainSpec, without=DERIVED)] | None = Field(
        default=None, description="how a rule trains `model` from nothing"
    )
    bases: dict[Name, Annotated[Section, Partial(PretrainSpec, without=DERIVED)]] = Field(
        default_factory=dict,
        description="further base models that methods may start from: what each changes of base_model when it is "
        "trained on",
    )
    seed: NonNegativeInt = Field(description="seed of the study; everything random is derived from it")
    seeds: PositiveInt = Field(description="runs of each method; their indices count from 0")
    data: Annotated[Section, Partial(PrepareSpec, without=DERIVED)]
    experts: Annotated[Section, Partial(ExpertsSpec, without=DERIVED)]
    validation: Validation
    save_every: PositiveInt = Field(description="steps between two checkpoints")
    generation: Backend = Field(
        default=HuggingFaceBackend(), description="the engine that answers the benchmarks; docs/benchmarks.md"
    )
    training: Training
    methods: Annotated[dict[Name, MethodOverride], Field(min_length=1)]
    benchmarks: Annotated[dict[Name, BenchmarkOverride], Field(min_length=1)]
    protocols: dict[Name, Protocol] = Field(default_factory=dict)
    comparisons: Annotated[dict[Name, Comparison], Field(min_length=1)]
    paper_setting: Text | None = Field(
        default=None, description="a setting in config/paper/reported.yaml: whose numbers stand beside the study's own"
    )
    claims: Text | None = Field(default=None, description="the claims it is judged on: a file in config/claims")
    tuning: Tuning | None = None
    resources: dict[ResourceKey, Resources] = Field(description="by job; `default` is for the jobs that are not named")
    cost: Cost

    @model_validator(mode="after")
    def _jobs_ask_for_the_gpus_that_they_use(self) -> "StudyFile":
        used = {"train": self.training.scale.gpus, "generate": getattr(self.generation, "tensor_parallel_size", 1)}
        for rule, count in used.items() if self.cost.gpu else ():
            found = self.resources.get(rule, self.resources.get("default"))
            if found and found.gpus != count:
                raise ValueError(f"resources: {rule}: expected gpus {count}, got {found.gpus}, because cost.gpu is set")
        return self

    @model_validator(mode="after")
    def _every_job_has_resources(self) -> "StudyFile":
        if "default" not in self.resources:
            raise ValueError("resources: missing key default; expected resources for the jobs that are not named")
        return self


FILES: dict[str, type[BaseModel]] = {
    "study": StudyFile,
    "method": MethodFile,
    "benchmark": BenchmarkFile,
    "claims": ClaimsFile,
}


def schema_text(kind: str) -> str:
    """The text of workflow/schemas/<kind>.schema.json, which a test compares with the file.

    The typed configuration is the stricter judge: it also knows what the values of several files must be together.
    """
    schema = FILES[kind].model_json_schema()
    if kind == "study":
        schema = _with_overlays(schema)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _with_overlays(study: dict) -> dict:
    """The schema of whole studies, and of files that change another one, of which it knows the outermost keys only."""
    base = {"type": "string", "description": "name of the study that this one changes; null takes a key of it away"}
    keys = {"base": base} | dict.fromkeys(study["properties"], True)
    overlay = {"properties": keys, "additionalProperties": False}
    return {"$defs": study.pop("$defs"), "if": {"required": ["base"]}, "then": overlay, "else": study}
