#!/usr/bin/env bash
# The tokenizer of a Llama in GGUF gets the file's first token in the place of its end token, and no padding token.
# Its pre-tokenizer is that of Llama 3 whatever the file names: `smollm` splits numbers into digits, here 12 stays one token.
# A model that was trained on <|im_end|> then never sees its own end in fine-tuning, and reads numbers in another way.
#
# Seen with transformers 5.17.0, gguf 0.19.0, torch 2.13.0, a file with eos_token_id 2 and padding_token_id 0:
#   end token: <|im_start|> (the file: <|im_end|>)
#   first token: <|im_start|> (the file: <|im_start|>)
#   padding: None (the file: <|endoftext|>)
#   he 12: ['he', 'Ġ', '12']
# The script fails when one of these lines changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0
"$folder/env/bin/pip" install --quiet transformers==5.17.0 gguf==0.19.0
cat > "$folder/show.py" <<'PYTHON'
import sys

import gguf
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

special, merges = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["1 2", "h e"]
tokens = [*special, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in merges)]
writer = gguf.GGUFWriter(f"{sys.argv[1]}/tiny.gguf", "llama")
writer.add_name("tiny")
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("smollm")
writer.add_token_list(tokens)
writer.add_token_types([3] * 3 + [1] * (len(tokens) - 3))
writer.add_token_merges(merges)
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)
writer.add_unk_token_id(0)
writer.add_pad_token_id(0)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], gguf_file="tiny.gguf")
print(f"end token: {tokenizer.eos_token} (the file: {tokens[2]})")
print(f"first token: {tokenizer.bos_token} (the file: {tokens[1]})")
print(f"padding: {tokenizer.pad_token} (the file: {tokens[0]})")
print("he 12:", tokenizer.tokenize("he 12"))
PYTHON
seen=$(HF_HUB_OFFLINE=1 "$folder/env/bin/python" -W ignore "$folder/show.py" "$folder" 2> "$folder/errors") || { cat "$folder/errors" >&2; exit 1; }
expected='end token: <|im_start|> (the file: <|im_end|>)
first token: <|im_start|> (the file: <|im_start|>)
padding: None (the file: <|endoftext|>)
he 12: ['\''he'\'', '\''Ġ'\'', '\''12'\'']'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
