"""A Builder as plain data and arrays, and back: the part of a circuit file that holds the model."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

import numpy as np

import plonnx.gadgets
from plonnx.gadgets.builder import Builder, Output, Part
from plonnx.gadgets.cells import Cells
from plonnx.gadgets.function import Function
from plonnx.gadgets.gadget import Gadget
from plonnx.kzg import container


def _kinds() -> Mapping[str, type[Gadget]]:
    """The gadgets by their names in files: those of every module in gadgets/."""
    for module in pkgutil.walk_packages(plonnx.gadgets.__path__, "plonnx.gadgets."):
        import_module(module.name)
    return Gadget.kinds


def encode_builder(builder: Builder, arrays: container.Arrays) -> dict[str, Any]:
    """JSON-able facts; what is large goes to `arrays`. Equal builders give equal bytes."""
    functions = builder.functions
    numbers = {id(function): i for i, function in enumerate(functions)}
    blocks = []
    for i, block in enumerate(builder.blocks):
        record: dict[str, Any] = {"kind": block.kind}
        for field in fields(block):
            value = getattr(block, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"block.{i}.{field.name}"] = container.narrow(value)
            elif isinstance(value, Function):
                record[field.name] = numbers[id(value)]
            else:
                record[field.name] = value
        blocks.append(record)
    for i, function in enumerate(functions):
        arrays[f"function.{i}"] = container.narrow(function.values)
    outputs = []
    for i, output in enumerate(builder.outputs):
        arrays[f"output.{i}"] = container.narrow(output.cells.refs)
        outputs.append([output.name, output.cells.low, output.cells.high, output.public])
    return {
        "table_bits": builder.table_bits,
        "hidden": [builder.weight_bits, builder.bias_bits] if builder.hidden else None,
        "functions": [[function.name, function.low] for function in functions],
        "blocks": blocks,
        "outputs": outputs,
        "parts": [list(part) for part in builder.parts],
    }


def decode_builder(meta: Mapping[str, Any], arrays: container.Arrays) -> Builder:
    """The inverse of `encode_builder`, without the names of inner tensors."""
    builder = Builder(meta["table_bits"], meta["hidden"] is not None, *(meta["hidden"] or ()))
    functions = [
        Function(name, low, arrays[f"function.{i}"].astype(np.int64)) for i, (name, low) in enumerate(meta["functions"])
    ]
    kinds = _kinds()
    for i, record in enumerate(meta["blocks"]):
        kind = kinds[record["kind"]]
        values: dict[str, Any] = {}
        for field in fields(kind):
            array = arrays.get(f"block.{i}.{field.name}")
            value = array.astype(np.int64) if array is not None else record[field.name]
            if field.name == "function" and value is not None:
                value = functions[value]
            values[field.name] = tuple(value) if isinstance(value, list) else value
        builder.blocks.append(kind(**values))
    builder.parts += [Part(*part) for part in meta["parts"]]
    for i, (name, low, high, public) in enumerate(meta["outputs"]):
        builder.outputs.append(Output(name, Cells(arrays[f"output.{i}"].astype(np.int64), low, high), public))
    return builder
