"""A run whose plug-in is edited after step 4, in a Python of its own: plug-ins are looked for when it starts."""

import json
import sys
from pathlib import Path

import pytest

from chord import tasks
from chord.plugins import plugins
from tests.helpers.small_training import coin
from tests.helpers.training_runs import Cut, cut_behind, train_here


def main(module: Path, job: list[str], out: Path) -> None:
    """Cut the run off behind its checkpoint, edit the module, and give the same command again."""
    tasks.TASKS["coin"] = tasks.Task("coin", coin)
    with pytest.MonkeyPatch.context() as patch:
        cut_behind(patch, 4)
        with pytest.raises(Cut):
            train_here(job, out)
    module.write_text(module.read_text() + "\n# edited\n")
    plugins.cache_clear()
    train_here(job, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3]))
