"""Turns YAML files into a checked `Study`: reads and overlays them, and reports every problem as one line."""

import functools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from chord.analysis.catalogue import FIGURES
from chord.analysis.claims.claims_spec import ClaimsFile
from chord.analysis.specs import Grid
from chord.analysis.tuning import read_choices
from chord.data.rows_spec import BenchmarkSpec, PrepareSpec
from chord.errors import UserError
from chord.experts.experts_spec import ExpertsSpec
from chord.rollouts import Decoding
from chord.study import consistency, limits, places
from chord.study.config_problems import Keys, Layer, Problems, complete, has, line, unknown, validate, without_effect
from chord.study.expansion import complete_priming, expand, further_bases, in_order
from chord.study.hardware import (
    MODEL_TYPES,
    MODELS,
    ModelShape,
    find_gpu,
    find_shape,
    model_folders,
    world_shape,
)
from chord.study.priming import UNPRIMED
from chord.study.study import Benchmark, Method, Study
from chord.study.study_file import BASE, BenchmarkFile, Comparison, MethodFile, MethodOverride, StudyFile
from chord.study.yaml_files import merge, nested, overlay, read_yaml
from chord.training.train_spec import HybridStage, SftStage
from chord.world.pretrain_spec import PretrainSpec

STAGES: dict[str, type[SftStage] | type[HybridStage]] = {"sft": SftStage, "hybrid": HybridStage}
FOLDERS = {"study": "studies", "method": "methods", "benchmark": "benchmarks", "claims": "claims"}
Model = TypeVar("Model", bound=BaseModel)


def load_study(
    name_or_path: str | Path, root: str | Path = ".", seeds: int | None = None, thoroughly: bool = False
) -> Study:
    """Load the study of this name (config/studies/<name>.yaml under `root`) or file; UserError: one line per problem.

    seeds: runs of each method, instead of the number in the file. thoroughly: also check the folders of models and
    datasets, and settings that only some targets use.
    """
    loader = _StudyLoader(Path(root))
    try:
        study = loader.study(str(name_or_path), {} if seeds is None else {"seeds": seeds})
        if thoroughly and not loader.lines:
            loader.check_thoroughly(study)
    except Problems as problems:
        loader.lines += problems.lines
    if loader.lines:
        # A problem in the shared defaults occurs once per method; report it once.
        raise UserError("\n".join(dict.fromkeys(loader.lines)))
    return study


def start_models(settings: StudyFile) -> tuple[str, ...]:
    """What a method may start from besides other methods."""
    return (BASE, UNPRIMED, *settings.bases)


