"""What will hurt later: an error beyond its target, setups and contracts that a circuit is too large for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from plonnx.kzg.prices import CODE_LIMIT, CREATION_LIMIT, LONGEST_KEY, LONGEST_SPLIT_KEY
from plonnx.kzg.wording import option
from plonnx.layout import cost, counts
from plonnx.plonk.keys import G1_BYTES
from plonnx.srs_choice import SHIPPED_POWERS

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit

# Bytes of code, fitted to twenty circuits (the frame to two, since contexts and batches are in it): the frame, an
# evaluation, a commitment, a public tensor's run of values. A fixed commitment takes the same in the code and in a
# data contract.
_FRAME, _EVALUATION, _COMMITMENT, _RUN, _FIXED = 6_824, 48, 33, 260, 114
# Bytes of a key beside its fixed commitments, of 96 each, and of those for an evaluation: an upper bound of ten keys.
_KEY, _KEY_EVALUATION = 1_600, 45


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
    code, fixed, key = contract_bytes(circuit)
    if (code > CODE_LIMIT or code + fixed > CREATION_LIMIT) and key > LONGEST_SPLIT_KEY:
        shared = "" if key > LONGEST_KEY else ", or use the shared verifier (plonnx key-contract)"
        yield (
            f"its key would take about {key:,} bytes of a verifier contract, which holds {LONGEST_SPLIT_KEY:,}: compile"
            f" with {option('optimize', 'gas')}, for a larger setup ({option('srs_size')}){shared}"
        )


def contract_bytes(circuit: ModelCircuit) -> tuple[int, int, int]:
    """About how many bytes code and fixed commitments take in a verifier that is written out, and a key as data."""
    facts = counts.Facts(circuit.layout)
    predicted = cost.predict(circuit.shape, facts)
    code = _FRAME + _EVALUATION * predicted.evaluations + _COMMITMENT * predicted.commitments + _RUN * facts.public_runs
    fixed = predicted.fixed_commitments
    return code, _FIXED * fixed, _KEY + _KEY_EVALUATION * predicted.evaluations + G1_BYTES * fixed
