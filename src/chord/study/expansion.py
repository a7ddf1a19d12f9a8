"""Expands what is short in a study's file: further base models, priming, methods over two axes, and their order.

A further base model is the study's own, trained further with the settings of its entry in `bases`. All of that training
is annealed (the rate falls to zero, with the mixture of the last part), and its gates are measured but not enforced.

A grid is one method with the settings of each row and column. A column also changes the references, so that differences
are taken within a column. The methods are ordinary ones, named `<reference>@<column>` and `<method>@<column>-<row>`:
`rl@x0.02`, `chord_phi@x0.02-mu0.1`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chord.analysis.specs import Grid, GridAxis, GridReference
from chord.experts.experts_spec import ExpertsSpec
from chord.study.config_problems import Keys, Layer, Problems, complete, line, unknown, validate, without_effect
from chord.study.priming import UNPRIMED, Priming
from chord.study.study import Method
from chord.study.study_file import BASE, START, Axis, Comparison, StudyFile, Value, value_text
from chord.study.yaml_files import merge, nested
from chord.training.train_spec import SftStage
from chord.world.pretrain_spec import PretrainSpec

CONTINUED = {"anneal_share": 1.0, "gates": {"enforce": False}}
LayerOf = Callable[[Any, Keys], Layer]  # makes the layer of a value at a place in the study's file


def further_bases(settings: StudyFile, layer_of: LayerOf) -> dict[str, PretrainSpec]:
    """The specification of each entry of `bases`; raises Problems."""
    if settings.bases and settings.base_model is None:
        raise Problems([line(layer_of(None, ()), ("bases",), "expected a section base_model too, which they change")])
    below = [layer_of(settings.base_model, ("base_model",)), Layer("", CONTINUED)]
    bases = {}
    for name, section in settings.bases.items():
        if name in (BASE, UNPRIMED, *settings.methods):
            message = f"expected a name that is neither {BASE} nor {UNPRIMED} nor a method of this study"
            raise Problems([line(layer_of(None, ()), ("bases", name), message)])
        layers = [*below, layer_of(section, ("bases", name))]
        bases[name] = complete(PretrainSpec, layers, {"seed": settings.seed})
    return bases


def complete_priming(settings: StudyFile, layer_of: LayerOf) -> Priming | None:
    """The section `priming`, its SFT over the settings of training.sft; raises Problems."""
    section = settings.priming
    if section is None:
        return None
    answers = layer_of(section.experts, ("priming", "experts"))
    experts = complete(ExpertsSpec, [answers], {"seed": settings.seed})
    if lines := without_effect(experts, [answers]):
        raise Problems(lines)
    layers = [layer_of(settings.training.sft, ("training", "sft")), layer_of(section.stage, ("priming", "stage"))]
    return Priming(experts, complete(SftStage, layers, {}), section.gates)


def expand(
    name: str, comparison: Comparison, settings: StudyFile, methods: Mapping[str, Method], layer_of: LayerOf
) -> tuple[list[Method], Grid]:
    """The methods of the comparison `name`, column by column with the references first, and its grid.

    methods: those of the study, by name. Raises Problems if a value does not fit one of them.
    """
    grid = comparison.grid

    def at(method: str, **values: Value) -> Method:
        """A method with one value of each of the given axes (`columns` and `rows`)."""
        changed, names, titles = methods[method], [], [methods[method].title]
        for axis_name, value in values.items():
            axis: Axis = getattr(grid, axis_name)
            place = ("comparisons", name, "grid", axis_name)
            changed = _with_value(changed, axis.setting, value, settings, layer_of, place)
            names.append(f"{'' if axis.setting == START else axis.symbol}{value_text(value)}")
            titles.append(f"from {value}" if axis.setting == START else axis.label(value))
        return replace(changed, name=f"{method}@{'-'.join(names)}", title=", ".join(titles))

    columns = grid.columns.values
    references = {reference: [at(reference, columns=value) for value in columns] for reference in comparison.references}
    cells = [[at(grid.method, columns=value, rows=row) for row in grid.rows.values] for value in columns]
    expanded = [
        method
        for number, column in enumerate(cells)
        for method in [*(reference[number] for reference in references.values()), *column]
    ]
    return expanded, Grid(
        title=methods[grid.method].title,
        rows=_axis(grid.rows),
        columns=_axis(grid.columns),
        methods=tuple(tuple(method.name for method in column) for column in cells),
        references=tuple(
            GridReference(title=methods[reference].title, methods=tuple(method.name for method in row))
            for reference, row in references.items()
        ),
    )


def _with_value(
    method: Method, setting: str, value: Value, settings: StudyFile, layer_of: LayerOf, place: Keys
) -> Method:
    if method.stage is None:
        raise Problems([line(layer_of(None, ()), place, f"expected methods that train, got {method.name}")])
    if setting == START:
        known = [BASE, UNPRIMED, *settings.bases, *settings.methods]
        if value not in known:
            raise Problems([line(layer_of(None, ()), (*place, "values"), unknown("start", value, known))])
        return replace(method, start_from=value)
    changed = nested(setting, value)
    stage = validate(
        type(method.stage), merge(method.stage.model_dump(mode="json"), changed), [layer_of(changed, place)]
    )
    return replace(method, stage=stage)


def _axis(axis: Axis) -> GridAxis:
    return GridAxis(title=axis.heading, labels=tuple(axis.label(value) for value in axis.values))


def in_order(methods: Sequence[Method]) -> dict[str, Method]:
    """Order the methods so that each comes after its start and its teacher, otherwise as given; without a cycle."""
    by_name = {method.name: method for method in methods}
    ordered: dict[str, Method] = {}

    def add(method: Method) -> None:
        if method.name not in ordered:
            for earlier in (method.start_from, method.teacher):
                if earlier in by_name:
                    add(by_name[earlier])
            ordered[method.name] = method

    for method in methods:
        add(method)
    return ordered
