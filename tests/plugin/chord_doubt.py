"""A plug-in of chord: a token weight and a task. Its pyproject.toml offers them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from chord.objectives import ExpertTokens, TokenWeight
from chord.tasks import Task, Verdict

if TYPE_CHECKING:  # scoring needs no torch
    from torch import Tensor


class Doubt(TokenWeight):
    """w = sg((1 - p)^gamma): the less the policy believes in the expert's token, the more the token counts."""

    name: Literal["doubt"] = "doubt"
    gamma: float = 1.0

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        return (-tokens.logp.detach().expm1()).clamp(min=0.0).pow(self.gamma)


def render(question: str) -> list[dict]:
    return [{"role": "user", "content": question}]


def judge(row: dict, text: str, truncated: bool) -> Verdict:
    """1 where the last word is the reference."""
    words = text.split()
    if not words:
        return Verdict(0.0, False, False, "truncated" if truncated else "unparsed")
    right = words[-1] == row["gold"]
    return Verdict(float(right), right, True, "correct" if right else "wrong")


LAST_WORD = Task("last_word", judge, render)
