"""The hybrid objective L = a_rl * L_rl + a_ex * sum_t(w_t * l_t) / N, put together from small parts.

A part is a frozen settings class with the formula as a method: no model, no optimizer, no input or output. torch is not
imported here (tensors bring their own methods), so that a configuration is checked without loading it.
"""

from chord.objectives.expert_losses import ExpertLoss
from chord.objectives.expert_tokens import ExpertTokens
from chord.objectives.normalisation import Normalisation, loss_scales
from chord.objectives.policy_loss import clipped_surrogate
from chord.objectives.routers import Router
from chord.objectives.schedules import Schedule, Seen
from chord.objectives.token_weights import TokenWeight

__all__ = [
    "ExpertLoss",
    "ExpertTokens",
    "Normalisation",
    "Router",
    "Schedule",
    "Seen",
    "TokenWeight",
    "clipped_surrogate",
    "loss_scales",
]
