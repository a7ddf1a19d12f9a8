"""How a method looks in every figure: its colour, dashes and marker.

Colours are Okabe and Ito's; dashes and markers differ as well, so that a figure survives a grey printer.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# Okabe and Ito (2008), ordered so that neighbours differ in lightness too.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1.2)), (0, (8, 2)), (0, (2, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Look:
    colour: str
    dashes: str | tuple
    marker: str


LOOKS = tuple(Look(*parts) for parts in zip(COLOURS, DASHES, MARKERS, strict=True))
# The paper's methods keep their look from figure to figure. Two that no figure of the paper shows together may share one.
OWN = {
    "rl": 0, "sft_best_rl": 1, "chord_mu": 2, "chord_phi": 3, "sft_best": 4, "sft_light": 5, "sft_light_rl": 6,
    "mu_0.5": 1, "mu_0.1": 4, "mix_is": 5, "mu_0.02": 6,
}  # fmt: skip


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method: its own, or a free one; more than seven methods repeat them in order."""
    found: dict[str, Look] = {}
    methods = list(methods)
    for method in methods:
        if method in OWN and LOOKS[OWN[method]] not in found.values():
            found[method] = LOOKS[OWN[method]]
    free = [look for look in LOOKS if look not in found.values()] or list(LOOKS)
    rest = [method for method in methods if method not in found]
    return found | {method: free[i % len(free)] for i, method in enumerate(rest)}
