"""Dockerfile and apptainer.def: images that run the workflow, with the interpreter and the pins of environment.yml.

The workflow lies in /chord, and runs in the folder that the caller mounts: results go there.
"""

import json
from pathlib import Path

import yaml

# What the workflow reads of the repository; pip reads README.md to install the command `chord`.
FILES = ("Snakefile", "environment.yml", "pyproject.toml", "README.md")
FOLDERS = ("workflow", "profiles", "config", "src", "models")
MADE = "# `chord derived` makes this file from environment.yml.\n"
SYSTEM = "apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*"
INSTALL = "pip install --no-cache-dir --no-deps -e /chord"
RUN = ("snakemake", "--snakefile", "/chord/Snakefile")


def environment(root: Path) -> tuple[str, list[str]]:
    """The image of the interpreter, and the pins of the packages."""
    python, *_, packages = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    return f"python:{python.removeprefix('python=')}-slim", packages["pip"]


def dockerfile(root: Path) -> str:
    image, pins = environment(root)
    lines = [
        f'{MADE}#   docker build -t chord . && docker run -v "$PWD:/work" chord main --config study=smoke',
        f"FROM {image}",
        f"RUN {SYSTEM}",
        "RUN pip install --no-cache-dir \\",
        *(f"    {pin} \\" for pin in pins[:-1]),
        f"    {pins[-1]}",
        f"COPY {' '.join(FILES)} /chord/",
        *(f"COPY {folder} /chord/{folder}" for folder in FOLDERS),
        f"RUN {INSTALL}",
        "ENV OMP_NUM_THREADS=1",
        "WORKDIR /work",
        f"ENTRYPOINT {json.dumps(RUN)}",
        'CMD ["main"]',
    ]
    return "\n".join([*lines, ""])


def apptainer(root: Path) -> str:
    image, pins = environment(root)
    lines = [
        f"{MADE}#   apptainer build chord.sif apptainer.def && ./chord.sif main --config study=smoke",
        "Bootstrap: docker",
        f"From: {image}",
        "",
        "%files",
        *(f"    {name} /chord/{name}" for name in (*FILES, *FOLDERS)),
        "",
        "%post",
        f"    {SYSTEM}",
        "    pip install --no-cache-dir \\",
        *(f"        {pin} \\" for pin in pins[:-1]),
        f"        {pins[-1]}",
        f"    {INSTALL}",
        "",
        "%environment",
        "    export OMP_NUM_THREADS=1",
        "",
        "%runscript",
        f'    exec {" ".join(RUN)} "$@"',
    ]
    return "\n".join([*lines, ""])
