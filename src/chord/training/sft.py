"""The SFT stage on TRL's SFTTrainer: -log p of the expert tokens, divided by the batch's token count (paper, eq. 1)."""

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from chord.errors import UserError
from chord.io.seeds import derive_seed
from chord.training.sequences import Sequence, row_order
from chord.training.train_spec import SftStage


class SftTrainer(SFTTrainer):
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
        self.experts = experts
        self.expert_order = row_order(
            len(experts), stage.epochs * len(experts), derive_seed(*seed_parts, "expert order")
        )
        super().__init__(
            model=model,
            args=args,
            processing_class=tokenizer,
            # The whole stage is one pass over this list, so that resuming is skipping.
            train_dataset=Dataset.from_list(
                [{"input_ids": experts[i].input_ids, "labels": experts[i].labels} for i in self.expert_order]
            ),
        )

    @staticmethod
    def config(stage: SftStage, world_size: int, **common) -> SFTConfig:
        """TRL's arguments for this stage."""
        if problem := stage.divisibility_error(world_size):
            raise UserError(problem)
        return SFTConfig(
            num_train_epochs=1,
            per_device_train_batch_size=stage.micro_batch_rows,
            gradient_accumulation_steps=stage.expert_rows_per_step // (stage.micro_batch_rows * world_size),
            train_sampling_strategy="sequential",
            max_length=None,
            packing=False,
            loss_type="nll",
            dataset_kwargs={"skip_prepare_dataset": True},
            **common,
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:  # the line of a step, not of the start model's validation nor the closing summary
            n, step = self.stage.expert_rows_per_step, self.state.global_step
            rows = [self.experts[i] for i in self.expert_order[(step - 1) * n : step * n]]
            logs |= {
                "a_rl": 0.0,
                "a_ex": 1.0,
                "mu": 1.0,
                "expert_loss": logs["loss"],
                "expert_nll": logs["loss"],
                "token_weight_mean": 1.0,
                "expert_rows": len(rows),
                "expert_tokens": sum(len(row.response_ids) for row in rows),
                "train_tokens": sum(map(len, rows)),
            }
            # TRL's entropy is that of the expert's tokens; in the curves it is that of the policy's own samples.
            self._metrics["train"].pop("entropy", None)
        super().log(logs, start_time)
