"""By what a summed token loss is divided: the rule that decides whether micro-batches change the result."""

from collections.abc import Sequence
from typing import Literal

Normalisation = Literal["global", "trinity", "ms_swift"]


def loss_scales(tokens: Sequence[int], rows: Sequence[int], rule: Normalisation) -> list[float]:
    """Factor for the summed loss of each micro-batch of one optimizer step; all ranks' micro-batches are listed.

    tokens, rows: loss tokens and sequences of every micro-batch. A micro-batch without tokens gets 0.

    global: 1 / all tokens, so the split changes nothing (paper, eq. 1 and 2).
    trinity: mean over the micro-batch's tokens, micro-batches weighted by their share of sequences (Trinity-RFT).
    ms_swift: mean over the micro-batch's tokens, micro-batches weighted equally (ms-swift).
    """
    if rule == "global":
        return [1.0 / max(sum(tokens), 1)] * len(tokens)
    if rule == "trinity":
        return [
            n_rows / (n_tokens * sum(rows)) if n_tokens else 0.0 for n_tokens, n_rows in zip(tokens, rows, strict=True)
        ]
    return [1.0 / (n_tokens * len(tokens)) if n_tokens else 0.0 for n_tokens in tokens]
