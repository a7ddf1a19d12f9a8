"""The study that docs/real-model.md shows is one, and takes its expert from the run that the page trains first."""

import re
import textwrap
from pathlib import Path

import pytest

from chord.errors import UserError
from chord.study import load_study

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/real-model.md").read_text(encoding="utf-8")


def test_the_study_whose_expert_is_a_model(tmp_path):
    (block,) = re.findall(r"^    # config/studies/smol-tool-model.yaml\n(?:    .*\n)+", PAGE, re.MULTILINE)
    path = tmp_path / "smol-tool-model.yaml"
    path.write_text(textwrap.dedent(block), encoding="utf-8")
    study, base = load_study(str(path), ROOT), load_study("smol-tool", ROOT)
    source = study.experts.source
    assert f"snakemake {source.folder} --config study=smol-tool" in PAGE
    assert source.folder == "results/smol-tool/runs/sft_all/seed-0/model"
    assert base.trains("sft_all")
    # The expert was trained on the same rows: what it never saw is what this study validates and tests on.
    assert study.prepare_spec() == base.prepare_spec()
    with pytest.raises(UserError, match=r"experts\.source\.folder: .*: no such folder; expected a model folder"):
        load_study(str(path), ROOT, thoroughly=True)


def test_the_teacher_reads_all_training_rows():
    study = load_study("smol-tool", ROOT)
    assert study.train_spec("sft_all", 0)["stage"]["also_traces"]
    assert {study.methods[name].teacher for name in ("opd", "rl_opd")} == {"sft_all"}
    assert f"{study.data.sft + study.data.rl} prompts instead of {study.data.sft}" in PAGE
    assert not {"sft_all", "opd", "rl_opd"} & {name for one in study.regular for name in study.comparisons[one].methods}
