"""`chord doctor`: each thing that can be missing, on this machine as it is."""

import json
import shutil
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import safetensors.numpy

from chord.cli import main
from chord.doctor import Finding, cluster, free_space, local_data, machine, packages, report_text
from chord.plan import bytes_needed
from chord.study import load_study
from tests.helpers.bfcl_files import bfcl_folder, function
from tests.helpers.hub_server import serve
from tests.helpers.study_files import STUDY_FILE, Root
from tests.unit.test_function_splits import source

ROOT = Path(__file__).parents[2]
WORLD = "config/benchmarks/world.yaml"
ON_HUB = {
    "kind": "columns",
    "dataset": "owner/rows",
    "files": ["data/test-*"],
    "task": "math",
    "columns": {"question": "q", "answer": "a"},
}

WRITER = {"kind": "model", "folder": "models/base", "samples": 1, "batch_rows": 8}
WRITER |= {"decoding": {"temperature": 0.0, "max_response_tokens": 16}}


@pytest.fixture
def root(tmp_path) -> Root:
    """The small study, in a repository with our pins and profile; its start model is that of `tiny`."""
    root = Root(tmp_path / "root")
    shutil.copy(ROOT / "pyproject.toml", root.path)
    root.write("profiles/default/config.yaml", "cores: all\n")
    root.write("config/config.yaml", "study: small\n")
    (root.path / "models").mkdir()
    (root.path / "models/base").symlink_to(ROOT / "models/world-base")
    return root


def prime(root: Root) -> None:
    """Questions of BFCL for a priming, and models that write the trajectories."""
    rows = [(f"Question {number}?", [function(f"f{number}", "a")]) for number in range(4)]
    bfcl_folder(root.path / "inputs", rows)
    root.set(STUDY_FILE, "data", "source", value=source(Path("inputs")))
    root.set(STUDY_FILE, "data", "priming", value=8)
    root.set(STUDY_FILE, "experts", "source", value=WRITER)
    section = {"source": WRITER, "max_response_tokens": 40}
    stage = {"epochs": 2, "keep": "last", "optimizer": {"warmup_steps": 2}}
    root.set(STUDY_FILE, "priming", value={"experts": section, "stage": stage})


def load(root: Root):
    return load_study("small", root.path)


def doctor(root: Root, capsys, *arguments: str) -> tuple[int, str]:
    """Exit code and output, for the study that the configuration names."""
    given = ["doctor", "--root", str(root.path), "--results", str(root.path / "results"), *arguments]
    code = main(given)
    return code, capsys.readouterr().out


def states(findings) -> list[tuple[str, str]]:
    return [(one.state, one.subject) for one in findings]


