"""The models under attack: between them they use every gadget in every way."""

from __future__ import annotations

import numpy as np

from plonnx.gadgets import Builder, Cells, Function
from plonnx.gadgets.function import apply
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply
from plonnx.gadgets.product_sum import Link, product_sum
from plonnx.gadgets.quadratic import Quadratic
from tests.properties.models import Model


def everything() -> Model:
    """Dense layers read in place, through copies, weights in one row and in several; sums of every kind."""
    random = np.random.default_rng(7)
    b = Builder(5)
    x, hidden = b.input("x", (3, 2)), b.input("hidden", (1, 3), public=False)
    b.input("unread", (2,), public=False)
    dense = b.linear(x, random.integers(-6, 6, (2, 3), endpoint=True), np.array([100, -90, 33]), "dense")
    active = b.relu(dense, "active")
    wide = b.linear(active, random.integers(-5, 5, (3, 5), endpoint=True), None, "wide")
    again = b.linear(x.reshape(2, 3), random.integers(-7, 7, (3, 1), endpoint=True), None, "again")
    repeated = b.linear(hidden.broadcast_to((3, 3)), random.integers(-6, 6, (3, 2), endpoint=True), None, "repeated")
    mixed = b.sum([(dense.reshape(-1), 16), (b.relu(dense, "part").reshape(-1), -7)], np.full(9, 50), "mixed")
    varied = b.sum([(repeated, 32)], np.array([[40, -40], [500, 7], [0, -3]]), "varied")
    b.output("wide", wide)
    b.output("again", b.relu(again, "positive"))
    b.output("mixed", mixed)
    b.output("varied", varied)
    b.output("first input again", x)
    inputs = {
        "x": np.array([[[3, -20], [31, 7], [-9, 14]]]),
        "hidden": np.array([[[-5, 30, 12]]]),
        "unread": np.array([[4, -4]]),
    }
    return Model(b, inputs)


def copied() -> Model:
    """One input that two dense layers read in different shapes: the second reads copies."""
    b = Builder(5)
    x = b.input("x", (4,))
    b.output("first", b.linear(x.reshape(1, 4), np.array([[5], [-6], [7], [3]]), None, "first"))
    b.output("second", b.linear(x.reshape(2, 2), np.array([[11], [-9]]), None, "second"))
    return Model(b, {"x": np.array([[3, -20, 31, 7]])})


def idle() -> Model:
    """Two hidden rows: the lane that they leave idle is in no public value."""
    b = Builder(5)
    x, z = b.input("x", (2, 2), public=False), b.input("z", (1,))
    b.output("y", b.linear(x, np.array([[11], [-9]]), None, "y"), public=False)
    b.output("w", b.sum([(z, 40)], None, "w"))
    return Model(b, {"x": np.array([[[30, -20], [3, 4]]]), "z": np.array([[9]])})


def functions() -> tuple[Function, Function]:
    """Two tables of different domains; they agree nowhere."""
    at = np.arange(-31, 32)
    return Function("square", -31, at**2 % 32), Function("falling", 0, 31 - np.arange(32))


def picture() -> Model:
    """Convolutions with borders, in one group and in two, a pool, functions fused and not, a product."""
    random = np.random.default_rng(3)
    square, falling = functions()
    b = Builder(5)
    x, h = b.input("x", (2, 3, 3)), b.input("h", (2, 2, 2), public=False)
    around = np.array([[-1, -1], [0, 0], [0, 1], [1, 0]])
    y = b.convolution(x, random.integers(-15, 16, (2, 4, 2)), around, np.array([90, -70]), (3, 3), "y")
    r = b.relu(y, "r")
    m = maximum(b, [r[:, i : i + 2, j : j + 2] for i in range(2) for j in range(2)], "m")
    d = b.convolution(m, random.integers(-90, 91, (2, 2, 1)), np.array([[0, 0], [1, -1]]), None, (2, 2), "d", 2)
    f = apply(b, square, d, "f", fuse=True)
    g = apply(b, falling, r[0, 0], "g")
    p = multiply(b, f, h, 1, "p")
    b.output("y", y)
    b.output("m", m)
    b.output("f", f)
    b.output("g", g)
    b.output("p", p)
    return Model(b, {"x": random.integers(-31, 32, (1, 2, 3, 3)), "h": random.integers(-31, 32, (1, 2, 2, 2))})


def chains() -> Model:
    """Sums of products of three and of four operands, of which some are read otherwise, too; and a product."""
    random = np.random.default_rng(5)
    b = Builder(5)
    x, h = b.input("x", (3, 3)), b.input("h", (3, 3), public=False)
    y = b.linear(x, random.integers(-15, 16, (3, 3)), None, "y")
    r = b.relu(y, "r")
    s = product_sum(b, x, [Link(h, 1), Link(r, 0, 32), Link(x, -1, 16)], "s")
    m = product_sum(b, h, [Link(r, -1, 16), Link(s, 1, 8)], "m")
    b.output("m", m)
    b.output("p", product_sum(b, m, [Link(s, 2)], "p"))
    return Model(b, {"x": random.integers(-31, 32, (1, 3, 3)), "h": random.integers(-15, 16, (1, 3, 3))})


def curves() -> Model:
    """Polynomials joined to a layer in place and to a sum, of copies, and a table beside them."""
    random = np.random.default_rng(4)
    b = Builder(5)
    x = b.input("x", (3, 2))
    layer = b.linear(x, random.integers(-15, 16, (2, 3)), np.array([40, -9, 0]), "layer")
    p = apply(b, Quadratic("p", -20, 20, 2, 4, -30), layer, "p", fuse=True)
    q = apply(b, Quadratic("q", -31, 31, 1, 0, 0), b.sum([(p, 60)], None, "total"), "q", fuse=True)
    r = apply(b, Quadratic("r", -12, 12, -4, 6, 100), b.sum([(x, 25)], None, "scaled"), "r")
    t = apply(b, functions()[0], x[0], "t")
    for name, made in (("p", p), ("q", q), ("r", r), ("t", t)):
        b.output(name, made)
    return Model(b, {"x": random.integers(-15, 16, (1, 3, 2))})


def channels() -> Model:
    """A group for each of five channels, which take their powers of chi from P; then one convolution of all."""
    random = np.random.default_rng(5)
    b = Builder(5)
    x = b.input("x", (5, 3), public=False)
    y = b.convolution(x, random.integers(-9, 10, (5, 2, 1)), np.array([[-1], [1]]), None, (3,), "y", 5)
    z = b.convolution(y, random.integers(-25, 26, (5, 2, 2)), np.array([[0], [1]]), np.array([7, -40]), (2,), "z")
    b.output("y", y)
    b.output("z", b.relu(z, "positive"))
    return Model(b, {"x": random.integers(-31, 32, (1, 5, 3))})


def views() -> Model:
    """A maximum of values of either sign, of a tie, and of positive parts; a copy of values and positive parts."""
    b = Builder(5)
    x = b.input("x", (2, 3))
    halves = b.sum([(x, 16)], None, "halves")
    ties = maximum(b, [halves, halves.take([1, 0], 0), b.relu(halves, "positive")[:, ::-1]], "ties")
    below = maximum(b, [halves[0], halves[1]], "below")
    both = Cells.concatenate([halves, b.relu(x, "r")], 0)
    b.output("ties", ties)
    b.output("below", below)
    b.output("total", b.linear(both.transpose(), np.array([[5], [-9], [8], [3]]), None, "total"))
    return Model(b, {"x": np.array([[[-30, 9, 4], [-12, 8, -31]]])})
