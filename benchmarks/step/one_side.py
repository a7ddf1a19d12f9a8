"""Measures the steps of one trainer in a process of its own; `measure` starts it on the CPU and reads its result.

Time is split by hooks on the model: a forward pass with gradient is `forward`, one without is `decode` if it reads one
token of each row and `prefill` if it reads more. `other` is the rest: the choice of tokens, rewards, advantages, the
loss, logging.
"""

import json
import os
import subprocess
import sys
import warnings
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from benchmarks.step.cases import CASES
from benchmarks.step.gauge import Gauge, gauge_of_this_machine
from benchmarks.step.trainers import ours, stock
from transformers import TrainerCallback
from transformers.utils.logging import disable_progress_bar

PARTS = ("prefill", "decode", "forward", "backward", "optimizer", "other")


@dataclass(frozen=True)
class Cost:
    """What the steps of one process took. Memory is in bytes."""

    seconds: float  # of a step, the median
    parts: dict[str, float]  # seconds of a step by part, the mean
    peak: int  # of the process, the Python packages included
    step_memory: int  # what a step adds to the weights, the optimizer's moments and the packages
    response_tokens: float | None  # mean; None where nothing is sampled


def measure(case: str, side: str, rewards: str, warm_up: int, steps: int) -> Cost:
    """side: `ours` or `TRL`. rewards: `coin` or `half flat`, and `, bf16` for bf16 linear layers."""
    command = [sys.executable, "-m", "benchmarks.step.one_side", case, side, rewards, str(warm_up), str(steps)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    root = Path(__file__).parents[2]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root, env=environment)
    return Cost(**json.loads(process.stdout.splitlines()[-1]))


class Meter(TrainerCallback):
    """Measures each step of a trainer."""

    def __init__(self, trainer, gauge: Gauge):
        self.gauge = gauge
        self.steps: list[dict[str, float]] = []
        self._spans: list[tuple[str, Any, Any]] = []  # name, marks of begin and end
        self._began: dict[str, Any] = {}
        backward = trainer.accelerator.backward

        def timed_backward(*args, **kwargs):
            with self._timed("backward"):
                backward(*args, **kwargs)

        trainer.accelerator.backward = timed_backward
        trainer.model.register_forward_pre_hook(self._before_forward, with_kwargs=True)
        trainer.model.register_forward_hook(self._after_forward, with_kwargs=True)
        trainer.add_callback(self)

    def on_train_begin(self, *_, model, optimizer, **__):
        # AdamW makes its moments in its first step. They are there in every later one, so their memory is no step's.
        for weight in model.parameters():
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        optimizer.zero_grad()
        self.resident = self.gauge.resident()

    def on_step_begin(self, *_, **__):
        self._spans.clear()
        self._start("step")

    def on_pre_optimizer_step(self, *_, **__):
        self._start("optimizer")

    def on_optimizer_step(self, *_, **__):
        self._stop("optimizer")

    def on_step_end(self, *_, **__):
        self._stop("step")
        parts: dict[str, float] = defaultdict(float)
        for name, began, ended in self._spans:
            parts[name] += self.gauge.seconds(began, ended)
        self.steps.append(dict(parts))

    def _before_forward(self, module, args, kwargs):
        self._start(_kind(args, kwargs))

    def _after_forward(self, module, args, kwargs, output):
        self._stop(_kind(args, kwargs))

    @contextmanager
    def _timed(self, name: str):
        self._start(name)
        yield
        self._stop(name)

    def _start(self, name: str) -> None:
        self._began[name] = self.gauge.mark()

    def _stop(self, name: str) -> None:
        self._spans.append((name, self._began[name], self.gauge.mark()))


def _kind(args: tuple, kwargs: dict) -> str:
    if torch.is_grad_enabled():
        return "forward"
    ids = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
    return "decode" if ids.shape[1] == 1 else "prefill"


def run(trainer, warm_up: int, gauge: Gauge) -> Cost:
    """Train, and measure the steps after the first `warm_up` ones."""
    meter = Meter(trainer, gauge)
    trainer.train()
    counted = meter.steps[warm_up:]
    parts = {name: fmean(step.get(name, 0.0) for step in counted) for name in PARTS[:-1]}
    parts["other"] = fmean(step["step"] for step in counted) - sum(parts.values())
    lines = [line for line in trainer.state.log_history if "completions/mean_length" in line]
    peak = gauge.peak()
    return Cost(
        seconds=median(step["step"] for step in counted),
        parts=parts,
        peak=peak,
        step_memory=peak - meter.resident,
        response_tokens=fmean(line["completions/mean_length"] for line in lines) if lines else None,
    )


def main(case_name: str, side: str, rewards: str, warm_up: int, steps: int) -> None:
    warnings.filterwarnings("ignore")
    disable_progress_bar()
    torch.set_num_threads(1)
    case = CASES[case_name]
    kind, _, precision = rewards.partition(", ")
    half_flat, steps = kind == "half flat", warm_up + steps
    trainer = ours(case, steps, half_flat, precision == "bf16") if side == "ours" else stock(case, steps, half_flat)
    print(json.dumps(asdict(run(trainer, warm_up, gauge_of_this_machine()))))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
