"""A made-up study in the real file formats, for tests and for looking at tables, figures and report."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

METHODS = {
    "original": ("Original", 0.36, 40.0),
    "sft_light": ("SFT-light", 0.30, 95.0),
    "sft_best": ("SFT-best", 0.47, 92.0),
    "rl": ("RL (GRPO)", 0.52, 38.0),
    "sft_light_rl": ("SFT-light + RL", 0.50, 66.0),
    "sft_best_rl": ("SFT-best + RL", 0.56, 80.0),
    "chord_mu": ("CHORD-µ", 0.58, 84.0),
    "chord_phi": ("CHORD-φ", 0.61, 55.0),
}
FURTHER = ("mu_0.02", "mu_0.1", "mu_0.5", "mix_is", "sft_10k_rl", "sft_40k_rl", "chord_tune_both")
CHAINS = {name: [name] for name in METHODS} | {
    "original": [],
    "sft_light_rl": ["sft_light", "sft_light_rl"],
    "sft_best_rl": ["sft_best", "sft_best_rl"],
}
DECODING = {"temperature": 1.0, "top_p": 1.0, "max_response_tokens": 110}
TIERS = {"T1": 1.2, "T2": 0.0, "T3": -1.3}


def titles(*names: str) -> list[dict]:
    return [{"name": name, "title": METHODS[name][0]} for name in names or METHODS]


def pairs(*references: str, methods: tuple[str, ...] = tuple(METHODS)) -> list[tuple[str, str]]:
    """(method, reference) of every difference from one of the references."""
    return [(method, reference) for reference in references for method in methods if method != reference]


def write_scores(
    path: Path,
    frame: pd.DataFrame,
    *,
    method: str,
    seed_index: int,
    benchmark: str,
    k: int,
    spec_hash: str = "0" * 16,
    decoding: dict = DECODING,
) -> Path:
    """scores.parquet as `chord score` writes it: columns of docs/files.md, identity in the metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = frame.astype({"sample": "int32", "tokens": "int32"})
    chord = {"method": method, "seed_index": seed_index, "benchmark": benchmark, "k": k, "spec_hash": spec_hash}
    chord["generate"] = {"spec": {"decoding": decoding}}
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata({"chord": json.dumps(chord)})
    pq.write_table(table, path)
    return path


def score_frame(
    correct: dict[str, list[float]], groups: dict[str, str] | None = None, tokens: int = 10
) -> pd.DataFrame:
    """Rows from {question: [reward of each sample]}; correct is a reward of 1."""
    return pd.DataFrame(
        [
            {
                "prompt_id": question,
                "group": groups[question] if groups else "g",
                "sample": sample,
                "tokens": tokens + sample,
                "truncated": False,
                "reward": float(value),
                "correct": value == 1,
                "parsed": True,
                "reason": "correct" if value == 1 else "wrong",
            }
            for question, values in correct.items()
            for sample, value in enumerate(values)
        ]
    )


