#!/usr/bin/env bash
# A number before a number in parentheses is read as a mixed number: 2(3) is 5 for math-verify, and not 6.
# In a reward this accepts 5 for an answer of 2(3), and refuses 6. Behind a letter the same parentheses are a function call.
#
# Seen with math-verify 0.9.0, latex2sympy2_extended 1.11.0, sympy 1.14.0, antlr4-python3-runtime 4.13.2:
#   $2(3)$ parsed: 5
#   6 accepted for 2(3): False
#   5 accepted for 2(3): True
#   $x(3)$ parsed: x(3)
# The script fails when one of these lines changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2
cat > "$folder/show.py" <<'PYTHON'
from math_verify import parse, verify

print("$2(3)$ parsed:", parse("$2(3)$")[0])
for value in ("6", "5"):
    print(f"{value} accepted for 2(3):", verify(parse(f"${value}$"), parse("$2(3)$")))
print("$x(3)$ parsed:", parse("$x(3)$")[0])
PYTHON
seen=$("$folder/env/bin/python" -W ignore "$folder/show.py")
expected='$2(3)$ parsed: 5
6 accepted for 2(3): False
5 accepted for 2(3): True
$x(3)$ parsed: x(3)'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
