"""A Python that need not import the large packages: each call is a fork of one process that has, which saves seconds.

It knows `python -m MODULE ARGUMENTS` only. Arguments, folder, variables, standard streams and exit code are the
caller's, and the code of the checkout is imported in each fork. It is not for what is killed together with its process
group, because a fork is a child of the server.
"""

import atexit
import gc
import json
import os
import runpy
import select
import shlex
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

PACKAGES = (
    "torch.distributed.fsdp",
    "torch.utils.tensorboard",
    "transformers.models.auto.modeling_auto",
    "trl.trainer.grpo_trainer",
    "trl.trainer.sft_trainer",
    "matplotlib.pyplot",
    "pyarrow.parquet",
    "scipy.special",
    "pydantic",
    "jinja2",
)
# Libraries read this variable when they are imported: jobs run without a network, and the others start cold.
OFFLINE = {"HF_HUB_OFFLINE": "1"}
CALL = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    socket.send_fds(server, [b" "], [0, 1, 2])
    request = {"arguments": sys.argv[2:], "folder": os.getcwd(), "variables": dict(os.environ)}
    server.sendall(json.dumps(request).encode())
    server.shutdown(socket.SHUT_WR)
    code = int(server.recv(9) or 1)
sys.exit(code if code >= 0 else 128 - code)
"""


@cache
def warm_python(*prefix: str) -> str:
    """The path of the program; its server ends with this process. prefix: a command that runs the server."""
    temporary = tempfile.TemporaryDirectory()
    atexit.register(temporary.cleanup)
    folder = Path(temporary.name)
    (folder / "call.py").write_text(CALL)
    cold = shlex.quote(sys.executable)
    warm = f"{cold} -IS {folder}/call.py {folder}/door"
    python = folder / "python"
    python.write_text(f'#!/bin/sh\n[ "$HF_HUB_OFFLINE" = 1 ] || exec {cold} "$@"\nexec {warm} "$@"\n')
    python.chmod(0o755)
    server = subprocess.Popen(
        [*prefix, sys.executable, "-P", __file__, folder / "door", python],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | OFFLINE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(server.communicate)  # closes its standard input
    server.stdout.readline()
    return str(python)


def serve(door: str, python: str) -> None:
    """Answer calls at the socket `door` until standard input is closed. python: the path of the program."""
    for package in PACKAGES:
        import_module(package)
    import_module("snakemake.cli").get_argument_parser()  # imports Snakemake's own plug-ins
    gc.freeze()  # a collection in a fork would write to, and so copy, what it shares with this process
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(door)
        listener.listen()
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            call, _ = listener.accept()
            if not os.fork():
                answer(call, python)
            call.close()
            reap(os.WNOHANG)
    reap(0)


def reap(options: int) -> None:
    """Wait for the processes that answered, so that their CPU seconds count as those of the tests."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def answer(call: socket.socket, python: str) -> None:
    """Run what is asked for in a fork, say how it ended, and exit."""
    _, streams, _, _ = socket.recv_fds(call, 1, 3)
    with call.makefile() as text:
        request = json.load(text)
    if not os.fork():
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        become(python, **request)
    call.sendall(str(os.waitstatus_to_exitcode(os.wait()[1])).encode())
    os._exit(0)


def become(python: str, arguments: list[str], folder: str, variables: dict[str, str]) -> None:
    option, module, *rest = arguments
    assert option == "-m"
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = [folder, *filter(None, variables.get("PYTHONPATH", "").split(":"))]
    sys.argv[1:] = rest
    if module == "snakemake":
        sys.executable = python  # its jobs are forks too; what a job starts is not, as it may watch its parent
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    serve(*sys.argv[1:])
