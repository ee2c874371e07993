"""The structure of a finished circuit: what is committed, packed and opened, for keygen and the cost model alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plonnx.plonk import expression as ex
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.key_checks import hiding_rows
from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, Opened, joining, piece_stride
from plonnx.plonk.program import FEW, Slot


@dataclass(frozen=True)
class Structure:
    """Counts and places that follow from the declarations alone, of a Circuit or of a Tally."""

    blinding: int  # n - u
    masked: tuple[int, ...]  # combinations with hidden columns
    cosets: int  # of n points, as many as the quotient's degree takes beside FEW points
    pieces: int  # of the quotient, as many as the setup's powers take
    fixed_members: tuple[tuple[int, ...], ...]  # the fixed columns behind each fixed commitment
    opened: tuple[Opened, ...]
    read: int  # columns that gates query

    @property
    def commitments(self) -> int:
        """Points of a proof, without W and W'."""
        return sum(o.kind == "advice" for o in self.opened) + self.pieces + len(self.masked)

    @property
    def evaluations(self) -> int:
        """Scalars of a proof, without the inverse."""
        return sum(o.evaluations for o in self.opened)

    @property
    def proof_bytes(self) -> int:
        """The length of a proof."""
        return (self.commitments + 2) * G1_BYTES + (self.evaluations + 1) * SCALAR_BYTES


def of(circuit: Circuit, packing: int | None = None) -> Structure:
    """The structure of a circuit, which is finished here; with another packing where it is given."""
    circuit.finish()
    packing = circuit.packing if packing is None else packing
    queried = ex.slots(gate.expression for gate in circuit.gates)
    blinding = hiding_rows(queried)
    hidden = circuit.hidden
    masked = tuple(i for i, c in enumerate(circuit.combinations) if any(column in hidden for column, _ in c.terms))
    largest = max(ex.gate_degree(gate, circuit.n, blinding, masked) for gate in circuit.gates)
    coefficients = max(1, largest - circuit.n + 1)
    pieces = -(-coefficients // piece_stride(circuit.n, packing))
    members = _fixed_members(circuit, packing)
    return Structure(
        blinding,
        masked,
        by_cosets(coefficients, circuit.n)[0],
        pieces,
        members,
        _opened(circuit, packing, _verifier_slots(circuit, packing, queried, masked), members, pieces),
        len({(kind, index) for kind, index, _ in queried if kind != "selector"}),
    )


def by_cosets(coefficients: int, n: int) -> tuple[int, int]:
    """The cosets of n points that fix a part of the quotient, and how many coefficients are left to FEW points more.

    A gate of d columns has (d - 1) n coefficients and a few, of the active rows' selector.
    """
    cosets, rest = divmod(max(1, coefficients), n)
    return (cosets, rest) if rest <= FEW <= n else (cosets + 1, 0)


def blinding_rows(circuit: Circuit) -> int:
    """n - u."""
    return hiding_rows(ex.slots(gate.expression for gate in circuit.gates))


def _fixed_members(circuit: Circuit, packing: int) -> tuple[tuple[int, ...], ...]:
    """The fixed columns behind each commitment: hidden ones alone, the others by `packing`."""
    public = [i for i in range(len(circuit.fixed_columns)) if i not in circuit.hidden]
    return (*_chunks(public, packing), *((i,) for i in sorted(circuit.hidden)))


def _verifier_slots(circuit: Circuit, packing: int, queried: list[Slot], masked: Sequence[int]) -> list[Slot]:
    """What the verifier's program reads: where columns are packed, it adds up unmasked combinations itself."""
    if packing == 1:
        return queried
    spelled = {s for s in queried if s.kind == "combination" and s.index not in masked}
    columns = {column for s in spelled for column, _ in circuit.combinations[s.index].terms}
    return sorted({*queried, *(Slot("fixed", column, 0) for column in columns)} - spelled)


def _opened(
    circuit: Circuit,
    packing: int,
    read: Sequence[Slot],
    fixed_members: Sequence[tuple[int, ...]],
    pieces: int,
) -> tuple[Opened, ...]:
    """Every polynomial that is opened, in protocol order."""
    rotations: dict[tuple[str, int], set[int]] = {("advice", i): {0} for i in range(len(circuit.advice_names))}
    for kind, index, rotation in read:
        if kind != "selector":
            rotations.setdefault((kind, index), set()).add(rotation)
    phases: list[dict[tuple[int, ...], list[int]]] = [{} for _ in range(max(circuit.advice_phases) + 1)]
    for i, phase in enumerate(circuit.advice_phases):
        phases[phase].setdefault(tuple(sorted(rotations["advice", i])), []).append(i)
    opened = []
    for by_rotations in phases:
        if packing > 1:
            _join(by_rotations, packing)
        for at, members in sorted(by_rotations.items()):
            opened += [Opened("advice", chunk, at, packing) for chunk in _chunks(members, packing)]
    for chunk in fixed_members:
        if packing > 1 and chunk[0] not in circuit.hidden:
            opened.append(Opened("fixed", chunk, (0,), packing))
        elif ("fixed", chunk[0]) in rotations:
            opened.append(Opened("fixed", chunk, (0,)))
    opened += [Opened("combination", (index,), (0,)) for kind, index in sorted(rotations) if kind == "combination"]
    opened.append(Opened("quotient", tuple(range(pieces)), (0,)))
    return tuple(opened)


def _join(by_rotations: dict[tuple[int, ...], list[int]], packing: int) -> None:
    single, both = by_rotations.get((0,), []), by_rotations.get((0, 1), [])
    if moved := joining(len(single), len(both), packing):
        by_rotations[0, 1] = sorted(both + single[-moved:])
        del single[-moved:]
        if not single:
            del by_rotations[(0,)]


def _chunks(members: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(members[at : at + size]) for at in range(0, len(members), size)]
