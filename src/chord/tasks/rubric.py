"""Task `rubric`: a judge model says which criteria a free answer meets, and their weights make the reward.

For the paper's RaR-Medicine (appendix B.4), whose judge prompt is not published: instruction and criteria texts
around it are ours. The sum is the explicit aggregation of "Rubrics as Rewards" (arXiv 2507.17746): each criterion is
judged on its own. (Trinity-RFT's `rubric_judge_workflow` has the judge rate all criteria at once, the implicit form
of that paper.)
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from chord.errors import UserError
from chord.io.provenance import json_hash
from chord.tasks import judge
from chord.tasks.task import Item, Task, Verdict, answer_part

INSTRUCTION = (
    "You judge whether the response to a question meets one criterion. Judge this criterion only, by what the response "
    "says, and take no side in anything else. Answer with one word: YES if the response meets the criterion, NO if it "
    "does not."
)
ASKED = (
    "<question>\n{question}\n</question>\n\n<response>\n{response}\n</response>\n\n"
    "<criterion>\n{criterion}\n</criterion>"
)


def render(question: str) -> list[dict]:
    """The bare question: the paper's prompt of this task is not known."""
    return [{"role": "user", "content": question}]


def record() -> dict:
    """What scores of this task hang on beside the code: the judge's name and a hash of everything it is told."""
    return {"judge_model": judge.model(), "judge_prompt_hash": json_hash([INSTRUCTION, ASKED, judge.AGAIN])}


def check(row: dict) -> None:
    """UserError where there is no rubric, or none that could be met."""
    _rubric(row)


def judge_one(row: dict, text: str, truncated: bool) -> Verdict:
    (verdict,) = judge_many([(row, text, truncated)])
    return verdict


def judge_many(items: Iterable[Item]) -> Iterator[Verdict]:
    """Verdicts on many (row, text, truncated), in order, with many requests under way.

    `meta.rubric` of a row: list of `{description, weight}`. reward: sum of the weights of criteria that are met over
    the sum of the positive weights, within 0 and 1; a criterion of negative weight names a fault. correct: reward 1.
    Only what follows the thinking is judged; where nothing does, the reward is 0 and no one is asked.
    """
    items = [(_rubric(row), row, answer_part(text).strip(), truncated) for row, text, truncated in items]
    questions = (
        _question(row, response, criterion) for rubric, row, response, _ in items if response for criterion in rubric
    )
    with closing(judge.answers(questions)) as met:
        for rubric, _, response, truncated in items:
            if response:
                reward = aggregate([item["weight"] for item in rubric], list(islice(met, len(rubric))))
                reason = "correct" if reward == 1.0 else "partial" if reward else "wrong"
                yield Verdict(reward, reward == 1.0, True, reason)
            else:
                yield Verdict(0.0, False, False, "truncated" if truncated else "unparsed")


def aggregate(weights: list[float], met: list[bool]) -> float:
    """sum(w of met criteria) / sum(w > 0), within 0 and 1."""
    earned = sum(weight for weight, is_met in zip(weights, met, strict=True) if is_met)
    return min(1.0, max(0.0, earned / sum(weight for weight in weights if weight > 0)))


def _rubric(row: dict) -> list[dict]:
    rubric = row["meta"].get("rubric")
    readable = isinstance(rubric, list) and all(map(is_criterion, rubric))
    if not (readable and any(item["weight"] > 0 for item in rubric)):
        raise UserError(
            f"row {row['id']!r}: meta.rubric: expected a list of {{description: text, weight: number}}, "
            "at least one weight above 0"
        )
    return rubric


def is_criterion(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    return isinstance(item.get("description"), str) and type(item.get("weight")) in (int, float)


def _question(row: dict, response: str, criterion: dict) -> list[dict]:
    question = row["messages"][-1]["content"]
    return [
        {"role": "system", "content": INSTRUCTION},
        {
            "role": "user",
            "content": ASKED.format(question=question, response=response, criterion=criterion["description"]),
        },
    ]


RUBRIC = Task(
    "rubric",
    judge_one,
    render,
    judge_many=judge_many,
    check=check,
    record=record,
    code=("tasks/rubric.py", "tasks/judge.py"),
)
