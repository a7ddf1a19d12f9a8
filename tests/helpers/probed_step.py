"""The step that `chord probe` takes, and its two pure gradients written out row by row."""

import torch
from torch import Tensor

from chord.io.seeds import derive_seed
from chord.probe.fixed_batch import EXPERTS, PROMPTS, ROLLOUTS, FixedBatch, random_model
from chord.probe.own_step import probe_spec
from chord.rollouts import encode_prompts
from chord.tasks import verdict
from chord.training.sequences import encode_experts, row_order
from chord.training.train_spec import TrainSpec
from tests.helpers.small_training import SEED_PARTS, VALIDATION, hybrid_stage


def probed(**changes) -> TrainSpec:
    """The job of a hybrid stage with these changes, with the batch of a probe."""
    parts = {"stage": hybrid_stage(**changes), "validation": VALIDATION, "save_every": 100}
    return probe_spec(TrainSpec.model_validate({"study_seed": SEED_PARTS[0], "seed_index": SEED_PARTS[1], **parts}))


def written_out(micro_batches: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The gradients of L_rl and of L_ex with phi: the mean over micro-batches of the mean over their tokens.

    With one micro-batch this is the mean over all tokens of the term. From whole logits, by autograd.
    """
    model, tokenizer = random_model()
    batch = FixedBatch(tokenizer)
    rollouts, experts = [], []  # (prompt, response, advantage) of each row
    for i in row_order(PROMPTS, PROMPTS, derive_seed(*SEED_PARTS, "prompt order")):
        prompt = encode_prompts(tokenizer, [batch.prompts[i]])[0]
        samples = [sample.token_ids for sample in batch.generate([prompt] * ROLLOUTS, [0] * ROLLOUTS, None)]
        texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in samples]
        rewards = torch.tensor([verdict(batch.prompts[i], text, False).reward for text in texts])
        advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
        rollouts += [(prompt, ids, a) for ids, a in zip(samples, advantages, strict=True)]
    encoded = encode_experts(tokenizer, batch.experts)
    for i in row_order(EXPERTS, EXPERTS, derive_seed(*SEED_PARTS, "expert order")):
        experts.append((encoded[i].prompt_ids, encoded[i].response_ids, None))

    def token_losses(prompt: list[int], response: list[int], advantage: Tensor | None) -> Tensor:
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        logp = logits[torch.arange(len(response)), torch.tensor(response)]
        p = logp.detach().exp()
        return -(p * (1 - p)) * logp if advantage is None else -advantage * logp

    found = []
    for rows in (rollouts, experts):
        model.zero_grad()
        size = len(rows) // micro_batches
        for first in range(0, len(rows), size):
            losses = torch.cat([token_losses(*row) for row in rows[first : first + size]])
            (losses.mean() / micro_batches).backward()
        found.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    return found[0], found[1]


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Norm of the difference over the norm of the second."""
    norm = sum(part.double().square().sum() for part in other.values()) ** 0.5
    return float(sum((one[name] - other[name]).double().square().sum() for name in other) ** 0.5 / norm)
