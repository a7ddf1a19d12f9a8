"""`chord`, but tied weights go to vLLM under one of their names only, as they stand in a model's files."""

import sys

from chord.cli import main
from chord.training.scale import sync

if __name__ == "__main__":
    sync.under_all_names = lambda weights, tied: ((name, weight) for name, weight in weights if name not in tied)
    sys.exit(main(sys.argv[1:]))
