"""The trainer of a stage, and the engine over the model in training that samples for it."""

import copy
import sys
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

from chord.io.seeds import derive_seed
from chord.rollouts import Engine
from chord.rollouts.huggingface import HuggingFaceEngine, stop_tokens
from chord.rollouts.parity import check_parity, distance
from chord.training.frozen_model import FrozenModel
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.scale.scale_spec import Scale
from chord.training.scale.sharding import sharding_arguments
from chord.training.scale.weights import add_adapters
from chord.training.sequences import Sequence
from chord.training.sft import SftTrainer
from chord.training.train_spec import SftStage, TrainSpec


def hardware(scale: Scale) -> tuple[str, str]:
    """(device, precision) of the computation; weights are fp32 in either case."""
    device, usual = (torch.cuda.get_device_name(), "bf16") if torch.cuda.is_available() else ("cpu", "fp32")
    return device, scale.precision or usual


def own_engine(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: int, precision: str
) -> HuggingFaceEngine:
    """An engine in the precision of the training passes: it samples from the distribution that is updated."""
    autocast = torch.bfloat16 if precision == "bf16" else None
    return HuggingFaceEngine(model, *stop_tokens(model, tokenizer), rows, autocast)


def precision_drift(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[list[int]]
) -> dict[str, float]:
    """How far bf16 moves the log-probabilities of the texts from fp32, in nats: mean and maximum.

    ParityError if computing in bf16 moves them further than rounding explains: this model does not bear bf16 on this
    machine. What the rounding of the weights adds is no fault of the computation, and grows with training.
    """
    in_bf16 = own_engine(model, tokenizer, 1, "bf16").score(texts)
    rounded = copy.deepcopy(model)
    for layer in rounded.modules():
        if isinstance(layer, nn.Linear):  # whose weights autocast rounds
            layer.weight.data = layer.weight.data.bfloat16().float()
    hint, between = "Train this model with scale.precision: fp32.", "fp32 and bf16 of the start model"
    check_parity(own_engine(rounded, tokenizer, 1, "fp32").score(texts), in_bf16, "bfloat16", hint, between)
    mean, maximum = distance(own_engine(model, tokenizer, 1, "fp32").score(texts), in_bf16)
    return {"mean": mean, "maximum": maximum}


def build_trainer(
    spec: TrainSpec,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[dict],
    experts: list[Sequence],
    checkpoints: Path,
    engine: Engine | None = None,
    teacher: FrozenModel | None = None,
) -> Trainer:
    """The stage's trainer, with the optimizer and the checkpoints of the spec. Adapters are put into `model`.

    engine: samples the rollouts; by default an engine over `model` itself. teacher: of a stage with a distillation.
    """
    stage = spec.stage
    optimizer = stage.optimizer
    _, precision = hardware(spec.scale)
    seed_parts = (spec.study_seed, spec.seed_index)
    common = {
        "output_dir": str(checkpoints),
        "seed": spec.seed_index,  # no random number of the run comes from it: noise and order have seeds of their own
        "learning_rate": optimizer.lr,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": optimizer.warmup_steps,
        "adam_beta1": optimizer.betas[0],
        "adam_beta2": optimizer.betas[1],
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_grad_norm,
        "bf16": precision == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": spec.scale.gradient_checkpointing,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_steps": spec.save_every,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": not sys.stderr.isatty(),
        **sharding_arguments(spec.scale),
    }
    trained = add_adapters(model, stage.lora, derive_seed(*seed_parts, "adapters")) if stage.lora else model
    if isinstance(stage, SftStage):
        args = SftTrainer.config(stage, spec.scale.ranks, **common)
        return SftTrainer(trained, tokenizer, args, stage, experts, seed_parts)
    args = HybridTrainer.config(stage, spec.scale.ranks, **common)
    engine = engine or own_engine(model, tokenizer, stage.generate_batch_rows or 1, precision)
    return HybridTrainer(trained, tokenizer, args, stage, engine, prompts, experts, seed_parts, teacher)
