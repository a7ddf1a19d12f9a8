"""Checks by BFCL's AST rules whether calls are the ones that a question expects. It works on data, not on text.

The rules are those of gorilla cd9429ccf3d4, bfcl_eval/eval_checker/ast_eval/ast_checker.py, for Python functions with
exact function names (`underscore_to_dot` is off, as the paper's authors set it). They include its oddities, which
affect scores. In this module an *answer* maps each parameter to its *alternatives*, the list of correct values; `""`
among them means that the parameter may be omitted.
"""

import json
from typing import Any

from chord.errors import UserError
from chord.tasks.tool_format import is_call_list

CATEGORIES = (
    "simple multiple parallel parallel_multiple live_simple live_multiple live_parallel live_parallel_multiple "
    "irrelevance live_irrelevance live_relevance"
).split()

CORRECT = "correct"

_TYPES = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
_IGNORED = str.maketrans({**dict.fromkeys(" ,./-_*^"), "'": '"'})


def check(
    functions: list[dict], ground_truth: list[dict], calls: list[dict], category: str | None = None
) -> tuple[bool, str]:
    """Returns whether `calls` are right, and the reason in one word (`correct` if they are).

    functions: documents with `name` and `parameters`. ground_truth: one {function name: answer} per call. calls:
    objects with `name` and `arguments`. category: one of CATEGORIES; with None, the number of expected calls chooses
    the rules (none, one, or several in parallel). Raises UserError for other categories and for documents that the
    rules cannot read.
    """
    _check_category(category)
    check_question(functions, ground_truth)
    readable = is_call_list(calls) and all(isinstance(call["arguments"], dict) for call in calls)
    if "relevance" in (category or "") or not (ground_truth or category):
        called = readable and bool(calls)
        if category == "live_relevance":
            return called, CORRECT if called else "no_call"
        return not called, "call" if called else CORRECT
    if not (functions and ground_truth):
        raise UserError(f"BFCL category {category!r}: expected functions and a ground truth")
    if not readable:
        return False, "format"
    if len(calls) != len(ground_truth):
        return False, "count"
    if "parallel" in category if category else len(ground_truth) > 1:
        return _match_in_any_order(functions, ground_truth, calls)
    reason = _call_problem(*_document_and_answer(functions, ground_truth[0], category), calls[0])
    return reason == CORRECT, reason


def _check_category(category: str | None) -> None:
    if category is None or category in CATEGORIES:
        return
    if "java" in category:
        raise UserError(f"BFCL category {category!r}: Java and JavaScript are not supported; expected Python functions")
    raise UserError(f"BFCL category {category!r} is unknown; expected one of {', '.join(CATEGORIES)}")


def check_question(functions: list[dict], ground_truth: list[dict]) -> None:
    """Raises UserError for documents and answers that lack what the rules need."""
    for function in functions:
        parameters = function.get("parameters")
        if not (
            isinstance(function.get("name"), str)
            and isinstance(parameters, dict)
            and isinstance(parameters.get("properties"), dict)
            and isinstance(parameters.get("required") or [], list)
        ):
            raise UserError(f"expected a function with `name` and `parameters.properties`, got {function}")
    for truth in ground_truth:
        if len(truth) != 1 or not all(isinstance(answer, dict) for answer in truth.values()):
            raise UserError(f"ground truth: expected {{function name: {{parameter: [values]}}}}, got {truth}")
        ((name, answer),) = truth.items()
        for parameter, alternatives in answer.items():
            _check_alternatives(f"{name}, {parameter}", alternatives)
            for alternative in alternatives:
                for item in alternative if isinstance(alternative, list) else [alternative]:
                    for key, inner in item.items() if isinstance(item, dict) else ():
                        _check_alternatives(f"{name}, {parameter}.{key}", inner)


def _check_alternatives(place: str, alternatives: Any) -> None:
    if not isinstance(alternatives, list):
        text = json.dumps(alternatives, ensure_ascii=False)
        raise UserError(f"ground truth: {place}: expected a list of correct values, got {text[:80]}")


def _document_and_answer(functions: list[dict], truth: dict[str, dict], category: str | None) -> tuple[dict, dict]:
    """The document and the answer for one expected call; a single function counts whatever its name."""
    ((name, answer),) = truth.items()
    if (category or "").endswith("simple") or (category is None and len(functions) == 1):
        return functions[0], answer
    for function in functions:
        if function["name"] == name:
            return function, answer
    raise UserError(f"ground truth calls {name!r}, which is not among the functions")


