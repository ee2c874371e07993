"""`make docs`: docs/operators.md, the operators that can be compiled, from their registry. `--check` writes nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from plonnx.compiler.ops import descriptions

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "operators.md"

HEAD = """# Operators

Derived from the registry (`compiler/ops/registry.py`) by `make docs`; do not edit. `plonnx operators` prints the names.
Each operator is understood from the version in the second column on, until the version of its next line; models may
have opset 7 and newer. What depends on constants alone is folded, whatever its operator. A node that can't be compiled
is named in one line, with what to do about it.
"""
DOMAINS = {"": "ai.onnx, the default domain"}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_tables()])


def _tables() -> Iterator[str]:
    """A table for each domain."""
    found = descriptions()
    for domain in sorted({domain for domain, _, _, _ in found}):
        yield f"## {DOMAINS.get(domain, domain)}"
        yield ""
        yield "| operator | since | what becomes of it |"
        yield "|---|---|---|"
        for own, name, since, said in found:
            if own == domain:
                yield f"| {name} | {since} | {_cell(said)} |"
        yield ""


def _cell(text: str) -> str:
    """One line that Markdown leaves as it is."""
    return re.sub(r"([|*_<])", r"\\\1", " ".join(text.split()))


def main() -> int:
    """Write the page, or with --check say whether it is current."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text)
        print(f"wrote {PAGE.relative_to(ROOT)}")
        return 0
    if not PAGE.exists() or PAGE.read_text() != text:
        print("docs/operators.md is not current: run make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
