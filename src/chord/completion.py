"""`chord completion`: a script that completes commands, options, studies and files, made by shtab from the parser."""

from argparse import ArgumentParser
from pathlib import Path

import shtab

# Studies are looked up when a name is completed: those of the folder that the shell is in then.
STUDIES = {
    "bash": """_chord_studies() {
  compgen -W "$(basename -s .yaml -a config/studies/*.yaml)" -- "$1"
  compgen -f -- "$1"
}""",
    "zsh": "_chord_studies() { compadd -- config/studies/*.yaml(N:t:r); _files }",
}


def completion(parser: ArgumentParser, shell: str) -> str:
    (commands,) = parser._subparsers._group_actions  # argparse has no public way to them; shtab takes the same
    for command in commands.choices.values():
        for action in command._actions:
            if action.dest == "study":
                action.complete = dict.fromkeys(STUDIES, "_chord_studies")
            elif action.type is Path:
                action.complete = shtab.FILE
    return shtab.complete(parser, shell, preamble=STUDIES[shell])
