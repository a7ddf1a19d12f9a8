"""A command of `chord` that hangs after its first finished batches, so that a kill finds it in the middle.

Arguments: how many batches it finishes, then those of `chord`.
"""

import sys
import time

from chord.cli import main
from chord.rollouts.completions import FinishedBatches

if __name__ == "__main__":
    limit, write = int(sys.argv[1]), FinishedBatches.write
    FinishedBatches.write = lambda self, batch, table: write(self, batch, table) if batch < limit else time.sleep(3600)
    sys.exit(main(sys.argv[2:]))
