"""The phase diagram of a study: base models of several exposures to the expert's style, and the methods run from each.

From each base model RL, CHORD-mu and, with each mu, CHORD-phi: ordinary methods with the study's settings that start
elsewhere, named `rl@x0.02` and `chord_phi@x0.02-mu0.1`. The base model of an exposure is the study's own, trained on
with a mixture in which nothing but the exposure is changed. The study's own exposure is no exception, so that the base
models differ in exposure only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chord.analysis.specs import Method as ShownMethod
from chord.analysis.specs import PhaseBase, PhasePoint, PhaseSpec
from chord.objectives.schedules import Constant
from chord.study.problems import Keys, unknown
from chord.study.settings import BASE, PhaseDiagram, StudyFile
from chord.study.study import Benchmark, Method
from chord.world.pretrain_spec import PretrainSpec

METHODS = ("rl", "chord_mu", "chord_phi")


@dataclass(frozen=True)
class Phase:
    """What the phase diagram adds to a study."""

    bases: dict[str, PretrainSpec]  # by name
    methods: list[Method]
    diagram: PhaseSpec


def problems(settings: StudyFile, methods: Mapping[str, Method]) -> list[tuple[Keys, str]]:
    """(keys, message) of what the section phase_phi needs of the rest of the study and does not find."""
    place, found = ("phase_phi",), []
    if settings.base_model is None:
        found.append((place, "expected a section base_model too, whose mixture it changes"))
    for name in METHODS:
        if name not in settings.methods:
            found.append((place, f"expected the method {name} among those of this study"))
        elif name in methods and methods[name].start_from != BASE:
            found.append((place, f"expected {name} to start from {BASE}, got {methods[name].start_from}"))
    benchmark = settings.phase_phi.benchmark
    if benchmark not in settings.benchmarks:
        found.append(((*place, "benchmark"), unknown("benchmark of this study", benchmark, settings.benchmarks)))
    return found


def expand(
    section: PhaseDiagram, pretrain: PretrainSpec, methods: Mapping[str, Method], benchmark: Benchmark, seeds: list[int]
) -> Phase:
    """benchmark: the one that `section` names. `methods` has those of METHODS."""
    bases, added, shown = {}, [], []
    for exposure in section.exposures:
        base = f"x{exposure:g}"
        bases[base] = _trained_on(pretrain, exposure, section.base_steps)
        rl, chord_mu = (replace(methods[name], name=f"{name}@{base}", start_from=base) for name in METHODS[:2])
        phi = [_with_mu(methods["chord_phi"], base, mu) for mu in section.mu]
        added += [rl, chord_mu, *phi]
        shown.append(
            PhaseBase(
                name=base,
                exposure=exposure,
                rl=_shown(rl),
                chord_mu=_shown(chord_mu),
                chord_phi=tuple(
                    PhasePoint(mu=mu, method=_shown(method)) for mu, method in zip(section.mu, phi, strict=True)
                ),
            )
        )
    diagram = PhaseSpec(
        benchmark=benchmark.name,
        title=benchmark.title,
        decoding=benchmark.decoding_name,
        seeds=tuple(seeds),
        bases=tuple(shown),
    )
    return Phase(bases, added, diagram)


def _trained_on(pretrain: PretrainSpec, exposure: float, steps: int) -> PretrainSpec:
    """All of it is annealed: the rate falls to zero and the mixture is the last part's. The gates measure only."""
    return pretrain.model_copy(
        update={
            "steps": steps,
            "anneal_share": 1.0,
            "mixture": pretrain.mixture.model_copy(update={"exposure": exposure}),
            "gates": pretrain.gates.model_copy(update={"enforce": False}),
        }
    )


def _with_mu(chord_phi: Method, base: str, mu: float) -> Method:
    stage = chord_phi.stage.model_copy(update={"schedule": Constant(mu=mu)})
    return replace(chord_phi, name=f"chord_phi@{base}-mu{mu:g}", start_from=base, stage=stage)


def _shown(method: Method) -> ShownMethod:
    return ShownMethod(name=method.name, title=method.title)
