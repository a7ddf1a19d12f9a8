"""A method that names its teacher: what it needs, what is refused, and what a protocol changes."""

import pytest
import yaml

from chord.errors import UserError
from chord.study import load_study
from tests.helpers.study_files import STUDY_FILE, Root

OPD = {"name": "reverse_kl", "coef": 1.0, "reward": 0.0}
STAGE = {"kind": "hybrid", "schedule": {"name": "constant", "mu": 0.0}, "distillation": OPD}
FILE = "config/methods/opd.yaml"


@pytest.fixture
def root(tmp_path):
    root = Root(tmp_path)
    method = {"title": "OPD", "paper": "none", "teacher_from": "sft_rl", "stage": STAGE}
    (tmp_path / FILE).write_text(yaml.safe_dump(method))
    root.set(STUDY_FILE, "methods", "opd", value={})
    return root


def load(root):
    return load_study("small", root.path)


def test_a_teacher_is_trained_before_its_method_with_all_that_leads_to_it(root):
    study = load(root)
    assert study.methods["opd"].teacher == "sft_rl"
    assert [method.name for method in study.needed("opd")] == ["sft", "sft_rl", "opd"]
    assert [method.name for method in study.chain("opd")] == ["opd"]
    order = list(study.methods)
    assert order.index("sft_rl") < order.index("opd")
    assert study.methods["opd"].stage.frozen_models == ["teacher"]


def test_the_teacher_is_no_part_of_the_specification_nor_is_a_distillation_that_nobody_has(root):
    study = load(root)
    assert study.train_spec("opd", 0)["stage"]["distillation"] == OPD
    assert "distillation" not in study.train_spec("rl", 0)["stage"]
    assert not {"token_weight", "expert_loss"} & study.train_spec("sft", 0)["stage"].keys()


def test_a_study_may_name_another_teacher(root):
    root.set(STUDY_FILE, "methods", "opd", value={"teacher_from": "decay"})
    assert load(root).methods["opd"].teacher == "decay"


def test_a_protocol_that_changes_the_teacher_changes_the_method(root):
    root.set(STUDY_FILE, "protocols", value={"short": {"title": "One row", "sft": {"expert_set": 8}}})
    root.set(STUDY_FILE, "comparisons", "main", "protocol", value="short")
    root.set(STUDY_FILE, "comparisons", "main", "methods", value=["rl", "opd"])
    study = load(root)
    assert study.comparisons["main"].methods == ["rl", "opd@short"]
    assert study.methods["opd@short"].teacher == "sft_rl@short"


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("teacher_from",), None, "teacher_from: missing; expected the method whose result is the teacher"),
        (("teacher_from",), "original", "teacher_from: original trains nothing; expected a method with a stage"),
        (("teacher_from",), "opd", "teacher_from: expected a method that itself needs no teacher, as opd does"),
        (("teacher_from",), "sft_rk", "teacher_from: unknown method 'sft_rk'"),
        (("stage", "distillation"), None, "teacher_from: expected none, as no other model teaches"),
    ],
)
def test_a_teacher_that_cannot_be_one_is_one_line(root, keys, value, message):
    root.set(FILE, *keys, value=value)
    with pytest.raises(UserError) as error:
        load(root)
    (line,) = str(error.value).splitlines()
    assert line.startswith(FILE)
    assert message in line
