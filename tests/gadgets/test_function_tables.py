"""Functions as lookup tables, fused into what makes their argument or not, one or several: against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Function, OutOfRange, function
from plonnx.gadgets.unit import add_lanes, add_range_table
from plonnx.plonk.circuit import Circuit, Table
from plonnx.plonk.expression import Query
from tests.properties.models import Model, lay_out


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_functions_by_their_tables(functions: int, count: int, lanes: int, seed: int, fuse: bool) -> None:
    """Several in turn on one tensor, of random values and domains; the table may be longer than the rows."""
    random = np.random.default_rng(seed)
    builder = Builder(5)
    x = builder.input("x", (count,), public=False)
    values = random.integers(-31, 32, count)
    inputs, expected = {"x": values[None]}, values
    for number in range(functions):
        constant = random.integers(-99, 99, count)
        x = builder.sum([(x, 16)], constant, f"halves {number}")
        expected = (16 * expected + constant + 16) // 32
        f = Function(f"f{number}", x.low - int(random.integers(0, 9)), random.integers(-31, 32, x.high - x.low + 40))
        x = builder.apply(f, x, f"y{number}", fuse=fuse)
        expected = np.array([int(f.values[v - f.low]) for v in expected.tolist()])
    builder.output("y", x)
    assert builder.evaluate(inputs)["y"][0].tolist() == expected.tolist()
    assert len(builder.blocks) == 1 + functions * (1 if fuse else 2)
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []
    assert ("tag" in case.circuit().fixed_names) == (functions > 1)


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("value", [-5, -4, 0, 7, 8])
def test_the_ends_of_a_domain(value: int, fuse: bool) -> None:
    builder = Builder(5)
    x = builder.input("x", (1,))
    same = builder.sum([(x, 32)], None, "same")
    builder.output("y", builder.apply(Function("f", -4, np.arange(12)), same, "y", fuse=fuse))
    inputs = {"x": np.array([[value]])}
    if not -4 <= value <= 7:
        with pytest.raises(OutOfRange, match=rf"the value {value} is outside .*\(-4 <= v <= 7\)"):
            builder.run(inputs)
        return
    assert builder.evaluate(inputs)["y"].tolist() == [[value + 4]]
    case = lay_out(Model(builder, inputs), 1, 1)
    assert case.failures(case.witness()) == []


def test_entries_and_their_counts() -> None:
    one, other = Function("one", -1, np.array([5, 6, 7])), Function("other", 3, np.array([8, 9]))
    arguments, values, tags = function.entries([one, other])
    assert list(zip(arguments.tolist(), values.tolist(), tags.tolist(), strict=True)) == [
        (-1, 5, 0), (0, 6, 0), (1, 7, 0), (3, 8, 1), (4, 9, 1)
    ]  # fmt: skip
    counts = function.count([one, other], [np.array([1, 3, 1]), np.array([4])], [np.array([0, 1, 0]), np.array([1])], 3)
    assert [part.tolist() for part in counts] == [[0, 0, 2], [1, 1]]  # in parts of three rows


def rows_of(circuit: Circuit, table: Table, active_rows: int) -> set[tuple[int, ...]]:
    """What the table's columns hold on the active rows: zero beyond the values that a column was given."""

    def column(query: Query) -> np.ndarray:
        given = circuit.fixed_columns[query.slot.index].values
        return np.r_[given, np.zeros(active_rows - len(given), np.int64)]

    found: set[tuple[int, ...]] = set()
    for part in table.parts:
        queries = sorted({q for e in part for q in e.free_symbols}, key=str)
        for held in zip(*map(column, queries), strict=True):
            at = dict(zip(queries, held, strict=True))
            found.add(tuple(int(e.subs(at)) for e in part))
    return found


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 14)), min_size=1, max_size=4), st.integers(3, 12))
def test_no_row_of_a_table_is_made_up(domains: list[tuple[int, int]], active_rows: int) -> None:
    """However functions and parts end: a row (0, 0) or (0, 0, 0) that no function has would prove f(0) = 0."""
    circuit = Circuit(4)
    functions = [Function(f"f{i}", low, 7 + np.arange(count)) for i, (low, count) in enumerate(domains)]
    function.add(circuit, add_lanes(circuit, 1, 4, active_rows), functions, np.zeros(1), np.zeros(1), active_rows)
    arguments, values, tags = (column.tolist() for column in function.entries(functions))
    entries = zip(arguments, values, tags, strict=True) if len(domains) > 1 else zip(arguments, values, strict=True)
    assert rows_of(circuit, circuit.tables[1], active_rows) == set(entries)
    assert min(values) > 0


@pytest.mark.parametrize("active_rows", range(3, 18))
def test_a_range_table_holds_the_range_alone(active_rows: int) -> None:
    circuit = Circuit(5)
    assert rows_of(circuit, add_range_table(circuit, 16, active_rows), active_rows) == {(x,) for x in range(16)}
