"""A table, and how it is written down: csv (full precision, one line an entry), Markdown, LaTeX (booktabs) and HTML."""

import csv
import io
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from chord.io.files import write_json, write_text

# Column of a csv -> meaning (docs/files.md). A table has those that its entries have.
COLUMNS = {
    "claim": "name of the claim",
    "claim_verdict": "verdict on the claim",
    "test": "one of its tests",
    "verdict": "verdict of this test",
    "missing": "what the runs lack for it",
    "rule": "`above`, `at_most` or `within`",
    "margin": "what the estimate is compared with",
    "unit": "of the estimate and the margin",
    "method": "the method",
    "reference": "the method that it is compared with",
    "title": "the method's name in tables",
    "benchmark": "what was measured",
    "group": "a group of the benchmark",
    "metric": "as in `cells.parquet`, or a metric of the costs",
    "estimate": "the value; of a difference, method minus reference",
    "low": "lower end of the 95 % interval",
    "high": "upper end",
    "p": "p-value",
    "p_holm": "p-value after Holm's correction",
    "detectable": "smallest true difference that is found with 80 % power at the 5 % level",
    "sd_decoding": "uncertainty by the draw of the samples",
    "sd_questions": "by the draw of the questions",
    "sd_seeds": "by the training runs",
    "n_questions": "number of questions",
    "n_seeds": "number of runs, or of pairs of runs",
    "k": "samples of each question",
    "seeds": "the seed indices that both methods have",
    "seed_estimates": "one for each seed",
    "learns_from": "what training is told beyond its prompts: rewards, the expert's text, a teacher's "
    "log-probabilities of the policy's own samples, or its logits there",
    "runs": "run folders",
    "config_hash": "hash of the methods, seed indices and specifications of these runs",
    "reported": "the paper's number",
    "reported_provenance": "how the paper's number was obtained",
    "reported_source": "where the paper has it",
}

_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "−": r"\ensuremath{-}", "–": "--", "×": r"\ensuremath{\times}", "±": r"\ensuremath{\pm}", "→": r"\ensuremath{\to}",
    "‡": r"\textsuperscript{\ddag}",
    "µ": r"\ensuremath{\mu}", "μ": r"\ensuremath{\mu}", "φ": r"\ensuremath{\phi}", "ϕ": r"\ensuremath{\phi}",
    "\u202f": r"\,", "γ": r"\ensuremath{\gamma}", "≤": r"\ensuremath{\le}", "≥": r"\ensuremath{\ge}",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One place of a table. `note` stands after the interval: what could have been detected, or the paper's number.
    `sizes` says what the number rests on; the page shows it when a reader points at it."""

    estimate: str = "–"
    interval: str = ""
    marks: str = ""
    note: str = ""
    sizes: str = ""


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | Entry, ...], ...]
    notes: tuple[str, ...]
    records: tuple[dict, ...] = field(repr=False)  # one for each entry: the csv
    columns: tuple[str, ...] = ()  # LaTeX column types; none: the first left, the others right

    @property
    def caption(self) -> str:
        return " ".join([f"{self.title}.", *self.notes])


def write_table(table: Table, folder: Path, record: dict) -> None:
    """Write <name>.csv, .md, .tex, .html (a fragment) and .manifest.json, which is `record` with the caption."""
    stem = Path(folder) / table.name
    for kind, text in (("csv", csv_text), ("md", markdown), ("tex", latex), ("html", html)):
        write_text(f"{stem}.{kind}", text(table))
    write_json(f"{stem}.manifest.json", record | {"caption": table.caption})


def csv_text(table: Table) -> str:
    """Columns that no entry has are left out; lists are joined by spaces; empty means unknown."""
    columns = [name for name in COLUMNS if any(name in record for record in table.records)]
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    for record in table.records:
        writer.writerow({name: _csv_value(record.get(name)) for name in record})
    return file.getvalue()


def _csv_value(value: object) -> object:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return "" if value is None else value


def markdown(table: Table) -> str:
    lines = [
        f"**{markdown_escape(table.title)}.**",
        "",
        "| " + " | ".join(markdown_escape(name) for name in table.header) + " |",
        "".join("|---:" if column == "r" else "|---" for column in _columns(table)) + "|",
        *("| " + " | ".join(markdown_escape(_plain(cell)) for cell in row) + " |" for row in table.rows),
        "",
        *(markdown_escape(note) for note in table.notes),
        markdown_escape(f"Runs, configuration hashes and full precision: {table.name}.csv."),
    ]
    return "\n".join(lines) + "\n"


def _columns(table: Table) -> tuple[str, ...]:
    return table.columns or ("l", *"r" * (len(table.header) - 1))


def _plain(cell: str | Entry) -> str:
    if isinstance(cell, str):
        return cell
    return " ".join(part for part in (cell.estimate + cell.marks, cell.interval, cell.note) if part)


def markdown_escape(text: str) -> str:
    return re.sub(r"([\\|*_`<>])", r"\\\1", text)


def tex_escape(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)


def latex(table: Table) -> str:
    r"""A table environment for \input; needs \usepackage{booktabs}, nothing else."""
    body = [" & ".join(_tex_cell(cell) for cell in row) + r" \\" for row in table.rows]
    lines = [
        rf"% {table.name}: runs, configuration hashes and full precision are in {table.name}.csv",
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{tex_escape(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{''.join(_columns(table))}}}",
        r"\toprule",
        " & ".join(tex_escape(name) for name in table.header) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex_cell(cell: str | Entry) -> str:
    if isinstance(cell, str):
        return tex_escape(cell)
    small = tex_escape(" ".join(part for part in (cell.interval, cell.note) if part))
    # The braces keep "[" from being read as the optional argument of a preceding "\\".
    return tex_escape(cell.estimate + cell.marks) + (rf" {{\scriptsize {small}}}" if small else "")


def html(table: Table) -> str:
    """A <figure> with a table that scrolls in its own box; the page that holds it gives it a name and the looks."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    body = "\n".join("<tr>" + "".join(_html_cell(cell) for cell in row) + "</tr>" for row in table.rows)
    notes = " ".join(escape(note) for note in table.notes)
    return (
        f'<figure class="table"><figcaption><b>{escape(table.title)}.</b> {notes}</figcaption>\n'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div></figure>\n"
    )


def _html_cell(cell: str | Entry) -> str:
    if isinstance(cell, str):
        return f'<th scope="row">{escape(cell)}</th>'
    marks = f"<sup>{escape(cell.marks)}</sup>" if cell.marks else ""
    small = "".join(f"<small>{escape(part)}</small>" for part in (cell.interval, cell.note) if part)
    sizes = f' title="{escape(cell.sizes)}"' if cell.sizes else ""
    return f"<td{sizes}><b>{escape(cell.estimate)}</b>{marks}{small}</td>"
