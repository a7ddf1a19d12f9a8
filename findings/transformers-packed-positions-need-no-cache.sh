#!/usr/bin/env bash
# Two sequences packed in one row, with position_ids that start again, are kept apart only with use_cache=False.
# With the default of evaluation mode (use_cache=True) the second sequence attends to the first, without a warning:
# log-probabilities of packed rows are wrong wherever the cache is not switched off.
#
# Seen with transformers 5.17.0, torch 2.13.0, attention "sdpa" and "eager", a random Llama of two layers:
#   sdpa, use_cache=False: the second sequence as if alone: True
#   sdpa, default: the second sequence as if alone: False
#   eager, use_cache=False: the second sequence as if alone: True
#   eager, default: the second sequence as if alone: False
# The script fails when one of these lines changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0
"$folder/env/bin/pip" install --quiet transformers==5.17.0
cat > "$folder/show.py" <<'PYTHON'
import torch
from transformers import LlamaConfig, LlamaForCausalLM

shape = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
first, second = torch.arange(1, 7), torch.arange(20, 26)
packed = torch.cat([first, second])[None]
positions = torch.cat([torch.arange(6), torch.arange(6)])[None]
for attention in ("sdpa", "eager"):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**shape, initializer_range=0.3, attn_implementation=attention)).eval()
    with torch.no_grad():
        alone = model(second[None]).logits
        for shown, options in (("use_cache=False", {"use_cache": False}), ("default", {})):
            logits = model(packed, position_ids=positions, **options).logits[:, 6:]
            print(f"{attention}, {shown}: the second sequence as if alone: {torch.allclose(logits, alone, atol=1e-4)}")
PYTHON
seen=$("$folder/env/bin/python" -W ignore "$folder/show.py" 2> "$folder/errors") || { cat "$folder/errors" >&2; exit 1; }
expected='sdpa, use_cache=False: the second sequence as if alone: True
sdpa, default: the second sequence as if alone: False
eager, use_cache=False: the second sequence as if alone: True
eager, default: the second sequence as if alone: False'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
