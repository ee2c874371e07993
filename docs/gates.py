"""`make docs`: docs/gates.md, the gates of example circuits from their sympy expressions. `--check` writes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import plonnx
from circuits import squares
from docs.derived import ROOT, publish
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import degree
from plonnx.plonk.structure import blinding_rows

CIRCUITS = ROOT / "circuits"
PAGE = ROOT / "docs" / "gates.md"

HEAD = """# Gates

Derived from the circuits by `make docs`; do not edit. Each formula is the one source of the prover's program, the
verifier's and the contract's. A name is a column's value in the row, `name[+1]` in the next row. Challenges have the
names of the tables' last columns. The selector says on which rows a gate has a meaning; the degree counts multiples
of n, without the selector ([protocol.md](protocol.md) section 2).
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD, *describe("circuits/squares.py", squares.circuit())]
    for name in ("digits_mlp", "digits_cnn"):
        circuit = plonnx.compile(CIRCUITS / name / "model.onnx", CIRCUITS / name / "calibration.npz")
        lines += describe(f"circuits/{name}", circuit.arithmetize())
    return "\n".join(lines)


def describe(title: str, circuit: Circuit) -> Iterator[str]:
    """One circuit: its columns, phase by phase, and its gates."""
    circuit.finish()
    blinding = blinding_rows(circuit)
    yield f"## {title}"
    yield ""
    yield f"2^{circuit.k} rows. Fixed columns: {_names(circuit.fixed_names)}."
    yield ""
    yield "| phase | advice columns | then the challenges |"
    yield "|---|---|---|"
    for phase in range(max(circuit.advice_phases) + 1):
        columns = [n for n, p in zip(circuit.advice_names, circuit.advice_phases, strict=True) if p == phase]
        drawn = [c.name for c in circuit.challenges[phase]] if phase < len(circuit.challenges) else []
        yield f"| {phase} | {_names(columns)} | {_names(drawn)} |"
    yield ""
    yield "| gate | on | degree | formula |"
    yield "|---|---|---|---|"
    for gate in circuit.gates:
        multiple = -(-degree(gate.expression, circuit.n, blinding) // circuit.n)
        yield f"| {gate.name} | {gate.selector or 'all'} | {multiple} | `{gate.expression} = 0` |"
    yield ""


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


if __name__ == "__main__":
    sys.exit(publish(PAGE, page()))
