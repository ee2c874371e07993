"""The linear check, the public sums and the gadgets' operands say what the blocks say, cell by cell and exactly.

The MockProver asks whether some witness passes; these tests ask which witnesses do, of the circuit itself: an equation
that reads one cell too many fails here whatever that cell holds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from plonnx.gadgets import Builder, Cells, Function
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.function import apply
from plonnx.gadgets.lanes import BY_CHI
from plonnx.gadgets.linear.combination import combination
from plonnx.gadgets.linear.contribution import Reading, Squared
from plonnx.gadgets.linear.equation import Equation
from plonnx.gadgets.linear.magnitude_sum import magnitude_sum
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.shared import SharedWeights
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply
from plonnx.gadgets.select import select
from plonnx.layout import draft, parts
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.explain import copies
from plonnx.layout.fixed import Fixed, Words
from plonnx.layout.planner import Copied, Layout
from plonnx.layout.positions import Positions
from plonnx.layout.readings import FEWER_READINGS
from plonnx.plonk.expression import degree
from plonnx.plonk.structure import of as structure_of
from tests.properties.equations import Audited, Counted, check, reading
from tests.properties.models import Integers, LaidOut, Model, laid_out, lay_out, residual
from tests.properties.operands import Operands

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
Draw = Callable[[int, tuple[int, ...]], Integers]  # random integers of a reach
BITS = 12


@settings(slow, max_examples=150)
@given(laid_out)
def test_random_models(case: LaidOut) -> None:
    check_all(case.layout)


def check_all(layout: Layout) -> tuple[Counted, int]:
    """How much was checked of the sums, and how many operands of gadgets."""
    return check(layout), Operands(Audited(layout)).check()


# Geometries that random models seldom have --------------------------------------------------------------------------


def taps(*extents: int, start: int = 0, step: int = 1) -> Integers:
    """The offsets of a kernel."""
    return start + step * np.indices(extents).reshape(len(extents), -1).T


def axes(b: Builder, draw: Draw) -> None:
    """Convolutions over three, two and one axis: one pitch serves all."""
    x = b.input("x", (2, 2, 3, 3))
    y = b.convolution(x, draw(7, (2, 8, 2)), taps(2, 2, 2, start=-1), draw(99, (2,)), (3, 3, 4), "y")
    z = b.convolution(y.reshape(6, 3, 4), draw(7, (6, 4, 1)), taps(2, 2), None, (2, 3), "z")
    w = b.convolution(z.reshape(2, 3), draw(7, (2, 3, 2)), taps(3, start=-1), draw(99, (2,)), (3,), "w")
    for name, cells in (("y", y), ("z", z), ("w", w)):
        b.output(name, cells)


def padded(b: Builder, draw: Draw) -> None:
    """Channels, lines and single cells of zeros that no cell holds, before a convolution and before a dense layer."""
    x = b.input("x", (2, 2, 2)).pad([(1, 1), (1, 0), (0, 2)])
    y = b.convolution(x, draw(7, (4, 4, 2)), taps(2, 2, start=-1), draw(99, (2,)), (3, 4), "y")
    b.output("y", b.relu(y, "r"))
    b.output("z", b.linear(y.reshape(1, -1).pad([(0, 0), (2, 3)]), draw(7, (29, 3)), None, "z"))


def strided(b: Builder, draw: Draw) -> None:
    """A stride of two: the phases are channels, of which the later ones miss their last cell."""
    x = b.input("x", (1, 5, 3))
    for axis in (1, 2):
        wide = x.pad([(0, 1 if at == axis else 0) for at in range(3)])
        x = Cells.concatenate([wide.take(range(phase, wide.shape[axis], 2), axis) for phase in range(2)], 0)
    y = b.convolution(x, draw(7, (4, 4, 3)), taps(2, 2, start=-1), None, (3, 2), "y")
    b.output("y", y)


def spaced(b: Builder, draw: Draw) -> None:
    """Strides in place, one behind another, and sums of what lies as far apart; a copy of what does not. A stride to
    which is added what stands closer than its outputs can, and a sum."""
    x, square = b.input("x", (2, 7, 7)), taps(3, 3, start=-1)
    y = b.convolution(x, draw(7, (2, 9, 5)), square, draw(99, (5,)), (4, 4), "y", strides=(2, 2))
    z = b.convolution(y, draw(7, (5, 9, 1)), square, None, (4, 4), "z", 5)
    even = x.take(range(0, 7, 2), 1).take(range(0, 7, 2), 2)
    near = b.convolution(even, draw(7, (2, 1, 5)), taps(1, 1), None, (4, 4), "near")
    terms = [] if b.hidden else [(y, 128), (near, -64)]
    s = b.convolution(b.relu(z, "r"), draw(7, (5, 1, 5)), taps(1, 1), draw(99, (5,)), (4, 4), "s", terms=terms)
    t = b.convolution(s, draw(7, (5, 6, 2)), taps(2, 3, start=-1), None, (3, 2), "t", strides=(1, 3))
    b.output("t", t)
    low = b.convolution(even[:, :2, :2], draw(7, (2, 1, 1)), taps(1, 1), None, (2, 2), "low")
    beside = b.sum([(even[:1, :2, :2], 100)], None, "beside")
    added = [] if b.hidden else [(low, 9), (beside, 3)]
    b.output(
        "u",
        b.convolution(x[:, :3, :3], draw(7, (2, 4, 1)), taps(2, 2), None, (2, 2), "u", 1, strides=(2, 2), terms=added),
    )


def shared(b: Builder, draw: Draw) -> None:
    """What several layers read: of fewer outputs and more than weight columns, strided, with a border and without."""
    x = b.input("x", (3, 4, 4))
    y = b.convolution(x, draw(7, (3, 1, 5)), taps(1, 1), None, (4, 4), "y")
    r = b.relu(y, "r")
    z = b.convolution(r, draw(7, (5, 9, 4)), taps(3, 3, start=-1), draw(99, (4,)), (4, 4), "z")
    terms = (
        [] if b.hidden else [(b.convolution(r, draw(7, (5, 4, 7)), taps(2, 2), None, (2, 2), "s", strides=(2, 2)), 9)]
    )
    w = b.convolution(r, draw(7, (5, 1, 7)), taps(1, 1), None, (2, 2), "w", strides=(2, 2), terms=terms)
    b.output("z", z)
    b.output("w", w)


def lone(b: Builder, draw: Draw) -> None:
    """Runs of one value, one of them of a zero; values of one view and of the other."""
    x = b.input("x", (3, 1))
    both = Cells.concatenate([x, b.relu(x, "r")], 0).pad([(0, 1), (0, 0)])
    y = b.convolution(both, draw(7, (7, 7, 1)), -taps(7), draw(99, (1,)), (7,), "y")
    b.output("y", y)
    b.output("z", b.sum([(y, 300), (b.relu(y, "s"), -20)], draw(99, y.shape), "z"))


def larger(b: Builder, draw: Draw) -> None:
    """Outputs beyond the grid on all sides, taps far apart and outside altogether, two groups."""
    x = b.input("x", (4, 2, 3), public=False)
    far = np.array([[-4, 3], [0, 0], [2, -5], [1, 1]])
    y = b.convolution(x, draw(7, (4, 4, 2)), far, draw(99, (4,)), (5, 7), "y", 2)
    b.output("y", y)


def gadgets(b: Builder, draw: Draw) -> None:
    """Functions fused and not, maxima and products, of values and of positive parts, read in place and copied; layers
    of one channel, of which the second takes a multiple."""
    x = b.input("x", (2, 3, 3))
    y = b.convolution(x, draw(7, (2, 4, 2)), taps(2, 2, start=-1), draw(99, (2,)), (3, 3), "y")
    f = apply(b, Function("f", y.low, np.arange(y.high - y.low + 1) % 50), y, "f", fuse=True)
    r = b.relu(b.sum([(f, 2048)], None, "half"), "r")
    m = maximum(b, [r[:, i : i + 2, j : j + 2] for i in range(2) for j in range(2)], "m")
    g = apply(b, Function("g", 0, 9 + np.arange(r.high + 1) % 7), r[0], "g")
    p = multiply(b, m, f[:, :2, 1:], 3, "p")
    z = b.convolution(p, draw(7, (2, 2, 1)), np.array([[0, 1], [1, 0]]), None, (2, 2), "z")
    q = b.convolution(z, draw(7, (1, 1, 2)), taps(1, 1), None, (2, 2), "q")
    s = b.convolution(z, draw(7, (1, 1, 1)), taps(1, 1), None, (2, 2), "s")
    for name, cells in (("m", m), ("g", g), ("p", p), ("z", z), ("q", q), ("s", s)):
        b.output(name, cells)


def decisions(b: Builder, draw: Draw) -> None:
    """Comparisons of all four kinds, of values and of positive parts; selections by them and by a Boolean input."""
    x, g = b.input("x", (2, 5)), b.input("g", (2, 5), boolean=True)
    n, w = b.input("n", (2, 5), narrow=1 << BITS - 8), b.input("w", (2, 5), step=2)
    natural = b.input("u", (2, 5), narrow=2, natural=True), b.input("v", (2, 5), step=4, natural=True)
    half = b.sum([(x, 2048)], None, "half")
    r = b.relu(half, "r")
    above, apart = compare(b, half, r, "above"), compare(b, r, half, "apart", apart=True)
    below, equal = compare(b, half[:, ::-1], half, "below", False, True), compare(b, r, half, "equal", True, True)
    z = b.sum([(select(b, above, x, r, "s"), 3), (select(b, g, apart, equal, "t"), 2048)], None, "z")
    for name, cells in (
        ("below", below),
        ("z", z),
        ("n's", b.relu(n, "n's")),
        ("w", w),
        ("u", natural[0]),
        ("v", natural[1]),
    ):
        b.output(name, cells)


def products(b: Builder, draw: Draw) -> None:
    """Products of computed matrices, of both views, with zeros that no cell holds; a layer that is taken twice."""
    x, y = b.input("x", (4, 3)), b.input("y", (3, 5))
    p = matmul(b, x.reshape(1, 4, 3), y.reshape(1, 3, 5), 2, "p")
    left = b.relu(p, "r").reshape(2, 2, 5).pad([(0, 0), (0, 0), (0, 1)])
    q = matmul(b, left, p.reshape(2, 5, 2).pad([(0, 0), (0, 1), (0, 0)]), -3, "q")
    layer = SharedWeights(b, draw(7, (2, 2)), draw(99, (2,)), 2, 4, "h")
    b.output("h", layer(layer(q.reshape(4, 2))))


def ragged(b: Builder, draw: Draw) -> None:
    """Runs of which each lane is read in other channels, as scores behind a causal mask: by a product, by a layer."""
    x, y, z = b.input("x", (2, 5, 3)), b.input("y", (2, 3, 5)), b.input("z", (2, 5, 2))
    behind = np.tri(5, dtype=bool)

    def seen(scores: Cells) -> Cells:
        return Cells(np.where(behind, scores.refs, -1), min(scores.low, 0), max(scores.high, 0))

    b.output("c", matmul(b, seen(matmul(b, x, y, 300, "s")), z, 300, "c"))
    t = seen(b.relu(matmul(b, x, y, -300, "t"), "r")).transpose((0, 2, 1)).reshape(10, 5)
    b.output("d", b.convolution(t, draw(7, (10, 1, 3)), np.array([[0]]), None, (5,), "d"))


def combinations(b: Builder, draw: Draw) -> None:
    """Sums in place: of one channel and of many, of grids, of both views, with zeros that no cell holds, of a copy."""
    if b.hidden:
        return products(b, draw)
    x = b.input("x", (6, 3, 2))
    y = b.convolution(x, draw(9, (6, 1, 1)), np.array([[0, 0]]), None, (3, 2), "y", 6)
    z = combination(b, [(y, 3), (b.relu(x, "r"), -2), (y, 5)], "z")
    few = z.reshape(2, 18).pad([(0, 1), (0, 0)])
    b.output("w", combination(b, [(few, 7), (few.take([2, 0, 1], 0), -1)], "w"))
    b.output("v", combination(b, [(z, 4095)], "v"))
    mean = b.convolution(x, draw(9, (6, 1, 2)), np.array([[0, 0]]), None, (3, 2), "mean")  # of three channels each
    same = Cells(np.repeat(mean.refs, 3, axis=0), mean.low, mean.high)
    b.output("u", combination(b, [(z, 256), (same, -256)], "u", (1, 3)))
    b.output("t", combination(b, [(x, 256), (same, -256)], "t", (1, 3)))  # beside those that have weights for x
    return None


def residuals(b: Builder, draw: Draw) -> None:
    """Layers and what is added to them: in place, as copies, of positive parts, with zeros, of one term and of two; two
    layers in one equation."""
    if b.hidden:
        return products(b, draw)
    x, y = b.input("x", (6, 5)), b.input("y", (6, 5))
    read = Cells.concatenate([x, y[2:]], 0)
    first = residual(b, read, draw(9, (10, 6)), draw(99, (6,)), [(y, 3)], "first", (6, 4))
    again = residual(b, b.relu(first, "r"), draw(9, (6, 6)), None, [(first, 256)], "again")
    last = residual(b, again.pad([(0, 1), (0, 0)]), draw(9, (7, 6)), None, [(b.relu(y, "s"), -2), (again, 7)], "last")
    b.output("z", last)
    t = b.input("t", (4, 5))
    inner = b.relu(b.convolution(t, draw(9, (4, 1, 4)), np.array([[0]]), None, (5,), "inner"), "i")
    b.output("w", residual(b, inner, draw(9, (4, 4)), None, [(t, 256)], "w"))  # what states nothing is added in place
    return None


def turned(b: Builder, draw: Draw) -> None:
    """Rows times a number each and sums of squares: of a layer with a bias and of what adds to it, in place; of groups
    of a product, in place, without its last channels; of copies; of positive parts, with zeros that no cell holds."""
    if b.hidden:
        return products(b, draw)
    x, s, t = b.input("x", (5, 3)), b.input("s", (1, 5)), b.input("t", (2, 5))
    y = b.convolution(x.transpose(), draw(9, (3, 1, 7)), np.array([[0]]), draw(99, (7,)), (5,), "y")
    v = square_sum(b, y, 3, "v")
    scaled = row_product(b, y, v, 40, "scaled")
    added = residual(b, scaled, draw(9, (7, 7)), draw(99, (7,)), [(y, 4096)], "added")
    again = row_product(b, added, s, -50, "again")
    b.output("z", b.linear(again.transpose(), draw(9, (7, 2)), None, "z"))
    p = matmul(b, t.reshape(2, 1, 5).transpose((0, 2, 1)), y[:6].reshape(2, 3, 5)[:, :1], 60, "p")
    heads = p.transpose((0, 2, 1)).reshape(10, 5)
    kept = heads.reshape(2, 5, 5)[:, :4].reshape(8, 5)
    b.output("q", row_product(b, kept, heads.reshape(2, 5, 5)[:, 4], 30, "q"))
    both = b.relu(x.transpose(), "r").pad([(0, 1), (0, 0)])
    b.output("w", row_product(b, both, t, 70, "w"))
    b.output("u", square_sum(b, both, 2, "u"))
    b.output("o", magnitude_sum(b, both, 90, "o"))
    b.output("m", magnitude_sum(b, y, 50, "m"))
    return None


def embedded(b: Builder, draw: Draw) -> None:
    """Biases of every position: of a layer's runs, of runs of one row, beside a term, of outputs that lie apart, of
    what stands turned and reads a row of zeros."""
    if b.hidden:
        return products(b, draw)
    x, tap = b.input("x", (3, 5)), np.array([[0]])
    y = b.convolution(x, draw(9, (3, 1, 4)), tap, draw(99, (4, 5)), (5,), "y")
    z = residual(b, y, draw(9, (4, 4)), draw(99, (4, 5)), [(y, 4096)], "z")
    b.output("z", b.relu(z, "r"))
    b.output("s", b.convolution(y[:, :2], draw(9, (4, 1, 2)), tap, draw(99, (2, 2)), (2,), "s"))
    wide = b.convolution(
        x.reshape(1, 3, 5), draw(9, (1, 4, 2)), taps(2, 2), draw(99, (2, 2, 3)), (2, 3), "wide", 1, strides=(2, 2)
    )
    b.output("wide", b.convolution(wide, draw(9, (2, 1, 3)), taps(1, 1), draw(99, (3, 2, 3)), (2, 3), "v"))
    tokens = x.transpose()[:, :2].pad([(1, 0), (0, 0)]).transpose()
    t = b.convolution(tokens, draw(9, (2, 1, 7)), tap, draw(99, (7, 6)), (6,), "t")
    b.output("w", row_product(b, t, square_sum(b, t, 3, "u"), 40, "w"))
    return None


MAKERS = (
    axes,
    padded,
    strided,
    spaced,
    shared,
    lone,
    larger,
    gadgets,
    decisions,
    products,
    ragged,
    combinations,
    residuals,
    turned,
    embedded,
)
NO_BORDERS = ["lone", "decisions", "products", "ragged", "combinations", "residuals", "turned"]
GEOMETRIES = {make.__name__: make for make in MAKERS}


def circuit(name: str, lanes: int, hidden: bool = False, draw: Draw | None = None) -> LaidOut:
    """A geometry in rows of so many lanes."""
    random = np.random.default_rng(lanes)
    builder = Builder(BITS, hidden, weight_bits=4, bias_bits=8)
    GEOMETRIES[name](builder, draw or (lambda reach, shape: random.integers(-reach, reach, shape, endpoint=True)))
    inputs = {
        block.name: random.integers(0 if low >= 0 else -30, 2 if block.boolean else 31, (1, *block.shape))
        for block in builder.inputs
        for low in [block.interval(builder.table_size)[0]]
    }
    inputs |= {block.name: inputs[block.name] * block.step for block in builder.inputs if block.step}
    return lay_out(Model(builder, inputs), lanes, 3, packing=1 + lanes % 2)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_geometries(name: str, lanes: int, hidden: bool) -> None:
    case = circuit(name, lanes, hidden)
    counted, operands = check_all(case.layout)
    assert counted.equations == sum(b.count for b in case.model.builder.blocks if isinstance(b, Equation))
    assert (operands > 0) == (name in ("gadgets", "decisions"))
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("lanes", [1, 3, 8])
@pytest.mark.parametrize("name", ["spaced", "padded", "turned", "residuals"])
def test_geometries_of_degree_three(name: str, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be a factor too many stands in columns of its own: every coefficient is the same."""
    monkeypatch.setattr("plonnx.layout.draft.FEW_GROUPS", 1)
    case = circuit(name, lanes)
    case = replace(case, layout=Layout(case.model.builder, replace(case.layout.shape, group=2)))
    check_all(case.layout)
    assert case.failures(case.witness()) == []
    made = case.circuit()
    assert {"read by powers", "squares"} & set(made.advice_names) == APART[name]
    made.finish()
    structure = structure_of(made)
    most = max(degree(gate.expression, made.n, structure.blinding, structure.masked) for gate in made.gates)
    assert most <= 3 * (made.n + 1)


