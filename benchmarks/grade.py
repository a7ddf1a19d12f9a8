"""Measures the mathematics grader: whether its verdicts are right, its speed, and whether it survives hostile answers.

    python benchmarks/grade.py adversarial   ten close but wrong answers to each of 300 real references
    python benchmarks/grade.py equivalent    each real reference written in eight other ways
    python benchmarks/grade.py answers       distinct typical answers per second, and where the time goes
    python benchmarks/grade.py hostile       10,000 answers: towers of powers, megabytes, deep nesting, odd Unicode, NaN
    python benchmarks/grade.py score         `chord score` on a million completions of 1 KB with 20,000 distinct pairs
    python benchmarks/grade.py rollouts      what judging the 256 rollouts of a training step costs

CPU seconds are those of this process and its workers: other processes affect only the wall time. The first two parts
read MATH-500, Minerva, OlympiadBench and GSM8K from --data, in the layout that the tests use.
"""

import argparse
import cProfile
import os
import pstats
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from equivalent_answers import some_equivalent
from references import FILES, read
from wrong_answers import some_wrong

from chord import tasks
from chord.evaluation import records, score
from chord.io.files import write_jsonl
from chord.tasks import math_grader

# The kinds of reference answers and their shares among 2,298 of OlympiadBench, MATH-500 and DeepScaleR.
KINDS = {"integer": 0.57, "fraction": 0.15, "decimal": 0.02, "expression": 0.17, "tuple": 0.06, "text": 0.03}


def typical(draw: random.Random) -> tuple[str, str]:
    """Draws a (gold, answer); half of the answers are right, and half of these are written differently."""
    a, b, c = draw.randint(2, 10**6), draw.randint(2, 999), draw.randint(2, 99)
    kind = draw.choices(list(KINDS), list(KINDS.values()))[0]
    gold, other, wrong = {
        "integer": (f"{a}", f"{a}.0", f"{a + 1}"),
        "fraction": (f"\\frac{{{a}}}{{{b}}}", f"{a}/{b}", f"\\frac{{{a}}}{{{b + 1}}}"),
        "decimal": (f"{a}.{b}", f"{a}.{b}0", f"{a + 1}.{b}"),
        "expression": (f"{a}\\sqrt{{{b}}}+{c}", f"{c}+{a}\\sqrt{{{b}}}", f"{a}\\sqrt{{{b + 1}}}+{c}"),
        "tuple": (f"({a},{b})", f"\\left({a}, {b}\\right)", f"({a},{b + 1})"),
        "text": (f"\\text{{{draw.choice('ABCDE')}{a}}}", f"\\mathrm{{A{a}}}", f"\\text{{no{a}}}"),
    }[kind]
    return gold, draw.choices([gold, other, wrong], [1, 1, 2])[0]


def _hostile_answer(number: int, n: int, value: str, right: bool, draw: random.Random) -> str:
    makers = [
        lambda: f"{n}^{{1^{{{draw.randint(2, 9)}}}}}" if right else "^{".join([str(n)] * 2) + "}",
        lambda: value if right else "^{".join([str(n)] * draw.randint(3, 9)) + "}" * 8,
        lambda: value if right else f"({n}.5^({n}^{draw.randint(2, 99)}))",
        lambda: value if right else f"{n}**{n}**{n}",
        lambda: value if right else f"\\frac{{{n}^{{{n}^{n}}}}}{{{n}^{{{n}^{n}}}}}+{n}",
        lambda: " " * 10**6 + value if number % 200 < 10 else " " * 1000 + value,
        lambda: value if right else str(n) * (250_000 if number % 200 < 20 else 300),
        lambda: "{" * 300 + value + "}" * 300,
        lambda: "(" * 12 + value + ")" * 12,
        lambda: value if right else "\\frac{1}{" * (11 + 2 * draw.randint(0, 150)) + str(n) + "}" * 300,
        lambda: value.translate({48 + digit: 0x1D7CE + digit for digit in range(10)}),
        lambda: value.translate({48 + digit: 0x0660 + digit for digit in range(10)}),
        lambda: draw.choice("\u200b\u2060\u202e\ufeff").join(value),
        lambda: value if right else f"nan{n}",
        lambda: value if right else f"\\text{{NaN}}+{n}",
        lambda: value if right else f"\\infty-{n}\\infty",
        lambda: value if right else "-" * (1 + 2 * draw.randint(0, 200)) + str(n),
        lambda: value if right else f"\ud800{n}\x00",
    ]
    return makers[number % len(makers)]()


def hostile(count: int, seed: int) -> Iterator[tuple[str, str, bool]]:
    """Yields (gold, response, whether the answer is right); all differ, and every tenth is right in a hostile form."""
    draw = random.Random(seed)
    for number in range(count):
        n = 2 + number
        right = number % 10 == 0
        value = str(n if right else n + 1)
        answer = _hostile_answer(number, n, value, right, draw)
        yield str(n), f"<think>\n{number}</think>\n\\boxed{{{answer}}}", right


