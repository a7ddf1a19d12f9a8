"""One real step of our own trainer on the fixed batch: its gradient, at any split into micro-batches and ranks."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor
from transformers import PrinterCallback, ProgressCallback

from chord.errors import UserError
from chord.objectives import Free
from chord.probe.fixed_batch import DECODING, EXPERTS, PROMPTS, ROLLOUTS, FixedBatch, random_model
from chord.probe.keeper import GradientKeeper
from chord.training.build import build_trainer
from chord.training.scale.scale_spec import Scale
from chord.training.sequences import encode_experts
from chord.training.train_spec import HybridStage, TrainSpec

NO_CLIP = 1e30


@dataclass(frozen=True)
class StepGradient:
    """What one update of a rank left: the gradient before clipping, and what the trainer said of it."""

    gradient: dict[str, Tensor]
    passes: int  # of this rank, with a backward each
    a_rl: float
    a_ex: float


def probe_spec(spec: TrainSpec) -> TrainSpec:
    """The job with its stage made small: the batch of a probe, in place of the study's rows; no clip.

    The objective, the normalisation and what is trained (LoRA) stay. UserError for a stage with nothing to mix,
    or with a teacher, which the probe does not have.
    """
    stage = spec.stage
    if not isinstance(stage, HybridStage) or not (stage.uses_experts and stage.uses_rollouts):
        raise UserError("probe: expected a method with a hybrid stage that has weight on rollouts and on expert rows")
    if stage.distils:
        raise UserError("probe: expected a method whose rollouts learn from rewards, not from a teacher")
    changes = {
        "prompts_per_step": PROMPTS,
        "rollouts_per_prompt": ROLLOUTS,
        "expert_rows_per_step": EXPERTS if stage.reads_expert_rows else None,
        "expert_set": None,
        "generate_batch_rows": PROMPTS * ROLLOUTS,
        "decoding": DECODING,
        "importance_correction": None,  # no engine draws the rollouts of the probe
        "optimizer": stage.optimizer.model_copy(update={"max_grad_norm": NO_CLIP}),
    }
    return on_ranks(_with_stage(spec, **changes), 1)


def on_ranks(spec: TrainSpec, ranks: int) -> TrainSpec:
    """The job on so many ranks, each with a full model in float32; rounding of bf16 would hide what is measured."""
    return spec.model_copy(update={"scale": Scale(ranks=ranks, precision="fp32")})


def with_weights(spec: TrainSpec, rl: float, expert: float) -> TrainSpec:
    """The job with other weights of the two terms, from its first step on."""
    return _with_stage(spec, schedule=Free(rl=rl, expert=expert))


def take_step(spec: TrainSpec, micro_batches: int) -> StepGradient:
    """Train the job's first step, in about this number of micro-batches a rank.

    The limit of a pass is the batch's tokens over their number, so a pass more may come out. Under a rule that divides
    by micro-batches, each has its share of the rows.
    """
    model, tokenizer = random_model()
    batch = FixedBatch(tokenizer)
    stage = spec.stage
    experts = encode_experts(tokenizer, batch.traces if "traces" in stage.inputs else batch.experts)
    shares = micro_batches * spec.scale.ranks
    # On one rank all rows go into one pass. Ranks share the rows, so that one of them may have more than its share.
    limit = batch.tokens(experts) if micro_batches == 1 else ceil(batch.tokens(experts) / shares)
    spec = _with_stage(
        spec,
        micro_batch_tokens=limit,
        micro_batch_rows=ceil(EXPERTS / shares) if stage.divides_by_micro_batch else None,
    )
    keeper = GradientKeeper()
    with TemporaryDirectory() as folder:
        trainer = build_trainer(spec, model, tokenizer, batch.prompts, experts, Path(folder), batch)
        trainer.add_callback(keeper)
        for printer in (PrinterCallback, ProgressCallback):  # it has one of them
            trainer.remove_callback(printer)
        passes = _count_backwards(trainer.accelerator)
        trainer.train()
    log = trainer.state.log_history[0]
    return StepGradient(keeper.gradient, len(passes), log["a_rl"], log["a_ex"])


def _count_backwards(accelerator) -> list[None]:
    """A list that grows by one entry with each backward pass."""
    backward, passes = accelerator.backward, []

    def counted(*args, **kwargs):
        passes.append(None)
        backward(*args, **kwargs)

    accelerator.backward = counted
    return passes


def _with_stage(spec: TrainSpec, **changes) -> TrainSpec:
    return spec.model_copy(update={"stage": spec.stage.model_copy(update=changes)})
