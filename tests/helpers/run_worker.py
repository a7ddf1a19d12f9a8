"""One call of the training command in a fork, to be killed; the coin task replaces the world's reward."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import PartialState

from chord import tasks
from chord.cli import main
from chord.training.resume.checkpoints import MarkComplete
from chord.training.run import run
from tests.helpers.small_training import coin


def train(spec: str, start: str, prompts: str, experts: str, validation: str, out: str, name: str) -> None:
    """name: what `experts` is to the command, `experts` or `traces`."""
    tasks.TASKS["coin"] = tasks.Task("coin", coin)
    torch.set_num_threads(1)
    rows = {"prompts": Path(prompts), name: Path(experts)}
    run(json.loads(spec), Path(start), Path(validation), Path(out), **rows)


def call_chord(*arguments: str) -> None:
    """`chord <arguments>`."""
    raise SystemExit(main(list(arguments)))


def quietly(errors: Path, environment: dict[str, str], function: Callable, arguments: list) -> None:
    """Call the function with standard error in a file and standard output nowhere."""
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    function(*arguments)


def call_chord_until(step: str, *arguments: str) -> None:
    """`chord <arguments>`, whose ranks all end behind the checkpoint of this step."""
    save = MarkComplete.on_save

    def on_save(self, args, state, control, **rest):
        save(self, args, state, control, **rest)
        if state.global_step == int(step):
            PartialState().wait_for_everyone()
            os._exit(0)

    MarkComplete.on_save = on_save
    call_chord(*arguments)
