"""`make docs`: docs/operators.md, the operators that can be compiled, from their registry. `--check` writes nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from docs.derived import ROOT, publish
from plonnx.compiler.ops import descriptions

PAGE = ROOT / "docs" / "operators.md"

HEAD = """# Operators

Derived from the registry (`compiler/ops/registry.py`) by `make docs`; do not edit. `plonnx operators` prints the names.
Each operator is understood from the version in the second column on, until the version of its next line; models may
have opset 7 and newer. What depends on constants alone is folded, whatever its operator. What is not here, but ONNX
itself defines by other operators (LinearAttention, CausalConvWithState, FlexAttention, ..), becomes these. A node that
can't be compiled is named in one line, with what to do about it.
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


if __name__ == "__main__":
    sys.exit(publish(PAGE, page()))
