"""Task `choice`: the number of the right option after the word "option", as the whole response."""

import re

from chord.tasks.verdict import Verdict, judge

_ANSWER = re.compile(r"\s*option (\d+)\s*")


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    found = _ANSWER.fullmatch(text)
    return judge(found.group(1) if found else None, row["gold"], truncated)
