"""Known bugs of public trainers, planted into our optimizer step. Each takes a `pytest.MonkeyPatch`."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest

from chord.training import micro_batches, optimizer_step


def mean_per_micro_batch(patch: pytest.MonkeyPatch) -> None:
    """Each pass divides by its own tokens, and the passes by their number (OpenRLHF's SFT loss, arXiv 2604.23747)."""
    split = optimizer_step.micro_batches

    def with_means(*arguments):
        batches = split(*arguments)
        tokens = [Counter() for _ in batches]
        for of_batch, batch in zip(tokens, batches, strict=True):
            for term, i in batch.rows:
                of_batch[term.name] += len(term.rows[i].response_ids)
        mean = {name: total / len(batches) for name, total in sum(tokens, Counter()).items()}
        return [
            replace(
                batch,
                counts=[
                    count * of_batch[term.name] / mean[term.name]
                    for (term, _), count in zip(batch.rows, batch.counts, strict=True)
                ],
            )
            for of_batch, batch in zip(tokens, batches, strict=True)
        ]

    patch.setattr(optimizer_step, "micro_batches", with_means)


def only_last_pass_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A pass overwrites the gradient of those before (DeepSpeed with offloading, PRs 7967 and 7981)."""
    forward = optimizer_step.OptimizerStep.forward

    def forward_anew(self, model, *arguments):
        model.zero_grad()
        return forward(self, model, *arguments)

    patch.setattr(optimizer_step.OptimizerStep, "forward", forward_anew)


def one_term_is_divided_by_the_passes(patch: pytest.MonkeyPatch) -> None:
    """L_rl is divided by the number of passes once too often (ms-swift with `dapo`, issue 10117)."""
    split = optimizer_step.micro_batches

    def with_extra_divisor(*arguments):
        batches = split(*arguments)
        return [
            replace(
                batch,
                counts=[
                    count * (len(batches) if term.name == "rl" else 1)
                    for (term, _), count in zip(batch.rows, batch.counts, strict=True)
                ],
            )
            for batch in batches
        ]

    patch.setattr(optimizer_step, "micro_batches", with_extra_divisor)


def masked_tokens_count(patch: pytest.MonkeyPatch) -> None:
    """The divisor counts rows times the longest response, so it has tokens that the mask leaves out (TRL, 6439)."""

    def counts(stage, terms, accelerator):
        return [
            [float(len(term.rows) * max(len(row.response_ids) for row in term.rows))] * len(term.rows) for term in terms
        ]

    patch.setattr(micro_batches, "_counts", counts)


def ranks_are_not_reduced(patch: pytest.MonkeyPatch) -> None:
    """No backward pass exchanges gradients (TRL with fused losses and plain DDP, 7245 to 7247)."""

    @contextmanager
    def alone(accelerator, model, last):
        with accelerator.no_sync(model):
            yield

    patch.setattr(optimizer_step, "accumulating", alone)
