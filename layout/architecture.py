"""The architecture of a private model: its circuit without a secret, from which anyone rebuilds the key's public part.

An Architecture is the ModelCircuit with zeros in the place of every secret, of whose report the scales are left. The
file holds no zeros either: a weight tensor is its shape, and what everybody knows of it (gadgets/blocks.py, `hides`).
It comes from the model's owner, so whoever reads it believes nothing: every block is recorded again by a Builder, which
derives the intervals and refuses what it would refuse of a compiler, and the file must be what that gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets.blocks import ABSENT, Block, Convolution, Function, Input, Lookup, Maximum, Product, Sum
from plonnx.gadgets.builder import Builder
from plonnx.gadgets.cells import Cells
from plonnx.kzg import container
from plonnx.kzg.container import FileError
from plonnx.layout import cost
from plonnx.layout.circuit import MOST_BITS, ModelCircuit
from plonnx.layout.file import decode_builder, encode_builder
from plonnx.layout.inputs import Port
from plonnx.layout.known import Known, known_columns
from plonnx.layout.planner import Shape
from plonnx.plonk.keys import VerifyingKey
from plonnx.plonk.verifier import VerificationError

if TYPE_CHECKING:
    from plonnx.kzg.srs import SRS

Integers = NDArray[np.int64]
KIND = "architecture"
MOST_TABLE_BITS, MOST_LANES, MOST_GROUP, MOST_PACKING = 20, 64, 16, 64
MOST_SCALE = 1000
MOST_CELLS = 1 << 31  # of weight columns, of units and windows: far more than anything that is laid out
MOST_POSITIONS = 1 << 45  # linear ones


class _Refused(ValueError):
    """What a Builder would not have recorded; one line."""


@dataclass(frozen=True)
class Architecture:
    """A private model without its secrets."""

    circuit: ModelCircuit

    @classmethod
    def of(cls, circuit: ModelCircuit) -> Architecture:
        """The architecture of a private model's circuit; ValueError for a public model, which has nothing to leave out.

        Of the ports' limits, which calibration measured, only what the circuit enforces is left: |v| < T.
        """
        if not circuit.hidden:
            raise ValueError("the model of this circuit is public: its circuit is all that there is to see")
        builder = replace(circuit.builder, blocks=[_bare(block) for block in circuit.builder.blocks])
        size = builder.table_size
        ports = ([replace(port, limit=size) for port in side] for side in (circuit.inputs, circuit.outputs))
        inputs, outputs = map(tuple, ports)
        report = {"scales": dict(circuit.report.get("scales", {}))}
        return cls(ModelCircuit(circuit.name, builder, circuit.shape, inputs, outputs, report, {}))

    # Use -------------------------------------------------------------------------------------------------------------

    def public_part(self, srs: SRS) -> VerifyingKey:
        """The verifying key but for the hidden columns, whose commitments are zeros (imports sympy)."""
        from plonnx.plonk.keygen import public_part

        return public_part(self.circuit.arithmetize(), srs)

    @property
    def known(self) -> tuple[Known, ...]:
        """What everybody knows of the hidden columns."""
        return known_columns(self.circuit.filler.fixed)

    def check_key(self, vk: VerifyingKey, srs: SRS) -> None:
        """VerificationError where any byte of the key but the hidden commitments is not as the architecture says."""
        if not vk.masked:
            raise VerificationError("the model of this verifying key is public: there is nothing registered")
        if srs.tau_g2 != vk.tau_g2:
            raise VerificationError(f"the key was made with another SRS ({vk.srs}) than {srs.name}")
        rebuilt = self.public_part(srs)
        differ = _differences(replace(rebuilt, fixed_commitments=()), replace(vk, fixed_commitments=()))
        if not differ and rebuilt.encode() != vk.public_part.encode():
            differ = ["fixed_commitments"]
        if differ:
            raise VerificationError(f"the verifying key is not of this architecture: its {', '.join(differ)} differ")

    def describe(self) -> dict[str, Any]:
        """Layers, shapes, scales, the domains of tables, widths: all that is public."""
        circuit = self.circuit
        builder, scales = circuit.builder, circuit.report["scales"]
        layers = [_layer(block, builder, scales) for block in builder.blocks]
        said = circuit.describe()
        return {
            "model": circuit.name,
            "digest": self.digest.hex(),
            "secrets": sum(layer["secrets"] for layer in layers),
            "table": builder.table_size,
            "weight_bits": builder.weight_bits,
            "bias_bits": builder.bias_bits,
            "rows": 1 << circuit.k,
            "used_rows": said["rows"],
            "columns": said["columns"],
            "packing": circuit.shape.packing,
            "copies": said["copies"],
            "layers": layers,
            "functions": [_table(function) for function in builder.functions],
            "tensors": [
                {"name": t.name, "role": t.role, "shape": list(t.shape), "scale": t.scale, "width": t.width}
                for t in circuit.tensors
            ],
        }

    # Files -----------------------------------------------------------------------------------------------------------

    @cached_property
    def digest(self) -> bytes:
        """keccak256 of the file's bytes."""
        return _native.keccak256(self.encode())

    def encode(self) -> bytes:
        """The file's bytes; equal architectures give equal bytes."""
        circuit, arrays = self.circuit, container.Arrays()
        builder = encode_builder(circuit.builder, arrays)
        for i, (record, block) in enumerate(zip(builder["blocks"], circuit.builder.blocks, strict=True)):
            for name in _blank(block):
                record[name] = list(arrays.pop(f"block.{i}.{name}").shape)
        meta = {
            "name": circuit.name,
            "builder": builder,
            "shape": {f.name: getattr(circuit.shape, f.name) for f in fields(Shape)},
            "ports": [[_port(port) for port in side] for side in (circuit.inputs, circuit.outputs)],
            "scales": circuit.report["scales"],
        }
        return container.encode(KIND, meta, arrays)

    def save(self, path: str | Path) -> None:
        """Write the architecture atomically."""
        container.atomic_write(path, self.encode())

    @classmethod
    def load(cls, path: str | Path) -> Architecture:
        """Read an architecture; FileError says what is wrong with the file."""
        return cls.decode(container.read_bytes(path), path)

    @classmethod
    def decode(cls, content: bytes, source: str | Path) -> Architecture:
        """The inverse of `encode`, with everything checked; FileError names `source`."""
        meta, arrays = container.decode(content, KIND, source)
        try:
            made = cls(_checked(_decode(meta, dict(arrays))))
            if made.encode() != content:
                raise _Refused("it is written in another way than plonnx writes it")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, OverflowError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FileError(f"{source}: not an architecture that plonnx makes ({reason})") from error
        return made


