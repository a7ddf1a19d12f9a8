"""From YAML files to a checked `Study`: reading, laying over each other, and every problem found as one line."""

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
from chord.study.config_problems import Keys, Layer, Problems, complete, line, unknown, validate, without_effect
from chord.study.expansion import expand, further_bases
from chord.study.hardware import (
    MODEL_TYPES,
    MODELS,
    ModelShape,
    find_gpu,
    find_shape,
    model_folders,
    world_shape,
)
from chord.study.study import Benchmark, Method, Study, in_order
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
    """The study of this name (config/studies/<name>.yaml under `root`) or in this file; UserError: a line a problem.

    seeds: runs of each method in place of what the file says. thoroughly: look too into folders of models and
    datasets, and at what only some targets run.
    """
    loader = _Loader(Path(root))
    try:
        study = loader.study(str(name_or_path), {} if seeds is None else {"seeds": seeds})
        if thoroughly and not loader.lines:
            loader.look_closer(study)
    except Problems as problems:
        loader.lines += problems.lines
    if loader.lines:
        # A fault in the shared defaults shows up once for each method: say it once.
        raise UserError("\n".join(dict.fromkeys(loader.lines)))
    return study


def _refuse_redefined(layers: list[Layer]) -> None:
    """A name stands for one set of numbers: what a table calls `paper` is what the benchmark's file calls so."""
    where: dict[str, Layer] = {}
    for layer in layers:
        for name in layer.value.get("decodings", {}):
            if name in where:
                message = f"{line(where[name], ('decodings', name), 'defined already')}; give yours another name"
                raise Problems([line(layer, ("decodings", name), message)])
            where[name] = layer


