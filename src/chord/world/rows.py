"""Makes rows (prompts with their gold answers) from the world and its skills. docs/files.md has the format."""

from collections.abc import Sequence

from chord.errors import UserError
from chord.io.seeds import derive_seed
from chord.world import problems, skills, solutions

MAX_DRAWS = 10_000  # per row; a split holds a tenth of all problems, so this many misses means there is nothing left


def world_rows(split: str, name: str, ks: Sequence[int], count: int, seed: int) -> list[dict]:
    """Make `count` different problems of one split, with the `ks` in turn. Row i is the same for every larger `count`.

    name: prefix of the ids and part of the seed, so that two files from the same split draw different problems. They
    may still share some; `prepare` checks that its files do not.
    """
    rows, seen = [], set()
    for place in range(count):
        k = ks[place % len(ks)]
        for draw in range(MAX_DRAWS):
            problem = problems.generate(derive_seed(seed, "world", name, place, draw), k)
            if problems.split_of(problem) == split and problem.canonical not in seen:
                break
        else:
            raise UserError(f"split {split!r}: no new problem with k={k} after {place} rows; ask for fewer rows")
        seen.add(problem.canonical)
        rows.append(
            {
                "id": f"{name}-{place:06d}",
                "messages": [{"role": "user", "content": problem.text}],
                "gold": solutions.gold(problem),
                "task": "world",
                "group": f"T{ks.index(k) + 1}",
                "meta": {"k": k, "statements": len(problem.statements)},
            }
        )
    return rows


def skill_rows(name: str, groups: list[str], count_per_group: int, seed: int) -> list[dict]:
    """Make `count_per_group` different questions for each skill, none of which pretraining has seen."""
    rows, seen = [], set()
    for group in groups:
        for place in range(count_per_group):
            for draw in range(MAX_DRAWS):
                question = skills.generate(derive_seed(seed, "skills", name, group, place, draw), group)
                if skills.is_test(question.text) and question.text not in seen:
                    break
            else:
                raise UserError(f"skill {group!r}: no new question after {place} rows; ask for fewer rows")
            seen.add(question.text)
            rows.append(
                {
                    "id": f"{name}-{group}-{place:06d}",
                    "messages": [{"role": "user", "content": question.text}],
                    "gold": question.gold,
                    "task": "choice",
                    "group": group,
                    "meta": {},
                }
            )
    return rows
