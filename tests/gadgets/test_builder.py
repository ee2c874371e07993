"""The one definition of the integer arithmetic against plain Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, OutOfRange, Overflow
from plonnx.gadgets.builder import LIMIT
from tests.gadgets.drawn import BITS, FEW, evaluated


def test_a_relu_is_a_view() -> None:
    builder = Builder(5)
    x = builder.input("x", (5,))
    y = builder.relu(x, "y")
    assert builder.unit_count == 5
    assert (y.low, y.high) == (0, 31)
    done = builder.run({"x": np.array([[-31, -1, 0, 1, 31]])})
    assert builder.read(done, y).tolist() == [[0, 0, 0, 1, 31]]
    assert builder.read(done, builder.relu(y, "again")).tolist() == [[0, 0, 0, 1, 31]]
    assert builder.read(done, x).tolist() == [[-31, -1, 0, 1, 31]]


@pytest.mark.parametrize("cells", [1 << 23, 28, 1])
def test_samples_are_run_together(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one batch, a few, or each alone."""
    monkeypatch.setattr("plonnx.gadgets.builder._BATCH_CELLS", cells)
    builder = Builder(6)
    x = builder.input("x", (2, 3))
    builder.output("y", builder.linear(x, np.arange(6).reshape(3, 2), np.array([100, -100]), "y"))
    samples = np.random.default_rng(0).integers(-63, 63, (7, 2, 3))
    together = builder.evaluate({"x": samples})["y"]
    assert len(list(builder.batches({"x": samples}))) == {1 << 23: 1, 28: 4, 1: 7}[cells]
    for i in range(7):
        np.testing.assert_array_equal(together[i], builder.evaluate({"x": samples[i : i + 1]})["y"][0])


def test_every_named_tensor_can_be_read() -> None:
    builder = Builder(6)
    x = builder.input("x", (1, 2))
    y = builder.linear(x, np.array([[64], [-64]]), None, "y")
    builder.relu(y, "z")
    (read,) = builder.batches({"x": np.array([[[3, 10]]])})
    found = {name: read(cells)[0].tolist() for name, cells in builder.named.items()}
    assert found == {
        "x": [[3, 10]],
        "y": [[-7]],
        "z": [[0]],
    }


@pytest.mark.parametrize("value", [16, -16, 1 << 40])
def test_an_input_out_of_range_is_named(value: int) -> None:
    builder = Builder(4)
    builder.input("x", (2,))
    with pytest.raises(OutOfRange, match=rf"tensor x: the value {value} is outside .*<= 15") as caught:
        builder.run({"x": np.array([[0, value]])})
    assert (caught.value.tensor, caught.value.value, caught.value.low, caught.value.high) == ("x", value, -15, 15)


def test_a_missing_input() -> None:
    builder = Builder(4)
    builder.input("x", (1,))
    builder.input("z", (1,))
    with pytest.raises(KeyError, match="z"):
        builder.run({"x": np.array([[0]])})


@given(st.integers(1, 20), st.integers(0, 62), st.integers(0, 62))
def test_overflow_is_refused_exactly_where_a_sum_could_leave_62_bits(bits: int, weight: int, bias: int) -> None:
    """The interval holds |sum| + T < 2^62, so that y + T/2 and T v + c stay in int64 and far below r/2."""
    bound = (1 << weight) * ((1 << bits) - 1) + (1 << bias)
    assume(not LIMIT * 0.999 < bound + (1 << bits) < LIMIT * 1.001)  # the bound is a float, rounded either way
    refused = bound + (1 << bits) >= LIMIT

    def linear() -> Cells:
        builder = Builder(bits)
        return builder.linear(builder.input("x", (1, 1)), np.array([[-(1 << weight)]]), np.array([1 << bias]), "y")

    def summed() -> Cells:
        builder = Builder(bits)
        return builder.sum([(builder.input("x", (1,)), 1 << weight)], np.array([-(1 << bias)]), "y")

    for make in (linear, summed):
        if refused:
            with pytest.raises(Overflow, match="y: its exact sum can reach"):
                make()
        else:
            make()


def test_the_interval_of_a_relu_counts_towards_overflow() -> None:
    builder = Builder(4)
    wide = Cells(builder.input("x", (1, 1)).refs, -(1 << 60), 3)
    with pytest.raises(Overflow):
        builder.linear(wide, np.array([[8]]), None, "y")
    builder.linear(builder.relu(wide, "positive"), np.array([[8]]), None, "y")


def test_zero_constants_and_biases_are_dropped() -> None:
    builder = Builder(4)
    x = builder.input("x", (1, 2))
    builder.linear(x, np.ones((2, 2), np.int64), np.zeros(2, np.int64), "y")
    builder.sum([(x, 1)], np.zeros((1, 2), np.int64), "z")
    assert builder.blocks[1].bias is None  # type: ignore[attr-defined]
    assert builder.blocks[2].constant is None  # type: ignore[attr-defined]


@FEW
@given(BITS, st.data())
def test_intervals_hold_every_value(bits: int, data: st.DataObject) -> None:
    """And are attained by a sum: signs count."""
    size = 1 << bits
    coefficients = data.draw(st.lists(st.integers(-(size >> 2), size >> 2), min_size=2, max_size=2))
    constant = data.draw(st.integers(-size, size))
    builder = Builder(bits)
    x = builder.input("x", (1,))
    positive = builder.relu(x, "r")
    made = builder.sum([(x, coefficients[0]), (positive, coefficients[1])], np.array([constant]), "y")
    layer = builder.linear(
        Cells.concatenate([x, positive], 0).reshape(1, 2), np.array(coefficients)[:, None], np.array([constant]), "z"
    )
    for value in (1 - size, 0, size - 1):
        (got,) = evaluated(builder, made, x=[value])
        assert made.low <= got <= made.high
        assert evaluated(builder, layer, x=[value]) == [got]
        assert layer.low <= got <= layer.high
