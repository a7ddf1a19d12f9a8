"""`chord doctor` reports what a study needs and this machine or its cluster lacks, before any job runs.

Each module examines one aspect and returns findings. Nothing is downloaded or changed, and torch is imported only if
the study requests GPUs.
"""

from pathlib import Path

from chord.doctor import cluster, free_space, local_data, machine, packages, prompt
from chord.doctor.finding import Finding, report_text
from chord.study import Study
from chord.study.yaml_files import read_yaml

__all__ = ["Finding", "examine", "report_text"]


def examine(study: Study, results: Path, profile: Path) -> list[Finding]:
    """results: the parent of the study's results. profile: folder of the Snakemake profile; UserError without one."""
    file = profile / "config.yaml"
    settings = read_yaml(file, str(file))
    on_slurm = settings.get("executor") == "slurm"
    place = cluster if on_slurm else machine
    return [
        *packages.findings(study, on_slurm),
        *place.findings(study, settings),
        *free_space.findings(study, results, place.jobs_at_once(study, settings)),
        *local_data.findings(study, results),
        *prompt.findings(study, results),
    ]
