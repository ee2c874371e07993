"""Pages that are derived from the code: written by `make docs`, compared by `--check`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def publish(page: Path, text: str) -> int:
    """Write the page, or with --check say whether it is current; the exit code."""
    name = page.relative_to(ROOT)
    if "--check" not in sys.argv:
        page.write_text(text)
        print(f"wrote {name}")
        return 0
    if not page.exists() or page.read_text() != text:
        print(f"{name} is not current: run make docs", file=sys.stderr)
        return 1
    return 0
