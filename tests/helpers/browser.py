"""Headless Chromium for tests of pages: it opens a page, runs a test's script in it, and returns what that found."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = next(
    (
        path
        for folder in [ROOT / "node_modules", *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(":")))]
        if (path := folder / "axe-core/axe.min.js").exists()
    ),
    None,
)
LACK = "no chromium" if not CHROMIUM else "no axe-core (npm install --no-save axe-core)" if not AXE else ""
# Frames are as wide as the windows of readers; Chromium itself opens none below 500 pixels.
HARNESS = """<!doctype html><title>harness</title><pre></pre><script>
const [page, axe, act, widths] = {parts};
(async () => {{
  const found = [];
  for (const width of widths) {{
    const frame = document.createElement("iframe");
    frame.style = `width: ${{width}}px; height: 900px; border: 0`;
    frame.srcdoc = page;
    document.body.append(frame);
    await new Promise((loaded) => frame.addEventListener("load", loaded));
    const run = (text) => {{
      const script = frame.contentDocument.createElement("script");
      script.textContent = text;
      frame.contentDocument.head.append(script);
    }};
    run(axe);
    run(`window.act = async () => {{ ${{act}} }}`);
    const result = {{}};
    try {{ result.acted = await frame.contentWindow.act(); }} catch (error) {{ result.acted = String(error); }}
    const {{violations}} = await frame.contentWindow.axe.run({{resultTypes: ["violations"]}});
    result.violations = violations.map(({{id, nodes}}) => `${{id}}: ${{nodes[0].html}}`);
    found.push({{...result, overflow: frame.contentDocument.documentElement.scrollWidth - width}});
    frame.remove();
  }}
  document.querySelector("pre").textContent = JSON.stringify(found);
}})();
</script>"""


def dump(page: Path) -> str:
    """The page as it is once its own scripts have run."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    command = [CHROMIUM, *flags, f"--user-data-dir={page.parent / 'profile'}", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def try_out(page: str, act: str, widths: tuple[int, ...], folder: Path) -> list[dict]:
    """For each width: what the script `act` returns, the `violations` that axe-core finds then, the `overflow`.

    The page's policy, which forbids scripts other than its own, is taken out of the copy that is tried.
    """
    page = re.sub(r"<meta http-equiv=.Content-Security-Policy.*?>", "", page)
    parts = json.dumps([page, AXE.read_text(encoding="utf-8"), act, widths]).replace("</", "<\\/")
    path = folder / "harness.html"
    path.write_text(HARNESS.format(parts=parts), encoding="utf-8")
    return json.loads(unescape(re.search(r"<pre>(.*?)</pre>", dump(path), re.DOTALL)[1]))
