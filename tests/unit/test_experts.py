"""Expert trajectories: several sources, one format; what is kept is right, what is not is counted by reason."""

import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError
from transformers import GenerationConfig

from chord import experts, tasks
from chord.data.row_format import EXPERT_KEYS, KEYS
from chord.errors import UserError
from chord.experts.experts_spec import ExpertsSpec, ModelSource
from chord.experts.make import _choose
from chord.experts.sources import Candidate, open_source
from chord.io.files import read_json, read_jsonl, write_jsonl
from chord.rollouts.completions import FinishedBatches
from chord.rollouts.workers import Completer, open_engine
from chord.tasks import Verdict
from chord.world import problems, solutions
from chord.world.rows import skill_rows, world_rows
from chord.world.tokenizer import build_tokenizer

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models" / "world-base"
OWN = ROOT / "tests" / "data" / "openr1"
ROW_KEYS = {*KEYS, *EXPERT_KEYS}


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """Folder with the world's tokenizer."""
    folder = tmp_path_factory.mktemp("policy")
    build_tokenizer(256).save_pretrained(folder)
    return folder


@pytest.fixture
def prompts(tmp_path):
    write_jsonl(tmp_path / "sft.jsonl", world_rows("sft", "sft", (3, 4, 5), 9, 1))
    return tmp_path / "sft.jsonl"


def math_prompts(path: Path, problems: list[str]) -> Path:
    rest = {"gold": "", "task": "math", "group": "", "meta": {}}
    rows = [{"id": f"m{n}", "messages": [{"role": "user", "content": text}]} for n, text in enumerate(problems)]
    write_jsonl(path, [row | rest for row in rows])
    return path


def test_solver_gives_every_problem_its_one_solution(prompts, policy, tmp_path):
    out = tmp_path / "experts.jsonl"
    manifest = experts.run({"seed": 1, "max_response_tokens": 96}, prompts, policy, out)
    rows = read_jsonl(out)
    assert manifest["kept"] == len(rows) == 9
    assert manifest["rejected_trajectories"] == {}
    tokenizer = build_tokenizer(256)
    for row, prompt in zip(rows, read_jsonl(prompts), strict=True):
        assert set(row) == ROW_KEYS
        assert {key: row[key] for key in prompt} == prompt
        assert row["response"] == solutions.write_expert(problems.parse(prompt["messages"][0]["content"]))
        assert row["tokens"] == len(tokenizer(row["response"] + tokenizer.eos_token).input_ids)
        assert row["source"] == "solver"
        assert row["verdict"] == {"reward": 1.0, "correct": True, "parsed": True, "reason": "correct"}
    assert read_json(tmp_path / "experts.manifest.json") == manifest


def test_length_limit_rejects_and_counts(prompts, policy, tmp_path):
    out = tmp_path / "experts.jsonl"
    full = experts.run({"seed": 1, "max_response_tokens": 96}, prompts, policy, out)
    lengths = sorted(row["tokens"] for row in read_jsonl(out))
    limit = lengths[4]  # the fifth of nine still fits, with its end token
    manifest = experts.run({"seed": 1, "max_response_tokens": limit}, prompts, policy, out)
    fits = sum(length <= limit for length in lengths)
    assert manifest["kept"] == fits < full["kept"]
    assert manifest["tokens_max"] == limit
    assert manifest["rejected_trajectories"] == manifest["prompts_without_trajectory"] == {"too_long": 9 - fits}
    with pytest.raises(UserError, match=r"not one of 9 prompts has a right trajectory \(too_long: 9\)"):
        experts.run({"seed": 1, "max_response_tokens": 5}, prompts, policy, out)


def test_solver_refuses_other_tasks(policy, tmp_path):
    write_jsonl(tmp_path / "sft.jsonl", skill_rows("s", ["odd"], 1, 1))
    with pytest.raises(UserError, match="the solver only solves task 'world', got"):
        experts.run({"seed": 1, "max_response_tokens": 96}, tmp_path / "sft.jsonl", policy, tmp_path / "e.jsonl")


def dataset_spec(folder: Path, **changes) -> dict:
    return {"seed": 3, "max_response_tokens": 400, "source": {"kind": "dataset", "folder": str(folder)}} | changes


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A policy whose tokenizer has one token a character and knows every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({letter: n for n, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}, "!"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), pre_tokenizers.Split("", "isolated")]
    )
    core.decoder = decoders.ByteLevel()
    folder = tmp_path_factory.mktemp("letters")
    PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>").save_pretrained(folder)
    return folder


