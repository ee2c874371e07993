"""Registration of a hidden model: one proof about the weights and biases behind the vk's commitments.

The verifying key of a hidden model holds hiding commitments. The circuit's bounds (no sum wraps around the field) rest
on the declared bit widths, and its meaning on where the layout has weights: a value anywhere else would connect layers
that the architecture does not connect. The registration circuit has the hidden columns w as advice, with the very
blinding of their commitments, and on all active rows

    w + 2^(bits - 1) = sum_i limb_i 2^(L i),   limb_i in [0, 2^L), the last in [0, 2^(what is left))
    (1 - secret) w - value = 0                 secret: 1 where the layout has a secret; value: what is known elsewhere
    w' = w, again (w'(omega X) - w) = 0        a bias that is stated on several rows is one

Anyone rebuilds its verifying key from the public facts (layout/known.py, the key's declared widths) and checks that
the proof's commitments are the vk's. Any widths up to MOST_BITS will do for soundness: 2^k products of such a weight
with a value below the table's size stay far under r/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets.unit import add_range_table, count_parts, range_name
from plonnx.kzg import container, record
from plonnx.kzg.record import require
from plonnx.kzg.srs import SRS
from plonnx.kzg.wording import option
from plonnx.layout.known import Known, Pattern, shared
from plonnx.layout.shape import BLINDING_ROWS
from plonnx.layout.validate import MOST_BITS
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import G1_BYTES, Proof, ProvingKey, VerifyingKey
from plonnx.plonk.multiplicities import column_name
from plonnx.plonk.prover import Witness, prove, seeded_rng
from plonnx.plonk.verifier import VerificationError, verify

Integers = NDArray[np.int64]
KIND = "registration"
LIMB_BITS = 16  # at most: a range table of 2^(k + 2) entries has four parts or five, each a column of multiplicities


@dataclass(frozen=True)
class Declared:
    """The rows and the bits of each hidden column (two's complement) that a key declares."""

    k: int
    bits: tuple[int, ...]

    @classmethod
    def by(cls, vk: VerifyingKey) -> Declared:
        """What a key declares."""
        return cls(vk.k, vk.hidden_bits)

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
    """The proof; and for those who have no architecture, its circuit's first fixed columns: pattern and commitments."""

    pattern: Pattern
    commitments: tuple[bytes, ...]
    proof: bytes

    def __repr__(self) -> str:
        return f"<Registration of {sum(self.pattern.secret)} hidden columns>"

    def encode(self) -> bytes:
        """The file's bytes."""
        meta = {"pattern": [list(self.pattern.secret), list(self.pattern.value), list(self.pattern.again)]}
        points = np.frombuffer(b"".join(self.commitments), np.uint8).reshape(-1, G1_BYTES)
        held = {"proof": np.frombuffer(self.proof, np.uint8), "commitments": points}
        return container.encode(KIND, meta, held)

    def save(self, path: str | Path) -> None:
        """Write the registration atomically."""
        container.atomic_write(path, self.encode())

    @classmethod
    def load(cls, path: str | Path) -> Registration:
        """Read a registration; FileError says what is wrong with the file."""
        return cls.decode(container.read_bytes(path), path)

    @classmethod
    def decode(cls, content: bytes, source: str | Path) -> Registration:
        """The inverse of `encode`; FileError names `source`."""
        with record.Record(content, KIND, source) as held:
            rows = held.array("commitments", np.uint8, (None, G1_BYTES))
            commitments = tuple(row.tobytes() for row in rows)
            pattern = Pattern(*(numbers.integers(-1, len(rows) - 1) for numbers in held["pattern"].parts(3)))
            complete = -1 not in pattern.secret and len(pattern.secret) == len(pattern.value) == len(pattern.again)
            require(complete, "its pattern does not say what every column holds")
            return cls(pattern, commitments, held.bytes("proof"))

    def is_about(self, vk: VerifyingKey) -> bool:
        """Whether the proof names the commitments of the key's hidden columns; says nothing about its validity."""
        committed = b"".join(vk.hidden_commitments)
        return bool(committed) and self.proof[: len(committed)] == committed


def registration_circuit(declared: Declared, pattern: Pattern, columns: Sequence[Integers]) -> Circuit:
    """The circuit, from public facts alone; `columns` are its first fixed columns (layout/known.py)."""
    circuit = Circuit(declared.k, group=4, name="registration")
    circuit.active_rows = declared.active_rows
    facts = [circuit.fixed(f"known {i}", values) for i, values in enumerate(columns)]
    hidden = [circuit.advice(f"hidden {i}") for i in range(len(declared.bits))]
    limbs = [
        [circuit.advice(f"hidden {i} limb {j}") for j in range(len(widths))] if len(widths) > 1 else []
        for i, widths in enumerate(map(declared.limb_widths, declared.bits))
    ]
    for column, secret, value, again in zip(hidden, pattern.secret, pattern.value, pattern.again, strict=True):
        known = facts[value]() if value >= 0 else 0
        circuit.gate(f"{column.name} holds secrets nowhere else", (1 - facts[secret]()) * column() - known)
        if again >= 0:
            same = circuit.advice(f"{column.name} once more")  # opened at two points, so that the column itself is not
            circuit.gate(f"{same.name} is {column.name}", same() - column())
            circuit.gate(f"{column.name} repeats itself", facts[again]() * (same(1) - column()))
    tables = {
        width: add_range_table(circuit, 1 << width, declared.active_rows)
        for width in sorted({width for bits in declared.bits for width in declared.limb_widths(bits)})
    }
    for column, parts, bits in zip(hidden, limbs, declared.bits, strict=True):
        shifted = column() + (1 << (bits - 1))
        if not parts:  # one limb is the value itself
            circuit.lookup(f"{column.name} has {bits} bits", tables[bits], [shifted])
            continue
        total = sum(part() * (1 << (declared.limb_bits * j)) for j, part in enumerate(parts))
        circuit.gate(f"{column.name} is its limbs", shifted - total)
        for part, width in zip(parts, declared.limb_widths(bits), strict=True):
            circuit.lookup(f"{part.name} has {width} bits", tables[width], [part()])
    return circuit


def register(pk: ProvingKey, known: Sequence[Known], srs: SRS) -> Registration:
    """The registration of a hidden model's key. Raises ValueError for a value that is not as declared and known.

    Its randomness follows from the columns' blinding: every proof with fresh randomness opens the columns at another
    point, and a few more of those than there are random rows would tell what the commitments hide.
    """
    declared, hidden = Declared.by(pk.vk), pk.vk.hidden_columns
    if not hidden:
        raise ValueError("the model of this key is public: there is nothing to register")
    pattern, facts = shared(known)
    rows = declared.active_rows
    columns: list[Integers] = []
    for index in hidden:
        values = np.zeros(rows, np.int64)
        values[: len(pk.fixed[index].values)] = pk.fixed[index].values
        columns.append(values)
    limbs: dict[str, Integers] = {}
    looked_up: dict[int, list[Integers]] = {}
    for i, (values, column, bits) in enumerate(zip(columns, known, declared.bits, strict=True)):
        _check(values, column, bits)
        shifted = values + (1 << (bits - 1))
        for j, width in enumerate(declared.limb_widths(bits)):
            limb = (shifted >> (declared.limb_bits * j)) & ((1 << width) - 1)
            if width < bits:
                limbs[f"hidden {i} limb {j}"] = limb
            looked_up.setdefault(width, []).append(limb)
    for width in sorted(looked_up):
        counts = np.bincount(np.concatenate(looked_up[width]), minlength=1 << width)
        for part, numbers in enumerate(count_parts(counts, rows)):
            limbs[column_name(range_name(1 << width), part)] = numbers
    advice = {f"hidden {i}": values for i, values in enumerate(columns)} | limbs
    advice |= {f"hidden {i} once more": advice[f"hidden {i}"] for i, again in enumerate(pattern.again) if again >= 0}
    blinding = {f"hidden {i}": pk.fixed[index].blinding for i, index in enumerate(hidden)}
    key = keygen(registration_circuit(declared, pattern, facts), srs)
    committed, secret = b"".join(pk.vk.hidden_commitments), b"".join(blinding.values())
    rng = seeded_rng(_native.keccak256(b"plonnx registration v1" + key.vk.digest + committed + secret))
    proof = prove(key, Witness(advice, b"", blinding), srs, rng).proof
    return Registration(pattern, key.vk.fixed_commitments[: len(facts)], proof)


def _check(values: Integers, known: Known, bits: int) -> None:
    shifted = values + (1 << (bits - 1))
    if shifted.min() < 0 or shifted.max() >> bits:
        raise ValueError(
            f"a hidden value needs more than the declared {bits} bits: compile with more"
            f" {option('weight_bits')}, {option('bias_bits')}"
        )
    secret, value = (np.zeros(len(values), np.int64) for _ in range(2))
    secret[: len(known.secret)], value[: len(known.value)] = known.secret, known.value
    again = np.flatnonzero(known.again)
    if np.any((1 - secret) * values != value) or np.any(values[again] != values[again + 1]):
        raise ValueError("the key's hidden columns are not those of this circuit: run plonnx setup on it")


def verify_registration(vk: VerifyingKey, registration: Registration, known: Sequence[Known], srs: SRS) -> None:
    """Accept (return), or raise VerificationError: the proof holds, and is about the columns that `vk` commits to.

    `known` must follow from the architecture that the key was rebuilt from (layout/architecture.py).
    """
    _check_subject(vk, registration, srs)
    key = keygen(registration_circuit(Declared.by(vk), *shared(known)), srs).vk
    _check_proof(key, registration)


def verify_widths(vk: VerifyingKey, registration: Registration, srs: SRS) -> None:
    """Accept (return), or raise VerificationError: every hidden cell has its declared width.

    Says nothing about where the key has weights, what they mean, or the rest of the key: that takes the architecture.
    """
    _check_subject(vk, registration, srs)
    if len(registration.pattern.secret) != len(vk.hidden_bits):
        raise VerificationError(
            f"the registration is about {len(registration.pattern.secret)} columns; the verifying key has"
            f" {len(vk.hidden_bits)} hidden ones"
        )
    claimed = registration.commitments
    unknown = [np.zeros(1, np.int64)] * len(claimed)
    key = keygen(registration_circuit(Declared.by(vk), registration.pattern, unknown), srs).vk
    _check_proof(replace(key, fixed_commitments=(*claimed, *key.fixed_commitments[len(claimed) :])), registration)


def _check_subject(vk: VerifyingKey, registration: Registration, srs: SRS) -> None:
    declared = Declared.by(vk)
    if not vk.hidden_columns:
        raise VerificationError("the model of this verifying key is public: there is nothing registered")
    if srs.tau_g2 != vk.tau_g2:
        raise VerificationError(f"the key was made with another SRS ({vk.srs}) than {srs.name}")
    if (len(vk.hidden_bits), vk.last_row) != (len(vk.hidden_columns), declared.active_rows):
        raise VerificationError("the verifying key does not declare a width for each of its hidden columns")
    if not all(1 < bits <= MOST_BITS for bits in vk.hidden_bits):
        raise VerificationError(f"the verifying key declares widths outside 2..{MOST_BITS} bits")
    if not registration.is_about(vk):
        raise VerificationError("the registration is about other columns than the verifying key's")


def _check_proof(key: VerifyingKey, registration: Registration) -> None:
    try:
        verify(key, Proof(key.digest, registration.proof, b""))
    except VerificationError as error:
        raise VerificationError(f"the registration does not hold: {error}") from error
