"""Functions as lookup tables, fused into what makes their argument or not, one or several: against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Function, OutOfRange, function
from plonnx.gadgets.function import apply
from plonnx.gadgets.linear.equation import Equation
from tests.gadgets.drawn import BITS, FEW, evaluated, rounded
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
        x = apply(builder, f, x, f"y{number}", fuse=fuse)
        expected = np.array([int(f.values[v - f.low]) for v in expected.tolist()])
    builder.output("y", x)
    assert builder.evaluate(inputs)["y"][0].tolist() == expected.tolist()
    assert len(builder.blocks) == 1 + functions * (1 if fuse else 2)
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []
    assert ("tag" in case.circuit().aliases) == (functions > 1)


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("value", [-5, -4, 0, 7, 8])
def test_the_ends_of_a_domain(value: int, fuse: bool) -> None:
    builder = Builder(5)
    x = builder.input("x", (1,))
    same = builder.sum([(x, 32)], None, "same")
    builder.output("y", apply(builder, Function("f", -4, np.arange(12)), same, "y", fuse=fuse))
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
    (part,) = function.table_parts([one, other], 7, 32)
    assert list(zip(part.arguments.tolist(), part.values.tolist(), part.tags.tolist(), strict=True)) == [
        (-1, 5, 0), (0, 6, 0), (1, 7, 0), (3, 8, 1), (4, 9, 1), (5, 32, 1), (6, 32, 1)
    ]  # fmt: skip
    counts = function.count([one, other], [np.array([1, 3, 1]), np.array([4])], [np.array([0, 1, 0]), np.array([1])], 3)
    assert [part.tolist() for part in counts] == [[0, 0, 2], [1, 1]]  # in parts of three rows


@FEW
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 30)), min_size=1, max_size=7), st.integers(3, 40))
def test_every_entry_stands_once_in_few_parts(domains: list[tuple[int, int]], active_rows: int) -> None:
    """Arguments are on the line that a part says; where no function has a value there is none that a unit shows."""
    functions = [Function(str(i), low, np.arange(length) - 9) for i, (low, length) in enumerate(domains)]
    parts = list(function.table_parts(functions, active_rows, 32))
    assert len(parts) == -(-sum(length for _, length in domains) // active_rows)
    found: list[tuple[int, int, int]] = []
    for part in parts:
        assert len(part.arguments) == len(part.values) == len(part.tags) == active_rows
        found += list(zip(part.tags.tolist(), part.arguments.tolist(), part.values.tolist(), strict=True))
        if part.slope is not None:
            line = part.arguments[0] + np.arange(active_rows) + part.slope * (part.tags - part.tags[0])
            assert line.tolist() == part.arguments.tolist()
        held = [domains[tag] for tag in range(part.tags[0], part.tags[-1] + 1)]
        assert part.slope is not None or (len(held) > 2 and len(set(held)) > 1)
    shown = [(number, low + i, i - 9) for number, (low, length) in enumerate(domains) for i in range(length)]
    assert sorted(row for row in found if abs(row[2]) < 32) == shown
    taken = [np.array([x for _, x, _ in shown])]
    counts = function.count(functions, taken, [np.array([tag for tag, _, _ in shown])], active_rows)
    assert len(counts) == len(parts)
    for part, counted in zip(parts, counts, strict=True):
        assert counted.tolist() == (np.abs(part.values) < 32).astype(int).tolist()[: len(counted)]
        assert np.all(part.values[len(counted) :] == 32)


@pytest.mark.parametrize("domains", [[(-9, 19), (-4, 9)], [(-9, 19), (-9, 19), (-9, 19)]])
def test_a_table_without_a_column_of_arguments(domains: list[tuple[int, int]]) -> None:
    """Of two functions, or of equal domains: row numbers, values and tags. No other value passes."""
    builder = Builder(5)
    x = builder.input("x", (len(domains),))
    for i, (low, length) in enumerate(domains):
        builder.output(
            f"y{i}", apply(builder, Function(f"f{i}", low, np.arange(length) % 7 + i), x[i : i + 1], f"y{i}")
        )
    case = lay_out(Model(builder, {"x": np.array([[3] * len(domains)])}), 1, 1)
    assert case.failures(case.witness()) == []
    names = case.circuit().fixed_names
    assert "x of functions" not in names and {"row", "t of functions", "y of functions"} <= set(names)


@FEW
@given(BITS, st.data())
def test_a_table_is_its_function(bits: int, data: st.DataObject) -> None:
    size = 1 << bits
    low = data.draw(st.integers(1 - size, size - 1))
    high = data.draw(st.integers(low, size - 1))
    values = data.draw(st.lists(st.integers(1 - size, size - 1), min_size=high - low + 1, max_size=high - low + 1))
    x = data.draw(st.lists(st.integers(low, high), min_size=1, max_size=5))
    builder = Builder(bits)
    made = apply(builder, Function("f", low, np.array(values)), builder.input("x", (len(x),)), "y")
    assert (made.low, made.high) == (min(values), max(values))
    assert evaluated(builder, made, x=x) == [values[each - low] for each in x]


def test_an_argument_outside_the_domain_is_named() -> None:
    builder = Builder(8)
    apply(builder, Function("root", 0, np.arange(20)), builder.input("x", (1,)), "y")
    with pytest.raises(OutOfRange, match=r"tensor y: the value -1 is outside the calibrated range \(0 <= v <= 19\)"):
        builder.run({"x": np.array([[-1]])})


@FEW
@given(BITS, st.integers(-50, 50), st.data())
def test_a_function_joins_the_sum_before_it(bits: int, factor: int, data: st.DataObject) -> None:
    """Same values as apart, no unit more, and the sum's own values are gone."""
    size = 1 << bits
    x = data.draw(st.lists(st.integers(1 - size, size - 1), min_size=1, max_size=5))
    expected = [rounded(factor * each, size) for each in x]
    table = Function("f", 1 - size, np.arange(1 - size, size)[::-1].copy())
    for fuse in (False, True):
        builder = Builder(bits)
        total = builder.sum([(builder.input("x", (len(x),)), factor)], None, "s")
        if max(map(abs, expected)) >= size:
            return
        assert builder.makes(total)
        made = apply(builder, table, total, "y", fuse=fuse)
        assert not fuse or not builder.makes(made)
        assert evaluated(builder, made, x=x) == [-each for each in expected]
        assert builder.unit_count == len(x) * (2 if fuse else 3)
        assert ("s" in builder.named) is not fuse


def test_only_a_whole_layer_is_joined() -> None:
    """A part of it, a view of positive parts, and a layer with a function stay apart."""
    table = Function("f", -15, np.arange(-15, 16))
    builder = Builder(4)
    total = builder.sum([(builder.input("x", (4,)), 8)], None, "s")
    for cells in (total[:2], builder.relu(total, "r"), Cells.concatenate([total, total], 0)):
        assert not builder.makes(cells)
        apply(builder, table, cells, "y", fuse=True)
    assert builder.makes(total.reshape(2, 2).transpose((1, 0)))
    assert all(block.function is None for block in builder.blocks if isinstance(block, Equation))
