"""What a verification costs: predicted from the vk, and broken down when measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from plonnx.kzg.prices import (
    ADDITION,
    CALLDATA,
    CALLDATA_FLOOR,
    INTRINSIC,
    LATER_ADDITION,
    LATER_CALLDATA_FLOOR,
    LATER_KECCAK256,
    LATER_MOD,
    LATER_MULMOD,
    PAIRING,
    g1_msm,
    memory,
)
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.solidity.abi import VERIFY, KeyReference, batch_calldata, encode_call
from plonnx.solidity.generator import Parts, contract_parts, lines_of, stored_counts
from plonnx.solidity.layout import Layout
from plonnx.solidity.schedule import DIFFERENCE, GENERAL, PRODUCT, RUNS, SUM, HornerRun
from plonnx.solidity.sections import UNROLLED
from plonnx.solidity.shared import KeyContract
from plonnx.solidity.source import is_split
from plonnx.solidity.tape import Tape

WORD = 64  # a word of public values
RUN = 250  # of words: where a list of public values begins and ends
POINT = 75  # one turn of the loop that copies points
COLD_ACCOUNT = 2_600  # the first access to a data contract
STORED_POINT = 15  # copying one record of it
MOVED = 75  # one turn of the loops that weight a proof's points and scalars in a batch
FIXED_PART = 2_150  # dispatch, length checks, calls between the functions
SHARED = "by the shared verifier"  # a row of the report
# Of the shared verifier, which runs a key as data:
BLOCKS = {GENERAL: 700, PRODUCT: 660, SUM: 660, DIFFERENCE: 720, RUNS: 110}  # of its tape
HORNER_RUN, HORNER_TERM = 220, 51  # of words that lie side by side
SHARED_WORD, SHARED_RUN = 85, 557  # of public values
SHARED_POINT = 225  # its scalar, its way into the MSM's input
SHARED_EVALUATION = 52
SHARED_PART = 9_900  # what every call takes
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
    def spent(self) -> int:
        """The sum of the parts."""
        return self.intrinsic + self.calldata + self.msm + self.pairing + self.field

    @property
    def total(self) -> int:
        """What the transaction pays."""
        return max(self.floor, self.spent)

    @property
    def drafts(self) -> dict[str, int]:
        """What it would pay under repricings that are proposed, or were."""
        c = self.counts
        dearer = LATER_MULMOD * c["mulmods"] + LATER_MOD * c["mods"] + LATER_KECCAK256 * c["hashes"]
        return {
            "EIP-7976": max(self.intrinsic + LATER_CALLDATA_FLOOR * c["calldata bytes"], self.spent),
            "EIP-7904 of January 2026": max(self.floor, self.spent + dearer + LATER_ADDITION * c["additions"]),
        }

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
            *((name, gas, f"{gas - self.total:+,}") for name, gas in self.drafts.items()),
        ]
        return [f"{name:<26}{gas:>9,}  {note}".rstrip() for name, gas, note in rows]


def gas_report(vk: VerifyingKey, shared: bool = False) -> GasReport:
    """A prediction: precompiles exactly, calldata as if no byte were zero, the rest within some percent.

    With `shared` it is that of the verifier for all models, which is told where the key is.
    """
    layout = Layout(vk)
    proof, key = b"\x01" * vk.proof_bytes, KeyReference("0x" + "01" * 20, b"\x01" * 32) if shared else None
    call = encode_call(VERIFY, proof, b"\x01" * vk.public_bytes, key=key)
    if shared or is_split(vk):
        contract = KeyContract(vk)
        return _report(vk, call, _tape_field(contract, layout), contract.tape)
    parts = contract_parts(vk, layout)
    stored = stored_counts(parts, len(layout.fixed))
    field = (
        FIXED_PART
        + _straight(_text(parts))
        + WORD * _words(vk)
        + (POINT * layout.sent if layout.sent > UNROLLED else 0)
        + 36 * (len(layout.fixed) - sum(stored))
        + sum(COLD_ACCOUNT + STORED_POINT * count for count in stored)
        + memory(layout.end)
        + 9 * (vk.proof_bytes + vk.public_bytes) // 32
    )
    return _report(vk, call, field)


def _tape_field(contract: KeyContract, layout: Layout) -> int:
    """What the shared verifier's loops take."""
    vk = contract.vk
    tape, words = contract.tape, -(-len(contract.code) // 32)
    horner = [step for step in tape.steps if isinstance(step, HornerRun)]
    runs = [run for column in vk.instances for run in column.runs]
    held = 96 * len(layout.fixed)
    end = 1024 + len(contract.code) - held + max(held, 32 * (vk.evaluation_count + tape.words + 40))
    end += 160 * layout.points + 1216 + vk.proof_bytes + vk.public_bytes
    return (
        SHARED_PART
        + COLD_ACCOUNT * (len(contract.parts) + (len(contract.parts) > 1))
        + 9 * words
        + sum(BLOCKS[block.kind] for block in tape.blocks)
        + HORNER_RUN * len(horner)
        + HORNER_TERM * sum(run.terms for run in horner)
        + SHARED_EVALUATION * vk.evaluation_count
        + SHARED_RUN * len(runs)
        + SHARED_WORD * _words(vk)
        + SHARED_POINT * layout.points
        + 40 * len(tape.small)
        + memory(end)
        + 9 * (vk.proof_bytes + vk.public_bytes) // 32
    )


def batched(vk: VerifyingKey, count: int) -> int:
    """About what each of several proofs costs in one `verifyBatch`."""
    layout, single = Layout(vk), gas_report(vk)
    proof = Proof(vk.digest, b"\x01" * vk.proof_bytes, b"\x01" * vk.public_bytes, b"\x01" * 32)
    call = batch_calldata([proof] * count)
    sent = layout.sent + 2 + (layout.pivot is not None)
    points = count * sent + len(layout.fixed) + 1
    field = single.field - memory(layout.end) + MOVED * (sent + len(layout.fixed)) + 9 * len(call) // (32 * count)
    once = INTRINSIC + PAIRING + g1_msm(points) + g1_msm(count) + memory(layout.end + 160 * (points + count))
    tokens = _tokens(call)
    return max(field + (once + CALLDATA * tokens) // count, (INTRINSIC + CALLDATA_FLOOR * tokens) // count)


def of_tensors(vk: VerifyingKey, role: str) -> int:
    """What the public inputs, or outputs, cost at least: as calldata, and bound word by word. Columns may go, too."""
    held = [range(t.offset, t.offset + t.count * t.width) for t in vk.tensors if t.role == role]
    runs = [run for column in vk.instances for run in column.runs if any(run.offset in place for place in held)]
    words = sum(-(-run.count // run.per_word) for run in runs)
    return CALLDATA * 4 * sum(map(len, held)) + WORD * words + RUN * len(runs)


def measured(vk: VerifyingKey, call: bytes, gas_used: int) -> GasReport:
    """The breakdown of a measured cost of `call`."""
    rest = _report(vk, call, 0)
    return replace(rest, field=max(0, gas_used - rest.spent))


def _report(vk: VerifyingKey, call: bytes, field: int, tape: Tape | None = None) -> GasReport:
    tokens = _tokens(call)
    layout = Layout(vk)
    text = _text(contract_parts(vk, layout))
    counts = {
        "proof bytes": vk.proof_bytes,
        "public bytes": vk.public_bytes,
        "calldata bytes": len(call),
        "mulmods": (text.count("mulmod(") if tape is None else tape.multiplications) + _words(vk),
        "mods": len(re.findall(r"\bmod\(", text)),
        "hashes": text.count("keccak256("),
        "additions": int(layout.pivot is not None),
        "evaluations": vk.evaluation_count,
        "operations": len(vk.program.ops),
        "advice": layout.pieces,
        "quotient": vk.pieces,
        "masks": len(vk.masked),
        "opening": 2,
        "fixed": len(layout.fixed),
        "generator": 1,
    }
    sums = g1_msm(layout.points) + (0 if layout.pivot is None else ADDITION)
    floor = INTRINSIC + CALLDATA_FLOOR * tokens
    return GasReport(INTRINSIC, CALLDATA * tokens, sums, PAIRING, field, floor, counts)


def _tokens(call: bytes) -> int:
    """Of calldata: a zero byte is one, another byte four."""
    return 4 * len(call) - 3 * call.count(0)


def _words(vk: VerifyingKey) -> int:
    """Of public values, each a turn of a loop."""
    return sum(-(-run.count // run.per_word) for column in vk.instances for run in column.runs)


def _text(parts: Parts) -> str:
    """The straight-line code."""
    return "\n".join(lines_of({name: part for name, part in parts.items() if name != "word_loops"}))


def _straight(text: str) -> int:
    """Gas of straight-line Yul: 8 for mulmod and addmod, 3 for other operations and for every operand pushed."""
    heavy = len(re.findall(r"\b(?:mulmod|addmod)\(", text))
    light = len(re.findall(r"\b(?:add|sub|and|eq|lt|mload|mstore|mstore8|mod|xor|shr|calldataload)\(", text))
    copied = text.count("calldatacopy(")
    hashes = text.count("keccak256(")
    pushed = len(
        re.findall(r"\b(?:0x[0-9a-f]+|\d+|[A-Z][A-Z0-9_]*|r|ok|proof|power|scalar|constant|acc|sum|zeta|u|v)\b", text)
    )
    assigned = text.count(":=")
    return 8 * heavy + 3 * light + 9 * copied + 42 * hashes + 3 * pushed + 4 * assigned