# Without secrets -----------------------------------------------------------------------------------------------------


def _bare(block: Block) -> Block:
    """The block with zeros for its secrets."""
    if isinstance(block, Convolution):
        weights = _zeros(block.weights.shape) if block.hides is None else np.where(block.secret, 0, block.weights)
        return replace(block, weights=weights, bias=None if block.bias is None else _zeros(block.bias.shape))
    if isinstance(block, Sum) and block.hides and block.constant is not None:
        return replace(block, constant=_zeros(block.constant.shape))
    return block


def _blank(block: Block) -> list[str]:
    """The arrays of a bare block that hold nothing but zeros: the file has their shapes."""
    blank = []
    if isinstance(block, Convolution):
        blank = ["weights"] * (not np.any(block.weights)) + ["bias"] * (block.bias is not None)
    return ["constant"] if isinstance(block, Sum) and block.hides else blank


def _zeros(shape: tuple[int, ...]) -> Integers:
    """Zeros that take no memory, read-only."""
    return np.broadcast_to(np.int64(0), shape)


def _differences(left: VerifyingKey, right: VerifyingKey) -> list[str]:
    """What two keys are not written alike in."""
    one, other = left.encode(), right.encode()
    if one == other:
        return []
    meta, others = (container.decode(each, "verifying key", "a key")[0] for each in (one, other))
    named = sorted(name for name in meta | others if json.dumps(meta.get(name)) != json.dumps(others.get(name)))
    return named or ["program"]


def _port(port: Port) -> dict[str, Any]:
    return {f.name: getattr(port, f.name) for f in fields(Port) if f.name != "limit"}


def _decode(meta: Mapping[str, Any], arrays: container.Arrays) -> ModelCircuit:
    for i, record in enumerate(meta["builder"]["blocks"]):
        _check_types(record)
        for name in ("weights", "bias", "constant"):
            shape = record.get(name)
            if isinstance(shape, list):
                extents = tuple(int(extent) for extent in shape)
                if min(extents, default=1) < 1 or _product(extents) > MOST_CELLS:
                    raise _Refused(f"block {i} has {name} of shape {shape}")
                arrays[f"block.{i}.{name}"] = np.broadcast_to(np.int8(0), extents)
    builder = decode_builder(meta["builder"], arrays)
    size = builder.table_size
    ports = [tuple(Port(**{**p, "shape": tuple(p["shape"]), "limit": size}) for p in side) for side in meta["ports"]]
    report = {"scales": {str(name): int(scale) for name, scale in meta["scales"].items()}}
    shape = Shape(**meta["shape"])
    return ModelCircuit(str(meta["name"]), builder, shape, ports[0], ports[1], report, {})


