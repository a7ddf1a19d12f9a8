"""The columns of curves.csv, one line a step, and what they mean (docs/files.md). Imports nothing."""

# Counts are those of one step.
MEANINGS = {
    "step": "optimizer steps done, from 1; row 0 has the validation of the start model",
    "epoch": "passes over the stage's training rows",
    "mu": "weight of the expert term, a_ex / (a_rl + a_ex)",
    "a_rl": "weight of the RL term",
    "a_ex": "weight of the expert term",
    "rl_loss": "the RL term, before it is multiplied by a_rl",
    "expert_loss": "the expert term, before it is multiplied by a_ex",
    "reward_mean": "mean of the rollouts' rewards",
    "reward_std": "their standard deviation",
    "zero_variance_groups": "share of groups whose rewards are all equal",
    "entropy": "of the sampling policy, nats per token",
    "token_weight_mean": "mean token weight over the step's expert tokens",
    "expert_nll": "mean of -log p over the step's expert tokens",
    "held_out_nll": "mean of -log p over the tokens of the held-out expert rows, before the step (schedule `plateau`)",
    "response_tokens_mean": "mean length of the rollouts",
    "truncated": "share of rollouts without an end token",
    "grad_norm": "norm of the gradient before clipping",
    "rl_grad_norm": "norm of the gradient of L_rl, before a_rl (schedules `gradient_norms`, `gradient_noise`)",
    "expert_grad_norm": "norm of the gradient of L_ex, before a_ex; likewise",
    "grad_dot": "dot product of these two gradients; likewise",
    "rl_grad_variance": "estimate of E of the squared norm of g - E g, of L_rl (schedule `gradient_noise`)",
    "expert_grad_variance": "the same of L_ex",
    "lr": "learning rate",
    "rollouts": "number of rollouts",
    "expert_rows": "number of expert rows",
    "expert_tokens": "number of their response tokens",
    "train_tokens": "prompt and response tokens of rows with a gradient; a shared prompt counts for each of its rows",
    "validation_accuracy": "share of correct samples on the validation rows",
    "validation_response_tokens": "mean length of these samples",
    "generate_seconds": "sampling, a part of `step_seconds`",
    "score_seconds": "judging rollouts, a part of `step_seconds`",
    "weigh_seconds": "token weights that need the whole expert batch, and `held_out_nll`; a part of `step_seconds`",
    "backward_seconds": "forward and backward passes, a part of `step_seconds`",
    "step_seconds": "from rollouts to update",
    "validation_seconds": "validation, beside `step_seconds`",
}
# If an engine with weights of its own samples (chord.training.scale.sync).
SYNC_MEANINGS = {
    "parity_mean": "difference of trainer and engine on fixed texts, in nats: mean over all syncs of the step",
    "parity_max": "the largest such difference",
    "rollout_drift": "the same on the step's rollouts: mean, over the tokens that are trained on, of the difference "
    "between the log p at which the engine drew and the trainer's",
    "sync_seconds": "transfer and comparison; part of `generate_seconds` or `validation_seconds`",
}
# If rollouts are corrected for the engine's drift. The means are over the tokens that are trained on, in every mode.
CORRECTION_MEANINGS = {
    "importance_weight_mean": "mean weight of these tokens, after truncation or masking",
    "importance_clipped": "share of these tokens whose ratio, or whose response's, was beyond a limit",
}
# If a part of the objective reads a frozen model.
FROZEN_MEANINGS = {
    "frozen_tokens": "prompt and response tokens that are read without gradient",
    "teacher_gap": "mean of log p - log p_teacher over the tokens of rollouts",
}
COLUMNS, SYNC_COLUMNS, CORRECTION_COLUMNS, FROZEN_COLUMNS = map(
    tuple, (MEANINGS, SYNC_MEANINGS, CORRECTION_MEANINGS, FROZEN_MEANINGS)
)
# Measured in time: the only columns that differ between a resumed and a straight run.
CLOCK = tuple(column for column in (*COLUMNS, *SYNC_COLUMNS) if column.endswith("_seconds"))
