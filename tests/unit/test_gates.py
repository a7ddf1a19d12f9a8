"""Gates on how SFT and RL learn from a base model."""

import json

import pytest

from chord import cli
from chord.errors import UserError
from chord.world.gates import measure_learning, run


def curves(path, values: list[float]):
    """Validation every second step; training steps between leave the column empty."""
    lines = ["step,validation_accuracy", *(f"{2 * i},{value}\n{2 * i + 1}," for i, value in enumerate(values))]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_dip_recovery_and_gain_by_hand():
    figures = measure_learning(sft=[0.30, 0.18, 0.25, 0.50, 0.10, 0.70], rl=[0.30, 0.60, 0.45])
    assert figures == pytest.approx({"rl_gain": 0.15, "sft_dip": 0.12, "sft_recovery": 0.40})


def test_no_dip_is_a_missed_gate_and_the_figures_are_kept(tmp_path, capsys):
    sft, rl = curves(tmp_path / "sft.csv", [0.3, 0.4, 0.5]), curves(tmp_path / "rl.csv", [0.3, 0.45])
    out = tmp_path / "gates.json"
    options = ["--spec", "{}", "--sft", str(sft), "--rl", str(rl), "--out", str(out)]
    assert cli.main(["gates", *options]) == 2
    assert "gate sft_dip: -0.100 is outside [0.03, 1.0]" in capsys.readouterr().err
    record = json.loads(out.read_text())
    assert record["gates"]["rl_gain"] == pytest.approx(0.15)
    assert record["missed_gates"] == ["gate sft_dip: -0.100 is outside [0.03, 1.0]"]
    run({"enforce": False}, sft, rl, out)


def test_curves_without_validation_are_refused(tmp_path):
    path = curves(tmp_path / "curves.csv", [0.3])
    with pytest.raises(UserError, match="1 validations; expected that of the start and one later"):
        run({}, path, path, tmp_path / "gates.json")