def _workers_cpu() -> float:
    """The CPU seconds of all workers so far; ends the workers, because the system counts only processes that ended."""
    for worker in math_grader._pool()._workers:
        worker._process.stdin.close()  # if it were killed, it would not wait for its own children
        worker._process.wait()
    math_grader._pool().close()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def answers(arguments: argparse.Namespace) -> None:
    draw = random.Random(0)
    pairs = list(dict.fromkeys(typical(draw) for _ in range(arguments.count)))
    here, workers = time.process_time(), _workers_cpu()
    math_grader.judge_answers(pairs)
    cpu = time.process_time() - here + _workers_cpu() - workers
    print(f"all, from a cold start: {len(pairs) / cpu:,.0f} answers a CPU second")
    for kind in KINDS:
        selection = [pair for pair in pairs if _kind(pair) == kind]
        math_grader._reason.cache_clear()
        began = time.process_time()
        judgements = math_grader.judge_answers(selection)
        cpu = time.process_time() - began
        reasons = dict(Counter(judgement.reason for judgement in judgements))
        print(f"{kind:12} {len(selection):7,} answers {len(selection) / cpu:10,.0f} a CPU second  {reasons}")
    math_grader._reason.cache_clear()
    with cProfile.Profile() as profile:
        math_grader.judge_answers(pairs)
    pstats.Stats(profile).sort_stats("tottime").print_stats(18)


def _kind(pair: tuple[str, str]) -> str:
    gold = pair[0]
    marks = {"\\frac": "fraction", "\\sqrt": "expression", "(": "tuple", "\\text": "text", ".": "decimal"}
    return next((kind for mark, kind in marks.items() if mark in gold), "integer")


class Case(NamedTuple):
    dataset: str
    rule: str
    gold: str
    answer: str


