"""Style and scripts of the pages, inlined: a page is one file, and its policy lets it load and run nothing else."""

import base64
import hashlib
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

HERE = Path(__file__).parent


class Assets(NamedTuple):
    style: Markup
    script: Markup
    policy: str  # a Content-Security-Policy


def assets(script: Path, policy: str) -> Assets:
    """What a page with the script `script` inlines. policy: what it may load, beside its own style and script."""
    paths = HERE / "page.css", HERE / "dom.js", HERE / "chart.js", script
    style, *scripts = (path.read_text(encoding="utf-8") for path in paths)
    code = "\n".join(scripts)
    return Assets(Markup(style), Markup(code), f"{policy}; style-src {_only(style)}; script-src {_only(code)}")


def _only(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
