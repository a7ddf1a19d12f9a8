"""Simulates the coverage of the intervals: is "95 %" really 95 % with three seeds? Writes tables of docs/statistics.md.

    python -m chord.analysis.statistics.simulated_coverage --write docs/statistics.md

Data are drawn from the model that a run follows (a seed effect, a question effect, seed x question and decoding noise),
so the true value is known. Coverage is the share of simulated studies whose interval contains it. Rejected rules are
simulated as well, so that the choice can be judged.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit, stdtrit

from chord.analysis.statistics.intervals import Array, Parts, detectable, half_width, variance_parts, wilson
from chord.errors import UserError
from chord.io.files import write_text
from chord.io.seeds import derive_seed

BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"


@dataclass(frozen=True)
class Scenario:
    """The standard deviations of the effects on the score of one question."""

    name: str
    seed: float
    question: float
    interaction: float
    noise: float  # of the mean of one question over its k samples

    def draw(self, rng: np.random.Generator, n_studies: int, n_seeds: int, n_questions: int) -> Array:
        """Draw scores (studies, S, Q) with mean 0."""
        residual = np.hypot(self.interaction, self.noise)
        return (
            rng.normal(size=(n_studies, n_seeds, 1)) * self.seed
            + rng.normal(size=(n_studies, 1, n_questions)) * self.question
            + rng.normal(size=(n_studies, n_seeds, n_questions)) * residual
        )

    def true_parts(self, n_seeds: int, n_questions: int) -> Parts:
        residual = np.array(np.hypot(self.interaction, self.noise) ** 2 / (n_seeds * n_questions))
        seed = self.seed**2 / n_seeds + residual
        question = np.array(self.question**2 / n_questions)
        return Parts(np.zeros(()), seed, question, residual, n_seeds - 1, n_questions - 1)


# Sizes as in a difference of accuracies: a seed shifts the mean by 2 points, a question shifts the score by 20 or 40.
SCENARIOS = (
    Scenario("everything", seed=0.02, question=0.20, interaction=0.15, noise=0.15),
    Scenario("no seed variance", seed=0.0, question=0.20, interaction=0.15, noise=0.15),
    Scenario("large question variance", seed=0.02, question=0.40, interaction=0.05, noise=0.05),
    Scenario("only questions", seed=0.0, question=0.40, interaction=0.0, noise=0.02),
    Scenario("large seed variance", seed=0.10, question=0.20, interaction=0.15, noise=0.15),
    Scenario("no question variance", seed=0.02, question=0.0, interaction=0.15, noise=0.15),
    Scenario("only decoding noise", seed=0.0, question=0.0, interaction=0.0, noise=0.15),
)
SIZES = tuple((n_seeds, n_questions) for n_seeds in (3, 5, 10) for n_questions in (30, 200))


def _generator(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng(derive_seed("coverage", *parts))


def _squares(values: Array) -> tuple[Array, Array, Array]:
    """The mean squares of seeds, questions and residual of (..., S, Q), divided by S Q: variances of the grand mean."""
    n_seeds, n_questions = values.shape[-2:]
    grand = values.mean(axis=(-2, -1), keepdims=True)
    by_seed, by_question = values.mean(axis=-1, keepdims=True), values.mean(axis=-2, keepdims=True)
    residual = np.square(values - by_seed - by_question + grand).sum(axis=(-2, -1))
    return (
        np.square(by_seed - grand).sum(axis=(-2, -1)) / (n_seeds * (n_seeds - 1)),
        np.square(by_question - grand).sum(axis=(-2, -1)) / (n_questions * (n_questions - 1)),
        residual / ((n_seeds - 1) * (n_questions - 1) * n_seeds * n_questions),
    )


def _satterthwaite(values: Array) -> Array:
    """The unbiased variance from the three mean squares, with one t quantile and Satterthwaite's degrees of freedom."""
    n_seeds, n_questions = values.shape[-2:]
    seed, question, residual = _squares(values)
    variance = np.maximum(seed + question - residual, seed)
    spread = seed**2 / (n_seeds - 1) + question**2 / (n_questions - 1)
    spread += residual**2 / ((n_seeds - 1) * (n_questions - 1))
    return stdtrit(np.maximum(variance**2 / spread, 1.0), 0.975) * np.sqrt(variance)


def _crossed_bootstrap(values: Array) -> Array:
    """The standard error of resampling seeds and questions with replacement (exact, without draws), times 1.96."""
    n_seeds, n_questions = values.shape[-2:]
    seed, question, residual = _squares(values)
    a, b = (n_seeds - 1) / n_seeds, (n_questions - 1) / n_questions
    return 1.96 * np.sqrt(a * seed + b * question + a * b * residual)


def _crossed_bootstrap_t(values: Array) -> Array:
    """The crossed bootstrap with one t quantile (S - 1 degrees of freedom) for everything."""
    n_seeds = values.shape[-2]
    return _crossed_bootstrap(values) / 1.96 * stdtrit(n_seeds - 1, 0.975) * np.sqrt(n_seeds / (n_seeds - 1))


