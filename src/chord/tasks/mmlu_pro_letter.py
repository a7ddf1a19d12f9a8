"""Task `mmlu_pro_letter`: MMLU-Pro as it is commonly asked, with lettered options and "The answer is (X)" at the end.

After TIGER-AI-Lab/MMLU-Pro, evaluate_from_api.py and its form without examples. The prompt leaves the subject out, and
where that code takes the last capital letter of the text, or a random option, we find no answer.
"""

from chord.tasks.choice_extraction import LETTERS, answer_part, letter, stated
from chord.tasks.verdict import Verdict, judge

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
    """Position of the last letter after "answer is" or "Answer:", else of a letter alone on the last line.

    None where neither is there, or where no option has this letter.
    """
    part = answer_part(text).strip()
    positions = stated(part)
    chosen = positions[-1] if positions else letter(part.rpartition("\n")[2])
    return chosen if chosen is not None and chosen < len(options) else None


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    chosen = extract(text, row["meta"]["options"])
    return judge(None if chosen is None else str(chosen), row["gold"], truncated)
