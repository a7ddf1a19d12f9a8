"""One run: a stage from a start model to weights, curves and a manifest; it resumes where a killed one stopped."""

import resource
import shutil
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import torch
from accelerate import PartialState
from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from transformers.integrations import TensorBoardCallback

from chord.errors import UserError
from chord.io.files import atomic_folder, explain_disk_errors, read_jsonl, remove_partials, write_json
from chord.io.locks import exclusive
from chord.io.models import load_weights
from chord.io.provenance import file_sha256, folder_sha256, manifest, source_sha256, utc_now
from chord.io.seeds import derive_seed
from chord.plugins import plugin_records
from chord.rollouts import Engine, encode_prompts
from chord.rollouts.huggingface import HuggingFaceEngine, stop_tokens
from chord.rollouts.policy import policy_tokenizer
from chord.tasks import GROUP, task_hashes, tasks_of
from chord.training.hopeless import Facts, WatchHopeless, diagnoses
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.resume import finished
from chord.training.resume.checkpoints import (
    MarkComplete,
    StopAfterStep,
    clear_checkpoints,
    newest_checkpoint,
    remove_incomplete,
    step_of,
)
from chord.training.scale.accumulation import PROBES, CheckAccumulation
from chord.training.scale.scale_spec import Scale
from chord.training.scale.sharding import sharding_arguments, start_ranks
from chord.training.scale.sync import open_synced
from chord.training.scale.weights import add_adapters, save_full
from chord.training.sequences import Sequence, encode_experts
from chord.training.sft import SftTrainer
from chord.training.step_log import SYNC_COLUMNS, Clock, curve_rows, write_curves
from chord.training.train_spec import SftStage, TrainSpec
from chord.training.validation import OverRanks, Validate, accuracy, best_step

# What decides a run's numbers: no run is resumed from a checkpoint in which any of it was different.
# Of its manifest, which has hashes of the tasks and of the plug-ins:
DECISIVE_KEYS = ("spec", "inputs", "environment", "device", "precision", "ranks", "tasks_sha256", "plugins")
DECISIVE_CODE = ("evaluation", "objectives", "rollouts", "training", "io/seeds.py")


def run(
    spec: dict,
    start: Path,
    validation: Path,
    out: Path,
    prompts: Path | None = None,
    experts: Path | None = None,
    traces: Path | None = None,
    stop_when_hopeless: bool = False,
) -> None:
    """Train `spec` (a TrainSpec) from the model folder `start` into the run folder `out` (docs/architecture.md).

    prompts, experts and traces (expert trajectories for the prompts) are needed where the stage reads them (its
    `inputs`), and left out otherwise. Each of the spec's ranks calls this (chord.training.scale.launch); the first one
    writes.

    stop_when_hopeless: end with a UserError where nothing can be learnt (chord.training.hopeless). It is not in the
    spec, as it does not decide any weights.
    """
    settings = TrainSpec.model_validate(spec)
    given = {"prompts": prompts, "experts": experts, "traces": traces}
    rows = {name: given[name] for name in settings.stage.inputs}
    if missing := [name for name, path in rows.items() if path is None]:
        raise UserError(f"train: --{missing[0]}: missing; expected the rows that a {settings.stage.kind} stage reads")
    ranks = start_ranks(settings.scale, _hardware(settings.scale)[1])
    with ExitStack() as closing:
        with exclusive(out / "lock", "training into this folder") if ranks.is_main_process else nullcontext() as check:
            try:
                with explain_disk_errors(out):
                    inputs = {"start": start, "validation": validation, **rows}
                    _train(settings, inputs, out, ranks, check, closing, stop_when_hopeless)
            except Exception:
                if ranks.is_main_process:
                    check()  # what lies in a folder that was lost is another's
                    remove_incomplete(out / "checkpoints")
                raise
        ranks.wait_for_everyone()  # a rank that ends early makes the others fail
    ranks.destroy_process_group()


