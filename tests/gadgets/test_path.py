"""Paths through trees: against plain Python, and searches over what a prover could put into their cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.gadgets import Builder, Cells
from plonnx.gadgets.path import walk
from plonnx.gadgets.shelf import shelve
from tests.gadgets.search import Search
from tests.properties.models import Model, lay_out

Integers = NDArray[np.int64]
Node = tuple[int, int, int, int]
"""(number, feature, threshold, left child)."""


def grown(random: np.random.Generator, features: int, size: int, depth: int) -> list[Node]:
    """A random tree: of a leaf the threshold is T and the child itself."""
    nodes: list[Node] = []
    level, used = [0], 1
    for _ in range(depth):
        below: list[int] = []
        for number in level:
            if number and random.random() < 0.3:
                nodes.append((number, 0, size - 1, number))
                continue
            feature, threshold = int(random.integers(features)), int(random.integers(-size, size))
            nodes.append((number, feature, threshold, used))
            below += [used, used + 1]
            used += 2
        level = below
    return nodes + [(number, 0, size - 1, number) for number in level]


def table(trees: list[list[Node]], depth: int, pitch: int) -> Integers:
    """As `walk` wants it."""
    rows = [(tree * pitch + i, 2 * f + (t < 0), t, left) for tree, nodes in enumerate(trees) for i, f, t, left in nodes]
    return np.array(sorted(rows))


def reached(nodes: list[Node], x: list[int], depth: int) -> int:
    """In plain Python."""
    known, at = {node[0]: node for node in nodes}, 0
    for _ in range(depth):
        _, feature, threshold, left = known[at]
        at = left + (x[feature] > threshold) if left != at else at
    return at


def forest(builder: Builder, x: Cells, trees: list[list[Node]], depth: int) -> Cells:
    pitch = 2 + max(left for nodes in trees for *_, left in nodes)
    shelf = shelve(builder, x, "shelf").reshape(x.shape)
    return walk(builder, shelf, table(trees, depth, pitch), np.arange(len(trees)) * pitch, depth, "leaf")


@settings(max_examples=15)
@given(st.integers(0, 1 << 30), st.integers(6, 9), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
def test_a_path(seed: int, bits: int, samples: int, count: int, lanes: int) -> None:
    random, size = np.random.default_rng(seed), 1 << bits
    depth, features = int(random.integers(1, 5)), int(random.integers(1, 4))
    trees = [grown(random, features, size, depth) for _ in range(count)]
    builder = Builder(bits)
    x = builder.input("x", (samples, features), public=False)
    builder.output("leaf", forest(builder, x, trees, depth))
    given = random.integers(1 - size, size, (1, samples, features))
    for sample in range(samples):  # on a threshold and beside it
        _, feature, threshold, _ = trees[0][int(random.integers(len(trees[0])))]
        given[0, sample, feature] = np.clip(threshold + random.integers(-1, 2), 1 - size, size - 1)
    wanted = [[reached(nodes, row, depth) for nodes in trees] for row in given[0].tolist()]
    assert builder.evaluate({"x": given})["leaf"][0].tolist() == wanted
    case = lay_out(Model(builder, {"x": given}), lanes, 1)
    assert case.failures(case.witness()) == []


def test_two_forests_share_the_tables() -> None:
    random = np.random.default_rng(3)
    builder = Builder(6)
    x, y = (builder.input(name, (2, 3), public=False) for name in "xy")
    trees = [[grown(random, 3, 64, depth) for _ in range(3)] for depth in (2, 3)]
    for cells, own, depth in ((x, trees[0], 2), (y, trees[1], 3)):
        builder.output(f"leaf{depth}", forest(builder, cells, own, depth))
    given = {name: random.integers(-63, 64, (1, 2, 3)) for name in "xy"}
    made = builder.evaluate(given)
    for name, depth, own in (("x", 2, trees[0]), ("y", 3, trees[1])):
        wanted = [[reached(nodes, row, depth) for nodes in own] for row in given[name][0].tolist()]
        assert made[f"leaf{depth}"][0].tolist() == wanted
    case = lay_out(Model(builder, given), 2, 1)
    assert case.failures(case.witness()) == []


# Searches ------------------------------------------------------------------------------------------------------------

UNITS = [(v, 0) for v in range(4)] + [(0, v) for v in range(1, 4)]


def stumps(x: int, instances: int) -> tuple[Search, list[int]]:
    """At T = 4 a shelf of one cell, and trees of one node over it: instances of every threshold, one after another."""
    thresholds = list(range(-4, 4))
    trees = [[(0, 0, t, 1)] for t in thresholds for _ in range(instances)]
    builder = Builder(2)
    forest(builder, builder.input("x", (1, 1), public=False), trees, 1)
    return Search(Model(builder, {"x": np.array([[[x]]])})), [t for t in thresholds for _ in range(instances)]


@pytest.mark.parametrize("x", [-3, 0, 2])
def test_no_other_cells_pass(x: int) -> None:
    """Every cell of each row over its whole range, those of two rows at random."""
    random = np.random.default_rng(x + 9)
    places = range(4)
    every = [(place, *cells) for place in (0, 1) for cells in itertools.product(UNITS, places, range(-1, 3))]
    instances = len(every) + 150
    search, thresholds = stumps(x, instances)
    names = ("a", "b", "c", "e")
    honest = np.zeros((3, 4, len(thresholds)), np.int64)
    for i, t in enumerate(thresholds):
        shown, above = (min(x, 0) if t < 0 else max(x, 0)), int(x > t)
        left = shown - t - above
        honest[0, :, i] = max(shown, 0), max(-shown, 0), 2 + (t < 0), 0
        honest[1, :, i] = max(left, 0), max(-left, 0), above, 1 + above
        honest[2, :, i] = 1 + above, 0, 0, 1 + above
    cells = honest.copy()
    for first in range(0, len(thresholds), instances):
        for i, (place, (a, b), c, e) in enumerate(every):
            cells[place, :, first + i] = a, b, c, e
        mixed = slice(first + len(every), first + instances)
        drawn = random.integers(0, len(UNITS), (3, 150))
        other = np.stack(
            [
                *np.array(UNITS).T[:, drawn].transpose(1, 0, 2)[:, :2].transpose(1, 0, 2),
                random.integers(0, 4, (3, 150)),
                random.integers(-1, 3, (3, 150)),
            ],
            axis=1,
        )
        keep = random.random((3, 4, 150)) < 0.6
        cells[:, :, mixed] = np.where(keep, honest[:, :, mixed], other)
        cells[:, 1, mixed] = np.where(cells[:, 0, mixed] > 0, 0, cells[:, 1, mixed])
    given = [dict(zip(names, row, strict=True)) for row in cells]
    passed = search.accepted(given)
    same = np.all((cells == honest)[:2], axis=(0, 1)) & np.all((cells == honest)[2][[0, 1, 3]], axis=0)
    np.testing.assert_array_equal(passed, same)
    assert passed.sum() > 8


FORGERIES = {  # cells of each row, of one tree after the other, whose thresholds are 2 and 1; x is 3, the leaves are 2
    "a path starts at a root": [{"e": [0, -3]}, {"a": [0, 0]}, {}],  # the second tree by the first one's node
    "a node's answer is 0 or 1": [{}, {"a": [0, 0], "c": [1, 2], "e": [2, 3]}, {"a": [2, 3], "e": [2, 3]}],
    "a node is decided": [{}, {"a": [1, 2], "c": [0, 0], "e": [1, 1]}, {"a": [1, 1], "e": [1, 1]}],
    "a path goes on": [{}, {}, {"a": [0, 0], "e": [0, 0]}],
    "a path ends at its leaf": [{}, {}, {"a": [3, 3]}],
}


@pytest.mark.parametrize("gate", FORGERIES)
def test_each_gate_is_needed(gate: str) -> None:
    """What it alone stops, at T = 8."""
    builder = Builder(3)
    forest(builder, builder.input("x", (1, 1), public=False), [[(0, 0, 2, 1)], [(0, 0, 1, 1)]], 1)
    search = Search(Model(builder, {"x": np.array([[[3]]])}), lanes=1)
    assert search.accepted([{}, {}, {}]).all()
    cells = [{part: np.array(values) for part, values in row.items()} for row in FORGERIES[gate]]
    assert not search.accepted(cells).all()
    assert search.accepted(cells, without=gate).all()


def test_lookups_are_needed() -> None:
    """Without the shelf another x, without the nodes another threshold."""
    builder = Builder(3)
    forest(builder, builder.input("x", (1, 1), public=False), [[(0, 0, 2, 1)]], 1)
    search = Search(Model(builder, {"x": np.array([[[2]]])}), lanes=1)
    one = np.ones(1, np.int64)
    other_x = [{"a": 3 * one}, {"a": 0 * one, "b": 0 * one, "c": one, "e": 2 * one}, {"a": 2 * one, "e": 2 * one}]
    other_node = [{}, {"a": one, "b": 0 * one, "c": one, "e": 2 * one}, {"a": 2 * one, "e": 2 * one}]
    for cells, lookup in ((other_x, "asks the shelf"), (other_node, "is at a node")):
        assert not search.accepted(cells).any()
        assert search.accepted(cells, without=lookup).all()


def test_cells_without_a_number_are_refused() -> None:
    """As a stranger's file may name them: x itself, or a part of a shelf."""
    builder = Builder(4)
    x = builder.input("x", (2, 2))
    shelf = shelve(builder, x, "shelf").reshape(2, 2)
    nodes = table([[(0, 0, 1, 1), (1, 0, 15, 1), (2, 0, 15, 2)]], 1, 4)
    for cells in (x, shelf[1:], shelf[:, ::-1]):
        with pytest.raises(ValueError, match="on no shelf"):
            walk(builder, cells, nodes, np.zeros(1, np.int64), 1, "leaf")


def test_a_path_is_recorded_again_as_it_is() -> None:
    """As somebody does who is given its fields: numbers of shelves and of other trees are not added twice."""
    builder, again = Builder(5), Builder(5)
    nodes = table([[(0, 0, 1, 1), (1, 0, 31, 1), (2, 0, 31, 2)]], 1, 4)
    for number in range(2):
        shelf = shelve(builder, builder.input(f"x{number}", (2, 2)), f"shelf{number}").reshape(2, 2)
        walk(builder, shelf, nodes, np.zeros(1, np.int64), 1, f"leaf{number}")
    for block in builder.blocks:
        block.again(again, lambda refs: Cells(refs, -31, 31))
    for one, other in zip(builder.blocks, again.blocks, strict=True):
        assert type(one) is type(other)
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, vars(other)[name])
