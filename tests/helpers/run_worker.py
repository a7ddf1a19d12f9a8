"""One call of the training command in a process of its own, to be killed; the coin task replaces the world's reward."""

import json
import os
import sys
from pathlib import Path

import torch

from chord import tasks
from chord.training.run import run
from tests.helpers.small_training import coin


def train(spec: str, start: str, prompts: str, experts: str, validation: str, out: str, name: str) -> None:
    """name: what `experts` is to the command, `experts` or `traces`."""
    tasks.TASKS["coin"] = tasks.Task("coin", coin)
    torch.set_num_threads(1)
    rows = {"prompts": Path(prompts), name: Path(experts)}
    run(json.loads(spec), Path(start), Path(validation), Path(out), **rows)


def train_quietly(errors: Path, arguments: list[str]) -> None:
    """Train with standard error in a file, and standard output nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    train(*arguments)


if __name__ == "__main__":
    train(*sys.argv[1:])
