"""Command `experts`: correct trajectories for prompts, at most one each, with rejections counted by reason."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chord.errors import UserError
from chord.experts.experts_spec import DatasetSource, ExpertsSpec, ModelSource
from chord.experts.sources import Candidate, open_source
from chord.io.files import read_jsonl, write_json, write_jsonl
from chord.io.locks import exclusive
from chord.io.progress_bar import progress_bar
from chord.io.provenance import file_sha256, manifest
from chord.io.seeds import derive_seed

if TYPE_CHECKING:
    from chord.rollouts.completions import FinishedBatches


def run(spec: dict, prompts: Path, policy: Path, out: Path) -> dict:
    """Write expert rows for the prompts to `out` and <stem>.manifest.json beside it; returns the manifest.

    prompts: sft.jsonl or rl.jsonl; policy: model folder whose tokenizer counts tokens, since that model will learn from
    the rows.
    """
    from chord.rollouts.completions import (
        FinishedBatches,  # half a second that checking the specification does not need
    )

    settings = ExpertsSpec.model_validate(spec)
    parts = FinishedBatches(out)
    with exclusive(parts.lock, "collecting these trajectories") as check:
        return _run(settings, prompts, policy, out, parts, check)


def _run(
    settings: ExpertsSpec, prompts: Path, policy: Path, out: Path, parts: "FinishedBatches", check: Callable
) -> dict:
    from chord.io.models import load_tokenizer  # seconds, likewise
    from chord.rollouts.chat import response_ids
    from chord.rollouts.policy import check_tokens

    rows = read_jsonl(prompts)
    tokenizer = load_tokenizer(policy)
    check_tokens(tokenizer, policy, rows)
    chosen, rejected, without = [], Counter(), Counter()
    by_row = open_source(settings.source, settings.seed, parts).candidates(rows)
    for row, candidates in zip(progress_bar(rows, "choosing", "prompts", len(rows)), by_row, strict=True):
        right = []
        reasons = Counter()
        responses = response_ids(tokenizer, [candidate.text for candidate in candidates])
        for candidate, tokens in zip(candidates, responses, strict=True):
            reason = _reason(candidate, tokens, tokenizer.unk_token_id, settings.max_response_tokens)
            if reason is None:
                right.append((candidate, len(tokens)))
            else:
                reasons[reason] += 1
        rejected += reasons
        if not right:
            without["no_candidate" if not candidates else reasons.most_common(1)[0][0]] += 1
            continue
        rejected["not_chosen"] += len(right) - 1
        candidate, length = _choose(right, settings, row["id"])
        chosen.append(
            row
            | {
                "response": candidate.text,
                "tokens": length,
                "source": settings.source.kind,
                "verdict": candidate.verdict._asdict(),
            }
        )
    if not chosen:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in without.items())
        raise UserError(f"{prompts}: not one of {len(rows)} prompts has a right trajectory ({reasons})")
    check()
    write_jsonl(out, chosen)
    record = manifest(
        spec=settings.specification(),
        inputs={"prompts": prompts, "tokenizer": policy / "tokenizer.json", **_source_files(settings)},
        files={out.name: file_sha256(out)},
        prompts=len(rows),
        kept=len(chosen),
        prompts_without_trajectory=dict(without),
        rejected_trajectories=dict(+rejected),
        tokens_mean=sum(row["tokens"] for row in chosen) / len(chosen),
        tokens_max=max(row["tokens"] for row in chosen),
    )
    write_json(out.with_suffix(".manifest.json"), record)
    parts.remove()
    return record


def _reason(candidate: Candidate, tokens: list[int], unknown: int | None, limit: int) -> str | None:
    """The reason why a trajectory is rejected; None if it is not. tokens: with the end token."""
    if not candidate.verdict.correct:
        return candidate.verdict.reason
    if len(tokens) > limit:
        return "too_long"
    if unknown is not None and unknown in tokens:
        return "unknown_words"  # the policy could only learn to write the unknown token
    return None


def _choose(right: list[tuple[Candidate, int]], settings: ExpertsSpec, row_id: str) -> tuple[Candidate, int]:
    if settings.choose == "shortest":
        return min(right, key=lambda pair: pair[1])
    if settings.choose == "random":
        return random.Random(derive_seed(settings.seed, "experts", row_id, "choice")).choice(right)
    return right[0]


def _source_files(settings: ExpertsSpec) -> dict[str, Path]:
    source = settings.source
    return {source.kind: Path(source.folder)} if isinstance(source, ModelSource | DatasetSource) else {}
