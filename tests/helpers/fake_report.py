"""The report of a made-up study: results in the real file formats, and the page that is made of them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chord.analysis.catalogue import FIGURES, TABLES
from chord.analysis.cells import estimates
from chord.analysis.claims.fragment import claims_html
from chord.analysis.figures import plot
from chord.analysis.report.page import run as write_page
from chord.analysis.tables import tabulate
from chord.io.files import write_jsonl
from tests.helpers import fake_study

REPORTED = Path(__file__).parents[2] / "config" / "paper" / "reported.yaml"
NAMES = ("original", "sft_best", "rl", "chord_mu", "chord_phi")
COLUMNS = [{"benchmark": "world", "title": "World"}, {"benchmark": "world", "group": "T1", "title": "T1"}]


CHAINS = {name: fake_study.CHAINS[name] for name in NAMES}
GATES = Path(__file__).parents[2] / "models" / "world-base" / "manifest.json"


def table_spec(name: str) -> dict:
    content = {"chains": CHAINS} if TABLES[name].kind == "costs" else {"columns": COLUMNS}
    if TABLES[name].kind == "differences":
        content["pairs"] = fake_study.pairs("rl", methods=NAMES)
    return {"name": name, "methods": fake_study.titles(*NAMES)} | content


def report_spec(**extra) -> dict:
    comparison = {
        "name": "main",
        "title": "Main <comparison>",
        "methods": fake_study.titles(*NAMES),
        "columns": COLUMNS[:1],
        "tables": list(TABLES),
        "figures": ["fig2", "fig9", "frontier"],
    }
    spec = {"study": "fake", "title": "A made-up study", "question": "Is it a page?", "seeds": [0, 1, 2]}
    spec |= {"sampled": "world"}
    return spec | {"comparisons": [comparison]} | extra


def make(root: Path) -> Path:
    """The results of a study of one comparison, with its tables, figures and claims; returns `root`."""
    folders = fake_study.make(root, n_questions=12, steps=20)
    paths = [path for folder in folders if folder.parts[-2] in NAMES for path in folder.glob("world.scores.parquet")]
    methods = fake_study.titles(*NAMES)
    estimates.run(
        {
            "comparison": "main",
            "methods": methods,
            "pairs": fake_study.pairs("rl", methods=NAMES),
            "seeds": [0, 1, 2],
            "decodings": {"world": "paper", "skills": "paper"},
        },
        paths,
        root / "main",
    )
    for name in ("fig2", "fig9", "frontier"):
        shown = FIGURES[name].methods or NAMES[1:]
        runs = [folder for folder in folders if folder.parts[-2] in shown]
        chains = CHAINS if name == "frontier" else {}
        spec = {"name": name, "methods": fake_study.titles(*shown), "chains": chains}
        plot.run(spec, root / "main" / "figures", runs)
    of_runs = {"runs": [folder for folder in folders if folder.parts[-2] in NAMES[1:]]}
    of_cells = {name: root / "main" / f"{name}.parquet" for name in ("cells", "differences")}
    for name in TABLES:
        tabulate.run(
            table_spec(name), root / "main" / "tables", **(of_runs if TABLES[name].kind == "costs" else of_cells)
        )
    write_claims(root / "claims.json")
    return root


def write_claims(path: Path, **changes) -> Path:
    path.write_text(json.dumps(CLAIMS | changes), encoding="utf-8")
    path.with_suffix(".csv").touch()
    path.with_suffix(".html").write_text(claims_html(CLAIMS | changes, path.with_suffix(".csv").name), encoding="utf-8")
    return path


def judged(verdict: str, **extra) -> dict:
    found = {"label": "A vs B", "rule": "above", "margin": 0.01, "why": "one point is little", "unit": "share"}
    found |= {"estimate": 0.05, "low": 0.02, "high": 0.08, "detectable": 0.04, "n_seeds": 3, "n_questions": 12}
    found |= {"needed": "> 1.0 points", "found": "+5.0 points [+2.0, +8.0]", "missing": None}
    return found | {"verdict": verdict} | extra


CLAIMS = {
    "source": "a paper",
    "git_commit": "a1b2c3d4e5f6a7b8",
    "date": "2026-01-02T03:04:05+00:00",
    "modified": False,
    "before_runs": True,
    "n_tests": 2,
    "counts": {"supported": 1, "contradicted": 0, "undecided": 0, "not measured": 1},
    "expected_false_verdicts": 0.1,
    "claims": [
        {"name": "one", "sentence": "A < B.", "paper": "Table 1", "verdict": "supported", "missing": [],
         "tests": [judged("supported"), judged("supported", rule="at_most", margin=0.1)]},
        {"name": "two", "sentence": "C dips.", "paper": "Figure 4", "verdict": "not measured",
         "missing": ["the study has no method c"],
         "tests": [judged("not measured", estimate=None, low=None, high=None, found="", n_seeds=0,
                           missing="the study has no method c")]},
    ],
}  # fmt: skip


def page(results: Path, out: Path, claims: Path | None = None, tuning: Path | None = None, **extra) -> str:
    claims = claims or results / "claims.json"
    write_page(report_spec(**extra), results, out, reported=REPORTED, claims=claims, tuning=tuning, gates=GATES)
    return out.read_text(encoding="utf-8")


def add_responses(study: Path, question: str) -> dict[str, list[dict]]:
    """Let two methods answer every question; returns the rows of their scores, with the texts as HTML has them."""
    scores = {name: pq.read_table(study / f"runs/{name}/seed-0/world.scores.parquet").to_pylist() for name in NAMES[:2]}
    ids = list(dict.fromkeys(row["prompt_id"] for row in scores[NAMES[0]]))
    message = {"role": "user", "content": question}
    write_jsonl(
        study / "data/benchmarks/world.jsonl", [{"id": id_, "messages": [message], "gold": "<7>"} for id_ in ids]
    )
    for name, rows in scores.items():
        texts = [f"<think>{name} {row['prompt_id']} {row['sample']}</think>" for row in rows]
        table = pa.table({"prompt_id": [row["prompt_id"] for row in rows], "sample": [row["sample"] for row in rows]})
        pq.write_table(
            table.append_column("text", pa.array(texts)), study / f"runs/{name}/seed-0/world.completions.parquet"
        )
        for row in rows:
            row["text"] = f"&lt;think&gt;{name} {row['prompt_id']} {row['sample']}&lt;/think&gt;"
    return scores
