"""Task `bfcl`: Berkeley Function-Calling Leaderboard v3, calls judged by the AST rules of `bfcl_checker`.

Prompt and reading of the reply as in the authors' evaluation: Trinity-RFT, examples/mix_chord/eval_bfcl/
bfcl_reason_support.patch (Apache-2.0, by NVIDIA and the authors), on gorilla cd9429ccf3d4.
"""

import json

from chord.errors import UserError
from chord.tasks.bfcl_checker import check
from chord.tasks.call_layouts import calls_in
from chord.tasks.task import CORRECT, WRONG, Task, Verdict
from chord.tasks.tool_format import blocks, is_call_list, split_system, tool_lines

# The margins and the stray quotation mark are the source's.
_BEFORE = """
        You are an expert in composing functions. You are given a question and a set of possible functions. Based on \
the question, you will need to make one or more function/tool calls to achieve the purpose. If none of the function \
can be used, point it out. If the given question lacks the parameters required by the function, also point it out. \
You should only return the function call in tools call sections.

    # Tool
    Here is a list of functions in JSON format that you can invoke:

    <tools>
    """
_AFTER = """
    </tools>

    In each action step, you MUST:
    1. think about the reasoning process in the mind before and enclosed your reasoning within <think> </think> XML \
tags.
    2. then return a json object with function names and arguments within <tool_call></tool_call> XML tags. i.e., \
<tool_call>[{"name": <function-name>, "arguments": <args-json-object>}, {"name": <function-name2>, "arguments": \
<args-json-object2>}, ...]</tool_call>
    3. remember complete 1 and 2 in one single reply.
    A complete reply example is: <think>To address the query, I need to send the email to Bob and then buy the \
banana through walmart. </think> <tool_call> [{"name": "email", "arguments": {"receiver": "Bob", "content": "I will \
bug banana through walmart"}}, {"name": "walmart", "arguments": {"input": "banana"}}]</tool_call>. Please make sure \
the type of the arguments is correct.  If no functions could be used in the current task, please make tool_calls an \
empty list <tool_call>[]</tool_call>"
    """
_HINT = " Note that the provided function is in Python 3 syntax."


def render(turns: list[dict], functions: list[dict]) -> list[dict]:
    """turns: the question's messages; functions: its documents.

    A system message of the question's own is replaced, as in the source.
    """
    _, rest = split_system(turns)
    hinted = [function | {"description": function["description"] + _HINT} for function in functions]
    tools = "".join(line + "\n" for line in tool_lines(hinted))
    return [{"role": "system", "content": f"{_BEFORE}{tools}{_AFTER}"}, *rest]


def judge(row: dict, text: str, truncated: bool) -> Verdict:
    """1 or 0 by the first closed `<tool_call>` block, which must hold a list. Thinking is ignored.

    If no call is wanted, a reply without a readable call is right, even a plain sentence (`parsed` is False then), and
    a call in any layout that `call_layouts` reads is wrong.
    """
    calls = _calls(text)
    if calls is None and row["meta"]["category"].endswith("irrelevance") and _calls_in_any_layout(text, row):
        return Verdict(WRONG, False, False, "call")
    right, reason = check(row["meta"]["functions"], json.loads(row["gold"]), calls or [], row["meta"]["category"])
    if calls is None and not right:
        reason = "truncated" if truncated else "unparsed"
    return Verdict(CORRECT if right else WRONG, right, calls is not None, reason)


def _calls_in_any_layout(text: str, row: dict) -> bool:
    try:
        return bool(calls_in(text, {function["name"] for function in row["meta"]["functions"]}))
    except UserError:  # objects in no known layout count as a sentence
        return False


def _calls(text: str) -> list[dict] | None:
    values = blocks(text)
    value = values[0] if values else None
    return value if is_call_list(value) else None


BFCL = Task(
    "bfcl",
    judge,
    render,
    takes=("turns", "functions"),
    makes_rows=True,
    code=("tasks/bfcl.py", "tasks/bfcl_checker.py", "tasks/call_layouts.py", "tasks/tool_format.py"),
)
