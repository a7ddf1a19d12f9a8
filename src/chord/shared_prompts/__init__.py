"""Log-probabilities of responses that share prompts, each prompt computed once; of use without the rest of chord."""

from chord.shared_prompts.model import PackedBatch, response_values, share_prompts, shared_prompt_logps

__all__ = ["PackedBatch", "response_values", "share_prompts", "shared_prompt_logps"]
