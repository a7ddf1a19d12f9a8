"""Plug-ins: installed packages that bring parts are found by entry points and recorded by what they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chord.errors import UserError
from chord.plugins import plugin_records, plugins
from tests.helpers.plugin_files import SRC, WEIGHT, install


def test_an_installed_part_has_its_name_distribution_version_and_source_hash(site):
    (site / "doubtful.py").write_text(WEIGHT)
    install(site, "doubtful", "chord.token_weights", "doubt = doubtful:Doubt")
    plugin = plugins("chord.token_weights")["doubt"]
    assert "doubtful" not in sys.modules, "its code is imported when it is used"
    assert (plugin.distribution, plugin.version) == ("doubtful", "1.2")
    before = plugin.sha256
    (site / "doubtful.py").write_text(WEIGHT + "\n# edited\n")
    plugins.cache_clear()
    record = plugin_records([("chord.token_weights", "doubt"), ("chord.token_weights", "power")])
    assert list(record) == ["chord.token_weights:doubt"]
    assert record["chord.token_weights:doubt"]["sha256"] not in ("", before)


def test_the_hash_is_of_every_file_of_the_package(site):
    (site / "doubtful").mkdir()
    (site / "doubtful" / "__init__.py").write_text("")
    (site / "doubtful" / "formulas.py").write_text("LIMIT = 1\n")
    install(site, "doubtful", "chord.token_weights", "doubt = doubtful:Doubt")
    before = plugins("chord.token_weights")["doubt"].sha256
    (site / "doubtful" / "formulas.py").write_text("LIMIT = 2\n")
    plugins.cache_clear()
    assert plugins("chord.token_weights")["doubt"].sha256 != before


def test_a_name_that_two_distributions_offer_is_refused(site):
    install(site, "doubtful", "chord.schedules", "ramp = doubtful:Ramp")
    install(site, "sceptic", "chord.schedules", "ramp = sceptic:Ramp")
    with pytest.raises(UserError, match=r"chord.schedules ramp.*doubtful"):
        plugins("chord.schedules")


def test_a_plugin_whose_module_is_missing_is_named(site):
    install(site, "doubtful", "chord.schedules", "ramp = doubtful_missing:Ramp")
    with pytest.raises(UserError, match=r"ramp of doubtful 1.2.*doubtful_missing:Ramp"):
        _ = plugins("chord.schedules")["ramp"].value


# A settings class is built once, so what a configuration accepts is looked at in a process of its own.
READ = """
import json, sys
from chord.study.config_problems import Layer, Problems, validate
from chord.training.train_spec import HybridStage
from chord.plugins import plugin_records
for stage in json.loads(sys.argv[1]):
    try:
        stage = validate(HybridStage, stage, [Layer("method.yaml", stage)])
        print(json.dumps([stage.model_dump(mode="json"), plugin_records(stage.objective.plugin_names)]))
    except Problems as problems:
        for line in problems.lines:
            print(line)
from chord.study.study_file import schema_text
print("doubt" in schema_text("method"))
"""


def read(site: Path, *token_weights: dict) -> subprocess.CompletedProcess:
    """What is read of stages with these token weights where `site` is installed."""
    stage = {
        "kind": "hybrid",
        "optimizer": {"lr": 1e-3},
        "micro_batch_tokens": 100,
        "keep": "last",
        "validate_every": 1,
        "steps": 1,
        "prompts_per_step": 1,
        "rollouts_per_prompt": 2,
        "expert_rows_per_step": 1,
        "schedule": {"name": "constant", "mu": 0.5},
        "decoding": {"temperature": 1.0, "max_response_tokens": 8},
        "generate_batch_rows": 1,
    }
    stages = [stage | {"token_weight": weight} for weight in token_weights]
    return subprocess.run(
        [sys.executable, "-c", READ, json.dumps(stages)],
        env=os.environ | {"PYTHONPATH": f"{SRC}{os.pathsep}{site}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_installed_token_weight_is_validated_like_our_own(tmp_path):
    (tmp_path / "doubtful.py").write_text(WEIGHT)
    install(tmp_path, "doubtful", "chord.token_weights", "doubt = doubtful:Doubt")
    doubt = {"name": "doubt"}
    equal = {"name": "equal_mass", "of": doubt, "mean": 0.1}
    weights = (
        doubt,
        {"name": "daubt"},
        {"name": "doubt", "limit": 1},
        equal,
        {"name": "equal_mass", "of": equal, "mean": 1},
    )
    installed, misspelt, unknown_key, wrapped, twice, in_schema = read(tmp_path, *weights).stdout.splitlines()
    stage, records = json.loads(installed)
    assert stage["token_weight"] == {"name": "doubt"}
    assert records["chord.token_weights:doubt"]["version"] == "1.2"
    assert misspelt.startswith("method.yaml: token_weight.name: ")
    assert "doubt, eaft" in misspelt
    assert "did you mean 'doubt'" in misspelt
    assert unknown_key == "method.yaml: token_weight.limit: unknown key; expected one of name"
    stage, records = json.loads(wrapped)
    assert stage["token_weight"] == equal
    assert records["chord.token_weights:doubt"]["version"] == "1.2"
    assert twice.startswith("method.yaml: token_weight.of.name: ")
    assert "'equal_mass'" in twice
    assert in_schema == "False", "committed schemas must not depend on what is installed"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("doubt = doubtful:Doubt", "class Doubt: pass\n"),
        ("other = doubtful:Doubt", WEIGHT),
        ("power = doubtful:Doubt", WEIGHT.replace("doubt", "power")),
    ],
    ids=["no token weight", "another name", "a name of ours"],
)
def test_a_plugin_that_is_no_part_is_named_with_what_was_expected(tmp_path, entry, code):
    (tmp_path / "doubtful.py").write_text(code)
    install(tmp_path, "doubtful", "chord.token_weights", entry)
    last = read(tmp_path, {"name": "one"}).stderr.splitlines()[-1]
    assert f"plug-in chord.token_weights {entry.partition(' ')[0]} of doubtful 1.2" in last
    assert "expected" in last


def test_a_package_may_import_chord_before_its_plugins_are_looked_for(tmp_path):
    (tmp_path / "doubtful.py").write_text(WEIGHT)
    install(tmp_path, "doubtful", "chord.token_weights", "doubt = doubtful:Doubt")
    code = "import doubtful; from chord.training.train_spec import HybridStage; print(doubtful.Doubt())"
    env = os.environ | {"PYTHONPATH": f"{SRC}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "name='doubt'\n"
