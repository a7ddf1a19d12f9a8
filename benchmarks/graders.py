"""Compares our mathematics grader with those of lm-eval: how many verdicts are the same, and which are not.

    pip install --no-deps --target LM_EVAL lm-eval==0.4.13 antlr4-python3-runtime==4.11.1
    python benchmarks/graders.py DATA LM_EVAL

DATA has responses and references in the layout that the tests use: `openr1_math_220k_standin/train_qwen_math.jsonl`
(real responses in the format of OpenR1-Math-220k) and `math_500/test.jsonl`. Only the files of lm-eval that compare
answers are loaded, so its other requirements are not needed. It requires another antlr4 than ours, hence the separate
folder; the workers of our grader are processes and keep theirs.
"""

import argparse
import random
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from chord.io.files import read_jsonl
from chord.tasks import math_grader
from chord.tasks.answers import extraction


class Pair(NamedTuple):
    gold: str
    response: str
    solution: str  # the text from which `math_verify` of minerva_math reads the reference


def responses(data: Path) -> list[Pair]:
    rows = read_jsonl(data / "openr1_math_220k_standin" / "train_qwen_math.jsonl")
    return [Pair(row["answer"], text, row["solution"]) for row in rows for text in row["generations"]]


def references(data: Path) -> list[Pair]:
    """Each reference paired with itself, and with one drawn from all references."""
    rows = read_jsonl(data / "math_500" / "test.jsonl")
    draw = random.Random(0)
    return [
        Pair(row["answer"], f"\\boxed{{{answer}}}", row["solution"])
        for row in rows
        for answer in (row["answer"], draw.choice(rows)["answer"])
    ]


def utils(task: str) -> ModuleType:
    path = Path(find_spec("lm_eval").origin).parent / "tasks" / task / "utils.py"
    spec = spec_from_file_location(task, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("lm_eval", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(options.lm_eval))
    from math_verify import parse, verify  # with lm-eval's antlr4

    data = options.data
    hendrycks, minerva = utils("hendrycks_math"), utils("minerva_math")
    graders = {
        "hendrycks_math": lambda pair, box: hendrycks.is_equiv(box, pair.gold),
        "minerva_math": lambda pair, box: minerva.is_equiv(
            minerva.normalize_final_answer(box), minerva.normalize_final_answer(pair.gold)
        ),
        "minerva_math, math_verify": lambda pair, box: bool(verify(parse(pair.solution), parse(pair.response))),
    }
    for title, pairs in (("responses", responses(data)), ("references", references(data))):
        ours = [judgement.correct for judgement in math_grader.judge_responses([pair[:2] for pair in pairs])]
        print(f"{title}: {len(pairs)} pairs, {sum(ours)} right by ours")
        for name, grader in graders.items():
            theirs = [grader(pair, extraction.final_box(pair.response) or "") for pair in pairs]
            others = [pair for pair, one, other in zip(pairs, ours, theirs, strict=True) if one != other]
            print(f"  {name}: {len(pairs) - len(others)} the same, others:")
            for pair in others:
                print(f"    reference {pair.gold!r}, answer {extraction.final_box(pair.response)!r}")


if __name__ == "__main__":
    main()
