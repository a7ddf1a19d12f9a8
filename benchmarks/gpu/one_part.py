"""Runs one part in this process: `python -m benchmarks.gpu.one_part MODULE SIZE [ARGUMENT ...]`.

Its result is the last line of standard output, as JSON.
"""

import importlib
import json
import sys
import warnings

from benchmarks.gpu.sizes import SIZES
from transformers.utils.logging import disable_progress_bar


def main(module: str, size: str, *arguments: str) -> None:
    warnings.filterwarnings("ignore")
    disable_progress_bar()
    result = importlib.import_module(f"benchmarks.gpu.{module}").measure(SIZES[size], *arguments)
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