def test_dataset_keeps_verified_generations_under_the_limit(letters, tmp_path):
    problems = ["What is 2 + 3?", "What is 7 - 4?", "What is 2 * 2 * 2?", "What is 9 - 9?", "What is missing?"]
    prompts = math_prompts(tmp_path / "sft.jsonl", problems)
    out = tmp_path / "experts.jsonl"
    manifest = experts.run(dataset_spec(OWN, max_response_tokens=80), prompts, letters, out)
    (row,) = read_jsonl(out)
    assert row["response"].endswith("\\boxed{5}")
    assert row["tokens"] == len(row["response"]) + 1
    assert row["verdict"]["reason"] == "correctness_math_verify"
    assert manifest["rejected_trajectories"] == {"not_verified": 3, "too_long": 1, "not_chosen": 1}
    assert manifest["prompts_without_trajectory"] == {"not_verified": 2, "too_long": 1, "no_candidate": 1}


def test_dataset_that_the_prompts_are_not_from_is_told_plainly(prompts, letters, tmp_path):
    with pytest.raises(UserError, match="none of its problems is among the 9 prompts"):
        experts.run(dataset_spec(OWN), prompts, letters, tmp_path / "e.jsonl")


def test_dataset_of_messages_answers_the_very_same_messages(letters, tmp_path):
    """The column holds prompt and answer; a row with the same question and other tools is another prompt."""

    def messages(tools: str, answer: str | None = None) -> list[dict]:
        prompt = [{"role": "system", "content": tools}, {"role": "user", "content": "Rain in Rome?"}]
        return prompt + ([{"role": "assistant", "content": answer}] if answer else [])

    write_jsonl(
        tmp_path / "rows" / "train.jsonl",
        [{"messages": messages("radio", "call the radio")}, {"messages": messages("gauge", "call the gauge")}],
    )
    rest = {"gold": "", "task": "tool_call", "group": "", "meta": {"question": "Rain in Rome?"}}
    rows = [{"id": tools, "messages": messages(tools)} | rest for tools in ("gauge", "radio", "map")]
    write_jsonl(tmp_path / "sft.jsonl", rows)
    source = {"kind": "dataset", "folder": str(tmp_path / "rows"), "format": "messages"}
    spec = {"seed": 1, "max_response_tokens": 99, "source": source}
    manifest = experts.run(spec, tmp_path / "sft.jsonl", letters, tmp_path / "e.jsonl")
    assert [(row["id"], row["response"]) for row in read_jsonl(tmp_path / "e.jsonl")] == [
        ("gauge", "call the gauge"),
        ("radio", "call the radio"),
    ]
    assert manifest["prompts_without_trajectory"] == {"no_candidate": 1}
    write_jsonl(tmp_path / "rows" / "train.jsonl", [{"messages": messages("radio")}])
    with pytest.raises(UserError, match=r"train\.jsonl:1: column messages: expected a message of the assistant"):
        experts.run(spec, tmp_path / "sft.jsonl", letters, tmp_path / "e.jsonl")


def test_dataset_of_reasoning_and_answers(letters, tmp_path):
    """The columns of medical-o1-reasoning-SFT, found by the question that the prompt was made of."""
    rows = [{"Question": f"{word}?", "Complex_CoT": f" {word}\n", "Response": word[::-1]} for word in ("ab", "cd")]
    write_jsonl(tmp_path / "rows" / "train.jsonl", rows)
    prompt = {"id": "1", "gold": "", "task": "rubric", "group": "", "meta": {"question": "cd?"}}
    write_jsonl(tmp_path / "prompts.jsonl", [prompt | {"messages": [{"role": "user", "content": "Tell: cd?"}]}])
    columns = {"question": "Question", "thinking": "Complex_CoT", "answer": "Response"}
    source = {"kind": "dataset", "folder": str(tmp_path / "rows"), "format": "answers"} | columns
    spec = {"seed": 1, "max_response_tokens": 100, "source": source}
    experts.run(spec, tmp_path / "prompts.jsonl", letters, tmp_path / "out.jsonl")
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert row["response"] == "<think>\ncd\n</think>\ndc"
    assert (row["source"], row["verdict"]["correct"], row["verdict"]["reason"]) == ("dataset", True, "dataset")
    spec["source"]["answer"] = "Answer"
    with pytest.raises(UserError, match=r"train\.jsonl:1: column Answer: missing; the row has Question, Complex_CoT"):
        experts.run(spec, tmp_path / "prompts.jsonl", letters, tmp_path / "out.jsonl")


