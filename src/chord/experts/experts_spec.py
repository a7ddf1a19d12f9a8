"""What the command `experts` is told: where trajectories come from, and which of the right ones is kept. No torch."""

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


class ModelSource(Settings):
    """Samples of a model, judged by the row's task."""

    kind: Literal["model"] = "model"
    folder: str = Field(description="model folder, in a study relative to the repository root")
    samples: PositiveInt = Field(description="completions of a prompt")
    decoding: Decoding
    batch_rows: PositiveInt = Field(32, description="completions made together; a kill loses those of one such batch")
    backend: Annotated[Backend, Stated()] = HuggingFaceBackend()  # as of GenerateSpec

    @model_validator(mode="after")
    def _samples_differ(self) -> "ModelSource":
        self.decoding.refuse_copies("samples", self.samples)
        return self


class ServerSource(Endpoint):
    """Answers of a model that somebody serves (OpenAI's chat API), judged by the row's task."""

    kind: Literal["server"] = "server"
    samples: PositiveInt = Field(description="completions of a prompt")
    decoding: Decoding
    batch_rows: PositiveInt = Field(128, description="completions made together; a kill loses those of one such batch")

    @model_validator(mode="after")
    def _samples_differ(self) -> "ServerSource":
        self.decoding.refuse_copies("samples", self.samples)
        return self


class DatasetSource(Place):
    """Generations that a dataset carries, with the dataset's own verdict.

    They serve prompts that `prepare` took from the same dataset.
    """

    kind: Literal["dataset"] = "dataset"
    format: Literal["openr1", "messages", "answers"] = Field(
        default="openr1",
        description="openr1: a problem's generations that correctness_math_verify has as right; messages: the last "
        "message of the assistant; answers: reasoning and answer to a question. The last two are right because the "
        "dataset has them",
    )
    messages: Annotated[str, Needs("has_messages", "format: messages")] = Field(
        default="messages", description="column of the format `messages`"
    )
    question: OfAnswers = Field(default="question", description="column of the format `answers`")
    thinking: OfAnswers = Field(default="thinking", description="column of the format `answers`")
    answer: OfAnswers = Field(default="answer", description="column of the format `answers`")
    files: tuple[str, ...] = Field(
        default=(), description="which of its files, as in data/train-*; of a local folder all when not given"
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


Source = Annotated[SolverSource | ModelSource | ServerSource | DatasetSource, Field(discriminator="kind")]


class ExpertsSpec(Settings):
    seed: NonNegativeInt
    source: Annotated[Source, Stated()] = SolverSource()  # the rules look where the rows are
    choose: Literal["random", "first", "shortest"] = Field(
        "first", description="which of several right trajectories is kept (paper, maths: random); ties go to the first"
    )
    max_response_tokens: PositiveInt = Field(
        description="longer ones are rejected; with the end token, in the policy's tokenizer (paper, maths: 8,196)"
    )
