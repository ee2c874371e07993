"""The parts of a circuit file: a Builder as plain data and arrays, and back; shape, ports and facts read back.

Whoever made the file: what is read has its type and its bounds (kzg/record.py), and layout/validate.py has seen it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache, partial
from importlib import import_module
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

import plonnx.gadgets
from plonnx.gadgets.builder import Builder, Output, Part
from plonnx.gadgets.cells import Cells
from plonnx.gadgets.function import Applied, applied
from plonnx.gadgets.gadget import Gadget
from plonnx.kzg import container
from plonnx.kzg.record import Record, Value, require
from plonnx.kzg.srs import MAX_K
from plonnx.layout.inputs import Port
from plonnx.layout.shape import Shape
from plonnx.layout.validate import most_cells, validate_builder
from plonnx.plonk.key_files import read_scale

_DTYPES = ("bool", "float16", "float32", "float64", *(f"{s}int{bits}" for s in ("", "u") for bits in (8, 16, 32, 64)))
_SHAPE = {"k": (4, MAX_K), "lanes": (1, 256), "weight_columns": (1, 1 << 10), "group": (1, 64), "packing": (1, 1024)}
LARGEST = float(np.finfo(np.float32).max)
INT62 = (-(1 << 62), 1 << 62)

_PLAIN: Mapping[str, Callable[[Value], Any]] = {
    "str": Value.text,
    "bool": Value.flag,
    "int | None": lambda value: value.optional(lambda number: number.integer(*INT62)),
    "int": lambda value: value.integer(*INT62),
    "tuple[int, ...]": lambda value: value.integers(*INT62),
}


@cache
def _modules() -> Mapping[str, str]:
    """Every module in gadgets/, by the last part of its name."""
    found = pkgutil.walk_packages(plonnx.gadgets.__path__, "plonnx.gadgets.")
    return {module.name.rpartition(".")[2]: module.name for module in found}


def _kinds() -> Mapping[str, type[Gadget]]:
    """The gadgets by their names in files: those of every module in gadgets/."""
    for module in _modules().values():
        import_module(module)
    return Gadget.kinds


def _kind(name: Value) -> type[Gadget]:
    """The gadget of a name in a file: of the module that is called so, for loading all takes time; else of any."""
    module = _modules().get(name.text().replace(" ", "_"))
    if module is not None:
        import_module(module)
    return Gadget.kinds[name.word(*(Gadget.kinds if name.text() in Gadget.kinds else _kinds()))]


def encode_builder(builder: Builder, arrays: container.Arrays) -> dict[str, Any]:
    """JSON-able facts; what is large goes to `arrays`. Equal builders give equal bytes."""
    functions = builder.applied
    numbers = {id(function): i for i, function in enumerate(functions)}
    blocks = []
    for i, block in enumerate(builder.blocks):
        record: dict[str, Any] = {"kind": block.kind}
        for field in fields(block):
            value = getattr(block, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"block.{i}.{field.name}"] = container.narrow(value)
            elif isinstance(value, Applied):
                record[field.name] = numbers[id(value)]
            else:
                record[field.name] = value
        blocks.append(record)
    for i, function in enumerate(functions):
        if function.table is not None:
            arrays[f"function.{i}"] = container.narrow(function.table)
    outputs = []
    for i, output in enumerate(builder.outputs):
        arrays[f"output.{i}"] = container.narrow(output.cells.refs)
        outputs.append([output.name, output.cells.low, output.cells.high, output.public])
    return {
        "table_bits": builder.table_bits,
        "hidden": [builder.weight_bits, builder.bias_bits] if builder.hidden else None,
        "functions": [[function.name, *function.numbers] for function in functions],
        "blocks": blocks,
        "outputs": outputs,
        "parts": [list(part) for part in builder.parts],
    }


def decode_builder(data: Value, held: Record, bare: bool = False) -> Builder:
    """The inverse of `encode_builder`, without the names of inner tensors; Malformed for what is no builder.

    bare: of a gadget's array that holds nothing but zeros there may be the shape alone (layout/architecture.py).
    """
    with data.fields() as meta:
        hidden = meta["hidden"].optional(lambda widths: [bits.integer(2, 62) for bits in widths.parts(2)])
        builder = Builder(meta["table_bits"].integer(1, 62), hidden is not None, *(hidden or ()))
        functions = [_function(function, held, f"function.{i}") for i, function in enumerate(meta["functions"].items())]
        for i, block in enumerate(meta["blocks"].items()):
            with block.fields() as record:
                kind = _kind(record["kind"])
                values = {
                    field.name: _field(
                        str(field.type),
                        partial(record.__getitem__, field.name),
                        held,
                        f"block.{i}.{field.name}",
                        functions,
                        bare,
                    )
                    for field in fields(kind)
                }
                builder.blocks.append(kind(**values))
        for i, (name, low, high, public) in enumerate(output.parts(4) for output in meta["outputs"].items(1)):
            cells = Cells(_integers(held, f"output.{i}"), low.integer(*INT62), high.integer(*INT62))
            builder.outputs.append(Output(name.text(), cells, public.flag()))
        for part in meta["parts"].items():
            builder.parts.append(Part(*(number.integer(0, len(builder.blocks)) for number in part.parts(3))))
    validate_builder(builder, most_cells(held.size))
    return builder


def _function(value: Value, held: Record, array: str) -> Applied:
    """A function: its table is an array; a polynomial has none."""
    long = isinstance(value.held, list) and len(value.held) > 2
    name, *numbers = value.parts(6 if long else 2)
    return applied(name.text(), [number.integer(*INT62) for number in numbers], lambda: _integers(held, array))


def _field(
    kind: str, value: Callable[[], Value], held: Record, array: str, functions: Sequence[Applied], bare: bool
) -> Any:
    """A block's field, read by its type: an array (or, where `bare`, the shape of zeros), or the record's value."""
    if kind.startswith("Integers") and bare and not held.has_array(array):
        return None if kind != "Integers" and value().held is None else _zeros(value())
    if kind.startswith("Integers"):
        return _integers(held, array) if kind == "Integers" or held.has_array(array) else value().null()
    if kind == "Applied | None" and value().held is None:
        return None
    if kind.startswith("Applied"):
        return functions[value().integer(0, len(functions) - 1)]
    return _PLAIN[kind](value())


def _zeros(shape: Value) -> NDArray[np.int64]:
    """Zeros of a shape that take no memory, read-only."""
    extents = shape.integers(1, 1 << 28)
    require(prod(extents) <= 1 << 28, "an array is too large")
    return np.broadcast_to(np.int64(0), extents)


def _integers(held: Record, name: str) -> NDArray[np.int64]:
    return held.array(name).astype(np.int64)


def read_shape(data: Value) -> Shape:
    """The free choices of a layout."""
    with data.fields() as shape:
        given = {name: shape[name].integer(*ends) for name, ends in _SHAPE.items()}
        copying = shape["copying"].integer(0, given["lanes"] - 1)
        return Shape(**given, copying=copying, apart=shape["apart"].integer(0, 1))


def read_port(data: Value, limit: int | None = None) -> Port:
    """An input or an output; with `limit` where the file has none."""
    with data.fields() as port:
        shape = port["shape"].integers(1, 1 << 40)
        return Port(
            name=port["name"].text(),
            shape=shape,
            dtype=port["dtype"].word(*_DTYPES),
            scale=read_scale(port["scale"], shape),
            limit=port["limit"].integer(1, 1 << 62) if limit is None else limit,
            public=port["public"].flag(),
            wide=port["wide"].integer(0, 62),
            step=port["step"].real(0.0, LARGEST),
        )


def read_facts(data: Value) -> dict[str, Any]:
    """What `inspect` says of the model that was compiled."""
    with data.fields() as facts, facts["operators"].fields() as operators:
        return {
            "opset": facts["opset"].integer(1, 1 << 30),
            "parameters": facts["parameters"].integer(0, 1 << 62),
            "operators": {name: operators[name].integer(1, 1 << 30) for name in operators},
            "larger_setups": [_larger_setup(setup) for setup in facts["larger_setups"].items()],
            "notes": [note.text() for note in facts["notes"].items()],
        }


def read_report(data: Value) -> dict[str, Any]:
    """The accuracy report (compiler/report.py), which is shown: an object in which what is read has its type."""
    return _known(data, _REPORT)


def _known(data: Value, kinds: Mapping[str, Callable[[Value], Any]]) -> dict[str, Any]:
    """An object's fields, those of a kind as that; others are any plain data."""
    with data.fields() as held:
        return {name: kinds.get(name, Value.anything)(held[name]) for name in held}


