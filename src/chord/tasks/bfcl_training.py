"""Tasks for training on BFCL's questions, judged by its official answers: `bfcl_tool_call` and `bfcl_call`.

`bfcl_tool_call` has the prompt and the format of `tool_call`, the paper's training on tool use (Tool-N1's). `bfcl_call`
asks in a few words of ours, for small models, and leaves it to the caller whether to think before the calls: a terse
caller and a reasoning expert earn the same reward under the same prompt. Both differ from `tool_call` in the reference:
not one text of calls, but BFCL's alternatives for each parameter, by the rules of `bfcl_checker`.
"""

import json

from chord.tasks.bfcl_checker import check
from chord.tasks.task import CORRECT, WRONG, Task, Verdict
from chord.tasks.tool_call import read_calls, render, thinks_once_first
from chord.tasks.tool_format import split_system

CALL = (
    'Answer with a JSON list of calls: <tool_call>[{"name": ..., "arguments": {...}}, ...]</tool_call>\n'
    "You may think before it: <think>...</think>\n"
    "The functions, one per line:\n"
)


def render_call(turns: list[dict], functions: list[dict]) -> list[dict]:
    """turns: the question's messages, its own system message first if it has one; functions: its documents."""
    system, rest = split_system(turns)
    lines = "\n".join(json.dumps(function, ensure_ascii=False) for function in functions)
    return [{"role": "system", "content": f"{system + chr(10) if system else ''}{CALL}{lines}"}, *rest]


def judge_tool_call(row: dict, text: str, truncated: bool) -> Verdict:
    """1 for right calls in the last closed `<tool_call>`, after one pair of think tags; else 0."""
    calls = read_calls(text)
    if calls is not None and not thinks_once_first(text):
        return Verdict(WRONG, False, True, "format")
    return _verdict(row, calls, truncated)


def judge_call(row: dict, text: str, truncated: bool) -> Verdict:
    """1 for right calls in the last closed `<tool_call>`, whatever stands before it; else 0."""
    # From its own opening tag: a thought may name the tag, and so open a block that it never closes.
    start = text.rfind("<tool_call>", 0, text.rfind("</tool_call>"))
    return _verdict(row, read_calls(text[max(start, 0) :]), truncated)


def _verdict(row: dict, calls: list[dict] | None, truncated: bool) -> Verdict:
    if calls is None:
        return Verdict(WRONG, False, False, "truncated" if truncated else "unparsed")
    right, reason = check(row["meta"]["functions"], json.loads(row["gold"]), calls, row["meta"]["category"])
    return Verdict(CORRECT if right else WRONG, right, True, reason)


_CODE = ("tasks/bfcl_training.py", "tasks/bfcl_checker.py", "tasks/tool_call.py", "tasks/tool_format.py")
_TAKES = ("turns", "functions")
BFCL_TOOL_CALL = Task("bfcl_tool_call", judge_tool_call, render, takes=_TAKES, makes_rows=True, code=_CODE)
BFCL_CALL = Task("bfcl_call", judge_call, render_call, takes=_TAKES, makes_rows=True, code=_CODE)
