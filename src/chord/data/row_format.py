"""Makes rows, decides whether two rows ask the same question, and refuses invalid files of rows."""

from collections.abc import Iterable, Mapping, Sequence

from chord.errors import UserError
from chord.tasks import find_task
from chord.world import problems

# Key -> meaning (docs/files.md).
KEYS = {
    "id": "unique in its file and stable over runs (`rl-000012`); the noise of samples and the pairing of methods "
    "depend on it",
    "messages": 'chat messages before the answer: `[{"role": "user", "content": "..."}]`',
    "gold": "reference answer (a string; for tools JSON text)",
    "task": "name of the task that judges it: `world`, `choice`, `mmlu_pro`, `tool_call`, `bfcl`, `rubric`, ... "
    "([benchmarks.md](benchmarks.md))",
    "group": "part of a benchmark that a table shows as a column (`T1`, a subject, a category)",
    "meta": "free object (difficulty, source row, ...); of a dataset's row `question` is the dataset's own text",
}
# The further keys of expert rows.
EXPERT_KEYS = {
    "response": "the expert's text",
    "tokens": "length of the response with its end token, in the policy's tokenizer",
    "source": "`solver`, `official`, `model`, `server` or `dataset`",
    "verdict": "`reward`, `correct`, `parsed` and `reason`, as in `scores.parquet`",
}


def render(task: str, *content: object) -> list[dict[str, str]]:
    """The chat messages of a task's prompt. content: the arguments of the task's `render`."""
    return find_task(task).render(*content)


def row(row_id: str, messages: list[dict], gold: str, task: str, group: str, question: str, **meta: object) -> dict:
    """A row with KEYS.

    meta.question is the dataset's own text, without the words of the task; it decides whether two rows are the same.
    """
    meta = {"question": question, **meta}
    return {"id": row_id, "messages": messages, "gold": gold, "task": task, "group": group, "meta": meta}


def user_text(messages: list[dict]) -> str:
    return "\n".join(message["content"] for message in messages if message["role"] == "user")


def question_of(row: dict) -> str:
    """The text by which questions are compared; rows of the world and its skills only have their messages."""
    return row["meta"].get("question") or row["messages"][-1]["content"]


def identity(row: dict) -> str:
    """Equal for rows with the same question: the canonical problem of the world, or else the normalised messages."""
    if row["task"] == "world":
        return problems.parse(row["messages"][-1]["content"]).canonical
    return " ".join(" ".join(message["content"] for message in row["messages"]).casefold().split())


def check_ids(rows: Iterable[dict], shown: str) -> None:
    """Refuse rows with missing or unknown keys or a repeated id; the error names the first one."""
    ids: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if set(row) != set(KEYS):
            wrong = ", ".join(sorted(set(row) ^ set(KEYS)))
            raise UserError(f"{shown}:{number}: missing or unknown keys: {wrong}")
        if row["id"] in ids:
            raise UserError(f"{shown}:{number}: row {ids[row['id']]} already has the id {row['id']!r}")
        ids[row["id"]] = number


def check_rows(rows: Sequence[dict], shown: str) -> None:
    """Like `check_ids`, and refuse repeated questions."""
    check_ids(rows, shown)
    questions: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        question = identity(row)
        if question in questions:
            raise UserError(f"{shown}:{number}: row {row['id']!r} repeats the question of {questions[question]!r}")
        questions[question] = row["id"]


def check_disjoint(splits: Mapping[str, Iterable[dict]]) -> None:
    """Refuse a question that is in two splits."""
    places: dict[str, tuple[str, str]] = {}
    for name, rows in splits.items():
        for row in rows:
            question = identity(row)
            if places.setdefault(question, (name, row["id"]))[0] != name:
                other, other_id = places[question]
                raise UserError(
                    f"{name}: row {row['id']!r} is also row {other_id!r} of {other}; splits must not overlap"
                )
