"""The SFT stage on TRL's SFTTrainer: a loss of the expert tokens, divided by the step's token count (paper, eq. 1).

TRL gives the loop, optimizer, checkpoints and distribution; the passes are those of `chord.training.response_passes`.
"""

from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from chord.errors import UserError
from chord.io.seeds import derive_seed
from chord.training.micro_batches import Term
from chord.training.optimizer_step import OptimizerStep
from chord.training.resume.trainer_state import TrainerState
from chord.training.sequences import Sequence, row_order
from chord.training.train_spec import SftStage


class SftTrainer(OptimizerStep, TrainerState, SFTTrainer):
    """SFTTrainer on the same expert stream as the hybrid stage: seed 3 of both sees the same rows in the same order."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        args: SFTConfig,
        stage: SftStage,
        experts: list[Sequence],
        seed_parts: tuple[int, int],
    ):
        """experts: encoded expert rows. seed_parts: (study seed, seed index)."""
        self.stage = stage
        self.objective = stage.objective
        self.experts = experts
        self.expert_order = row_order(
            len(experts), stage.epochs * len(experts), derive_seed(*seed_parts, "expert order")
        )
        self.prepare(model)
        super().__init__(
            model=model,
            args=args,
            processing_class=tokenizer,
            data_collator=list,
            # The whole stage is one pass over this list, so that resuming is skipping.
            train_dataset=Dataset.from_list([{"row": i} for i in self.expert_order]),
        )
        self.equip()

    @staticmethod
    def config(stage: SftStage, world_size: int, **common) -> SFTConfig:
        """TRL's arguments with which one `training_step` gets this rank's share of the step's rows."""
        if problem := stage.divisibility_error(world_size):
            raise UserError(problem)
        return SFTConfig(
            num_train_epochs=1,
            per_device_train_batch_size=stage.expert_rows_per_step // world_size,
            gradient_accumulation_steps=1,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            **common,
        )

    def training_step(self, model, inputs: list[dict], num_items_in_batch=None) -> Tensor:
        """Accumulate the gradient of a whole optimizer step. Returns its loss, detached.

        inputs: not used, because accelerate fills the last step with rows of the first one if ranks divide it unevenly.
        """
        model.train()
        n, step = self.stage.expert_rows_per_step, self.state.global_step + 1
        rows = [self.experts[i] for i in self.expert_order[(step - 1) * n : step * n]]
        self.log_values(expert_rows=len(rows), expert_tokens=sum(len(row.response_ids) for row in rows))
        self._seconds.clear()
        own = rows[self.accelerator.process_index :: self.accelerator.num_processes]
        term = self.expert_term(model, Term("expert", own))
        with self.timed("backward_seconds"):
            loss = self.accumulate(model, [[term]], 0.0, 1.0)
        self.log_values(**self._seconds)
        return loss
