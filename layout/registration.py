"""Registration of a hidden model: one proof that the weights and biases behind the vk's commitments are in range.

The verifying key of a hidden model holds hiding commitments; the circuit's bounds (no sum wraps around the field) rest
on the declared bit widths. The registration circuit has the hidden columns as advice, with the very blinding of their
commitments, and looks every cell up: limb by limb,

    w + 2^(bits - 1) = sum_i limb_i 2^(L i),   limb_i in [0, 2^L), the last in [0, 2^(what is left))

on all active rows. Anyone rebuilds its verifying key from the public facts (k, the number of columns, their widths) and
checks that the proof's commitments are the vk's. Any widths up to MOST_BITS will do for soundness: 2^k products of such
a weight with a value below the table's size stay far under r/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets.unit import add_range_table, count_parts
from plonnx.kzg import container
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.kzg.wording import option
from plonnx.layout.circuit import MOST_BITS
from plonnx.layout.planner import BLINDING_ROWS
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey
from plonnx.plonk.multiplicities import multiplicities
from plonnx.plonk.prover import Witness, prove, seeded_rng
from plonnx.plonk.verifier import VerificationError, verify

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit

Integers = NDArray[np.int64]
KIND = "registration"
LIMB_BITS = 16  # at most: a range table of 2^(k + 2) entries has four parts or five, each a column of multiplicities


@dataclass(frozen=True)
class Declared:
    """The public facts of a hidden model's columns: rows and the bits of each hidden column (two's complement)."""

    k: int
    bits: tuple[int, ...]

    @property
    def active_rows(self) -> int:
        """u, of the model's circuit and of the registration alike."""
        return (1 << self.k) - BLINDING_ROWS

    @property
    def limb_bits(self) -> int:
        """The width of a limb."""
        return max(2, min(LIMB_BITS, self.k + 2))

    def limb_widths(self, bits: int) -> Sequence[int]:
        """The widths of a value's limbs, lowest first."""
        full, rest = divmod(bits, self.limb_bits)
        return [self.limb_bits] * full + ([rest] if rest else [])


@dataclass(frozen=True)
class Registration:
    """The proof with the facts that it is about."""

    declared: Declared
    proof: bytes

    def __repr__(self) -> str:
        bits = self.declared.bits
        return f"<Registration of {len(bits)} hidden columns of {min(bits)} to {max(bits)} bits>"

    def save(self, path: str | Path) -> None:
        """Write the registration atomically."""
        meta = {"k": self.declared.k, "bits": list(self.declared.bits)}
        container.write_container(path, KIND, meta, {"proof": np.frombuffer(self.proof, np.uint8)})

    @classmethod
    def load(cls, path: str | Path) -> Registration:
        """Read a registration; FileError says what is wrong with the file."""
        meta, arrays = container.read_container(path, KIND)
        try:
            declared = Declared(int(meta["k"]), tuple(int(bits) for bits in meta["bits"]))
            return cls(declared, arrays["proof"].tobytes())
        except (KeyError, TypeError) as error:
            raise FileError(f"{path}: the registration file lacks its {error}: run plonnx setup again") from error

    def is_about(self, vk: VerifyingKey) -> bool:
        """Whether the proof names the commitments of the key's hidden columns; says nothing about its validity."""
        committed = hidden_commitments(vk)
        return self.declared.k == vk.k and bool(committed) and self.proof[: len(committed)] == committed


def declare(circuit: ModelCircuit, vk: VerifyingKey) -> Declared:
    """The facts of a compiled private model: every weight column has weight_bits, the bias column bias_bits."""
    weights = len(hidden_columns(vk)) - 1
    return Declared(vk.k, (*(circuit.builder.weight_bits for _ in range(weights)), circuit.builder.bias_bits))