def test_the_shipped_study_lacks_nothing(tmp_path, capsys):
    assert main(["doctor", "tiny", "--root", str(ROOT), "--results", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert output.endswith("Nothing is missing.\n")
    words = [line.split()[:2] for line in output.splitlines()[2:10]]
    assert [word[1] for word in words] == ["packages", "memory", "GPU", "results", "disk", "data", "prompt", "decoded"]
    assert '; rendered "<bos><user>' in output
    assert not list(tmp_path.iterdir())  # a look changes nothing


def test_what_is_missing_is_listed_with_what_to_do_and_the_exit_code_is_1(root, capsys):
    assert doctor(root, capsys)[0] == 0
    (root.path / "models/base").unlink()
    code, output = doctor(root, capsys)
    assert code == 1
    assert "missing  data" in output
    assert f"model: {root.path}/models/base: no such folder\n" in output
    assert "-> put it there, or name another one\n" in output
    assert output.endswith("\n1 missing.\n")


def test_for_a_program_the_findings_are_one_json_object(root, capsys):
    (root.path / "models/base").unlink()
    code = main(["doctor", "--json", "--root", str(root.path), "--workflow-profile", str(ROOT / "profiles/default")])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert code == 1
    assert [one["subject"] for one in findings if one["state"] == "missing"] == ["data"]


def test_a_profile_that_does_not_exist_is_bad_input(root, capsys):
    assert main(["doctor", "--root", str(root.path), "--workflow-profile", "profiles/slrm"]) == 2
    assert capsys.readouterr().err == "chord: error: profiles/slrm/config.yaml: no such file\n"


def test_a_configuration_that_names_no_study_is_bad_input(root, capsys):
    root.write("config/config.yaml", "seeds: 3\n")
    assert main(["doctor", "--root", str(root.path)]) == 2
    assert "config.yaml: study: missing; expected the name of a file in config/studies" in capsys.readouterr().err


def test_packages(root):
    pins = (root.path / "pyproject.toml").read_text(encoding="utf-8")
    (found,) = packages.findings(load(root), on_slurm=False)
    assert found.state == "ok"
    root.write("pyproject.toml", pins.replace("pyyaml==", "pyyaml==1."))
    (found,) = packages.findings(load(root), on_slurm=False)
    assert found.state == "note"
    assert "; installed: pyyaml 6.0.3, not 1.6.0.3" in found.detail
    root.write("pyproject.toml", pins.replace("pyyaml==", "chord-has-no-such-package=="))
    (found,) = packages.findings(load(root), on_slurm=False)
    assert (found.state, found.remedy) == ("missing", "pip install -e .")
    assert found.detail.endswith("; not installed: chord-has-no-such-package")


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("generation", {"kind": "vllm"}),
        ("training.scale", {"rollouts": {"kind": "vllm_server"}}),
        ("experts.source", WRITER | {"backend": {"kind": "vllm"}}),
        ("priming.experts", {"source": WRITER | {"backend": {"kind": "vllm"}}, "max_response_tokens": 40}),
    ],
)
def test_vllm_is_asked_for_where_the_study_samples_with_it(root, key, value):
    prime(root)
    assert ("missing", "vLLM") not in states(packages.findings(load(root), on_slurm=False))
    root.set(STUDY_FILE, *key.split("."), value=value)
    assert ("missing", "vLLM") in states(packages.findings(load(root), on_slurm=False))


def test_peft_is_asked_for_where_the_study_trains_adapters(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)  # as if it were not installed
    assert ("missing", "peft") not in states(packages.findings(load(root), on_slurm=False))
    root.set(STUDY_FILE, "training", "hybrid", "lora", value={"rank": 16, "alpha": 32})
    assert ("missing", "peft") in states(packages.findings(load(root), on_slurm=False))


def test_reasoning_gym_is_asked_for_where_a_benchmark_has_rows_of_it(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)  # as if it were not installed
    assert ("missing", "reasoning-gym") not in states(packages.findings(load(root), on_slurm=False))
    root.set(
        WORLD, "data", value={"source": {"kind": "reasoning_gym", "datasets": {"chain_sum": {}}}, "rows_per_group": 2}
    )
    assert ("missing", "reasoning-gym") in states(packages.findings(load(root), on_slurm=False))


