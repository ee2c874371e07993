"""A cache folder of each test's own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Not made yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PLONNX_CACHE", str(folder))
    return folder