def test_a_dataset_that_was_not_fetched_is_told_plainly(prompts, letters, tmp_path):
    source = {"kind": "dataset", "dataset": "owner/name", "files": ["data/*"]}
    with pytest.raises(UserError, match="expected where `chord fetch` put owner/name"):
        experts.run({"seed": 1, "max_response_tokens": 9, "source": source}, prompts, letters, tmp_path / "e.jsonl")
    with pytest.raises(ValidationError, match="files: missing"):
        ExpertsSpec.model_validate({"seed": 1, "max_response_tokens": 9, "source": source | {"files": []}})


def call_prompts(path: Path, task: str) -> Path:
    """Two rows of BFCL; the second has no right answer."""
    parameters = {"type": "dict", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    meta = {"question": "Of 7?", "functions": [{"name": "f", "description": "Does it.", "parameters": parameters}]}
    row = {"messages": [{"role": "user", "content": "Of 7?"}], "task": task, "group": "simple"}
    row["meta"] = meta | {"category": "simple"}
    write_jsonl(
        path, [row | {"id": gold, "gold": json.dumps([{"f": {"a": json.loads(gold)}}])} for gold in ("[7]", "[]")]
    )
    return path


def test_official_answers_of_bfcl(letters, tmp_path):
    prompts, out = call_prompts(tmp_path / "sft.jsonl", "bfcl_call"), tmp_path / "e.jsonl"
    spec = {"seed": 1, "max_response_tokens": 256, "source": {"kind": "official"}}
    block = '<tool_call>[{"name": "f", "arguments": {"a": 7}}]</tool_call>'
    thought = 'f\na: "Of 7" so 7'
    for style, response in (("reasoned", f"<think>\n{thought}\n</think>\n{block}"), ("terse", block)):
        spec["source"]["style"] = style
        manifest = experts.run(spec, prompts, letters, out)
        (row,) = read_jsonl(out)
        assert (row["id"], row["response"], row["tokens"]) == ("[7]", response, len(response) + 1)
        assert (row["source"], row["verdict"]["reason"]) == ("official", "correct")
        assert manifest["prompts_without_trajectory"] == {"no_candidate": 1}
    call_prompts(prompts, "bfcl_tool_call")  # which demands thinking
    with pytest.raises(UserError, match=r"not one of 2 prompts has a right trajectory \(format: 1, no_candidate: 1\)$"):
        experts.run(spec, prompts, letters, out)
    call_prompts(prompts, "bfcl")
    with pytest.raises(UserError, match=r"^row '\[7\]': official answers are only those of .*, got 'bfcl'$"):
        experts.run(spec, prompts, letters, out)


def test_choice_among_right_trajectories(letters, tmp_path):
    prompts = math_prompts(tmp_path / "sft.jsonl", ["What is 2 + 3?"])
    found = {}
    for rule in ("first", "shortest"):
        experts.run(dataset_spec(OWN, choose=rule), prompts, letters, tmp_path / "e.jsonl")
        found[rule] = read_jsonl(tmp_path / "e.jsonl")[0]["response"]
    assert "let me see" in found["first"]
    assert found["shortest"] == "<think>\n5\n</think>\n\\boxed{5}"


def test_random_choice_belongs_to_seed_and_row():
    right = [(Candidate(str(n), Verdict(1.0, True, True, "correct")), n) for n in range(10)]

    def chosen(seed: int) -> list[str]:
        settings = ExpertsSpec(seed=seed, choose="random", max_response_tokens=9)
        return [_choose(right, settings, f"row-{n}")[0].text for n in range(20)]

    assert chosen(1) == chosen(1) != chosen(2)
    assert len(set(chosen(1))) > 3


def test_dataset_in_the_real_format(letters, benchmark_data, tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    lines = (benchmark_data / "openr1_math_220k_standin" / "train_qwen_math.jsonl").read_text().splitlines()
    (folder / "train.jsonl").write_text("\n".join(lines))
    raw = [json.loads(line) for line in lines]
    prompts = math_prompts(tmp_path / "sft.jsonl", [row["problem"] for row in raw])
    manifest = experts.run(dataset_spec(folder, max_response_tokens=10**6), prompts, letters, tmp_path / "e.jsonl")
    wrong = sum(row["correctness_math_verify"].count(False) for row in raw)
    assert manifest["kept"] == sum(any(row["correctness_math_verify"]) for row in raw)
    assert manifest["rejected_trajectories"]["not_verified"] == wrong > 0


def test_model_samples_are_judged_and_counted(prompts, tmp_path):
    source = {
        "kind": "model",
        "folder": str(BASE),
        "samples": 6,
        "decoding": {"temperature": 1.0, "max_response_tokens": 96},
        "batch_rows": 20,
    }
    spec = {"seed": 5, "max_response_tokens": 96, "choose": "shortest", "source": source}
    out = tmp_path / "experts.jsonl"
    manifest = experts.run(spec, prompts, BASE, out)
    rows = read_jsonl(out)
    assert 0 < manifest["kept"] == len(rows)
    assert sum(manifest["rejected_trajectories"].values()) + manifest["kept"] == 6 * manifest["prompts"]
    assert manifest["kept"] + sum(manifest["prompts_without_trajectory"].values()) == manifest["prompts"]
    for row in rows:
        assert row["source"] == "model"
        assert tasks.verdict(row, row["response"], False).correct
    again = tmp_path / "again.jsonl"
    experts.run(spec, prompts, BASE, again)
    assert again.read_bytes() == out.read_bytes()
    # The samples of a row do not depend on the rows beside it.
    write_jsonl(tmp_path / "last.jsonl", read_jsonl(prompts)[-3:])
    alone, together = (
        list(open_source(ModelSource(**source), 5, FinishedBatches(tmp_path / path.stem)).candidates(read_jsonl(path)))
        for path in (tmp_path / "last.jsonl", prompts)
    )
    assert alone == together[-3:]


def test_a_stopped_job_goes_on_and_counts_the_same_reasons(prompts, tmp_path, monkeypatch):
    source = {"kind": "model", "folder": str(BASE), "samples": 4, "batch_rows": 6}
    source["decoding"] = {"temperature": 1.0, "max_response_tokens": 48}
    spec = {"seed": 5, "max_response_tokens": 96, "source": source}
    straight = experts.run(spec, prompts, BASE, tmp_path / "straight.jsonl")
    out, complete, done = tmp_path / "stopped.jsonl", Completer.complete, []

    def stopping(self, batch):
        if batch.number == 2:
            raise KeyboardInterrupt
        return complete(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Completer, "complete", stopping)
        with pytest.raises(KeyboardInterrupt):
            experts.run(spec, prompts, BASE, out)
    assert not out.exists()
    monkeypatch.setattr(Completer, "complete", lambda self, batch: done.append(batch.number) or complete(self, batch))
    # What is chosen of the trajectories does not decide which there are, so it may change on the way.
    found = experts.run(spec | {"choose": "shortest"}, prompts, BASE, tmp_path / "stopped.jsonl")
    assert done == [2, 3, 4, 5]
    assert found["rejected_trajectories"] == straight["rejected_trajectories"]
    assert len(found["rejected_trajectories"]) > 1
    assert {row["id"] for row in read_jsonl(out)} == {row["id"] for row in read_jsonl(tmp_path / "straight.jsonl")}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_the_model_ends_its_turn_as_in_evaluation(tiny_model_dir, tiny_tokenizer, tmp_path):
    """By the tokenizer's end token and by those of its generation configuration."""
    shutil.copytree(tiny_model_dir, tmp_path / "model")
    word = tiny_tokenizer.convert_tokens_to_ids("answer")
    GenerationConfig(eos_token_id=word).save_pretrained(tmp_path / "model")
    source = {"kind": "model", "folder": str(tmp_path / "model"), "samples": 1}
    source |= {"decoding": {"temperature": 1.0, "max_response_tokens": 9}}
    engine, _ = open_engine(ModelSource(**source).backend, tmp_path / "model", [], 4)
    assert engine.eos_token_ids == sorted([tiny_tokenizer.eos_token_id, word])


def test_specification_is_strict():
    for wrong in (
        {},
        {"max_response_tokens": 9, "choose": "best"},
        {"max_response_tokens": 9, "source": {"kind": "oracle"}},
    ):
        with pytest.raises(ValidationError):
            ExpertsSpec.model_validate({"seed": 1} | wrong)
    with pytest.raises(ValidationError):
        ExpertsSpec.model_validate({"seed": 1, "max_response_tokens": 9, "source": {"kind": "solver", "samples": 3}})


def test_missing_model_folder_is_one_line(prompts, policy, tmp_path):
    source = {
        "kind": "model",
        "folder": "nowhere",
        "samples": 1,
        "decoding": {"temperature": 1.0, "max_response_tokens": 9},
    }
    with pytest.raises(UserError, match="nowhere: no such folder"):
        experts.run({"seed": 1, "max_response_tokens": 9, "source": source}, prompts, policy, tmp_path / "e.jsonl")
