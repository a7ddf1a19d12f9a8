#!/usr/bin/env bash
# A model that transformers reads from GGUF is dequantised, an ordinary model of float32 weights; but save_pretrained refuses it
# as quantised. Even a file in which nothing is quantised gives such a model.
#
# Seen with transformers 5.17.0, accelerate 1.15.0, gguf 0.19.0, torch 2.13.0, a Llama of one layer:
#   F32: {torch.float32}; ValueError: The model is quantized with QuantizationMethod.GGUF and is not serializable
#   Q4_1: {torch.float32}; ValueError: The model is quantized with QuantizationMethod.GGUF and is not serializable
# The script fails when one of these lines changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0
"$folder/env/bin/pip" install --quiet transformers==5.17.0 accelerate==1.15.0 gguf==0.19.0
cat > "$folder/show.py" <<'PYTHON'
import sys

import gguf
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

shape = dict(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
model = LlamaForCausalLM(LlamaConfig(**shape, max_position_embeddings=64))
names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
for quantisation in ("F32", "Q4_1"):
    writer = gguf.GGUFWriter(f"{sys.argv[1]}/{quantisation}.gguf", "llama")
    writer.add_name("tiny")
    writer.add_vocab_size(64)
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    for name, tensor in model.state_dict().items():
        kind = gguf.GGMLQuantizationType[quantisation if tensor.ndim > 1 else "F32"]
        gguf_name = names.get_name(name.removesuffix(".weight")) + ".weight"
        writer.add_tensor(gguf_name, gguf.quants.quantize(tensor.numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = AutoModelForCausalLM.from_pretrained(sys.argv[1], gguf_file=f"{quantisation}.gguf")
    try:
        read.save_pretrained(f"{sys.argv[1]}/saved")
        said = "saved"
    except ValueError as error:
        said = f"ValueError: {str(error).partition(' - ')[0]}"
    print(f"{quantisation}: { {value.dtype for value in read.state_dict().values()} }; {said}")
PYTHON
seen=$(HF_HUB_OFFLINE=1 "$folder/env/bin/python" -W ignore "$folder/show.py" "$folder" 2> "$folder/errors") || { cat "$folder/errors" >&2; exit 1; }
expected='F32: {torch.float32}; ValueError: The model is quantized with QuantizationMethod.GGUF and is not serializable
Q4_1: {torch.float32}; ValueError: The model is quantized with QuantizationMethod.GGUF and is not serializable'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
