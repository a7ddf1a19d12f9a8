"""Task `choice`: the number of the right option after the word "option", at the very end of the response."""

import re

from chord.tasks.verdict import Verdict, judge

_ANSWER = re.compile(r"\boption (\d+)\s*$")


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    found = _ANSWER.search(text)
    return judge(found.group(1) if found else None, row["gold"], truncated)
