"""What will hurt later: setups and contracts that a freshly compiled circuit is too large for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from plonnx.kzg.srs import ETHEREUM_SIZE
from plonnx.kzg.wording import option
from plonnx.layout import cost

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit

# Bytes of code, fitted to twenty circuits, each of which it predicts within 15 %: the frame, an evaluation, a
# commitment, a public tensor's run of values. A fixed commitment takes the same in the code and in a data contract.
_FRAME, _EVALUATION, _COMMITMENT, _RUN, _FIXED = 3_524, 48, 33, 260, 114


class OutlookWarning(UserWarning):
    """A circuit that compiles, and whose setup or contract will need something else."""


def outlook(circuit: ModelCircuit) -> Iterator[str]:
    """A line for each trouble ahead."""
    from plonnx.solidity.generator import CODE_LIMIT, CREATION_LIMIT

    powers = 1 << circuit.srs_k
    if powers > ETHEREUM_SIZE:
        fewer = option("max_rows", str(ETHEREUM_SIZE))
        yield (
            f"its setup needs {powers} powers, more than the {ETHEREUM_SIZE} of Ethereum's ceremony that come with"
            f" plonnx: give setup a larger one as {option('srs')}, or compile with {fewer}"
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
    model = cost.Model.of(circuit.layout)
    predicted = cost.predict(circuit.shape, model)
    code = _FRAME + _EVALUATION * predicted.evaluations + _COMMITMENT * predicted.commitments + _RUN * model.public_runs
    return code, _FIXED * predicted.fixed_commitments
