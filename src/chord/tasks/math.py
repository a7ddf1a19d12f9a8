r"""Task `math`: the paper's prompt and reward (arXiv 2508.11408, appendix A.2 and A.3).

Reward: +1 right, 0 wrong but well formed, -0.1 wrong and malformed, -1 no answer within the token limit. Well formed is
one pair of think tags and a \boxed{} answer: a response that ends without one has nothing that could be right.
"""

from collections.abc import Iterable, Iterator

from chord.errors import GraderError
from chord.tasks.answers import extraction
from chord.tasks.math_grader import GOLD_FAILED, Judgement, clean_gold, judge_answers
from chord.tasks.verdict import CORRECT, TRUNCATED, UNPARSED, WRONG, Verdict

# `default_prompt_with_think` of Trinity-RFT (trinity/common/workflows/customized_math_workflows.py), letter for letter.
# The prompt box of the paper itself (A.3) was not seen.
SYSTEM_PROMPT = (
    "You are a helpful assistant that solves MATH problems. You should first thinks about the reasoning process in mind"
    " and then provides the user with the answer. You should present your reasoning process using the format: <think>\n"
    " ...your reasoning process here... </think>\n first. You should always include your final answer in \\boxed{} as"
    " closed-form results."
)


def messages(problem: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": problem}]


def check(row: dict) -> None:
    """GraderError where the gold cannot be used."""
    try:
        clean_gold(row["gold"])
    except GraderError as error:
        raise GraderError(f"row {row['id']!r}: {error}") from None


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    return next(verdicts([(row, text, truncated)]))


def verdicts(items: Iterable[tuple[dict, str, bool]]) -> Iterator[Verdict]:
    """Verdicts in order; GraderError names a row whose gold cannot be used."""
    for text, truncated, judgement in judged(items):
        yield _verdict(text, truncated, judgement)


def judged(items: Iterable[tuple[dict, str, bool]]) -> Iterator[tuple[str, bool, Judgement | None]]:
    """(text, truncated, judgement of the final box) of each item; None where there is no box."""
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


def _verdict(text: str, truncated: bool, judgement: Judgement | None) -> Verdict:
    if judgement is None:
        if truncated:
            return Verdict(TRUNCATED, False, False, "truncated")
        return Verdict(UNPARSED, False, False, "unparsed")
    if judgement.correct:
        return Verdict(CORRECT, True, True, judgement.reason)
    return Verdict(WRONG if extraction.is_well_formed(text) else UNPARSED, False, True, judgement.reason)
