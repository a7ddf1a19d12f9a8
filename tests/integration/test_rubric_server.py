"""The rubric task with a real judge: a small model, trained here, behind `transformers serve`.

The judge learns to say YES where a response names what the criterion asks for, and MAYBE to the response `unclear`.
Needs fastapi and uvicorn, which the extra `dev` brings.
"""

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chord.errors import GraderError, UserError
from chord.evaluation import records, score
from chord.io.files import write_jsonl
from chord.tasks import judge, rubric
from chord.tasks.task import Verdict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (importlib.util.find_spec("fastapi") and importlib.util.find_spec("uvicorn")),
        reason="`transformers serve` needs fastapi and uvicorn: pip install -e .[dev]",
    ),
]

START_SECONDS = 300
ENOUGH = 0.005  # mean nll (nats) of an answer: reached after some seventy steps
PAD, END, ASSISTANT, UNKNOWN = "<pad>", "<end>", "<assistant>", "<unk>"
ROLES = ["<system>", "<user>", ASSISTANT]
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}> {{ message['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
CRITERIA = [{"description": "names rest", "weight": 3}, {"description": "names water", "weight": 1}]
ROW = {
    "id": "med-1",
    "messages": rubric.RUBRIC.render("What helps ?"),
    "gold": "",
    "task": "rubric",
    "group": "medicine",
    "meta": {"rubric": CRITERIA},
}
REWARDS = {"rest and water": 1.0, "rest": 0.75, "nothing": 0.0}


def lessons():
    """Every conversation the judge will see, with the answer it must give."""
    for response in REWARDS:
        for criterion in CRITERIA:
            answer = "YES" if criterion["description"].split()[-1] in response else "NO"
            yield [*rubric._question(ROW, response, criterion), {"role": "assistant", "content": answer}]
    conversation = rubric._question(ROW, "unclear", CRITERIA[0])
    for _ in range(judge.TRIES):
        yield [*conversation, {"role": "assistant", "content": "MAYBE"}]
        conversation = [
            *conversation,
            {"role": "assistant", "content": "MAYBE"},
            {"role": "user", "content": judge.AGAIN},
        ]


def build_tokenizer(conversations):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Whitespace()
    contents = [message["content"] for conversation in conversations for message in conversation]
    words = sorted({word for content in contents for word, _ in split.pre_tokenize_str(content)})
    special = [PAD, END, UNKNOWN, *ROLES]
    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate([*special, *words])}, UNKNOWN))
    core.pre_tokenizer = split
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=ROLES,
        chat_template=TEMPLATE,
    )
    # Keeps transformers 5 from loading the model family's own tokenizer instead (see chord.world.tokenizer).
    tokenizer.init_kwargs["auto_map"] = {"AutoTokenizer": [None, "transformers.PreTrainedTokenizerFast"]}
    return tokenizer


@pytest.fixture(scope="module")
def judge_folder(tmp_path_factory):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    conversations = list(lessons())
    tokenizer = build_tokenizer(conversations)
    rows = [tokenizer.apply_chat_template(conversation, return_dict=False) for conversation in conversations]
    width = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows])
    labels = torch.full_like(ids, -100)
    for row, line in zip(rows, labels, strict=True):
        answer = len(row) - row[::-1].index(tokenizer.convert_tokens_to_ids(ASSISTANT))
        line[answer : answer + 2] = torch.tensor(row[answer : answer + 2])  # the word and the end
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=512,
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        loss = None
        for _ in range(400):
            loss = model(input_ids=ids, attention_mask=ids != tokenizer.pad_token_id, labels=labels).loss
            if loss < ENOUGH:
                break
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    assert loss < ENOUGH, "the judge did not learn its answers"
    folder = tmp_path_factory.mktemp("judge")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(judge_folder):
    """Base URL of a running `transformers serve` with the judge."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from transformers.cli.transformers import main; main()"
    options = ["serve", str(judge_folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = judge_folder / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", command, *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def wait_for(address, process, log):
    deadline = time.monotonic() + START_SECONDS
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), direct.open(address, timeout=5):
            return
        time.sleep(0.2)
    pytest.fail(f"the judge's server did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")


@pytest.fixture(autouse=True)
def judge_settings(server, judge_folder, monkeypatch):
    monkeypatch.setenv("CHORD_JUDGE_URL", server)
    monkeypatch.setenv("CHORD_JUDGE_MODEL", str(judge_folder))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_rewards_are_what_the_judge_says(judge_folder):
    found = dict(zip(REWARDS, rubric.RUBRIC.verdicts((ROW, text, False) for text in REWARDS), strict=True))
    assert {text: item.reward for text, item in found.items()} == REWARDS
    assert found["rest and water"] == Verdict(1.0, True, True, "correct")


def test_scores_of_completions_name_the_judge(tmp_path, judge_folder):
    rows, given, out = tmp_path / "rows.jsonl", tmp_path / "completions.parquet", tmp_path / "scores.parquet"
    write_jsonl(rows, [ROW])
    items = [
        {
            "prompt_id": "med-1",
            "group": "medicine",
            "sample": sample,
            "text": text,
            "tokens": 3,
            "truncated": False,
            "seed": sample,
        }
        for sample, text in enumerate(REWARDS)
    ]
    record = dict.fromkeys(records.IDENTITY) | {"k": len(items)}
    records.write(given, pa.Table.from_pylist(items, schema=records.COMPLETIONS), record)
    score.run(given, rows, out)
    assert pq.read_table(out)["reward"].to_pylist() == list(REWARDS.values())
    assert json.loads(pq.read_schema(out).metadata[b"chord"])["score"]["graders"] == {
        "rubric": {"judge_model": str(judge_folder), "judge_prompt_hash": rubric.RUBRIC.record()["judge_prompt_hash"]}
    }


def test_an_answer_that_is_neither_yes_nor_no_is_an_error():
    row = ROW | {"meta": {"rubric": CRITERIA[:1]}}
    with pytest.raises(GraderError, match="no YES or NO after 3 tries; the last reply ends in 'MAYBE'"):
        rubric.RUBRIC.judge(row, "unclear", False)


def test_a_model_that_the_server_does_not_have(monkeypatch):
    monkeypatch.setenv("CHORD_JUDGE_MODEL", "another/judge")
    with pytest.raises(UserError, match="judge 'another/judge': the server at CHORD_JUDGE_URL answered 400"):
        rubric.RUBRIC.judge(ROW, "rest", False)
