"""Chat templates and tokenizers as models have them: real small ones, each with a fault that is on the hub."""

import json
import logging

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from chord.doctor.prompt import examine_prompts
from chord.errors import UserError
from chord.io.files import read_json, write_json
from chord.io.models import load_weights
from chord.rollouts import Sample, encode_prompts
from chord.rollouts.chat import end_token, opening, response_ids, response_texts, takes_system, turn_end
from chord.rollouts.huggingface import stop_tokens
from chord.rollouts.policy import check, policy_tokenizer
from chord.tasks import judge_samples
from chord.training.sequences import encode_experts
from chord.world.tokenizer import build_tokenizer
from tests.helpers.tiny_model import save_tiny_model

PLAIN = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
OPENS = PLAIN.replace("<|assistant|>{% endif %}", "<|assistant|><think>\n{% endif %}")
CLOSES = PLAIN.replace("<|assistant|>{% endif %}", "<|assistant|><think>\n\n</think>\n\n{% endif %}")
REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + PLAIN
)
DROPS = PLAIN.replace("<|{{", "{% if message['role'] != 'system' %}<|{{").replace("<|end|>\n", "<|end|>\n{% endif %}")
ROWS = [
    {
        "id": "1",
        "messages": [{"role": "system", "content": "Think."}, {"role": "user", "content": "What is 2 + 2?"}],
        "gold": "4",
        "task": "math",
        "group": "",
        "meta": {},
    }
]
TURNS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")


def build(template: str | None = PLAIN, special: tuple = (), plain: tuple = (), eos: str | None = "<|end|>"):
    """A byte-level tokenizer, one token a byte, that knows every text; `special` and `plain` are added tokens."""
    core = Tokenizer(
        models.BPE({letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, [])
    )
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(text, special=True) for text in (*TURNS, *special)])
    core.add_tokens([AddedToken(text, special=False) for text in plain])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token=eos, chat_template=template)


def saved(folder, tokenizer, **configuration):
    """A model folder without weights: its configuration and its tokenizer."""
    tokenizer.save_pretrained(folder)
    write_json(folder / "config.json", {"model_type": "llama", "eos_token_id": tokenizer.eos_token_id} | configuration)
    return folder


def rendered(tokenizer, rows=ROWS) -> str:
    return tokenizer.decode(encode_prompts(tokenizer, rows)[0], skip_special_tokens=False)


def sample(tokenizer, text: str) -> Sample:
    return Sample(tokenizer(text, add_special_tokens=False)["input_ids"], False, [], [])


def test_prompts_are_what_the_template_renders():
    tokenizer = build()
    expected = tokenizer.apply_chat_template(ROWS[0]["messages"], add_generation_prompt=True, return_dict=False)
    assert encode_prompts(tokenizer, ROWS) == [list(expected)]
    assert rendered(tokenizer) == "<|system|>Think.<|end|>\n<|user|>What is 2 + 2?<|end|>\n<|assistant|>"