def _train(
    spec: TrainSpec,
    inputs: dict[str, Path],
    out: Path,
    ranks: PartialState,
    check: Callable,
    closing: ExitStack,
    stop_when_hopeless: bool,
) -> None:
    """check: raises when the folder is not this process's any more; None on the ranks that write nothing.

    closing: gets what is closed when all ranks are done.
    """
    started = utc_now()
    device, precision = _hardware(spec.scale)
    rows = {name: read_jsonl(path) for name, path in inputs.items() if name != "start"}
    tasks = tasks_of(row for name in ("prompts", "validation") for row in rows.get(name, []))
    provenance = manifest(
        spec.specification(),
        inputs,
        device=device,
        precision=precision,
        ranks=ranks.num_processes,
        tasks_sha256=task_hashes(tasks),
        plugins=_plugins(spec, tasks),
    )
    identity = {key: provenance[key] for key in DECISIVE_KEYS}
    checkpoints = out / "checkpoints"
    if ranks.is_main_process:
        remove_partials(out)
        clear_checkpoints(checkpoints, identity | {"code": source_sha256(*DECISIVE_CODE)})
        if finished.is_stored(checkpoints):
            finished.deliver(checkpoints, out)
    ranks.wait_for_everyone()
    if (checkpoints / finished.FINISHED).exists():
        return
    resumed = newest_checkpoint(checkpoints)

    if spec.stage.expert_set and "experts" in rows:
        rows["experts"] = _first(rows["experts"], spec.stage.expert_set, inputs["experts"])
    if "traces" in rows:
        rows["experts"] = _of_prompts(rows["traces"], rows["prompts"], inputs["traces"])
    asked = [row for name in ("prompts", "experts", "validation") for row in rows.get(name, [])]
    tokenizer = policy_tokenizer(inputs["start"], asked)
    model = load_weights(inputs["start"], torch.float32)
    sequences = encode_experts(tokenizer, rows.get("experts", []))
    _check_lengths(sequences, rows.get("experts", []), model)
    # Texts with answers where there are some; any token shows an output layer that is not the model's.
    texts = [one.input_ids for one in sequences] or encode_prompts(tokenizer, rows["validation"])
    stops = stop_tokens(model, tokenizer)
    synced = open_synced(spec, model, inputs["start"], out, stops, texts, precision)
    trainer = build_trainer(spec, model, tokenizer, rows.get("prompts", []), sequences, checkpoints, synced)
    validate_with = OverRanks(synced or _engine(model, tokenizer, spec.validation.batch_rows, precision), ranks)
    if synced:
        closing.callback(synced.close)
        synced.follow(trainer)

    def measure() -> tuple[float, float]:
        settings = spec.validation
        seeds = spec.study_seed, spec.seed_index
        return accuracy(validate_with, tokenizer, rows["validation"], settings.k, *seeds, settings.decoding)

    keeps_best = spec.stage.keep == "best"
    if spec.scale.cpu_offload:
        texts = encode_prompts(tokenizer, (rows["validation"] * PROBES)[:PROBES])
        trainer.add_callback(CheckAccumulation(trainer, [Sequence(ids[:1], ids[1:]) for ids in texts]))
    trainer.add_callback(Clock(trainer))
    trainer.add_callback(
        Validate(trainer, measure, spec.stage.validate_every, best=checkpoints if keeps_best else None)
    )
    trainer.add_callback(MarkComplete(check))
    if ranks.is_main_process:
        if not resumed:
            shutil.rmtree(
                out / "tensorboard", ignore_errors=True
            )  # of an earlier run, from which this one does not resume
        first = step_of(resumed) + 1 if resumed else None
        trainer.add_callback(TensorBoardCallback(SummaryWriter(str(out / "tensorboard"), purge_step=first)))
    facts = _facts(spec, tokenizer.convert_ids_to_tokens(stops[1]))
    watch = WatchHopeless(facts, stop_when_hopeless)
    trainer.add_callback(watch)
    stop = StopAfterStep()
    trainer.add_callback(stop)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    if stop.stopped or watch.stopped:
        ranks.wait_for_everyone()  # the first one that ends takes the others with it: the checkpoint comes first
        if not ranks.is_main_process:
            raise SystemExit(2)  # as the first one ends, which says why
        done = f"step {trainer.state.global_step} of {trainer.state.max_steps}"
        if watch.stopped:
            raise UserError(
                f"{out}: stopped and saved after {done}: {watch.stopped.message}. Without stop_when_hopeless the same "
                "command resumes from there"
            )
        raise UserError(f"{out}: stopped by SIGTERM and saved after {done}; the same command resumes from there")

    counted = "experts" if isinstance(spec.stage, SftStage) else "prompts"
    per_step = spec.stage.expert_rows_per_step if counted == "experts" else spec.stage.prompts_per_step
    more = SYNC_COLUMNS if synced else ()
    curves = curve_rows(trainer.state.log_history, per_step, len(rows[counted]), more)
    delivered = best_step(curves) if keeps_best else trainer.state.global_step
    if not ranks.is_main_process:
        if not keeps_best:
            save_full(model, None)
        return
    check()
    with atomic_folder(out / "model") as folder:
        if keeps_best:
            shutil.copytree(checkpoints / f"best-{delivered}", folder, dirs_exist_ok=True)
        else:
            save_full(model, folder)
        tokenizer.save_pretrained(folder)
    write_curves(out / "curves.csv", curves)
    times = {"started": started, "resumed_after_step": step_of(resumed) if resumed else None, "finished": utc_now()}
    files = {f"model/{name}": digest for name, digest in folder_sha256(out / "model").items()}
    files["curves.csv"] = file_sha256(out / "curves.csv")
    result = _result(curves, delivered, len(sequences))
    warned = [one.values() for one in diagnoses(trainer.state.log_history, facts)]
    more = {"files": files, "result": result} | ({"warnings": warned} if warned else {})
    write_json(out / "manifest.json", provenance | times | more)
    finished.store(out, checkpoints)


