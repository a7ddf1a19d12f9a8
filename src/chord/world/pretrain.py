"""Pretraining of the world's base model: a stock Qwen2 of about a million parameters, trained from scratch.

Every row is a problem of the world's `pretrain` split, or a question of a skill outside the benchmark, with a correct
solution in a mixed style (`chord.world.solutions`). The loss covers the solution only. `torch.optim.Muon` updates the
hidden matrices, and AdamW all other weights; the rate is constant and then falls linearly over the last part of
training, which improves the model as much as everything before it. It is a plain loop,
because no comparison includes this stage.

It can also start from the weights of another model, with a new optimizer: so the phase diagram gets base models that
differ in their exposure to the expert's style.
"""

import json
import logging
import random
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from chord.errors import UserError
from chord.gates import missed_gates
from chord.io.continuation import clear_unless_identical
from chord.io.files import atomic_folder, atomic_path, remove_partials, write_json, write_text
from chord.io.locks import exclusive
from chord.io.models import load_tokenizer, load_weights
from chord.io.progress_bar import progress_bar
from chord.io.provenance import environment, file_sha256, folder_sha256, manifest, source_sha256
from chord.io.seeds import derive_seed
from chord.world import problems, skills, solutions
from chord.world.gates import measure_gates
from chord.world.pretrain_spec import Architecture, Mixture, PretrainSpec
from chord.world.tokenizer import build_tokenizer

log = logging.getLogger(__name__)
IGNORED = -100  # label of tokens without loss
# The code that decides the weights: training does not resume from the checkpoint of other code.
DECISIVE_CODE = ("world", "io/seeds.py")


def build_model(architecture: Architecture, tokenizer, seed: int) -> Qwen2ForCausalLM:
    torch.manual_seed(derive_seed(seed, "pretrain", "weights"))
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=architecture.hidden,
            num_hidden_layers=architecture.layers,
            num_attention_heads=architecture.heads,
            num_key_value_heads=architecture.kv_heads,
            intermediate_size=architecture.mlp,
            max_position_embeddings=architecture.max_tokens,
            tie_word_embeddings=False,
            use_cache=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            dtype="float32",
        )
    )


def start_model(architecture: Architecture, tokenizer, start: Path) -> Qwen2ForCausalLM:
    """The model in the folder `start`, which must be of this architecture and vocabulary."""
    model = load_weights(start, torch.float32)
    vocabulary = load_tokenizer(start).get_vocab()
    if vocabulary != tokenizer.get_vocab() or _shapes(model) != _shapes(build_model(architecture, tokenizer, seed=0)):
        raise UserError(f"{start}: not a base model of the world with the specification's architecture")
    return model


def _shapes(model: PreTrainedModel) -> dict[str, torch.Size]:
    return {name: values.shape for name, values in model.state_dict().items()}


def row(mixture: Mixture, seed: int, index: int) -> tuple[str, str]:
    """Prompt and solution number `index` of the endless pretraining stream, a pure function of the arguments."""
    rng = random.Random(derive_seed(seed, "pretrain", "row", index))
    if rng.random() < mixture.skills:
        group = rng.choice(skills.GROUPS)
        while skills.is_test((question := skills.generate(rng.getrandbits(62), group)).text):
            continue
        return question.text, question.solution
    k = rng.choices(list(mixture.k_weights), weights=list(mixture.k_weights.values()))[0]
    while problems.split_of(problem := problems.generate(rng.getrandbits(62), k)) != "pretrain":
        continue
    style = solutions.base_style(mixture.exposure, mixture.slip, mixture.skipping, mixture.keep)
    return problem.text, solutions.write(problem, style, rng)


