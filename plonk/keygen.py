"""Keygen: a circuit becomes a verifying key and a proving key. Uses sympy; refuses what cannot be sound."""

from __future__ import annotations

import sympy

from plonnx.kzg.srs import SRS
from plonnx.plonk import expression as ex
from plonnx.plonk.circuit import Circuit, CircuitError, Definition
from plonnx.plonk.expression import Scalar
from plonnx.plonk.keys import FixedColumn, Level, Opened, Phase, ProvingKey, VerifyingKey


def blinding_rows(circuit: Circuit) -> int:
    """n - u: an advice column needs (opened points + 1) random rows; one queried at +1 keeps its value in row u."""
    rotations: dict[int, set[int]] = {}
    for slot in ex.slots(gate.expression for gate in circuit.gates):
        if slot.kind == "advice":
            rotations.setdefault(slot.index, {0}).add(slot.rotation)
    return max((len(r) + 1 + (1 in r) for r in rotations.values()), default=2)


def keygen(circuit: Circuit, srs: SRS, circuit_digest: bytes = b"") -> ProvingKey:
    """The keys of a circuit. CircuitError for a circuit that is refused, ValueError for too small an SRS."""
    circuit.finish()
    blinding = blinding_rows(circuit)
    last_row = circuit.n - blinding
    _check(circuit, last_row)
    if srs.size < circuit.n:
        raise ValueError(
            f"the SRS ({srs.name}) holds {srs.size} powers; this circuit needs {circuit.n}: give --srs a larger one"
        )

    phases, y = _phases(circuit)
    largest = max(ex.gate_degree(gate, circuit.n, blinding) for gate in circuit.gates)
    pieces = max(1, -(-(largest - circuit.n + 1) // (circuit.n - 1)))
    program = ex.compile_gates(circuit.gates, y)
    vk = VerifyingKey(
        k=circuit.k,
        last_row=last_row,
        phases=phases,
        pieces=pieces,
        combinations=tuple(circuit.combinations),
        opened=_opened(circuit),
        program=program,
        instances=tuple(circuit.instances),
        tensors=tuple(circuit.tensors),
        public_bytes=circuit.public_bytes,
        fixed_commitments=tuple(commit_fixed(column, circuit.k, srs) for column in circuit.fixed_columns),
        g2=srs.g2,
        tau_g2=srs.tau_g2,
        srs=srs.name,
        unsafe_srs=srs.unsafe,
        model=circuit.name,
    )
    return ProvingKey(vk, tuple(circuit.fixed_columns), compile_levels(circuit), circuit_digest)


def commit_fixed(column: FixedColumn, k: int, srs: SRS) -> bytes:
    """The commitment of a fixed column."""
    if column.is_integer:
        return srs.commit_ints(k, column.values)
    return srs.commit_values(k, column.field(1 << k))


def compile_levels(circuit: Circuit) -> tuple[tuple[Level, ...], ...]:
    """For every phase after 0, the programs that fill its columns; a level depends on earlier levels only."""
    phases = []
    for phase in range(1, max(circuit.advice_phases) + 1):
        pending = [d for d in circuit.definitions if d.phase == phase]
        levels = []
        while pending:
            waiting = {d.column.index for d in pending}
            ready = [d for d in pending if not (_reads(d) & waiting)]
            if not ready:
                raise CircuitError(f"column {pending[0].column.name} is defined through itself")
            outputs = [sympy.sympify(e) for d in ready for e in (d.left, d.right)]
            columns = tuple((d.column.index, d.kind, d.first) for d in ready)
            levels.append(Level(ex.compile_program(outputs), columns))
            pending = [d for d in pending if d not in ready]
        phases.append(tuple(levels))
    return tuple(phases)


def _reads(definition: Definition) -> set[int]:
    return {s.index for s in ex.slots([definition.left, definition.right]) if s.kind == "advice"}


def _phases(circuit: Circuit) -> tuple[tuple[Phase, ...], Scalar]:
    y = Scalar("y")
    count = max(circuit.advice_phases) + 1
    phases = []
    for phase in range(count):
        columns = [i for i, p in enumerate(circuit.advice_phases) if p == phase]
        drawn = [c.name for c in circuit.challenges[phase]] if phase < len(circuit.challenges) else []
        if phase == count - 1:
            drawn.append(y.name)
        phases.append(Phase(columns[0], columns[-1] + 1, tuple(drawn)))
    return tuple(phases), y


def _opened(circuit: Circuit) -> tuple[Opened, ...]:
    rotations: dict[tuple[str, int], set[int]] = {("advice", i): {0} for i in range(len(circuit.advice_names))}
    for slot in ex.slots(gate.expression for gate in circuit.gates):
        if slot.kind != "selector":
            rotations.setdefault((slot.kind, slot.index), set()).add(slot.rotation)
    rank = {"advice": 0, "fixed": 1, "combination": 2}
    keys = sorted(rotations, key=lambda key: (rank[key[0]], key[1]))
    return tuple(Opened(kind, index, tuple(sorted(rotations[kind, index]))) for kind, index in keys)  # type: ignore[arg-type]


def _check(circuit: Circuit, last_row: int) -> None:  # noqa: PLR0912  # a list of refusals, each two lines
    """What keygen refuses: rows beyond the active ones, challenges used before they may be known, unused advice."""
    if last_row < 1:
        raise CircuitError(f"k = {circuit.k} leaves no active rows")
    for name, fixed in zip(circuit.fixed_names, circuit.fixed_columns, strict=True):
        if len(fixed.values) > (circuit.n if fixed.labels else last_row):
            raise CircuitError(
                f"fixed column {name} has {len(fixed.values)} rows; k = {circuit.k} has {last_row} active ones"
            )
    for a, a_rows, b, b_rows in circuit.copies:
        for column, rows in ((a, a_rows), (b, b_rows)):
            if len(rows) and not 0 <= rows.min() <= rows.max() < last_row:
                raise CircuitError(f"column {column.name}: a copied cell lies beyond the active rows")
    queried = set()
    for gate in circuit.gates:
        for slot in ex.slots([gate.expression]):
            queried.add((slot.kind, slot.index))
            if slot.rotation not in (0, 1):
                raise CircuitError(
                    f"gate {gate.name}: rotation {slot.rotation:+d} leaves the active rows; 0 and +1 stay inside"
                )
            if slot.rotation and gate.selector != ex.ACTIVE:
                raise CircuitError(f"gate {gate.name}: a rotation needs the selector active")
    defined = {d.column.index for d in circuit.definitions}
    for i, (name, phase) in enumerate(zip(circuit.advice_names, circuit.advice_phases, strict=True)):
        if ("advice", i) not in queried:
            raise CircuitError(f"advice column {name} is in no gate")
        if phase > 0 and i not in defined:
            raise CircuitError(f"advice column {name} of phase {phase} has no definition")
    drawn_after = {c.name: phase for phase, drawn in enumerate(circuit.challenges) for c in drawn}
    for d in circuit.definitions:
        for symbol in d.left.free_symbols | d.right.free_symbols:
            if isinstance(symbol, Scalar) and drawn_after.get(symbol.name, d.phase) >= d.phase:
                raise CircuitError(f"column {d.column.name} of phase {d.phase} uses {symbol.name}, known only after it")
