"""MMLU-Pro as the paper asks it (`mmlu_pro`), and as it is commonly asked (`mmlu_pro_letter`).

`mmlu_pro`: the integer of the right option in `\\boxed{}` (arXiv 2508.11408, section 4.1). The paper asks under the
system message of its mathematics and does not publish the text: the last sentence of ours, and the layout of the
question, are our own. Options count from 0, as `answer_index` of the dataset does, and the prompt shows these numbers.

`mmlu_pro_letter`: lettered options and "The answer is (X)" at the end, after TIGER-AI-Lab/MMLU-Pro,
evaluate_from_api.py and its form without examples. The prompt leaves the subject out, and where that code takes the
last capital letter of the text, or a random option, we find no answer.

The official reading, for comparison with ours, which counts: the three stages of `extract_answer` in the same
repository, evaluate_from_local.py (Apache-2.0), in linear time. Where the last finds nothing that code takes a random
option; here there is none.
"""

import re
from collections.abc import Callable

from chord.errors import UserError
from chord.tasks import choice_extraction
from chord.tasks.choice_extraction import boxed, number
from chord.tasks.task import Task, Verdict, answer_part, compare

SYSTEM = (
    "You are a helpful assistant that solves MATH problems. You should first thinks about the reasoning process in "
    "mind and then provides the user with the answer. You should present your reasoning process using the format: "
    "<think>\n ...your reasoning process here... </think>\n first. You should always include your final answer in "
    "\\boxed{} as the integer of the right option."
)
INSTRUCTION = (
    "The following is a multiple choice question (with answer). Think step by step and then output the answer in the "
    'format of "The answer is (X)" at the end.'
)
LETTERS = choice_extraction.LETTERS[:10]  # MMLU-Pro has at most ten options

_FIRST = re.compile(r"answer is \(?([A-J])\)?")
_SECOND = re.compile(r"[aA]nswer:\s*(?=([A-J]))")  # a letter may begin the next "Answer:"
_LAST = re.compile(r"\b[A-J]\b")


def render_numbers(question: str, options: list[str]) -> list[dict]:
    """options: texts in the dataset's order; the prompt numbers them from 0."""
    lines = [f"{position}. {option}" for position, option in enumerate(options)]
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "\n".join([question, "", "Options:", *lines])},
    ]


def render_letters(question: str, options: list[str]) -> list[dict]:
    """options: texts in the dataset's order; the prompt letters them from A. UserError for more than ten."""
    if len(options) > len(LETTERS):
        raise UserError(f"expected at most {len(LETTERS)} options, one per letter, got {len(options)}")
    lines = [f"{name}. {option}" for name, option in zip(LETTERS, options, strict=False)]
    content = "\n".join([INSTRUCTION, "", f"Question: {question}", f"Options: {lines[0]}", *lines[1:], "Answer: "])
    return [{"role": "user", "content": content}]


def extract_number(text: str, options: list[str]) -> int | None:
    """Number in the last `\\boxed{}` after the thinking; None where it is not the integer of an option."""
    contents = boxed(answer_part(text))
    chosen = number(contents[-1]) if contents else None
    return chosen if chosen is not None and chosen < len(options) else None


def extract_letter(text: str, options: list[str]) -> int | None:
    """Position of the option that the response states, by the rules of `choice_extraction`; a number is none."""
    return choice_extraction.extract(text, options, numbers=False)[0]


def extract_official(text: str) -> str | None:
    """The letter after the first "answer is", else after "answer:", else the last capital letter that stands alone.

    The second stage is the source's `.*[aA]nswer:\\s*([A-J])`: the last one of the first line that has any.
    """
    if first := _FIRST.search(text):
        return first.group(1)
    letter, line_end = None, -1
    for match in _SECOND.finditer(text):
        if letter is not None and match.start() > line_end:
            break
        if letter is None:
            line_end = text.find("\n", match.start())
            line_end = len(text) if line_end < 0 else line_end
        letter = match.group(1)
    if letter is not None:
        return letter
    letters = _LAST.findall(text)
    return letters[-1] if letters else None


def _official(row: dict, text: str) -> bool:
    """Whether the letter that is read is that of the right option (`gold`: its position from 0)."""
    return extract_official(text) == chr(ord("A") + int(row["gold"]))


def _task(name: str, render: Callable, extract: Callable[[str, list[str]], int | None]) -> Task:
    def judge(row: dict, text: str, truncated: bool) -> Verdict:
        chosen = extract(text, row["meta"]["options"])
        return compare(None if chosen is None else str(chosen), row["gold"], truncated)

    return Task(name, judge, render, takes=("question", "options"), official=_official, code=CODE)


CODE = (
    "tasks/mmlu_pro.py",
    "tasks/choice_cues.py",
    "tasks/choice_extraction.py",
    "tasks/choice_statements.py",
    "tasks/choice_text.py",
)
MMLU_PRO = _task("mmlu_pro", render_numbers, extract_number)
MMLU_PRO_LETTER = _task("mmlu_pro_letter", render_letters, extract_letter)
