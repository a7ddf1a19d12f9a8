"""The specification of the command `experts`: the source and the choice of trajectories. It imports no torch."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from chord.data.rows_spec import Place
from chord.rollouts import Backend, Decoding, HuggingFaceBackend
from chord.rollouts.backends import Endpoint
from chord.settings import Needs, Settings, Stated

OfAnswers = Annotated[str, Needs("has_answers", "format: answers")]


class SolverSource(Settings):
    """The exact solver of the world, in the expert's style."""

    kind: Literal["solver"] = "solver"


class OfficialSource(Settings):
    """The official answers of BFCL, written out by rule (`chord.experts.written_calls`)."""

    kind: Literal["official"] = "official"
    style: Literal["reasoned", "terse"] = Field(
        default="reasoned", description="reasoned: a reasoning by rule, then the calls; terse: the calls alone"
    )


class Sampled(Settings):
    """Completions of a model, judged by the row's task."""

    samples: PositiveInt = Field(description="completions for each prompt")
    decoding: Decoding

    @model_validator(mode="after")
    def _samples_differ(self) -> "Sampled":
        self.decoding.refuse_copies("samples", self.samples)
        return self


class ModelSource(Sampled):
    """Samples of a model folder."""

    kind: Literal["model"] = "model"
    folder: str = Field(description="model folder, in a study relative to the repository root")
    batch_rows: PositiveInt = Field(32, description="completions in a batch; a killed job loses at most one batch")
    backend: Annotated[Backend, Stated()] = HuggingFaceBackend()  # stated for the same reason as in GenerateSpec


class ServerSource(Sampled, Endpoint):
    """Answers of a served model (OpenAI's chat API)."""

    kind: Literal["server"] = "server"
    batch_rows: PositiveInt = Field(128, description="completions in a batch; a killed job loses at most one batch")


class DatasetSource(Place):
    """Generations in a dataset, with the dataset's own verdicts.

    They serve prompts that `prepare` took from the same dataset.
    """

    kind: Literal["dataset"] = "dataset"
    format: Literal["openr1", "messages", "answers"] = Field(
        default="openr1",
        description="openr1: a problem's generations that are correct by correctness_math_verify; messages: the last "
        "message of the assistant; answers: reasoning and answer to a question. Those of the last two formats count as "
        "correct",
    )
    messages: Annotated[str, Needs("has_messages", "format: messages")] = Field(
        default="messages", description="column of the format `messages`"
    )
    question: OfAnswers = Field(default="question", description="column of the format `answers`")
    thinking: OfAnswers = Field(default="thinking", description="column of the format `answers`")
    answer: OfAnswers = Field(default="answer", description="column of the format `answers`")
    files: tuple[str, ...] = Field(
        default=(), description="patterns of the files to read, as in data/train-*; empty: all files of a local folder"
    )

    @property
    def has_messages(self) -> bool:
        return self.format == "messages"

    @property
    def has_answers(self) -> bool:
        return self.format == "answers"

    @property
    def globs(self) -> tuple[str, ...]:
        return self.files

    @model_validator(mode="after")
    def _names_files_of_the_hub(self) -> "DatasetSource":
        if self.folder is None and not self.files:
            raise ValueError("files: missing; expected which files of the dataset, as in data/train-*")
        return self


Source = Annotated[
    SolverSource | OfficialSource | ModelSource | ServerSource | DatasetSource, Field(discriminator="kind")
]


class ExpertsSpec(Settings):
    seed: NonNegativeInt
    source: Annotated[Source, Stated()] = SolverSource()  # rules read it
    choose: Literal["random", "first", "shortest"] = Field(
        "first", description="choice among correct trajectories (paper, maths: random); ties go to the first"
    )
    max_response_tokens: PositiveInt = Field(
        description="longer ones are rejected; in the policy's tokenizer, with the end token (paper, maths: 8,196)"
    )
