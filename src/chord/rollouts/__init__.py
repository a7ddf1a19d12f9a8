"""Completions from a model behind one small interface: prompts, one seed a completion and a decoding in, samples out.

A backend is one file with one class that satisfies `Engine` (`huggingface.py`, `vllm.py`, `server.py`) and one class of
settings (`backends.py`). Nothing here imports torch, so a configuration can hold a `Decoding` and scoring can read one
without loading a framework.
"""

from chord.rollouts.backends import Backend, HuggingFaceBackend
from chord.rollouts.chat import encode_prompts
from chord.rollouts.engine import Decoding, Engine, Sample, fixed_batches

__all__ = ["Backend", "Decoding", "Engine", "HuggingFaceBackend", "Sample", "encode_prompts", "fixed_batches"]
