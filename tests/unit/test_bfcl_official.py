"""Our BFCL rules against the official checker, on every real row and on thousands of answers with something changed.

Needs the rows and the package: pip install --no-deps bfcl-eval==2026.3.23 tree_sitter==0.21.3
tree-sitter-java==0.21.0 tree-sitter-javascript==0.21.4. Everything of the package that decides is used; its registry
of models is replaced, which imports the clients of all vendors and says nothing here but `underscore_to_dot`.
"""

import copy
import json
import random
import sys
from collections import Counter, defaultdict
from types import ModuleType, SimpleNamespace

import pytest

from chord.tasks.bfcl_checker import check

CATEGORIES = (
    "simple multiple parallel parallel_multiple live_simple live_multiple live_parallel live_parallel_multiple"
).split()
CHANGES_PER_ROW = 25


@pytest.fixture(scope="module")
def official():
    pytest.importorskip("bfcl_eval", reason="the package bfcl-eval is not installed")
    registry = ModuleType("bfcl_eval.constants.model_config")
    registry.MODEL_CONFIG_MAPPING = defaultdict(lambda: SimpleNamespace(underscore_to_dot=False))
    sys.modules[registry.__name__] = registry
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    def judge(functions, truth, calls, category):
        output = [{call["name"]: call["arguments"]} for call in copy.deepcopy(calls)]
        return ast_checker(functions, output, truth, Language.PYTHON, category, "any")["valid"]

    return judge


@pytest.mark.parametrize("category", CATEGORIES)
def test_agrees_with_the_official_checker(category, official, benchmark_data):
    rng = random.Random(f"bfcl {category}")
    seen = Counter()
    for row, truth in rows(benchmark_data, category):
        right = [right_call(wanted) for wanted in truth]
        trials = [right, [], right + right[:1], right[:-1], right[::-1]]
        trials += [changed(right, rng) for _ in range(CHANGES_PER_ROW)]
        for calls in trials:
            ours, reason = check(row["function"], truth, calls, category)
            assert ours == official(row["function"], truth, calls, category), (row["id"], calls, truth, reason)
            seen[ours] += 1
    assert min(seen[True], seen[False]) > 100


def rows(folder, category):
    read = [
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (
            folder / "bfcl_v3" / f"BFCL_v3_{category}.json",
            folder / "bfcl_v3" / "possible_answer" / f"BFCL_v3_{category}.json",
        )
    ]
    answers = {answer["id"]: answer["ground_truth"] for answer in read[1]}
    return [(row, answers[row["id"]]) for row in read[0]]


def right_call(wanted):
    ((name, answer),) = wanted.items()
    return {"name": name, "arguments": {key: first(values) for key, values in answer.items() if values}}


def first(values):
    """The first alternative; dicts hold alternatives again, one level deep."""
    value = next((value for value in values if value != ""), "")
    return resolved(value)


def resolved(value):
    if isinstance(value, dict):
        return {key: first(values) if isinstance(values, list) else values for key, values in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value


def changed(calls, rng):
    calls = copy.deepcopy(calls)
    for _ in range(rng.choice((1, 1, 1, 2))):
        if calls:
            rng.choice(CALL_CHANGES)(calls, rng)
    return calls


def change_value(calls, rng):
    arguments = rng.choice(calls)["arguments"]
    if arguments:
        key = rng.choice(sorted(arguments))
        arguments[key] = other(arguments[key], rng)


def other(value, rng):
    """A value near this one: right for some, wrong for others; both checkers must agree which."""
    if isinstance(value, dict) and value and rng.random() < 0.7:
        key = rng.choice(sorted(value))
        return rng.choice(
            (
                value | {key: other(value[key], rng)},
                {name: item for name, item in value.items() if name != key},
                value | {"extra": 1},
                dict(reversed(value.items())),
            )
        )
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return rng.choice(
            (
                [*value[:place], other(value[place], rng), *value[place + 1 :]],
                value[:place] + value[place + 1 :],
                value[::-1],
                [*value, value[place]],
                [value],
            )
        )
    near = [
        str(value),
        [value],
        {"value": value},
        None,
        "",
        "variable",
        0,
        1,
        1.0,
        True,
        False,
        [],
        {},
        [1, "a"],
        10**40,
    ]
    if isinstance(value, str):
        near += [
            value.upper(),
            f" {value}.",
            value.replace(" ", "_"),
            value.replace(",", ""),
            f"{value}x",
            f"'{value}'",
        ]
        near += [value.replace("'", '"'), value.replace(" ", "-"), value.replace("/", ""), value[:-1]]
    if type(value) in (int, float):
        near += [float(value), int(value), value + 1, -value, bool(value), str(float(value))]
    return rng.choice(near)


def drop_argument(calls, rng):
    arguments = rng.choice(calls)["arguments"]
    if arguments:
        del arguments[rng.choice(sorted(arguments))]


def add_argument(calls, rng):
    rng.choice(calls)["arguments"]["undocumented"] = 1


def empty_argument(calls, rng):
    arguments = rng.choice(calls)["arguments"]
    if arguments:
        arguments[rng.choice(sorted(arguments))] = rng.choice(("", [], {}, None))


def rename(calls, rng):
    call = rng.choice(calls)
    call["name"] = rng.choice((call["name"].replace(".", "_"), call["name"] + "x", call["name"].upper()))


def shuffle(calls, rng):
    rng.shuffle(calls)


def duplicate(calls, rng):
    calls[rng.randrange(len(calls))] = copy.deepcopy(rng.choice(calls))


def swap_arguments(calls, rng):
    one, two = rng.choice(calls), rng.choice(calls)
    one["arguments"], two["arguments"] = two["arguments"], one["arguments"]


CALL_CHANGES = (
    *[change_value] * 8,
    drop_argument,
    add_argument,
    empty_argument,
    rename,
    shuffle,
    duplicate,
    swap_arguments,
)
