"""The tables and figures there are: name, content, place in the paper. Imports nothing heavy: the workflow reads it."""

from dataclasses import dataclass
from typing import Literal

from chord.analysis.specs import Measured


@dataclass(frozen=True)
class TableDefinition:
    name: str
    paper: str | None  # where the paper has it
    title: str
    kind: Literal["estimates", "differences", "precision", "costs"]  # costs: of the runs, the others of their scores
    metrics: tuple[Measured, ...] = ()
    whole_benchmarks: bool = False  # leave out columns of single groups
    parts: bool = False  # columns are the benchmarks' `parts` and not their `columns`

    @property
    def heading(self) -> str:
        return f"{self.title} (as {self.paper} of the paper)" if self.paper else self.title


TABLES = {
    table.name: table
    for table in (
        TableDefinition("table1", "Table 1", "Accuracy, avg@k", "estimates", ("accuracy",)),
        TableDefinition(
            "table1_differences", "Table 1", "Paired differences in accuracy", "differences", ("accuracy",)
        ),
        TableDefinition("table2", "Table 2", "Mean response length in tokens", "estimates", ("response_tokens",)),
        TableDefinition("table7", "Table 7", "Mean reward", "estimates", ("reward",)),
        TableDefinition(
            "table7_differences", "Table 7", "Paired differences in mean reward", "differences", ("reward",)
        ),
        TableDefinition(
            "groups", "Tables 10 and 11", "Accuracy by part of a benchmark", "estimates", ("accuracy",), parts=True
        ),
        TableDefinition(
            "diagnostics",
            None,
            "pass@k, responses cut off, without a readable answer, or with one that could not be judged",
            "estimates",
            ("pass@k", "truncated", "unparsed", "undecided", "official_agreement"),
            whole_benchmarks=True,
        ),
        TableDefinition(
            "precision",
            None,
            "Where the uncertainty of the accuracies comes from, and what differences it hides",
            "precision",
            ("accuracy",),
            whole_benchmarks=True,
        ),
        TableDefinition("costs", None, "Exposure and cost of training", "costs"),
    )
}


@dataclass(frozen=True)
class Measure:
    """How a metric is shown, and whether its interval stays inside [0, 1]."""

    title: str
    share: bool = False  # of samples, so within [0, 1]
    scale: float = 1.0  # tables show the value times this
    caption: str = "In percent"
    unit: str = "percentage points"  # of differences
    everywhere: bool = True  # or of some benchmarks only: the others have no column of it


METRICS: dict[Measured, Measure] = {
    "accuracy": Measure("accuracy", share=True, scale=100.0),
    "pass@k": Measure("pass@k", share=True, scale=100.0),
    "response_tokens": Measure("tokens", caption="In tokens", unit="tokens"),
    "truncated": Measure("cut off", share=True, scale=100.0),
    "unparsed": Measure("unreadable", share=True, scale=100.0),
    "undecided": Measure("undecided", share=True, scale=100.0, everywhere=False),
    # With the reading that a benchmark's authors publish.
    "official_agreement": Measure("same verdict by the official extraction", share=True, scale=100.0, everywhere=False),
    # Of a rubric within [0, 1], of mathematics from -1 to 1: a number, and no share of anything.
    "reward": Measure("reward", scale=100.0, caption="Reward times 100", unit="hundredths of the reward"),
}


@dataclass(frozen=True)
class Panel:
    """One pair of axes: a column of curves.csv over the figure's x."""

    column: str
    label: str


# curves: over x. frontier: a curve over the tokens spent so far, those of the start's stages included. grid: estimates
# of a comparison over two axes. token_weights: the weights of the methods, and their estimates.
FigureKind = Literal["curves", "frontier", "grid", "token_weights"]


@dataclass(frozen=True)
class FigureDefinition:
    name: str
    paper: str | None  # number in the paper
    title: str
    methods: tuple[str, ...]  # none: every method of the comparison, of curves every one that trains
    panels: tuple[Panel, ...]
    x: Literal["step", "epoch"] = "step"
    kind: FigureKind = "curves"
    smooth: bool = True  # running mean over training steps; validation points are never smoothed

    @property
    def shows_cells(self) -> bool:
        """Whether it is drawn from estimates, and not from the curves of runs."""
        return self.kind in ("grid", "token_weights")


ACCURACY = Panel("validation_accuracy", "Validation accuracy (%)")
REWARD = Panel("reward_mean", "Mean reward of rollouts")
ENTROPY = Panel("entropy", "Policy entropy (nats per token)")
LENGTH = Panel("response_tokens_mean", "Response length (tokens)")
MU = Panel("mu", "Weight μ of the expert loss")

FIGURES = {
    figure.name: figure
    for figure in (
        FigureDefinition(
            "fig1",
            "Figure 1",
            "RL alone, and after SFT on few and many expert trajectories",
            ("rl", "sft_10k_rl", "sft_40k_rl"),
            (ACCURACY,),
        ),
        FigureDefinition(
            "fig2", "Figure 2", "Accuracy while fine-tuning on expert trajectories", ("sft_best",), (ACCURACY,), "epoch"
        ),
        FigureDefinition("fig4", "Figure 4", "μ and reward with a decaying μ", ("chord_mu",), (MU, REWARD)),
        FigureDefinition(
            "fig5",
            "Figure 5",
            "Entropy when expert data are mixed in, with and without importance sampling",
            ("rl", "mu_0.1", "mix_is"),
            (ENTROPY,),
        ),
        FigureDefinition("fig6", "Figure 6", "Response length with a decaying μ", ("chord_mu",), (LENGTH,)),
        FigureDefinition(
            "fig7",
            "Figure 7",
            "Fixed against decaying μ",
            ("rl", "mu_0.02", "mu_0.1", "mu_0.5", "chord_mu"),
            (ACCURACY,),
        ),
        FigureDefinition("fig8", "Figure 8", "Entropy with the token weight ϕ", ("rl", "chord_phi"), (ENTROPY,)),
        FigureDefinition("fig9", "Figure 9", "Reward with the token weight ϕ", ("rl", "chord_phi"), (REWARD,)),
        FigureDefinition(
            "fig11", "Figure 11", "Reward with ϕ and a tuned schedule of μ", ("chord_phi", "chord_tune_both"), (REWARD,)
        ),
        FigureDefinition("frontier", None, "Accuracy against the tokens spent on it", (), (ACCURACY,), kind="frontier"),
        FigureDefinition("grid", None, "One method over two axes", (), (), kind="grid"),
        FigureDefinition(
            "token_weights",
            None,
            "Token weights: which tokens to damp",
            (),
            (),
            kind="token_weights",
        ),
    )
}