def registration_circuit(declared: Declared) -> Circuit:
    """The circuit, from public facts alone."""
    circuit = Circuit(declared.k, group=4, name="registration")
    columns = [circuit.advice(f"hidden {i}") for i in range(len(declared.bits))]
    limbs = [
        [circuit.advice(f"hidden {i} limb {j}") for j in range(len(widths))] if len(widths) > 1 else []
        for i, widths in enumerate(map(declared.limb_widths, declared.bits))
    ]
    tables = {
        width: add_range_table(circuit, 1 << width, declared.active_rows)
        for width in sorted({width for bits in declared.bits for width in declared.limb_widths(bits)})
    }
    for column, parts, bits in zip(columns, limbs, declared.bits, strict=True):
        shifted = column() + (1 << (bits - 1))
        if not parts:  # one limb is the value itself
            circuit.lookup(f"{column.name} has {bits} bits", tables[bits], [shifted])
            continue
        total = sum(part() * (1 << (declared.limb_bits * j)) for j, part in enumerate(parts))
        circuit.gate(f"{column.name} is its limbs", shifted - total)
        for part, width in zip(parts, declared.limb_widths(bits), strict=True):
            circuit.lookup(f"{part.name} has {width} bits", tables[width], [part()])
    return circuit


def register(pk: ProvingKey, declared: Declared, srs: SRS) -> Registration:
    """The registration of a hidden model's key. Raises ValueError for a value outside its declared width.

    Its randomness follows from the columns' blinding: every proof with fresh randomness opens the columns at another
    point, and a few more of those than there are random rows would tell what the commitments hide.
    """
    hidden = hidden_columns(pk.vk)
    if not hidden:
        raise ValueError("the model of this key is public: there is nothing to register")
    rows = declared.active_rows
    columns: list[Integers] = []
    for index in hidden:
        values = np.zeros(rows, np.int64)
        values[: len(pk.fixed[index].values)] = pk.fixed[index].values
        columns.append(values)
    limbs: list[Integers] = []
    looked_up: dict[int, list[Integers]] = {}
    for values, bits in zip(columns, declared.bits, strict=True):
        shifted = values + (1 << (bits - 1))
        if shifted.min() < 0 or shifted.max() >> bits:
            raise ValueError(
                f"a hidden value needs more than the declared {bits} bits: compile with more {option('weight_bits')},"
                f" {option('bias_bits')}"
            )
        for j, width in enumerate(declared.limb_widths(bits)):
            limb = (shifted >> (declared.limb_bits * j)) & ((1 << width) - 1)
            if width < bits:
                limbs.append(limb)
            looked_up.setdefault(width, []).append(limb)
    counts = [
        part
        for width in sorted(looked_up)
        for part in count_parts(multiplicities(np.arange(1 << width), looked_up[width], 1 << width), rows)
    ]
    blinding = {i: pk.fixed[index].blinding for i, index in enumerate(hidden)}
    key = keygen(registration_circuit(declared), srs)
    secret = b"".join(blinding.values())
    rng = seeded_rng(_native.keccak256(b"plonnx registration v1" + key.vk.digest + hidden_commitments(pk.vk) + secret))
    return Registration(declared, prove(key, Witness((*columns, *limbs, *counts), b"", blinding), srs, rng).proof)


def verify_registration(vk: VerifyingKey, registration: Registration, srs: SRS) -> None:
    """Accept (return), or raise VerificationError: the proof holds, and is about the columns that `vk` commits to."""
    declared, count = registration.declared, len(hidden_columns(vk))
    if not count:
        raise VerificationError("the model of this verifying key is public: there is nothing registered")
    if srs.tau_g2 != vk.tau_g2:
        raise VerificationError(f"the key was made with another SRS ({vk.srs}) than {srs.name}")
    if (declared.k, len(declared.bits), declared.active_rows) != (vk.k, count, vk.last_row):
        raise VerificationError(
            f"the registration is about {len(declared.bits)} columns of 2^{declared.k} rows; the verifying key has"
            f" {count} hidden columns of 2^{vk.k}"
        )
    if not all(1 < bits <= MOST_BITS for bits in declared.bits):
        raise VerificationError(f"the registration declares widths outside 2..{MOST_BITS} bits")
    if not registration.is_about(vk):
        raise VerificationError("the registration is about other columns than the verifying key's")
    key = keygen(registration_circuit(declared), srs).vk
    try:
        verify(key, Proof(key.digest, registration.proof, b""))
    except VerificationError as error:
        raise VerificationError(f"the registration does not hold: {error}") from error


def hidden_columns(vk: VerifyingKey) -> list[int]:
    """The hidden fixed columns: those of masked combinations."""
    return sorted({column for index in vk.masked for column, _ in vk.combinations[index].terms})


def hidden_commitments(vk: VerifyingKey) -> bytes:
    """The commitments of the hidden columns, in order."""
    return b"".join(vk.fixed_commitments[vk.fixed_members.index((index,))] for index in hidden_columns(vk))
