"""What ran, and on what: a record for each expected run of a study, from its manifest, and for each download."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chord.analysis.specs import ShownMethod
from chord.errors import UserError
from chord.io.files import read_json
from chord.io.provenance import json_hash


def run_name(path: Path) -> str:
    """`runs/<method>/seed-<n>`, the part of a run's path that is the same on every machine."""
    parts = path.parts
    if "runs" not in parts:
        raise UserError(f"{path}: expected a path below a folder named runs (runs/<method>/seed-<n>)")
    start = len(parts) - 1 - parts[::-1].index("runs")
    return "/".join(parts[start : start + 3])


@dataclass(frozen=True)
class RunRecord:
    """One run. Without a manifest it trained nothing (the start model, evaluated) or does not exist."""

    method: ShownMethod
    seed_index: int
    manifest: dict | None
    evaluated: bool

    @property
    def name(self) -> str:
        return f"runs/{self.method.name}/seed-{self.seed_index}"

    @property
    def result(self) -> dict:
        return (self.manifest or {}).get("result", {})

    @property
    def data_hash(self) -> str:
        """One hash for all data the run read; its start model is not data."""
        inputs = self.manifest["inputs"] if self.manifest else {}
        return json_hash({name: value for name, value in inputs.items() if name != "start"}) if inputs else ""

    @property
    def start_hash(self) -> str:
        inputs = self.manifest["inputs"] if self.manifest else {}
        return json_hash(inputs["start"]) if "start" in inputs else ""


def read_runs(folder: Path, methods: Iterable[ShownMethod], seeds: Iterable[int]) -> list[RunRecord]:
    """folder: results/<study>."""
    seeds = list(seeds)
    records = []
    for method in methods:
        for seed in seeds:
            run = folder / "runs" / method.name / f"seed-{seed}"
            path = run / "manifest.json"
            manifest = read_json(path) if path.exists() else None
            records.append(RunRecord(method, seed, manifest, any(run.glob("*.scores.parquet"))))
    return records


def environments(manifests: Iterable[dict]) -> dict[str, list[str]]:
    """package -> versions seen; more than one version means that runs were not made in the same environment."""
    versions_of: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, version in manifest["environment"].items():
            versions_of.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(versions_of.items())}


def codes(manifests: Iterable[dict]) -> list[tuple[str, str]]:
    """(git commit, hash of the package's sources) of everything that ran."""
    return sorted({(item["code"]["git_commit"] or "no git", item["code"]["source_sha256"]) for item in manifests})


def fetched(folder: Path) -> list[dict]:
    """What the study downloaded: address, revision, licence, bytes. folder: results/<study>."""
    manifests = [read_json(path) for path in sorted(folder.glob("hub/*/*/*.manifest.json"))]
    return [
        {
            "kind": record["spec"]["kind"],
            "address": record["spec"]["address"],
            "revision": record["spec"]["pin"]["revision"],
            "licence": record["licence"],
            "bytes": sum(record["bytes"].values()),
        }
        for record in manifests
    ]
