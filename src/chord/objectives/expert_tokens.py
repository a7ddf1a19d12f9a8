"""What token weights and expert losses see of expert tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class ExpertTokens(NamedTuple):
    """Values of expert tokens, all of one shape."""

    logp: Tensor  # log-probability of the expert's token under the current policy, natural log
    entropy: Tensor  # of the policy's distribution at that place, nats; without gradient
    # Of the token's row, where a router joins it to a group:
    advantage: Tensor | None = None
    row_entropy: Tensor | None = None  # mean entropy of its tokens
