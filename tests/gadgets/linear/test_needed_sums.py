"""Each constraint of the linear check and of what joins it is needed: a forgery that it alone stops.

Forgeries mix two honest executions, for some inputs and for others: some cells are those of the others. And what a
recurrence defines is tried as if the prover chose it, where its first row or its steps are not held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pytest

from plonnx import _native
from plonnx.gadgets import Builder, Cells, Function
from plonnx.gadgets.function import apply
from plonnx.gadgets.linear.combination import combination
from plonnx.gadgets.linear.embedding import TABLE, embedded
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.shared import SharedWeights
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.linear.window import Term, window_sum
from plonnx.gadgets.quadratic import Quadratic
from plonnx.gadgets.unit import count_parts, range_name
from plonnx.plonk.circuit import Circuit, CircuitError
from plonnx.plonk.mock import Check, MockProver
from plonnx.plonk.multiplicities import multiplicities
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Witness
from tests.adversarial.subject import Subject, Unit
from tests.gadgets.search import COPIES, constraints, left_out
from tests.properties.models import Model, residual

SQUARE, BIAS = np.array([[1, -2], [2, 1]]), np.array([1, 2])
CHECK, ROW, IN_RANGE = "linear check", "a row of a matrix", "c0 is in [0, 4)"
UNIT = {"a0 + b0 is in [0, 4)", "a0 or b0 is zero", "e0 is zero", "a0 is in (-4, 4)"}  # tests/gadgets/test_unit.py


def private(builder: Builder, name: str, *shape: int) -> Cells:
    return builder.input(name, shape, public=False)


def dense(builder: Builder) -> Cells:
    return builder.linear(private(builder, "x", 2, 2), SQUARE, BIAS, "y")


def convolution(builder: Builder) -> Cells:
    kernel, taps = np.array([[[1, 2], [2, 1]]]), np.array([[0], [1]])
    return builder.convolution(private(builder, "x", 1, 3), kernel, taps, None, (3,), "y", 1)


def summed(builder: Builder) -> Cells:
    return builder.sum([(private(builder, "x", 2), 3), (private(builder, "z", 2), -2)], BIAS, "y")


def in_place(builder: Builder) -> Cells:
    made = builder.linear(private(builder, "x", 2, 2), SQUARE, None, "w")
    return combination(builder, [(made, 4), (private(builder, "z", 2, 2), 2)], "y")


def windows(builder: Builder) -> Cells:
    made = builder.linear(private(builder, "x", 2, 2), SQUARE, None, "w")
    terms = [Term(made, (1,), {(0,): 2}), Term(private(builder, "z", 2, 2), (1,), {(0,): 4})]
    return window_sum(builder, terms, (2,), "y")


def layer_and_sum(builder: Builder) -> Cells:
    return residual(builder, private(builder, "x", 2, 2), SQUARE, None, [(private(builder, "z", 2, 2), 2)], "y")


def steps(builder: Builder) -> Cells:
    layer = SharedWeights(builder, SQUARE, None, 2, 1, "y")
    return layer(layer(private(builder, "x", 1, 2)))


def product(builder: Builder) -> Cells:
    return matmul(builder, private(builder, "x", 1, 2, 2), private(builder, "z", 1, 2, 2), 1, "y")


def scaled(builder: Builder) -> Cells:
    return row_product(builder, private(builder, "x", 2, 2), private(builder, "z", 1, 2), 1, "y")


def squares(builder: Builder) -> Cells:
    made = builder.linear(private(builder, "x", 2, 2), SQUARE, None, "w")
    return square_sum(builder, made.transpose(), 1, "y")


def rows(builder: Builder) -> Cells:
    return embedded(builder, private(builder, "x", 2), np.array([[1, -1], [2, 0]]), "y")


def function(builder: Builder) -> Cells:
    return apply(builder, Function("f", -3, np.array([3, 1, 2, 0, -1, -2, 1])), dense(builder), "y", fuse=True)


def polynomial(builder: Builder) -> Cells:
    return apply(builder, Quadratic("p", -3, 3, 1, 2, 0), dense(builder), "y", fuse=True)


def public(builder: Builder) -> Cells:
    y = dense(builder)
    builder.output("out", y)
    return y


def public_parts(builder: Builder) -> Cells:
    y = dense(builder)
    builder.output("out", builder.relu(y, "r"))
    return y


LINEAR = (dense, convolution, summed, in_place, windows, layer_and_sum, product, scaled, squares)
KINDS = (*LINEAR, steps, rows, function, polynomial)
Kind = Callable[[Builder], Cells]


@dataclass(frozen=True)
class Forgery:
    """Cells of the execution for other inputs, but for the ones of these tensors (`own`: not for their copies).

    Then `changes` to the unit y[0]. The public values are those of the inputs.
    """

    kind: Kind
    stopped_by: str
    kept: tuple[str, ...] = ()
    own: bool = False
    changes: tuple[int, ...] = ()  # of a, b, c, e, d


FORGERIES = [
    *(Forgery(kind, CHECK, ("x", "z", "w")) for kind in KINDS if kind is not rows),
    *(Forgery(kind, COPIES, ("x",), own=True) for kind in (summed, steps, rows)),
    *(Forgery(kind, COPIES, ("x", "w"), own=True) for kind in (in_place, windows)),
    *(Forgery(kind, COPIES, ("x", "z"), own=True) for kind in (product, scaled)),
    Forgery(rows, ROW, ("x",)),
    *(Forgery(kind, IN_RANGE, ("x", "y", "z", "w"), changes=(1, 0, -4)) for kind in LINEAR),
    Forgery(function, "applies its function", ("x", "y"), changes=(0, 1, 0, 1)),
    Forgery(polynomial, "the polynomial", ("x", "y"), changes=(1, 0, 0, -1)),
    Forgery(polynomial, "d0 is in [0, 4)", ("x", "y"), changes=(1, 0, 0, -1, -4)),
    Forgery(public, "public values"),
    Forgery(public_parts, "public positive parts"),
]


def attacked(kind: Kind, parts: bool = True) -> Subject:
    builder = Builder(2)
    kind(builder)
    inputs = {x.name: 1 - np.arange(x.count).reshape(1, *x.shape) % 2 for x in builder.inputs}
    subject = Subject(Model(builder, inputs), 1, 1, parts=parts)
    assert subject.signed == (not parts and kind is not public_parts)
    return subject


def forged(subject: Subject, forgery: Forgery) -> Witness:
    others = {name: 1 - values for name, values in subject.case.model.inputs.items()}
    other = subject.stating(subject.builder.run(others))
    cells, honest = subject.cells(other), subject.cells(subject.honest)

    def stays(at: Unit) -> bool:
        return at.of.partition("[")[0] in forgery.kept and (not forgery.own or at == subject.unit(at.of))

    for at in filter(stays, subject.units[0]):
        cells[at.row, at.lane] = honest[at.row, at.lane]
    at = subject.unit("y[0]")
    for part, change in enumerate(forgery.changes):
        cells[at.row, at.lane, part] += change
    made = subject.witness(cells)
    if "x" in forgery.kept and not forgery.own:
        return made
    counts = {name: column for name, column in other.advice.items() if TABLE in name}
    return replace(made, advice={**made.advice, **counts})


@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f"{f.kind.__name__}-{f.stopped_by}")
def test_a_forgery_is_stopped_by_one_constraint(forgery: Forgery, parts: bool) -> None:
    """Of signed cells as well, where the forger has no b."""
    subject = attacked(forgery.kind, parts)
    assert subject.failures(subject.honest) == []
    witness = forged(subject, forgery)
    assert subject.failures(witness) != []
    without = subject.case.circuit()
    left_out(without, forgery.stopped_by)
    assert MockProver(without).failures(counted(without, subject, witness)) == []


def counted(without: Circuit, subject: Subject, witness: Witness) -> Witness:
    """The multiplicities of what a circuit of one lane still looks up, of the cells of a witness."""
    advice, cells = dict(witness.advice), subject.cells(witness)[:, 0]
    left = {lookup.name for lookup in without.lookups}
    ranged = {"c0": cells[:, 2], "d0": cells[:, -1], "a0 + b0": cells[:, 0] + cells[:, 1]}
    size = subject.size
    for table in without.tables:
        name = table.multiplicities[0].name
        if not any(lookup.table is table for lookup in without.lookups):
            advice[name] = 0 * advice[name]
        elif table.name == range_name(subject.size):
            there = [column for cell, column in ranged.items() if f"{cell} is in {table.name}" in left]
            found = [multiplicities(np.arange(size), there, size)]
            if subject.signed:
                found.append(multiplicities(np.arange(1 - size, size), [cells[:, 0] - cells[:, 1]], 2 * size - 1))
            for part, counts in enumerate(count_parts(np.concatenate(found), subject.active_rows)):
                advice[table.multiplicities[part].name] = counts
    return replace(witness, advice=advice)


@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_no_constraint_is_forgotten(kind: Kind, parts: bool) -> None:
    """All that a circuit has but its units' constraints and what recurrences define."""
    circuit = attacked(kind, parts).case.circuit()
    defined = {f"{d.column.name} {gate}" for d in circuit.definitions for gate in ("starts", "steps")}
    needed = {forgery.stopped_by for forgery in FORGERIES if forgery.kind is kind}
    assert constraints(circuit) - defined - UNIT - {IN_RANGE} == needed - {IN_RANGE}


