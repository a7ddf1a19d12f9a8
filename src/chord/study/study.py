"""A checked study: its methods in order, and the specification of every job."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from chord.analysis.catalogue import FIGURES, TABLES
from chord.analysis.claims.claims_spec import SCOPES, Role
from chord.analysis.specs import Grid, TuningSpec
from chord.data.download_spec import is_wheel
from chord.data.rows_spec import BenchmarkSpec, Place, PrepareSpec
from chord.errors import UserError
from chord.evaluation.generate_spec import GenerateSpec
from chord.evaluation.start_gates_spec import StartGatesSpec
from chord.experts.experts_spec import ExpertsSpec
from chord.jobs import JOBS, SPECS
from chord.rollouts import Decoding
from chord.settings import Settings
from chord.study.analysis_specs import AnalysisSpecs
from chord.study.config_problems import unknown
from chord.study.hardware import Gpu, ModelShape
from chord.study.priming import SEED_INDEX, Priming
from chord.study.resources import Resources
from chord.study.study_file import BASE, Comparison, Search, StudyFile
from chord.study.yaml_files import merge, nested
from chord.training.train_spec import Stage, TrainSpec
from chord.world.pretrain_spec import LearningGates, PretrainSpec


@dataclass(frozen=True)
class Method:
    """A method as this study runs it."""

    name: str
    title: str
    paper: str
    start_from: str  # BASE, UNPRIMED, another base model, or the method whose result of the same seed is the start
    stage: Stage | None  # None: the result is the start model itself
    teacher: str | None = None  # the method whose result of the same seed teaches, where the stage has a distillation


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as this study runs it."""

    name: str
    title: str
    role: Role
    columns: dict[str, str]  # group of rows -> heading of the table's column
    parts: dict[str, str]  # the same for the table `groups`
    decoding_name: str  # name of k and decoding in the benchmark's file or in the study
    k: int  # samples for each question
    decoding: Decoding
    batch_rows: int
    questions: int | None  # approximate number, for the plan, if the rows are from a dataset
    data: BenchmarkSpec