APART = {
    "spaced": {"read by powers"},
    "padded": set(),
    "turned": {"read by powers", "squares"},
    "residuals": {"read by powers"},
}


@pytest.mark.parametrize("name", ["spaced", "lone"])
def test_geometries_by_lines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of one output whose rows hold a line of taps."""
    monkeypatch.setattr(parts, "ROWS_BY_LINES", 1)
    case = circuit(name, 3)
    assert case.layout.parts.by_lines
    check_all(case.layout)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize(("lanes", "width", "taken", "positive"), [(16, 18, 9, True), (20, 24, 12, False)])
def test_words_of_some_lanes(lanes: int, width: int, taken: int, positive: bool) -> None:
    """Public inputs whose rows take as many lanes as a word holds: random models have too few lanes for it."""
    random, b = np.random.default_rng(width), Builder(BITS)
    x = b.input("x", (2, 2, width))
    read = b.relu(x, "r") if positive else x
    b.output("y", b.convolution(read, random.integers(-7, 8, (2, 4, 2)), taps(2, 2, start=-1), None, (2, width), "y"))
    case = lay_out(Model(b, {"x": random.integers(-2000, 2001, (1, 2, 2, width))}), lanes, 3)
    words = [word for word in Fixed(case.layout).words if word.across]
    assert {(run.width, run.per_word) for word in words for run in word.runs} == {(2, taken)}
    check_all(case.layout)
    assert case.failures(case.witness()) == []


def test_inputs_in_another_order_take_all_lanes() -> None:
    """Their words are copies: as few values in a row as a word holds save none."""
    random, b = np.random.default_rng(1), Builder(BITS)
    x = b.input("x", (18, 2, 2))
    read = x.transpose((1, 2, 0))
    b.output("y", b.convolution(read, random.integers(-7, 8, (2, 4, 2)), taps(2, 2, start=-1), None, (2, 18), "y"))
    case = lay_out(Model(b, {"x": random.integers(-2000, 2001, (1, 18, 2, 2))}), 17, 3)
    (place,) = (place for place in case.layout.places if place.name == "x")
    assert place.grid_lanes == 17
    assert [row["for"] for row in copies(case.layout)] == ["public x", "public y"]
    check_all(case.layout)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("lanes", [1, 3, 4])
def test_geometries_of_shared_places(lanes: int, hidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers whose weights stand above each other's: nothing of what they read is copied."""
    monkeypatch.setattr(draft, "SHARED_CELLS", 1)
    case = circuit("shared", lanes, hidden)
    (place,) = (place for place in case.layout.places if place.name == "y")
    assert len(place.sharing) == (1 if hidden else 2)
    assert not [row for row in copies(case.layout) if row["of"] == "y"]
    check_all(case.layout)
    assert case.failures(case.witness()) == []