def adversarial(arguments: argparse.Namespace) -> None:
    """Takes half of the references from each set, so that GSM8K's many numbers do not crowd out MATH-500's forms."""
    draw = random.Random(0)
    cases = []
    for dataset in ("math_500", "gsm8k"):
        for gold in draw.sample(read(arguments.data, dataset), arguments.count // 2):
            wrong = some_wrong(gold, 10, seed=0)
            assert len(wrong) == 10, f"{gold}: {len(wrong)} wrong answers"
            cases += [Case(dataset, rule, gold, answer) for rule, answer in wrong]
    _table(cases, right=False, target=0.001)


def equivalent(arguments: argparse.Namespace) -> None:
    cases = []
    for dataset in FILES:
        for gold in read(arguments.data, dataset)[: arguments.count]:
            ways = some_equivalent(gold, 8, seed=0)
            assert len(ways) == 8, f"{gold}: {len(ways)} ways"
            cases += [Case(dataset, rule, gold, answer) for rule, answer in ways]
    _table(cases, right=True, target=0.005)


def _table(cases: list[Case], right: bool, target: float) -> None:
    """Prints how many verdicts are wrong by rule and by dataset, and lists them. right: whether the answers are."""
    wall = time.perf_counter()
    judgements = math_grader.judge_answers([(case.gold, case.answer) for case in cases])
    wall = time.perf_counter() - wall
    mistakes = [(case, verdict) for case, verdict in zip(cases, judgements, strict=True) if verdict.correct != right]
    verb = "rejected" if right else "accepted"
    for title in ("dataset", "rule"):
        counts = Counter(getattr(case, title) for case in cases)
        errors_by_name = Counter(getattr(case, title) for case, _ in mistakes)
        print(f"{title:28} answers {verb:>9}")
        for name, number in sorted(counts.items(), key=lambda item: (-errors_by_name[item[0]], -item[1], item[0])):
            print(f"{name:28} {number:7,} {errors_by_name[name]:9,}")
    for case, verdict in mistakes:
        print(f"{verb} ({case.dataset}, {case.rule}; {verdict.reason}): {case.gold!r} {case.answer!r}")
    share = len(mistakes) / len(cases)
    print(f"{len(mistakes):,} of {len(cases):,} {verb} ({share:.2%}; at most {target:.1%} expected) in {wall:.1f} s")


def survive(arguments: argparse.Namespace) -> None:
    cases = list(hostile(arguments.count, seed=0))
    items = [({"id": str(n), "task": "math", "gold": gold}, text, False) for n, (gold, text, _) in enumerate(cases)]
    wall, here, workers = time.perf_counter(), time.process_time(), _workers_cpu()
    verdicts = list(tasks.verdicts(items))
    wall, here = time.perf_counter() - wall, time.process_time() - here
    print(
        f"{len(verdicts):,} answers in {wall:.1f} s wall; "
        f"CPU {here:.1f} s here, {_workers_cpu() - workers:.1f} s workers"
    )
    print("reasons", dict(Counter(verdict.reason for verdict in verdicts)))
    rejected_right = [
        (verdict, text[:80])
        for verdict, (_, text, right) in zip(verdicts, cases, strict=True)
        if right and not verdict.correct
    ]
    accepted_wrong = [
        (gold, text[:80])
        for verdict, (gold, text, right) in zip(verdicts, cases, strict=True)
        if verdict.correct and not right
    ]
    print(
        f"right answers: {sum(right for *_, right in cases)}, lost: {len(rejected_right)}; "
        f"wrong answers taken for right: {len(accepted_wrong)}"
    )
    for item in [*rejected_right[:10], *accepted_wrong[:10]]:
        print(ascii(item))


def score_million(arguments: argparse.Namespace) -> None:
    draw = random.Random(0)
    rows, texts = [], {}
    questions, k = 200, arguments.count // 200
    with tempfile.TemporaryDirectory() as folder:
        for number in range(questions):
            gold, _ = typical(draw)
            name = f"q-{number}"
            rows.append({"id": name, "messages": [], "gold": gold, "task": "math", "group": "all", "meta": {}})
            texts[name] = [gold] + [typical(draw)[1] for _ in range(99)]
        write_jsonl(Path(folder, "rows.jsonl"), rows)
        parts = []
        filler = "".join(draw.choices("abcdefgh ijklmnop", k=3000))
        for name, answers in texts.items():
            # Every text differs, as those of a model do; the pairs of gold and answer repeat.
            text = [
                f"<think>\n{sample} {filler[(start := draw.randint(0, 2000)) : start + 940]}</think>"
                f" \\boxed{{{answers[sample % 100]}}}"
                for sample in range(k)
            ]
            parts.append(
                pa.table(
                    {
                        "prompt_id": [name] * k,
                        "group": ["all"] * k,
                        "sample": range(k),
                        "text": text,
                        "tokens": [300] * k,
                        "truncated": [False] * k,
                        "seed": [0] * k,
                    },
                    schema=records.COMPLETIONS,
                )
            )
        record = {"method": "x", "seed_index": 0, "benchmark": "x", "k": k, "spec_hash": "x", "manifest": None}
        completions, out = Path(folder, "completions.parquet"), Path(folder, "scores.parquet")
        records.write(completions, pa.concat_tables(parts), record)
        del parts
        wall, here, workers = time.perf_counter(), time.process_time(), _workers_cpu()
        with cProfile.Profile() if arguments.profile else nullcontext() as profile:
            score.run(completions, Path(folder, "rows.jsonl"), out)
        wall, here = time.perf_counter() - wall, time.process_time() - here
        print(
            f"{questions * k:,} completions in {wall:.1f} s wall; CPU {here:.1f} s here, "
            f"{_workers_cpu() - workers:.1f} s workers; "
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"
        )
        if arguments.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)


def rollouts(arguments: argparse.Namespace) -> None:
    """Times steps of 32 prompts x 8 responses of 4 KB; the golds are integers, as in the paper's RL set, or typical."""
    draw = random.Random(0)
    for kind_of_gold in ("integers", "typical"):
        seconds = []
        for step in range(11):
            items = []
            for _ in range(32):
                gold = str(draw.randint(0, 999)) if kind_of_gold == "integers" else typical(draw)[0]
                for _ in range(8):
                    answer = gold if draw.random() < 0.5 else typical(draw)[1]
                    text = f"<think>\n{'step by step ' * 300}</think>\n \\boxed{{{answer}}}"
                    items.append(({"id": f"{step}", "task": "math", "gold": gold}, text, False))
            began = time.perf_counter()
            list(tasks.verdicts(items))
            seconds.append(time.perf_counter() - began)
        print(
            f"{kind_of_gold}: 256 responses, first step {seconds[0]:.3f} s, "
            f"later steps {sorted(seconds[1:])[5]:.4f} s (median)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {
        "adversarial": adversarial,
        "equivalent": equivalent,
        "answers": answers,
        "hostile": survive,
        "score": score_million,
        "rollouts": rollouts,
    }
    counts = {"adversarial": 300, "equivalent": None, "answers": 10_000, "hostile": 10_000, "score": 1_000_000}
    parser.add_argument("part", choices=parts)
    parser.add_argument("--count", type=int, help="items; for `equivalent`, references per set (defaults as above)")
    data = os.environ.get("CHORD_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=data, help="folder of real rows (CHORD_TEST_DATA)")
    parser.add_argument("--profile", action="store_true", help="score: show where the time goes (slower)")
    arguments = parser.parse_args()
    arguments.count = arguments.count or counts.get(arguments.part)
    parts[arguments.part](arguments)


if __name__ == "__main__":
    main()
