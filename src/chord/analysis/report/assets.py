"""Templates of the pages, and style and scripts to inline: a page is one file, which may load and run nothing else."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jinja2
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


def template(path: Path, **filters: Callable) -> jinja2.Template:
    """A template of HTML, in which a misspelt name is an error, not an empty string."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.filters |= filters
    return environment.from_string(path.read_text(encoding="utf-8"))


def _only(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
