"""The effective mu of a trainer: which weights the two terms of a hybrid loss really have in the gradient of one step.

A framework says L = (1 - mu) L_rl + mu L_ex. What its gradient is depends on how it divides each term: by the tokens of
a micro-batch, of a rank, of the step. `effective_mu` measures it for any trainer from three gradients of one batch, and
`chord.probe.keeper` gets such a gradient out of a trainer of transformers. `chord probe` (`chord.probe.measure`) does
all of it for a method of ours. docs/trust.md shows both.
"""

from chord.probe.gradients import gradients
from chord.probe.projection import EffectiveWeights, effective_mu

__all__ = ["EffectiveWeights", "effective_mu", "gradients"]
