r"""Tasks of mathematics: `math` with the paper's prompt and reward, `math_trinity` with the reward of the public code.

`math` (arXiv 2508.11408, appendix A.2 and A.3): +1 right, 0 wrong but well formed, -0.1 wrong and malformed, -1 no
answer within the token limit. Well formed is one pair of think tags and a \boxed{} answer: a response that ends without
one has nothing that could be right.

`math_trinity` (Trinity-RFT, `MathBoxedRewardFn` with_think): accuracy (1 or 0) less 0.1 without exactly one pair of
think tags. A right answer can get 0.9, and there is no penalty for a response that was cut off. Accuracy is by the same
grader; the public code compares normalised strings.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import starmap

from chord.errors import GraderError
from chord.tasks.answers import extraction
from chord.tasks.math_grader import GOLD_FAILED, Judgement, clean_gold, judge_answers
from chord.tasks.task import CORRECT, TRUNCATED, UNPARSED, WRONG, Item, Task, Verdict

# `default_prompt_with_think` of Trinity-RFT (trinity/common/workflows/customized_math_workflows.py), letter for letter.
# The prompt box of the paper itself (A.3) was not seen.
SYSTEM_PROMPT = (
    "You are a helpful assistant that solves MATH problems. You should first thinks about the reasoning process in mind"
    " and then provides the user with the answer. You should present your reasoning process using the format: <think>\n"
    " ...your reasoning process here... </think>\n first. You should always include your final answer in \\boxed{} as"
    " closed-form results."
)
FORMAT_PENALTY = 0.1


def render(problem: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": problem}]


def check(row: dict) -> None:
    """GraderError where the gold cannot be used."""
    try:
        clean_gold(row["gold"])
    except GraderError as error:
        raise GraderError(f"row {row['id']!r}: {error}") from None


def judge_boxes(items: Iterable[Item]) -> Iterator[tuple[str, bool, Judgement | None]]:
    """(text, truncated, judgement of the final box) of each item; None where there is no box.

    GraderError names a row whose gold cannot be used.
    """
    items = list(items)
    for row, _, _ in items:
        check(row)
    boxes = [extraction.final_box(text) for _, text, _ in items]
    answered = [(row["gold"], box) for (row, _, _), box in zip(items, boxes, strict=True) if box is not None]
    judgements = iter(judge_answers(answered))
    for (row, text, truncated), box in zip(items, boxes, strict=True):
        judgement = None if box is None else next(judgements)
        if judgement and judgement.reason == GOLD_FAILED:
            raise GraderError(f"row {row['id']!r}: the reference answer {row['gold']!r} cannot be computed in time")
        yield text, truncated, judgement


def _paper_reward(text: str, truncated: bool, judgement: Judgement | None) -> Verdict:
    if judgement is None:
        if truncated:
            return Verdict(TRUNCATED, False, False, "truncated")
        return Verdict(UNPARSED, False, False, "unparsed")
    if judgement.correct:
        return Verdict(CORRECT, True, True, judgement.reason)
    return Verdict(WRONG if extraction.is_well_formed(text) else UNPARSED, False, True, judgement.reason)


def _public_reward(text: str, truncated: bool, judgement: Judgement | None) -> Verdict:
    correct = judgement is not None and judgement.correct
    reward = float(correct) - (0.0 if extraction.is_well_formed(text) else FORMAT_PENALTY)
    missing = "truncated" if truncated else "unparsed"
    return Verdict(reward, correct, judgement is not None, judgement.reason if judgement else missing)


def _task(name: str, reward: Callable[[str, bool, Judgement | None], Verdict]) -> Task:
    def judge_many(items: Iterable[Item]) -> Iterator[Verdict]:
        return starmap(reward, judge_boxes(items))

    def judge(row: dict, text: str, truncated: bool) -> Verdict:
        return next(judge_many([(row, text, truncated)]))

    return Task(name, judge, render, judge_many=judge_many, check=check, code=CODE)


CODE = ("tasks/math.py", "tasks/math_grader.py", "tasks/math_worker.py", "tasks/grader_pool.py", "tasks/answers")
MATH = _task("math", _paper_reward)
MATH_TRINITY = _task("math_trinity", _public_reward)
