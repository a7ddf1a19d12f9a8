"""The scripts of `chord completion` in the shells that they are for."""

import shutil
import subprocess
from pathlib import Path

import pytest

from chord.cli import make_parser
from chord.completion import completion

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return {shell: completion(make_parser(), shell) for shell in ("bash", "zsh")}


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["pl"], {"plan"}),
        (["plan", "smok"], {"smoke"}),
        (["plan", "smoke", "--js"], {"--json"}),
        (["completion", ""], {"bash", "zsh"}),
        (["check", "--root", "workfl"], {"workflow"}),
    ],
)
def test_bash_completes_commands_studies_options_and_files(scripts: dict, words: list, completed: set) -> None:
    line = " ".join(f'"{word}"' for word in ["chord", *words])
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _shtab_chord; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{scripts['bash']}\n{ask}"], cwd=ROOT, capture_output=True, text=True)
    assert set(done.stdout.split()) == completed, done.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_can_load_its_script_and_finds_the_studies(scripts: dict) -> None:
    load = 'autoload -Uz compinit; compinit -D -u; eval "$(cat)"; print $_comps[chord]'
    look = "compadd() { print -l $@ }; _files() { }; _chord_studies"
    command = ["zsh", "-f", "-c", f"{load}; {look}"]
    done = subprocess.run(command, cwd=ROOT, input=scripts["zsh"], capture_output=True, text=True, check=True)
    handler, *words = done.stdout.split()
    assert handler == "_shtab_chord"
    assert {path.stem for path in (ROOT / "config/studies").glob("*.yaml")} <= set(words)
