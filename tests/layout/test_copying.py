"""Gadgets that copy where they free e stand in few lanes: the permutation has one view of all other lanes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plonnx.gadgets import Builder, Function
from plonnx.gadgets.function import apply
from plonnx.gadgets.product import multiply
from plonnx.kzg import container
from plonnx.kzg.record import Record
from plonnx.layout import cost, counts, search
from plonnx.layout.circuit import KIND, ModelCircuit
from plonnx.layout.file import read_shape
from plonnx.layout.planner import VIEWS, Layout
from plonnx.layout.shape import Shape, smallest_k
from tests.adversarial.files import circuit_of
from tests.properties.models import Model, lay_out

LANES = 6


def _builder(values: int = 12) -> Builder:
    """A function of copies whose values are copied: such lanes have two views, those of other copies one."""
    b = Builder(6)
    x, y = b.input("x", (values,)), b.input("y", (values, 3), public=False)
    f = apply(b, Function("f", -63, np.arange(127) % 50), x, "f")
    b.output("sum", b.sum([(f, 20), (multiply(b, x, f, 1, "product"), 3)], None, "sum"))
    b.output("flat", b.sum([(y.reshape(-1)[::-1], 30), (y.reshape(-1), 9)], None, "flat"))
    return b


def _views(layout: Layout) -> set[tuple[str, int]]:
    """The views of lanes that the permutation goes over."""
    found, copied = set[tuple[str, int]](), layout.copied
    origins = layout.unit_cells[1][copied.refs >> 1]
    for views, lanes in ((copied.into, copied.lanes), (copied.views, origins)):
        found |= {(VIEWS[view], lane) for view, lane in zip(views.tolist(), lanes.tolist(), strict=True)}
    return found


@pytest.mark.parametrize("copying", [1, 2, 5])
def test_other_lanes_have_one_view(copying: int) -> None:
    builder = _builder()
    plain, few = (Layout(builder, Shape(9, LANES, 1, 3, copying=lanes)) for lanes in (0, copying))
    assert _views(plain) == {(view, lane) for view in ("value", "taken") for lane in range(LANES)}
    assert {lane for view, lane in _views(few) if view == "taken"} == set(range(copying))
    assert {lane for view, lane in _views(few) if view == "value"} == set(range(LANES))
    for place in few.places:
        copies = place.block is not None and place.block.kind in ("lookup", "product")
        assert place.used_lanes <= copying if copies else place.used_lanes == place.units.shape[2]


def test_what_it_proves_is_the_same() -> None:
    """And where the gadgets that are read in place would stand as a layer wants them, too."""
    b = Builder(6)
    x = b.input("x", (3, 4), public=False)
    f = apply(b, Function("f", -63, np.arange(127) % 40 - 20), x, "f")
    b.output("y", b.linear(f, np.arange(8).reshape(4, 2) - 3, None, "y"))
    b.output("f", f)
    model = Model(b, {"x": np.arange(12).reshape(1, 3, 4) * 5 - 30})
    plain, few = (lay_out(model, 3, 2, copying=copying) for copying in (0, 1))
    assert plain.failures(plain.witness()) == few.failures(few.witness()) == []
    assert plain.witness().public_values == few.witness().public_values
    assert few.layout.rows > plain.layout.rows


def test_the_search_takes_it_where_it_costs_less() -> None:
    """In the rows that there are: idle ones are filled, and none are added beyond 2^k."""
    builder, aim = _builder(280), search.Aim("prover")
    found = search.pick(search.choices(builder, aim), aim)
    shape = replace(found.shape, copying=0)
    plain = cost.predict(shape, counts.Facts(Layout(builder, shape)))
    assert 0 < found.shape.copying < found.shape.lanes
    assert found.weight < search.weigh(shape, plain, aim) and found.cost.proof_bytes < plain.proof_bytes
    assert Layout(builder, found.shape).rows <= found.shape.active_rows


def test_files_keep_in_how_many_lanes_copies_stand(tmp_path: Path) -> None:
    """Few lanes must be fewer than there are; 0 stands for all."""
    builder = _builder()
    k = smallest_k(Layout(builder, Shape(0, 3, 1, 3, copying=1)).rows)
    plain, few = (circuit_of(builder, Shape(k, 3, 1, 3, copying=copying)) for copying in (0, 1))
    assert [each.shape.record()["copying"] for each in (plain, few)] == [0, 1]
    for number, circuit in enumerate((plain, few)):
        path = tmp_path / str(number)
        circuit.save(path)
        assert ModelCircuit.load(path).shape == circuit.shape
        assert ModelCircuit.load(path).layout.rows == circuit.layout.rows
    for wrong in (3, -1):
        held = Record(container.encode(KIND, {"shape": {**few.shape.record(), "copying": wrong}}, {}), KIND, "few")
        with pytest.raises(ValueError, match="copying"):
            read_shape(held["shape"])
