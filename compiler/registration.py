"""Registration of a hidden model: one proof that every weight and bias behind the vk's commitments is in its declared range.

The verifying key of a hidden model holds hiding commitments; the circuit's bounds (no sum wraps around the field) rest on the
declared bit widths. The registration circuit has the hidden columns as advice, with the very blinding of their commitments, and
looks every cell up: limb by limb,

    w + 2^(bits - 1) = sum_i limb_i 2^(LIMB_BITS i),   limb_i in [0, 2^LIMB_BITS), the last in [0, 2^(what is left))

on all active rows. Anyone rebuilds its verifying key from the public facts (k, the number of columns, their widths) and checks that
the proof's commitments are the vk's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.unit import add_range_table, count_parts
from plonnx.kzg.srs import SRS
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import G1_BYTES, Proof, ProvingKey, VerifyingKey
from plonnx.plonk.multiplicities import multiplicities
from plonnx.plonk.prover import Rng, Witness, prove
from plonnx.plonk.verifier import VerificationError, verify

Integers = NDArray[np.int64]
LIMB_BITS = 12
BLINDING_ROWS = 4


@dataclass(frozen=True)
class Declared:
    """The public facts of a hidden model's columns: rows and the bits of each hidden column (two's complement)."""

    k: int
    bits: tuple[int, ...]

    @property
    def active_rows(self) -> int:
        """u, of the model's circuit and of the registration alike."""
        return (1 << self.k) - BLINDING_ROWS


def registration_circuit(declared: Declared) -> Circuit:
    """The circuit, from public facts alone."""
    circuit = Circuit(declared.k, group=4, name="registration")
    columns = [circuit.advice(f"hidden {i}") for i in range(len(declared.bits))]
    limbs = [
        [circuit.advice(f"hidden {i} limb {j}") for j in range(len(limb_widths(bits)))]
        for i, bits in enumerate(declared.bits)
    ]
    tables = {
        width: add_range_table(circuit, 1 << width, declared.active_rows)
        for width in sorted({width for bits in declared.bits for width in limb_widths(bits)})
    }
    for column, parts, bits in zip(columns, limbs, declared.bits, strict=True):
        total = sum(part() * (1 << (LIMB_BITS * j)) for j, part in enumerate(parts))
        circuit.gate(f"{column.name} is its limbs", column() + (1 << (bits - 1)) - total)
        for part, width in zip(parts, limb_widths(bits), strict=True):
            circuit.lookup(f"{part.name} has {width} bits", tables[width], [part()])
    return circuit


def register(pk: ProvingKey, declared: Declared, srs: SRS, rng: Rng = os.urandom) -> Proof:
    """The registration proof of a hidden model's key. Raises ValueError for a value outside its declared width."""
    hidden = hidden_columns(pk.vk)
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
                f"a hidden value needs more than the declared {bits} bits: declare more with --weight-bits"
            )
        for j, width in enumerate(limb_widths(bits)):
            limb = (shifted >> (LIMB_BITS * j)) & ((1 << width) - 1)
            limbs.append(limb)
            looked_up.setdefault(width, []).append(limb)
    counts = [
        part
        for width in sorted(looked_up)
        for part in count_parts(multiplicities(np.arange(1 << width), looked_up[width], 1 << width), rows)
    ]
    blinding = {i: pk.fixed[index].blinding for i, index in enumerate(hidden)}
    key = keygen(registration_circuit(declared), srs)
    return prove(key, Witness((*columns, *limbs, *counts), b"", blinding), srs, rng)


def verify_registration(vk: VerifyingKey, declared: Declared, proof: Proof, srs: SRS) -> None:
    """Accept (return), or raise VerificationError: the proof holds, and it is about the columns that `vk` commits to."""
    registration = keygen(registration_circuit(declared), srs).vk
    verify(registration, proof)
    committed = b"".join(vk.fixed_commitments[vk.fixed_members.index((index,))] for index in hidden_columns(vk))
    if (
        declared.k != vk.k
        or proof.proof[: len(committed)] != committed
        or len(committed) != G1_BYTES * len(declared.bits)
    ):
        raise VerificationError("the registration is about other columns than the verifying key's")


def hidden_columns(vk: VerifyingKey) -> list[int]:
    """The hidden fixed columns: those of masked combinations."""
    return sorted({column for index in vk.masked for column, _ in vk.combinations[index].terms})


def limb_widths(bits: int) -> Sequence[int]:
    """The widths of a value's limbs, lowest first."""
    full, rest = divmod(bits, LIMB_BITS)
    return [LIMB_BITS] * full + ([rest] if rest else [])
