"""What a schedule may know of the earlier steps, from the log of the run."""

from chord.objectives import Gradients, RunStatistics


def run_statistics(log: list[dict], draw: float) -> RunStatistics:
    """Statistics before a step. log: a line for each earlier step. draw: see `RunStatistics`."""
    return RunStatistics(
        sft_norms=[line["grad_norm"] for line in log if line.get("a_rl") == 0.0],
        draw=draw,
        mus=[line["mu"] for line in log if "mu" in line],
        losses=[
            (line["reward_mean"], line["expert_loss"]) for line in log if {"reward_mean", "expert_loss"} <= line.keys()
        ],
        past_gradients=[
            Gradients(*(line.get(name) for name in Gradients._fields)) for line in log if "grad_dot" in line
        ],
        held_out_nlls=[line["held_out_nll"] for line in log if "held_out_nll" in line],
    )
