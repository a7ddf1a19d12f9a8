"""Measures on a GPU what the CPU cannot show, in at most six minutes; `make test-gpu` calls it.

    python -m benchmarks.gpu --out results/reference/gpu/mine.json
    python -m benchmarks.gpu --device cpu --size rehearsal       # the same code on small work, two minutes

Each part has a process and a time limit of its own; one that fails, or for which no time is left, is reported and the
others go on. After each part the results are written as JSON, with a table in text beside it. The exit code is 1 if a
part failed or a number exceeds its limit.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from benchmarks.gpu.parts import CARD, PARTS, Part
from benchmarks.gpu.sizes import SIZES
from benchmarks.gpu.table import file_name, table
from benchmarks.step.cases import ROOT

from chord.io.files import write_json, write_text
from chord.io.provenance import utc_now

SECONDS = 345  # of all parts, so that the whole takes less than six minutes
ERROR_LINES = 8


def run_part(part: Part, size: str, environment: dict[str, str], limit: float) -> dict:
    """Its status (ok, skipped, failed, out of time), seconds, and `result` or `message`."""
    command = [sys.executable, "-m", "benchmarks.gpu.one_part", part.module, size, *part.arguments]
    began = time.monotonic()
    # A session of its own, so that what the part starts can be ended with it.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"status": "out of time", "seconds": limit, "message": f"stopped after {limit:.0f} s"}
    seconds = time.monotonic() - began
    if process.returncode:
        last = "\n".join(errors.strip().splitlines()[-ERROR_LINES:])
        return {"status": "failed", "seconds": seconds, "message": last or f"exit code {process.returncode}"}
    result = json.loads(output.splitlines()[-1])
    if "skipped" in result:
        return {"status": "skipped", "seconds": seconds, "message": result["skipped"]}
    return {"status": "ok", "seconds": seconds, "result": result}


def has_failed(outcome: dict) -> bool:
    checks = outcome.get("result", {}).get("checks", [])
    return outcome["status"] in ("failed", "out of time") or not all(check["passes"] for check in checks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be repeated")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on all time limits, for a busy machine")
    parser.add_argument("--out", type=Path, help="JSON; default: results/reference/gpu/<card>.json")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("benchmarks.gpu: skipped: torch sees no CUDA device")
        return 0
    began = time.monotonic()
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if options.device == "cpu" else {})
    card = run_part(CARD, options.size, environment, options.patience * CARD.seconds)
    if card["status"] != "ok":
        print(f"benchmarks.gpu: the card cannot be used: {card['message']}", file=sys.stderr)
        return 1
    results = {"card": card["result"], "size": options.size, "started": utc_now(), "parts": {}}
    out = options.out or ROOT / file_name(results)
    for name in options.part or PARTS:
        left = options.patience * SECONDS - (time.monotonic() - began)
        outcome = (
            run_part(PARTS[name], options.size, environment, min(left, options.patience * PARTS[name].seconds))
            if left > 0
            else {"status": "skipped", "seconds": 0.0, "message": "no time left"}
        )
        results["parts"][name] = outcome
        results["seconds"] = time.monotonic() - began
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, results)
        write_text(out.with_suffix(".txt"), table(results))
        print(f"{name}: {outcome['status']}, {outcome['seconds']:.0f} s", flush=True)
    print(f"\n{table(results)}\n{out}")
    return int(any(map(has_failed, results["parts"].values())))


if __name__ == "__main__":
    sys.exit(main())
