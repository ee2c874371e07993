"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import command
from tests.command import Ran

ROOT = Path(__file__).parent.parent
MODELS = Path(os.environ.get("PLONNX_MODELS", ROOT.parent / "shared" / "models"))

settings.register_profile("default", deadline=None, max_examples=30)
settings.register_profile("ci", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of development SRS files of this test run's own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def plonnx(cache: Path) -> Callable[..., Ran]:
    """Run the command as a user does, in a process of its own."""

    def run(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> Ran:
        variables = {**os.environ, "PLONNX_CACHE": str(cache), **environment}
        return command.run([*map(str, arguments)], cwd, variables)

    return run


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of real models, NAME/network.onnx with NAME/input.json; the test is skipped where there is none."""
    if not MODELS.is_dir():
        pytest.skip("no models: set PLONNX_MODELS to a folder of NAME/network.onnx with NAME/input.json")
    return MODELS


@pytest.fixture
def traceback_free() -> Iterator[Callable[[Ran], str]]:
    """Checks that a run failed with one line and no traceback, and gives the line."""

    def check(ran: Ran) -> str:
        assert ran.code == 1, ran
        assert ran.out == "", ran.out
        assert "Traceback" not in ran.err, ran.err
        lines = [line for line in ran.err.splitlines() if line.startswith("plonnx: ")]
        assert len(lines) == 1, ran.err
        assert "internal error" not in lines[0], lines[0]
        return lines[0].removeprefix("plonnx: ")

    yield check