def build_trainer(
    spec: TrainSpec,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[dict],
    experts: list[Sequence],
    checkpoints: Path,
    engine: Engine | None = None,
) -> Trainer:
    """The stage's trainer with the optimizer and the saving that the spec asks for. Adapters are put into `model`.

    engine: samples the rollouts; None is the model itself.
    """
    stage = spec.stage
    optimizer = stage.optimizer
    _, precision = _hardware(spec.scale)
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
        "disable_tqdm": True,
        **sharding_arguments(spec.scale),
    }
    world_size = spec.scale.ranks
    seed_parts = (spec.study_seed, spec.seed_index)
    trained = add_adapters(model, stage.lora, derive_seed(*seed_parts, "adapters")) if stage.lora else model
    if isinstance(stage, SftStage):
        args = SftTrainer.config(stage, world_size, **common)
        return SftTrainer(trained, tokenizer, args, stage, experts, seed_parts)
    args = HybridTrainer.config(stage, world_size, **common)
    engine = engine or _engine(model, tokenizer, stage.generate_batch_rows or 1, precision)
    return HybridTrainer(trained, tokenizer, args, stage, engine, prompts, experts, seed_parts)


def _plugins(spec: TrainSpec, tasks: set[str]) -> dict[str, dict[str, str]]:
    """Records of the plug-ins whose code decides the run's numbers."""
    parts = [] if isinstance(spec.stage, SftStage) else spec.stage.objective.plugin_names
    return plugin_records([*parts, *((GROUP, task) for task in tasks)])


def _facts(spec: TrainSpec, ends: list[str]) -> Facts:
    validation = spec.validation.decoding.max_response_tokens
    decoding = spec.stage.decoding if spec.stage.uses_rollouts else spec.validation.decoding
    return Facts(decoding.max_response_tokens, validation, ", ".join(ends))


def _hardware(scale: Scale) -> tuple[str, str]:
    """Device and precision of the computation; weights are fp32 whatever it is."""
    device, usual = (torch.cuda.get_device_name(), "bf16") if torch.cuda.is_available() else ("cpu", "fp32")
    return device, scale.precision or usual


def _engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: int, precision: str) -> HuggingFaceEngine:
    """Samples in the precision of the training passes: the distribution that is updated is the one sampled from."""
    autocast = torch.bfloat16 if precision == "bf16" else None
    return HuggingFaceEngine(model, *stop_tokens(model, tokenizer), rows, autocast)


def _first(rows: list[dict], count: int, path: Path) -> list[dict]:
    if len(rows) < count:
        raise UserError(f"{path}: {len(rows)} expert rows; expected at least expert_set = {count}")
    return rows[:count]


def _of_prompts(traces: list[dict], prompts: list[dict], path: Path) -> list[dict]:
    """The traces in the order of their prompts."""
    by_id = {row["id"]: row for row in traces}
    for prompt in prompts:
        if prompt["id"] not in by_id:
            raise UserError(f"{path}: no row {prompt['id']}; expected an expert trajectory for every RL prompt")
        if "reward" not in by_id[prompt["id"]].get("verdict", {}):
            raise UserError(f"{path}: row {prompt['id']}: verdict.reward: missing; expected the reward of its response")
    return [by_id[prompt["id"]] for prompt in prompts]


def _check_lengths(sequences: list[Sequence], rows: list[dict], model: PreTrainedModel) -> None:
    limit = model.config.max_position_embeddings
    for sequence, row in zip(sequences, rows, strict=True):
        if len(sequence) > limit:
            raise UserError(f"expert row {row['id']}: {len(sequence)} tokens; expected at most the model's {limit}")


def _result(curves: list[dict], delivered: int, expert_set: int) -> dict:
    """What the run cost, the step whose weights it delivers, and the number of expert rows that it could read."""

    def total(column: str) -> float:
        return sum(row[column] or 0 for row in curves)

    return {
        "steps": curves[-1]["step"],
        "delivered_step": delivered,
        "validation_accuracy": next(row["validation_accuracy"] for row in curves if row["step"] == delivered),
        **{column: round(total(column)) for column in ("rollouts", "expert_rows", "expert_tokens", "train_tokens")},
        "expert_set": expert_set,
        # An expert row counts by the weight its loss had: sum over steps of a_ex * mean w.
        "weighted_expert_rows": sum(
            row["expert_rows"] * row["a_ex"] * row["token_weight_mean"] for row in curves if row["expert_rows"]
        ),
        "train_minutes": total("step_seconds") / 60.0,
        "validation_minutes": total("validation_seconds") / 60.0,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    }
