"""Task `mmlu_pro_letter`: MMLU-Pro as it is commonly asked, with lettered options and "The answer is (X)" at the end.

After TIGER-AI-Lab/MMLU-Pro, evaluate_from_api.py and its form without examples. The prompt leaves the subject out, and
where that code takes the last capital letter of the text, or a random option, we find no answer. What its own
extraction gives is in `mmlu_pro_official`.
"""

from chord.tasks import choice_extraction
from chord.tasks.verdict import Verdict, judge

LETTERS = choice_extraction.LETTERS[:10]  # MMLU-Pro has at most ten options
INSTRUCTION = (
    "The following is a multiple choice question (with answer). Think step by step and then output the answer in the "
    'format of "The answer is (X)" at the end.'
)


def messages(question: str, options: list[str]) -> list[dict]:
    """options: up to ten texts in the dataset's order; the prompt letters them from A."""
    lines = [f"{name}. {option}" for name, option in zip(LETTERS[: len(options)], options, strict=True)]
    content = "\n".join([INSTRUCTION, "", f"Question: {question}", f"Options: {lines[0]}", *lines[1:], "Answer: "])
    return [{"role": "user", "content": content}]


def extract(text: str, options: list[str]) -> int | None:
    """Position of the option that the response states, by the rules of `choice_extraction`; a number is none."""
    return choice_extraction.extract(text, options, numbers=False)[0]


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    chosen = extract(text, row["meta"]["options"])
    return judge(None if chosen is None else str(chosen), row["gold"], truncated)