def _scales(data: Value) -> dict[str, int]:
    with data.fields() as scales:
        return {name: scales[name].integer(*INT62) for name in scales}


def _channel(data: Value) -> list[int]:
    """An axis and an index."""
    axis, index = data.parts(2)
    return [axis.integer(0, _MOST_AXES), index.integer(0, 1 << 40)]


def _errors(data: Value) -> list[dict[str, Any]]:
    return [_known(error, _ERROR) for error in data.items()]


def _share(data: Value) -> float:
    return data.real(0, 1e300)


_MOST_AXES = 64
_ERROR: Mapping[str, Callable[[Value], Any]] = {
    "name": Value.text,
    "max_relative": _share,
    "max_channel_relative": _share,
    "channel": lambda value: value.optional(_channel),
}
_REPORT: Mapping[str, Callable[[Value], Any]] = {
    "table_bits": lambda value: value.integer(1, 62),
    "samples": lambda value: value.integer(0, 1 << 62),
    "error_target": _share,
    "missed": lambda value: value.optional(Value.text),
    "scales": _scales,
    "outputs": _errors,
    "inner": _errors,
}


def _larger_setup(data: Value) -> dict[str, Any]:
    """What a layout for a larger setup would cost."""
    with data.fields() as setup:
        return {
            "powers": setup["powers"].integer(1, 1 << MAX_K + 16),
            "gas": setup["gas"].integer(0, 1 << 62),
            "prove_seconds": setup["prove_seconds"].real(0, 1e18),
        }
