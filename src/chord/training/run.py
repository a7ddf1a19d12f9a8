"""One run: a stage from a start model to weights, curves and a manifest. A killed run is resumed where it stopped."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from transformers.integrations import TensorBoardCallback

from chord.errors import UserError
from chord.io.files import atomic_folder, explain_disk_errors, read_jsonl, remove_partials, write_json
from chord.io.locks import exclusive
from chord.io.models import load_weights, load_without_weights
from chord.io.provenance import manifest, source_sha256, utc_now
from chord.plugins import plugin_records
from chord.rollouts import encode_prompts
from chord.rollouts.huggingface import stop_tokens
from chord.rollouts.parity import probe_texts
from chord.rollouts.policy import policy_tokenizer
from chord.tasks import GROUP, task_hashes, tasks_of
from chord.training.build import build_trainer, hardware, own_engine, precision_drift
from chord.training.curve_columns import CORRECTION_COLUMNS, FROZEN_COLUMNS, SYNC_COLUMNS
from chord.training.frozen_model import load_teacher
from chord.training.hopeless import Facts, WatchHopeless, diagnoses
from chord.training.resume import finished
from chord.training.resume.checkpoints import (
    MarkComplete,
    StopAfterStep,
    clear_checkpoints,
    newest_checkpoint,
    remove_incomplete,
    step_of,
)
from chord.training.resume.layout import Layouts, without_layout
from chord.training.scale.accumulation import PROBES, CheckAccumulation
from chord.training.scale.sharding import start_ranks
from chord.training.scale.sync import open_synced
from chord.training.scale.weights import save_full
from chord.training.sequences import Sequence, check_lengths, encode_experts, first_rows, shown_traces, traces_of
from chord.training.step_log import Clock, curve_rows, run_result, write_curves
from chord.training.train_spec import SftStage, TrainSpec
from chord.training.validation import Measure, OverRanks, Validate, accuracy, best_step

# What decides a run's numbers; a run resumes only from a checkpoint in which all of it was the same, but for rounding.
# Keys of its manifest, which has hashes of the tasks and of the plug-ins:
DECISIVE_KEYS = ("spec", "inputs", "environment", "device", "precision", "tasks_sha256", "plugins")
DECISIVE_CODE = ("objectives", "rollouts", "shared_prompts", "training", "io/seeds.py")


@dataclass(frozen=True)
class RunFolder:
    """The folder that a run writes, as one of its ranks sees it. The first rank writes."""

    path: Path
    ranks: PartialState
    check: Callable | None  # raises if the folder is no longer this process's; None on the ranks that write nothing

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"


def run(
    spec: dict,
    start: Path,
    validation: Path,
    out: Path,
    prompts: Path | None = None,
    experts: Path | None = None,
    traces: Path | None = None,
    teacher: Path | None = None,
    stop_when_hopeless: bool = False,
) -> None:
    """Train `spec` (a TrainSpec) from the model folder `start` into the run folder `out` (docs/architecture.md).

    prompts, experts and traces (expert trajectories for the prompts) are needed if the stage reads them (its `inputs`),
    and ignored otherwise; so is teacher, a model folder, where the stage has a distillation. Each of the spec's ranks
    calls this (chord.training.scale.launch).

    stop_when_hopeless: end with a UserError if nothing can be learnt (chord.training.hopeless). It is not in the spec,
    as it does not decide any weights.
    """
    settings = TrainSpec.model_validate(spec)
    options = {"prompts": prompts, "experts": experts, "traces": traces}
    rows = {name: options[name] for name in settings.stage.inputs}
    if missing := [name for name, path in rows.items() if path is None]:
        raise UserError(f"train: --{missing[0]}: missing; expected the rows that a {settings.stage.kind} stage reads")
    if settings.stage.reads_teacher and teacher is None:
        raise UserError("train: --teacher: missing; expected a model folder, as the stage has a distillation")
    models = {"start": start} | ({"teacher": teacher} if settings.stage.reads_teacher else {})
    ranks = start_ranks(settings.scale, hardware(settings.scale)[1])
    with ExitStack() as closing:
        with exclusive(out / "lock", "training into this folder") if ranks.is_main_process else nullcontext() as check:
            folder = RunFolder(out, ranks, check)
            try:
                with explain_disk_errors(out):
                    inputs = {**models, "validation": validation, **rows}
                    _train(settings, inputs, folder, closing, stop_when_hopeless)
            except Exception:
                if ranks.is_main_process:
                    check()  # if the folder was lost, what lies in it is another process's
                    remove_incomplete(folder.checkpoints)
                raise
        ranks.wait_for_everyone()  # a rank that ends early makes the others fail
    ranks.destroy_process_group()


def _train(
    spec: TrainSpec, inputs: dict[str, Path], folder: RunFolder, closing: ExitStack, stop_when_hopeless: bool
) -> None:
    """closing: gets what is to be closed when all ranks are done."""
    started = utc_now()
    rows = {name: read_jsonl(path) for name, path in inputs.items() if name not in ("start", "teacher")}
    provenance = _provenance(spec, inputs, rows, folder.ranks)
    is_finished, resumed = _earlier_attempt(folder, provenance)
    if is_finished:
        return

    prompts, validation, expert_rows = rows.get("prompts", []), rows["validation"], _expert_rows(spec, rows, inputs)
    if spec.stage.teaches_itself:
        prompts = shown_traces(prompts, expert_rows, spec.stage.distillation.shown)
    tokenizer = policy_tokenizer(inputs["start"], [*prompts, *expert_rows, *validation])
    # Sharding sends each rank its part of what the first one has read.
    has_weights = folder.ranks.is_main_process or not spec.scale.shards_weights
    model = load_weights(inputs["start"], torch.float32) if has_weights else load_without_weights(inputs["start"])
    teacher = load_teacher(inputs["teacher"], tokenizer) if "teacher" in inputs else None
    experts = encode_experts(tokenizer, expert_rows)
    limit = model.config.max_position_embeddings
    check_lengths(experts, expert_rows, limit)
    if spec.stage.teaches_itself:
        ids = encode_prompts(tokenizer, [{"messages": prompt["teacher_messages"]} for prompt in prompts])
        longest = [0] * spec.stage.decoding.max_response_tokens
        check_lengths([Sequence(one, longest) for one in ids], prompts, limit, "what the teacher reads of prompt")

    # Texts with answers, if there are any; any token shows an output layer that is not the model's.
    texts = [expert.input_ids for expert in experts] or encode_prompts(tokenizer, validation)
    stops, precision = stop_tokens(model, tokenizer), provenance["precision"]
    if has_weights and (provenance["device"], precision) == ("cpu", "bf16"):
        provenance["precision_drift"] = precision_drift(model, tokenizer, probe_texts(texts))
    synced = open_synced(spec, model, inputs["start"], folder.path, stops, texts, precision)
    trainer = build_trainer(spec, model, tokenizer, prompts, experts, folder.checkpoints, synced, teacher)
    if synced:
        closing.callback(synced.close)
        synced.follow(trainer)

    if spec.scale.cpu_offload:
        texts = encode_prompts(tokenizer, (validation * PROBES)[:PROBES])
        trainer.add_callback(CheckAccumulation(trainer, [Sequence(ids[:1], ids[1:]) for ids in texts]))
    engine = OverRanks(synced or own_engine(model, tokenizer, spec.validation.batch_rows, precision), folder.ranks)
    seed_parts = spec.study_seed, spec.seed_index
    k, decoding = spec.validation.k, spec.validation.decoding
    measure = partial(accuracy, engine, tokenizer, validation, k, *seed_parts, decoding)
    layouts = Layouts(spec.scale, resumed)
    _add_callbacks(trainer, spec, folder, resumed, measure, layouts)
    facts = _facts(spec, tokenizer.convert_ids_to_tokens(stops[1]))
    watch, stop = WatchHopeless(facts, stop_when_hopeless), StopAfterStep()
    trainer.add_callback(watch)
    trainer.add_callback(stop)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    _refuse_unfinished(trainer, folder, watch, stop)

    counts = (
        (spec.stage.expert_rows_per_step, len(trainer.experts))
        if isinstance(spec.stage, SftStage)
        else (spec.stage.prompts_per_step, len(prompts))
    )
    more = (
        *(SYNC_COLUMNS if synced else ()),
        *(CORRECTION_COLUMNS if spec.stage.corrects_rollouts else ()),
        *(FROZEN_COLUMNS if spec.stage.passes_without_gradient else ()),
    )
    curves = curve_rows(trainer.state.log_history, *counts, more)
    best = best_step(curves) if spec.stage.keep == "best" else None
    _save_model(folder, model, tokenizer, best)
    if folder.ranks.is_main_process:
        write_curves(folder.path / "curves.csv", curves)
        record = provenance | {
            "started": started,
            "resumed_after_step": step_of(resumed) if resumed else None,
            "finished": utc_now(),
            "files": finished.result_hashes(folder.path),
            "learns_from": spec.stage.learns_from,
            "result": run_result(curves, best or trainer.state.global_step, len(trainer.experts)),
        }
        if len(layouts.all) > 1:
            record["layouts"] = layouts.all
        if warnings := [diagnosis.values() for diagnosis in diagnoses(trainer.state.log_history, facts)]:
            record["warnings"] = warnings
        write_json(folder.path / "manifest.json", record)
        finished.store(folder.path, folder.checkpoints)


def _provenance(spec: TrainSpec, inputs: dict[str, Path], rows: dict[str, list[dict]], ranks: PartialState) -> dict:
    """What the manifest says before there is a result."""
    device, precision = hardware(spec.scale)
    tasks = tasks_of(row for name in ("prompts", "validation") for row in rows.get(name, []))
    return manifest(
        spec.specification(),
        inputs,
        device=device,
        precision=precision,
        ranks=ranks.num_processes,
        threads=torch.get_num_threads(),
        tasks_sha256=task_hashes(tasks),
        plugins=plugin_records([*spec.stage.objective.plugin_names, *((GROUP, task) for task in tasks)]),
    )


def _earlier_attempt(folder: RunFolder, provenance: dict) -> tuple[bool, Path | None]:
    """Deliver the result of an earlier attempt, if there is one; otherwise leave only what this run can resume from.

    Returns whether there was a result, and the newest checkpoint. The first rank looks, because another machine may
    still see the folder as it was.
    """
    found = [(False, None)]
    if folder.ranks.is_main_process:
        identity = {key: provenance[key] for key in DECISIVE_KEYS} | {"code": source_sha256(*DECISIVE_CODE)}
        remove_partials(folder.path)
        clear_checkpoints(folder.checkpoints, identity | {"spec": without_layout(provenance["spec"])})
        if is_finished := finished.is_stored(folder.checkpoints, provenance["spec"]):
            finished.deliver(folder.checkpoints, folder.path)
        found = [(is_finished, newest_checkpoint(folder.checkpoints))]
    return broadcast_object_list(found)[0]


def _expert_rows(spec: TrainSpec, rows: dict[str, list[dict]], inputs: dict[str, Path]) -> list[dict]:
    """The expert rows that the stage reads: rows of a pool, or traces of its prompts."""
    if "traces" in rows and "prompts" in rows:
        return traces_of(rows["prompts"], rows["traces"], inputs["traces"])
    experts = rows.get("experts", []) + rows.get("traces", [])
    return first_rows(experts, spec.stage.expert_set, inputs["experts"]) if spec.stage.expert_set else experts


def _add_callbacks(
    trainer: Trainer,
    spec: TrainSpec,
    folder: RunFolder,
    resumed: Path | None,
    measure: Measure,
    layouts: Layouts,
) -> None:
    trainer.add_callback(Clock(trainer))
    best = folder.checkpoints if spec.stage.keep == "best" else None
    trainer.add_callback(Validate(trainer, measure, spec.stage.validate_every, best))
    trainer.add_callback(layouts)
    trainer.add_callback(MarkComplete(folder.check))
    if folder.ranks.is_main_process:
        logs = folder.path / "tensorboard"
        if not resumed:  # these are the logs of an earlier run
            shutil.rmtree(logs, ignore_errors=True)
        first = step_of(resumed) + 1 if resumed else None
        trainer.add_callback(TensorBoardCallback(SummaryWriter(str(logs), purge_step=first)))


def _facts(spec: TrainSpec, ends: list[str]) -> Facts:
    validation = spec.validation.decoding.max_response_tokens
    decoding = spec.stage.decoding if spec.stage.uses_rollouts else spec.validation.decoding
    return Facts(decoding.max_response_tokens, validation, ", ".join(ends))


def _refuse_unfinished(trainer: Trainer, folder: RunFolder, watch: WatchHopeless, stop: StopAfterStep) -> None:
    """UserError on the first rank if training was stopped before its last step."""
    if not (stop.stopped or watch.stopped):
        return
    folder.ranks.wait_for_everyone()  # the first one that ends takes the others with it: the checkpoint comes first
    if not folder.ranks.is_main_process:
        raise SystemExit(2)  # as the first one, which says why
    done = f"step {trainer.state.global_step} of {trainer.state.max_steps}"
    if watch.stopped:
        raise UserError(
            f"{folder.path}: stopped and saved after {done}: {watch.stopped.message}. Without stop_when_hopeless the "
            "same command resumes from there"
        )
    raise UserError(f"{folder.path}: stopped by SIGTERM and saved after {done}; the same command resumes from there")


def _save_model(
    folder: RunFolder, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, best: int | None
) -> None:
    """Write the weights after step `best`, or else those that the model has now. Every rank calls it."""
    if not folder.ranks.is_main_process:
        if best is None:
            save_full(model, None)
        return
    folder.check()
    with atomic_folder(folder.path / "model") as new:
        if best is None:
            save_full(model, new)
        else:
            shutil.copytree(folder.checkpoints / f"best-{best}", new, dirs_exist_ok=True)
        tokenizer.save_pretrained(new)
