"""What will hurt later: an error beyond its target, setups and contracts that a circuit is too large for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from plonnx.kzg.prices import LONGEST_KEY, LONGEST_SPLIT_KEY
from plonnx.kzg.wording import option
from plonnx.layout.contract import contract
from plonnx.srs_choice import SHIPPED_POWERS

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit


class OutlookWarning(UserWarning):
    """A circuit that compiles, and misses an error target, or whose setup or contract will need something else."""


def outlook(circuit: ModelCircuit) -> Iterator[str]:
    """A line for each trouble ahead."""
    if circuit.report.get("missed"):
        yield f"{circuit.report['missed']} (plonnx inspect shows all errors)"
    powers = 1 << circuit.srs_k
    if powers > SHIPPED_POWERS:
        fewer = option("srs_size", str(SHIPPED_POWERS.bit_length() - 1))
        yield (
            f"its setup takes 2^{circuit.srs_k} powers of tau, more than come with plonnx: plonnx srs fetch"
            f" {circuit.srs_k}, or compile with {fewer}"
        )
    made = contract(circuit.layout, circuit.cost)
    if made.split and made.key > LONGEST_SPLIT_KEY:
        shared = "" if made.key > LONGEST_KEY else ", or use the shared verifier (plonnx key-contract)"
        yield (
            f"its key would take about {made.key:,} bytes of a verifier contract, which holds {LONGEST_SPLIT_KEY:,}:"
            f" compile with {option('optimize', 'gas')}, for a larger setup ({option('srs_size')}){shared}"
        )
