"""What a verification costs: predicted from the vk, and broken down when measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from plonnx.kzg.prices import ADDITION, PAIRING, g1_msm, memory
from plonnx.plonk.keys import VerifyingKey
from plonnx.solidity.abi import VERIFY, encode_call
from plonnx.solidity.generator import contract_parts, lines_of, stored_counts
from plonnx.solidity.layout import Layout
from plonnx.solidity.sections import UNROLLED

INTRINSIC = 21_000
WORD = 64  # a word of public values
POINT = 75  # one turn of the loop that copies points
COLD_ACCOUNT = 2_600  # the first access to a data contract
STORED_POINT = 15  # copying one record of it
FIXED_PART = 2_150  # dispatch, length checks, calls between the functions
POINTS = ("advice", "quotient", "masks", "opening", "fixed", "generator")  # of the MSM


@dataclass(frozen=True)
class GasReport:
    """Gas by what it is spent on; the transaction pays `total`, at least `floor` (EIP-7623).

    `counts` says what there is of each kind: bytes, evaluations, points of the MSM.
    """

    intrinsic: int
    calldata: int
    msm: int
    pairing: int
    field: int  # hashing, field arithmetic, moving bytes
    floor: int
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """What the transaction pays."""
        return max(self.floor, self.intrinsic + self.calldata + self.msm + self.pairing + self.field)

    def as_dict(self) -> dict[str, int]:
        """The parts and the total."""
        parts = ("intrinsic", "calldata", "msm", "pairing", "field", "floor", "total")
        return {name: getattr(self, name) for name in parts}

    def lines(self) -> list[str]:
        """A table to print."""
        c = self.counts
        points = ", ".join(f"{c[name]} {name}" for name in POINTS if c[name])
        rows = [
            ("transaction", self.intrinsic, ""),
            ("calldata", self.calldata, f"{c['proof bytes']} bytes of proof, {c['public bytes']} of public values"),
            ("G1MSM", self.msm, f"{sum(c[name] for name in POINTS)} points: {points}"),
            ("pairing", self.pairing, "2 pairs"),
            ("field", self.field, f"hashing, arithmetic: {c['evaluations']} evaluations, {c['operations']} operations"),
            ("total", self.total, f"at least {self.floor:,} for the calldata alone (EIP-7623)"),
        ]
        return [f"{name:<12}{gas:>11,}  {note}".rstrip() for name, gas, note in rows]


def gas_report(vk: VerifyingKey) -> GasReport:
    """A prediction: precompiles exactly, calldata as if no byte were zero, the rest within some percent."""
    layout = Layout(vk)
    proof = b"\x01" * vk.proof_bytes
    call = encode_call(VERIFY, proof, b"\x01" * vk.public_bytes)
    parts = contract_parts(vk, layout)
    stored = stored_counts(parts, len(layout.fixed))
    words = sum(-(-run.count // run.per_word) for column in vk.instances for run in column.runs)
    field = (
        FIXED_PART
        + _straight("\n".join(lines_of({name: part for name, part in parts.items() if name != "word_loops"})))
        + WORD * words
        + (POINT * layout.sent if layout.sent > UNROLLED else 0)
        + 36 * (len(layout.fixed) - sum(stored))
        + sum(COLD_ACCOUNT + STORED_POINT * count for count in stored)
        + memory(layout.end)
        + 9 * (vk.proof_bytes + vk.public_bytes) // 32
    )
    return _report(vk, call, field)


def measured(vk: VerifyingKey, call: bytes, gas_used: int) -> GasReport:
    """The breakdown of a measured cost of `call`."""
    rest = _report(vk, call, 0)
    return _report(vk, call, max(0, gas_used - rest.intrinsic - rest.calldata - rest.msm - rest.pairing))


def _report(vk: VerifyingKey, call: bytes, field: int) -> GasReport:
    tokens = call.count(0) + 4 * (len(call) - call.count(0))
    layout = Layout(vk)
    counts = {
        "proof bytes": vk.proof_bytes,
        "public bytes": vk.public_bytes,
        "evaluations": vk.evaluation_count,
        "operations": len(vk.program.ops),
        "advice": layout.masks - len(vk.opened_quotient),
        "quotient": len(vk.opened_quotient),
        "masks": len(vk.masked),
        "opening": 2,
        "fixed": len(layout.fixed),
        "generator": 1,
    }
    sums = g1_msm(layout.points) + (0 if layout.pivot is None else ADDITION)
    return GasReport(INTRINSIC, 4 * tokens, sums, PAIRING, field, INTRINSIC + 10 * tokens, counts)


def _straight(text: str) -> int:
    """Gas of straight-line Yul: 8 for mulmod and addmod, 3 for other operations and for every operand pushed."""
    heavy = len(re.findall(r"\b(?:mulmod|addmod)\(", text))
    light = len(re.findall(r"\b(?:add|sub|and|eq|lt|mload|mstore|mstore8|mod|xor|shr|calldataload)\(", text))
    copied = text.count("calldatacopy(")
    hashes = text.count("keccak256(")
    pushed = len(re.findall(r"\b(?:0x[0-9a-f]+|\d+|r|ok|proof|power|scalar|constant|acc|sum|zeta|u|v)\b", text))
    assigned = text.count(":=")
    return 8 * heavy + 3 * light + 9 * copied + 42 * hashes + 3 * pushed + 4 * assigned
