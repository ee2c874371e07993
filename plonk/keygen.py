"""Keygen: a circuit becomes a verifying key and a proving key. Uses sympy; refuses what cannot be sound."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import sympy

from plonnx.kzg.srs import SRS, Rows
from plonnx.kzg.wording import option
from plonnx.plonk import expression as ex
from plonnx.plonk.circuit import Circuit, CircuitError, Definition
from plonnx.plonk.expression import Column, Gate, Scalar
from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, FixedColumn, Gates, Level, Phase, ProvingKey, VerifyingKey
from plonnx.plonk.program import INVERSE_PSI
from plonnx.plonk.prover import Rng, Share, unheard
from plonnx.plonk.structure import Structure, blinding_rows, by_cosets
from plonnx.plonk.structure import of as structure_of

_CELLS_AT_ONCE = 1 << 24  # of columns that are committed in one call: small ones share the cores
HELD_BYTES = 1 << 27  # of the columns that a program of gates reads, where one gate does not read more
FILLED_BYTES = 1 << 25  # of what a program of defined columns gives, where one column does not take more


def keygen(
    circuit: Circuit, srs: SRS, circuit_digest: bytes = b"", rng: Rng = os.urandom, share: Share = unheard
) -> ProvingKey:
    """The keys of a circuit; `rng` blinds its hidden columns. CircuitError for what is refused.

    share: is told which share of the fixed columns is committed.
    """
    structure = _checked(circuit, srs)
    fixed = tuple(
        replace(column, blinding=rng(64 * structure.blinding)) if i in circuit.hidden else column
        for i, column in enumerate(circuit.fixed_columns)
    )
    with ThreadPoolExecutor(1) as beside:  # columns become runs on one core: beside the sums, which leave some idle
        held = beside.submit(lambda: tuple(replace(column, values=column.runs) for column in fixed))
        vk = _verifying_key(circuit, srs, structure, fixed, structure.fixed_members, share)
        programs = compile_by_degree(circuit, _phases(circuit)[1], structure.blinding, structure.masked)
        return ProvingKey(vk, programs, held.result(), compile_levels(circuit), _chosen(circuit), circuit_digest)


def public_part(circuit: Circuit, srs: SRS) -> VerifyingKey:
    """The verifying key of a circuit with zeros for the commitments of its hidden columns, whose values do not matter.

    It is `VerifyingKey.public_part` of every key of this circuit. CircuitError for what is refused.
    """
    structure = _checked(circuit, srs)
    shown = [members for members in structure.fixed_members if members[0] not in circuit.hidden]
    return _verifying_key(circuit, srs, structure, circuit.fixed_columns, shown)


def _checked(circuit: Circuit, srs: SRS) -> Structure:
    """The structure of a circuit that can be sound, and that the SRS carries."""
    circuit.finish()
    _check(circuit, circuit.n - blinding_rows(circuit))
    needed = circuit.n * circuit.packing
    if srs.size < needed:
        raise ValueError(
            f"the SRS ({srs.name}) holds {srs.size} powers; this circuit needs {needed}:"
            f" give a larger one as {option('srs')}"
        )
    return structure_of(circuit)


def _verifying_key(
    circuit: Circuit,
    srs: SRS,
    structure: Structure,
    fixed: Sequence[FixedColumn],
    committed: Sequence[tuple[int, ...]],
    share: Share = unheard,
) -> VerifyingKey:
    """The verifying key; of the fixed polynomials only the first, `committed`, are committed."""
    phases, y = _phases(circuit)
    gates = circuit.gates if circuit.packing == 1 else spell_out(circuit, structure.masked)
    commitments = commit_fixed(circuit, fixed, committed, srs, share)
    missing = len(structure.fixed_members) - len(commitments)
    return VerifyingKey(
        k=circuit.k,
        last_row=circuit.n - structure.blinding,
        phases=phases,
        pieces=structure.pieces,
        combinations=tuple(circuit.combinations),
        masked=structure.masked,
        packing=circuit.packing,
        opened=structure.opened,
        fixed_members=structure.fixed_members,
        program=ex.compile_gates(gates, y),
        instances=tuple(circuit.instances),
        tensors=tuple(circuit.tensors),
        public_bytes=circuit.public_bytes,
        fixed_commitments=(*commitments, *[bytes(G1_BYTES)] * missing),
        hidden_bits=tuple(circuit.hidden[index] for index in sorted(circuit.hidden)),
        tau_g2=srs.tau_g2,
        model=circuit.name,
    )


def _chosen(circuit: Circuit) -> tuple[str, ...]:
    """The names of the columns that a witness fills: those of phase 0, then the free ones."""
    names = [
        name
        for i, (name, phase) in enumerate(zip(circuit.advice_names, circuit.advice_phases, strict=True))
        if phase == 0 or i in circuit.free_columns
    ]
    if len(set(names)) < len(names):
        raise CircuitError(f"two advice columns are called {next(name for name in names if names.count(name) > 1)}")
    return tuple(names)


def compile_by_degree(circuit: Circuit, y: Scalar, blinding: int, masked: Sequence[int]) -> tuple[Gates, ...]:
    """The gates' programs, each with the cosets, and the coefficients beyond, that its part of the quotient takes."""
    by_size: dict[int, list[tuple[int, tuple[int, Gate]]]] = {}
    for exponent, gate in enumerate(reversed(ex.ordered(circuit.gates))):
        degree = ex.gate_degree(gate, circuit.n, blinding, masked)
        cosets, rest = by_cosets(degree - circuit.n + 1, circuit.n)
        by_size.setdefault(cosets, []).append((rest, (exponent, gate)))
    return tuple(
        Gates(cosets, max(rest for rest, _ in held), ex.compile_weighted(some, y))
        for cosets, held in sorted(by_size.items())
        for some in few_columns([pair for _, pair in held], HELD_BYTES // (SCALAR_BYTES * circuit.n))
    )


def few_columns(gates: Sequence[tuple[int, Gate]], most: int) -> Iterator[list[tuple[int, Gate]]]:
    """The gates in groups of at most `most` columns each, or of one gate: what the prover holds at once.

    A group grows by the gate that adds the fewest columns to it.
    """
    read = {exponent: {slot[:2] for slot in ex.slots(_parts(gate))} for exponent, gate in gates}
    left = list(gates)
    while left:
        group = [left.pop(0)]
        held = set(read[group[0][0]])
        while left:
            added, at = min((len(read[exponent] - held), at) for at, (exponent, _) in enumerate(left))
            if added and len(held) + added > most:
                break
            held |= read[left[at][0]]
            group.append(left.pop(at))
        yield group


def _parts(gate: Gate) -> list[sympy.Expr]:
    return [gate.expression] if gate.selector is None else [gate.expression, gate.selector]


def commit_fixed(
    circuit: Circuit,
    fixed: Sequence[FixedColumn],
    members: Sequence[Sequence[int]],
    srs: SRS,
    share: Share = unheard,
) -> list[bytes]:
    """The commitments of fixed columns, of those that are packed together each one; some columns at a time."""
    made: list[bytes] = []
    step = max(1, _CELLS_AT_ONCE // (circuit.n * circuit.packing))
    for start in range(0, len(members), step):
        some = members[start : start + step]
        made += srs.commit_rows(circuit.k, [_fixed_rows(circuit, fixed, packed) for packed in some])
        share(len(made) / len(members))
    return made


def _fixed_rows(circuit: Circuit, fixed: Sequence[FixedColumn], members: Sequence[int]) -> list[Rows]:
    hidden = members[0] in circuit.hidden
    packing = 1 if hidden else circuit.packing
    return [
        Rows(
            np.asarray(fixed[i].values) if fixed[i].is_integer and not hidden else fixed[i].field(circuit.n),
            0,
            packing,
            place,
        )
        for place, i in enumerate(members)
    ]


def spell_out(circuit: Circuit, masked: Sequence[int]) -> list[Gate]:
    """The gates with every unmasked combination written as its sum over fixed columns, opened one by one."""
    scalars = {c.name: c for drawn in circuit.challenges for c in drawn} | {INVERSE_PSI: Scalar(INVERSE_PSI)}
    sums: dict[sympy.Expr, sympy.Expr] = {}
    for i, combination in enumerate(circuit.combinations):
        if i not in masked:
            terms = []
            for column, monomial in combination.terms:
                query = Column("fixed", column, circuit.fixed_names[column])()
                terms.append(sympy.prod([*(scalars[name] ** e for name, e in monomial), query]))
            sums[Column("combination", i, circuit.combination_names[i])()] = sympy.Add(*terms)
    return [replace(gate, expression=gate.expression.xreplace(sums)) for gate in circuit.gates]


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
            for some in _few_parts(ready, FILLED_BYTES // (SCALAR_BYTES * circuit.n)):
                outputs = [sympy.sympify(e) for d in some for e in d.parts]
                columns = tuple((d.column.index, d.kind, d.number) for d in some)
                levels.append(Level(ex.compile_program(outputs), columns))
            pending = [d for d in pending if d not in ready]
        phases.append(tuple(levels))
    return tuple(phases)


def _few_parts(definitions: Sequence[Definition], most: int) -> Iterator[list[Definition]]:
    """The definitions, in their order, in groups of at most `most` parts to compute, or of one definition."""
    group: list[Definition] = []
    held: set[sympy.Expr] = set()
    for definition in definitions:
        own = {part for part in definition.parts if not isinstance(part, ex.Query) and not part.is_number}
        if group and len(held | own) > most:
            yield group
            group, held = [], set()
        group.append(definition)
        held |= own
    yield group


def _reads(definition: Definition) -> set[int]:
    return {s.index for s in ex.slots(definition.parts) if s.kind == "advice"}


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


def _check(circuit: Circuit, last_row: int) -> None:  # noqa: PLR0912  # a list of refusals, each two lines
    """What keygen refuses: rows beyond the active ones, challenges used before they may be known, unused advice."""
    if last_row < 1:
        raise CircuitError(f"k = {circuit.k} leaves no active rows")
    if circuit.active_rows not in (None, last_row):
        raise CircuitError(f"the circuit is laid out for {circuit.active_rows} active rows; it has {last_row}")
    for name, fixed in zip(circuit.fixed_names, circuit.fixed_columns, strict=True):
        if len(fixed.values) > (circuit.n if fixed.labels else last_row):
            raise CircuitError(
                f"fixed column {name} has {len(fixed.values)} rows; k = {circuit.k} has {last_row} active ones"
            )
    for a, a_rows, b, b_rows in circuit.copies:
        for view, rows in ((a, a_rows), (b, b_rows)):
            if len(rows) and not 0 <= rows.min() <= rows.max() < last_row:
                raise CircuitError(f"column {view}: a copied cell lies beyond the active rows")
    queried = set()
    for gate in circuit.gates:
        for slot in ex.slots([gate.expression]):
            queried.add((slot.kind, slot.index))
            if slot.kind == "fixed" and slot.index in circuit.hidden:
                raise CircuitError(
                    f"gate {gate.name}: hidden column {circuit.fixed_names[slot.index]} needs a combination"
                )
            if slot.kind != "advice" and slot.rotation:
                raise CircuitError(f"gate {gate.name}: only advice columns can be queried on the next row")
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
        if phase > 0 and i not in defined | circuit.free_columns:
            raise CircuitError(f"advice column {name} of phase {phase} has no definition")
    drawn_after = {c.name: phase for phase, drawn in enumerate(circuit.challenges) for c in drawn}
    for d in circuit.definitions:
        for symbol in set().union(*(part.free_symbols for part in d.parts)):
            if isinstance(symbol, Scalar) and drawn_after.get(symbol.name, d.phase) >= d.phase:
                raise CircuitError(f"column {d.column.name} of phase {d.phase} uses {symbol.name}, known only after it")
    _check_hidden(circuit)
    _check_numerators(circuit)
    _check_denominators(circuit)
    _check_public(circuit)


def _check_hidden(circuit: Circuit) -> None:
    """A combination is of hidden columns or of shown ones: shown ones may be packed, and are in no registration.

    A hidden column is in some combination: the key knows it by that (VerifyingKey.hidden_columns).
    """
    used = {column for combination in circuit.combinations for column, _ in combination.terms}
    for index in circuit.hidden:
        if index not in used:
            raise CircuitError(f"hidden column {circuit.fixed_names[index]} is in no combination")
    for name, combination in zip(circuit.combination_names, circuit.combinations, strict=True):
        if len({column in circuit.hidden for column, _ in combination.terms}) > 1:
            raise CircuitError(f"combination {name} mixes hidden and shown columns")


def _check_numerators(circuit: Circuit) -> None:
    """A lookup is on or off: other numerators would let terms cancel."""
    for lookup in circuit.lookups:
        if lookup.numerator == 1:
            continue
        column = circuit.fixed_columns[lookup.numerator.slot.index] if isinstance(lookup.numerator, ex.Query) else None
        if column is None or not column.is_integer or not np.isin(np.asarray(column.values), (0, 1)).all():
            raise CircuitError(f"lookup {lookup.name}: its numerator must be 1 or a fixed column of zeros and ones")


def _check_denominators(circuit: Circuit) -> None:
    """A ratio is free where both parts are zero: a challenge in the denominator makes that negligible."""
    for d in circuit.definitions:
        factors = (factor for part in d.parts[1::2] for factor in sympy.Mul.make_args(part))
        if d.kind != "recurrence" and not all(map(_never_zero, factors)):
            raise CircuitError(
                f"{d.kind} {d.column.name}: its denominator holds no challenge, the prover could make it zero"
            )


def _never_zero(factor: sympy.Expr) -> bool:
    """Whether a factor is no zero polynomial in its challenges, whatever the columns: one coefficient is a constant."""
    scalars = [s for s in factor.free_symbols if isinstance(s, Scalar)]
    coefficients: dict[sympy.Expr, sympy.Expr] = {}
    for term in sympy.Add.make_args(sympy.expand(factor)):
        coefficient, monomial = term.as_independent(*scalars, as_Add=False)
        coefficients[monomial] = coefficients.get(monomial, 0) + coefficient
    return any(sum_.is_number and sum_ != 0 for sum_ in coefficients.values())


def _check_public(circuit: Circuit) -> None:
    """Every public byte is tied to the circuit by an instance column that a gate uses."""
    tied = np.zeros(circuit.public_bytes, bool)
    used = {s.name for gate in circuit.gates for s in gate.expression.free_symbols if isinstance(s, Scalar)}
    for column in circuit.instances:
        if column.name not in used:
            raise CircuitError(f"instance column {column.name} is in no gate: its public values would be unchecked")
        for run in column.runs:
            if run.offset + run.count * run.width > circuit.public_bytes:
                raise CircuitError(
                    f"instance column {column.name} reads beyond the {circuit.public_bytes} public bytes"
                )
            held = tied[run.offset : run.offset + run.count * run.width]
            if held.any():
                raise CircuitError(f"instance column {column.name} holds a public byte that is in another run, too")
            held[:] = True
    if not tied.all():
        raise CircuitError(
            f"public byte {int(np.argmin(tied))} is in no instance column: a proof would show it unchecked"
        )
