"""Writes a model folder as a GGUF file in float32, for llama.cpp and what is built on it; the way back of `gguf_model`.

It knows the same family and layout, so that trained checkpoints of a model that came out of a GGUF file go back.
"""

import logging
from pathlib import Path

import numpy as np

from chord.data.gguf_model import CONTROL, FAMILY, NUMBERS, OF_LAYER, REST, USER_DEFINED, check
from chord.errors import UserError
from chord.io.files import atomic_path, read_json

NORMAL = 1  # type of a token


def export(folder: Path, out: Path) -> None:
    """Write the model in `folder` to the file `out`; UserError for a model of another family."""
    from gguf import GGUFWriter

    for name in ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder}: has no {name}; expected a model folder with a chat template and one weights file"
            )
    config, tokenizer = read_json(folder / "config.json"), read_json(folder / "tokenizer.json")
    kinds = {
        "model_type": (config["model_type"], FAMILY["general.architecture"]),
        "hidden_act": (config["hidden_act"], "silu"),
        "rope_type": (config["rope_parameters"]["rope_type"], "default"),
    }
    for key, (kind, known) in kinds.items():
        if kind != known:  # the fields that are written say nothing of another one
            raise UserError(f"{folder}: {key}: expected {known}, got {kind}")
    logging.getLogger("gguf").setLevel(logging.WARNING)  # it names the temporary file
    check(folder)  # among others, that numbers are split into digits
    with atomic_path(out) as path:
        writer = GGUFWriter(path, FAMILY["general.architecture"])
        _add_fields(writer, config, (folder / "chat_template.jinja").read_text(encoding="utf-8"))
        _add_tokens(writer, tokenizer)
        _add_weights(writer, folder, config)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _add_fields(writer, config: dict, template: str) -> None:
    for name, key in NUMBERS.items():
        writer.add_uint32(key, config[name])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_tokenizer_model(FAMILY["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(FAMILY["tokenizer.ggml.pre"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_unk_token_id(config["pad_token_id"])  # such files have <|endoftext|> in its place
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(template)


def _add_tokens(writer, tokenizer: dict) -> None:
    numbers = dict(tokenizer["model"]["vocab"])
    types = dict.fromkeys(numbers, NORMAL)
    for added in tokenizer["added_tokens"]:
        numbers[added["content"]] = added["id"]
        types[added["content"]] = CONTROL if added["special"] else USER_DEFINED
    tokens = sorted(numbers, key=numbers.get)
    writer.add_token_list(tokens)
    writer.add_token_types([types[token] for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])


def _add_weights(writer, folder: Path, config: dict) -> None:
    from safetensors.numpy import load_file

    names = {f"{own}.weight": f"{name}.weight" for name, own in REST.items()}
    for layer in range(config["num_hidden_layers"]):
        names |= {f"model.layers.{layer}.{own}.weight": f"blk.{layer}.{name}.weight" for name, own in OF_LAYER.items()}
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = load_file(folder / "model.safetensors")
    if unknown := sorted(weights.keys() - names.keys()):
        raise UserError(f"{folder}: tensor {unknown[0]}: not part of a Llama that this version can convert")
    for own, value in sorted(weights.items()):
        kind = names[own].removesuffix(".weight").rpartition(".")[2]
        if kind in heads:
            halves = value.reshape(heads[kind], 2, -1, value.shape[1])
            value = halves.swapaxes(1, 2).reshape(value.shape)
        writer.add_tensor(names[own], np.ascontiguousarray(value, dtype=np.float32))
