"""Every random number of the project comes from here: a hash of names, never the clock, batch order or worker count."""

import hashlib

MAX_SEED = 2**63 - 1


def derive_seed(*parts: int | str) -> int:
    """Map (study seed, seed index, purpose, index, ...) to an integer in [0, 2**63).

    The method is never among the parts, so seed 3 of every method sees the same prompts and the same noise
    (common random numbers), which is what makes the differences between methods paired.

    >>> derive_seed(1, "rollout", 7) == derive_seed(1, "rollout", 7) != derive_seed(1, "rollout", 8)
    True
    """
    # The type is part of the text: 1 and "1" are different names.
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") & MAX_SEED