def test_reasoning_gym_is_no_need_where_only_a_comparison_on_demand_asks_it(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    source = {"kind": "reasoning_gym", "datasets": {"chain_sum": {}}}
    root.set(WORLD, "data", value={"source": source, "rows_per_group": 2})
    on_demand = {"title": "Another", "paper": "none", "methods": ["rl"], "references": ["rl"], "on_demand": True}
    root.set(STUDY_FILE, "comparisons", "other", value=on_demand | {"tables": ["table1"], "figures": []})
    root.set(STUDY_FILE, "comparisons", "main", "benchmarks", value=["skills"])
    found = [one for one in packages.findings(load(root), on_slurm=False) if one.subject == "reasoning-gym"]
    assert [(one.state, one.remedy) for one in found] == [("note", "pip install -e '.[reasoning-gym]'")]


def test_memory(root):
    study = load(root)  # a training job asks for 3,000 MB
    assert machine.memory(study, 1, 2999).state == "missing"
    assert machine.memory(study, 2, 6000).state == "ok"
    found = machine.memory(study, 2, 5000)
    assert (found.state, found.remedy[:34]) == ("note", "snakemake --resources mem_mb=4500,")


def test_jobs_at_once(root):
    study = load(root)  # a training job has 2 threads; 4 methods are trained, with 2 seeds
    assert machine.jobs_at_once(study, {"cores": 7}) == 3
    assert machine.jobs_at_once(study, {"cores": 1}) == 1
    assert machine.jobs_at_once(study, {"cores": "all"}) >= 1
    assert cluster.jobs_at_once(study, {}) == 8
    assert cluster.jobs_at_once(study, {"jobs": 3}) == 3


def test_bf16_on_a_cpu_without_instructions_for_it_is_said():
    assert machine.bf16({"avx512_f": True, "amx_bf16": True}).state == "ok"
    found = machine.bf16({"avx512_f": True, "avx512_bf16": False})
    assert (found.state, found.remedy) == ("note", "training: {scale: {precision: fp32}} in the study")
    subjects = {
        name: [one.subject for one in machine.findings(load_study(name, ROOT), {"cores": 2})]
        for name in ("smol-tool", "smol-tool-bf16", "smol-gpu")
    }
    assert subjects == {
        "smol-tool": ["memory", "GPU"],
        "smol-tool-bf16": ["memory", "GPU", "bf16"],
        "smol-gpu": ["memory", "GPU"],
    }


def test_gpus(root, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has GPUs")
    root.set(STUDY_FILE, "resources", "train", "gpus", value=2)
    code, output = doctor(root, capsys)
    assert code == 1
    assert f"2 for a job; the driver shows 0, torch {torch.__version__} can use 0" in output


def test_results_that_cannot_be_written(root):
    in_the_way = root.path / "file"
    in_the_way.touch()
    (found,) = free_space.findings(load(root), in_the_way / "results", at_once=1)
    assert (found.state, found.detail) == ("missing", f"{in_the_way}: cannot be written (Not a directory)")


def test_disk(root):
    study = load(root)
    # 3 trained methods and the SFT that one of them starts from, 2 seeds; a job of 8 times the weights at the end.
    weights = 4 * 1000
    # 5 methods are evaluated, `sft` is not: 2 seeds x 4 methods x (10 questions x 4 x 20 tokens + 6 x 1 x 5).
    expected = 8 * (weights + 200_000) + 3 * 8 * weights + 2 * 4 * (10 * 4 * 20 + 6 * 5) * 2
    assert bytes_needed(study, 1000, at_once=3) == expected
    assert states(free_space.findings(study, root.path / "results", at_once=1)) == [("ok", "results"), ("ok", "disk")]
    (root.path / "models/base").unlink()
    assert states(free_space.findings(study, root.path / "results", at_once=1)) == [("ok", "results"), ("note", "disk")]


def test_a_full_disk(root):
    parameters = shutil.disk_usage(root.path).free // 10
    # No weights, only the header that names them.
    header = f'{{"w": {{"dtype": "F32", "shape": [{parameters}], "data_offsets": [0, 0]}}}}'.encode()
    (root.path / "models/large").mkdir()
    (root.path / "models/large/model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    root.set(STUDY_FILE, "model", value="models/large")
    found = free_space.findings(load(root), root.path / "results", at_once=1)
    assert states(found) == [("ok", "results"), ("missing", "disk")]


def test_parameters_are_counted_from_the_headers():
    folder = ROOT / "models/world-base"
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    assert free_space.model_parameters(folder) == sum(tensor.size for tensor in tensors.values())


def test_a_dataset_of_the_hub(root, capsys, monkeypatch):
    root.set(WORLD, "data", value={"source": ON_HUB})
    results = root.path / "results"
    with serve() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.commit("datasets/owner/rows", {"data/test-0.jsonl": b'{"q": "1 + 1?", "a": "2"}\n'})
        code, output = doctor(root, capsys)
        assert code == 1
        assert "missing  data      datasets/owner/rows: not in the study's lock\n" in output
        assert "-> chord fetch small, with a network\n" in output
        assert main(["fetch", "small", "--root", str(root.path), "--results", str(results)]) == 0
    capsys.readouterr()
    code, output = doctor(root, capsys)
    assert code == 0
    assert "ok       data      datasets/owner/rows: fetched\n" in output
    with open(results / "small/hub/datasets/owner/rows/data/test-0.jsonl", "a", encoding="utf-8") as file:
        file.write("\n")
    code, output = doctor(root, capsys)
    assert code == 1
    assert "datasets/owner/rows: not fetched, or incomplete\n" in output


def test_a_local_folder_that_is_not_there_is_named_by_its_key(root, capsys):
    source = {key: value for key, value in ON_HUB.items() if key != "dataset"} | {"folder": "rows"}
    root.set(WORLD, "data", value={"source": source})
    code, output = doctor(root, capsys)
    assert code == 1
    assert f"benchmarks.world.data.source.folder: {root.path}/rows: no such folder\n" in output


@pytest.mark.parametrize("key", ["generation", "experts.source.backend", "priming.experts.source.backend"])
def test_a_server(root, key):
    prime(root)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        root.set(STUDY_FILE, *key.split("."), value={"kind": "server", "url": url, "model": "policy"})
        assert ("ok", "server") in states(local_data.findings(load(root), root.path))
    assert ("missing", "server") in states(local_data.findings(load(root), root.path))


@pytest.mark.parametrize(
    ("line", "gpus"),
    [
        ("64 256000 (null)", 0),
        ("64 256000 gpu:2", 2),
        ("64 256000+ gpu:h100:4(S:0-1)", 4),
        ("64 256000 gpu:a100:2(S:0),gpu:v100:1(S:1),shard:8", 3),
    ],
)
def test_nodes_of_a_cluster(line, gpus):
    assert cluster.read_nodes(f"{line}\n{line}\n") == {cluster.Node(64, 256000, gpus)}


WARNINGS = (
    "sinfo: warning: the controller runs an older version",
    "*** maintenance on 2026-12-01, 8 to 10 ***",
    "64 nodes are drained",
    "n/a n/a (null)",
    "",
)


@pytest.mark.parametrize("line", WARNINGS)
def test_a_warning_among_the_nodes_is_no_node(line):
    text = f"{line}\n64 256000 gpu:h100:4(S:0-1)\n  {line}\n   8   16000   (null)\n"
    assert cluster.read_nodes(text) == {cluster.Node(64, 256000, 4), cluster.Node(8, 16000, 0)}


@pytest.mark.parametrize("said", [*WARNINGS[:3], ""])
def test_a_cluster_of_warnings_only_has_no_nodes(root, monkeypatch, said):
    programs(root, monkeypatch, *cluster.PROGRAMS, "sacct", says=said)
    (found,) = cluster.findings(load(root), {})
    assert (found.state, found.detail) == ("missing", f"sinfo: {said or 'no nodes'}")


def programs(root, monkeypatch, *names: str, says: str = "64 256000 (null)") -> None:
    """A PATH with these programs and nothing else, each of which says the same."""
    folder = root.path / "bin"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.parametrize(
    ("lacking", "profile", "found"),
    [
        ("srun", {}, "no srun on PATH"),
        ("sacct", {}, "no sacct on PATH"),
        ("sacct", {"slurm-status-command": "squeue"}, None),
        ("squeue", {"slurm-status-command": "squeue"}, "no squeue on PATH"),
    ],
)
def test_every_program_that_snakemake_calls_is_asked_for(root, monkeypatch, lacking, profile, found):
    programs(root, monkeypatch, *({*cluster.PROGRAMS, "sacct"} - {lacking}))
    first = next(iter(cluster.findings(load(root), profile)))
    assert (first.state, first.detail) == (("missing", found) if found else (first.state, first.detail))
    assert found or first.state == "ok"


def test_no_slurm_where_the_profile_submits_to_it(root, capsys, monkeypatch):
    root.write("profiles/slurm/config.yaml", "executor: slurm\n")
    monkeypatch.setenv("PATH", str(root.path))
    code, output = doctor(root, capsys, "--workflow-profile", str(root.path / "profiles/slurm"))
    assert code == 1
    assert "missing  SLURM     no sbatch, squeue, scancel, sinfo, srun, sacct on PATH\n" in output


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sinfo") is None, reason="no SLURM here")
def test_a_cluster_that_does_not_answer(root, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(root.path / "none.conf"))
    (found,) = cluster.findings(load(root), {})
    assert (found.state, found.detail.split(":")[0]) == ("missing", "sinfo")


def test_the_table_is_aligned():
    findings = [Finding("ok", "GPU", "none"), Finding("missing", "memory", "too little", "buy some")]
    assert report_text(findings) == (
        "  ok       GPU     none\n  missing  memory  too little\n                   -> buy some\n\n1 missing."
    )
