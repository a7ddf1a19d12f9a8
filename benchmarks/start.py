"""CPU seconds (user and system) of the commands that a person waits for; the median of five calls each.

python -m benchmarks.start
"""

import os
import statistics
import subprocess
import sys

from tests.helpers.workflow import ROOT

COMMANDS = ("--help", "train --help", "spec tiny train chord_mu 0", "check tiny", "plan tiny")


def cpu_seconds(arguments: list[str]) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-m", "chord", *arguments], cwd=ROOT, check=True, capture_output=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


if __name__ == "__main__":
    for command in COMMANDS:
        seconds = statistics.median(cpu_seconds(command.split()) for _ in range(5))
        print(f"chord {command:28} {seconds:5.2f} s")
