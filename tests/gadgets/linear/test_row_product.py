"""Rows times computed numbers, and sums of squares: against Python integers, in place and copied, and as forgeries."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Function, OutOfRange, Overflow
from plonnx.gadgets.function import apply
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import Prover, UnsatisfiedError
from plonnx.plonk.verifier import VerificationError, verify
from tests.adversarial.subject import Subject
from tests.properties.equations import check
from tests.properties.models import Model, lay_out, residual

BIAS = np.array([99, -50, 7, 0])
SUM = {"gate 'running sum ends'"}


def scaled(groups: int, width: int, positions: int, multiplier: int, seed: int, positive: bool = False) -> Model:
    """Of a layer's outputs, which stand turned, and of an input, which is copied."""
    random, b = np.random.default_rng(seed), Builder(8)
    x, s = b.input("x", (positions, 3), public=False), b.input("s", (groups, positions), public=False)
    y = b.linear(x, random.integers(-9, 10, (3, groups * width)), random.integers(-99, 99, groups * width), "y")
    d = b.relu(y, "d") if positive else y
    b.output("z", row_product(b, d.transpose(), s, multiplier, "z"))
    b.output("v", square_sum(b, d.transpose(), 1, "v"))
    b.output("w", row_product(b, x.transpose()[:2], s[:1], -multiplier, "w"))
    inputs = {n: random.integers(-60, 61, (1, *shape)) for n, shape in (("x", x.shape), ("s", s.shape))}
    return Model(b, inputs)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(0, 999), st.booleans())
