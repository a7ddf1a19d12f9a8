"""Questions and answers in BFCL's files."""

import json
from pathlib import Path


def function(name: str, *parameters: str) -> dict:
    properties = {parameter: {"type": "integer", "description": "A number."} for parameter in parameters}
    return {
        "name": name,
        "description": "A function.",
        "parameters": {"type": "dict", "properties": properties, "required": list(parameters)},
    }


def bfcl_folder(folder: Path, rows: list[tuple[str, list[dict]]], category: str = "simple") -> Path:
    """A folder in BFCL's format. rows: question and functions, the first of which must be called with 1 everywhere."""
    (folder / "possible_answer").mkdir(parents=True, exist_ok=True)
    questions, answers = [], []
    for number, (question, functions) in enumerate(rows):
        row_id, name = f"{category}_{number}", functions[0]["name"]
        questions.append({"id": row_id, "question": [[{"role": "user", "content": question}]], "function": functions})
        answer = {parameter: [1] for parameter in functions[0]["parameters"]["properties"]}
        answers.append({"id": row_id, "ground_truth": [{name: answer}]})
    for name, values in (("", questions), ("possible_answer/", answers)):
        path = folder / f"{name}BFCL_v3_{category}.json"
        path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return folder