RULES = {
    "ours": lambda values: half_width(variance_parts(values)),
    "Satterthwaite": _satterthwaite,
    "crossed bootstrap": _crossed_bootstrap,
    "crossed bootstrap, t(S-1)": _crossed_bootstrap_t,
}


@dataclass(frozen=True)
class Coverage:
    share: float  # share of studies whose interval contains the true value
    width: float  # mean width, relative to an interval that is based on the true variance


def simulate(
    scenario: Scenario, n_seeds: int, n_questions: int, n_studies: int = 4000, rules: tuple[str, ...] = tuple(RULES)
) -> dict[str, Coverage]:
    rng = _generator(scenario.name, n_seeds, n_questions)
    values = scenario.draw(rng, n_studies, n_seeds, n_questions)
    truth = scenario.true_parts(n_seeds, n_questions)
    known_half_width = 1.96 * np.sqrt(truth.seed + truth.question)
    distance = np.abs(values.mean(axis=(-2, -1)))
    coverages = {}
    for name in rules:
        half = RULES[name](values)
        coverages[name] = Coverage(float((distance <= half).mean()), float(half.mean() / known_half_width))
    return coverages


def simulate_power(scenario: Scenario, n_seeds: int, n_questions: int, n_studies: int = 4000) -> float:
    """The share of studies that detect a true difference of the size called detectable; it should be near 0.80."""
    values = scenario.draw(_generator("power", scenario.name, n_seeds, n_questions), n_studies, n_seeds, n_questions)
    values = values + detectable(scenario.true_parts(n_seeds, n_questions))
    parts = variance_parts(values)
    return float((parts.mean > half_width(parts)).mean())


def simulate_shares(accuracy: float, k: int, n_seeds: int, n_questions: int, n_studies: int = 2000) -> float:
    """The coverage for 0/1 answers with k samples per question.

    The effects are normal on the logit scale: seeds (0.15), questions (1.5) and interaction (0.5).
    """
    rng = _generator("shares", int(1000 * accuracy), k, n_seeds, n_questions)
    deviations = (0.15, 1.5, 0.5)
    effects = Scenario("logit", *deviations, noise=0.0)
    offset = float(np.log(accuracy / (1 - accuracy)))
    values = rng.binomial(k, expit(offset + effects.draw(rng, n_studies, n_seeds, n_questions))) / k
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    truth = float((weights * expit(offset + nodes * np.linalg.norm(deviations))).sum() / weights.sum())
    parts = variance_parts(values)
    fallback = float(stdtrit(parts.question_df, 0.975) ** 2 / n_questions)
    low, high = wilson(parts.mean, half_width(parts), fallback)
    return float(((low <= truth) & (truth <= high)).mean())


def _rows(header: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "|".join("---" for _ in header) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def markdown(n_studies: int) -> str:
    """The tables of the simulation."""
    lines = [
        f"Share of {n_studies} simulated studies whose 95 % interval contains the true value; in brackets the mean",
        "width relative to an interval that is based on the true variance.",
        "",
    ]
    rows = []
    for scenario in SCENARIOS:
        for n_seeds, n_questions in SIZES:
            coverages = simulate(scenario, n_seeds, n_questions, n_studies)
            cells = [f"{100 * item.share:.1f} % ({item.width:.2f})" for item in coverages.values()]
            rows.append([scenario.name, str(n_seeds), str(n_questions), *cells])
    lines += _rows(["scenario", "seeds", "questions", *RULES], rows)
    lines += ["", "Intervals of shares (accuracy), 0/1 answers:", ""]
    sizes = tuple(size for size in SIZES if size[0] < 10)
    rows = []
    for accuracy in (0.02, 0.2, 0.5, 0.9):
        for k in (1, 8):
            shares = [f"{100 * simulate_shares(accuracy, k, *size, n_studies=n_studies):.1f} %" for size in sizes]
            rows.append([f"{accuracy:.2f}", str(k), *shares])
    lines += _rows(["accuracy of the middle question", "k", *(f"S={s}, Q={q}" for s, q in sizes)], rows)
    lines += ["", "Share of studies that detect a true difference of the size `detectable` (nominal: 80 %):", ""]
    rows = [
        [scenario.name, *(f"{100 * simulate_power(scenario, *size, n_studies):.0f} %" for size in SIZES)]
        for scenario in SCENARIOS
    ]
    lines += _rows(["scenario", *(f"S={s}, Q={q}" for s, q in SIZES)], rows)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="replace the marked part of this file (default: print the tables)")
    parser.add_argument("--studies", type=int, default=4000, help="simulated studies per line")
    arguments = parser.parse_args()
    text = markdown(arguments.studies)
    if arguments.write is None:
        print(text, end="")
        return
    page = arguments.write.read_text(encoding="utf-8")
    if BEGIN not in page or END not in page:
        raise UserError(f"{arguments.write}: expected the marks {BEGIN!r} and {END!r}")
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    write_text(arguments.write, f"{head}{BEGIN}\n\n{text}\n{END}{tail}")


if __name__ == "__main__":
    main()
