"""The prompts whose traces wait for an SFT step, for routers that let them wait (ReLIFT)."""

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState


class Waiting(TrainerCallback, ExportableState):
    """Indices of prompts, the oldest first, the same on every rank. Checkpoints hold them, in the trainer's state."""

    def __init__(self):
        self.prompts: list[int] = []

    def state(self) -> dict:
        return {"args": {}, "attributes": {"prompts": list(self.prompts)}}

    def on_train_begin(self, args, state, control, **_):
        """A resumed run continues with what its checkpoint holds; the state of a new one holds nothing."""
        self.prompts = list(state.stateful_callbacks[type(self).__name__]["attributes"]["prompts"])

    def take(self, count: int) -> list[int]:
        """Remove the oldest ones and return them."""
        taken, self.prompts = self.prompts[:count], self.prompts[count:]
        return taken