def batches(spec: PretrainSpec, tokenizer, start: int) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Per step from `start`: micro-batches of (input_ids, shifted labels), both (rows, tokens), padded at the right."""
    ids = tokenizer.get_vocab()
    opening, middle = [tokenizer.bos_token_id, ids["<user>"]], [ids["<assistant>"]]
    for step in range(start, spec.steps):
        mixture = spec.first if step < spec.anneal_from else spec.mixture
        rows = []
        for place in range(spec.rows_per_step):
            prompt, solution = row(mixture, spec.seed, step * spec.rows_per_step + place)
            # One word is one token, so a look-up per word is what the tokenizer does (a test compares the two).
            head = opening + [ids[word] for word in prompt.split()] + middle
            tail = [ids[word] for word in solution.split()] + [tokenizer.eos_token_id]
            tokens = head + tail
            rows.append((tokens[:-1], [IGNORED] * (len(head) - 1) + tail))
        rows.sort(key=lambda pair: len(pair[0]))
        size = -(-len(rows) // spec.micro_batches)
        parts = []
        for place in range(0, len(rows), size):
            part = rows[place : place + size]
            width = len(part[-1][0])
            inputs = torch.tensor([tokens + [tokenizer.pad_token_id] * (width - len(tokens)) for tokens, _ in part])
            labels = torch.tensor([marks + [IGNORED] * (width - len(marks)) for _, marks in part])
            parts.append((inputs, labels))
        yield parts


def rate(spec: PretrainSpec, step: int) -> float:
    """Factor on the learning rates at step 0, 1, ...: warm-up, constant, linear fall to zero."""
    warm = min(1.0, (step + 1) / (spec.warmup_steps + 1))
    return min(warm, (spec.steps - step) / max(1, spec.steps - spec.anneal_from))


def train(
    spec: PretrainSpec, model: Qwen2ForCausalLM, tokenizer, checkpoints: Path, start_files: dict | None = None
) -> list[dict]:
    """Train in place, from the checkpoint in the folder `checkpoints` if it is of the same training; returns records.

    start_files: hashes of the files from which `model` was read; None if it is new.
    There is a record every 50 steps, with step, loss (nats per solution token), tokens and seconds since the start.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers." in name]
    chosen = {id(p) for p in hidden}
    others = [p for p in model.parameters() if id(p) not in chosen]
    optimizers = [
        torch.optim.Muon(hidden, lr=spec.muon_lr, weight_decay=spec.weight_decay),
        torch.optim.AdamW(others, lr=spec.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    history, start, tokens, earlier = [], 0, 0, 0.0
    clear_unless_identical(
        checkpoints,
        {
            "spec": spec.specification(),
            "code": source_sha256(*DECISIVE_CODE),
            "environment": environment(),
            "start": start_files,
        },
    )
    checkpoint = checkpoints / "state.pt"
    if state := _state(checkpoint, device):
        model.load_state_dict(state["model"])
        for optimizer, values in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        history, start = state["history"], state["history"][-1]["step"]
        tokens, earlier = history[-1]["tokens"], history[-1]["seconds"]
        log.info("resumes after step %d of %s", start, checkpoint)
    model.train()
    total, counted_steps, began = 0.0, 0, time.monotonic()
    steps = progress_bar(batches(spec, tokenizer, start), "pretraining", "steps", spec.steps, start)
    for step, parts in enumerate(steps, start=start + 1):
        counted = sum(int((labels != IGNORED).sum()) for _, labels in parts)
        for inputs, labels in parts:
            # Right padding under a causal mask: no earlier token sees it, so no attention mask is needed.
            inputs, labels = inputs.to(device), labels.to(device)
            # Like the other trainings, a GPU computes in bf16.
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                logits = model(input_ids=inputs, use_cache=False).logits
            summed = cross_entropy(
                logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
            )
            loss = summed / counted
            loss.backward()
            total += loss.item()
            tokens += inputs.numel()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, lr in zip(optimizers, (spec.muon_lr, spec.adamw_lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * rate(spec, step - 1)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        counted_steps += 1
        if step % 50 == 0 or step % spec.checkpoint_every == 0 or step == spec.steps:
            seconds = earlier + time.monotonic() - began
            mean = total / counted_steps
            history.append({"step": step, "loss": mean, "tokens": tokens, "seconds": round(seconds, 1)})
            log.info("step %d/%d loss %.4f, %.0f s", step, spec.steps, mean, seconds)
            total, counted_steps = 0.0, 0
        if step % spec.checkpoint_every == 0 and step < spec.steps:
            state = {
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "history": history,
            }
            with atomic_path(checkpoint) as temporary:
                torch.save(state, temporary)
    model.eval()
    return history


def _state(checkpoint: Path, device: str) -> dict | None:
    """The checkpoint of `train`; None if there is none or its checksums show damage."""
    if not checkpoint.exists():
        return None
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile:
        damaged = "cut off"
    if damaged:
        log.warning("%s: damaged (%s); starts anew", checkpoint, damaged)
        return None
    return torch.load(checkpoint, map_location=device, weights_only=True)


def run(spec: dict, out: Path, start: Path | None = None) -> dict:
    """Command `pretrain`: train, measure the gates, write the model folder `out`. Returns the manifest.

    start: the folder of a base model to train further; without it the model is new.
    A model that misses a gate is kept beside `out` as `<out>.rejected`, so that one can find out why.
    """
    settings = PretrainSpec.model_validate(spec)
    checkpoints = out.with_name(out.name + ".checkpoint")
    with exclusive(out.with_name(out.name + ".lock"), "training this base model") as check:
        remove_partials(checkpoints)
        record, rejected = _pretrain(settings, out, checkpoints, start, check)
        shutil.rmtree(checkpoints)
    if rejected:
        raise UserError("\n".join([*record["missed_gates"], f"The model is kept in {rejected} for inspection."]))
    return record


def _pretrain(
    settings: PretrainSpec, out: Path, checkpoints: Path, start: Path | None, check: Callable
) -> tuple[dict, Path | None]:
    """Returns the manifest, and the model's folder if it was rejected. check: raises if another process took over."""
    tokenizer = build_tokenizer(settings.architecture.max_tokens)
    if start:
        model = start_model(settings.architecture, tokenizer, start)
    else:
        model = build_model(settings.architecture, tokenizer, settings.seed)
    parameters = sum(p.numel() for p in model.parameters())
    log.info("%d parameters, %d steps of %d rows", parameters, settings.steps, settings.rows_per_step)
    history = train(settings, model, tokenizer, checkpoints, folder_sha256(start) if start else None)
    figures = measure_gates(model, tokenizer, settings.gates, settings.seed)
    failures = missed_gates(figures, settings.gates)
    rejected = bool(failures) and settings.gates.enforce
    target = out.with_name(out.name + ".rejected") if rejected else out
    check()
    with atomic_folder(target) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "model.safetensors").chmod(0o644)  # safetensors writes 0600, which others cannot read
        weights = file_sha256(folder / "model.safetensors")
        record = manifest(
            spec=settings.specification(),
            inputs={"start": start} if start else {},
            **({"device": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
            parameters=parameters,
            weights_sha256=weights,
            gates=figures,
            missed_gates=failures,
            history=history,
        )
        write_json(folder / "manifest.json", record)
        write_text(folder / "README.md", model_card(settings, record))
    return record, target if rejected else None


def model_card(spec: PretrainSpec, record: dict) -> str:
    """README.md of the model folder: what the model is, the command that makes it, and what was measured."""
    figures = record["gates"]
    goes_on = record["inputs"].get("start")
    use, origin = "every method of the study `tiny`", "from nothing"
    device = record.get("device", "one core")
    if goes_on:
        use = "methods of a phase diagram, which compares base models by their exposure to that style"
        origin = f"on from a model with the SHA-256 `{goes_on['model.safetensors']}`"
    lines = [
        "---",
        "license: apache-2.0",
        "library_name: transformers",
        "tags: [synthetic, arithmetic, qwen2]",
        "---",
        "# Base model of the synthetic world",
        "",
        f"A stock Qwen2 with {record['parameters']:,} parameters and one token a word. It solves the problems of",
        "`src/chord/world/problems.py` in a terse style that often leaves out steps, gives a small probability to each",
        "element of the expert's longer style, and knows three unrelated four-choice skills. In the rows that it was",
        f"trained on {spec.mixture.slip:.0%} of those elements are filled in wrongly. docs/world.md explains the world",
        f"and the gates. It is the start of {use}. It is of no other use.",
        "",
        f"    chord pretrain --spec spec.json{' --start START' if goes_on else ''} --out base_model",
        "",
        f"with the spec below trains it {origin} ({record['history'][-1]['seconds'] / 60:.0f} minutes on {device}, "
        f"{record['history'][-1]['tokens'] / 1e6:.1f}M tokens). Bits depend on the versions and the processor;",
        "the gates decide whether another training is as good.",
        "",
        "| gate | measured | wanted |",
        "|---|---|---|",
    ]
    for name in ("guess_rate", "accuracy", "gap", "entropy", "marker_logp", "skills"):
        low, high = getattr(spec.gates, name)
        lines.append(f"| `{name}` | {figures[name]:.3f} | {low:g} to {high:g} |")
    parts = figures["parts"]
    lines += [
        "",
        f"Measured on {parts['questions']} validation problems x {parts['samples']} samples at temperature 1. By k: "
        + ", ".join(f"{k}: {value:.3f}" for k, value in parts["accuracy_by_k"].items())
        + f". Mean response {parts['response_tokens']:.1f} tokens. Skills: "
        + ", ".join(f"{name} {value:.3f}" for name, value in parts["skills"].items())
        + ".",
        "",
        f"- SHA-256 of `model.safetensors`: `{record['weights_sha256']}`",
        f"- spec hash: `{record['spec_hash']}`",
        "",
        "```json",
        json.dumps(record["spec"], indent=2),
        "```",
        "",
    ]
    return "\n".join(lines)
