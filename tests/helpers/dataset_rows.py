"""A few rows of our own in the format of each dataset, written where a test needs them."""

import json
from pathlib import Path
from typing import Any

from chord.io.files import write_jsonl

AIME = [
    {"id": 60, "problem": "Find the rest of $7^{100}$ divided by $13$.", "answer": "009", "url": "", "year": "2024"},
    {"id": 61, "problem": "How many primes are below one hundred?", "answer": "025", "url": "", "year": "2024"},
]
AMC = [{"id": 0, "problem": "What is $3^3$?", "answer": 27.0}, {"id": 1, "problem": "What is $6!$?", "answer": 720.0}]
MATH = [
    {"problem": "Halve $\\frac{1}{2}$.", "answer": "\\frac{1}{4}", "level": 2, "unique_id": "test/algebra/1.json"},
    {"problem": "Add $1$ and $1$.", "answer": "2", "level": 1, "unique_id": "test/algebra/2.json"},
]
GSM8K = [
    {"question": "Ann has 3 eggs and buys 4. How many has she?", "answer": "She has 3+4=<<3+4=7>>7.\n#### 7"},
    {"question": "A town of 1,200 doubles. How many then?", "answer": "Twice 1,200 is 2,400.\n#### 2,400"},
]
MMLU_PRO = [
    {"question_id": 7, "question": "Which is red?", "options": ["sky", "rose"], "answer_index": 1, "category": "art"},
    {"question_id": 8, "question": "Which is 2?", "options": ["one", "two"], "answer_index": 1, "category": "maths"},
]
RAR_MEDICINE = [
    {
        "question": f"What helps against {what}?",
        "reference_answer": answer,
        "rubric": [{"title": answer, "description": f"names {answer.lower()}", "weight": 5}],
    }
    for what, answer in (("a cold", "Rest"), ("thirst", "Water"))
]


def _function(name: str) -> dict[str, Any]:
    parameters = {"type": "dict", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"name": name, "description": f"Tells the {name}.", "parameters": parameters}


def _bfcl(row_id: str, question: str) -> dict[str, Any]:
    return {"id": row_id, "question": [[{"role": "user", "content": question}]], "function": [_function("weather")]}


BFCL = {
    "BFCL_v3_simple.json": [_bfcl("simple_0", "How is the weather in Rome?")],
    "possible_answer/BFCL_v3_simple.json": [{"id": "simple_0", "ground_truth": [{"weather": {"city": ["Rome"]}}]}],
    "BFCL_v3_live_simple.json": [_bfcl("live_simple_0-0-0", "Does it rain in Oslo?")],
    "possible_answer/BFCL_v3_live_simple.json": [
        {"id": "live_simple_0-0-0", "ground_truth": [{"weather": {"city": ["Oslo"]}}]}
    ],
    "BFCL_v3_irrelevance.json": [_bfcl("irrelevance_0", "Who wrote Faust?"), _bfcl("irrelevance_1", "Who was Kant?")],
}


def toolace(question: str, reply: str, *more: tuple[str, str], names: tuple[str, ...] = ("weather",)) -> dict[str, Any]:
    """A row of ToolACE: one question, a reply, and further turns."""
    functions = json.dumps([_function(name) for name in names])
    turns = [("user", question), ("assistant", reply), *more]
    return {
        "system": f"Here is a list of functions in JSON format that you can invoke:\n{functions}. \nOnly call them.",
        "conversations": [{"from": speaker, "value": text} for speaker, text in turns],
    }


def openr1(uuid: str, problem: str, answer: str, *generations: tuple[str, bool]) -> dict[str, Any]:
    """A row of OpenR1-Math-220k with (text, verified) generations."""
    return {
        "uuid": uuid,
        "problem": problem,
        "answer": answer,
        "solution": "",
        "generations": [text for text, _ in generations],
        "correctness_math_verify": [verified for _, verified in generations],
    }


def write(folder: Path, files: dict[str, list[dict]]) -> Path:
    for name, rows in files.items():
        write_jsonl(folder / name, rows)
    return folder
