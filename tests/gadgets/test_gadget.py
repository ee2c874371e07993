"""What every gadget keeps to, whatever its kind: rows, operands, marks and filling agree with each other."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from plonnx.gadgets import OutOfRange
from plonnx.gadgets.builder import Execution
from plonnx.gadgets.gadget import ABSENT, Gadget, Given, check_range, view
from plonnx.layout.file import _kinds
from tests.properties.models import Model, models

Integers = NDArray[np.int64]
slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@slow
@given(models)
def test_a_gadgets_parts_agree(model: Model) -> None:
    done = model.builder.run(model.inputs)
    for number, gadget in enumerate(model.builder.blocks):
        before = model.builder.blocks[number - 1] if number else None
        assert gadget.first == (before.first + before.count if before else 0)
        keeps_to_its_rows(gadget)
        computes(gadget, done, model)
        if gadget.channels is None:
            fills(gadget, done, model.builder.table_size)


def keeps_to_its_rows(gadget: Gadget) -> None:
    assert Gadget.kinds[gadget.kind] is type(gadget)
    rows = range(gadget.stride)
    assert gadget.value_row in rows
    assert len({(take.row, take.into) for take in gadget.takes}) == len(gadget.takes)
    for take in gadget.takes:
        assert take.row in rows
        assert take.refs.shape == (gadget.count,)
        assert np.all(take.refs >= 0)  # what is copied is there
        assert np.all(take.refs >> 1 < gadget.first)
    for name, marks in gadget.marks(lambda function: 0).items():
        assert set(marks) <= set(rows), name
        assert all(isinstance(value, int) or value.shape == (gadget.count,) for value in marks.values()), name
    for name, own in gadget.lane_marks().items():
        assert set(own) <= set(rows), name
        assert all(values.shape == (gadget.count,) for values in own.values()), name
    assert all(part.shape == (gadget.count,) for part in gadget.per_row())
    if gadget.channels is not None:
        assert np.prod(gadget.channels) == gadget.count
        assert not gadget.takes and gadget.stride == 1
    assert not gadget.contributions or gadget.equations


def computes(gadget: Gadget, done: Execution, model: Model) -> None:
    """`run`, `sums` and the execution say the same."""
    if gadget.name in model.inputs:
        assert not gadget.operands.size and not gadget.equations
        return
    operands = view(done.values, gadget.operands)
    made = gadget.run(operands, model.builder.table_size)
    assert np.array_equal(made.values, done.values[:, gadget.units])
    stated = gadget.sums(operands)
    assert (stated is not None) == gadget.equations
    if made.sums is not None:
        assert np.array_equal(made.sums, done.sums[:, gadget.units])
        assert stated is None or np.array_equal(stated, made.sums)


def fills(gadget: Gadget, done: Execution, size: int) -> None:
    """Operands where they are taken, the value in the view that shows it; idle lanes hold units too."""
    values, sums = (of[0, gadget.units][None, :, None] for of in (done.values, done.sums))
    operands = tuple(
        view(done.values, take.refs if take.viewed else take.refs & ~1)[0][None, :, None] for take in gadget.takes
    )
    present, number = np.ones(values.shape, bool), np.arange(gadget.count)[None, :, None]

    def read() -> Integers:
        shown: Integers = view(done.values, gadget.operands)[0]
        return shown

    held = gadget.fill(Given(values, sums, operands, present, size, number, read))
    assert len(held) == gadget.stride
    taken, shown, rest = (np.stack([np.broadcast_to(row[part], values.shape) for row in held]) for part in range(3))
    assert np.all(np.abs(shown) < size)
    assert np.all((rest >= 0) & (rest < size))
    assert np.array_equal((taken if gadget.gives == "taken" else shown)[gadget.value_row], values)
    for take, operand in zip(gadget.takes, operands, strict=True):
        assert np.array_equal((taken if take.into == "taken" else rest)[take.row], operand)
    if gadget.equations:
        q, c = taken[gadget.value_row], rest[gadget.value_row]
        assert np.array_equal(size * q + c - size // 2, sums)
    extended = gadget.marks(lambda function: 0).get("extended", {})
    for row in range(gadget.stride):
        assert row in extended or np.array_equal(taken[row], shown[row]), "e without a gadget that frees it"
    nothing = tuple(0 * x for x in operands)
    idle = gadget.fill(Given(0 * values, 0 * sums, nothing, ~present, size, 0 * number, read))
    for empty in idle:
        assert np.all(np.abs(empty.value) < size)
        assert np.all((np.asarray(empty.rest) >= 0) & (np.asarray(empty.rest) < size))


def test_every_kind_has_its_name() -> None:
    kinds = _kinds()
    assert {"input", "convolution", "sum", "lookup", "maximum", "product"} <= set(kinds)
    assert "" not in kinds
    assert len(set(kinds.values())) == len(kinds)


_LOADED = """
import sys
from plonnx.kzg.record import Value
from plonnx.layout.file import _kind
for name in sys.argv[1:]:
    print(_kind(Value(name, "kind")).kind, "plonnx.gadgets.path" in sys.modules)
"""


def test_a_file_loads_the_gadgets_that_it_names() -> None:
    """Each is looked for in the module of its name; others, and what is none, in all."""
    run = partial(subprocess.run, capture_output=True, text=True, check=False)
    names = ["input", "square sum", "product", "lookup", "window sum"]
    ran = run([sys.executable, "-c", _LOADED, *names])
    expected = [f"{name} {name == 'window sum'}" for name in names]
    assert ran.stdout.splitlines() == expected, ran.stderr
    for strange in ("builder", "linear.check", "..kzg", ""):
        ran = run([sys.executable, "-c", _LOADED, strange])
        told = re.search(r"is none of the (\d+) that this version knows", ran.stderr)
        assert told is not None and int(told.group(1)) >= 21


def test_refs_show_values_positive_parts_and_zeros() -> None:
    values = np.array([[5, -7], [-1, 2]])
    assert view(values, np.array([0, 1, 2, 3, ABSENT])).tolist() == [[5, 5, -7, 0, 0], [-1, 0, 2, 2, 0]]
    assert view(values, np.array([1, 3])).tolist() == [[5, 0], [0, 2]]
    assert view(values, np.array([3, 1])).tolist() == [[0, 5], [2, 0]]
    assert view(values, np.array([ABSENT, 2])).tolist() == [[0, -7], [0, 2]]
    assert view(values, np.zeros(0, np.int64)).shape == (2, 0)
    whole = view(values, np.array([0, 2]))  # where they lie
    assert whole.tolist() == values.tolist() and np.shares_memory(whole, values) and not whole.flags.writeable


@pytest.mark.parametrize(("low", "high", "allowed"), [(-3, 3, r"\|v\| <= 3"), (0, 9, "0 <= v <= 9")])
def test_the_value_farthest_outside_is_named(low: int, high: int, allowed: str) -> None:
    check_range("t", np.array([[low, high]]), low, high)
    check_range("t", np.zeros(0, np.int64), low, high)
    for value in (low - 5, high + 5):
        with pytest.raises(OutOfRange, match=f"tensor t: the value {value} is outside .*{allowed}"):
            check_range("t", np.array([low - 1, high + 1, value, low]), low, high)
