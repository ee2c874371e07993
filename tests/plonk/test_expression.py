"""Expressions: degrees by hand, and programs against direct substitution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from plonnx._native import Vec
from plonnx.plonk.expression import (
    ACTIVE,
    FIRST,
    LAST,
    Column,
    Gate,
    Scalar,
    X,
    compile_gates,
    compile_program,
    degree,
    gate_degree,
    slots,
)
from plonnx.plonk.program import MODULUS, MUL, Slot

A, B, F = Column("advice", 0, "a"), Column("advice", 1, "b"), Column("fixed", 0, "f")
CHI, PSI, Y = Scalar("chi"), Scalar("psi"), Scalar("y")
LEAVES: list[sympy.Expr] = [A(), A(1), B(), F(), X, ACTIVE, CHI, PSI]

leaves: st.SearchStrategy[Any] = st.sampled_from(LEAVES) | st.integers(-(2**70), 2**70).map(sympy.Integer)
expressions: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.builds(lambda a, b: a + b, inner, inner)
        | st.builds(lambda a, b: a - b, inner, inner)
        | st.builds(lambda a, b: a * b, inner, inner)
        | st.builds(lambda a, e: a**e, inner, st.integers(0, 5))
    ),
    max_leaves=12,
)
elements = st.integers(0, MODULUS - 1)
points: st.SearchStrategy[dict[Any, int]] = st.fixed_dictionaries(dict.fromkeys([*LEAVES, FIRST, LAST], elements))


def substitute(expression: sympy.Expr, point: dict[Any, int]) -> int:
    """The value by sympy's own arithmetic over the integers."""
    return int(sympy.sympify(expression).xreplace({s: sympy.Integer(v) for s, v in point.items()})) % MODULUS


def run(program: Any, point: dict[Any, int]) -> list[int]:
    values = {leaf.slot: value for leaf, value in point.items() if not isinstance(leaf, Scalar)}
    scalars = {leaf.name: value for leaf, value in point.items() if isinstance(leaf, Scalar)}
    outputs: list[int] = program.run_point(values.__getitem__, scalars)
    return [value % MODULUS for value in outputs]


@given(st.lists(expressions, min_size=1, max_size=3), points)
def test_a_program_computes_its_expressions(many: list[Any], point: dict[Any, int]) -> None:
    assert run(compile_program(many), point) == [substitute(e, point) for e in many]


@given(
    st.lists(st.tuples(expressions, st.sampled_from([None, ACTIVE, FIRST, LAST])), min_size=1, max_size=5),
    points,
    elements,
)
def test_the_gates_fold_with_powers_of_y(many: list[tuple[Any, Any]], point: dict[Any, int], y: int) -> None:
    gates = [Gate(str(i), selector, sympy.sympify(e)) for i, (e, selector) in enumerate(many)]
    ordered = [g for s in (None, ACTIVE, FIRST, LAST) for g in gates if g.selector == s]
    expected = 0
    for gate in ordered:
        value = substitute(gate.expression, point) * (1 if gate.selector is None else point[gate.selector])
        expected = (expected * y + value) % MODULUS
    assert run(compile_gates(gates, Y), point | {Y: y}) == [expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (A() * B(), 30),
        (A() + B() * B() * F(), 45),
        (A(1) ** 3 - A(), 45),
        (X * A(), 16),
        (X**2, 2),
        (ACTIVE, 4),
        (FIRST, 15),
        (CHI * PSI + 3, 0),
        (CHI**5 * A() - PSI, 15),
    ],
)
def test_degrees_at_n_16_with_4_blinding_rows(expression: sympy.Expr, expected: int) -> None:
    assert degree(expression, 16, 4) == expected


def test_the_selector_counts_towards_a_gates_degree() -> None:
    assert gate_degree(Gate("g", ACTIVE, A() * B()), 16, 4) == 34
    assert gate_degree(Gate("g", LAST, A()), 16, 4) == 30
    assert gate_degree(Gate("g", None, A()), 16, 4) == 15


def test_equal_subexpressions_are_computed_once() -> None:
    product = (A() + CHI) * (B() + CHI)
    program = compile_program([product, product + F(), (product + F()) ** 2])
    assert sum(1 for code, _, _ in program.ops.tolist() if code == MUL) == 2


def test_outputs_may_be_columns_and_come_more_than_once() -> None:
    """Each is a vector of its own: who writes into one changes no other, and no column."""
    program = compile_program([F(), A() + F(), F(), A(1), sympy.Integer(1), A() + F(), sympy.Integer(1)])
    columns = {("advice", A.index): [1, 2, 3, 4], ("fixed", F.index): [5, 6, 7, 8]}
    vectors = {key: Vec.from_ints(np.array(held)) for key, held in columns.items()}
    made = program.run_columns(vectors, {})
    expected = [[5, 6, 7, 8], [6, 8, 10, 12], [5, 6, 7, 8], [2, 3, 4, 1], [1] * 4, [6, 8, 10, 12], [1] * 4]
    for i in range(len(made)):
        assert [[vector[row] for row in range(4)] for vector in made[i:]] == expected[i:]
        made[i].write_(0, Vec.from_ints(np.array([99])))
    assert [[vectors[key][row] for row in range(4)] for key in columns] == list(columns.values())
    (alone,) = compile_program([F()]).run_columns({("fixed", F.index): vectors["fixed", F.index]}, {})
    assert alone[3] == 8


def test_outputs_at_points_may_be_what_a_slot_reads() -> None:
    """As on rows: a gate of a key that anyone made may be a column alone."""
    program = compile_program([F(), A(1) + F(), A(1)])
    values = {slot: Vec.from_ints(np.array([slot.rotation + 1, slot.index])) for slot in program.slots}
    made = program.run_slots(values, {})
    assert [[vector[row] for row in range(2)] for vector in made] == [
        [1, F.index],
        [3, A.index + F.index],
        [2, A.index],
    ]


def test_slots_are_the_queried_ones_in_order() -> None:
    assert slots([B() + A(1), CHI * A()]) == [Slot("advice", 0, 0), Slot("advice", 0, 1), Slot("advice", 1, 0)]


def test_a_formula_names_the_columns_rotations_and_selector() -> None:
    assert Gate("g", ACTIVE, A(1) - B()).formula == "active * (a[+1] - b) = 0"
    assert Gate("g", None, A()).formula == "a = 0"


@pytest.mark.parametrize("expression", [A() ** -1, A() / B(), sympy.sqrt(A()), 2 ** A()])
def test_what_is_no_polynomial_is_refused(expression: sympy.Expr) -> None:
    with pytest.raises(ValueError, match=r"exponents are polynomials|no column, challenge or constant"):
        compile_program([expression])
    if expression != 2 ** A():
        with pytest.raises(ValueError, match="power"):
            degree(expression, 16, 4)


def test_a_symbol_that_is_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match="no column, challenge or constant"):
        compile_program([A() + sympy.Symbol("z")])


def test_columns_of_one_name_stay_apart() -> None:
    """sympy keeps one symbol a name; a gate between two columns named alike must not cancel, nor one circuit's query
    move to another circuit's column."""
    first, second = Column("advice", 3, "same"), Column("fixed", 5, "same")
    one, other = first(), second()
    assert one != other
    assert one - other != 0
    assert (one.slot, other.slot) == (Slot("advice", 3, 0), Slot("fixed", 5, 0))
    assert run(compile_program([one - other]), {one: 7, other: 2}) == [5]
    assert first() == one
    assert hash(first()) == hash(one)
    assert Column("advice", 0, "X")() != X
