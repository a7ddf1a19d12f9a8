"""JSON schemas of the kinds of YAML files, made from the typed classes: for editors and readers.

`chord schema` writes them into workflow/schemas, and a test fails when they are not current. The typed configuration is
the stricter judge: it also knows what the values of several files must be together.
"""

import json

from pydantic import BaseModel

from chord.analysis.claims.claims_spec import ClaimsFile
from chord.study.settings import BenchmarkFile, MethodFile, StudyFile

FILES: dict[str, type[BaseModel]] = {
    "study": StudyFile,
    "method": MethodFile,
    "benchmark": BenchmarkFile,
    "claims": ClaimsFile,
}


def schema_text(kind: str) -> str:
    """The text of workflow/schemas/<kind>.schema.json."""
    schema = FILES[kind].model_json_schema()
    if kind == "study":
        schema = _with_overlays(schema)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _with_overlays(study: dict) -> dict:
    """The schema of whole studies, and of files that change another one, of which it knows the outermost keys only."""
    base = {"type": "string", "description": "name of the study that this one changes; null takes a key of it away"}
    keys = {"base": base} | dict.fromkeys(study["properties"], True)
    overlay = {"properties": keys, "additionalProperties": False}
    return {"$defs": study.pop("$defs"), "if": {"required": ["base"]}, "then": overlay, "else": study}
