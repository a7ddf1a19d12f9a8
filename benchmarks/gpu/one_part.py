"""Runs one part in this process: `python -m benchmarks.gpu.one_part MODULE SIZE [ARGUMENT ...]`.

Its result is the last line of standard output, as JSON.
"""

import importlib
import json
import os
import sys
import warnings

from chord.io.children import end_with


def main(module: str, size: str, *arguments: str) -> None:
    end_with(os.getppid())
    part = importlib.import_module(f"benchmarks.gpu.{module}")
    from benchmarks.gpu.sizes import SIZES
    from transformers.utils.logging import disable_progress_bar

    warnings.filterwarnings("ignore")
    disable_progress_bar()
    print(json.dumps(part.measure(SIZES[size], *arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
