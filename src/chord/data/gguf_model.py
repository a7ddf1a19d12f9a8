"""Converts a GGUF file, the format of llama.cpp, to a model folder that every other job reads.

The weights are dequantised to float32 without another rounding; the same file gives the same bytes on every machine.
transformers reads GGUF too, but in version 5.17 its tokenizer of such a file ends at the wrong token, does not split
numbers into digits and has no padding, and its model cannot be saved (findings/transformers-gguf-*.sh). So this module
takes the numbers from the package `gguf` and writes the folder itself: for the one family that it knows, and no other.

The tensors have the layout of llama.cpp's convert_hf_to_gguf.py: query and key have a head's halves interleaved.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chord.errors import UserError

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PreTrainedTokenizerBase

# The family that this module knows: a Llama with a byte-level BPE tokenizer that splits numbers into digits.
FAMILY = {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm"}
NUMBERS = {  # keys of config.json
    "hidden_size": "llama.embedding_length",
    "intermediate_size": "llama.feed_forward_length",
    "num_hidden_layers": "llama.block_count",
    "num_attention_heads": "llama.attention.head_count",
    "num_key_value_heads": "llama.attention.head_count_kv",
    "head_dim": "llama.rope.dimension_count",
    "max_position_embeddings": "llama.context_length",
}
REST = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
OF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL, USER_DEFINED = 3, 4  # types of tokens
# Spaces, digits, line ends, other scripts, and text that looks like a special token's.
PROBES = (
    "12 + 345 =  6.78",
    "In  2024,\n\tx2 = 10",
    'f({"a": [1, 2]})',
    "naïve café 東京 🙂 ½",
    "<|im_x|> a  b\n\n c ",
)


class Fields(dict):
    """The fields of a file by name. A missing one is an error that names it."""

    def __init__(self, file: str, fields: dict):
        super().__init__(fields)
        self.file = file

    def __missing__(self, name: str):
        raise UserError(f"{self.file}: {name}: missing; expected a complete chat model")


def convert(gguf: Path, folder: Path) -> str | None:
    """Fill the empty folder `folder` with the model, and check it; returns the licence that the file states.

    UserError if the file is of another family, or if the folder does not pass the checks.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf)
    except ValueError as error:
        raise UserError(f"{gguf.name}: not a GGUF file that can be read ({error})") from None
    fields = Fields(gguf.name, {name: field.contents() for name, field in reader.fields.items()})
    for name, known in FAMILY.items():
        if fields.get(name) != known:
            raise UserError(f"{gguf.name}: {name}: expected {known}, got {fields.get(name)!r}")
    if "llama.rope.scaling.type" in fields or fields.get("tokenizer.ggml.add_bos_token"):
        raise UserError(f"{gguf.name}: expected a model without scaled positions and without a token before the prompt")
    config = _config(fields, {tensor.name for tensor in reader.tensors})
    _write_weights(reader, fields, config, folder)
    _write_json(folder / "config.json", config)
    tokens = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write_json(folder / "generation_config.json", tokens)
    _write_tokenizer(fields, config, folder)
    check(folder)
    return fields.get("general.license")


def _config(fields: Fields, tensors: set[str]) -> dict:
    end, unknown = fields["tokenizer.ggml.eos_token_id"], fields["tokenizer.ggml.unknown_token_id"]
    padding = fields.get("tokenizer.ggml.padding_token_id", end)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        **{name: fields[key] for name, key in NUMBERS.items()},
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rms_norm_eps": _shortest(fields["llama.attention.layer_norm_rms_epsilon"]),
        "rope_parameters": {"rope_type": "default", "rope_theta": _shortest(fields["llama.rope.freq_base"])},
        "tie_word_embeddings": "output.weight" not in tensors,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": end,
        # Padding with the end token would hide the end of a response from every mask that is made from padding.
        "pad_token_id": unknown if padding == end else padding,
    }


def _shortest(value: float) -> float:
    """The number as people write it, 1e-05, of which the file has the nearest float32."""
    return float(str(np.float32(value)))


def _write_weights(reader: "GGUFReader", fields: Fields, config: dict, folder: Path) -> None:
    from gguf import dequantize
    from safetensors.numpy import save_file

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for tensor in reader.tensors:
        match = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.weight", tensor.name)
        layer, kind = match.groups() if match else (None, None)
        if kind not in (REST if layer is None else OF_LAYER):
            raise UserError(f"{fields.file}: tensor {tensor.name}: not part of a Llama that this version can convert")
        value = dequantize(tensor.data, tensor.tensor_type)
        if kind in heads:
            halves = value.reshape(heads[kind], -1, 2, value.shape[1])
            value = halves.swapaxes(1, 2).reshape(value.shape)
        name = REST[kind] if layer is None else f"model.layers.{layer}.{OF_LAYER[kind]}"
        weights[f"{name}.weight"] = np.ascontiguousarray(value, dtype=np.float32)
    path = folder / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes 0600, which others cannot read


def _write_tokenizer(fields: Fields, config: dict, folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    core = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    core.add_tokens(
        [
            AddedToken(token, normalized=False, special=kind == CONTROL)
            for token, kind in zip(tokens, types, strict=True)
            if kind in (CONTROL, USER_DEFINED)
        ]
    )
    core.save(str(folder / "tokenizer.json"))
    special = {name: tokens[config[f"{name}_id"]] for name in ("bos_token", "eos_token", "pad_token")}
    # The class is stated because transformers 5 builds tokenizers of its own for some model types.
    own = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config["max_position_embeddings"]}
    _write_json(folder / "tokenizer_config.json", own | special | {"clean_up_tokenization_spaces": False})
    (folder / "chat_template.jinja").write_text(fields["tokenizer.chat_template"], encoding="utf-8")


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check(folder: Path) -> None:
    """Raises UserError if transformers reads from the folder another model than the configuration says.

    That is: weights are missing or do not fit, the tokenizer has other special tokens, the chat template ends a reply
    with another token than the model, a text does not survive tokenization, or a number is not split into digits.
    """
    from chord.io.models import load_tokenizer, load_weights
    from chord.rollouts import chat
    from chord.rollouts.policy import check_tokens

    config = load_weights(folder, "auto").config
    tokenizer = load_tokenizer(folder)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(tokenizer, name) != getattr(config, name):
            message = f"expected {getattr(config, name)} in the tokenizer, got {getattr(tokenizer, name)}"
            raise UserError(f"{folder}: {name}: {message}")
    if config.pad_token_id == config.eos_token_id:
        raise UserError(f"{folder}: pad_token_id: expected another token than the end token {config.eos_token_id}")
    if chat.turn_end(tokenizer) != config.eos_token_id:
        raise UserError(f"{folder}: its chat template does not end a reply with the end token {tokenizer.eos_token}")
    check_tokens(tokenizer, folder, [{"messages": [{"content": text} for text in PROBES]}])
    for text in PROBES:
        _check_text(tokenizer, folder, text)


def _check_text(tokenizer: "PreTrainedTokenizerBase", folder: Path, text: str) -> None:
    pieces = tokenizer.tokenize(text)
    decoded = tokenizer.decode(tokenizer.convert_tokens_to_ids(pieces))
    if decoded != text:
        raise UserError(f"{folder}: its tokenizer reads {text!r} and writes {decoded!r}")
    if numbers := [piece for piece in pieces if len(piece) > 1 and re.search(r"\d", piece)]:
        raise UserError(f"{folder}: its tokenizer has {numbers[0]!r} of {text!r} as one token; expected single digits")
