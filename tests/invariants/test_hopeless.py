"""A real run in which no response can end: it warns, stops where it is told to, and loses nothing by that."""

import csv

import pytest

from chord.errors import UserError
from chord.io.files import read_json, write_jsonl
from chord.training.curve_columns import CLOCK, COLUMNS
from chord.training.hopeless import STEPS
from chord.training.run import run
from tests.helpers.small_training import hybrid_stage

END = 20  # a word that the random model does not write in this run
DECODING = {"temperature": 1.0, "max_response_tokens": 1}
CAUSE = f"no response has ended for {STEPS} steps with rollouts: max_response_tokens = 1 is too little"


@pytest.fixture
def job(start, prompts, tmp_path) -> dict:
    stage = hybrid_stage(
        steps=STEPS + 2, schedule={"name": "constant", "mu": 0.0}, expert_rows_per_step=None, decoding=DECODING
    )
    spec = {"study_seed": 3, "seed_index": 1, "stage": stage.model_dump(mode="json"), "save_every": 100}
    spec["validation"] = {"k": 1, "decoding": DECODING | {"max_response_tokens": 8}, "batch_rows": 16}
    for name, rows in (("prompts", prompts), ("validation", prompts[:4])):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    inputs = {name: tmp_path / f"{name}.jsonl" for name in ("prompts", "validation")}
    return {"spec": spec, "start": start, **inputs}


def curves(out) -> list[dict]:
    with open(out / "curves.csv", newline="") as file:
        return [{key: value for key, value in row.items() if key not in CLOCK} for row in csv.DictReader(file)]


def end_at(monkeypatch, tokens: list[int]) -> None:
    for module in ("run", "build"):
        monkeypatch.setattr(f"chord.training.{module}.stop_tokens", lambda model, tokenizer: (0, tokens))


def warnings_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "chord.training.hopeless"]


def test_a_hopeless_run_warns_once_and_stops_where_it_is_told_to(job, tmp_path, caplog, monkeypatch):
    from chord import tasks

    # The random model may write its end token first; a policy that never does is what this is about.
    end_at(monkeypatch, [END])
    flat = tasks.Verdict(0.0, False, False, "unparsed")
    monkeypatch.setitem(tasks.TASKS, "coin", tasks.Task("coin", lambda row, text, truncated: flat))
    run(**job, out=tmp_path / "warned")
    (record,) = warnings_of(caplog)
    assert CAUSE in record
    (warning,) = read_json(tmp_path / "warned/manifest.json")["warnings"]
    assert (warning["symptom"], warning["first_step"], warning["last_step"]) == ("truncated", 1, STEPS + 2)
    with open(tmp_path / "warned/curves.csv") as file:
        assert file.readline().strip().split(",") == list(COLUMNS)

    stopped = tmp_path / "stopped"
    with pytest.raises(UserError, match=rf"saved after step {STEPS} of {STEPS + 2}: {CAUSE}") as caught:
        run(**job, out=stopped, stop_when_hopeless=True)
    assert "\n" not in str(caught.value)
    assert not (stopped / "manifest.json").exists()
    with pytest.raises(UserError, match=rf"saved after step {STEPS + 1} of {STEPS + 2}"):  # the log came along
        run(**job, out=stopped, stop_when_hopeless=True)
    run(**job, out=stopped)
    assert read_json(stopped / "manifest.json")["warnings"] == [warning]
    assert read_json(stopped / "manifest.json")["resumed_after_step"] == STEPS + 1
    assert curves(stopped) == curves(tmp_path / "warned")


def test_a_run_that_can_learn_has_no_warning(job, tmp_path, caplog, monkeypatch):
    # Half of all words end a response of the random model, which seldom writes its end token.
    end_at(monkeypatch, list(range(2, 60, 2)))
    job["spec"]["stage"]["decoding"]["max_response_tokens"] = 12
    run(**job, out=tmp_path / "run", stop_when_hopeless=True)
    assert not warnings_of(caplog)
    assert "warnings" not in read_json(tmp_path / "run/manifest.json")