# What recurrences define ---------------------------------------------------------------------------------------------


def integers(values: _native.Vec) -> list[int]:
    raw = values.to_bytes()
    return [int.from_bytes(raw[at : at + 32], "big") for at in range(0, len(raw), 32)]


def short(check: Check) -> int:
    """What the linear check lacks to be zero, in the field."""
    ((term,),) = ([term for name, term, _ in check.circuit.sums if name == CHECK],)
    return -sum(integers(check.run([term])[0])[: check.last_row]) % MODULUS


def freed(subject: Subject, column: str, gate: str) -> Circuit:
    """The circuit with a defined column that the prover chooses, without one of its gates, `starts` or `steps`."""
    circuit = subject.case.circuit()
    (definition,) = (d for d in circuit.definitions if d.column.name == column)
    circuit.definitions = tuple(d for d in circuit.definitions if d is not definition)
    circuit.free_columns |= {definition.column.index}
    left_out(circuit, f"{column} {gate}")
    return circuit


def chosen(subject: Subject, witness: Witness, column: str, gate: str) -> bool:
    """Whether some other filling of a defined column passes without one of its gates.

    It is sought along one line: another first row with the steps that follow from it, or another single row.
    """
    honest, other = MockProver(subject.case.circuit()).on(witness), MockProver(freed(subject, column, gate))
    assert honest.failures(1) != []
    (definition,) = (d for d in honest.circuit.definitions if d.column.name == column)
    held = integers(honest.column("advice", definition.column.index))
    lines = [[int(row == at) for row in range(len(held))] for at in range(1, honest.last_row)]
    if gate == "starts":
        factors = integers(honest.run([definition.parts[0]])[0])[: honest.last_row]
        lines = [list(accumulate([1, *factors], lambda before, factor: before * factor % MODULUS))]

    def tried(line: list[int], times: int) -> tuple[Check, bool]:
        values = _native.Vec.from_scalars([(v + times * d) % MODULUS for v, d in zip(held, line, strict=False)])

        def later(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
            return {**witness.later(phase, scalars), **({column: values} if phase == definition.phase else {})}

        check = other.on(replace(witness, later=later))
        check.scalars = honest.scalars
        return check, check.failures(1) == []

    wanted = short(honest)
    for line in lines:
        once, _ = tried(line, 1)
        gained = (wanted - short(once)) % MODULUS
        if gained and tried(line, wanted * pow(gained, -1, MODULUS))[1]:
            return True
    return False


@pytest.mark.parametrize(
    ("kind", "column", "gate"),
    [
        *((dense, name, "steps") for name in ("powers of chi", "weight sums", "input sums", "output sums")),
        (product, "weight sums", "steps"),
        *((scaled, name, "steps") for name in ("weight sums", "input sums", "powers of chi")),
        (layer_and_sum, "weight sums", "starts"),
        (product, "weight sums", "starts"),
        (summed, "powers of chi", "starts"),
    ],
)
def test_what_a_recurrence_defines_is_not_chosen(kind: Kind, column: str, gate: str) -> None:
    """Sums of inputs and of outputs start anew on a first row: where they start alone is not needed."""
    (forgery,) = (forgery for forgery in FORGERIES if (forgery.kind, forgery.stopped_by) == (kind, CHECK))
    subject = attacked(kind)
    assert chosen(subject, forged(subject, forgery), column, gate)


def test_sums_that_are_looked_up_are_not_chosen() -> None:
    """Such a circuit is refused: counts stand before what is chosen after phase 0."""
    with pytest.raises(CircuitError, match="what is chosen after phase 0 is not looked up"):
        freed(attacked(rows), "weight sums", "steps").finish()
