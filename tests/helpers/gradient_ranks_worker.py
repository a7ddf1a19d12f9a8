"""One rank of `test_probe.py`: takes the first step of each job and writes the gradient that it leaves."""

import json
import os
from pathlib import Path

import pytest
import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState

from chord.probe.own_step import on_ranks, take_step
from chord.training import response_passes
from chord.training.scale.sharding import start_ranks
from chord.training.train_spec import TrainSpec
from tests.helpers import planted_bugs


def main(folder: str) -> None:
    torch.set_num_threads(1)
    for name, specification in json.loads(Path(folder, "job.json").read_text()).items():
        AcceleratorState._reset_state(reset_partial_state=True)  # of the job before
        spec = on_ranks(TrainSpec.model_validate(specification), int(os.environ["WORLD_SIZE"]))
        start_ranks(spec.scale, "fp32")
        with pytest.MonkeyPatch.context() as patch:
            if name == "padded":
                patch.setattr(response_passes, "share_prompts", lambda model: "a test wants padded rows")
            if name == "not reduced":
                planted_bugs.ranks_are_not_reduced(patch)
            torch.save(take_step(spec, 2).gradient, Path(folder, f"{name}-{os.environ['RANK']}.pt"))
    PartialState().wait_for_everyone()  # a rank that ends early makes the others fail
    PartialState().destroy_process_group()
