"""Calibration data: the samples of all sources, and the static shapes of the inputs that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plonnx.compiler.batches import batch_of, batches, for_batches, refuse_mixing, treats_alike
from plonnx.compiler.graph import CompileError, Shape
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import Model
from plonnx.compiler.options import Options
from plonnx.compiler.passes import optimize
from plonnx.kzg.wording import option
from plonnx.layout.inputs import InputError, Reals, is_array, read_arrays, to_samples, where_from

Data = Any
"""A file's path, a mapping of input name to array, a bare array, or a table: layout/inputs.py."""


def as_sources(data: Any) -> list[Any]:
    """Calibration data as a list of sources; None is no source, a single one is one."""
    if data is None:
        return []
    return list(data) if isinstance(data, (list, tuple)) and not is_array(data) else [data]


def read_data(
    model: Model, sources: Sequence[Data], options: Options
) -> tuple[Model, dict[str, Shape], dict[str, Reals]]:
    """The model for inputs of the shapes that they shall have, these, and all samples of all sources in order.

    NaN stands where values are missing.
    """
    names = [value.name for value in model.inputs]
    dims, shapes = options.dims, options.shapes
    if not names:
        raise CompileError(f"{model.path}: the model has no inputs; there is nothing to prove")
    if not sources:
        fixed = fix_shapes(model, dims, shapes)
        optimize(import_graph(for_batches(model, fixed), fixed))  # what can't be compiled is said first
        raise CompileError(
            f"{model.path}: calibration data is missing; give samples of its inputs with {option('data')}"
        )
    real = [value.name for value in model.inputs if value.dtype.kind == "f"]
    arrays = [read_arrays(source, names, real) for source in sources]
    fixed = fix_shapes(model, dims, shapes, {name: array.shape for name, array in arrays[0].items()})
    wheres = [where_from(source) for source in sources]
    if batch_of(model, fixed) == 1:
        return model, fixed, _samples(fixed, wheres, arrays)
    widened = for_batches(model, fixed)
    found = [batches(model, held, fixed, where) for held, where in zip(arrays, wheres, strict=True)]
    whole = [group for group in found if group is not None]
    samples = _together(whole) if len(whole) == len(found) else _samples(fixed, wheres, arrays)
    if not treats_alike(model, widened, fixed, {name: values[0] for name, values in samples.items()}):
        if widened is not model:
            raise refuse_mixing(model, fixed)
        samples = _samples(fixed, wheres, arrays)
    return widened, fixed, samples


def _samples(
    fixed: Mapping[str, Shape], wheres: Sequence[str], arrays: Sequence[Mapping[str, Reals]]
) -> dict[str, Reals]:
    """The samples of all sources, each of the inputs' shapes."""
    parts = []
    for where, held in zip(wheres, arrays, strict=True):
        parts.append({name: to_samples(held[name], name, fixed[name], where, fill=True) for name in fixed})
        if len({len(values) for values in parts[-1].values()}) > 1:
            raise InputError(f"{where}: its inputs have different numbers of samples")
    return _together(parts)


def _together(parts: Sequence[Mapping[str, Reals]]) -> dict[str, Reals]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
