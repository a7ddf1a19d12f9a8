"""Writes the official answer of a row of BFCL as a trajectory: a block of calls, alone or after a reasoning by rule.

No model thought the reasoning. For each call it names the function, takes the parameters one by one, the required ones
first, quotes the question where it has the value, and says what is left out.
"""

import json
import re
from collections.abc import Iterator

from chord.experts.quotations import quotation
from chord.tasks.bfcl_answers import right_calls

LONGEST = 100  # characters of a description, quotation or value in the reasoning; of a longer one the rest is "..."
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
    seen: set[str] = set()
    for number, (call, answer) in enumerate(zip(calls, answers, strict=True), start=1):
        name = call["name"]
        which = f"Call {number} is {name}" if len(calls) > 1 else f"The function to call is {name}"
        yield f"{which} again." if name in seen else f"{which}: {_purpose(documents[name])}"
        seen.add(name)
        yield from _parameters(question, documents[name], call["arguments"], answer)
    count = "One call" if len(calls) == 1 else f"{len(calls)} calls"
    yield f"{count}, all required parameters are there." if calls else "No function fits the question: no call."


def _purpose(document: dict) -> str:
    """The first sentence of the description."""
    description = " ".join(document.get("description", "").split())
    return _shortened(re.split(r"(?<=[.!?]) (?=[A-Z])", description)[0].rstrip(".") + ".")


def _parameters(question: str, document: dict, arguments: dict, answer: dict[str, list]) -> Iterator[str]:
    properties, required = document["parameters"]["properties"], document["parameters"].get("required") or []
    unmentioned, unneeded = [], []
    for name in sorted(properties, key=lambda name: name not in required):
        alternatives = [value for value in answer.get(name, []) if value != arguments.get(name)]
        values = [arguments[name], *alternatives] if name in arguments else alternatives
        about = f"{name} {properties[name].get('description', '')}"
        words = next(filter(None, (quotation(question, value, about) for value in values)), None)
        if name in arguments:
            kind = properties[name]["type"] + ("" if name in required else ", optional")
            source = f'"{_shortened(words)}"' if words else "it follows from the question"
            yield f"{name} ({kind}): {source}, so {_shortened(json.dumps(arguments[name], ensure_ascii=False))}"
        else:
            (unneeded if words else unmentioned).append(name)
    if unmentioned:
        yield f"{', '.join(unmentioned)}: optional and not mentioned, so left out."
    if unneeded:  # such as a unit that is the default and could be given as well
        yield f"{', '.join(unneeded)}: optional and not needed, so left out."


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
