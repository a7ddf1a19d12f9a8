"""A GGUF file of a random Llama, written by the package `gguf` in the layout of llama.cpp's convert_hf_to_gguf.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["1 2", "h e", "Ġ Ġ", "Ġ 1"]  # two of them would join digits
PERMUTED = {"self_attn.q_proj": 4, "self_attn.k_proj": 2}  # heads


def tokens() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return [*SPECIAL, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]


def tiny_llama(tied: bool = True) -> LlamaForCausalLM:
    """Two layers with four heads of eight numbers; the blocks of quantised rows have 32."""
    config = LlamaConfig(
        vocab_size=len(tokens()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=tied,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def write_gguf(
    path: Path, model: LlamaForCausalLM, quantisation: str = "F32", changes: Mapping[str, Any] | None = None
) -> Path:
    """quantisation: of the matrices. changes: other arguments of the writer's `add_<name>`; None: it is not called."""
    import gguf

    writer, config = gguf.GGUFWriter(path, "llama"), model.config
    values = {
        "name": "tiny",
        "license": "apache-2.0",
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "head_count": config.num_attention_heads,
        "head_count_kv": config.num_key_value_heads,
        "rope_dimension_count": config.head_dim,
        "rope_freq_base": 100000.0,
        "layer_norm_rms_eps": config.rms_norm_eps,
        "vocab_size": config.vocab_size,
        "tokenizer_model": "gpt2",
        "tokenizer_pre": "smollm",
        "token_list": tokens(),
        "token_types": [3] * len(SPECIAL) + [1] * (len(tokens()) - len(SPECIAL)),
        "token_merges": MERGES,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unk_token_id": 0,
        "pad_token_id": 2,
        "add_bos_token": False,
        "chat_template": TEMPLATE,
    } | dict(changes or {})
    for name, value in values.items():
        if value is not None:
            getattr(writer, f"add_{name}")(value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for full, tensor in model.state_dict().items():
        if full == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name, value = full.removesuffix(".weight"), tensor.numpy()
        heads = next((count for part, count in PERMUTED.items() if name.endswith(part)), None)
        if heads:
            value = value.reshape(heads, 2, value.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(value.shape)
        kind = getattr(gguf.GGMLQuantizationType, quantisation if value.ndim > 1 else "F32")
        writer.add_tensor(
            f"{names.get_name(name)}.weight", gguf.quants.quantize(np.ascontiguousarray(value), kind), raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
