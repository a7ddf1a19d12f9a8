"""The typed configuration: a study, its methods and benchmarks, and from them the specification of every job.

`load_study` reads config/studies/<name>.yaml and the method and benchmark files that it names, overlays them, checks
everything and reports all problems, one line each. It imports no torch, so it takes a fraction of a second.
"""

from chord.study.loading import load_study
from chord.study.study import Benchmark, Method, Study
from chord.study.study_file import BASE
from chord.study.yaml_files import chosen_study

__all__ = ["BASE", "Benchmark", "Method", "Study", "chosen_study", "load_study"]