def _match_in_any_order(functions: list[dict], ground_truth: list[dict], calls: list[dict]) -> tuple[bool, str]:
    """Match each expected call in turn with the first remaining call that fits; greedy, as in the source."""
    remaining = list(calls)
    for truth in ground_truth:
        function, answer = _document_and_answer(functions, truth, "parallel")
        reasons = [_call_problem(function, answer, call) for call in remaining]
        if CORRECT not in reasons:
            return False, reasons[0] if len(set(reasons)) == 1 else "match"
        del remaining[reasons.index(CORRECT)]
    return True, CORRECT


def _call_problem(function: dict, answer: dict[str, list], call: dict) -> str:
    if call["name"] != function["name"]:
        return "name"
    parameters, arguments = function["parameters"], call["arguments"]
    if any(name not in arguments for name in parameters.get("required") or ()):
        return "missing"
    for name, value in arguments.items():
        if name not in parameters["properties"] or name not in answer:
            return "unexpected"
        kind, inner = _parameter_type(function, name)
        reason = _argument_problem(kind, inner, answer[name], value)
        if reason != CORRECT:
            return reason
    if any(name not in arguments and "" not in alternatives for name, alternatives in answer.items()):
        return "missing"
    return CORRECT


def _parameter_type(function: dict, name: str) -> tuple[type, type | None]:
    """The type of a parameter, and the type of its items if it is an array or tuple (None otherwise)."""
    document = function["parameters"]["properties"][name]
    try:
        kind = _TYPES[document["type"]]
        return kind, _TYPES[document["items"]["type"]] if kind is list else None
    except (KeyError, TypeError) as error:
        raise UserError(
            f"function {function['name']!r}, parameter {name!r}: expected one of the types {', '.join(_TYPES)}, "
            f"also for the `items` of an array or tuple, got {document}"
        ) from error


def _argument_problem(kind: type, inner: type | None, alternatives: list, value: Any) -> str:
    if kind is float and type(value) is int:
        try:
            value = float(value)
        except OverflowError:
            return "value"
    answer_type = _answer_type(alternatives)
    if type(value) is kind:
        if inner is not None and not _items_fit(inner, alternatives, value):
            return "type"
        as_documented = answer_type in (None, kind)
    elif type(value) is answer_type:  # the name of a variable, or null, where the document has another type
        as_documented = False
    else:
        return "type"
    right = _value_fits(kind, inner, alternatives, value) if as_documented else value in alternatives
    return CORRECT if right else "value"


def _answer_type(alternatives: list) -> type | None:
    return next((type(alternative) for alternative in alternatives if alternative != ""), None)


def _items_fit(inner: type, alternatives: list, value: list) -> bool:
    """Whether the items have the types of an alternative, one level deep; an alternative without a list allows all."""
    return any(
        not isinstance(alternative, list) or all(type(item) in (inner, _answer_type(alternative)) for item in value)
        for alternative in alternatives
    )


def _value_fits(kind: type, inner: type | None, alternatives: list, value: Any) -> bool:
    if kind is dict:
        return any(_dict_fits(alternative, value) for alternative in alternatives)
    if inner is dict:
        return any(
            len(alternative) == len(value) and all(map(_dict_fits, alternative, value)) for alternative in alternatives
        )
    if kind is str:
        return _plain(value) in [_plain(alternative) for alternative in alternatives]
    if kind is list:
        return _plain_items(value) in [_plain_items(alternative) for alternative in alternatives]
    return value in alternatives


def _dict_fits(answer: Any, value: Any) -> bool:
    """Whether a dict fits {key: alternatives}, one level deep."""
    if not (isinstance(answer, dict) and isinstance(value, dict)):
        return False
    return all(key in answer and _plain(item) in _plain_items(answer[key]) for key, item in value.items()) and all(
        key in value or "" in alternatives for key, alternatives in answer.items()
    )


def _plain(value: Any) -> Any:
    """Returns a text in lower case without spaces and `,./-_*^` and with double quotes; any other value unchanged."""
    return value.translate(_IGNORED).lower() if isinstance(value, str) else value


def _plain_items(values: list) -> list:
    return [_plain(value) for value in values]