@dataclass(frozen=True)
class Study(AnalysisSpecs):
    """A checked study.

    Each `*_spec` returns plain JSON values with only the settings that its job uses: a change of one method changes the
    jobs of that method only, and another seed changes none.
    """

    name: str
    root: Path  # relative paths of the configuration start here
    settings: StudyFile
    # The methods that the study names, those that they start from, `<method>@<protocol>`, and the methods of grids.
    # Each comes after its start.
    methods: dict[str, Method]
    comparisons: dict[str, Comparison]  # with the methods of its protocol or grid, if it has one
    grids: dict[str, Grid]  # comparison -> its methods by row and column
    benchmarks: dict[str, Benchmark]
    data: PrepareSpec
    experts: ExpertsSpec
    priming: Priming | None
    pretrain: PretrainSpec | None
    bases: dict[str, PretrainSpec]  # further base models by name, trained from the study's own
    shape: ModelShape | None  # shape of the start model; None: unknown
    gpu: Gpu | None  # GPU of the cost estimates

    @property
    def title(self) -> str:
        return self.settings.title

    @property
    def meaningful(self) -> bool:
        return self.settings.meaningful

    @property
    def model(self) -> str:
        """The start model: a folder relative to the repository root, the id of a model on the hub, or a wheel."""
        return self.settings.model

    @property
    def model_is_fetched(self) -> bool:
        """Whether the model is a wheel, or reads `owner/name`, and `owner` is not a folder of the repository."""
        owner, _, name = self.model.partition("/")
        on_hub = bool(name) and "/" not in name and not (self.root / owner).exists()
        return is_wheel(self.model) or on_hub

    @property
    def seed_indices(self) -> list[int]:
        return list(range(self.settings.seeds))

    @property
    def hidden_seed(self) -> int:
        """A seed index that no table shows: that of the search, or else the first after the reported seeds."""
        return self.settings.tuning.seed_index if self.settings.tuning else self.settings.seeds

    @property
    def search(self) -> dict[str, Search]:
        """Method -> its search; empty without tuning."""
        return self.settings.tuning.search if self.settings.tuning else {}

    @property
    def expert_sections(self) -> dict[tuple[str, ...], ExpertsSpec]:
        """Keys in the study's file -> a section that says who answers prompts."""
        priming = {("priming", "experts"): self.priming.experts} if self.priming else {}
        return {("experts",): self.experts} | priming

    @property
    def engines(self) -> list[Settings]:
        """What samples: for the benchmarks, in training, and for trajectories, whose sources need not be engines."""
        sources = [experts.source for experts in self.expert_sections.values()]
        writers = [getattr(source, "backend", source) for source in sources]
        return [self.settings.generation, self.settings.training.scale.rollouts, *writers]

    @property
    def regular(self) -> list[str]:
        """The comparisons of the target `all`, the claims and the report, that is those that are not on demand."""
        return [name for name, comparison in self.comparisons.items() if not comparison.on_demand]

    def benchmarks_of(self, comparison: str) -> list[str]:
        names = self.comparisons[comparison].benchmarks
        return list(self.benchmarks) if names is None else names

    @property
    def regular_benchmarks(self) -> list[str]:
        """The benchmarks that regular comparisons show."""
        shown = {name for comparison in self.regular for name in self.benchmarks_of(comparison)}
        return [name for name in self.benchmarks if name in shown]

    @property
    def published_benchmarks(self) -> list[str]:
        """The benchmarks with questions of a dataset, each set of questions once.

        Generated questions are not among them, nor is a benchmark that asks another's questions with a second decoding.
        """
        return [
            name
            for name, benchmark in self.benchmarks.items()
            if benchmark.data.name == name and isinstance(benchmark.data.source, Place)
        ]

    def sampled_benchmark(self, comparison: str) -> str:
        """The benchmark of which a report shows questions, whose first comparison this is."""
        names = self.benchmarks_of(comparison)
        return next((name for name in names if self.benchmarks[name].data.name == name), names[0])

    def resources(self, job: str) -> Resources:
        """The resources of one job, a key of chord.jobs.JOBS, on each of its nodes."""
        return self.settings.resources.get(JOBS[job].resources or job, self.settings.resources["default"])

    def start_of(self, method: str) -> str | None:
        """The method from whose result of the same seed this one starts, UNPRIMED, or one of `bases`; None: BASE."""
        start = self.methods[method].start_from
        return None if start == BASE else start

    def trains(self, method: str) -> bool:
        """Whether there is a run to train; without a stage the start model itself is evaluated."""
        return self.methods[method].stage is not None

    def chain(self, method: str) -> list[Method]:
        """The method and those that it starts from, in the order of training."""
        start = self.start_of(method)
        return [*(self.chain(start) if start in self.methods else []), self.methods[method]]

    def needed(self, method: str) -> list[Method]:
        """The methods that must be trained for this one, in order: its chain, and the chains of their teachers."""
        links = self.chain(method)
        teachers = [link for one in links if one.teacher for link in self.chain(one.teacher)]
        return list({link.name: link for link in [*teachers, *links]}.values())

    def first_start(self, method: str) -> str:
        """The start model at the beginning of a method's chain: BASE, UNPRIMED or one of `bases`."""
        return self.chain(method)[0].start_from

    def prepare_spec(self) -> dict:
        return self.data.specification()

    def benchmark_spec(self, benchmark: str) -> dict:
        return self.benchmarks[benchmark].data.specification()

    def experts_spec(self) -> dict:
        return self.experts.specification()

    def priming_experts_spec(self) -> dict:
        return self._priming().experts.specification()

    def prime_spec(self) -> dict:
        return self._train_spec(self._priming().stage, SEED_INDEX)

    def start_gates_spec(self) -> dict:
        return StartGatesSpec(
            study_seed=self.settings.seed,
            gates=self._priming().gates,
            decoding=self.settings.validation.decoding,
            batch_rows=self.settings.validation.batch_rows,
            backend=self.settings.generation,
        ).specification()

    def generate_spec(self, method: str, seed_index: int, benchmark: str) -> dict:
        row = self.benchmarks[benchmark]
        return GenerateSpec(
            study_seed=self.settings.seed,
            seed_index=seed_index,
            method=method,
            benchmark=benchmark,
            k=row.k,
            decoding=row.decoding,
            batch_rows=row.batch_rows,
            backend=self.settings.generation,
        ).specification()

    def pretrain_spec(self) -> dict:
        return self._base_model().specification()

    def gates_spec(self) -> dict:
        return LearningGates(enforce=self._base_model().gates.enforce).specification()

    def base_spec(self, base: str) -> dict:
        return self.bases[base].specification()

    def train_spec(self, method: str, seed_index: int) -> dict:
        return self._train_spec(self._stage("train", method), seed_index)

    def tune_spec(self, method: str, trial: int) -> dict:
        """Trial number `trial` (from 0) of a method's search: one of its values, with the seed that no table shows."""
        stage = self._stage("tune", method)
        if method not in self.search:
            raise UserError(f"tune: {method} has no search under tuning")
        setting, values = self.search[method].setting, self.search[method].values
        if trial >= len(values):
            raise UserError(f"tune: {method} has trials 0 to {len(values) - 1}, got {trial}")
        changed = merge(stage.model_dump(mode="json"), nested(setting, values[trial]))
        return self._train_spec(type(stage).model_validate(changed), self.hidden_seed)

    def tuning_spec(self) -> dict:
        return TuningSpec(settings={name: one.setting for name, one in self.search.items()}).specification()

    def spec(self, job: str, names: Sequence[str]) -> dict:
        """The specification of one job, with names as on the command line: spec("train", ["chord_mu", "0"]).

        job: a key of chord.jobs.SPECS; `<job>_spec` makes the specification from the names.
        """
        if job not in SPECS:
            raise UserError(unknown("job", job, SPECS))
        kinds = SPECS[job]
        if len(names) != len(kinds):
            raise UserError(
                f"{job}: expected {' '.join(kinds).upper() or 'no names'}, got {' '.join(names) or 'nothing'}"
            )
        return getattr(self, f"{job}_spec")(*map(self._checked_name, kinds, names))

    @property
    def known_names(self) -> dict[str, Collection[str]]:
        """The names of jobs by kind; seeds and trials are numbers from 0 instead."""
        return {
            "method": self.methods,
            "benchmark": self.benchmarks,
            "comparison": self.comparisons,
            "table": TABLES,
            "figure": FIGURES,
            "scope": SCOPES,
            "base": self.bases,
        }

    def _checked_name(self, kind: str, name: str) -> str | int:
        if kind in ("seed", "trial"):
            if not name.isdecimal():
                raise UserError(f"{kind} {name!r}: expected a number from 0")
            return int(name)
        known = self.known_names[kind]
        if name not in known:
            raise UserError(unknown(kind, name, known))
        return name

    def _priming(self) -> Priming:
        if self.priming is None:
            raise UserError(f"study {self.name}: priming: missing; expected how {self.model} is primed")
        return self.priming

    def _base_model(self) -> PretrainSpec:
        if self.pretrain is None:
            raise UserError(f"study {self.name}: base_model: missing; expected how {self.model} is trained")
        return self.pretrain

    def _stage(self, job: str, method: str) -> Stage:
        stage = self.methods[method].stage
        if stage is None:
            raise UserError(f"{job}: {method} has no stage: its result is the start model itself")
        return stage

    def _train_spec(self, stage: Stage, seed_index: int) -> dict:
        return TrainSpec(
            study_seed=self.settings.seed,
            seed_index=seed_index,
            stage=stage,
            validation=self.settings.validation,
            save_every=self.settings.save_every,
            scale=self.settings.training.scale,
        ).specification()