def _check_types(record: Mapping[str, Any]) -> None:
    """The JSON of a block holds integers, names, and yes or no in two places: 1.0 and true are no integers."""
    for name, value in record.items():
        allowed = {bool} if name in ("public", "hides") and value is not None else {int, str, type(None)}
        for each in value if isinstance(value, list) else [value]:
            if type(each) not in allowed:
                raise _Refused(f"the {name} of block {record.get('name')} is {each!r}")


# Nothing is believed -------------------------------------------------------------------------------------------------


def _checked(circuit: ModelCircuit) -> ModelCircuit:
    """The circuit, its blocks recorded anew; an error of one line for what no compiler would have made."""
    builder, shape = circuit.builder, circuit.shape
    limits = (
        ("table bits", builder.table_bits, 4, MOST_TABLE_BITS),
        ("weight bits", builder.weight_bits, 2, MOST_BITS),
        ("bias bits", builder.bias_bits, 2, MOST_BITS),
        ("k", shape.k, 4, cost.MAX_K),
        ("lanes", shape.lanes, 1, MOST_LANES),
        ("weight columns", shape.weight_columns, 1, MOST_CELLS >> shape.k if 4 <= shape.k <= cost.MAX_K else 0),
        ("group", shape.group, 1, MOST_GROUP),
        ("packing", shape.packing, 1, MOST_PACKING),
    )
    for what, number, least, most in limits:
        if type(number) is not int or not least <= number <= most:
            raise _Refused(f"{what} {number!r} is not in {least} to {most}")
    if not builder.hidden:
        raise _Refused("its model is not private")
    circuit = replace(circuit, builder=_recorded(builder))
    if circuit.layout.rows > shape.active_rows:
        raise _Refused(f"it needs {circuit.layout.rows} rows, 2^{shape.k} have {shape.active_rows} active ones")
    sides = [b.name for b in builder.inputs], [o.name for o in builder.outputs]
    for names, ports in zip(sides, (circuit.inputs, circuit.outputs), strict=True):
        if names != [port.name for port in ports] or len(set(names)) < len(names):
            raise _Refused("its ports are not its inputs and outputs, each of a name of its own")
        if not all(type(port.scale) is int and abs(port.scale) <= MOST_SCALE for port in ports):
            raise _Refused("its ports have no scale")
    return circuit


def _recorded(builder: Builder) -> Builder:
    """A Builder records every block again, over cells with the intervals that it derives; the record must be the same.

    The intervals are at most those that a compiler had, unit by unit: what it accepted is accepted.
    """
    again = Builder(builder.table_bits, True, builder.weight_bits, builder.bias_bits)
    if not 0 < builder.unit_count < MOST_CELLS:
        raise _Refused(f"it has {builder.unit_count} units")
    _check_positions(builder)
    for function in builder.functions:
        if abs(function.low) > MOST_CELLS or int(np.abs(function.values).max()) > builder.table_size:
            raise _Refused(f"function {function.name} has arguments or values that no cell holds")
    bounds = np.zeros((2, builder.unit_count), np.int64)
    for number, block in enumerate(builder.blocks):
        if block.first != again.unit_count or block.count < 1 or block.first + block.count > bounds.shape[1]:
            raise _Refused(f"block {number} does not follow the one before")
        read = block.operands
        if read.size and not ABSENT <= int(read.min()) <= int(read.max()) < 2 * block.first:
            raise _Refused(f"block {number} reads cells that come later")
        made = _record(again, block, bounds)
        if len(again.blocks) != number + 1:
            raise _Refused(f"block {number} is not one block")
        bounds[:, block.units] = [[made.low], [made.high]]
    for output in builder.outputs:
        refs = output.cells.refs
        if not refs.size or int(refs.min()) < 0 or int(refs.max()) >= 2 * again.unit_count:
            raise _Refused(f"output {output.name} reads cells that are not there")
        cells = _cells(refs, bounds)
        limit = builder.table_size
        if not -limit < output.cells.low <= cells.low <= cells.high <= output.cells.high < limit:
            raise _Refused(f"output {output.name} declares another range than it has")
        again.output(output.name, output.cells, output.public)
    if _written(builder) != _written(again):
        raise _Refused("its blocks are not what a compiler records")
    return replace(again, blocks=[_bare(block) for block in again.blocks], named={})


