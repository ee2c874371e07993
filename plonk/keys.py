"""The keys: what keygen leaves to the prover and to the verifier, and how they are stored.

`VerifyingKey.digest` covers all that the verifier depends on; the transcript starts with it. Keys hold integers and
recompute field forms when loaded. Files are read by plonk/key_files.py, which trusts nobody. See docs/protocol.md
section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.kzg import container, curve, opening, record
from plonnx.kzg.container import FileError
from plonnx.kzg.origin import Origin, origin_of
from plonnx.plonk import runs
from plonnx.plonk.program import DELTA, INVERSE_PSI, MODULUS, Program, Slot
from plonnx.plonk.runs import Runs

OpenedKind = Literal["advice", "fixed", "combination", "quotient"]
Monomial = tuple[tuple[str, int], ...]  # (challenge name, exponent) pairs
G1_BYTES, SCALAR_BYTES = curve.G1_BYTES, curve.SCALAR_BYTES
CONTEXT_BYTES = 32
NO_CONTEXT = bytes(CONTEXT_BYTES)
EVALUATIONS_FOR_A_COMMITMENT = 14  # what one costs in a contract, in evaluations: some 10,000 gas and 700


@dataclass(frozen=True)
class Phase:
    """Advice columns `first` .. `stop - 1`, committed together, and the challenges drawn after them, in order."""

    first: int
    stop: int
    challenges: tuple[str, ...]


@dataclass(frozen=True)
class Combination:
    """A virtual column: sum of monomial(challenges) * fixed column."""

    terms: tuple[tuple[int, Monomial], ...]


@dataclass(frozen=True)
class Opened:
    """A polynomial that is opened where its members are wanted: at omega^rotation * zeta for its sorted rotations.

    kind "advice", "fixed", "combination" or "quotient"; members are indices of columns, combinations or pieces. With
    packing t > 1 it is sum_i X^i f_i(X^t) over its at most t members. The quotient is one polynomial, the sum of its
    pieces by powers of zeta^(t n - 2); its value follows from the others, so that no evaluation of it is sent.
    """

    kind: OpenedKind
    members: tuple[int, ...]
    rotations: tuple[int, ...]
    packing: int = 1

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What the values are of that a proof holds, in their order; of the quotient it holds none."""
        if self.kind == "quotient":
            return ()
        return tuple(Slot(self.kind, member, rotation) for member in self.members for rotation in self.rotations)

    @property
    def evaluations(self) -> int:
        """How many of its values a proof holds."""
        return len(self.slots)


def piece_stride(n: int, packing: int) -> int:
    """The quotient's coefficients in a piece: two fewer than the powers of the setup, so that its blinding fits."""
    return packing * n - 2


def joining(single: int, both: int, packing: int) -> int:
    """How many of `single` columns that are wanted at zeta share commitments of `both` wanted at omega zeta, too.

    Those that would fill a commitment only in part, where there is room for them: each costs one evaluation, together
    they save a commitment.
    """
    rest = single % packing
    room = both > 0 and rest <= -both % packing
    return rest if room and rest <= EVALUATIONS_FOR_A_COMMITMENT else 0


@dataclass(frozen=True)
class Run:
    """Consecutive public values whose words lie in consecutive rows (docs/protocol.md section 6)."""

    offset: int  # in bytes, into publicValues
    count: int  # values
    width: int  # bytes of a value
    per_word: int  # values of a full word
    exponent: int  # of chi, for the first word; the j-th word has exponent + j
    power: int  # of psi, for all words


@dataclass(frozen=True)
class InstanceColumn:
    """A list of public integers that the verifier reduces to one scalar, named `name` among a program's scalars."""

    name: str
    runs: tuple[Run, ...]


Scale = int | tuple["Scale", ...]
"""One exponent, or an array of them as nested tuples that broadcasts over a tensor by numpy's rules."""


def nested(scales: NDArray[np.int64]) -> Scale:
    """An array of exponents as a Scale: one number where all are equal, no leading axes of one element."""
    if not scales.ndim or np.all(scales == scales.flat[0]):
        return int(scales.flat[0])
    while scales.shape[0] == 1:
        scales = scales[0]

    def tuples(held: int | list[Any]) -> Scale:
        return tuple(tuples(each) for each in held) if isinstance(held, list) else held

    return tuples(scales.tolist())


