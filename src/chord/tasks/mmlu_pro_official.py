"""What MMLU-Pro's own evaluation reads from a response: for comparison with ours, which counts.

The three stages of `extract_answer` in TIGER-AI-Lab/MMLU-Pro, evaluate_from_local.py (Apache-2.0), in linear time.
Where the last finds nothing that code takes a random option; here there is none.
"""

import re

_FIRST = re.compile(r"answer is \(?([A-J])\)?")
_SECOND = re.compile(r"[aA]nswer:\s*(?=([A-J]))")  # a letter may begin the next "Answer:"
_LAST = re.compile(r"\b[A-J]\b")


def extract(text: str) -> str | None:
    """The letter after the first "answer is", else after "answer:", else the last capital letter that stands alone.

    The second stage is the source's `.*[aA]nswer:\\s*([A-J])`: the last one of the first line that has any.
    """
    if found := _FIRST.search(text):
        return found.group(1)
    letter, line_end = None, -1
    for found in _SECOND.finditer(text):
        if letter is not None and found.start() > line_end:
            break
        if letter is None:
            line_end = text.find("\n", found.start())
            line_end = len(text) if line_end < 0 else line_end
        letter = found.group(1)
    if letter is not None:
        return letter
    letters = _LAST.findall(text)
    return letters[-1] if letters else None


def correct(row: dict, text: str) -> bool:
    """Whether the letter that is read is that of the right option (`gold`: its position from 0)."""
    return extract(text) == chr(ord("A") + int(row["gold"]))
