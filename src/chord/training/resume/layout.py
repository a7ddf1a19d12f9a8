"""On how many ranks and machines the steps of a run were computed, and what these shared: its layout.

Steps have the same rows in every layout, and their numbers differ by rounding only. So the layout is no part of a run's
identity: a run resumes from the checkpoint of another one, and each checkpoint names those of the steps before it.
"""

import logging
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from chord.io.files import read_json, write_json
from chord.training.resume.checkpoints import step_of
from chord.training.scale.scale_spec import Scale

log = logging.getLogger(__name__)
KEYS = ("ranks", "nodes", "sharding", "cpu_offload")  # of Scale
FILE = "layouts.json"  # in a checkpoint


def without_layout(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification of a run without its layout."""
    scale = {key: value for key, value in spec.get("scale", {}).items() if key not in KEYS}
    rest = {key: value for key, value in spec.items() if key != "scale"}
    return rest | ({"scale": scale} if scale else {})


class Layouts(TrainerCallback):
    """Writes the layouts of a run into its checkpoints. Add it before MarkComplete."""

    def __init__(self, scale: Scale, resumed: Path | None):
        """resumed: the checkpoint from which the run resumes."""
        own = {key: getattr(scale, key) for key in KEYS}
        self.all = read_json(resumed / FILE) if resumed else [{"after_step": 0, "layout": own}]
        before = self.all[-1]["layout"]
        if before != own:
            self.all.append({"after_step": step_of(resumed), "layout": own})
            if PartialState().is_main_process:
                changed = [key for key in KEYS if before[key] != own[key]]
                texts = [", ".join(f"{key} {layout[key]}" for key in changed) for layout in (before, own)]
                log.warning("%s: written with %s; goes on with %s, equal but for rounding", resumed, *texts)

    def on_save(self, args, state, control, **_):
        if state.is_world_process_zero:
            write_json(Path(args.output_dir, f"checkpoint-{state.global_step}", FILE), self.all)
