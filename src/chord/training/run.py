"""One run: a stage from a start model to weights, curves and a manifest; goes on where a killed one stopped."""

import os
import resource
import shutil
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, Trainer
from transformers.integrations import TensorBoardCallback

from chord.evaluation.validate import accuracy
from chord.files import atomic_folder, read_jsonl, write_json
from chord.provenance import manifest, source_sha256
from chord.rollouts.huggingface import HuggingFaceEngine, stop_tokens
from chord.training.checkpoints import MarkComplete, locked, open_checkpoints
from chord.training.curves import curve_rows, write_curves
from chord.training.hybrid import HybridTrainer
from chord.training.sequences import encode_experts
from chord.training.sft import SftTrainer
from chord.training.spec import SftStage, TrainSpec
from chord.training.validation import Validate

# The rooms whose code decides a run's numbers: a checkpoint made by other code is not gone on from.
DECISIVE_ROOMS = ("evaluation", "objectives", "rollouts", "tasks", "training")


def run(spec: dict, start: Path, prompts: Path, experts: Path, validation: Path, out: Path) -> None:
    """Train `spec` (a TrainSpec) from the model folder `start` into the run folder `out` (docs/architecture.md)."""
    settings = TrainSpec.model_validate(spec)
    inputs = {"start": start, "prompts": prompts, "experts": experts, "validation": validation}
    with locked(out):
        _train(settings, inputs, out)


def _train(spec: TrainSpec, inputs: dict[str, Path], out: Path) -> None:
    provenance = manifest(spec.model_dump(mode="json"), inputs)
    checkpoints = out / "checkpoints"
    identity = {key: provenance[key] for key in ("spec", "inputs")} | {"code": source_sha256(*DECISIVE_ROOMS)}
    resumed = open_checkpoints(checkpoints, identity)
    if not resumed:
        shutil.rmtree(out / "tensorboard", ignore_errors=True)  # curves of a run that is not this one

    tokenizer = AutoTokenizer.from_pretrained(inputs["start"])
    model = AutoModelForCausalLM.from_pretrained(inputs["start"], dtype=torch.float32)
    prompts, experts, validation = (read_jsonl(inputs[name]) for name in ("prompts", "experts", "validation"))
    trainer = _trainer(spec, model, tokenizer, prompts, experts, checkpoints)
    best = checkpoints / "best" if isinstance(spec.stage, SftStage) and spec.stage.keep == "best" else None
    engine = _engine(model, tokenizer, spec.validation.batch_rows)

    def measure() -> tuple[float, float]:
        settings = spec.validation
        return accuracy(engine, tokenizer, validation, settings.k, spec.study_seed, spec.seed_index, settings.decoding)

    step = int(resumed.name.split("-")[1]) if resumed else 0
    writer = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if resumed else None)
    for callback in (
        Validate(trainer, measure, spec.stage.validate_every, best),
        MarkComplete(),
        TensorBoardCallback(writer),
    ):
        trainer.add_callback(callback)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)

    if isinstance(spec.stage, SftStage):
        rows_per_step, rows_per_epoch = spec.stage.expert_rows_per_step, len(experts)
    else:
        rows_per_step, rows_per_epoch = spec.stage.prompts_per_step, len(prompts)
    curves = curve_rows(trainer.state.log_history, rows_per_step, rows_per_epoch)
    if not trainer.is_world_process_zero():
        return
    with atomic_folder(out / "model") as folder:
        if best:
            shutil.copytree(best, folder, dirs_exist_ok=True)
        else:
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    write_curves(out / "curves.csv", curves)
    write_json(out / "manifest.json", provenance | {"result": _result(curves, best is not None)})
    shutil.rmtree(checkpoints)  # several times the model's size, and of no use once the result stands


def _trainer(
    spec: TrainSpec,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[dict],
    experts: list[dict],
    checkpoints: Path,
) -> Trainer:
    stage = spec.stage
    optimizer = stage.optimizer
    cpu = not torch.cuda.is_available()
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
        "bf16": not cpu,
        "use_cpu": cpu,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_steps": spec.save_every,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
    }
    seed_parts = (spec.study_seed, spec.seed_index)
    sequences = encode_experts(tokenizer, experts)
    if isinstance(stage, SftStage):
        args = SftTrainer.config(stage, _world_size(), **common)
        return SftTrainer(model, tokenizer, args, stage, sequences, seed_parts)
    args = HybridTrainer.config(stage, _world_size(), **common)
    engine = _engine(model, tokenizer, stage.generate_batch_rows)
    return HybridTrainer(model, tokenizer, args, stage, engine, prompts, sequences, seed_parts)


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))  # set by torchrun and accelerate, before any process group exists


def _engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_rows: int) -> HuggingFaceEngine:
    return HuggingFaceEngine(model, *stop_tokens(model, tokenizer), batch_rows)


def _result(curves: list[dict], kept_best: bool) -> dict:
    """What the run cost and which step it delivers."""
    validated = [row for row in curves if row["step"] and row["validation_accuracy"] is not None]
    delivered = max(validated, key=lambda row: row["validation_accuracy"]) if kept_best else validated[-1]

    def total(column: str) -> float:
        return sum(row[column] or 0 for row in curves)

    return {
        "steps": curves[-1]["step"],
        "delivered_step": delivered["step"],
        "validation_accuracy": delivered["validation_accuracy"],
        **{column: round(total(column)) for column in ("rollouts", "expert_rows", "expert_tokens", "train_tokens")},
        # An expert row counts by the weight its loss had: sum over steps of a_ex * mean w (METHODS: exposure).
        "weighted_expert_rows": sum(
            row["expert_rows"] * row["a_ex"] * row["token_weight_mean"] for row in curves if row["expert_rows"]
        ),
        "train_minutes": total("step_seconds") / 60.0,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    }