class _Loader:
    """Collects problems over all files, so that one look at the message is enough to mend them all."""

    def __init__(self, root: Path):
        self.root = root
        self.lines: list[str] = []
        self.file = ""  # the study's, as messages show it
        self.files: tuple[Layer, ...] = ()  # it on top of the files of the studies that it is based on
        self.chosen: dict[str, tuple[str, float]] = {}  # method -> setting and value that its search chose

    def study(self, name_or_path: str, instead: dict[str, Any]) -> Study:
        is_path = "/" in name_or_path or name_or_path.endswith((".yaml", ".yml"))
        path = Path(name_or_path) if is_path else self._find("study", name_or_path, asked_by="")
        name, self.file = path.name.removesuffix(".yaml"), self._shown(path)
        self.files = self._with_bases(path)
        values = functools.reduce(overlay, [layer.value for layer in self.files]) | instead
        settings = validate(StudyFile, values, [self._layer(values)])
        methods = self._methods(settings)
        self.say_all(consistency.of_comparisons(settings))
        comparisons = {} if self.lines else self._under_protocols(settings, methods)
        benchmarks = {key: self._benchmark(key, settings) for key in settings.benchmarks}
        data = self._section(PrepareSpec, settings.data, ("data",), seed=settings.seed)
        experts = self._section(ExpertsSpec, settings.experts, ("experts",), seed=settings.seed)
        pretrain = None
        if settings.base_model is not None:
            pretrain = self._section(PretrainSpec, settings.base_model, ("base_model",), seed=settings.seed)
        self.say_all(consistency.of_ranks(settings, methods))
        self.say_all(consistency.of_sharding(settings, methods))
        self.say_all(consistency.of_tuning(settings, methods))
        if data is not None:
            self.say_all(limits.of_rows(settings, methods, data))
            self.say_all(limits.of_warmup(settings, methods, data))
        self._check_claims(settings)
        self.say_all(consistency.of_paper_setting(settings, self.root / "config/paper/reported.yaml"))
        self.say_all(consistency.of_parts(settings, benchmarks))
        self.say_all(consistency.of_benchmarks(settings, benchmarks))
        bases = further_bases(settings, self._layer)
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
            pretrain=pretrain,
            bases=bases,
            shape=None if self.lines else self._shape(name, settings, pretrain),
            gpu=find_gpu(self.root, settings.cost.gpu) if settings.cost.gpu else None,
        )

    def look_closer(self, study: Study) -> None:
        """Into the folders of models and datasets, and at what only some targets run."""
        self.say_all(places.problems(study))
        self.say_all(limits.of_positions(study))
        self.say_all(limits.of_the_experts_positions(study))
        self.say_all(limits.of_expert_sets(study.settings, study.methods, study.data))
        self.lines += consistency.trial_problems(study.settings, study.methods, self._layer)

    def _shape(self, name: str, settings: StudyFile, pretrain: PretrainSpec | None) -> ModelShape | None:
        """The start model's: its folder's, the fetched one's or the table's; of one not trained yet what it will be."""
        shape = find_shape(self.root, settings.model, model_folders(self.root, name, settings.model))
        if shape is None and pretrain is not None:
            return world_shape(pretrain.architecture)
        if shape is None and settings.cost.gpu:
            message = (
                f"the shape of {settings.model} is not known; expected an entry in {MODELS}, "
                f"with a model_type of {', '.join(MODEL_TYPES)}"
            )
            self._say(("cost", "gpu"), message)
        return shape

    def _with_bases(self, path: Path, above: tuple[Path, ...] = ()) -> tuple[Layer, ...]:
        """A study's file on top of those of the studies that it is based on."""
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
        """A value of the study, all its files laid over each other."""
        return Layer(self.file, value, place, self.files)

    def _find(self, kind: str, name: str, asked_by: str) -> Path:
        """The file of a study, method, benchmark or claims; `asked_by` is the place that names it, with a colon."""
        path = self.root / "config" / FOLDERS[kind] / f"{name}.yaml"
        if not path.is_file():
            known = [file.name.removesuffix(".yaml") for file in path.parent.glob("*.yaml")]
            if not known:
                raise Problems([f"{path.parent}: no files; expected the folder config of the repository"])
            raise Problems([asked_by + unknown(kind, name, known)])
        return path

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def _read(self, path: Path) -> dict:
        try:
            return read_yaml(path, self._shown(path))
        except UserError as error:
            raise Problems([str(error)]) from None

    def _say(self, keys: Keys, message: str) -> None:
        """Note a problem of the study's own file."""
        self.lines.append(line(self._layer(None), keys, message))

    def say_all(self, problems: Iterable[tuple[Keys, str]]) -> None:
        for keys, message in problems:
            self._say(keys, message)

    def _section(self, model: type[Model], section: dict, place: Keys, **derived: Any) -> Model | None:
        """A section of the study's file, completed with what only the study knows; None after a problem."""
        try:
            layer = self._layer(section, place)
            settings = complete(model, [layer], derived)
            self.lines += without_effect(settings, [layer])
            return settings
        except Problems as problems:
            self.lines += problems.lines
            return None

    def _methods(self, settings: StudyFile) -> dict[str, Method]:
        self.chosen = self._chosen(settings)
        found: dict[str, Method] = {}
        waiting = {name: f"{self._layer(None).file_of(('methods', name))}: methods: " for name in settings.methods}
        while waiting:
            name, asked_by = next(iter(waiting.items()))
            del waiting[name]
            try:
                found[name] = self._method(name, settings, asked_by)
            except Problems as problems:
                self.lines += problems.lines
                continue
            start = found[name].start_from
            if start not in (BASE, *settings.bases, *found, *waiting):
                waiting[start] = f"{self._method_file(name)}: start_from: "
        self.lines += [
            f"{self._method_file(name)}: start_from: {message}" for name, message in consistency.circles(found)
        ]
        return found

    def _method_file(self, name: str) -> str:
        return self._shown(self.root / "config" / "methods" / f"{name}.yaml")

    def _chosen(self, settings: StudyFile) -> dict[str, tuple[str, float]]:
        if settings.tuning is None or settings.tuning.table is None:
            return {}
        chosen = read_choices(self.root / settings.tuning.table, settings.tuning.table)
        for name in chosen.keys() - settings.tuning.search.keys():
            self.lines.append(
                f"{settings.tuning.table}: {unknown('method of the search', name, settings.tuning.search)}"
            )
        return chosen

    def _method(self, name: str, settings: StudyFile, asked_by: str, protocol: str | None = None) -> Method:
        path = self._find("method", name, asked_by)
        file = self._shown(path)
        values = self._read(path)
        below = validate(MethodFile, values, [Layer(file, values)])
        above = settings.methods.get(name, MethodOverride())
        start_from = above.start_from or below.start_from
        stage = None
        if below.stage is not None:
            chosen = self._chosen_stage(name, above.stage, settings)
            own = merge(merge(below.stage, above.stage), chosen)
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
                Layer(settings.tuning.table if chosen else "", chosen),
            ]
            merged = functools.reduce(merge, [layer.value for layer in layers])
            stage = validate(STAGES[kind], merged, [layer for layer in layers if layer.value])
            if protocol is None:  # which may have too few steps for a schedule, as it is about how much a method gets
                self.lines += without_effect(stage, layers[2:])
        elif above.stage or start_from != BASE:
            raise Problems([f"{file}: stage: missing; expected a stage, as only the base model itself has none"])
        return Method(name, above.title or below.title, below.paper, start_from, stage)

    def _chosen_stage(self, name: str, override: dict, settings: StudyFile) -> dict:
        """What the committed search says of a method's stage; {} without."""
        if name not in self.chosen:
            return {}
        setting, value = self.chosen[name]
        place = override
        for key in setting.split("."):
            place = place.get(key) if isinstance(place, dict) else None
        if place is not None:
            where = self._layer(None, ("methods", name, "stage"))
            raise Problems([line(where, (setting,), f"{settings.tuning.table} chooses it too; remove one of the two")])
        return nested(setting, value)

    def _under_protocols(self, settings: StudyFile, methods: dict[str, Method]) -> dict[str, Comparison]:
        """The comparisons with the methods they really show: `chord_mu@paper` for `chord_mu` under a protocol `paper`.

        Adds these to `methods`. A method that a protocol leaves as it is, such as pure RL, is not trained twice.
        """

        def under(protocol: str, name: str) -> str:
            method = methods[name]
            if method.stage is None:
                return name
            start = under(protocol, method.start_from) if method.start_from in methods else method.start_from
            stage = self._method(name, settings, "", protocol).stage
            if start == method.start_from and stage.specification() == method.stage.specification():
                return name
            changed = f"{name}@{protocol}"
            methods[changed] = replace(method, name=changed, start_from=start, stage=stage)
            return changed

        found = {}
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
            found[name] = comparison
        return found

    def _benchmark(self, name: str, settings: StudyFile) -> Benchmark | None:
        """A benchmark of the study; one that names another has its questions, and says so in its title."""
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
            _refuse_redefined(layers)
            parts = [Layer(layer.file, layer.value.get("data"), (*layer.place, "data")) for layer in layers]
            data = complete(BenchmarkSpec, parts, {"seed": settings.seed, "name": of})
        except Problems as problems:
            self.lines += problems.lines
            return None
        chosen = merged.decodings[merged.decoding]
        suffix = f" ({merged.decoding})" if of != name else ""
        return Benchmark(
            name=name,
            title=merged.title + suffix,
            role=merged.role,
            columns={group: title + suffix for group, title in merged.columns.items()},
            parts={group: title + suffix for group, title in merged.parts.items()},
            decoding_name=merged.decoding,
            k=chosen.k,
            decoding=Decoding(**chosen.model_dump(exclude={"k"})),
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
        """The claims may name methods that this study lacks: those claims are not measured."""
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
        """Where the methods of each comparison over two axes stand; adds these to `methods` and `comparisons`."""
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
