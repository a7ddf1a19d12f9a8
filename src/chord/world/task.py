"""Task `world`: two digits after the word "answer", at the very end of the response."""

import re

from chord.tasks.verdict import Verdict, judge

_ANSWER = re.compile(r"\banswer (\d) (\d)\s*$")


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    """Judge by the last line of a solution only: words after the answer make it unreadable, so it cannot be hedged."""
    found = _ANSWER.search(text)
    return judge(" ".join(found.groups()) if found else None, row["gold"], truncated)