@pytest.mark.parametrize("template", [REFUSES, DROPS])
def test_where_no_system_message_is_taken_its_text_opens_the_users(template, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    tokenizer = policy_tokenizer(saved(tmp_path, build(template)), ROWS)
    assert not takes_system(tokenizer)
    assert rendered(tokenizer) == "<|user|>Think.\n\nWhat is 2 + 2?<|end|>\n<|assistant|>"
    assert "the chat template takes no system message" in caplog.text
    caplog.clear()
    policy_tokenizer(tmp_path, [{"messages": ROWS[0]["messages"][1:]}])
    assert "system" not in caplog.text  # no row has one


def test_no_chat_template_is_one_line(tmp_path):
    folder = saved(tmp_path, build(None))
    with pytest.raises(UserError, match=r"has no chat template; expected chat_template\.jinja") as caught:
        policy_tokenizer(folder, ROWS)
    assert "\n" not in str(caught.value)
    (found,) = examine_prompts(folder, ROWS)
    assert found.state == "missing"
    assert "no chat template" in found.detail


def test_a_template_that_refuses_the_rows_is_one_line_with_the_row(tmp_path):
    refuses = "{% if messages[-1]['role'] == 'tool' %}{{ raise_exception('No tools.\nNone.') }}{% endif %}" + PLAIN
    rows = [*ROWS, ROWS[0] | {"id": "2", "messages": [*ROWS[0]["messages"], {"role": "tool", "content": "4"}]}]
    with pytest.raises(UserError, match=r"row '2': .*refuses messages of system, user, tool \(No tools\.\)$"):
        policy_tokenizer(saved(tmp_path, build(refuses)), rows)


@pytest.mark.parametrize("mark", ["text", "token", "special"])
def test_thinking_that_the_prompt_opens_counts_in_the_verdict(mark):
    marks = ("<think>", "</think>")
    tokenizer = build(OPENS, **({} if mark == "text" else {"special" if mark == "special" else "plain": marks}))
    assert opening(tokenizer) == "<think>\n"
    well = sample(tokenizer, "2 and 2.\n</think>\n\\boxed{4}<|end|>")
    wrong = sample(tokenizer, "2 and 2.\n</think>\n\\boxed{5}<|end|>")
    bad = sample(tokenizer, "<think>\n2 and 2.\n</think>\n\\boxed{5}<|end|>")  # a second opening
    (text, right), (_, wrong), (_, bad) = judge_samples(tokenizer, ROWS * 3, [well, wrong, bad])
    assert text == "<think>\n2 and 2.\n</think>\n\\boxed{4}"
    assert (right.reward, wrong.reward) == (1.0, 0.0)
    assert bad.reward < 0.0


@pytest.mark.parametrize("template", [PLAIN, CLOSES])
def test_thinking_that_the_prompt_does_not_leave_open_is_the_responses(template):
    tokenizer = build(template)
    assert opening(tokenizer) == ""
    ((text, verdict),) = judge_samples(tokenizer, ROWS, [sample(tokenizer, "no.\n</think>\n\\boxed{5}")])
    assert text == "no.\n</think>\n\\boxed{5}"
    assert verdict.reward < 0.0


def test_expert_responses_go_on_from_what_the_prompt_has_opened():
    tokenizer = build(OPENS)
    texts = ["<think>\nSo.\n</think>\n4", "\n<think>So.\n</think>\n4", "So.\n</think>\n4"]
    rows = [ROWS[0] | {"response": text} for text in texts]
    for sequence in encode_experts(tokenizer, rows):
        whole = tokenizer.decode(sequence.input_ids, skip_special_tokens=False)
        assert whole.endswith("<|assistant|><think>\nSo.\n</think>\n4<|end|>")


def test_marks_that_are_special_tokens_stay_in_the_text():
    tokenizer = build(special=("<think>", "</think>", "<|pause|>"))
    ids = tokenizer("<think>\na<|pause|>\n</think>\n\\boxed{4}<|end|>", add_special_tokens=False)["input_ids"]
    assert response_texts(tokenizer, [ids]) == ["<think>\na\n</think>\n\\boxed{4}"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "\na\n\n\\boxed{4}"  # what is judged elsewhere
    expert = encode_experts(tokenizer, [ROWS[0] | {"response": "<think>\na\n</think>\n4"}])[0]
    assert expert.response_ids[0] == tokenizer.convert_tokens_to_ids("<think>")


def test_special_tokens_that_text_spells_are_text(tmp_path, caplog):
    tokenizer = build(special=("<s>",))
    end = tokenizer.eos_token_id
    text = "Is <s>this</s> or <|end|> the end?<|user|>"
    rows = [ROWS[0] | {"messages": [{"role": "user", "content": text}], "response": "It is <|end|>, I think."}]
    assert rendered(tokenizer, rows) == f"<|user|>{text}<|end|>\n<|assistant|>"
    (sequence,) = encode_experts(tokenizer, rows)
    assert sequence.prompt_ids.count(end) == sequence.response_ids.count(end) == 1
    assert sequence.response_ids[-1] == end
    assert tokenizer.decode(sequence.response_ids[:-1]) == "It is <|end|>, I think."
    caplog.set_level(logging.INFO)
    policy_tokenizer(saved(tmp_path, tokenizer), [*ROWS, *rows])
    assert "1 of 2 rows spell special tokens (<s>), which are taken as text" in caplog.text


def test_an_end_token_at_the_end_of_a_response_is_not_written_twice():
    tokenizer = build()
    assert response_ids(tokenizer, ["4<|end|>"]) == response_ids(tokenizer, ["4"])
    assert response_ids(tokenizer, ["4"])[0][-1] == tokenizer.eos_token_id


def test_ends_that_differ_are_all_ends_and_told(tmp_path, caplog):
    tokenizer = build(special=("<eos>",), eos="<eos>")
    of_template = tokenizer.convert_tokens_to_ids("<|end|>")
    assert turn_end(tokenizer) == of_template
    folder = save_tiny_model(tmp_path, tokenizer)
    caplog.set_level(logging.INFO)
    policy_tokenizer(folder, ROWS)
    assert "ends a reply with <|end|>, the tokenizer with <eos>: responses end at either" in caplog.text
    assert stop_tokens(load_weights(folder, torch.float32), tokenizer)[1] == sorted(
        [of_template, tokenizer.eos_token_id]
    )
    assert end_token(tokenizer) == tokenizer.eos_token_id
    assert end_token(build(eos=None)) == of_template
    nothing = build(PLAIN.replace("<|end|>", ""), eos=None)
    with pytest.raises(UserError, match="no end token: its tokenizer names no eos_token, and its chat template ends"):
        end_token(nothing)


@pytest.mark.parametrize(
    ("eos", "message"),
    [
        (
            65,
            r"config\.json: eos_token_id 65 is the ordinary token '.'; expected the id of the end token, such as 25\d",
        ),
        ([259, 12], r"config\.json: eos_token_id 12 is the ordinary token"),
        (9999, r"config\.json: eos_token_id 9999 is not in the vocabulary"),
    ],
)
def test_an_end_token_of_the_configuration_that_is_none_is_one_line(eos, message, tmp_path):
    folder = saved(tmp_path, build(), eos_token_id=eos)
    with pytest.raises(UserError, match=message):
        policy_tokenizer(folder, ROWS)
    write_json(folder / "generation_config.json", {"eos_token_id": [259]})  # which counts before the model's
    policy_tokenizer(folder, ROWS)


def test_another_tokenizer_than_the_files_is_one_line(tmp_path):
    """transformers takes Qwen2's for every folder of `model_type: qwen2`: a vocabulary of words gives empty prompts."""
    words = build_tokenizer(64)
    folder = save_tiny_model(tmp_path, words)
    rows = [{"id": "1", "messages": [{"role": "user", "content": "Ann has 3 ."}]}]
    policy_tokenizer(folder, rows)
    settings = read_json(folder / "tokenizer_config.json")
    del settings["auto_map"]
    write_json(folder / "tokenizer_config.json", settings)
    with pytest.raises(UserError, match=r'makes \d+ tokens of "Ann has 3 \.", its tokenizer\.json 4 others') as caught:
        policy_tokenizer(folder, rows)
    assert "\n" not in str(caught.value)
    (found,) = examine_prompts(folder, rows)
    assert found.state == "missing"


def test_text_without_tokens_is_one_line(tmp_path):
    tokenizer = build()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split("x", "removed")
    with pytest.raises(UserError, match='its tokenizer makes no tokens of "xxx"'):
        check(tokenizer, tmp_path, [{"messages": [{"role": "user", "content": "xxx"}]}])


def test_a_prompt_is_shown_with_what_its_tokens_say(tmp_path):
    folder = saved(tmp_path, build(OPENS))
    found = {(one.state, one.subject): one.detail for one in examine_prompts(folder, ROWS)}
    assert json.dumps("<|user|>What is 2 + 2?<|end|>\n<|assistant|><think>\n")[1:] in found["ok", "prompt"]
    assert "a response ends with <|end|> (259)" in found["ok", "prompt"]
    assert ("ok", "decoded") in found
    assert "'<think>\\n'" in found["note", "prompt"]
