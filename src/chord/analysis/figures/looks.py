"""What every figure shares: how a method looks (colour, dashes, marker), lines and bands, and the words of captions.

Colours are Okabe and Ito's; dashes and markers differ as well, so that a figure survives a grey printer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from chord.analysis.catalogue import FigureDefinition
from chord.analysis.figures.run_curves import Curve

if TYPE_CHECKING:  # the report needs looks and no matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), ordered so that neighbours differ in lightness too.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1.2)), (0, (8, 2)), (0, (2, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the same on every machine
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "pdf.fonttype": 42,  # editable text
}


@dataclass(frozen=True)
class Look:
    colour: str
    dashes: str | tuple
    marker: str


LOOKS = tuple(Look(*parts) for parts in zip(COLOURS, DASHES, MARKERS, strict=True))
# The paper's methods keep their look from figure to figure; two that never meet in one of its figures may share one.
OWN = {
    "rl": 0, "sft_best_rl": 1, "chord_mu": 2, "chord_phi": 3, "sft_best": 4, "sft_light": 5, "sft_light_rl": 6,
    "mu_0.5": 1, "mu_0.1": 4, "mix_is": 5, "mu_0.02": 6,
    "sft_10k_rl": 6, "sft_40k_rl": 1, "chord_tune_both": 2,
}  # fmt: skip


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method: its own, under every protocol, or a free one. Beyond seven methods, looks repeat."""
    own: dict[str, Look] = {}
    methods = list(methods)
    for method in methods:
        name = method.partition("@")[0]  # chord_mu@paper
        if name in OWN and LOOKS[OWN[name]] not in own.values():
            own[method] = LOOKS[OWN[name]]
    free = [look for look in LOOKS if look not in own.values()] or list(LOOKS)
    rest = [method for method in methods if method not in own]
    return own | {method: free[i % len(free)] for i, method in enumerate(rest)}


class Drawing(NamedTuple):
    figure: "Figure"
    caption: str
    alt: str  # the text for a reader who cannot see it


def band(axis: "Axes", values: Curve, look: Look, alpha: float = 0.15) -> None:
    if values.deviation is not None:
        low, high = values.mean - values.deviation, values.mean + values.deviation
        axis.fill_between(values.x, low, high, color=look.colour, alpha=alpha, linewidth=0)


def line(axis: "Axes", values: Curve, look: Look, title: str) -> None:
    axis.plot(
        values.x,
        values.mean,
        color=look.colour,
        linestyle=look.dashes,
        linewidth=1.7,
        marker=look.marker,
        markersize=4.5,
        markevery=max(1, len(values.x) // 12),
        label=title,
    )


def title_of(definition: FigureDefinition) -> str:
    return f"{definition.title} (paper: {definition.paper})." if definition.paper else f"{definition.title}."


def seeds_note(counts: set[int], more: str = "") -> str:
    few, many = min(counts), max(counts)
    if many == 1:
        return "One seed."
    number = many if few == many else f"{few} to {many}"
    return f"Mean over {number} seeds; band: one standard deviation over seeds to each side{more}."
