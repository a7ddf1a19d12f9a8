"""Completions are the same for any number of workers, for any method, and after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from chord.errors import UserError
from chord.evaluation import generate, records
from chord.io.files import write_jsonl
from chord.io.locks import exclusive
from chord.io.seeds import derive_seed
from chord.rollouts import Decoding, encode_prompts, workers
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.training.validation import accuracy
from chord.world.rows import world_rows

SPEC = {
    "study_seed": 7,
    "seed_index": 1,
    "method": "rl",
    "benchmark": "world_test",
    "k": 3,
    "decoding": {"temperature": 1.0, "max_response_tokens": 32},
    "batch_rows": 4,
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "world_test.jsonl"
    write_jsonl(path, world_rows("test", "test", (2, 3, 4), 12, 7))
    return path


@pytest.fixture(scope="module")
def straight(tiny_model_dir, rows, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("straight") / "world_test.completions.parquet"
    generate.run(SPEC, tiny_model_dir, rows, path)
    return path


def test_columns_order_and_record(straight, rows, tiny_model_dir):
    table = pq.read_table(straight)
    assert table.schema.remove_metadata() == records.COMPLETIONS
    ids = [json.loads(line)["id"] for line in rows.read_text().splitlines()]
    assert table["prompt_id"].to_pylist() == [name for name in ids for _ in range(3)]
    assert table["sample"].to_pylist() == [0, 1, 2] * 12
    assert table["seed"][4].as_py() == derive_seed(7, 1, "evaluate", "world_test", ids[1], 1)
    assert set(table["truncated"].to_pylist()) == {True, False}
    assert set(table.filter(table["truncated"])["tokens"].to_pylist()) == {32}
    record = records.read_record(straight)
    assert [record[key] for key in records.IDENTITY[:4]] == ["rl", 1, "world_test", 3]
    assert record["manifest"] is None  # random weights come from no run
    assert set(record["inputs"]["model"]) >= {"model.safetensors", "tokenizer.json"}
    assert [path.name for path in straight.parent.iterdir()] == [straight.name]


def test_texts_are_those_of_the_engine(straight, rows, tiny_model_dir):
    table = pq.read_table(straight)
    row = json.loads(rows.read_text().splitlines()[5])
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    engine = HuggingFaceEngine(AutoModelForCausalLM.from_pretrained(tiny_model_dir), 0, [2], batch_size=1)
    prompt = encode_prompts(tokenizer, [row])
    sample = engine.generate(prompt, [table["seed"][16].as_py()], Decoding(**SPEC["decoding"]))[0]
    assert table["text"][16].as_py() == tokenizer.decode(sample.token_ids, skip_special_tokens=True)
    assert table["tokens"][16].as_py() == len(sample.token_ids)


@pytest.mark.slow
def test_the_method_is_not_in_the_noise(straight, rows, tiny_model_dir, tmp_path):
    generate.run(SPEC | {"method": "chord_mu"}, tiny_model_dir, rows, tmp_path / "other.parquet")
    assert pq.read_table(tmp_path / "other.parquet").equals(pq.read_table(straight))
    generate.run(SPEC | {"seed_index": 2}, tiny_model_dir, rows, tmp_path / "seed.parquet")
    assert pq.read_table(tmp_path / "seed.parquet")["text"] != pq.read_table(straight)["text"]


@pytest.mark.slow
def test_two_workers_write_what_one_writes(straight, rows, tiny_model_dir, tmp_path):
    generate.run(
        SPEC | {"backend": {"workers": 2, "kind": "huggingface"}}, tiny_model_dir, rows, tmp_path / "two.parquet"
    )
    assert pq.read_table(tmp_path / "two.parquet").equals(pq.read_table(straight))
    first, second = records.read_record(straight), records.read_record(tmp_path / "two.parquet")
    assert first | {"finished": ""} == second | {"finished": ""}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_where_a_straight_one_does(
    straight, rows, tiny_model_dir, tmp_path, monkeypatch, caplog
):
    out = tmp_path / "world_test.completions.parquet"
    parts = tmp_path / f".{out.name}.parts"
    # After three batches the process waits, so that the kill finds it in the middle however slow the machine is.
    script = (
        "import json, sys, time\nfrom pathlib import Path\n"
        "from chord.evaluation import generate\nfrom chord.rollouts.completions import FinishedBatches\n"
        "write = FinishedBatches.write\n"
        "FinishedBatches.write = lambda self, batch, table: "
        "write(self, batch, table) if batch < 3 else time.sleep(600)\n"
        "generate.run(json.loads(sys.argv[1]), *map(Path, sys.argv[2:]))\n"
    )
    command = [sys.executable, "-c", script, json.dumps(SPEC), str(tiny_model_dir), str(rows), str(out)]
    source = str(Path(generate.__file__).parents[2])
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": source})
    last = parts / "batch-000002.parquet"
    while not last.exists() and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    assert len(list(parts.glob("batch-*.parquet"))) == 3

    os.truncate(parts / "batch-000001.parquet", 100)
    complete, done = workers.Completer.complete, []
    monkeypatch.setattr(workers.Completer, "complete", lambda self, batch: done.append(batch) or complete(self, batch))
    generate.run(SPEC, tiny_model_dir, rows, out)
    assert [batch.number for batch in done] == [1, *range(3, 9)]
    assert "batch-000001.parquet: not a whole parquet file" in caplog.text
    assert pq.read_table(out).equals(pq.read_table(straight))
    assert not parts.exists()


def test_two_processes_do_not_write_the_same_completions(rows, tiny_model_dir, tmp_path):
    out = tmp_path / "out.parquet"
    with (
        exclusive(tmp_path / ".out.parquet.lock", "writing these completions", beat=0.2),
        pytest.raises(UserError, match=rf"lock: process {os.getpid()} on .* is writing these completions"),
    ):
        generate.run(SPEC, tiny_model_dir, rows, out)
    assert not out.exists()


def test_parts_of_another_job_are_not_used(straight, rows, tiny_model_dir, tmp_path, monkeypatch):
    out = tmp_path / "out.parquet"

    def stop_at(number):
        complete = workers.Completer.complete

        def stopping(self, batch):
            if batch.number == number:
                raise KeyboardInterrupt
            return complete(self, batch)

        return stopping

    with monkeypatch.context() as patch:
        patch.setattr(workers.Completer, "complete", stop_at(3))
        with pytest.raises(KeyboardInterrupt):
            generate.run(SPEC | {"study_seed": 8}, tiny_model_dir, rows, out)
    assert len(list((tmp_path / f".{out.name}.parts").glob("batch-*"))) == 3
    generate.run(SPEC, tiny_model_dir, rows, out)
    assert pq.read_table(out).equals(pq.read_table(straight))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "no rows"),
        ([{"id": "a"}], "row 1: missing messages, gold, task, group"),
        ([{"id": "a", "messages": [], "gold": "", "task": "world", "group": "g"}] * 2, "row 2: id 'a' is there twice"),
    ],
)
def test_bad_rows_are_named(wrong, message, tiny_model_dir, tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", wrong)
    with pytest.raises(UserError, match=message):
        generate.run(SPEC, tiny_model_dir, tmp_path / "rows.jsonl", tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_validation_has_the_same_noise_at_every_step(tiny_model_dir, rows):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    engine = HuggingFaceEngine(AutoModelForCausalLM.from_pretrained(tiny_model_dir), 0, [2], batch_size=16)
    questions = [json.loads(line) for line in rows.read_text().splitlines()]
    decoding = Decoding(**SPEC["decoding"])
    share, tokens = accuracy(engine, tokenizer, questions, 2, 7, 0, decoding)
    assert (share, tokens) == accuracy(engine, tokenizer, questions, 2, 7, 0, decoding)
    assert 0 <= share <= 1
    assert 1 <= tokens <= 32
    assert tokens != accuracy(engine, tokenizer, questions, 2, 7, 1, decoding)[1]
