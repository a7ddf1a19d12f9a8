"""One call of the training command in a process of its own, to be killed; the coin task replaces the world's reward."""

import json
import sys
from pathlib import Path

import torch

from chord import tasks
from chord.training.run import run
from tests.helpers.small_training import coin

if __name__ == "__main__":
    tasks.TASKS["coin"] = tasks.Task("coin", coin)
    torch.set_num_threads(1)
    spec, start, prompts, experts, validation, out, name = sys.argv[1:]
    rows = {"prompts": Path(prompts), name: Path(experts)}
    run(json.loads(spec), Path(start), Path(validation), Path(out), **rows)
