"""The benchmarks of config/benchmarks, read from a local folder."""

from pathlib import Path

import yaml

from chord.data import benchmark
from chord.io.files import read_jsonl
from tests.helpers.workflow import ROOT

# Benchmark -> its folder among the real rows.
REAL = {
    "aime24": "aime_2024",
    "aime25": "aime25",
    "amc23": "amc23",
    "amc83": "aimo_validation_amc",
    "math500": "math_500",
    "gsm8k": "gsm8k",
    "mmlu_pro": "mmlu_pro",
    "bfcl_v3": "bfcl_v3",
    "bfcl_v3_irrelevance": "bfcl_v3",
}


def shipped(name: str, folder: Path, **changes) -> dict:
    """The specification of a benchmark as its file in config/benchmarks has it, from a local folder."""
    data = yaml.safe_load((ROOT / f"config/benchmarks/{name}.yaml").read_text(encoding="utf-8"))["data"]
    source = data["source"] | {"folder": str(folder)} | changes
    return {"seed": 1, "name": name, **data, "source": source}


def rows_of(name: str, folder: Path, out: Path, **changes) -> list[dict]:
    benchmark.run(shipped(name, folder, **changes), out / f"{name}.jsonl")
    return read_jsonl(out / f"{name}.jsonl")
