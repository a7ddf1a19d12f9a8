"""Right calls for a question of BFCL: the official answer, written out as calls."""

from typing import Any

from chord.tasks.bfcl_checker import check

OMITTED = ""  # among a parameter's alternatives it says that the parameter may be left out


def right_calls(functions: list[dict], ground_truth: list[dict], category: str) -> list[dict] | None:
    """The wanted calls with the first alternative of each parameter; None if these are not right by BFCL's own rules.

    A parameter that may be left out is, unless its document requires it. None is rare: an answer then contradicts its
    document, such as an empty list of alternatives.
    """
    documents = {function["name"]: function for function in functions}
    calls = []
    for truth in ground_truth:
        ((name, answer),) = truth.items()
        name = functions[0]["name"] if category.endswith("simple") else name  # the checker, too, takes the document's
        required = documents[name]["parameters"].get("required") or [] if name in documents else []
        arguments = {}
        for parameter, alternatives in answer.items():
            values = [value for value in alternatives if value != OMITTED] or alternatives
            if values and (parameter in required or OMITTED not in alternatives):
                arguments[parameter] = _written_out(values[0])
        calls.append({"name": name, "arguments": arguments})
    return calls if check(functions, ground_truth, calls, category)[0] else None


def _written_out(value: Any) -> Any:
    """An object among the alternatives, or in a list that is one, has a list of alternatives for each of its keys."""
    if isinstance(value, dict):
        return {key: inner[0] for key, inner in value.items() if OMITTED not in inner}
    return (
        [_written_out(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value
    )
