"""What the command `generate` is told. Imports no torch."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from chord.rollouts import Backend, Decoding, HuggingFaceBackend
from chord.settings import Settings, Stated

Text = Annotated[str, Field(min_length=1)]


class GenerateSpec(Settings):
    """The answers of one run to one benchmark."""

    study_seed: NonNegativeInt
    seed_index: NonNegativeInt
    method: Text = Field(description="names the run; the noise is the same for all methods")
    benchmark: Text
    k: PositiveInt = Field(description="samples of each question")
    decoding: Decoding
    batch_rows: PositiveInt = Field(description="completions sampled at a time")
    backend: Annotated[Backend, Stated()] = HuggingFaceBackend()  # whose settings may change the time alone