class _StudyLoader:
    """Collects the problems of all files, so that a user can correct them all at once."""

    def __init__(self, root: Path):
        self.root = root
        self.lines: list[str] = []
        self.file = ""  # the study's file, as messages show it
        self.files: tuple[Layer, ...] = ()  # the files of the studies that it is based on, and its own on top
        self.choices: dict[str, tuple[str, float]] = {}  # method -> setting and value that its search chose

    def study(self, name_or_path: str, instead: dict[str, Any]) -> Study:
        is_path = "/" in name_or_path or name_or_path.endswith((".yaml", ".yml"))
        path = Path(name_or_path) if is_path else self._find("study", name_or_path, place="")
        name, self.file = path.name.removesuffix(".yaml"), self._shown(path)
        self.files = self._with_bases(path)
        values = functools.reduce(overlay, [layer.value for layer in self.files]) | instead
        settings = validate(StudyFile, values, [self._layer(values)])
        methods = self._methods(settings)
        self.say_all(consistency.of_names(settings))
        self.say_all(consistency.of_comparisons(settings))
        comparisons = {} if self.lines else self._under_protocols(settings, methods)
        benchmarks = {key: self._benchmark(key, settings) for key in settings.benchmarks}
        data = self._section(PrepareSpec, settings.data, ("data",), seed=settings.seed)
        experts = self._section(ExpertsSpec, settings.experts, ("experts",), seed=settings.seed)
        pretrain = None
        if settings.base_model is not None:
            pretrain = self._section(PretrainSpec, settings.base_model, ("base_model",), seed=settings.seed)
        self.say_all(consistency.of_ranks(settings, methods))
        self.say_all(consistency.of_scale(settings, methods))
        self.say_all(consistency.of_tuning(settings, methods))
        if data is not None:
            self.say_all(limits.of_rows(settings, methods, data))
            self.say_all(limits.of_warmup(settings, methods, data))
        self._check_claims(settings)
        self.say_all(consistency.of_paper_setting(settings, self.root / "config/paper/reported.yaml"))
        self.say_all(consistency.of_parts(settings, benchmarks))
        self.say_all(consistency.of_benchmarks(settings, benchmarks))
        bases = further_bases(settings, self._layer)
        priming = complete_priming(settings, self._layer)
        if data is not None:
            self.say_all(limits.of_priming(priming, data))
        grids = self._grids(settings, methods, comparisons)
        return Study(
            name=name,
            root=self.root,
            settings=settings,
            methods={} if self.lines else in_order(list(methods.values())),
            comparisons=comparisons,
            grids=grids,
            benchmarks=benchmarks,
            data=data,
            experts=experts,
            priming=priming,
            pretrain=pretrain,
            bases=bases,
            shape=None if self.lines else self._shape(name, settings, pretrain),
            gpu=find_gpu(self.root, settings.cost.gpu) if settings.cost.gpu else None,
        )

    def check_thoroughly(self, study: Study) -> None:
        """Check the folders of models and datasets, and settings that only some targets use."""
        self.say_all(places.problems(study))
        self.say_all(consistency.of_experts(study))
        self.say_all(limits.of_positions(study))
        self.say_all(limits.of_expert_positions(study))
        self.say_all(limits.of_expert_sets(study.settings, study.methods, study.data))
        self.lines += consistency.trial_problems(study.settings, study.methods, self._layer)

    def _shape(self, name: str, settings: StudyFile, pretrain: PretrainSpec | None) -> ModelShape | None:
        """The shape of the start model, which may be trained here later; None if nothing tells its shape."""
        shape = find_shape(self.root, settings.model, model_folders(self.root, name, settings.model))
        if shape is None and pretrain is not None:
            return world_shape(pretrain.architecture)
        if shape is None and settings.cost.gpu:
            message = (
                f"the shape of {settings.model} is unknown; expected an entry in {MODELS}, "
                f"with one of the model_types {', '.join(MODEL_TYPES)}"
            )
            self._say(("cost", "gpu"), message)
        return shape

    def _with_bases(self, path: Path, above: tuple[Path, ...] = ()) -> tuple[Layer, ...]:
        """The files of the studies that a study is based on, lowest first, and its own file."""
        values, shown = self._read(path), self._shown(path)
        base = values.pop("base", None)
        if base is None:
            return (Layer(shown, values),)
        if not isinstance(base, str):
            raise Problems([f"{shown}: base: expected the name of a study, got {base!r}"])
        below = self._find("study", base, f"{shown}: base: ")
        if below in (path, *above):
            raise Problems([f"{shown}: base: {base} is based on this study itself"])
        return (*self._with_bases(below, (path, *above)), Layer(shown, values))

    def _layer(self, value: Any, place: Keys = ()) -> Layer:
        """A layer with a value of the study, which may come from several files."""
        return Layer(self.file, value, place, self.files)

    def _find(self, kind: str, name: str, place: str) -> Path:
        """Find the file of a study, method, benchmark or claims. place: the file and key that name it, with a colon."""
        path = self.root / "config" / FOLDERS[kind] / f"{name}.yaml"
        if not path.is_file():
            known = [file.name.removesuffix(".yaml") for file in path.parent.glob("*.yaml")]
            if not known:
                raise Problems([f"{path.parent}: no files; expected the folder config of the repository"])
            raise Problems([place + unknown(kind, name, known)])
        return path

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def _read(self, path: Path) -> dict:
        try:
            return read_yaml(path, self._shown(path))
        except UserError as error:
            raise Problems([str(error)]) from None

    def _say(self, keys: Keys, message: str) -> None:
        """Record a problem of the study's own file."""
        self.lines.append(line(self._layer(None), keys, message))

    def say_all(self, problems: Iterable[tuple[Keys, str]]) -> None:
        for keys, message in problems:
            self._say(keys, message)

    def _section(self, model: type[Model], section: dict, place: Keys, **derived: Any) -> Model | None:
        """Complete a section of the study's file with values that the study derives; None after a problem."""
        try:
            layer = self._layer(section, place)
            settings = complete(model, [layer], derived)
            self.lines += without_effect(settings, [layer])
            return settings
        except Problems as problems:
            self.lines += problems.lines
            return None

    def _methods(self, settings: StudyFile) -> dict[str, Method]:
        self.choices = self._read_choices(settings)
        methods: dict[str, Method] = {}
        waiting = {name: f"{self._layer(None).file_of(('methods', name))}: methods: " for name in settings.methods}
        while waiting:
            name, place = next(iter(waiting.items()))
            del waiting[name]
            try:
                methods[name] = self._method(name, settings, place)
            except Problems as problems:
                self.lines += problems.lines
                continue
            start, teacher = methods[name].start_from, methods[name].teacher
            if start not in (*start_models(settings), *methods, *waiting):
                waiting[start] = f"{self._method_file(name)}: start_from: "
            if teacher is not None and teacher not in (*methods, *waiting):
                waiting[teacher] = f"{self._method_file(name)}: teacher_from: "
        self.lines += [
            f"{self._method_file(name)}: start_from: {message}" for name, message in consistency.circles(methods)
        ]
        if not self.lines:  # a circle has no end
            self.lines += [
                f"{self._method_file(name)}: teacher_from: {message}"
                for name, message in consistency.of_teachers(methods)
            ]
        return methods

    def _method_file(self, name: str) -> str:
        return self._shown(self.root / "config" / "methods" / f"{name}.yaml")

    def _read_choices(self, settings: StudyFile) -> dict[str, tuple[str, float]]:
        if settings.tuning is None or settings.tuning.table is None:
            return {}
        choices = read_choices(self.root / settings.tuning.table, settings.tuning.table)
        for name in choices.keys() - settings.tuning.search.keys():
            self.lines.append(
                f"{settings.tuning.table}: {unknown('method of the search', name, settings.tuning.search)}"
            )
        return choices

    def _method(self, name: str, settings: StudyFile, place: str, protocol: str | None = None) -> Method:
        path = self._find("method", name, place)
        file = self._shown(path)
        values = self._read(path)
        below = validate(MethodFile, values, [Layer(file, values)])
        above = settings.methods.get(name, MethodOverride())
        start_from = above.start_from or below.start_from
        stage = None
        if below.stage is not None:
            choice = self._chosen_stage(name, above.stage, settings)
            own = merge(merge(below.stage, above.stage), choice)
            if own.get("kind") not in STAGES:
                raise Problems([f"{file}: stage.kind: {unknown('kind', own.get('kind'), STAGES)}"])
            kind = own["kind"]
            layers = [
                self._layer(getattr(settings.training, kind), ("training", kind)),
                self._layer(getattr(settings.protocols[protocol], kind), ("protocols", protocol, kind))
                if protocol
                else self._layer({}),
                Layer(file, below.stage, ("stage",)),
                self._layer(above.stage, ("methods", name, "stage")),
                Layer(settings.tuning.table if choice else "", choice),
            ]
            merged = functools.reduce(merge, [layer.value for layer in layers])
            stage = validate(STAGES[kind], merged, [layer for layer in layers if layer.value])
            if protocol is None:  # with the steps of a protocol, part of a schedule may have no effect
                self.lines += without_effect(stage, layers[2:])
        elif above.stage or start_from not in start_models(settings):
            raise Problems([f"{file}: stage: missing; expected a stage, which only a start model itself lacks"])
        teacher = above.teacher_from or below.teacher_from
        return Method(name, above.title or below.title, below.paper, start_from, stage, teacher)

    def _chosen_stage(self, name: str, override: dict, settings: StudyFile) -> dict:
        """The value that the committed search chose for a method's stage; {} if there is none."""
        if name not in self.choices:
            return {}
        setting, value = self.choices[name]
        if has(override, tuple(setting.split("."))):
            layer = self._layer(None, ("methods", name, "stage"))
            raise Problems([line(layer, (setting,), f"{settings.tuning.table} chooses it too; remove one of the two")])
        return nested(setting, value)

    def _under_protocols(self, settings: StudyFile, methods: dict[str, Method]) -> dict[str, Comparison]:
        """Replace the methods of comparisons with a protocol: by `chord_mu@paper` for a protocol `paper`, and so on.

        Adds these to `methods`. A method that a protocol does not change, such as pure RL, is not trained twice.
        """

        def under(protocol: str, name: str) -> str:
            method = methods[name]
            if method.stage is None:
                return name
            start = under(protocol, method.start_from) if method.start_from in methods else method.start_from
            teacher = method.teacher and under(protocol, method.teacher)
            stage = self._method(name, settings, "", protocol).stage
            same = (start, teacher) == (method.start_from, method.teacher)
            if same and stage.specification() == method.stage.specification():
                return name
            changed = f"{name}@{protocol}"
            methods[changed] = replace(method, name=changed, start_from=start, stage=stage, teacher=teacher)
            return changed

        comparisons = {}
        for name, comparison in settings.comparisons.items():
            if comparison.protocol:  # which no grid has
                renamed = {method: under(comparison.protocol, method) for method in comparison.methods}
                if any(method != new for method, new in renamed.items()):
                    for figure in comparison.figures:
                        if FIGURES[figure].methods:
                            message = f"{figure} shows {', '.join(FIGURES[figure].methods)}, without a protocol"
                            self._say(("comparisons", name, "figures"), message)
                comparison = comparison.model_copy(
                    update={
                        "methods": list(renamed.values()),
                        "references": [renamed[reference] for reference in comparison.references],
                    }
                )
            comparisons[name] = comparison
        return comparisons

    def _benchmark(self, name: str, settings: StudyFile) -> Benchmark | None:
        """A benchmark of the study; one that names another has the same questions, and its decoding in the title."""
        of = settings.benchmarks[name].benchmark or name
        try:
            if of != name:
                self._check_shared(name, of, settings)
            path = self._find("benchmark", of, f"{self._layer(None).file_of(('benchmarks', of))}: benchmarks: ")
            entries = {entry: settings.benchmarks[entry] for entry in (of, name)}
            layers = [Layer(self._shown(path), self._read(path))] + [
                self._layer(value.model_dump(exclude_unset=True, exclude={"benchmark"}), ("benchmarks", entry))
                for entry, value in entries.items()
            ]
            merged = validate(BenchmarkFile, functools.reduce(merge, [layer.value for layer in layers]), layers)
            consistency.refuse_redefined(layers)
            parts = [Layer(layer.file, layer.value.get("data"), (*layer.place, "data")) for layer in layers]
            data = complete(BenchmarkSpec, parts, {"seed": settings.seed, "name": of})
        except Problems as problems:
            self.lines += problems.lines
            return None
        decoding = merged.decodings[merged.decoding]
        suffix = f" ({merged.decoding})" if of != name else ""
        return Benchmark(
            name=name,
            title=merged.title + suffix,
            role=merged.role,
            columns={group: title + suffix for group, title in merged.columns.items()},
            parts={group: title + suffix for group, title in merged.parts.items()},
            decoding_name=merged.decoding,
            k=decoding.k,
            decoding=Decoding(**decoding.model_dump(exclude={"k"})),
            batch_rows=merged.batch_rows,
            questions=merged.questions,
            data=data,
        )

    def _check_shared(self, name: str, of: str, settings: StudyFile) -> None:
        place = self._layer(None, ("benchmarks", name))
        if of not in settings.benchmarks:
            raise Problems([line(place, ("benchmark",), unknown("benchmark of this study", of, settings.benchmarks))])
        if settings.benchmarks[of].benchmark is not None:
            message = f"{of} has the questions of {settings.benchmarks[of].benchmark}; name that one"
            raise Problems([line(place, ("benchmark",), message)])

    def _check_claims(self, settings: StudyFile) -> None:
        """Check the file of claims, which may name methods that this study lacks: such claims are not measured."""
        if settings.claims is None:
            return
        try:
            path = self._find("claims", settings.claims, f"{self._layer(None).file_of(('claims',))}: claims: ")
            values = self._read(path)
            validate(ClaimsFile, values, [Layer(self._shown(path), values)])
        except Problems as problems:
            self.lines += problems.lines

    def _grids(
        self, settings: StudyFile, methods: dict[str, Method], comparisons: dict[str, Comparison]
    ) -> dict[str, Grid]:
        """The grid of each comparison over two axes; adds its methods to `methods` and `comparisons`."""
        grids = {}
        for name, comparison in comparisons.items():
            if comparison.grid is None or self.lines:
                continue
            try:
                expanded, grids[name] = expand(name, comparison, settings, methods, self._layer)
            except Problems as problems:
                self.lines += problems.lines
                continue
            for method in expanded:
                if methods.setdefault(method.name, method) != method:
                    self._say(("comparisons", name, "grid"), f"{method.name} is another method in another grid")
            comparisons[name] = comparison.model_copy(update={"methods": [method.name for method in expanded]})
        return grids
