"""Samples between the given ones: there decisions come out otherwise sooner than on the data, and errors are larger.

A model was fitted to its calibration data, and midpoints of values, supports and margins keep them away from where it
decides. A table that decides all of them like the float model may err on one new sample in thirty. So the table of a
model with decisions in its outputs is also judged on samples of which every real entry has moved, at most to the next
value that this entry has in the data, up or down. Where data come in steps, it stays on their grid.

The largest error on few samples is small by chance, too: so the outputs of any model with fewer than 128 samples are
measured on these as well (judging.py). Ids have no next value: there half are what another sample has in that
place (`mixed`), or nothing of a model of tokens would be new. Not where outputs decide: a text that nobody wrote has
close decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from plonnx.compiler.calibration import index_counts
from plonnx.compiler.graph import Array, Graph
from plonnx.compiler.report import reals
from plonnx.compiler.steps import grid_of
from plonnx.compiler.tensor_error import TensorError
from plonnx.layout.inputs import Integers, Reals, joined

MOST_OFF = 1 / 256
"""The share of such samples on which a decision may come out otherwise: new data keep well below one in a hundred."""
_COUNT = 512
_CELLS = 1 << 25
"""Of all samples together: fewer of them are taken of a large model."""
_MIXED = 1 / 2
"""Of ids, the share that is another sample's."""
_SEED = 20240301


def between(graph: Graph, given: Mapping[str, Reals], units: int, mixed: bool = False) -> dict[str, Reals]:
    """Samples beside the given ones [samples, *shape], about _COUNT of them; `units` says how large the circuit is.

    mixed: inputs that choose rows of a table (ids) join entries of several samples.
    """
    count = len(next(iter(given.values())))
    random = np.random.RandomState(_SEED)
    wanted = int(np.clip(_CELLS // max(units, 1), 32, _COUNT))
    chosen = np.resize(random.permutation(count), wanted)
    ids = index_counts(graph) if mixed else {}
    moved = {}
    for name, values in given.items():
        taken = values[chosen]
        real = graph.tensors[name].dtype.kind == "f"
        moved[name] = _moved(values, chosen, random.uniform(-1, 1, taken.shape)) if real else taken
        if not real and name in ids:
            others = np.take_along_axis(values, random.randint(0, count, taken.shape), axis=0)
            moved[name] = np.where(random.uniform(size=taken.shape) < _MIXED, others, taken)
    return moved


def _moved(values: Reals, chosen: Array, by: Array) -> Reals:
    """The chosen samples, each entry moved by a share of the way to its next value, down where that is negative."""
    flat = values.reshape(len(values), -1)
    order = np.argsort(flat, axis=0, kind="stable")
    along = np.take_along_axis(flat, order, axis=0)
    fresh = np.diff(along, axis=0) > 0
    rows = np.arange(len(along))[:, None]
    edge = np.zeros((1, flat.shape[1]), bool)
    first = np.maximum.accumulate(np.where(np.concatenate([~edge, fresh]), rows, 0), axis=0)
    last = np.minimum.accumulate(np.where(np.concatenate([fresh, ~edge]), rows, len(rows) - 1)[::-1], axis=0)[::-1]
    below = np.take_along_axis(along, np.maximum(first - 1, 0), axis=0)
    above = np.take_along_axis(along, np.minimum(last + 1, len(rows) - 1), axis=0)
    down, up = (np.empty_like(flat) for _ in range(2))
    np.put_along_axis(down, order, along - below, axis=0)
    np.put_along_axis(up, order, above - along, axis=0)
    step = by.reshape(len(chosen), -1)
    way = np.where(step < 0, down[chosen], up[chosen])
    moved = flat[chosen] + step * way
    for entry, column in enumerate(flat.T):
        if (grid := grid_of(column)) is not None:
            moved[:, entry] = grid.nearest(moved[:, entry])
    made: Array = moved.reshape(len(chosen), *values.shape[1:])
    return made


def share_off(
    graph: Graph,
    circuit: Mapping[str, Integers],
    expected: Mapping[str, Array],
    errors: Sequence[TensorError],
    target: float,
) -> float:
    """The share of samples on which an output that follows from a decision is another one, or off by the target.

    errors: of these outputs on the given samples, for the ranges.
    """
    ranges = {error.name: error.range for error in errors if error.stepped}
    off = np.zeros(len(next(iter(expected.values()))), bool)
    for name, source in graph.outputs:
        if name in ranges:
            tensor = graph.tensors[source]
            most = target * ranges[name] if tensor.dtype.kind == "f" else 0.5
            distance = np.abs(reals(joined(circuit, name, tensor.wide), tensor) - expected[name])
            off |= distance.reshape(len(off), -1).max(axis=1) > most
    return float(off.mean())
