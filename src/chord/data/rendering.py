"""From a dataset's question to a row: the task's own words around it, and the question itself for comparisons."""

from chord.tasks import find_task


def render(task: str, *content: object) -> list[dict[str, str]]:
    """The chat messages of a task's prompt; content: what its `render` takes."""
    return find_task(task).render(*content)


def row(row_id: str, messages: list[dict], gold: str, task: str, group: str, question: str, **meta: object) -> dict:
    """A row in the format of docs/architecture.md.

    meta.question is the dataset's own text, without the words of the task: what makes two rows the same question.
    """
    meta = {"question": question, **meta}
    return {"id": row_id, "messages": messages, "gold": gold, "task": task, "group": group, "meta": meta}


def user_text(messages: list[dict]) -> str:
    return "\n".join(message["content"] for message in messages if message["role"] == "user")


def question_of(row: dict) -> str:
    """What a test question is compared by; rows of the world and its skills have nothing but their messages."""
    return row["meta"].get("question") or row["messages"][-1]["content"]
