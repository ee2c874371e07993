"""What will hurt later: an error beyond its target, setups and contracts that a circuit is too large for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from plonnx.kzg.prices import CODE_LIMIT, CREATION_LIMIT
from plonnx.kzg.wording import option
from plonnx.layout import cost, counts
from plonnx.srs_choice import SHIPPED_POWERS

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit

# Bytes of code, fitted to twenty circuits (the frame to two, since contexts and batches are in it): the frame, an
# evaluation, a commitment, a public tensor's run of values. A fixed commitment takes the same in the code and in a
# data contract.
_FRAME, _EVALUATION, _COMMITMENT, _RUN, _FIXED = 6_824, 48, 33, 260, 114


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
    code, fixed = contract_bytes(circuit)
    if code > CODE_LIMIT or code + fixed > CREATION_LIMIT:
        yield (
            f"its verifier contract would take about {code + fixed} bytes, {code} of them code, more than Ethereum"
            f" allows ({CODE_LIMIT} of code, {CREATION_LIMIT} to create): for a contract compile with"
            f" {option('optimize', 'gas')} or balanced"
        )


def contract_bytes(circuit: ModelCircuit) -> tuple[int, int]:
    """About how many bytes the verifier's code and its fixed commitments take."""
    facts = counts.Facts(circuit.layout)
    predicted = cost.predict(circuit.shape, facts)
    code = _FRAME + _EVALUATION * predicted.evaluations + _COMMITMENT * predicted.commitments + _RUN * facts.public_runs
    return code, _FIXED * predicted.fixed_commitments