def make(root: Path, n_seeds: int = 3, n_questions: int = 120, k: int = 4, steps: int = 120) -> list[Path]:
    """Runs of every method and of further ones that figures show, with scores and curves; returns the run folders."""
    rng = np.random.default_rng(11)
    names = [*METHODS, *FURTHER]
    questions = {
        benchmark: [(f"{group}-{i:04d}", group, rng.normal() * 1.2 + shift) for group, shift in groups.items()
                    for i in range(n_questions // len(groups))]
        for benchmark, groups in {"world": TIERS, "skills": {"choice": 2.0}}.items()
    }  # fmt: skip
    folders = []
    for name in names:
        _, accuracy, tokens = METHODS.get(name, (name, 0.5, 60.0))
        for seed in range(n_seeds):
            folder = root / "runs" / name / f"seed-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            folders.append(folder)
            seed_effect = rng.normal() * 0.05
            for benchmark, rows in questions.items():
                frame = []
                for question, group, ease in rows:
                    ability = 3 * (accuracy - 0.45) + seed_effect + rng.normal() * 0.3
                    chance = 1 / (1 + math.exp(-ability - ease))
                    for sample in range(k):
                        length = int(max(3, rng.normal(tokens, tokens / 6)))
                        right = bool(rng.random() < chance)
                        parsed = right or bool(rng.random() < 0.9)
                        frame.append(
                            {
                                "prompt_id": question,
                                "group": group,
                                "sample": sample,
                                "tokens": length,
                                "truncated": length > 110,
                                "reward": float(right),
                                "correct": right,
                                "parsed": parsed,
                                "reason": "correct" if right else ("wrong" if parsed else "unparsed"),
                            }
                        )
                write_scores(
                    folder / f"{benchmark}.scores.parquet",
                    pd.DataFrame(frame),
                    method=name,
                    seed_index=seed,
                    benchmark=benchmark,
                    k=k,
                )
            write_curves(folder / "curves.csv", name, steps, rng)
            if name == "original":
                (folder / "curves.csv").unlink()  # nothing is trained
            else:
                write_manifest(folder / "manifest.json", name, seed, steps)
    return folders


def write_manifest(path: Path, method: str, seed: int, steps: int) -> None:
    value = {
        "spec": {"study_seed": 1, "seed_index": seed, "stage": {"kind": "hybrid"}},
        "spec_hash": f"{abs(hash_text(method + str(seed))):016x}"[:16],
        "inputs": {"start": {"model.safetensors": "ef" * 32}, "prompts": "ab" * 32, "experts": "cd" * 32},
        "code": {"git_commit": "0123456789abcdef0123456789abcdef01234567", "source_sha256": "fedcba9876543210"},
        "environment": {"python": "3.12.3", "platform": "Linux", "torch": "2.13.0", "numpy": "2.4.6"},
        "device": "cpu",
        "ranks": 1,
        "threads": 1,
        "learns_from": ["reward", "expert text"],
        "finished": "2026-01-01T00:00:00+00:00",
        "result": {
            "steps": steps,
            "delivered_step": steps,
            "validation_accuracy": 0.5,
            "rollouts": 64 * steps,
            "expert_rows": 16 * steps,
            "expert_tokens": 1400 * steps,
            "train_tokens": 4000 * steps,
            "weighted_expert_rows": 2.4 * steps,
            "train_minutes": 4.2,
            "peak_memory_mb": 1234.5,
        },
    }
    path.write_text(json.dumps(value))


def hash_text(text: str) -> int:
    return sum((i + 1) * ord(letter) for i, letter in enumerate(text)) * 2654435761


def write_curves(path: Path, method: str, steps: int, rng: np.random.Generator) -> None:
    """Curves with the shapes the paper describes, so that figures can be judged by eye."""
    columns = (
        "step epoch mu a_rl a_ex rl_loss expert_loss reward_mean reward_std zero_variance_groups entropy"
        " token_weight_mean expert_nll response_tokens_mean truncated grad_norm lr rollouts expert_rows expert_tokens"
        " train_tokens validation_accuracy validation_response_tokens generate_seconds score_seconds backward_seconds"
        " step_seconds"
    ).split()
    sft = method in ("original", "sft_light", "sft_best")
    final = METHODS.get(method, (method, 0.5 if method != "mu_0.5" else 0.34, 60.0))[1]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        for step in range(steps + 1):
            t = step / steps
            row = dict.fromkeys(columns, "")
            row["step"], row["epoch"] = step, round(3 * t, 4)
            dip = 0.12 * math.exp(-(((t - 0.1) / 0.08) ** 2)) if method in ("sft_best", "chord_mu") else 0.0
            level = 0.36 + (final - 0.36) * (1 - math.exp(-4 * t)) - dip
            if step % max(1, steps // 12) == 0:
                row["validation_accuracy"] = round(level + rng.normal() * 0.012, 5)
                row["validation_response_tokens"] = round(60 + rng.normal(), 3)
            if step and not sft:
                mu = {"mu_0.02": 0.02, "mu_0.1": 0.1, "mu_0.5": 0.5, "chord_phi": 0.1, "mix_is": 0.1}.get(method, 0.0)
                if method == "chord_mu":
                    mu = 0.05 + 0.85 * 0.5 * (1 + math.cos(math.pi * min(1.0, t / 0.4)))
                entropy = {
                    "chord_phi": 0.42,
                    "rl": 0.35 * math.exp(-2 * t) + 0.05,
                    "mu_0.1": 0.4 + 0.5 * t,
                    "mix_is": 0.3 * math.exp(-5 * t),
                }.get(method, 0.4)
                row |= {
                    "mu": round(mu, 5), "a_rl": round(1 - mu, 5), "a_ex": round(mu, 5),
                    "reward_mean": round(level + 0.05 + rng.normal() * 0.04, 5), "reward_std": 0.4,
                    "entropy": round(entropy + rng.normal() * 0.02, 5),
                    "response_tokens_mean": round(40 + 45 * math.sin(min(1.0, 2.5 * t) * 2) + rng.normal() * 2, 3),
                    "rollouts": 64,
                }  # fmt: skip
            if step:
                row |= {"expert_rows": 0 if method == "rl" else 16, "expert_tokens": 1400, "train_tokens": 4000,
                        "step_seconds": 2.1, "lr": 1e-4}  # fmt: skip
            writer.writerow(row)