def test_a_layer_twice_in_an_equation_shares_a_place_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights have one power of chi for all outputs: those of both cannot stand above each other's."""
    monkeypatch.setattr(draft, "SHARED_CELLS", 1)
    random, b = np.random.default_rng(1), Builder(8)
    y = b.linear(b.input("x", (5, 2)), random.integers(-40, 41, (2, 3)), None, "y").transpose()
    b.output("q", b.linear(y.transpose(), random.integers(-20, 21, (3, 7)), None, "q"))
    twice, weights = Cells.concatenate([y, y], 0), random.integers(-20, 21, (6, 7))
    b.output("z", residual(b, twice, weights, None, [], "z", (3, 3)))
    case = lay_out(Model(b, {"x": random.integers(-30, 31, (1, 5, 2))}), 2, 3)
    assert [len(place.sharing) for place in case.layout.places if place.name == "y"] == [1]
    check_all(case.layout)
    assert case.failures(case.witness()) == []


@settings(slow, max_examples=20)
@given(laid_out)
def test_random_models_by_lines_and_shared(case: LaidOut) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts, "ROWS_BY_LINES", 1)
        patched.setattr(draft, "SHARED_CELLS", 1)
        patched.setattr("plonnx.layout.readings.FEWER_READINGS", 1)
        layout = Layout(case.model.builder, case.layout.shape)
        check_all(layout)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("lanes", [1, 3])
