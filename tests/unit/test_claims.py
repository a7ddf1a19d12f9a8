"""Claims: rules by hand, verdicts of a made-up study, files that are wrong, and the commit of the file."""

import csv
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chord import cli
from chord.analysis.claims import verdicts
from chord.analysis.claims.claims_spec import ClaimsSpec, read_claims
from chord.analysis.claims.verdicts import CONTRADICTED, NOT_MEASURED, SUPPORTED, UNDECIDED, combine, decide
from chord.errors import UserError
from chord.io.provenance import file_sha256
from tests.helpers import fake_study

SHIPPED = sorted((Path(__file__).parents[2] / "config" / "claims").glob("*.yaml"))
NAMES = ("original", "sft_best", "rl", "chord_mu", "chord_phi")


@pytest.mark.parametrize(
    ("rule", "margin", "low", "high", "verdict"),
    [
        ("above", 1.0, 1.1, 3.0, SUPPORTED),
        ("above", 1.0, 1.0, 3.0, UNDECIDED),  # theta may be the margin itself, which is not above it
        ("above", 1.0, -1.0, 1.0, UNDECIDED),
        ("above", 1.0, -1.0, 0.9, CONTRADICTED),
        ("at_most", 1.0, -1.0, 1.0, SUPPORTED),
        ("at_most", 1.0, 0.0, 1.1, UNDECIDED),
        ("at_most", 1.0, 1.0, 2.0, UNDECIDED),
        ("at_most", 1.0, 1.1, 2.0, CONTRADICTED),
        ("within", 1.0, -1.0, 1.0, SUPPORTED),
        ("within", 1.0, -1.1, 0.0, UNDECIDED),
        ("within", 1.0, 0.0, 1.1, UNDECIDED),
        ("within", 1.0, -2.0, 2.0, UNDECIDED),
        ("within", 1.0, 1.1, 2.0, CONTRADICTED),
        ("within", 1.0, -2.0, -1.1, CONTRADICTED),
        ("above", 0.0, None, None, UNDECIDED),
    ],
)
def test_rules_by_hand(rule, margin, low, high, verdict):
    assert decide(rule, margin, low, high) == verdict


def test_a_claim_needs_all_its_tests():
    assert combine([SUPPORTED, SUPPORTED]) == SUPPORTED
    assert combine([SUPPORTED, UNDECIDED]) == UNDECIDED
    assert combine([SUPPORTED, UNDECIDED, CONTRADICTED]) == CONTRADICTED
    assert combine([SUPPORTED, CONTRADICTED, NOT_MEASURED]) == NOT_MEASURED


FINITE = st.floats(-10, 10)


@given(margin=FINITE, ends=st.tuples(FINITE, FINITE).map(sorted))
def test_method_and_reference_swapped_mirror_the_verdict(margin, ends):
    low, high = ends
    opposite = {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED, UNDECIDED: UNDECIDED}
    verdict = decide("above", margin, low, high)
    assert decide("above", -margin, -high, -low) == opposite[verdict]
    assert decide("within", abs(margin), low, high) == decide("within", abs(margin), -high, -low)
    # `at most` is the denial of `above`; they part only where the interval ends at the margin.
    if margin not in ends:
        assert decide("at_most", margin, low, high) == opposite[verdict]


def claims_of(*tests: dict, **others: list[dict]) -> dict:
    named = ({"claim": list(tests)} if tests else {}) | others
    content = {
        name: {"sentence": f"It is {name}.", "paper": "Table 1", "tests": found} for name, found in named.items()
    }
    return {"title": "Claims", "source": "a paper", "claims": content}


