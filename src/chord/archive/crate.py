"""Command `crate`: a finished study as a Workflow Run RO-Crate (https://w3id.org/ro/wfrun/workflow/0.5).

The crate is a folder: the code and configuration that ran, so that it is a workflow again, the results with their
SHA-256, and an action for each manifest, which says what a job read and wrote, by which code, and when. Weights and
downloads are left out; actions name them by their hash. The same results give the same bytes.
"""

import mimetypes
import tomllib
from collections import defaultdict
from pathlib import Path

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from chord.analysis.report.run_records import environments, fetched
from chord.archive.finished import FinishedStudy, Record
from chord.errors import UserError
from chord.io.files import atomic_folder
from chord.io.provenance import input_sha256

METADATA = "ro-crate-metadata.json"
VERSION = "1.1"  # of RO-Crate, on which the profiles build
PROFILES = {
    "Process Run Crate": "https://w3id.org/ro/wfrun/process/0.5",
    "Workflow Run Crate": "https://w3id.org/ro/wfrun/workflow/0.5",
    "Workflow RO-Crate": "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
}
WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
TERMS = {"sha256": "http://schema.org/sha256"}  # RO-Crate 1.1 is older than the term
INTERMEDIATE = ("data", "runs", "hub", "timings")  # folders of a study's results that are not what it is run for
MEDIA_TYPES = {
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


def run(finished: FinishedStudy, out: Path) -> None:
    """Write the crate as the folder `out`. It replaces an older crate; any other folder is refused."""
    if out.exists() and not (out / METADATA).is_file():
        raise UserError(f"{out}: exists and is no crate; expected a folder that does not exist yet")
    crate = _Crate(finished).crate
    with atomic_folder(out) as folder:
        crate.write(folder)


class _Crate:
    """Builds the metadata; `crate` writes it together with the files."""

    def __init__(self, finished: FinishedStudy):
        self.finished = finished
        self.crate = ROCrate(version=VERSION)
        self.crate.metadata.extra_terms.update(TERMS)
        self.by_hash: dict[str, list[Entity]] = defaultdict(list)  # files with this content, and weights left out
        self.files: dict[Path, Entity] = {}
        records = sorted(finished.records(), key=lambda record: (record.content["finished"], record.name))
        self._describe(records)
        self._add_files(records)
        for record in records:
            self._add_weights(record)
        actions = [self._workflow_action(records), *map(self._action, records)]
        self.crate.root_dataset["mentions"] = actions

    def _describe(self, records: list[Record]) -> None:
        study = self.finished.study
        self.project = tomllib.loads((self.finished.source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        licence = f"https://spdx.org/licenses/{self.project['license']}"
        self.crate.name = f"{study.title} (study {study.name} of a replication of CHORD, arXiv 2508.11408)"
        self.crate.description = f"{study.settings.question} Code, configuration, data and results, with provenance."
        self.crate.datePublished = records[-1].content["finished"]
        self.crate.license = self._add(licence, "CreativeWork", name=self.project["license"])
        self.crate.root_dataset["conformsTo"] = [
            self._add(address, "CreativeWork", name=name, version=address.rpartition("/")[2])
            for name, address in PROFILES.items()
        ]
        if downloads := fetched(self.finished.folder):
            self.crate.isBasedOn = [
                self._add(
                    f"#download-{download['address']}",
                    "CreativeWork",
                    name=download["address"],
                    version=download["revision"],
                    license=download["licence"] or "not stated",
                )
                for download in downloads
            ]

    def _add_files(self, records: list[Record]) -> None:
        finished, code = self.finished, self.finished.code()
        snakefile = code.pop("Snakefile")
        (snakemake,) = environments([records[-1].content])["snakemake"]
        self.workflow = self.crate.add_workflow(
            snakefile,
            "Snakefile",
            properties=self._properties(snakefile)
            | {"name": self.project["description"], "version": self.project["version"]},
            main=True,
            lang="snakemake",
            lang_version=snakemake,
        )
        self.workflow["conformsTo"] = {"@id": WORKFLOW_PROFILE}
        results = {
            f"results/{finished.study.name}/{path.relative_to(finished.folder)}": path for path in finished.results()
        }
        for place, path in (code | results).items():
            properties = self._properties(path)
            self.files[path] = self.crate.add_file(path, place, properties=properties)
            self.by_hash[properties["sha256"]].append(self.files[path])

    def _properties(self, path: Path) -> dict:
        media_type = MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
        return {
            "name": path.name,
            "encodingFormat": media_type,
            "contentSize": str(path.stat().st_size),
            "sha256": input_sha256(path),  # UserError if the file is not the one that its manifest names
        }

    def _add_weights(self, record: Record) -> None:
        """Name the weights that a record reads or writes, which are not in the crate."""
        for file, digest in _hashes(record.content["inputs"]) + _hashes(record.content.get("files", {})):
            if _is_weights(file) and digest not in self.by_hash:
                name = "weights, not in this crate"
                self.by_hash[digest].append(self._add(f"#sha256-{digest}", "CreativeWork", name=name, sha256=digest))

    def _workflow_action(self, records: list[Record]) -> Entity:
        """The run as a whole: from the study's file and the number of seeds to tables, figures, verdicts and report."""
        path, _ = self.finished.study_file
        seeds = self._add("#seeds", "PropertyValue", name="seeds", value=len(self.finished.study.seed_indices))
        for name, kind, value in (("study", "File", self.files[path]), ("seeds", "Integer", seeds)):
            parameter = self.crate.add_formal_parameter(
                name, kind, f"#parameter-{name}", valueRequired=True, properties={"workExample": {"@id": value.id}}
            )
            value["exampleOfWork"] = parameter
            self.workflow.append_to("input", parameter)
        folder = self.finished.folder
        products = [path for path in self.finished.results() if path.relative_to(folder).parts[0] not in INTERMEDIATE]
        return self.crate.add_action(
            self.workflow,
            "#workflow-run",
            object=[self.files[path], seeds],
            result=[self.files[product] for product in products],
            properties={
                "name": f"The study {self.finished.study.name}",
                "description": "All jobs of the study, from its data to its report",
                "startTime": min(record.content.get("started", record.content["finished"]) for record in records),
                "endTime": records[-1].content["finished"],
            },
        )

    def _action(self, record: Record) -> Entity:
        content = record.content
        read = [entity for _, digest in _hashes(content["inputs"]) for entity in self.by_hash.get(digest, [])]
        written = [self.files[path] for path in record.outputs]
        written += [self.by_hash[digest][0] for file, digest in _hashes(content.get("files", {})) if _is_weights(file)]
        times = {"startTime": content["started"]} if "started" in content else {}
        return self.crate.add_action(
            self._software(content["code"]),
            f"#made-{record.name}",
            object=_once(read),
            result=_once(written),
            properties={
                "name": record.name,
                "description": f"The job whose manifest is {record.name}; specification {content['spec_hash']}",
                "endTime": content["finished"],
                **times,
            },
        )

    def _software(self, code: dict) -> Entity:
        commit = code["git_commit"] or "no git"
        return self._add(
            f"#chord-{code['source_sha256']}",
            "SoftwareApplication",
            name="chord",
            softwareVersion=f"{commit}, sources {code['source_sha256']}",
        )

    def _add(self, identifier: str, kind: str, **properties) -> Entity:
        existing = self.crate.dereference(identifier)
        return existing or self.crate.add(ContextEntity(self.crate, identifier, {"@type": kind, **properties}))


def _hashes(named: dict) -> list[tuple[str, str]]:
    """(file, SHA-256) of a manifest's inputs or files, where a folder is a mapping of its own."""
    folders = {name: value if isinstance(value, dict) else {"": value} for name, value in named.items()}
    return [(f"{name}/{file}".rstrip("/"), digest) for name, files in folders.items() for file, digest in files.items()]


def _is_weights(file: str) -> bool:
    return file.endswith(".safetensors")


def _once(entities: list[Entity]) -> list[Entity] | Entity:
    """Each of them once; a single one without a list, as RO-Crate wants its JSON."""
    distinct = list({entity.id: entity for entity in entities}.values())
    return distinct[0] if len(distinct) == 1 else distinct