def test_layers_that_share_a_reading(lanes: int, hidden: bool) -> None:
    """As many as it takes: each reads what was copied above its equations, as a tree's do, and has P as a factor."""
    random, b = np.random.default_rng(lanes), Builder(BITS, hidden, weight_bits=4, bias_bits=8)
    x, counts = b.input("x", (3, 2)), [1 + number % 4 for number in range(FEWER_READINGS + 1)]
    for number, count in enumerate(counts):
        read = b.relu(x, f"r{number}") if number % 2 else x
        weights = random.integers(1, 8, (2, count))
        b.output(f"y{number}", b.linear(read[number % 3 : number % 3 + 1], weights, None, f"y{number}"))
    case = lay_out(Model(b, {"x": random.integers(-30, 31, (1, 3, 2))}), lanes, 3)
    readings = Fixed(case.layout).readings
    (joined,) = (one for one in readings if one.by_power)
    assert len(readings) <= 2 and len(joined.rows) >= 2 * FEWER_READINGS
    check_all(case.layout)
    assert case.failures(case.witness()) == []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("plonnx.layout.readings.FEWER_READINGS", len(counts) + 1)
        single = [one for one in Fixed(case.layout).readings if not one.by_power]
    mixed = [replace(one, alone=number % 2 == 0) for number, one in enumerate(single * 2)]
    found = Fixed(case.layout)._joined(mixed)
    assert {one.alone for one in found if one.by_power} == {False, True}, "with a second factor, and without, are apart"
    last = (joined.last[0][1:], joined.last[1][1:])
    fewer = [replace(one, rows=one.rows[1:], last=last) if one is joined else one for one in readings]
    with pytest.MonkeyPatch.context() as patched, pytest.raises(AssertionError, match="coefficients"):
        patched.setattr(Fixed, "readings", property(lambda self: fewer))
        check_all(case.layout)


