"""Rows of a constant matrix at computed indices: Gather, as embeddings of tokens use it, and GatherElements.

A column of a small matrix is a function of the index, a lookup table over [0, V); of a large one whole rows are looked
up (gadgets/linear/embedding.py). An index outside has no row, so that it can't be proved (a negative one counts from
the end, indexing.py). A private matrix stands in no table: its rows are multiplied by [index = 0], [index = 1], ..
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.fixed_point import Call, Scaled
from plonnx.compiler.graph import Array
from plonnx.compiler.ops.indexing import from_the_front
from plonnx.gadgets import Cells, Function
from plonnx.gadgets.function import apply
from plonnx.gadgets.linear.standing_rows import standing_rows

MOST_ENTRIES = 1 << 20
"""Of [index = row] over all indices and rows."""
TABLED = 1 << 16
"""A matrix of more entries is looked up by rows: tables of columns would be longer than what they serve."""
MANY = 1 << 12
"""So is one of so many entries that is asked for so many: rows stand where a normalization reads them."""


def by_rows(matrix: Array, asked: int) -> bool:
    """Whether rows of a public model's matrix are looked up whole. asked: the entries of all rows that are."""
    return matrix.size > TABLED or min(matrix.size, asked) >= MANY


def rows(call: Call, matrix: Array, index: Scaled, axis: int, added: Array | None = None) -> Cells:
    """Gather of a constant along `axis`, at the output's scale.

    added: to the rows along the first axis, of a matrix that is looked up by them; broadcast to the output's shape.
    """
    count = matrix.shape[axis]
    table = np.moveaxis(matrix, axis, 0).reshape(count, -1).astype(np.float64)
    if call.builder.hidden and count * index.cells.refs.size > MOST_ENTRIES:
        raise call.refuse(f"a matrix of {count} rows at computed indices is too large for a private model")
    with call.errors():
        places = from_the_front(call, index, count).reshape(-1)
        if call.builder.hidden:
            made = _secret(call, table, places)
        elif by_rows(table, table.shape[1] * places.refs.size):
            integers, beside = call.integers(table, call.scale), None
            if added is not None:
                beside = call.integers(np.broadcast_to(added, call.out.shape), call.scale).reshape(-1, table.shape[1])
            made = standing_rows(call.builder, places, integers, beside, f"{call.out.name}~rows")
        else:
            made = _shown(call, table, places)
    shape = call.out.shape
    before, after = shape[:axis], shape[axis + len(index.shape) :]
    order = np.moveaxis(np.arange(made.refs.size).reshape((-1, *before, *after)), 0, len(before))
    return made.reshape(-1).take(order.reshape(shape), 0)


def elements(call: Call, array: Array, index: Scaled) -> Cells:
    """GatherElements of a constant: entries of its flat form, each of which a row of one column."""
    axis = int(call.node.attributes.get("axis", 0)) % array.ndim
    kept = tuple(slice(None) if a == axis else slice(extent) for a, extent in enumerate(index.shape))
    flat = np.moveaxis(array[kept], axis, -1).reshape(-1, array.shape[axis])
    with call.errors():
        places = from_the_front(call, index, flat.shape[1])
        if len(flat) > 1 and (call.builder.hidden or np.any(flat != flat[0])):
            others = np.arange(len(flat)).reshape([1 if a == axis else n for a, n in enumerate(index.shape)])
            starts = np.broadcast_to(others * flat.shape[1] * call.builder.table_size, index.shape)
            terms = [(places, call.builder.table_size)]
            places = call.builder.sum(terms, starts, f"{call.out.name}~place", hides=False)
        else:
            flat = flat[:1]
    return rows(call, flat.reshape(-1, 1), Scaled(places, 0), 0)


def _shown(call: Call, table: Array, places: Cells) -> Cells:
    """[places, columns]: a function for each column."""
    integers = call.integers(table, call.scale)
    names = (f"{call.out.name}: column {number} of the matrix" for number in range(table.shape[1]))
    columns = [
        apply(call.builder, Function(name, 0, column), places, f"{call.out.name}[{number}]")
        for number, (name, column) in enumerate(zip(names, np.ascontiguousarray(integers.T), strict=True))
    ]
    return Cells.concatenate([column.reshape((-1, 1)) for column in columns], 1)


def _secret(call: Call, table: Array, places: Cells) -> Cells:
    """[places, columns]: the matrix times [index = row], a function of index - row; its domain is that of the index."""
    builder, count = call.builder, len(table)
    numbers = np.arange(1 - count, count)
    one = 1 << (call.table_bits - 1)
    equal = Function(f"index of {count} rows", 1 - count, np.where(numbers == 0, one, 0))
    found = []
    for row in range(count):
        offset = np.full(places.shape, -row << call.table_bits)
        apart = builder.sum([(places, 1 << call.table_bits)], offset, f"{call.out.name}@{row}", hides=False)
        found.append(apply(builder, equal, apart, f"{call.out.name}={row}", fuse=True).reshape((-1, 1)))
    return call.linear(Scaled(Cells.concatenate(found, 1), call.table_bits - 1), table)
