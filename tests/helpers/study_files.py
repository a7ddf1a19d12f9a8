"""A small repository root: a study, five methods, two benchmarks and a claim, made anew for each test."""

from pathlib import Path
from typing import Any

import yaml

STUDY: dict[str, Any] = {
    "title": "A study",
    "question": "Is it read?",
    "meaningful": True,
    "model": "models/base",
    "seed": 5,
    "seeds": 2,
    "data": {"sft": 40, "rl": 20, "validation": 10},
    "experts": {"max_response_tokens": 50},
    "validation": {"k": 2, "decoding": {"temperature": 1.0, "max_response_tokens": 10}, "batch_rows": 8},
    "save_every": 5,
    "training": {
        "sft": {"optimizer": {"lr": 0.001}, "expert_rows_per_step": 8, "micro_batch_tokens": 400, "validate_every": 4},
        "hybrid": {
            "optimizer": {"lr": 0.0003},
            "steps": 10,
            "prompts_per_step": 3,
            "rollouts_per_prompt": 4,
            "expert_rows_per_step": 8,
            "decoding": {"temperature": 1.0, "max_response_tokens": 20},
            "generate_batch_rows": 12,
            "micro_batch_tokens": 300,
            "keep": "best",
            "validate_every": 4,
        },
    },
    "methods": {
        "original": {},
        "rl": {},
        "sft_rl": {},
        "decay": {"stage": {"schedule": {"decay": 4}}},
    },
    "benchmarks": {"world": {}, "skills": {"batch_rows": 4}},
    "comparisons": {
        "main": {
            "title": "All",
            "paper": "Table 1",
            "methods": ["original", "rl", "sft_rl", "decay"],
            "references": ["rl"],
            "tables": ["table1"],
            "figures": [],
        }
    },
    "claims": "small",
    "tuning": {
        "seed_index": 100,
        "search": {
            "rl": {"setting": "optimizer.lr", "values": [0.0001, 0.0002]},
            "decay": {"setting": "schedule.peak", "values": [0.25, 0.5]},
        },
    },
    "resources": {"default": {"mem_mb": 1000, "minutes": 5}, "train": {"mem_mb": 3000, "minutes": 60, "threads": 2}},
    "cost": {
        "measured_on": "paper and pencil",
        "train_tokens_per_second": 100,
        "generate_tokens_per_second": 10,
        "response_tokens": 4,
        "prompt_tokens": 6,
        "expert_tokens": 9,
        "start_seconds": 30,
        "light_seconds": 6,
    },
}
METHODS: dict[str, dict[str, Any]] = {
    "original": {"title": "Original", "paper": "Table 1"},
    "sft": {"title": "SFT", "paper": "Table 1", "stage": {"kind": "sft", "epochs": 2, "keep": "best"}},
    "rl": {
        "title": "RL",
        "paper": "Table 1",
        "stage": {"kind": "hybrid", "schedule": {"name": "constant", "mu": 0.0}},
    },
    "sft_rl": {
        "title": "SFT + RL",
        "paper": "Table 1",
        "start_from": "sft",
        "stage": {"kind": "hybrid", "schedule": {"name": "constant", "mu": 0.0}},
    },
    "decay": {
        "title": "Decay",
        "paper": "Figure 7",
        "stage": {"kind": "hybrid", "schedule": {"name": "cosine", "warmup": 0, "peak": 1.0, "valley": 0.0}},
    },
}
BENCHMARKS: dict[str, dict[str, Any]] = {
    "world": {
        "title": "World",
        "role": "target",
        "columns": {"T1": "easy", "all": "World"},
        "decodings": {
            "paper": {"k": 4, "temperature": 1.0, "max_response_tokens": 20},
            "field": {"k": 8, "temperature": 0.6, "top_p": 0.95, "max_response_tokens": 30},
        },
        "decoding": "paper",
        "batch_rows": 16,
        "data": {"source": {"kind": "world", "k": [3, 4]}, "rows_per_group": 5},
    },
    "skills": {
        "title": "Skills",
        "role": "unrelated",
        "columns": {"all": "Skills"},
        "decodings": {"greedy": {"k": 1, "temperature": 0.0, "max_response_tokens": 5}},
        "decoding": "greedy",
        "batch_rows": 16,
        "data": {"source": {"kind": "skills", "groups": ["next"]}, "rows_per_group": 6},
    },
}
CLAIMS: dict[str, Any] = {
    "title": "Claims",
    "source": "a paper",
    "claims": {
        "decay_above_rl": {
            "sentence": "A decay is better than RL.",
            "paper": "Table 1",
            "tests": [
                {
                    "statistic": {"kind": "difference", "method": "decay", "reference": "rl", "role": "target"},
                    "rule": "above",
                    "margin": 0,
                    "why": "an order",
                }
            ],
        }
    },
}
STUDY_FILE = "config/studies/small.yaml"
CLAIMS_FILE = "config/claims/small.yaml"


class Root:
    """The repository root; `set` and `delete` change one key of one file."""

    def __init__(self, path: Path):
        self.path = path
        self.write(STUDY_FILE, STUDY)
        for name, value in METHODS.items():
            self.write(f"config/methods/{name}.yaml", value)
        for name, value in BENCHMARKS.items():
            self.write(f"config/benchmarks/{name}.yaml", value)
        self.write(CLAIMS_FILE, CLAIMS)

    def write(self, file: str, value: Any) -> None:
        path = self.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False), encoding="utf-8")

    def set(self, file: str, *keys: str, value: Any) -> None:
        content, place = self._place(file, keys)
        place[keys[-1]] = value
        self.write(file, content)

    def delete(self, file: str, *keys: str) -> None:
        content, place = self._place(file, keys)
        del place[keys[-1]]
        self.write(file, content)

    def _place(self, file: str, keys: tuple[str, ...]) -> tuple[Any, Any]:
        content = yaml.safe_load((self.path / file).read_text(encoding="utf-8"))
        place = content
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        return content, place
