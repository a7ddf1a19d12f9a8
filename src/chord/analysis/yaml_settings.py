"""Reads the YAML files that the analysis compares with: claims, and the paper's numbers."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from chord.errors import UserError, problems_of
from chord.settings import Settings

File = TypeVar("File", bound=Settings)


def read_settings(kind: type[File], path: Path) -> File:
    """Read a file; a `UserError` has one line for each problem."""
    try:
        return kind.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise UserError("\n".join(f"{path}: {problem}" for problem in problems_of(error))) from error
