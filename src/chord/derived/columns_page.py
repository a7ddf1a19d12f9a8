"""The page docs/files.md: the keys and columns of the files that a study writes, from the code that writes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chord.analysis.cells.cell_files import CELL_COLUMNS, DIFFERENCE_COLUMNS
from chord.analysis.tables import table
from chord.analysis.tables.costs import METRICS
from chord.analysis.tuning import COLUMNS as TUNING_COLUMNS
from chord.data.row_format import EXPERT_KEYS, KEYS
from chord.evaluation.records import COMPLETION_COLUMNS, SCORE_COLUMNS
from chord.training.curve_columns import CORRECTION_MEANINGS, FROZEN_MEANINGS, MEANINGS, SYNC_MEANINGS

INTRODUCTION = """# Files and columns

Everything that a study writes lies under `results/<study>/`. [architecture.md](architecture.md)
says which command reads and writes which file, and [glossary.md](glossary.md) explains the words.
`chord derived` makes this page from the code that writes the files.
"""


def page(root: Path) -> str:
    """root: of the repository; nothing there is read."""
    return "\n".join(
        [
            INTRODUCTION,
            "## Rows of prompts, validation and benchmarks",
            "",
            "`data/{sft,rl,validation}.jsonl`, `data/benchmarks/<benchmark>.jsonl`: one JSON object a line.",
            "",
            listed("key", KEYS),
            "## Expert rows",
            "",
            "`data/experts.jsonl`, `data/traces.jsonl`: the keys above, and",
            "",
            listed("key", EXPERT_KEYS),
            "## `curves.csv`",
            "",
            "`runs/<method>/seed-<n>/curves.csv`: one line a step, and counts are those of the step. A field is",
            "empty where a value does not exist at that step. SFT runs have mu = 1, a_rl = 0 and a_ex = 1 and",
            "leave the columns of rollouts empty.",
            "",
            listed("column", MEANINGS),
            "Runs that sample by vLLM ([scale.md](scale.md#rollouts-by-vllm)) also have",
            "",
            listed("column", SYNC_MEANINGS),
            "those of them with an importance correction ([scale.md](scale.md#importance-correction))",
            "",
            listed("column", CORRECTION_MEANINGS),
            "and runs with a frozen model ([objective.md](objective.md#what-a-step-does))",
            "",
            listed("column", FROZEN_MEANINGS),
            "## `completions.parquet`",
            "",
            "`runs/<method>/seed-<n>/<benchmark>.completions.parquet`: one row a sample.",
            "",
            listed("column", COMPLETION_COLUMNS),
            "## `scores.parquet`",
            "",
            "`runs/<method>/seed-<n>/<benchmark>.scores.parquet`: the same samples with their verdicts.",
            "",
            listed("column", SCORE_COLUMNS),
            "## `cells.parquet`",
            "",
            "`<comparison>/cells.parquet`: one row for each method, benchmark, group and metric.",
            "",
            listed("column", CELL_COLUMNS),
            "## `differences.parquet`",
            "",
            "`<comparison>/differences.parquet`: one row for each pair of methods, likewise.",
            "",
            listed("column", DIFFERENCE_COLUMNS),
            "## Tables as csv",
            "",
            "`<comparison>/tables/<table>.csv` and `claims/<scope>/claims.csv`: one line an entry, with those of",
            "these columns that the table has.",
            "",
            listed("column", table.COLUMNS),
            "## `costs.csv`",
            "",
            "`<comparison>/tables/costs.csv` has one line for each method and `metric`:",
            "",
            listed("metric", {name: meaning for name, (_, meaning) in METRICS.items()}),
            "## `tuning.csv`",
            "",
            "One line for each trial of the search.",
            "",
            listed("column", TUNING_COLUMNS),
        ]
    )


def listed(heading: str, columns: Mapping[str, str | tuple[Any, str]]) -> str:
    """A Markdown table of names and meanings, with types where the columns have them."""
    if all(isinstance(value, str) for value in columns.values()):
        lines = [f"| {heading} | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {meaning} |" for name, meaning in columns.items()]
    else:
        lines = [f"| {heading} | type | meaning |", "|---|---|---|"]
        lines += [f"| `{name}` | {type_name(kind)} | {meaning} |" for name, (kind, meaning) in columns.items()]
    return "\n".join([*lines, ""])


def type_name(kind: Any) -> str:
    """Of a type of pyarrow: `list of double` for list<item: double>."""
    return f"list of {kind.value_type}" if hasattr(kind, "value_type") else str(kind)