def _written(builder: Builder) -> tuple[str, dict[str, tuple[Any, ...]]]:
    """What two builders must have in common to be written alike."""
    arrays: container.Arrays = {}
    meta = json.dumps(encode_builder(builder, arrays), sort_keys=True)
    return meta, {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


def _record(builder: Builder, block: Block, bounds: Integers) -> Cells:
    """Have the builder record a block like this one."""
    if isinstance(block, Input):
        return builder.input(block.name, block.shape, block.public)
    if isinstance(block, Lookup):
        return builder.apply(block.function, _cells(block.x, bounds), block.name)
    if isinstance(block, Maximum):
        return builder.maximum([_cells(refs, bounds) for refs in block.candidates], block.name)
    if isinstance(block, Product):
        x, y = block.factors
        return builder.multiply(_cells(x, bounds), _cells(y, bounds), block.multiplier, block.name)
    if isinstance(block, Convolution):
        if np.any((block.hides != 0) & (block.hides != 1) if block.hides is not None else False):
            raise _Refused(f"{block.name}: it is not said which weights are secret")
        x = _cells(block.x, bounds)
        made = builder.convolution(
            x, block.weights, block.offsets, block.bias, block.shape, block.name, block.groups, block.hides
        )
    else:
        assert isinstance(block, Sum)
        if block.terms.shape[1:] != (block.count,) or len(block.coefficients) != len(block.terms):
            raise _Refused(f"{block.name}: its terms do not fit")
        if len(block.terms) or block.constant is not None:
            terms = [(_cells(refs, bounds), c) for refs, c in zip(block.terms, block.coefficients, strict=True)]
            made = builder.sum(terms, block.constant, block.name, block.hides)
        else:
            made = builder.zero
    return made if block.function is None else builder.apply(block.function, made, block.name, fuse=True)


def _check_positions(builder: Builder) -> None:
    """Linear positions and powers of psi stay far inside int64, and windows of a border in memory."""
    spans: list[int] = []
    for block in builder.blocks:
        if not isinstance(block, Convolution):
            continue
        grid, reach = block.x.shape[1:], np.abs(block.offsets).max(axis=0).tolist()
        extents = [a + b + c + 8 for a, b, c in zip(grid, block.shape, reach, strict=True)]
        if _product(grid) * len(block.offsets) > MOST_CELLS:
            raise _Refused(f"{block.name}: its grid has too many windows")
        spans = [1] * (len(extents) - len(spans)) + spans
        for axis, extent in enumerate(reversed(extents), start=1):
            spans[-axis] = max(spans[-axis], 2 * extent)
    if _product(spans) > MOST_POSITIONS:
        raise _Refused("its grids and offsets span too many positions")


def _cells(refs: Integers, bounds: Integers) -> Cells:
    """Cells with the tightest interval that holds them all."""
    low, high = bounds[:, np.maximum(refs, 0) >> 1]
    positive, absent = refs & 1 == 1, refs == ABSENT
    low, high = (np.where(absent, 0, np.where(positive, np.maximum(end, 0), end)) for end in (low, high))
    return Cells(refs, int(low.min()), int(high.max()))


def _product(extents: Iterable[int]) -> int:
    """Exactly, however large."""
    total = 1
    for extent in extents:
        total *= int(extent)
    return total


# What it looks like --------------------------------------------------------------------------------------------------


def _table(function: Function) -> dict[str, Any]:
    """A function's domain and values, as integers at the scales that its name says."""
    values = {"smallest": int(function.values.min()), "largest": int(function.values.max())}
    return {"name": function.name, "from": function.low, "to": function.high, **values}


def _read(block: Block, builder: Builder) -> list[str]:
    """The blocks that a block reads, each once; +: its positive parts alone, a ReLU."""
    firsts = np.array([other.first for other in builder.blocks])
    refs = block.operands[block.operands != ABSENT]
    pairs = np.unique(np.stack([np.searchsorted(firsts, refs >> 1, "right") - 1, refs & 1]), axis=1)
    return [builder.blocks[owner].name + "+" * view for owner, view in pairs.T.tolist()]


def _layer(block: Block, builder: Builder, scales: Mapping[str, int]) -> dict[str, Any]:
    """One line about a block: what it makes from what, how many secrets it has, how many constants that are none."""
    made: list[int] = [block.count]
    taken: list[int] = [block.operands.size]
    secrets, constants, taps, groups = 0, 0, 1, 1
    if isinstance(block, Input):
        made = list(block.shape)
    elif isinstance(block, Convolution):
        made, taken = [block.outputs, *block.shape], list(block.x.shape)
        taps, groups = len(block.offsets), block.groups
        hidden = int(block.secret.sum())
        biases = 0 if block.bias is None else len(block.bias)
        secrets, constants = hidden + biases, block.weights.size - hidden
    elif isinstance(block, Sum):
        held = 0 if block.constant is None else block.count
        secrets, constants = (held, 0) if block.hides else (0, held)
    function: Function | None = getattr(block, "function", None)
    return {
        "name": block.name,
        "kind": type(block).__name__.lower(),
        "reads": _read(block, builder),
        "from": taken,
        "to": made,
        "taps": taps,
        "groups": groups,
        "secrets": secrets,
        "constants": constants,
        "scale": scales.get(block.name, "-"),
        "function": "-" if function is None else function.name,
    }


__all__ = ["Architecture"]