def test_row_products_and_sums_of_squares(
    groups: int, width: int, positions: int, lanes: int, seed: int, positive: bool
) -> None:
    model = scaled(groups, width, positions, 3, seed, positive)
    try:
        done = model.builder.run(model.inputs)
    except OutOfRange:
        return
    read = {name: model.builder.read(done, cells)[0] for name, cells in model.builder.named.items()}
    y, s, x = np.maximum(read["y"], 0) if positive else read["y"], model.inputs["s"][0], model.inputs["x"][0]
    half = Fraction(1, 2)
    for o in range(groups * width):
        for p in range(positions):
            assert read["z"][o, p] == floor(Fraction(3 * int(s[o // width, p]) * int(y[p, o]), 256) + half)
    for p in range(positions):
        assert read["v"][0, p] == floor(Fraction(sum(int(v) ** 2 for v in y[p]), 256) + half)
        assert read["w"][1, p] == floor(Fraction(-3 * int(s[0, p]) * int(x[p, 1]), 256) + half)
    case = lay_out(model, lanes, 3)
    check(case.layout)
    if np.abs(done.values).max() < 256:
        assert case.failures(case.witness()) == []


def normalized(lanes: int, heads: int = 1) -> Subject:
    """A stream whose rows are scaled, as it is read by who adds to it: all of it stands turned."""
    random, b = np.random.default_rng(4), Builder(8)
    x, s = b.input("x", (3, 2), public=False), b.input("s", (heads, 3), public=False)
    y = b.convolution(x.transpose(), random.integers(-9, 10, (2, 1, 4)), np.array([[0]]), BIAS, (3,), "y")
    if heads > 1:
        y = matmul(b, y.reshape(heads, -1, 3).transpose((0, 2, 1)), y.reshape(heads, -1, 3)[:, :, :2], 60, "p")
        y = y.transpose((0, 2, 1)).reshape(-1, 3)
    v = square_sum(b, y, 8, "v") if heads == 1 else s
    z = row_product(b, y, s, 70, "z")
    b.output("out", residual(b, z, random.integers(-9, 10, (4, 4)), None, [(y, 256)], "out") if heads == 1 else z)
    b.output("v", v)
    inputs = {"x": random.integers(-30, 31, (1, 3, 2)), "s": random.integers(-30, 31, (1, heads, 3))}
    return Subject(Model(b, inputs), lanes, 2)


@pytest.mark.parametrize(("lanes", "heads"), [(1, 1), (3, 1), (2, 2)])
def test_only_the_linear_check_stops_other_results(lanes: int, heads: int) -> None:
    """Each by one and by T, and pairs that compensate; what is read stands where it is made."""
    subject = normalized(lanes, heads)
    layout = subject.case.layout
    assert not any("turned" in place.because for place in layout.places)
    assert [p.turned for p in layout.places if p.turned] == [heads]
    check(layout)
    assert subject.failures(subject.honest) == []
    for name, count in [("z", 12), *([("v", 3), ("y", 12)] if heads == 1 else [("p", 12)])]:
        for changes, witness in subject.with_other_sums(name, count):
            assert {f.constraint for f in subject.failures(witness)} == SUM, changes


@pytest.mark.parametrize("lanes", [2, 3])
def test_no_cell_can_be_changed(lanes: int) -> None:
    """a, b, c of every element and copy: free is c where there is no sum. Of three lanes s stands beside the values."""
    subject = normalized(lanes)
    (place,) = (place for place in subject.layout.places if place.turned)
    assert place.beside == (lanes == 3) and place.run_rows == 2 + (lanes == 2)
    assert subject.wrong_verdicts() == []


@pytest.mark.parametrize(("lanes", "channels"), [(3, 4), (5, 7), (2, 3)])
def test_an_idle_lane_beside_the_factor_changes_nothing(lanes: int, channels: int) -> None:
    """Neither does all of what idle lanes of its rows hold; the copy of s is the one cell there that may not change."""
    b, random = Builder(8), np.random.default_rng(lanes)
    x, s = b.input("x", (3, 2), public=False), b.input("s", (1, 3), public=False)
    y = b.linear(x, random.integers(-9, 10, (2, channels)), None, "y").transpose()
    b.output("z", row_product(b, y, s, 70, "z"))
    b.output("v", square_sum(b, y, 8, "v"))
    inputs = {"x": random.integers(-20, 21, (1, 3, 2)), "s": random.integers(-30, 31, (1, 1, 3))}
    subject = Subject(Model(b, inputs), lanes, 2)
    (place,) = (place for place in subject.layout.places if place.turned)
    idle = -channels % lanes
    assert place.beside and np.all(place.units[:, 0, lanes - idle :] < 0) and np.all(place.units[:, 1:] >= 0)
    cells = subject.cells(subject.honest)
    rows = place.value_rows[:, 0]
    cells[rows, lanes - idle : lanes - 1, 0] += 5
    cells[rows, lanes - idle : lanes - 1, 2] += 3
    assert subject.failures(subject.witness(cells)) == []
    for row in rows.tolist():
        for part in (0, 1):
            changed = subject.cells(subject.honest)
            changed[row, lanes - 1, part] += 1
            assert subject.failures(subject.witness(changed))


def test_a_factor_has_a_row_where_no_lane_is_idle_or_a_gadget_takes_every_lane() -> None:
    """Runs of one row, too: what stands on the row that is read comes too late."""
    for lanes, channels, relu in [(2, 4, False), (4, 3, False), (3, 4, True)]:
        b = Builder(8)
        x, s = b.input("x", (5, 3)), b.input("s", (1, 5))
        y = b.linear(x, np.ones((3, channels), np.int64), None, "y").transpose()
        if relu:
            y = apply(b, Function("half", -255, np.arange(-255, 256) // 2), y, "h", fuse=True)
        b.output("z", row_product(b, y, s, 1, "z"))
        inputs = {"x": np.ones((1, 5, 3), np.int64), "s": np.ones((1, 1, 5), np.int64)}
        case = lay_out(Model(b, inputs), lanes, 2)
        (place,) = (place for place in case.layout.places if place.turned)
        assert place.above is not None and not place.beside and (place.block is not None)
        assert place.run_rows == 1 + place.height
        assert case.failures(case.witness()) == []


@pytest.mark.parametrize("heads", [1, 2])
def test_real_proofs(heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one head and of several: the honest one verifies, one with another scaled value does not."""
    subject = normalized(2, heads)
    circuit = subject.case.circuit()
    srs = SRS.development(circuit.k, tau=5)
    prover = Prover(keygen(circuit, srs), srs)
    verify(prover.vk, prover.prove(subject.honest))
    _, forged = next(iter(subject.with_other_sums("z", 1)))
    with pytest.raises(UnsatisfiedError):
        prover.prove(forged)
    monkeypatch.setattr("plonnx.plonk.prover.check_evaluations", lambda *arguments: None)
    with pytest.raises(VerificationError, match="pairing"):
        verify(prover.vk, prover.prove(forged))


def test_what_a_layer_reads_too_is_copied() -> None:
    """A layer reads channel by channel: then the stream stands as ever, and once more turned."""
    b = Builder(8)
    x, s = b.input("x", (5, 3)), b.input("s", (1, 5))
    y = b.linear(x, np.ones((3, 4), np.int64), None, "y")
    b.output("z", row_product(b, y.transpose(), s, 1, "z"))
    b.output("w", b.linear(y, np.ones((4, 2), np.int64), None, "w"))
    layout = lay_out(Model(b, {"x": np.ones((1, 5, 3), np.int64), "s": np.ones((1, 1, 5), np.int64)}), 2, 2).layout
    assert [(p.name, p.turned) for p in layout.places if p.name in ("y", "copy for z")] == [
        ("y", 0),
        ("copy for z", 1),
    ]


def test_results_beyond_62_bits_are_refused() -> None:
    b = Builder(20)
    x = b.input("x", (4, 3))
    with pytest.raises(Overflow, match="z: its exact sum can reach"):
        row_product(b, x, b.input("s", (1, 3)), 1 << 23, "z")
    with pytest.raises(ValueError, match="do not fit"):
        row_product(b, x, b.input("t", (3, 3)), 1, "z")