def test_the_geometries_have_all_that_is_checked() -> None:
    found = {name: Counted() for name in GEOMETRIES}
    for name in GEOMETRIES:
        for lanes in (1, 2, 3):
            found[name] += check(circuit(name, lanes).layout)
    assert all(counted.words for counted in found.values()), found
    assert [name for name, counted in found.items() if not counted.borders] == NO_BORDERS
    assert found["lone"].idle  # where a sum has operands, every lane of the row is one
    for name, lanes, way in (("padded", 1, "accumulated"), ("lone", 1, "at once"), ("lone", 2, "at once")):
        layout = circuit(name, lanes).layout
        empty = [p for p in layout.places if p.reader is not None and np.any(np.all(p.units < 0, axis=(1, 2)))]
        assert any(place.height == 1 for place in empty)
        assert reading(layout) == way


@pytest.mark.parametrize("name", GEOMETRIES)
def test_of_hidden_values_the_hidden_columns_alone_depend(name: str) -> None:
    """Random weights and biases, zeros, and all equal: the same circuit but for the columns that are committed."""

    def shown(draw: Draw | None) -> tuple[Any, ...]:
        layout = circuit(name, 2, hidden=True, draw=draw).layout
        made = arithmetize(layout, name, layout.tensors)
        made.finish()
        columns = enumerate(made.fixed_columns)
        public = [(np.asarray(c.values).tobytes(), c.palette, c.labels) for at, c in columns if at not in made.hidden]
        gates = [(gate.name, str(gate.expression)) for gate in made.gates]
        named = made.fixed_names, made.advice_names, sorted(made.hidden), made.combinations
        return public, gates, named, made.instances, made.challenges

    assert shown(None) == shown(lambda reach, shape: np.zeros(shape, np.int64))
    assert shown(None) == shown(lambda reach, shape: np.full(shape, reach))


