#!/usr/bin/env bash
# AutoTokenizer builds a Qwen2 folder's tokenizer by the byte-level rules of Qwen2, whatever model tokenizer.json has.
# A word-level vocabulary then gives no tokens at all for its own words, without a warning: a prompt becomes empty.
# The tokenizer class that the folder's tokenizer_config.json names is not used either.
#
# Seen with transformers 5.17.0, tokenizers 0.23.3:
#   tokenizer.json: [0, 1]
#   AutoTokenizer, model_type llama: [0, 1]
#   AutoTokenizer, model_type qwen2: []
# The script fails when one of these lines changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.17.0 tokenizers==0.23.3
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

tokenizer = Tokenizer(models.WordLevel({"two": 0, "words": 1, "[UNK]": 2}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
for kind in ("llama", "qwen2"):
    folder = Path(sys.argv[1], kind)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    folder.joinpath("config.json").write_text(json.dumps({"model_type": kind}))
    folder.joinpath("tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    if kind == "llama":
        print("tokenizer.json:", Tokenizer.from_file(str(folder / "tokenizer.json")).encode("two words").ids)
    print(f"AutoTokenizer, model_type {kind}:", AutoTokenizer.from_pretrained(folder)("two words")["input_ids"])
PYTHON
seen=$(HF_HUB_OFFLINE=1 "$folder/env/bin/python" -W ignore "$folder/show.py" "$folder" 2> "$folder/errors") || { cat "$folder/errors" >&2; exit 1; }
expected='tokenizer.json: [0, 1]
AutoTokenizer, model_type llama: [0, 1]
AutoTokenizer, model_type qwen2: []'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
