"""Checks that the parts of a study fit together. Checks of merged files yield (keys, message) for every problem."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from chord.analysis.catalogue import FIGURES, TABLES
from chord.analysis.tables.reported import read_reported
from chord.study.config_problems import Keys, Layer, Problems, line, unknown, validate, without_effect
from chord.study.priming import UNPRIMED
from chord.study.study import Benchmark, Method, Study
from chord.study.study_file import BASE, StudyFile
from chord.study.yaml_files import merge, nested
from chord.training.scale.scale_spec import OwnRollouts


def of_names(settings: StudyFile) -> Iterator[tuple[Keys, str]]:
    """No method has the name of a start model."""
    for name in (BASE, UNPRIMED):
        if name in settings.methods:
            yield ("methods", name), f"expected another name: {name} is a start model"


def of_comparisons(settings: StudyFile) -> Iterator[tuple[Keys, str]]:
    for name, comparison in settings.comparisons.items():
        place = ("comparisons", name)
        if comparison.protocol is not None and comparison.protocol not in settings.protocols:
            yield (*place, "protocol"), unknown("protocol of this study", comparison.protocol, settings.protocols)
        for method in comparison.methods:
            if method not in settings.methods:
                yield (*place, "methods"), unknown("method of this study", method, settings.methods)
        if comparison.grid and comparison.grid.method not in settings.methods:
            yield (*place, "grid", "method"), unknown("method of this study", comparison.grid.method, settings.methods)
        whose, known = ("study", settings.methods) if comparison.grid else ("comparison", comparison.methods)
        for method in comparison.references:
            if method not in known:
                yield (*place, "references"), unknown(f"method of this {whose}", method, known)
        for benchmark in comparison.benchmarks or ():
            if benchmark not in settings.benchmarks:
                yield (*place, "benchmarks"), unknown("benchmark of this study", benchmark, settings.benchmarks)
        for figure in comparison.figures:
            for method in FIGURES[figure].methods:
                if method not in comparison.methods:
                    message = f"{figure} shows {method}, which is not among the methods of this comparison"
                    yield (*place, "figures"), message


def of_experts(study: Study) -> Iterator[tuple[Keys, str]]:
    """Two sources of trajectories only answer prompts of one source. A study without expert rows uses neither."""
    reads = any({"experts", "traces"} & set(method.stage.inputs) for method in study.methods.values() if method.stage)
    prompts = study.data.source.kind
    for place, experts in study.expert_sections.items():
        if place == ("experts",) and not reads:
            continue
        kind = experts.source.kind
        wanted = {"solver": "world", "official": "bfcl"}.get(kind, prompts)
        if prompts != wanted:
            yield (*place, "source", "kind"), f"{kind}: expected data.source.kind {wanted}, got {prompts}"


def of_parts(settings: StudyFile, benchmarks: Mapping[str, Benchmark | None]) -> Iterator[tuple[Keys, str]]:
    """A table of groups needs a benchmark with parts. benchmarks: None for one with a problem of its own."""
    if any(benchmark is None or benchmark.parts for benchmark in benchmarks.values()):
        return
    for name, comparison in settings.comparisons.items():
        for table in comparison.tables:
            if TABLES[table].parts:
                yield ("comparisons", name, "tables"), f"{table}: no benchmark of this study has parts"


def of_benchmarks(settings: StudyFile, benchmarks: Mapping[str, Benchmark | None]) -> Iterator[tuple[Keys, str]]:
    """No two benchmarks have the same questions and the same decoding. benchmarks: as in `of_parts`."""
    names: dict[tuple[str, str], str] = {}
    for name, benchmark in benchmarks.items():
        if benchmark is not None:
            first = names.setdefault((benchmark.data.name, benchmark.decoding_name), name)
            if first != name:
                message = f"{first} already has the questions of {benchmark.data.name} with {benchmark.decoding_name}"
                yield ("benchmarks", name, "decoding"), message


def of_scale(settings: StudyFile, methods: Mapping[str, Method]) -> Iterator[tuple[Keys, str]]:
    """Adapters and frozen models cannot be sharded, and an importance correction is for rollouts of another engine.

    methods: those without a problem of their own, here and below.
    """
    scale = settings.training.scale
    stages = {name: method.stage for name, method in methods.items() if method.stage}
    unshardable = {
        "lora": [name for name, stage in stages.items() if stage.lora],
        "a frozen reference or teacher": [name for name, stage in stages.items() if stage.passes_without_gradient],
    }
    for what, names in unshardable.items():
        if names and scale.sharding != "none":
            message = f"expected none with {what} ({', '.join(names)}), got {scale.sharding}"
            yield ("training", "scale", "sharding"), message
    corrected = [name for name, stage in stages.items() if stage.corrects_rollouts]
    if corrected and isinstance(scale.rollouts, OwnRollouts):
        message = f"expected vllm or vllm_server with an importance_correction ({', '.join(corrected)})"
        yield ("training", "scale", "rollouts", "kind"), f"{message}, got {scale.rollouts.kind}"


def of_teachers(methods: Mapping[str, Method]) -> Iterator[tuple[str, str]]:
    """Yield (method, message): a teacher is a trained method of the study that needs no teacher itself."""
    for name, method in methods.items():
        reads = method.stage is not None and method.stage.reads_teacher
        if reads and method.teacher is None:
            yield name, "missing; expected the method whose result is the teacher, as the stage has a distillation"
        elif method.teacher is not None and not reads:
            yield name, "expected none, as no other model teaches the stage's rollouts"
        elif method.teacher is not None and method.teacher in methods:
            link = methods[method.teacher]
            if link.stage is None:
                yield name, f"{link.name} trains nothing; expected a method with a stage"
            while link is not None:
                if link.teacher is not None:
                    yield name, f"expected a method that itself needs no teacher, as {link.name} does"
                link = methods.get(link.start_from)


def of_paper_setting(settings: StudyFile, reported: Path) -> Iterator[tuple[Keys, str]]:
    """reported: the file with the paper's numbers."""
    if settings.paper_setting is None:
        return
    known = read_reported(reported).settings
    if settings.paper_setting not in known:
        yield ("paper_setting",), unknown("setting of the paper", settings.paper_setting, known)


