"""The exact solver of the world, and the ways of writing a solution: terse, with skipped steps, or like the expert.

One step of a solution is a person's value. The optional elements are the expert's, each opened by its own marker:

    terse    Ann 7 . Bob 1 . Cat 4 . answer 4 1
    expert   plan Cat Bob Ann . Ann look 7 compute 7 gives 7 . Bob look Ann plus 4 compute 7 plus 4 gives 1 . ...
             check Cat 4 Bob 1 ok . answer 4 1

The base model is trained on a mixture in which every element is decided anew by chance (`Style`), so the expert's
markers are rare but possible at every place: the style is spread through the solution, not decided by its first token.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from chord.world.problems import MODULUS, Problem, Statement, compute

# Each opens an optional element; these tokens distinguish the expert from the base model.
MARKERS = ("plan", "look", "compute", "check")


@dataclass(frozen=True)
class Style:
    """Probability of every choice in writing a solution.

    plan, look, compute, check: that the element is written (per solution, per step, per step, per solution).
    skipping: that a solution leaves out steps at all; keep: that such a solution writes a given step.
    slip: that one number or name of a written `look` or `compute` is wrong; the solution continues with it.
    """

    plan: float = 0.0
    look: float = 0.0
    compute: float = 0.0
    check: float = 0.0
    skipping: float = 0.0
    keep: float = 1.0
    slip: float = 0.0


EXPERT = Style(plan=1.0, look=1.0, compute=1.0, check=1.0)


def base_style(exposure: float, slip: float, skipping: float, keep: float) -> Style:
    """The mixture the base model learns: the expert's elements with probability `exposure`, wrong with `slip`."""
    return Style(exposure, exposure, exposure, exposure, skipping, keep, slip)


def order(problem: Problem) -> list[Statement]:
    """The needed statements, each after those that it builds on (depth first, from the first person asked for)."""
    by_name = {statement.name: statement for statement in problem.statements}
    done: dict[str, Statement] = {}

    def visit(name: str) -> None:
        if name not in done:
            for parent in by_name[name].parents:
                visit(parent)
            done[name] = by_name[name]

    for name in problem.asked:
        visit(name)
    return list(done.values())


def value(statement: Statement, values: Mapping[str, int]) -> int:
    """The value of a statement's person, given the values of the people that it builds on."""
    numbers = _numbers(statement, values)
    return numbers[0] if statement.operator is None else compute(numbers[0], statement.operator, numbers[1])


def gold(problem: Problem) -> str:
    values: dict[str, int] = {}
    for step in order(problem):
        values[step.name] = value(step, values)
    return " ".join(str(values[name]) for name in problem.asked)


def write(problem: Problem, style: Style, rng: random.Random) -> str:
    """A solution in the given style, correct unless the style slips."""
    steps = order(problem)
    values: dict[str, int] = {}
    skipping = rng.random() < style.skipping
    parts = []
    if rng.random() < style.plan:
        parts.append(f"plan {' '.join(step.name for step in reversed(steps))} .")
    for step in steps:
        if not skipping or rng.random() < style.keep:
            parts.append(_step(step, values, style, rng))
        else:
            values[step.name] = value(step, values)
    if rng.random() < style.check:
        parts.append(f"check {' '.join(f'{name} {values[name]}' for name in problem.asked)} ok .")
    parts.append("answer " + " ".join(str(values[name]) for name in problem.asked))
    return " ".join(parts)


def write_expert(problem: Problem) -> str:
    """The expert's solution. There is one for each problem, so the random numbers decide nothing."""
    return write(problem, EXPERT, random.Random(0))


def _step(step: Statement, values: dict[str, int], style: Style, rng: random.Random) -> str:
    """One step as written; adds its value, which follows from what is written, to `values`."""
    name, words = step.name, [step.name]
    if rng.random() < style.look:
        step = _slipped(step, values, style, rng)
        words += ["look", step.expression]
    if rng.random() < style.compute:
        step = replace(step, left=str(_numbers(step, values)[0]), right=step.right and str(_numbers(step, values)[1]))
        step = _slipped(step, {}, style, rng)
        words += ["compute", step.expression, "gives"]
    values[name] = value(step, values)
    return " ".join([*words, str(values[name]), "."])


def _numbers(statement: Statement, values: Mapping[str, int]) -> list[int]:
    operands = (statement.left, statement.right)
    return [int(operand) if operand.isdigit() else values[operand] for operand in operands if operand]


def _slipped(step: Statement, values: Mapping[str, int], style: Style, rng: random.Random) -> Statement:
    """The statement, now and then with one operand replaced: a digit by any, a person by any whose value is known."""
    if not style.slip or rng.random() >= style.slip:
        return step
    side = "right" if step.right and rng.random() < 0.5 else "left"
    wrong = str(rng.randrange(MODULUS)) if getattr(step, side).isdigit() else rng.choice(list(values))
    return replace(step, **{side: wrong})
