"""Fixed batches: which prompts share a forward pass is decided by the list of prompts, never by who computes it."""


def fixed_batches(prompt_ids: list[list[int]], batch_size: int) -> list[list[int]]:
    """Cut the indices of `prompt_ids` into batches of prompts of about equal length.

    The last bits of a logit depend on the shape of the batch (other kernels, another order of sums). Batches that are a
    function of the input list only make results bit-equal for any number of workers. Longest prompts come first, so
    that a batch that does not fit into memory fails at once and not after an hour.
    """
    order = sorted(range(len(prompt_ids)), key=lambda index: -len(prompt_ids[index]))  # stable: ties keep their order
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
