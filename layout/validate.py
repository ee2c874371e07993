"""What the parts of a circuit file must say together, whoever made it; every loading asks for it.

A builder that passes can be run, laid out and proved without an index that leads nowhere: blocks follow one another,
refer to units made before them, and are as large as their operands say. Exact sums cannot wrap around the field,
whatever the file holds: operands are 64-bit integers, values below T, so that 2^40 terms stay below 2^128. A sum that
leaves 62 bits gives a witness that does not satisfy the circuit. That a circuit is a certain model no check can see:
compile the model again and compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.blocks import ABSENT, Block, Convolution, Function, Input, Lookup, Maximum, Product, Sum
from plonnx.gadgets.builder import Builder
from plonnx.kzg.record import printable, require

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.inputs import Port

Integers = NDArray[np.int64]
TABLE_BITS = (2, 24)
MOST_BITS = 60  # of a declared width: sums stay below 2^62
MOST_OFFSET = 1 << 20  # of a tap
MOST_POSITIONS = 1 << 40  # that the axes of all convolutions span: powers of psi are counted in 64 bits
MOST_ARGUMENT = 1 << 40  # of a function


def validate_builder(builder: Builder) -> None:
    """Raise Malformed where a builder does not hold together."""
    low, high = TABLE_BITS
    require(low <= builder.table_bits <= high, f"table_bits is not in {low}..{high}")
    if builder.hidden:
        widths = (builder.weight_bits, builder.bias_bits)
        require(all(2 <= bits <= MOST_BITS for bits in widths), f"a declared width is not in 2..{MOST_BITS} bits")
    for function in builder.functions:
        _function(builder, function)
    made = 0
    for number, block in enumerate(builder.blocks):
        where = f"block {number}"
        require(printable(block.name), f"{where}: its name cannot be printed")
        require(block.first == made, f"{where}: its units do not follow those before")
        require(block.count == _count(block, where) > 0, f"{where}: its units are not as many as its operands give")
        least = ABSENT if isinstance(block, Convolution) else 0
        require(_inside(block.operands, least, 2 * made - 1), f"{where} reads units that are not made before it")
        if builder.hidden:
            _widths(builder, block, where)
        made += block.count
    extents = [1] * max((len(block.shape) for block in _convolutions(builder)), default=1)
    for block in _convolutions(builder):
        for axis, extent in enumerate(_extents(block), start=1):
            extents[-axis] = max(extents[-axis], extent)
    require(prod(extents) <= MOST_POSITIONS, "the convolutions span too many positions")
    require(len(builder.outputs) > 0, "there is no output")
    for output in builder.outputs:
        cells = output.cells
        require(printable(output.name), "the name of an output cannot be printed")
        require(cells.refs.size > 0 and _inside(cells.refs, 0, 2 * made - 1), f"output {output.name} is of no units")
        within = -builder.table_size < cells.low <= cells.high < builder.table_size
        require(within, f"output {output.name}: its interval is not inside the table's")
    for role, names in (("inputs", [b.name for b in builder.inputs]), ("outputs", [o.name for o in builder.outputs])):
        require(len(set(names)) == len(names), f"two {role} have one name")


def _function(builder: Builder, function: Function) -> None:
    size = builder.table_size
    require(printable(function.name), "the name of a function cannot be printed")
    require(function.values.ndim == 1 and len(function.values) > 0, f"function {function.name} has no table")
    require(_inside(function.values, 1 - size, size - 1), f"function {function.name} has a value beyond the table")
    domain = function.low >= -MOST_ARGUMENT and function.high <= MOST_ARGUMENT
    require(domain, f"function {function.name} is defined too far out")


def _count(block: Block, where: str) -> int:
    """The units of a block, from its operands and shape."""
    if isinstance(block, Input):
        require(all(size > 0 for size in block.shape), f"{where}: its shape has an empty axis")
        return prod(block.shape)
    if isinstance(block, Convolution):
        return _convolution(block, where)
    if isinstance(block, Sum):
        require(block.terms.ndim == 2, f"{where}: its terms are no matrix")
        require(len(block.coefficients) == len(block.terms), f"{where} has not one coefficient for each term")
        constant = block.constant is None or block.constant.shape == block.terms.shape[1:]
        require(constant, f"{where}: its constant has another shape")
        return int(block.terms.shape[1])
    if isinstance(block, Maximum):
        require(block.candidates.ndim == 2 and len(block.candidates) > 1, f"{where} has no two candidates")
        return int(block.candidates.shape[1])
    if isinstance(block, Product):
        require(block.factors.ndim == 2 and len(block.factors) == 2, f"{where} has not two factors")
        return int(block.factors.shape[1])
    assert isinstance(block, Lookup)
    require(block.x.ndim == 1, f"{where}: its operand is no list")
    return len(block.x)


def _convolution(block: Convolution, where: str) -> int:
    axes = len(block.shape)
    require(axes > 0 and block.x.ndim == 1 + axes and block.x.size > 0, f"{where}: its input does not fit its shape")
    channels, taps = len(block.x), len(block.offsets)
    weights = block.weights.ndim == 3 and block.weights.shape[:2] == (channels, taps) and block.weights.size > 0
    require(weights, f"{where}: its weights do not fit its input and taps")
    require(block.offsets.shape == (taps, axes), f"{where}: its offsets do not fit its taps")
    require(_inside(block.offsets, -MOST_OFFSET, MOST_OFFSET), f"{where}: a tap lies too far out")
    require(block.groups > 0 and channels % block.groups == 0, f"{where}: its groups do not fit its channels")
    require(block.bias is None or block.bias.shape == (block.outputs,), f"{where}: its bias does not fit its outputs")
    require(all(size > 0 for size in block.shape), f"{where}: its shape has an empty axis")
    return block.outputs * prod(block.shape)


def _extents(block: Convolution) -> list[int]:
    """The positions that a convolution can reach on each axis, the last axis first."""
    reach = np.abs(block.offsets).max(axis=0).tolist()
    sizes = zip(block.shape, block.x.shape[1:], reach, strict=True)
    return [shape + grid + 2 * far for shape, grid, far in sizes][::-1]


def _widths(builder: Builder, block: Block, where: str) -> None:
    """What a hidden model declares holds: the registration proves it, and needs its every bias."""
    if isinstance(block, Convolution):
        require(block.bias is not None, f"{where}: a hidden layer has a bias")
        limit = 1 << (builder.weight_bits - 1)
        require(_inside(block.weights, -limit, limit - 1), f"{where}: a weight is wider than declared")
    added = block.bias if isinstance(block, Convolution) else block.constant if isinstance(block, Sum) else None
    limit = 1 << (builder.bias_bits - 1)
    require(added is None or _inside(added, -limit, limit - 1), f"{where}: a bias is wider than declared")


def validate_circuit(circuit: ModelCircuit) -> None:
    """Raise Malformed where the builder, its shape and its ports do not fit; the builder itself is valid."""
    builder, shape = circuit.builder, circuit.shape
    room = shape.lanes * shape.active_rows
    require(builder.unit_count <= room, f"{builder.unit_count} units are more than 2^{shape.k} rows hold")
    inputs = [(block.name, block.shape, block.public) for block in builder.inputs]
    outputs = [(output.name, output.cells.shape, output.public) for output in builder.outputs]
    require(len(inputs) > 0, "there is no input")
    require(_stated(circuit.inputs) == inputs, "the inputs are not those of the blocks")
    require(_stated(circuit.outputs) == outputs, "the outputs are not those of the blocks")
    limits = all(port.limit <= builder.table_size for port in (*circuit.inputs, *circuit.outputs))
    require(limits, "a limit lies beyond the range table")


def _stated(ports: Sequence[Port]) -> list[tuple[str, tuple[int, ...], bool]]:
    return [(port.name, port.shape, port.public) for port in ports]


def _convolutions(builder: Builder) -> Iterable[Convolution]:
    return (block for block in builder.blocks if isinstance(block, Convolution))


def _inside(values: Integers, low: int, high: int) -> bool:
    return not values.size or bool(low <= int(values.min()) and int(values.max()) <= high)
