"""What the parts of a circuit file must say together, whoever made it; every loading asks for it.

A builder that passes can be run, laid out and proved without an index that leads nowhere: blocks follow one another,
refer to units made before them, and are as large as their operands say. Exact sums cannot wrap around the field,
whatever the file holds: operands are 64-bit integers, values below T, so that 2^40 terms stay below 2^128. A sum that
leaves 62 bits gives a witness that does not satisfy the circuit. That a circuit is a certain model no check can see:
compile the model again and compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.again import again, check_outputs
from plonnx.gadgets.builder import Builder
from plonnx.gadgets.function import Applied
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.contribution import Contribution
from plonnx.kzg.record import printable, require
from plonnx.layout import geometry
from plonnx.layout.parts import takes_and_frees
from plonnx.layout.shape import Shape

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.inputs import Port

Integers = NDArray[np.int64]
TABLE_BITS = (2, 24)
MOST_BITS = 60  # of a declared width: sums stay below 2^62
MOST_POSITIONS = 1 << 40  # that the axes of all convolutions span: powers of psi are counted in 64 bits
MOST_ARGUMENT = 1 << 40  # of a function

# What a file may ask for, beside a free part, for each of its bytes. Real ones hold a ref for nearly every cell; of an
# architecture's weights they hold the shape alone, and a ref for each input: some thousand weights share it.
FREE_CELLS, CELLS_A_BYTE = 1 << 20, 1 << 8
FREE_WEIGHTS, WEIGHTS_A_BYTE = 1 << 24, 1 << 13


def most_cells(size: int) -> int:
    """How many cells of a layout a file of so many bytes may ask for."""
    return FREE_CELLS + CELLS_A_BYTE * size


def most_weights(size: int) -> int:
    """How many cells of weight columns an architecture of so many bytes may ask for."""
    return FREE_WEIGHTS + WEIGHTS_A_BYTE * size


def validate_builder(builder: Builder, most: int) -> None:
    """Raise Malformed where a builder does not hold together, or needs more than `most` cells."""
    low, high = TABLE_BITS
    require(low <= builder.table_bits <= high, f"table_bits is not in {low}..{high}")
    if builder.hidden:
        widths = (builder.weight_bits, builder.bias_bits)
        require(all(2 <= bits <= MOST_BITS for bits in widths), f"a declared width is not in 2..{MOST_BITS} bits")
    for function in builder.applied:
        _function(builder, function)
    made, latest = 0, dict[str, Gadget]()
    for number, block in enumerate(builder.blocks):
        where = f"block {number}"
        require(printable(block.name), f"{where}: its name cannot be printed")
        require(block.first == made, f"{where}: its units do not follow those before")
        require(block.count == block.validate(where) > 0, f"{where}: its units are not as many as its operands give")
        if builder.hidden:
            block.widths(builder.weight_bits, builder.bias_bits, where)
        block.follows(latest.get(block.series), builder.table_size, where)
        latest[block.series] = block
        made += block.count
        require(made <= most, f"{where}: so many units are in no file of this size")
    _order(builder, made)
    extents, spaced = list[int](), geometry.spacings(builder.blocks)[0]
    for one, spacing in spaced.items():
        extents = geometry.longest(extents, _extents(one, spacing))
        windows = one.x[0].size * len(one.factor.offsets) <= most
        require(windows, "the windows of a kernel are more than in any file of this size")
    require(prod(extents) <= MOST_POSITIONS, "the convolutions span too many positions")
    pitched = prod(geometry.longest(extents, geometry.extents(spaced)))  # strides of no common multiple take more
    require(pitched <= MOST_POSITIONS, "the strides of the convolutions span too many positions")
    require(len(builder.outputs) > 0, "there is no output")
    for output in builder.outputs:
        cells = output.cells
        require(printable(output.name), "the name of an output cannot be printed")
        require(cells.refs.size > 0 and _inside(cells.refs, 0, 2 * made - 1), f"output {output.name} is of no units")
        within = -builder.table_size < cells.low <= cells.high < builder.table_size
        require(within, f"output {output.name}: its interval is not inside the table's")
    joined = (block.applies for block in builder.blocks if block.equations)
    if any(function is not None and function.limits_sums for function in joined):
        check_outputs(builder, again(builder, builder.blocks))  # gates that hold up to certain sums only
    for role, names in (("inputs", [b.name for b in builder.inputs]), ("outputs", [o.name for o in builder.outputs])):
        require(len(set(names)) == len(names), f"two {role} have one name")


def _function(builder: Builder, function: Applied) -> None:
    require(printable(function.name), "the name of a function cannot be printed")
    domain = function.low >= -MOST_ARGUMENT and function.high <= MOST_ARGUMENT
    require(domain, f"function {function.name} is defined too far out")
    function.validate(builder.table_size)


def _order(builder: Builder, units: int) -> None:
    """What is run reads only what was made before it, and everything is made; steps are taken in their order."""
    for part in builder.parts:
        require(part.block <= part.after < len(builder.blocks), "a step is not taken after its layer")
    steps = builder.steps_taken
    for number, block in enumerate(builder.blocks):
        taken = steps.get(number, [])
        require(taken == list(range(block.steps or 0)), f"block {number}: its steps are not taken in order")
    made = np.zeros(units, bool)
    for block, its in builder.order():
        operands = block.operands
        inside = _inside(operands, -1 if block.absent else 0, 2 * units - 1)
        require(
            inside and bool(made[operands[operands >= 0] >> 1].all()), f"{block.name} reads units not made before it"
        )
        made[its] = True
    require(bool(made.all()), "some units are never made")


def _extents(one: Contribution, spacing: geometry.Spacing) -> list[int]:
    """The positions that a contribution can reach on each axis."""
    reach = np.abs(one.factor.offsets).max(axis=0).tolist()
    sizes = zip(one.shape, one.steps.tolist(), one.x.shape[1:], reach, spacing, strict=True)
    return [(shape * by + grid + 2 * far) * apart for shape, by, grid, far, apart in sizes]


def validate_circuit(circuit: ModelCircuit, most: int) -> None:
    """Raise Malformed where the builder, its shape and its ports do not fit; the builder itself is valid.

    Nor may it need more than `most` cells: rows take all lanes, whether they are used or not.
    """
    builder, shape = circuit.builder, circuit.shape
    rows = 1 << shape.k  # tables are as long as these; a table that fits twice gains nothing
    require(rows <= max(most, 2 * builder.table_size), f"2^{shape.k} rows are more than in any file of this size")
    cells = shape.lanes * _rows(builder, shape)
    require(cells <= most, f"the units need {cells} cells, more than in any file of this size")
    room = shape.lanes * shape.active_rows
    require(builder.unit_count <= room, f"{builder.unit_count} units are more than 2^{shape.k} rows hold")
    inputs = [(block.name, block.shape, block.public) for block in builder.inputs]
    outputs = [(output.name, output.cells.shape, output.public) for output in builder.outputs]
    require(len(inputs) > 0, "there is no input")
    require(_stated(circuit.inputs) == inputs, "the inputs are not those of the blocks")
    require(_stated(circuit.outputs) == outputs, "the outputs are not those of the blocks")
    ports = (*circuit.inputs, *circuit.outputs)
    require(all(port.wide in (0, builder.table_bits) for port in ports), "two units hold T times one and another")
    limits = all(port.limit <= builder.table_size << port.wide for port in ports)
    require(limits, "a limit lies beyond the range table")


def _rows(builder: Builder, shape: Shape) -> int:
    """The rows of what gadgets make and of what layers read, in a shape's lanes; both may be the same."""

    def arranged(extents: Sequence[int], lanes: int = shape.lanes) -> int:
        return prod(extents[:-1]) * -(-extents[-1] // lanes)

    few = shape.copying or shape.lanes
    lanes = ((block, few if takes_and_frees(block) else shape.lanes) for block in builder.blocks)
    made = sum(block.stride * arranged(block.channels or (block.count,), own) for block, own in lanes)
    return made + sum(arranged(one.x.shape) for b in builder.blocks for one in b.contributions)


def _stated(ports: Sequence[Port]) -> list[tuple[str, tuple[int, ...], bool]]:
    return [(name, port.shape, port.public) for port in ports for name in port.parts]


def _inside(values: Integers, low: int, high: int) -> bool:
    return not values.size or bool(low <= int(values.min()) and int(values.max()) <= high)
