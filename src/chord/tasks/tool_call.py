"""Task `tool_call`: training on tool use with Tool-N1's prompt and reward (paper, sections 4.1 and A.2).

Prompt text and rules: `qwen_tool_prompts` and `compute_score_v0` in Trinity-RFT (Apache-2.0, adapted from
NVlabs/Tool-N1), trinity/common/workflows/customized_toolcall_workflows.py at 7f9b280.
"""

import json
from collections import Counter

from chord.tasks.task import CORRECT, WRONG, Task, Verdict
from chord.tasks.tool_format import blocks, is_call_list, read_json, split_system, tool_lines

# For rows without a system message of their own: the text before the functions in ToolACE (get_toolace_data.py).
SYSTEM = (
    "You are an expert in composing functions. You are given a question and a set of possible functions. \n"
    "Based on the question, you will need to make one or more function/tool calls to achieve the purpose. \n"
    "If none of the function can be used, point it out. If the given question lacks the parameters required by the "
    "function,\nalso point it out. You should only return the function call in tools call sections. Here is a list of "
    "functions in JSON format that you can invoke:\n"
)
RULES = (
    "In each action step, you MUST:\n"
    "1. Think about the reasoning process in the mind and enclosed your reasoning within <think> </think> XML tags.\n"
    "2. Then, provide a json object with function names and arguments within <tool_call></tool_call> XML tags. i.e., "
    '<tool_call>[{"name": <function-name>, "arguments": <args-json-object>}, {"name": <function-name2>, "arguments": '
    "<args-json-object2>}, ...]</tool_call>\n"
    "3. Make sure both the reasoning and the tool call steps are included together in one single reply.\n"
    "A complete reply example is: <think>To address the query, I need to send the email to Bob and then buy the banana "
    'through walmart. </think> <tool_call> [{"name": "email", "arguments": {"receiver": "Bob", "content": "I will bug '
    'banana through walmart"}}, {"name": "walmart", "arguments": {"input": "banana"}}]</tool_call>. Please make sure '
    "the type of the arguments is correct.\n"
)


def render(turns: list[dict], functions: list[dict]) -> list[dict]:
    """turns: the chat up to the call, its own system message first if it has one; functions: documents of the tools."""
    system, rest = split_system(turns)
    tools = "\n".join(tool_lines(functions))
    content = f"{SYSTEM if system is None else system}# Tool\n\n<tools>\n{tools}\n</tools>\n\n{RULES}"
    return [{"role": "system", "content": content}, *rest]


def judge(row: dict, text: str, truncated: bool) -> Verdict:
    """1 for exactly the reference's calls, in any order, after one pair of think tags; else 0 (`format`, `wrong`, ...).

    The last closed block counts. Names and arguments are compared as JSON: `1`, `1.0` and `"1"` differ, the order of
    keys does not matter.
    """
    calls = read_calls(text)
    if calls is None:
        return Verdict(WRONG, False, False, "truncated" if truncated else "unparsed")
    if not thinks_once_first(text):
        return Verdict(WRONG, False, True, "format")
    right = Counter(map(_canonical, calls)) == Counter(map(_canonical, json.loads(row["gold"])))
    return Verdict(CORRECT, True, True, "correct") if right else Verdict(WRONG, False, True, "wrong")


def read_calls(text: str) -> list[dict] | None:
    """The calls of the last closed block; None where it has no readable list. One call may stand without its list."""
    values = blocks(text)
    value = values[-1] if values else None
    if isinstance(value, str):  # a list written into a JSON string, as the source allows
        value = read_json(value)
    if isinstance(value, dict):
        value = [value]
    if not is_call_list(value):
        return None
    try:
        json.dumps(value)
    except RecursionError:  # nested more deeply than can be compared
        return None
    return value


def _canonical(call: dict) -> str:
    return json.dumps([call["name"], call["arguments"]], sort_keys=True)


def thinks_once_first(text: str) -> bool:
    """Whether there is one pair of think tags, and it ends before the first `<tool_call>`."""
    if text.count("<think>") != 1 or text.count("</think>") != 1:
        return False
    return text.index("<think>") < text.index("</think>") < text.index("<tool_call>")


TOOL_CALL = Task(
    "tool_call", judge, render, takes=("turns", "functions"), code=("tasks/tool_call.py", "tasks/tool_format.py")
)
