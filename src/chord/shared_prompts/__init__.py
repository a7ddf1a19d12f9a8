"""Log-probabilities of responses that share prompts, each prompt computed once; of use without the rest of chord."""

from chord.shared_prompts.model import response_values, share_prompts, shared_prompt_logps

__all__ = ["response_values", "share_prompts", "shared_prompt_logps"]
