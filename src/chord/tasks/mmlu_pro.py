"""Task `mmlu_pro`: the number of the right option in `\\boxed{}`, as in the paper (arXiv 2508.11408, section 4.1).

The paper asks for the option's integer under the system message of its mathematics and does not publish the text: the
last sentence of ours, and the layout of the question, are our own. Options count from 0, as `answer_index` of the
dataset does, and the prompt shows these numbers.
"""

from chord.tasks.choice_extraction import answer_part, boxed, number
from chord.tasks.verdict import Verdict, judge

SYSTEM = (
    "You are a helpful assistant that solves MATH problems. You should first thinks about the reasoning process in "
    "mind and then provides the user with the answer. You should present your reasoning process using the format: "
    "<think>\n ...your reasoning process here... </think>\n first. You should always include your final answer in "
    "\\boxed{} as the integer of the right option."
)


def messages(question: str, options: list[str]) -> list[dict]:
    """options: texts in the dataset's order; the prompt numbers them from 0."""
    lines = [f"{position}. {option}" for position, option in enumerate(options)]
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "\n".join([question, "", "Options:", *lines])},
    ]


def extract(text: str, options: list[str]) -> int | None:
    """Number in the last `\\boxed{}` after the thinking; None where it is not the integer of an option."""
    contents = boxed(answer_part(text))
    chosen = number(contents[-1]) if contents else None
    return chosen if chosen is not None and chosen < len(options) else None


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    chosen = extract(text, row["meta"]["options"])
    return judge(None if chosen is None else str(chosen), row["gold"], truncated)
