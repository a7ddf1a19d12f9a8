"""The results as text."""

import re

from benchmarks.gpu.parts import PARTS

NOTES = """\
MFU: FLOPs that the passes with gradient need, over seconds times the card's dense peak in bf16
(config/gpus.yaml). A token needs 3 x (2 x weights of the layers + 2 x weights of the output layer where
its prediction is read + 4 x layers x width of the queries x tokens attended to); recomputation and padding
count nothing, a shared prompt counts once.
Row tokens: of all rows that are trained on, each with its prompt.
Seconds: on the timeline of the GPU; on a CPU those of the process.
prime-rl, RL: its file gives a throughput of 11.9k tokens/s, to which its MFU of 11.1 % belongs, and a step
time, from which 16.4k tokens/s follow, and 15.3 % by the same formula. It does not say why they differ.
"""


def file_name(results: dict) -> str:
    """The default place of the results: rehearsals are not kept."""
    slug = re.sub(r"[^a-z0-9]+", "-", results["card"]["name"].lower()).strip("-")
    return f"results/reference/gpu/{slug}.json" if results["size"] == "full" else f"build/gpu/{slug}-rehearsal.json"


def table(results: dict) -> str:
    card = results["card"]
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items() if version)
    lines = [f"{card['name']}, size {results['size']}, {results['started']}, {results['seconds']:.0f} s", versions]
    if card["bf16_tflops"]:
        lines.append(f"{card['memory_gib']:.1f} GiB, peak {card['bf16_tflops']:g} TFLOP/s in bf16")
    for title in dict.fromkeys(PARTS[name].title for name in results["parts"]):
        lines += ["", title, "-" * len(title)]
        outcomes = {name: one for name, one in results["parts"].items() if PARTS[name].title == title}
        lines += grid([row for one in outcomes.values() for row in one.get("result", {}).get("rows", [])])
        for name, one in outcomes.items():
            if "message" in one:  # of which the last line says what it was
                lines.append(f"{name}: {one['status']}: {one['message'].splitlines()[-1]}")
        checks = [check for one in outcomes.values() for check in one.get("result", {}).get("checks", [])]
        lines += [check_line(check) for check in checks]
        lines += speed_factors(outcomes)
    return "\n".join([*lines, "", NOTES])


def grid(rows: list[dict]) -> list[str]:
    """One column for each key, one line for each key if there are many: rows are then beside each other."""
    if not rows:
        return []
    keys = list(dict.fromkeys(key for row in rows for key in row if any(row.get(key) is not None for row in rows)))
    cells = [keys, *([shown(key, row.get(key)) for key in keys] for row in rows)]
    if len(keys) > 7:
        cells = [list(line) for line in zip(*cells, strict=True)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(pairs))
        for line in cells
        for pairs in [list(zip(line, widths, strict=True))]
    ]


def shown(key: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if "MFU" in key:
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def check_line(check: dict) -> str:
    verdict = "ok" if check["passes"] else "FAILED"
    return f"{verdict}: {check['name']}: {check['value']:.3g}, limit {check['limit']:g}"


def speed_factors(outcomes: dict[str, dict]) -> list[str]:
    """Stock TRL's time over ours, for models of which both were measured."""
    seconds: dict[str, dict[str, tuple[float, float]]] = {}
    for one in outcomes.values():
        for row in one.get("result", {}).get("rows", []):
            if "trainer" in row:
                training = row["row tokens"] / row["row tokens/s of training"]
                seconds.setdefault(row["model"], {})[row["trainer"]] = row["step s"], training
    lines = []
    for model, sides in seconds.items():
        if len(sides) == 2:
            (ours, our_training), (stock, stock_training) = sides["ours"], sides["TRL"]
            lines.append(
                f"{model}: TRL/ours {stock / ours:.2f} of a step, {stock_training / our_training:.2f} of training"
            )
    return lines
