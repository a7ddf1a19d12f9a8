"""A GGUF file becomes the model that it was made from: weights, tokens, template; other files are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chord.data import gguf_model
from chord.errors import UserError
from chord.io.files import read_json
from chord.io.models import load_tokenizer, load_weights
from chord.io.provenance import folder_sha256
from chord.rollouts import chat

gguf = pytest.importorskip("gguf", reason="the package gguf, which pyproject.toml pins, is not installed")

from tests.helpers.tiny_gguf import TEMPLATE, tiny_llama, tokens, write_gguf  # noqa: E402


def convert(gguf_file: Path) -> Path:
    folder = gguf_file.with_suffix("")
    folder.mkdir()
    assert gguf_model.convert(gguf_file, folder) == "apache-2.0"
    return folder


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    return convert(write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tiny_llama()))


@pytest.mark.parametrize("tied", [True, False])
def test_the_weights_are_those_of_the_model(tied, tmp_path):
    model = tiny_llama(tied)
    again = load_weights(convert(write_gguf(tmp_path / "tiny.gguf", model)), "auto").eval()
    assert again.config.tie_word_embeddings is tied
    assert {name: value.dtype for name, value in again.state_dict().items()} == dict.fromkeys(
        model.state_dict(), torch.float32
    )
    prompt = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(again(prompt).logits, model(prompt).logits)


def test_quantised_weights_are_scale_times_number_plus_minimum(tmp_path):
    """Q4_1 by its definition: 16 bits of scale, 16 of minimum, then 32 numbers of four bits, low halves first."""
    model = tiny_llama()
    again = load_weights(convert(write_gguf(tmp_path / "tiny.gguf", model, "Q4_1")), "auto")
    before, after = (one.model.layers[0].self_attn.v_proj.weight.detach().numpy() for one in (model, again))
    (block,) = gguf.quants.quantize(before[:1], gguf.GGMLQuantizationType.Q4_1)
    scale, minimum = (np.float32(value) for value in block[:4].view(np.float16))
    numbers = np.array([*(block[4:] & 15), *(block[4:] >> 4)], dtype=np.float32)
    assert np.array_equal(after[0], scale * numbers + minimum)
    assert np.abs(after - before).max() < np.ptp(before) / 15


def test_transformers_reads_the_same_weights_from_the_file(tmp_path):
    from transformers import AutoModelForCausalLM

    path = write_gguf(tmp_path / "tiny.gguf", tiny_llama(), "Q4_1")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=path.name, dtype=torch.float32).state_dict()
    ours = load_weights(convert(path), "auto").state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_the_same_file_gives_the_same_bytes(converted, tmp_path):
    assert folder_sha256(convert(write_gguf(tmp_path / "tiny.gguf", tiny_llama()))) == folder_sha256(converted)


def test_the_configuration_has_the_numbers_as_people_write_them(converted):
    config = read_json(converted / "config.json")
    assert (config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]) == (1e-06, 100000.0)
    assert (config["head_dim"], config["num_key_value_heads"], config["max_position_embeddings"]) == (8, 2, 128)


def test_special_tokens_are_those_of_the_file(converted):
    """The file pads with its end token; a mask that is made from padding would then hide the end."""
    tokenizer = load_tokenizer(converted)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
    )
    assert chat.end_token(tokenizer) == chat.turn_end(tokenizer) == 2
    assert read_json(converted / "generation_config.json") == {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    assert tokenizer.chat_template == TEMPLATE


def test_padding_of_its_own_stays(tmp_path):
    folder = convert(write_gguf(tmp_path / "tiny.gguf", tiny_llama(), changes={"pad_token_id": 1}))
    assert load_tokenizer(folder).pad_token_id == 1


def test_numbers_are_read_digit_by_digit(converted):
    """The vocabulary has a token for 12, and one for a blank before a digit; the pre-tokenizer keeps both apart."""
    assert {"12", "Ġ1"} <= set(tokens())
    assert load_tokenizer(converted).tokenize("he  12") == ["he", "ĠĠ", "1", "2"]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_every_text_survives(converted, text):
    from tokenizers import Tokenizer

    core = Tokenizer.from_file(str(converted / "tokenizer.json"))
    assert core.decode(core.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer_pre": "llama-bpe"}, "tokenizer.ggml.pre: expected smollm, got 'llama-bpe'"),
        ({"tokenizer_model": "llama"}, "tokenizer.ggml.model: expected gpt2, got 'llama'"),
        ({"rope_scaling_type": gguf.RopeScalingType.LINEAR}, "expected a model without scaled positions"),
        ({"add_bos_token": True}, "without a token before the prompt"),
        (
            {"eos_token_id": 0, "pad_token_id": 1},
            "its chat template does not end a reply with the end token <|endoftext|>",
        ),
        ({"unk_token_id": 2}, "pad_token_id: expected another token than the end token 2"),
        ({"chat_template": None}, r"tiny.gguf: tokenizer\.chat_template: missing"),
        ({"block_count": 3}, "its safetensors lack the weights model.layers.2."),
    ],
)
def test_what_it_cannot_convert_is_one_line(changes, message, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", tiny_llama(), changes=changes)
    (tmp_path / "tiny").mkdir()
    with pytest.raises(UserError, match=message.replace("|", r"\|")) as error:
        gguf_model.convert(path, tmp_path / "tiny")
    assert "\n" not in str(error.value)


def test_another_file_is_one_line(tmp_path):
    (tmp_path / "tiny.gguf").write_bytes(b"no such format" * 10)
    with pytest.raises(UserError, match=r"tiny\.gguf: not a GGUF file that can be read \("):
        gguf_model.convert(tmp_path / "tiny.gguf", tmp_path)


def test_a_tensor_of_another_family_is_refused(tmp_path):
    model = tiny_llama()
    path = write_gguf(tmp_path / "tiny.gguf", model)
    content = path.read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_z.weight")
    path.write_bytes(content)
    (tmp_path / "tiny").mkdir()
    with pytest.raises(UserError, match=r"tensor blk\.0\.attn_z\.weight: not part of a Llama"):
        gguf_model.convert(path, tmp_path / "tiny")
