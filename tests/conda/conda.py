"""A stand-in for `conda`, with the few commands that Snakemake calls (9.27), to drive its own conda code without one.

`env create` makes a virtual environment that sees the packages of the Python that runs this, and lets pip install the
file's pip section, offline: what is there in the asked version is satisfied, anything else is an error. No channel is
looked at and nothing is solved: the interpreter is the running one, whatever the file says of conda's own packages.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import yaml


def main(prefix: str, *arguments: str) -> None:
    """prefix: where the stand-in is installed, as <prefix>/bin/conda with <prefix>/bin/activate beside it."""
    match arguments:
        case ["--version"]:
            print("conda 24.7.1")
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": prefix, "platform": "linux-64"}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", "--quiet", "--no-default-packages", "--file", file, "--prefix", folder]:
            create(Path(file), Path(folder))
        case ["clean", "-y", "--tarballs"]:
            pass  # it keeps none
        case _:
            sys.exit(f"stand-in for conda: {' '.join(arguments)}: not a call that it knows")


def create(file: Path, folder: Path) -> None:
    dependencies = yaml.safe_load(file.read_text(encoding="utf-8"))["dependencies"]
    pins = [pin for item in dependencies if isinstance(item, dict) for pin in item["pip"]]
    venv.create(folder, symlinks=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    own = Path(sysconfig.get_path("purelib", "venv", scheme))
    # A folder named in a .pth is searched, but a .pth in it is not read: an editable install of ours stays outside.
    (own / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write("\n".join(pins))
        requirements.flush()
        pip = [folder / "bin/python", "-m", "pip", "--isolated", "install", "--quiet", "--no-index"]
        # No settings of this machine: they could name a folder of wheels.
        without = os.environ | {"PIP_CONFIG_FILE": os.devnull}
        subprocess.run([*pip, "-r", requirements.name], check=True, env=without)


if __name__ == "__main__":
    main(*sys.argv[1:])
