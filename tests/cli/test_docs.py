"""The pages that are derived from the code are current."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("page", ["docs/gates.py", "docs/operators.py", "circuits/flow.py"])
def test_the_page_is_current(page: str) -> None:
    ran = subprocess.run(
        [sys.executable, page, "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_links_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "circuits").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_the_tests_that_cover_a_promise_exist() -> None:
    """docs/security.md names them, by file or by function."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "security.md").read_text())
    assert len(named) > 20
    for path, function in named:
        text = (ROOT / path).read_text()
        assert not function or f"\ndef {function}(" in text, f"{path} has no {function}"
