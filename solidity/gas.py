"""What a verification costs: predicted from the vk, and broken down when measured."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from plonnx.plonk.keys import VerifyingKey
from plonnx.solidity.abi import VERIFY, encode_call
from plonnx.solidity.generator import contract_parts, lines_of, stored_count
from plonnx.solidity.layout import Layout
from plonnx.solidity.prices import PAIRING, g1_msm

INTRINSIC = 21_000
WORD = 115  # one turn of the loop over the words of public values
POINT = 75  # one turn of the loop that copies points
STORED_POINT = 105  # one turn of the loop over what a data contract holds
FIXED_PART = 3_000  # dispatch, length checks, calls between the functions


@dataclass(frozen=True)
class GasReport:
    """Gas by what it is spent on; the transaction pays `total`, at least `floor` (EIP-7623)."""

    intrinsic: int
    calldata: int
    msm: int
    pairing: int
    field: int  # hashing, field arithmetic, moving bytes
    floor: int

    @property
    def total(self) -> int:
        """What the transaction pays."""
        return max(self.floor, self.intrinsic + self.calldata + self.msm + self.pairing + self.field)

    def as_dict(self) -> dict[str, int]:
        """The parts and the total."""
        return {**asdict(self), "total": self.total}


def gas_report(vk: VerifyingKey) -> GasReport:
    """A prediction: precompiles exactly, calldata as if no byte were zero, the rest within some percent."""
    layout = Layout(vk)
    proof = b"\x01" * vk.proof_bytes
    call = encode_call(VERIFY, proof, b"\x01" * vk.public_bytes)
    parts = contract_parts(vk, layout)
    text = "\n".join(lines_of(parts))
    stored = stored_count(parts, len(layout.fixed))
    words = sum(-(-run.count // run.per_word) for column in vk.instances for run in column.runs)
    memory = layout.end // 32
    field = (
        FIXED_PART
        + _straight(text)
        + WORD * words
        + POINT * (layout.sent + 2)
        + 36 * (len(layout.fixed) - stored)
        + (2_600 + STORED_POINT * stored if stored else 0)
        + 3 * memory
        + memory**2 // 512
        + 9 * (vk.proof_bytes + vk.public_bytes) // 32
        + 90 * -(-vk.evaluation_count // 4)
    )
    return _report(vk, call, field)


def measured(vk: VerifyingKey, call: bytes, gas_used: int) -> GasReport:
    """The breakdown of a measured cost of `call`."""
    rest = _report(vk, call, 0)
    return _report(vk, call, max(0, gas_used - rest.intrinsic - rest.calldata - rest.msm - rest.pairing))


def _report(vk: VerifyingKey, call: bytes, field: int) -> GasReport:
    tokens = call.count(0) + 4 * (len(call) - call.count(0))
    return GasReport(INTRINSIC, 4 * tokens, g1_msm(Layout(vk).points), PAIRING, field, INTRINSIC + 10 * tokens)


def _straight(text: str) -> int:
    """Gas of straight-line Yul: 8 for mulmod and addmod, 3 for other operations and for every operand pushed."""
    heavy = len(re.findall(r"\b(?:mulmod|addmod)\(", text))
    light = len(re.findall(r"\b(?:add|sub|mload|mstore|mstore8|mod|xor|shr)\(", text))
    hashes = text.count("keccak256(")
    pushed = len(re.findall(r"\b(?:0x[0-9a-f]+|\d+|r|power|scalar|constant|acc|sum|zeta|u|v)\b", text))
    return 8 * heavy + 3 * light + 42 * hashes + 3 * pushed
