"""The badges of README.md as SVG files of the repository, so that no page asks another host for them."""

import tomllib
from pathlib import Path

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {value}">
<rect width="{left}" height="20" rx="3" fill="#555"/>
<rect x="{left}" width="{right}" height="20" rx="3" fill="#0b6e99"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{left_middle}" y="14">{label}</text>
<text x="{right_middle}" y="14">{value}</text>
</g>
</svg>
"""
LETTER, MARGIN = 7, 12  # pixels
NAMES = ("version", "licence", "python", "snakemake", "paper")


def badge(root: Path, name: str) -> str:
    """The badge of one of NAMES, with a value of pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(pin.split("==") for pin in project["dependencies"])
    label, value = {
        "version": ("version", project["version"]),
        "licence": ("licence", project["license"]),
        "python": ("Python", project["requires-python"].replace(">=", "≥ ")),
        "snakemake": ("Snakemake", pins["snakemake"]),
        "paper": ("arXiv", "2508.11408"),
    }[name]
    left, right = (LETTER * len(text) + MARGIN for text in (label, value))
    middles = {"left_middle": left / 2, "right_middle": left + right / 2}
    return SVG.format(label=label, value=value, left=left, right=right, width=left + right, **middles)
