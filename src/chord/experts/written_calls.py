"""Writes the official answer of a row of BFCL as a trajectory: a block of calls, alone or after a reasoning by rule.

No model thought the reasoning. For each call it names the function, takes the parameters one by one, the required ones
first, quotes the question where it has the value, and says what is left out. It is short, since each of its tokens is
one that the policy learns to write, and to sample.
"""

import json
import re
from collections.abc import Iterator

from chord.experts.quotations import quotation
from chord.tasks.bfcl_answers import right_calls

LONGEST = 100  # characters of a quotation or value in the reasoning; of a longer one the rest is "..."
_TAG = re.compile("<(/?(?:think|tool_call)>)")


def write(row: dict, style: str) -> str | None:
    """The response to a row of a task of `bfcl_training`; None if BFCL's own rules refuse the official answer.

    style: `reasoned` or `terse`, the block alone.
    """
    functions, truths = row["meta"]["functions"], json.loads(row["gold"])
    calls = right_calls(functions, truths, row["meta"]["category"])
    if calls is None:
        return None
    # A tag in a value would end the block, or count as thinking; JSON has another way of writing it.
    text = _TAG.sub(r"\\u003c\1", json.dumps(calls, ensure_ascii=False))
    block = f"<tool_call>{text}</tool_call>"
    if style == "terse":
        return block
    answers = [answer for truth in truths for answer in truth.values()]
    thought = "\n".join(_thoughts(row["meta"]["question"], functions, calls, answers))
    thought = _TAG.sub(r"[\1", thought)  # a tag that the question has: `<think>` becomes `[think>`
    return f"<think>\n{thought}\n</think>\n{block}"


def _thoughts(question: str, functions: list[dict], calls: list[dict], answers: list[dict]) -> Iterator[str]:
    """The lines of the reasoning. answers: for each call the right values of each parameter."""
    documents = {function["name"]: function for function in functions}
    for call, answer in zip(calls, answers, strict=True):
        yield call["name"]
        yield from _parameters(question, documents[call["name"]], call["arguments"], answer)
    if not calls:
        yield "No function fits."


def _parameters(question: str, document: dict, arguments: dict, answer: dict[str, list]) -> Iterator[str]:
    properties, required = document["parameters"]["properties"], document["parameters"].get("required") or []
    for name in sorted(arguments, key=lambda name: (name not in required, list(properties).index(name))):
        values = [arguments[name], *(value for value in answer[name] if value != arguments[name])]
        about = f"{name} {properties[name].get('description', '')}"
        words = next(filter(None, (quotation(question, value, about) for value in values)), None)
        source = f'"{_shortened(words)}" so ' if words else ""
        yield f"{name}: {source}{_shortened(json.dumps(arguments[name], ensure_ascii=False))}"
    if left_out := [name for name in properties if name not in arguments]:
        yield f"without {', '.join(left_out)}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