def of_ranks(settings: StudyFile, methods: Mapping[str, Method]) -> Iterator[tuple[Keys, str]]:
    """The ranks of a training job must be able to share the rows of each step equally."""
    ranks = settings.training.scale.ranks
    problems: dict[str, list[str]] = {}
    for name, method in methods.items():
        if method.stage and (problem := method.stage.divisibility_error(ranks)):
            problems.setdefault(problem, []).append(name)
    for problem, names in problems.items():
        yield ("training", "scale", "ranks"), f"{problem} ({', '.join(names)})"


def of_tuning(settings: StudyFile, methods: Mapping[str, Method]) -> Iterator[tuple[Keys, str]]:
    """A search uses an unreported seed, methods that train, and the same number of values for each."""
    if settings.tuning is None:
        return
    if settings.tuning.seed_index < settings.seeds:
        message = f"{settings.tuning.seed_index} is one of the reported seeds; expected {settings.seeds} or more"
        yield ("tuning", "seed_index"), message
    trainable = [name for name in settings.methods if name not in methods or methods[name].stage]
    search = settings.tuning.search
    for name in search:
        if name not in trainable:
            yield ("tuning", "search"), unknown("trained method of this study", name, trainable)
    if len({len(one.values) for one in search.values()}) > 1:
        counts = ", ".join(f"{name} {len(one.values)}" for name, one in search.items())
        yield ("tuning", "search"), f"expected the same number of values for each method, got {counts}"


def trial_problems(
    settings: StudyFile, methods: Mapping[str, Method], layer_of: Callable[[Any, Keys], Layer]
) -> list[str]:
    """Return a line for each invalid value of a search, and for each setting that has no effect in its stage.

    layer_of: makes the layer of a value at a place in the study's file.
    """
    lines = []
    for name, search in settings.tuning.search.items() if settings.tuning else ():
        stage = methods[name].stage if name in methods else None
        for value in search.values if stage else ():
            change = nested(search.setting, int(value) if value.is_integer() else value)  # 2.0 epochs are 2
            try:
                layer = layer_of(change, ("tuning", "search", name))
                trial = validate(type(stage), merge(stage.model_dump(mode="json"), change), [layer])
                lines += without_effect(trial, [layer])
            except Problems as problems:
                lines += problems.lines
    return list(dict.fromkeys(lines))


def circles(methods: Mapping[str, Method]) -> Iterator[tuple[str, str]]:
    """Yield (method, message) for each circle of methods that start from each other."""
    reported: set[str] = set()
    for name in methods:
        chain = [name]
        while (start := methods[chain[-1]].start_from) in methods and start not in chain:
            chain.append(start)
        if start == name and name not in reported:
            reported |= set(chain)
            yield name, f"{' -> '.join([*chain, start])} is a circle; expected a chain that ends at {BASE}"


def refuse_redefined(layers: list[Layer]) -> None:
    """A decoding is defined once: the decoding `paper` of a table is the one in the benchmark's file."""
    defined: dict[str, Layer] = {}
    for layer in layers:
        for name in layer.value.get("decodings", {}):
            if name in defined:
                message = f"{line(defined[name], ('decodings', name), 'defined already')}; give yours another name"
                raise Problems([line(layer, ("decodings", name), message)])
            defined[name] = layer
