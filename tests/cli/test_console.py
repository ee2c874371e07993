"""Progress: nothing where work is short; what is done and left, not too often, where it is not."""

from __future__ import annotations

import time

import pytest

from plonnx.cli import console
from plonnx.cli.console import Ticker, outline


def test_what_is_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(console, "SAID_SECONDS", 0.0)
    with Ticker("proving") as ticker:
        time.sleep(0.3)
        for share in (0.0, 0.5, 1.0):
            ticker.share(share)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["proving ..", "proving: 50%, about 0 s left"]
    assert len(lines) == 3


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Ticker("proving") as ticker:
        ticker.share(0.5)
    assert capsys.readouterr().err == ""


def test_what_there_is_none_of_takes_no_room() -> None:
    """Below the top, where None says that a figure is unknown."""
    rows = [{"name": "y", "top1": 0.5, "perplexity": None}, {"name": "z", "top1": None, "perplexity": None}]
    shown = list(outline({"unsafe": None, "accuracy": {"missed": None, "outputs": rows}}))
    assert shown == ["unsafe    unknown", "accuracy", "  outputs", "    name  top1", "    y     0.5", "    z     -"]
