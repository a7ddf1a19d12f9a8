"""A hook of mkdocs: README.md is the first page, and files of the repository that pages link to travel with the site.

A page names them relative to itself, as a reader of the repository needs it. No public address of the repository is
known, so a file that is no page lies under `repository/` in the site; a link to a folder becomes plain text.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"(!?)\[((?:!\[[^]]*\]\([^)]*\)|[^][])*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
HOME, PLACE = "README.md", "repository"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    root = Path(config.docs_dir).parent
    waiting, seen = [HOME, *(f"docs/{file.src_uri}" for file in files.documentation_pages())], set()
    while waiting:
        name = waiting.pop()
        if name in seen or not (root / name).is_file():
            continue
        seen.add(name)
        if not name.startswith("docs/"):
            files.append(File.generated(config, site_uri(name), abs_src_path=str(root / name)))
        if name.endswith(".md"):
            waiting += [target(name, link) for link in links((root / name).read_text(encoding="utf-8"))]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    root = Path(config.docs_dir).parent
    here = repository_name(page.file.src_uri)

    def rewritten(match: re.Match) -> str:
        mark, text, link, anchor = match[1], LINK.sub(rewritten, match[2]), match[3], match[4] or ""
        name = target(here, link)
        if (root / name).is_dir():
            return text
        return f"{mark}[{text}]({os.path.relpath(site_uri(name), Path(page.file.src_uri).parent)}{anchor})"

    return outside_code(LINK, rewritten, markdown)


def outside_code(pattern: re.Pattern, replace, markdown: str) -> str:
    """Replace everywhere but in fenced blocks."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else pattern.sub(replace, part) for part in parts)


def links(markdown: str) -> list[str]:
    """The relative links and images of a page, those within the text of another link included."""
    found: list[str] = []
    outside_code(LINK, lambda match: found.extend([match[3], *links(match[2])]) or "", markdown)
    return found


def target(page: str, link: str) -> str:
    """The file of the repository that a page of the repository links to."""
    return os.path.normpath(Path(page).parent / link)


def site_uri(name: str) -> str:
    """Where a file of the repository lies in the site."""
    if name == HOME:
        return "index.md"
    return name.removeprefix("docs/") if name.startswith("docs/") else f"{PLACE}/{name}"


def repository_name(uri: str) -> str:
    """The inverse of `site_uri`."""
    if uri == "index.md":
        return HOME
    return uri.removeprefix(f"{PLACE}/") if uri.startswith(f"{PLACE}/") else f"docs/{uri}"