# What the check would say of a circuit that is wrong ----------------------------------------------------------------


def raised(column: Integers, to: int = 1) -> Integers:
    """With more on the first row that is marked."""
    changed = column.copy()
    changed[np.flatnonzero(column)[0]] += to
    return changed


def unmarked(column: Integers) -> Integers:
    """Without its first mark."""
    changed = column.copy()
    changed[np.flatnonzero(column)[0]] = 0
    return changed


def moved(column: Integers) -> Integers:
    """One row lower."""
    return np.roll(column, 1)


def without_the_first(lanes: list[Integers]) -> list[Integers]:
    """The first lane's column misses a mark."""
    return [unmarked(lanes[0]), *lanes[1:]]


def every_lane(lanes: list[Integers]) -> list[Integers]:
    """What one lane has, all have."""
    return [np.maximum.reduce(lanes)] * len(lanes)


def side_by_side(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A change to what is of lanes whose positions are one apart."""
    return lambda spaced: {**spaced, 1: change(spaced[1])}


def unending(carries: dict[Any, Integers]) -> dict[Any, Integers]:
    """The first run goes on with the second one."""
    every = np.maximum.reduce(list(carries.values()))
    end = np.flatnonzero((every[:-1] == 0) & (np.r_[0, every[:-2]] == 1))[0]
    changed = {monomial: column.copy() for monomial, column in carries.items()}
    changed[min(changed)][end] = 1
    return changed


def forgetful(holds: dict[Any, Integers]) -> dict[Any, Integers]:
    """One of the rows after which a sum goes on is not."""
    first = next(iter(holds))
    return {**holds, first: unmarked(holds[first])}


def other_multiple(readings: list[Reading]) -> list[Reading]:
    """The first product's multiplier is one more."""
    at = next(number for number, reading in enumerate(readings) if not reading.alone)
    return [*readings[:at], replace(readings[at], multiplier=readings[at].multiplier + 1), *readings[at + 1 :]]


def other_last(readings: list[Reading], change: Callable[[Any], Any]) -> list[Reading]:
    """The first reading takes other cells on the last rows of its runs."""
    last = change(np.array(readings[0].last))
    return [replace(readings[0], last=(last[0], last[1])), *readings[1:]]


def as_positive(last: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nothing of b."""
    return np.array([last[0], np.zeros_like(last[1])])


def other_word(words: list[Words]) -> list[Words]:
    """The first lane's first value at another place of its word."""
    return [replace(words[0], places=[raised(words[0].places[0]), *words[0].places[1:]]), *words[1:]]


def without_a_square(squares: list[Squared]) -> list[Squared]:
    """The first row that is squared is not."""
    a, b = (cells.copy() for cells in squares[0].cells)
    a[0] = b[0] = False
    return [replace(squares[0], cells=(a, b)), *squares[1:]]


def every_square(one: Squared) -> Squared:
    """All lanes are squared."""
    return replace(one, cells=(np.ones_like(one.cells[0]), one.cells[1]))


def as_magnitudes(one: Squared) -> Squared:
    """|v| and not v^2."""
    return replace(one, magnitudes=not one.magnitudes)


def turned_rows(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A change to what is read of places that stand turned."""
    return lambda spaced: {**spaced, BY_CHI: change(spaced[BY_CHI])}


def last_lane(lanes: list[Integers]) -> list[Integers]:
    """The last lane's column has what the first one's has: what stands beside the values is read as they are."""
    return [*lanes[:-1], np.maximum(lanes[-1], lanes[0])]


def as_of_full_rows(carries: dict[Any, Integers]) -> dict[Any, Integers]:
    """Sums go on from a first row of fewer values as from others."""
    full, fewer = ((("chi", power),) for power in (2, 1))
    return {**carries, full: carries[full] + carries[fewer], fewer: np.zeros_like(carries[fewer])}


def marked(name: str) -> str:
    """A column that gadgets mark, among the attributes of Fixed."""
    return f"column {name}"


WRONG: dict[str, tuple[str, str, int, Callable[[Any], Any], str]] = {
    "a weight": ("axes", "weights", 2, lambda columns: np.stack([raised(columns[0]), *columns[1:]]), "coefficients"),
    "a bias": ("axes", marked("bias"), 2, raised, "coefficients"),
    "a coefficient of a sum": ("lone", marked("coefficients a"), 2, raised, "coefficients"),
    "a view of a sum": ("lone", marked("coefficients b"), 2, unmarked, "coefficients"),
    "a value that is not read": (
        "axes",
        "reads",
        2,
        side_by_side(lambda r: (without_the_first(r[0]), r[1])),
        "coefficients",
    ),
    "a sign that is not read": (
        "axes",
        "reads",
        2,
        side_by_side(lambda r: (r[0], without_the_first(r[1]))),
        "coefficients",
    ),
    "idle lanes that are read": ("axes", "reads", 2, side_by_side(lambda r: (every_lane(r[0]), r[1])), "idle a"),
    "an equation left out": ("axes", "gathered", 2, side_by_side(without_the_first), "the equations differ"),
    "an equation of an idle lane": ("axes", "gathered", 2, side_by_side(every_lane), "idle c"),
    "a power of chi left out": ("axes", "steps", 1, unmarked, "coefficients"),
    "a window left out": ("larger", "windows", 2, unmarked, "coefficients"),
    "a border term left out": ("larger", "borders", 2, side_by_side(unmarked), "coefficients"),
    "border terms one row lower": ("larger", "borders", 2, side_by_side(moved), "coefficients"),
    "border terms elsewhere": (
        "larger",
        "borders",
        2,
        side_by_side(lambda b: moved(moved(b))),
        "a border term reaches an equation",
    ),
    "a last value that is not read": ("lone", "readings", 1, lambda r: other_last(r, np.zeros_like), "coefficients"),
    "a last value read as positive part": ("lone", "readings", 1, lambda r: other_last(r, as_positive), "coefficients"),
    "idle lanes that are read on a last row": ("lone", "readings", 2, lambda r: other_last(r, np.ones_like), "idle a"),
    "a run that does not begin anew": ("axes", "carries", 2, unending, "coefficients"),
    "a border that is not taken": ("axes", "totals", 2, lambda t: {(): unmarked(t[()])}, "coefficients"),
    "a run that is not taken": (
        "axes",
        "totals",
        2,
        lambda t: {(): unmarked(t[()][::-1])[::-1]},
        "the equations differ",
    ),
    "a masked score that is read": (
        "ragged",
        "reads",
        3,
        side_by_side(lambda r: (every_lane(r[0]), r[1])),
        "coefficients",
    ),
    "a square that is not taken": ("turned", "squares", 2, without_a_square, "coefficients"),
    "squares of idle lanes": ("turned", "squares", 3, lambda s: [*s[:1], every_square(s[1])], "idle [ab]"),
    "squares of what stands beside": ("turned", "squares", 2, lambda s: [every_square(s[0]), *s[1:]], "coefficients"),
    "a factor beside that is read": (
        "turned",
        "reads",
        2,
        turned_rows(lambda r: (last_lane(r[0]), r[1])),
        "coefficients",
    ),
    "a factor beside that is left out": (
        "turned",
        "seconds",
        2,
        lambda s: ([*s[0][:-1], unmarked(s[0][-1])], s[1]),
        "coefficients",
    ),
    "a factor's idle lanes": ("turned", "seconds", 3, lambda s: (every_lane(s[0]), s[1]), "idle a|coefficients"),
    "a factor beside that is not held": ("turned", "holds", 2, forgetful, "coefficients"),
    "a first row as long as others": ("turned", "carries", 2, as_of_full_rows, "share a monomial|coefficients"),
    "a magnitude for a square": ("turned", "squares", 2, lambda s: [as_magnitudes(s[0]), *s[1:]], "coefficients"),
    "a turn left out": ("turned", "turns", 2, unmarked, "two equations share a monomial"),
    "a window behind equations that stand turned": ("turned", "windows", 2, unmarked, "share a monomial|coefficients"),
    "a bias of a lane": ("turned", marked("biases of a turned place of lane 1"), 2, raised, "coefficients"),
    "a bias of a cell of a run": ("embedded", marked("biases of runs of lane 1"), 2, raised, "coefficients"),
    "one of what lies apart": ("embedded", marked("biases of runs, 2 apart of lane 1"), 2, raised, "coefficients"),
    "one of a row alone": ("embedded", marked("constants of lane 1"), 2, raised, "coefficients"),
    "one of a turned cell": ("embedded", marked("biases of a turned place of lane 1"), 2, raised, "coefficients"),
    "a word": ("axes", "words", 2, other_word, "not that of the words"),
    "a function not applied": ("gadgets", marked("applied"), 2, unmarked, "applied misses"),
    "a start elsewhere": ("gadgets", marked("maximum start"), 2, moved, "maximum start misses"),
    "a candidate left out": ("gadgets", marked("maximum chain"), 2, unmarked, "maximum chain misses"),
    "a product not made": ("gadgets", marked("product"), 2, unmarked, "product misses"),
    "another multiplier": ("gadgets", marked("multiplier"), 2, raised, "another multiplier"),
    "a second factor left out": ("products", "seconds", 2, lambda s: (without_the_first(s[0]), s[1]), "coefficients"),
    "a second factor's sign": ("products", "seconds", 2, lambda s: (s[0], without_the_first(s[1])), "coefficients"),
    "a second factor's idle lanes": ("products", "seconds", 2, lambda s: (every_lane(s[0]), s[1]), "idle a"),
    "a second factor that is not held": ("products", "holds", 2, forgetful, "coefficients"),
    "another multiple of a product": ("products", "readings", 2, other_multiple, "coefficients"),
    "a comparison that does not start": ("decisions", marked("comparison start"), 2, unmarked, "start misses"),
    "a comparison not decided": ("decisions", marked("comparison above"), 2, unmarked, "above misses"),
    "a difference not decided": ("decisions", marked("comparison apart"), 2, unmarked, "apart misses"),
    "a comparison not stated": ("decisions", marked("comparison plain"), 2, unmarked, "plain misses"),
    "an opposite not stated": ("decisions", marked("comparison opposite"), 2, moved, "opposite misses"),
    "a selection not made": ("decisions", marked("select"), 2, unmarked, "select misses"),
    "another value's unit": ("decisions", marked("second"), 2, unmarked, "second misses"),
    "a Boolean that is none": ("decisions", marked("boolean"), 2, unmarked, "boolean misses"),
    "a narrow input that is none": ("decisions", marked("narrow"), 2, unmarked, "narrow misses"),
    "a narrow input from zero on": ("decisions", marked("natural narrow"), 2, unmarked, "natural narrow misses"),
    "a whole number that is none": ("decisions", marked("whole"), 2, unmarked, "whole misses"),
    "a natural number that is none": ("decisions", marked("natural whole"), 2, unmarked, "natural whole misses"),
    "other multiples of a natural number": ("decisions", marked("natural whole"), 2, raised, "the range of another"),
    "another range of a narrow input": ("decisions", marked("narrow"), 2, raised, "the range of another input"),
    "e free elsewhere": ("gadgets", marked("extended"), 2, np.ones_like, "a copy (of|into) what row"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_circuit_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, of, lanes, change, said = WRONG[what]
    if of.startswith(marked("")):
        column = Fixed.column
        wrong = lambda self, name: change(column(self, name)) if of == marked(name) else column(self, name)  # noqa: E731
        monkeypatch.setattr(Fixed, "column", wrong)
    else:
        right = inspect.getattr_static(Fixed, of).func
        monkeypatch.setattr(Fixed, of, property(lambda self: change(right(self))))
    with pytest.raises(AssertionError, match=said):
        check_all(circuit(name, lanes).layout)


def test_windows_that_are_too_narrow_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """psi^Omega keeps a convolution's border apart from the next one's equations."""
    monkeypatch.setattr(Positions, "omega", lambda self, lanes: 16)
    with pytest.raises(AssertionError, match="a border term reaches an equation"):
        check_all(circuit("axes", 2).layout)


def test_idle_channels_that_are_read_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading of all runs of its place, those of zeros among them: what the prover writes there counts."""
    right = inspect.getattr_static(Fixed, "readings").func

    def all_runs(self: Fixed) -> list[Reading]:
        rows = np.concatenate([place.last_rows for place, _ in self.readers])
        every = np.ones((len(rows), self.lanes), bool)
        first, *others = right(self)
        assert len(rows) > len(first.rows)
        return [replace(first, rows=rows, last=(every, every)), *others]

    layout = circuit("lone", 1).layout
    check_all(layout)
    assert reading(layout) == "at once"
    monkeypatch.setattr(Fixed, "readings", property(all_runs))
    with pytest.raises(AssertionError, match=r"'idle [ab]', .* in an equation"):
        check_all(layout)


def test_another_cell_copied_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two operands of a maximum exchanged: the copies bind other units than the gadget names."""
    right = Layout.__dict__["copied"].func

    def exchanged(layout: Layout) -> Copied:
        copied: Copied = right(layout)
        (place,) = (place for place in layout.places if place.name == "m")
        at = np.flatnonzero(np.isin(copied.rows, place.rows_at(0)))[:2]
        assert copied.refs[at[0]] != copied.refs[at[1]]
        refs = copied.refs.copy()
        refs[at] = refs[at[::-1]]
        return copied._replace(refs=refs)

    monkeypatch.setattr(Layout, "copied", property(exchanged))
    with pytest.raises(AssertionError, match="copy of another cell"):
        Operands(Audited(circuit("gadgets", 2).layout)).check()
