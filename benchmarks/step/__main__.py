"""Measures one CHORD optimizer step against stock TRL with an SFT term added to its loss: time, parts and memory.

    python -m benchmarks.step
    python -m benchmarks.step --case long --rounds 1 --profile

Each side runs in a process of its own with one thread, ours and TRL's in turn; such a pair is a round, and the ratio is
the median over the rounds. With coin rewards each completion is rewarded by a coin toss; with `half flat` every second
group has equal rewards besides, as happens when a prompt is too easy or too hard. With `bf16` our linear layers compute
in bf16 (on a CPU that has instructions for it), TRL stays in fp32. The memory of a step is the peak of the process
minus what was resident before its first step: packages, weights and the optimizer's moments.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import torch
from benchmarks.step.cases import CASES, Case, K
from benchmarks.step.one_side import PARTS, Cost, measure

MIB = 2**20
HEADER = (
    f"{'rewards':<12}{'ours s':>8}{'TRL s':>8}{'TRL/ours':>10}{'target':>8}   {'step MiB, ours TRL':>18}"
    f"{'ratio':>7}{'target':>8}   {'process MiB, ours TRL':>21}   tokens of a response, ours TRL"
)


@dataclass(frozen=True)
class Round:
    ours: Cost
    stock: Cost


def has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices faster than fp32 ones."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def measure_rounds(name: str, case: Case, kinds: list[str], rounds: int, steps: int) -> dict[str, list[Round]]:
    """For each kind of rewards its rounds. TRL runs once a round for kinds that differ only in our precision."""
    measured: dict[str, list[Round]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        stock: dict[str, Cost] = {}
        for kind in kinds:
            cost = measure(name, "ours", kind, case.warm_up, steps)
            rewards = kind.partition(", ")[0]
            if rewards not in stock:
                stock[rewards] = measure(name, "TRL", rewards, case.warm_up, steps)
            measured[kind].append(Round(cost, stock[rewards]))
    return measured


def line(case: Case, kind: str, rounds: list[Round]) -> str:
    ours, stock = [one.ours for one in rounds], [one.stock for one in rounds]
    seconds = [median(cost.seconds for cost in side) for side in (ours, stock)]
    speed = median(one.stock.seconds / one.ours.seconds for one in rounds)
    step = [median(cost.step_memory for cost in side) / MIB for side in (ours, stock)]
    process = [median(cost.peak for cost in side) / MIB for side in (ours, stock)]
    tokens = [fmean(cost.response_tokens for cost in side) for side in (ours, stock)]
    return (
        f"{kind:<12}{seconds[0]:>8.2f}{seconds[1]:>8.2f}{speed:>10.2f}{case.speed_targets[kind]:>8.1f}   "
        f"{step[0]:>10,.0f} {step[1]:>7,.0f}{step[0] / step[1]:>7.2f}{case.memory_target:>8.1f}   "
        f"{process[0]:>13,.0f} {process[1]:>7,.0f}   {tokens[0]:.1f} {tokens[1]:.1f}"
    )


def shares(title: str, costs: list[Cost]) -> str:
    parts = {name: fmean(cost.parts[name] for cost in costs) for name in PARTS}
    total = sum(parts.values())
    return f"{title:<18}" + "".join(f"{parts[name] / total:>11.0%}" for name in PARTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, help="measure only this case")
    parser.add_argument("--rounds", type=int, help="default: as each case says")
    parser.add_argument("--steps", type=int, help="counted steps of a process; default: as each case says")
    parser.add_argument("--profile", action="store_true", help="print the share of each part of a step")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    results = {}
    for name in [options.case] if options.case else CASES:
        case = CASES[name]
        kinds = [kind for kind in case.speed_targets if "bf16" not in kind or has_bf16()]
        print(f"\n{name}: {case.title}; {case.prompts} prompts x {K}, {case.experts} expert rows\n{HEADER}", flush=True)
        measured = measure_rounds(name, case, kinds, options.rounds or case.rounds, options.steps or case.steps)
        for kind, rounds in measured.items():
            print(line(case, kind, rounds))
        if len(kinds) < len(case.speed_targets):
            print("bf16: skipped, as this CPU has neither AMX nor AVX512-BF16")
        if options.profile:
            print(f"{'':<18}" + "".join(f"{part:>11}" for part in PARTS))
            for kind, rounds in measured.items():
                print(shares(f"ours, {kind}", [one.ours for one in rounds]))
                print(shares(f"TRL, {kind}", [one.stock for one in rounds]))
        results[name] = {kind: [asdict(one) for one in rounds] for kind, rounds in measured.items()}
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
