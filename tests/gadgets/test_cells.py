"""Cells re-index as numpy does, and keep their interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells
from plonnx.gadgets.gadget import view


@st.composite
def reindexed(draw: st.DrawFn) -> tuple[Cells, Any, Any]:
    """Cells after random steps, numpy's array after the same steps, and the flat values."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    count = int(np.prod(shape))
    values = np.arange(100, 100 + count)
    cells, array = Cells(2 * np.arange(count).reshape(shape), -7, 9), values.reshape(shape)
    for _ in range(draw(st.integers(0, 5))):
        match draw(st.integers(0, 5)):
            case 0:
                cells, array = cells.reshape(-1), array.reshape(-1)
            case 1:
                cells, array = cells.transpose(), array.transpose()
            case 2:
                axis = draw(st.integers(0, array.ndim - 1))
                at = draw(st.lists(st.integers(-array.shape[axis], array.shape[axis] - 1), min_size=1, max_size=4))
                cells, array = cells.take(at, axis), array.take(at, axis)
            case 3:
                if array.size < 60:
                    wide = (draw(st.integers(1, 3)), *array.shape)
                    cells, array = cells.broadcast_to(wide), np.broadcast_to(array, wide)
            case 4:
                start = draw(st.integers(0, array.shape[0] - 1))
                cells, array = cells[start:], array[start:]
            case 5:
                if array.size < 60:
                    axis = draw(st.integers(0, array.ndim - 1))
                    cells, array = Cells.concatenate([cells, cells], axis), np.concatenate([array, array], axis)
    return cells, array, values


@given(reindexed())
def test_as_numpy(case: tuple[Cells, Any, Any]) -> None:
    cells, array, values = case
    assert cells.shape == array.shape
    np.testing.assert_array_equal(view(values[None], cells.refs.reshape(-1)).reshape(array.shape), array)
    assert (cells.low, cells.high) == (-7, 9)


def test_concatenation_takes_the_union_of_the_intervals() -> None:
    one, other = Cells(np.array([0]), -3, 4), Cells(np.array([2]), -1, 9)
    assert (Cells.concatenate([one, other], 0).low, Cells.concatenate([one, other], 0).high) == (-3, 9)


def test_one_element_stays_a_tensor() -> None:
    assert Cells(2 * np.arange(3), 0, 1)[1].shape == (1,)


def test_transpose_by_a_permutation() -> None:
    cells = Builder(4).input("x", (2, 3, 4))
    np.testing.assert_array_equal(cells.transpose([2, 0, 1]).refs, cells.refs.transpose(2, 0, 1))


def test_shapes_that_do_not_fit_are_refused() -> None:
    cells = Cells(2 * np.arange(6).reshape(2, 3), 0, 1)
    with pytest.raises(ValueError, match="reshape"):
        cells.reshape(4, 2)
    with pytest.raises(ValueError, match="broadcast"):
        cells.broadcast_to((2, 2))
    with pytest.raises(IndexError):
        cells.take([3], 1)
