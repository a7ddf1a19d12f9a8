"""Measures the peak memory of log-probabilities: as training computes them, and from the complete logits tensor.

    OMP_NUM_THREADS=1 python -m benchmarks.logprobs

Each line is a separate process: one forward and backward pass over one row of random tokens, with the vocabulary of
Qwen2.5 and a model so small (one layer, hidden size 64) that the output layer dominates. `whole logits` is log_softmax
over all logits and gather; `training` is TRL's head, which both stages use. Memory is the resident peak minus what was
resident before the pass. The last line compares log-probabilities and gradients of the two.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from trl.trainer.utils import add_fused_lm_head

VOCABULARY, HIDDEN = 151_936, 64
SIZES = {"whole logits": (512, 1024, 2048), "training": (512, 1024, 2048, 4096, 8192, 16384)}
GIB = 2**30


def small_model(vocabulary: int, tokens: int) -> PreTrainedModel:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=tokens,
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    model = Qwen2ForCausalLM(config)
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))  # all that a stage asks for
    return model


def whole_logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The log-probability of each token except the first, (1, tokens - 1)."""
    return model(input_ids=ids).logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)


def training(model: PreTrainedModel, ids: Tensor) -> Tensor:
    return model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs


WAYS: dict[str, Callable] = {"whole logits": whole_logits, "training": training}


def gradients(way: str, model: PreTrainedModel, tokens: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the log-probabilities of random tokens, and the gradient of their mean for each parameter."""
    ids = torch.randint(0, model.config.vocab_size, (1, tokens), generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    logp = WAYS[way](model, ids)
    logp.mean().backward()
    return logp.detach(), {name: weight.grad for name, weight in model.named_parameters()}


def differences(vocabulary: int, tokens: int) -> tuple[float, float]:
    """The largest difference of the two ways: in a log-probability, and in a gradient relative to its largest entry."""
    model = small_model(vocabulary, tokens)
    (logp, grads), (other, others) = (gradients(way, model, tokens) for way in WAYS)
    relative = [((grads[name] - others[name]).abs().max() / grads[name].abs().max()).item() for name in grads]
    return (logp - other).abs().max().item(), max(relative)


def peak(way: str, vocabulary: int, tokens: int) -> int:
    """The bytes of one pass in this process, whose earlier peak must not have been higher."""
    gradients(way, small_model(64, 64), 64)  # the first pass loads things that have nothing to do with the logits
    model = small_model(vocabulary, tokens)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    before = pages * resource.getpagesize()
    gradients(way, model, tokens)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def peak_in_a_process(way: str, vocabulary: int, tokens: int) -> int:
    command = [sys.executable, "-m", "benchmarks.logprobs", "--peak", way, "--tokens", str(tokens)]
    command += ["--vocabulary", str(vocabulary)]
    process = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    return int(process.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--peak", choices=WAYS, help="print only the peak of this way in bytes, for --tokens")
    parser.add_argument("--tokens", type=int)
    options = parser.parse_args()
    if options.peak:
        print(peak(options.peak, options.vocabulary, options.tokens))
        return
    print(f"{'':14} {'tokens':>7} {'one logits tensor':>18} {'peak':>9}   of that tensor")
    for way, sizes in SIZES.items():
        for tokens in sizes:
            logits, peak_bytes = 4 * tokens * options.vocabulary, peak_in_a_process(way, options.vocabulary, tokens)
            sizes_text = f"{logits / GIB:14.2f} GiB {peak_bytes / GIB:5.2f} GiB {peak_bytes / logits:8.2f}"
            print(f"{way:14} {tokens:7,} {sizes_text}", flush=True)
    logp, gradient = differences(options.vocabulary, 512)
    print(f"largest difference: log-probability {logp:.1e}, gradient {gradient:.1e} of its largest entry")


if __name__ == "__main__":
    main()
