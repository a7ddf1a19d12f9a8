"""What the command `start_gates` is told. Imports no torch."""

from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from chord.rollouts import Backend, Decoding, HuggingFaceBackend
from chord.settings import Settings, Stated


def _check_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"expected the lower bound first, got {list(bounds)}")
    return bounds


Bounds = Annotated[tuple[float, float], AfterValidator(_check_order)]


class StartGates(Settings):
    """Bounds that a primed model must meet for the study to be meaningful, and how many samples measure it.

    Neither is about the result of a method.
    """

    enforce: bool = Field(True, description="a missed gate ends the command with an error")
    samples: Annotated[int, Field(ge=2)] = Field(8, description="completions of a validation prompt")
    accuracy: Bounds = Field((0.15, 0.35), description="avg@samples")
    gap: Bounds = Field((0.20, 1.0), description="pass@samples - avg@samples: what RL can find by itself")


class StartGatesSpec(Settings):
    """Gates of a primed model, measured on the validation prompts."""

    study_seed: NonNegativeInt
    gates: StartGates = StartGates()
    decoding: Decoding
    batch_rows: PositiveInt = Field(description="completions sampled at a time")
    backend: Annotated[Backend, Stated()] = HuggingFaceBackend()  # stated for the same reason as in GenerateSpec
