"""The linear check of one equation, exhaustively at small T: given the inputs, one unit passes."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx import _native
from plonnx.gadgets import Builder, unit
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.kzg.srs import SRS
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.layout.witness import Filler
from plonnx.plonk.keygen import keygen
from plonnx.plonk.mock import Check, MockProver
from plonnx.plonk.prover import Witness, prove
from plonnx.plonk.verifier import verify
from tests.properties.models import LaidOut, Model, lay_out

SIZE = 4


def single(weight: int, bias: int, coefficient: int | None, hidden: bool) -> Layout:
    """y = weight x + bias, or coefficient x + bias, with a hidden x: one unit each."""
    builder = Builder(2, hidden, 4, 4)
    x = builder.input("x", (1, 1), public=False)
    if coefficient is None:
        y = builder.linear(x, np.array([[weight]]), np.array([bias]), "y")
    else:
        y = builder.sum([(x, coefficient)], np.array([[bias]]), "y")
    builder.output("y", y, public=False)
    return Layout(builder, Shape(4, 1, 1, 3))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(("weight", "bias", "coefficient"), [(3, 1, None), (-2, -3, None), (0, 3, 2), (0, -1, -3)])
@pytest.mark.parametrize("x", [-3, 0, 2])
def test_given_x_one_unit_passes(
    weight: int, bias: int, coefficient: int | None, x: int, hidden: bool, signed: bool
) -> None:
    layout = single(weight, bias, coefficient, hidden)
    layout.reads_parts |= not signed
    mock = MockProver(arithmetize(layout, "", layout.tensors))
    active_rows = layout.shape.active_rows
    honest = Filler(layout).advice(layout.builder.run({"x": np.array([[[x]]])}))
    row = layout.places[1].value_rows[0, 0]
    accepted = []
    for a, b in [*((v, 0) for v in range(SIZE)), *((0, v) for v in range(1, SIZE))]:
        for c in range(SIZE):
            cells = {"a": a - b, "c": c} if signed else {"a": a, "b": b, "c": c}
            columns = {f"{part}0": honest[f"{part}0"].copy() for part in cells}
            for part, cell in cells.items():
                columns[f"{part}0"][row] = cell
            shown, rest = columns["a0"] - (0 if signed else columns["b0"]), columns["c0"]
            counted = unit.range_multiplicities(shown[:, None], rest[:, None], SIZE, active_rows, signed=signed)
            if mock.failures(Witness({**columns, **counted}, b"")) == []:
                accepted.append((a - b, c))
    y = (coefficient if coefficient is not None else weight) * x + bias
    assert accepted == [divmod(y + SIZE // 2, SIZE)]


def squared(group: int, lanes: int = 2) -> LaidOut:
    """Rows times a number each, which take P, and sums of squares."""
    random, b = np.random.default_rng(3), Builder(8)
    x, s = b.input("x", (3, 4), public=False), b.input("s", (1, 4), public=False)
    y = b.linear(x.transpose(), random.integers(-9, 10, (3, 5)), None, "y").transpose()
    b.output("v", square_sum(b, y, 2, "v"))
    b.output("z", row_product(b, y, s, 30, "z"))
    inputs = {"x": random.integers(-40, 41, (1, 3, 4)), "s": random.integers(-40, 41, (1, 1, 4))}
    return lay_out(Model(b, inputs), lanes, 2, group)


@pytest.mark.parametrize("group", [1, 2, 3])
def test_columns_that_lower_the_degree_have_one_value(group: int) -> None:
    """D X' of what takes P, and the squares: on every row a gate refuses another one."""
    case = squared(group)
    circuit = case.circuit()
    srs, witness = SRS.development(circuit.k, tau=5), case.witness()
    pk = keygen(circuit, srs)
    verify(pk.vk, prove(pk, witness, srs))
    names = [name for name in ("read by powers", "squares") if name in circuit.advice_names]
    assert len(names) == (2 if group <= 2 else 0)
    check = Check(MockProver(circuit), witness)
    assert check.failures() == []
    for name in names:
        index = circuit.advice_names.index(name)
        values = check.column("advice", index)
        held = [values[row] for row in range(len(values))]
        assert any(held[: circuit.active_rows])
        for row in range(pk.vk.last_row):
            changed = list(held)
            changed[row] += 1
            check._values["advice", index] = _native.Vec.from_scalars(changed)
            assert {f"gate {name!r}"} <= {failure.constraint for failure in check._gates(1)}, row
        check._values["advice", index] = _native.Vec.from_scalars(held)
    assert check._gates(1) == []