@dataclass(frozen=True)
class PublicTensor:
    """How a public tensor lies in publicValues: real value = integer / 2^scale. role is "input" or "output".

    Where channels have scales of their own, `scale` is an array that broadcasts over the tensor, as nested tuples.
    """

    name: str
    role: str
    shape: tuple[int, ...]
    scale: Scale
    offset: int
    width: int
    low: int
    high: int

    @property
    def count(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class VerifyingKey:
    """All that a verifier needs."""

    k: int
    last_row: int  # u
    phases: tuple[Phase, ...]
    pieces: int
    combinations: tuple[Combination, ...]
    masked: tuple[int, ...]  # the combinations with hidden columns
    packing: int
    opened: tuple[Opened, ...]
    fixed_members: tuple[tuple[int, ...], ...]  # the fixed columns behind each fixed commitment
    program: Program  # one output: sum of y-weighted gates
    instances: tuple[InstanceColumn, ...]
    tensors: tuple[PublicTensor, ...]
    public_bytes: int
    fixed_commitments: tuple[bytes, ...]
    hidden_bits: tuple[int, ...]  # the declared width of each hidden column, two's complement
    tau_g2: bytes
    model: str = ""  # the name of what was compiled; a label

    def __repr__(self) -> str:
        tensors = ", ".join(f"{t.role} {t.name}" for t in self.tensors) or "no public tensors"
        hidden = ", hidden weights" if self.masked else ""
        return f"<VerifyingKey {self.model}: {tensors}, {self.n} rows{hidden}, SRS {self.srs}>"

    @property
    def n(self) -> int:
        """Rows."""
        return 1 << self.k

    @cached_property
    def origin(self) -> Origin:
        """Whose secret the setup has. It follows from [tau]_2: a key says nothing about itself."""
        return origin_of(self.tau_g2)

    @property
    def srs(self) -> str:
        """What the setup is called."""
        return self.origin.name

    @property
    def unsafe(self) -> bool:
        """Whether the setup's secret is known to somebody: proofs can be forged."""
        return self.origin.unsafe

    @property
    def inverts_psi(self) -> bool:
        """Whether a combination or the program uses 1/psi, which the proof's inverse then gives."""
        used = {name for combination in self.combinations for _, monomial in combination.terms for name, _ in monomial}
        return INVERSE_PSI in used | set(self.program.scalars)

    @property
    def advice_count(self) -> int:
        """Number of advice columns."""
        return self.phases[-1].stop

    @property
    def pivot(self) -> int:
        """The number of the first polynomial that is opened at the most atoms (section 7)."""
        return opening.pivot([tuple((o.packing, rotation) for rotation in o.rotations) for o in self.opened])

    @property
    def evaluation_count(self) -> int:
        """Number of evaluations in a proof."""
        return sum(o.evaluations for o in self.opened)

    @property
    def piece_stride(self) -> int:
        """The coefficients of the quotient in a piece."""
        return piece_stride(self.n, self.packing)

    @cached_property
    def hidden_columns(self) -> tuple[int, ...]:
        """The hidden fixed columns, in order: those of masked combinations."""
        return tuple(sorted({column for index in self.masked for column, _ in self.combinations[index].terms}))

    @property
    def hidden_commitments(self) -> tuple[bytes, ...]:
        """The commitments of the hidden columns, in order."""
        return tuple(self.fixed_commitments[self.fixed_members.index((index,))] for index in self.hidden_columns)

    @property
    def public_part(self) -> VerifyingKey:
        """The key without what only its owner knows: zeros for the commitments of hidden columns."""
        hidden = {(index,) for index in self.hidden_columns}
        pairs = zip(self.fixed_members, self.fixed_commitments, strict=True)
        shown = tuple(bytes(G1_BYTES) if members in hidden else commitment for members, commitment in pairs)
        return replace(self, fixed_commitments=shown)

    def opened_in_phase(self, phase: Phase) -> tuple[Opened, ...]:
        """The advice polynomials committed in a phase."""
        return tuple(o for o in self.opened if o.kind == "advice" and phase.first <= o.members[0] < phase.stop)

    @property
    def commitment_count(self) -> int:
        """Number of commitments in a proof, without W and W'."""
        return sum(o.kind == "advice" for o in self.opened) + self.pieces + len(self.masked)

    @property
    def proof_bytes(self) -> int:
        """The length of a proof: commitments, evaluations, W, W' and the inverse."""
        return (self.commitment_count + 2) * G1_BYTES + (self.evaluation_count + 1) * SCALAR_BYTES

    def encode(self) -> bytes:
        """The canonical bytes (a container of kind "verifying key")."""
        arrays: dict[str, NDArray[Any]] = {}
        meta = {
            "k": self.k,
            "last_row": self.last_row,
            "phases": [[p.first, p.stop, list(p.challenges)] for p in self.phases],
            "pieces": self.pieces,
            "combinations": [[[i, [list(f) for f in m]] for i, m in c.terms] for c in self.combinations],
            "masked": list(self.masked),
            "packing": self.packing,
            "opened": [[o.kind, list(o.members), list(o.rotations), o.packing] for o in self.opened],
            "fixed_members": [list(members) for members in self.fixed_members],
            "program": self.program.to_data(arrays, "program"),
            "instances": [
                [c.name, [[r.offset, r.count, r.width, r.per_word, r.exponent, r.power] for r in c.runs]]
                for c in self.instances
            ],
            "tensors": [
                [t.name, t.role, list(t.shape), t.scale, t.offset, t.width, t.low, t.high] for t in self.tensors
            ],
            "public_bytes": self.public_bytes,
            "hidden_bits": list(self.hidden_bits),
            "tau_g2": self.tau_g2.hex(),
            "model": self.model,
        }
        arrays["fixed_commitments"] = _byte_rows(self.fixed_commitments)
        return container.encode("verifying key", meta, arrays)

    @cached_property
    def digest(self) -> bytes:
        """keccak256 of the canonical bytes."""
        return _native.keccak256(self.encode())

    @classmethod
    def decode(cls, content: bytes, source: str | Path) -> VerifyingKey:
        """The inverse of `encode`; FileError names `source` and says what is wrong with it."""
        from plonnx.plonk.key_files import read_verifying_key

        return read_verifying_key(content, source)

    def save(self, path: str | Path) -> None:
        """Write the key atomically."""
        container.atomic_write(path, self.encode())

    @classmethod
    def load(cls, path: str | Path) -> VerifyingKey:
        """Read a key; FileError says what is wrong with the file."""
        return cls.decode(container.read_bytes(path), path)


@dataclass(frozen=True)
class Proof:
    """A proof with its public values and the context that it was made for: the very bytes that the contract gets."""

    vk_digest: bytes
    proof: bytes
    public_values: bytes
    context: bytes = NO_CONTEXT

    def __repr__(self) -> str:
        sizes = f"{len(self.proof)} bytes, {len(self.public_values)} of public values"
        return f"<Proof of {sizes}, for the key {self.vk_digest.hex()[:8]}..>"

    def save(self, path: str | Path) -> None:
        """Write the proof atomically."""
        arrays = {name: np.frombuffer(getattr(self, name), np.uint8) for name in ("proof", "public_values")}
        meta = {"vk_digest": self.vk_digest.hex(), "context": self.context.hex()}
        container.write_container(path, "proof", meta, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Proof:
        """Read a proof; FileError says what is wrong with the file."""
        with record.load(path, "proof") as held:
            return cls(
                held["vk_digest"].hexadecimal(32),
                held.bytes("proof"),
                held.bytes("public_values"),
                held["context"].hexadecimal(CONTEXT_BYTES),
            )


@dataclass(frozen=True)
class FixedColumn:
    """A fixed column's values on rows 0.., zero beyond.

    They are integers; or, with a palette, indices into its field elements; or, with labels > 0, how far cell number
    view * n + row is from the one i * n + j that it stands for as delta^i omega^j (the permutation argument's labels,
    i < labels). A circuit has them as an array, a proving key as runs.
    """

    values: NDArray[Any] | Runs
    palette: tuple[int, ...] = ()
    labels: int = 0
    view: int = 0
    blinding: bytes = b""  # of a hidden column: 64 bytes for each random row u .. n - 1

    @property
    def is_integer(self) -> bool:
        """Whether the values are the integers themselves."""
        return not self.palette and not self.labels

    def field(self, n: int) -> _native.Vec:
        """The n values as field elements."""
        values = np.ascontiguousarray(self.values)
        if self.labels:
            return self._label_values(values.astype(np.int64), n)
        if self.palette:
            return _native.Vec.from_scalars(self.palette).take(values.astype(np.int64)).padded(n)
        column = _native.Vec.from_ints(values).padded(n)
        if self.blinding:
            column.write_(n - len(self.blinding) // 64, _native.Vec.from_wide_bytes(self.blinding))
        return column

    def _label_values(self, steps: NDArray[np.int64], n: int) -> _native.Vec:
        """Every cell's own label, but for the cells that are moved."""
        powers = _native.Vec.powers(_native.omega(n.bit_length() - 1), n)
        moved = np.flatnonzero(steps)
        view, row = np.divmod(self.view * n + moved + steps[moved], n)
        shifts = [pow(DELTA, i, MODULUS) for i in range(self.labels)]
        labels = _native.Vec.zeros(n + len(moved))
        labels.write_(0, powers.scale(shifts[self.view]))
        labels.write_(n, powers.take(row).mul(_native.Vec.from_scalars(shifts).take(view)))
        places = np.arange(n)
        places[moved] = n + np.arange(len(moved))
        return labels.take(places)

    @property
    def runs(self) -> Runs:
        """The values as a key holds them."""
        return self.values if isinstance(self.values, Runs) else Runs.of(self.values)


@dataclass(frozen=True)
class Level:
    """Defined columns that one program fills. Each is (advice column, kind, first value or 0; how many fractions).

    The program's outputs are pairs: (numerator, denominator) of a "ratio", a "product" or each of the "fractions",
    (factor, term) of a "recurrence".
    """

    program: Program
    columns: tuple[tuple[int, str, int], ...]


class Gates(NamedTuple):
    """Gates whose part of the quotient has at most cosets * n + rest coefficients; rest is at most FEW.

    The program is over all columns, combinations among them; its output is the y-weighted sum.
    """

    cosets: int
    rest: int
    program: Program


@dataclass(frozen=True)
class ProvingKey:
    """What the prover needs.

    The verifying key, all gates by the degree of their part of the quotient, the fixed columns as integers, and how
    the defined columns are filled.
    """

    vk: VerifyingKey
    programs: tuple[Gates, ...]
    fixed: tuple[FixedColumn, ...]
    levels: tuple[tuple[Level, ...], ...]
    chosen: tuple[str, ...]  # the names of the columns that a witness fills: those of phase 0, then free ones
    circuit_digest: bytes = b""

    def __repr__(self) -> str:
        return f"<ProvingKey {self.vk.model}: {self.vk.n} rows, {len(self.fixed)} fixed columns, SRS {self.vk.srs}>"

    def save(self, path: str | Path) -> None:
        """Write the key atomically."""
        arrays: dict[str, NDArray[Any]] = {"vk": np.frombuffer(self.vk.encode(), np.uint8)}
        arrays |= runs.encode([column.runs for column in self.fixed], "fixed")
        meta = {
            "palettes": [[hex(value) for value in column.palette] for column in self.fixed],
            "labels": [column.labels for column in self.fixed],
            "views": [column.view for column in self.fixed],
            "levels": [
                [
                    [level.program.to_data(arrays, f"level.{p}.{i}"), [list(c) for c in level.columns]]
                    for i, level in enumerate(levels)
                ]
                for p, levels in enumerate(self.levels)
            ],
            "chosen": list(self.chosen),
            "circuit": self.circuit_digest.hex(),
            "programs": [
                [gates.cosets, gates.rest, gates.program.to_data(arrays, f"program.{i}")]
                for i, gates in enumerate(self.programs)
            ],
        }
        for i, column in enumerate(self.fixed):
            if column.blinding:
                arrays[f"blinding.{i}"] = np.frombuffer(column.blinding, np.uint8)
        container.write_container(path, "proving key", meta, arrays)

    @classmethod
    def load(cls, path: str | Path) -> ProvingKey:
        """Read a key; FileError says what is wrong with the file."""
        from plonnx.plonk.key_files import read_proving_key

        return read_proving_key(path)


def _byte_rows(rows: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1) if rows else np.zeros((0, G1_BYTES), np.uint8)


__all__ = [
    "Combination",
    "FileError",
    "FixedColumn",
    "Gates",
    "InstanceColumn",
    "Level",
    "Opened",
    "Phase",
    "Proof",
    "ProvingKey",
    "PublicTensor",
    "Run",
    "VerifyingKey",
    "joining",
    "piece_stride",
]
