"""Rollouts that were drawn from another distribution than the one that is updated: the weight of each of their tokens.

An engine of its own (vLLM) gives the tokens slightly other probabilities than the trainer with the same weights, so a
gradient that takes its samples as the trainer's is off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from chord.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor


class ImportanceCorrection(Settings):
    """c = sg(p / q), p of the trainer and q of the engine that drew, within limits.

    Names and formulas are those of TRL's `vllm_importance_sampling_mode`, `_clip_min` and `_clip_max`. A mode says

    - whose ratio: `token`, each token's own (Yao et al., fengyao.notion.site/off-policy-rl); it leaves the tokens
      before and after it to the engine. `sequence`, that of the whole response, the product over its tokens, for all
      of them (Liu, Li et al., "When Speed Kills Stability"); without limits it makes the engine's samples stand for
      the trainer's, and it varies more the longer the response;
    - what becomes of a ratio beyond a limit: `truncate` sets it to the limit (TIS), `mask` to 0 (MIS; with both limits
      `token_mask` is IcePop, arXiv 2510.18855).
    """

    mode: Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
    clip_max: float = Field(ge=1, description="largest ratio p / q; TRL has 3, ms-swift 2")
    clip_min: float | None = Field(None, gt=0, lt=1, description="smallest ratio; null: no limit")

    def weights(self, logp: Tensor, engine_logp: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(c, whether the ratio was beyond a limit) of each token, without gradient.

        logp, engine_logp: natural log, and mask: 1 or True at response tokens; all (rows, tokens), with whole responses
        as rows. Returns the same shape.
        """
        log_ratio = (logp.detach() - engine_logp) * mask
        if self.mode.startswith("sequence"):
            log_ratio = log_ratio.sum(1, keepdim=True).expand_as(log_ratio)
        ratio = log_ratio.exp()
        truncated = ratio.clamp(self.clip_min, self.clip_max)
        beyond = ratio != truncated
        return (truncated if self.mode.endswith("truncate") else ratio.masked_fill(beyond, 0.0)), beyond
