"""Snakemake in forks of one process that has imported it: the import is half of the time that a plan takes."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


@cache
def server() -> subprocess.Popen:
    """The process; it ends with this one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.warm_snakemake"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.stdin.close)
    return process


def run(arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """`snakemake` with the arguments in `folder`."""
    with tempfile.TemporaryDirectory() as said:
        request = {"arguments": arguments, "folder": str(folder), "said": said, "environment": environment}
        print(json.dumps(request), file=server().stdin, flush=True)
        code = int(server().stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(Path(said, str(fd)).read_text() for fd in (1, 2)))


def become_snakemake(request: dict) -> None:
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for fd in (1, 2):
        os.dup2(os.open(f"{request['said']}/{fd}", os.O_WRONLY | os.O_CREAT), fd)
    snakemake.cli.main(request["arguments"])


if __name__ == "__main__":
    import snakemake.cli

    snakemake.cli.get_argument_parser()  # imports Snakemake's own plug-ins
    for line in sys.stdin:
        if not os.fork():
            become_snakemake(json.loads(line))
        print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
