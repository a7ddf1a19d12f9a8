"""Measures how far bf16 linear layers (`scale.precision: bf16` on a CPU) move log-probabilities and gradients.

    OMP_NUM_THREADS=1 python -m benchmarks.precision --model FOLDER

The text is that of docs/glossary.md in pieces of 128 tokens, each a prompt of 32 and a response of 96. Weights are fp32
in both cases, and so are attention and norms. Time is CPU seconds of a forward and backward pass; bf16 is faster only
where the CPU has instructions for it.
"""

import argparse
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.utils import add_fused_lm_head

from chord.shared_prompts import response_values, share_prompts

TEXT = Path(__file__).parents[1] / "docs" / "glossary.md"
PIECES, LENGTH, PROMPT = 8, 128, 32


def measure(folder: str, bf16: bool) -> tuple[torch.Tensor, list[torch.Tensor], float]:
    """(log-probabilities, gradients as vectors, CPU seconds of the passes of the first gradient).

    The gradients are of the mean log-probability, as in SFT, and with every second response counted as wrong, as in a
    policy gradient, where most of the two halves cancels.
    """
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    if reason := share_prompts(model):
        raise SystemExit(f"{folder}: {reason}")
    ids = AutoTokenizer.from_pretrained(folder)(TEXT.read_text(encoding="utf-8"))["input_ids"]
    pieces = [ids[start : start + LENGTH] for start in range(0, PIECES * LENGTH, LENGTH)]
    pairs = [(piece[:PROMPT], piece[PROMPT:]) for piece in pieces]
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
        logp, _ = response_values(model, pairs, torch.device("cpu"))
    gradients = [gradient(logp.mean(), model)]
    seconds = time.process_time() - began
    advantages = torch.tensor([1.0, -1.0]).repeat(PIECES // 2)
    return logp.detach(), [*gradients, gradient((advantages[:, None] * logp).mean(), model)], seconds


def gradient(loss: torch.Tensor, model: torch.nn.Module) -> torch.Tensor:
    parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/world-base", help="folder of a causal language model")
    folder = parser.parse_args().model
    torch.set_num_threads(1)
    logp, exact, seconds = measure(folder, bf16=False)
    other, rounded, other_seconds = measure(folder, bf16=True)
    difference = (other - logp).abs()
    print(f"tokens {logp.numel()}, mean log-probability {logp.mean():.3f} nats in fp32")
    print(f"difference of log-probabilities: mean {difference.mean():.4f}, largest {difference.max():.4f} nats")
    for name, one, two in zip(("SFT", "policy"), exact, rounded, strict=True):
        cosine = torch.nn.functional.cosine_similarity(one.double(), two.double(), dim=0).item()
        print(f"{name} gradient: cosine {cosine:.5f}, norm {two.norm() / one.norm():.4f} of that in fp32")
    print(f"forward and backward pass: {seconds:.2f} s in fp32, {other_seconds:.2f} s in bf16")


if __name__ == "__main__":
    main()
