"""Wheels made in a test, in a folder that takes the place of every package index."""

import os
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile, ZipInfo


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    files: dict[str, bytes],
    metadata: Sequence[str] = ("License-Expression: MIT",),
    tag: str = "py3-none-any",
) -> Path:
    """metadata: further lines of METADATA."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = {
        "METADATA": "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *metadata, ""]),
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        "RECORD": "",
    }
    path = folder / f"{stem}-{tag}.whl"
    with ZipFile(path, "w") as wheel:
        for place, content in files.items():
            wheel.writestr(ZipInfo(place), content)  # the same bytes at any time
        for place, text in info.items():
            wheel.writestr(ZipInfo(f"{stem}.dist-info/{place}"), text)
    return path


def only_folder(folder: Path) -> dict[str, str]:
    """Variables that let pip find packages in this folder and nowhere else, whatever the machine's configuration."""
    return {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
