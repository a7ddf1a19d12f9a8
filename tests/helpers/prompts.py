"""Prompts as they must be rendered, each in a file of its own."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "prompts"


def expected(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