def a_test(method: str, reference: str, role: str = "target", rule: str = "above", margin: float = 0.0) -> dict:
    statistic = {"kind": "difference", "method": method, "reference": reference, "role": role}
    return {"statistic": statistic, "rule": rule, "margin": margin, "why": "an order"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    made = fake_study.make(tmp_path_factory.mktemp("study"), n_questions=60, steps=20)
    return [folder for folder in made if folder.parts[-2] in NAMES]


def spec(*benchmarks: str) -> dict:
    roles = {"world": "target", "skills": "unrelated", "other": "target"}
    return {
        "methods": fake_study.titles(*NAMES),
        "elsewhere": fake_study.titles("sft_best_rl"),
        "benchmarks": [{"name": name, "title": name.title(), "role": roles[name]} for name in benchmarks],
    }


def judged(folders: list[Path], tmp_path: Path, content: dict, *benchmarks: str) -> dict:
    file = tmp_path / "some.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    scores = [path for folder in folders for path in folder.glob("*.scores.parquet")]
    trained = [folder for folder in folders if (folder / "curves.csv").exists()]
    verdicts.run(spec(*benchmarks), file, scores, trained, tmp_path / "out")
    return json.loads((tmp_path / "out" / "claims.json").read_text(encoding="utf-8"))


def test_verdicts_of_a_made_up_study(folders, tmp_path):
    content = claims_of(
        right=[a_test("chord_phi", "original"), a_test("chord_phi", "original", role="unrelated")],
        wrong=[a_test("original", "chord_phi"), a_test("chord_phi", "original")],
        open=[a_test("chord_phi", "chord_mu", rule="within", margin=0.001)],
    )
    record = judged(folders, tmp_path, content, "world", "skills")
    assert {claim["name"]: claim["verdict"] for claim in record["claims"]} == {
        "right": SUPPORTED,
        "wrong": CONTRADICTED,
        "open": UNDECIDED,
    }
    assert record["counts"] == {SUPPORTED: 1, CONTRADICTED: 1, UNDECIDED: 1, NOT_MEASURED: 0}
    assert (record["n_tests"], record["expected_false_verdicts"]) == (5, pytest.approx(0.25))
    assert record["sha256"] == file_sha256(tmp_path / "some.yaml")
    one, other = record["claims"][1]["tests"]
    assert (one["estimate"], one["low"], one["high"]) == pytest.approx(
        (-other["estimate"], -other["high"], -other["low"])
    )
    assert one["label"] == "Original vs CHORD-φ: accuracy, World"
    undecided = record["claims"][2]["tests"][0]
    assert undecided["detectable"] > 0
    assert f"d {100 * undecided['detectable']:.1f}" in undecided["found"]
    assert undecided["needed"] == "within ±0.1 points"


def test_one_seed_is_said_where_its_interval_covers_no_training(folders, tmp_path):
    content = claims_of(one=[a_test("chord_phi", "original")])
    first = [folder for folder in folders if folder.name == "seed-0"]
    (test,) = judged(first, tmp_path, content, "world")["claims"][0]["tests"]
    assert test["n_seeds"] == 1
    assert "‡ [" in test["found"]
    pages = [(tmp_path / "out" / f"claims.{kind}").read_text(encoding="utf-8") for kind in ("md", "html")]
    assert all("‡ one seed: the interval covers questions and decoding" in page for page in pages)
    (test,) = judged(folders, tmp_path, content, "world")["claims"][0]["tests"]
    assert "‡" not in test["found"]
    assert "‡" not in (tmp_path / "out" / "claims.md").read_text(encoding="utf-8")


def test_every_benchmark_of_a_role_is_tested(folders, tmp_path):
    content = claims_of(a_test("chord_phi", "original"))
    (claim,) = judged(folders, tmp_path, content, "world", "other")["claims"]
    assert [test["benchmark"] for test in claim["tests"]] == ["world", "other"]
    assert [test["verdict"] for test in claim["tests"]] == [SUPPORTED, NOT_MEASURED]
    assert claim["verdict"] == NOT_MEASURED
    assert claim["missing"] == ["no scores on other of chord_phi"]


def test_what_is_missing_is_named(folders, tmp_path):
    curve = {"kind": "change", "method": "sft_best", "column": "entropy", "of": "end", "minus": "start"}
    content = claims_of(
        method=[a_test("mu_0.7", "rl")],
        comparison=[a_test("sft_best_rl", "rl")],
        role=[a_test("rl", "original", role="unrelated")],
        curve=[a_test("rl", "original") | {"statistic": curve}],
    )
    record = judged(folders, tmp_path, content, "world")
    assert {claim["verdict"] for claim in record["claims"]} == {NOT_MEASURED}
    missing = {claim["name"]: " ".join(claim["missing"]) for claim in record["claims"]}
    assert missing["method"] == "the study has no method mu_0.7"
    assert missing["comparison"] == "sft_best_rl is in another comparison; `snakemake claims` judges it too"
    assert missing["role"] == "the study has no benchmark of the role unrelated"
    assert "the column 'entropy' is empty" in missing["curve"]
    assert record["n_tests"] == 0


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_claims_on_a_made_up_study(path, folders, tmp_path):
    scores = [item for folder in folders for item in folder.glob("*.scores.parquet")]
    trained = [folder for folder in folders if (folder / "curves.csv").exists()]
    verdicts.run(spec("world", "skills"), path, scores, trained, tmp_path)
    record = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    tests = [test for claim in record["claims"] for test in claim["tests"]]
    assert len(record["claims"]) >= 12
    assert all((test["verdict"] == NOT_MEASURED) == bool(test["missing"]) for test in tests)
    with open(tmp_path / "claims.csv", newline="", encoding="utf-8") as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == [test["verdict"] for test in tests]
    for kind in ("md", "tex"):
        text = (tmp_path / f"claims.{kind}").read_text(encoding="utf-8")
        assert all(claim["verdict"] in text for claim in record["claims"])
    manifest = json.loads((tmp_path / "claims.manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"]["claims"] == file_sha256(path)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"margn": 1}, "claims.claim.tests.0.margn: Extra inputs are not permitted"),
        ({"statistic": {"kind": "ratio"}}, "statistic: Input tag 'ratio'"),
        ({"statistic": {"kind": "difference", "method": "a", "reference": "b", "role": "main"}}, "role: Input should"),
        ({"rule": "within", "margin": -1}, "margin: expected 0 or more for the rule within"),
        ({"margin": float("nan")}, "margin: Input should be a finite number"),
    ],
)
def test_a_bad_file_gives_one_line(tmp_path, change, line, capsys):
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(claims_of(a_test("a", "b") | change)), encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_claims(file)
    assert line in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    arguments = ["--spec", json.dumps(spec("world")), "--scores", str(file), "--runs", str(tmp_path)]
    assert cli.main(["claims", "--claims", str(file), *arguments, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"chord: error: {file}: ")


def test_a_specification_of_its_own_is_checked():
    with pytest.raises(ValueError, match="role"):
        ClaimsSpec.model_validate(spec("world") | {"benchmarks": [{"name": "a", "title": "A"}]})


def test_the_commit_of_the_claims_and_what_came_before_it(tmp_path):
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        git("add", name)
        git("commit", "-qm", name)
        return git("rev-parse", "HEAD")

    def before(*commits: str | None) -> dict:
        manifests = {f"runs/a/seed-{seed}": {"code": {"git_commit": item}} for seed, item in enumerate(commits)}
        return verdicts.written_before(file, manifests)

    file = tmp_path / "claims.yaml"
    file.write_text("a", encoding="utf-8")
    assert before("0" * 40)["git_commit"] is None  # no repository
    assert before("0" * 40)["before_runs"] is None
    git("init", "-q")
    earlier = commit("code", "1")
    assert before(earlier)["before_runs"] is False  # in no commit yet
    written = commit("claims.yaml", "a")
    later = commit("code", "2")

    found = before(written, later, f"{later}-dirty")
    assert (found["git_commit"], found["modified"], found["before_runs"]) == (written, False, True)
    assert found["date"][:2] == "20"
    found = before(earlier, later)
    assert found["before_runs"] is False
    assert {item["git_commit"]: item["after_claims"] for item in found["run_commits"]} == {earlier: False, later: True}
    assert before(later, None)["before_runs"] is None
    assert before(later, "0" * 40)["before_runs"] is None  # a commit of another repository
    file.write_text("b", encoding="utf-8")
    found = before(later)
    assert (found["git_commit"], found["modified"], found["before_runs"]) == (written, True, False)
