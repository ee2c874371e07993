"""circuits/forest: from scikit-learn to a contract, where skl2onnx is installed."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_a_forest_is_proved_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skl2onnx")
    from circuits.forest import forest

    forest.main(tmp_path, trees=3)
    shown = capsys.readouterr().out
    assert "verified: label" in shown
    agreed = float(shown.partition("the same label on ")[2].partition("%")[0])
    assert agreed >= 99.0
    assert "contract" in (tmp_path / "Verifier.sol").read_text()
