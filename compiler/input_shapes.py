"""The static shape of every input of a model: from what the user says, the file declares and the data show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from plonnx.compiler.graph import CompileError, Shape
from plonnx.compiler.onnx_file import Declared, Dim, Model
from plonnx.kzg.wording import option


def fix_shapes(
    model: Model,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    data: Mapping[str, Shape] | None = None,
) -> dict[str, Shape]:
    """The static shape of every graph input.

    In order: `shapes` (input name -> shape; a leading 1 of the file may be more there), `dims` (dimension name ->
    size), then the shape of the calibration arrays in `data`; a symbolic leading dimension of a tensor of rank 2 or
    more is a batch of 1 where `shapes` and `dims` say nothing (in data it is the sample axis). CompileError names the
    option for a dimension that nothing fixes.
    """
    known = dict(dims or {})
    named = {dim for value in model.inputs for dim in value.dims or () if isinstance(dim, str)}
    _refuse_unknown(model.path, "dims", known, named)
    _refuse_unknown(model.path, "shapes", shapes or {}, {value.name for value in model.inputs})
    for name, size in known.items():
        if size < 1:
            raise CompileError(f"{option('dims', f'{name}={size}')}: a dimension is at least 1")
    for value in model.inputs:
        _learn(known, value, (shapes or {}).get(value.name), (data or {}).get(value.name))
    return {
        value.name: _fixed(model.path, value, known, (shapes or {}).get(value.name), (data or {}).get(value.name))
        for value in model.inputs
    }


def _refuse_unknown(path: str, parameter: str, given: Mapping[str, object], known: set[str]) -> None:
    for name in given:
        if name not in known:
            have = ", ".join(sorted(known)) or "none"
            raise CompileError(f"{option(parameter, f'{name}=..')}: {path} has no such name; it has {have}")


def _learn(known: dict[str, int], value: Declared, given: Sequence[int] | None, data: Shape | None) -> None:
    """Note the sizes of named dimensions that a given shape, then the data's shape, tell."""
    if value.dims is None:
        return
    sources = [tuple(given)] if given is not None else []
    if data is not None:
        sources.append(_sample_shape(value.dims, data))
    for source in sources:
        if len(source) == len(value.dims):
            for axis, (dim, size) in enumerate(zip(value.dims, source, strict=True)):
                is_batch = axis == 0 and len(value.dims) > 1 and given is None
                if isinstance(dim, str) and not is_batch:
                    known.setdefault(dim, size)


def _sample_shape(dims: tuple[Dim, ...], data: Shape) -> Shape:
    """The shape of one sample in an array that may have a leading sample axis, or be flat; () where it doesn't tell."""
    batched = len(dims) > 1 and not isinstance(dims[0], int)
    if len(data) == len(dims):
        return (1, *data[1:]) if batched else data
    if len(data) == len(dims) + 1:
        return data[1:]
    if batched and len(data) == len(dims) - 1:
        return (1, *data)
    rest = [1 if axis == 0 and batched else dim for axis, dim in enumerate(dims)]
    fixed = [dim for dim in rest if isinstance(dim, int)]
    size = int(np.prod(data, dtype=np.int64))
    if len(data) == 1 and len(fixed) == len(rest) - 1 and size % int(np.prod(fixed, dtype=np.int64)) == 0:
        unknown = size // int(np.prod(fixed, dtype=np.int64))
        return tuple(dim if isinstance(dim, int) else unknown for dim in rest)
    return ()


def _fixed(
    path: str, value: Declared, known: Mapping[str, int], given: Sequence[int] | None, data: Shape | None
) -> Shape:
    if given is not None:
        shape = tuple(int(size) for size in given)
        if not _agrees(value.dims, shape) or any(size < 1 for size in shape):
            said = option("shapes", f"{value.name}={_listed(shape)}")
            raise CompileError(f"{said}: {path} declares {_shown(value.dims)}")
        return shape
    if value.dims is None:
        if data is None:
            said = option("shapes", f"{value.name}=1,3")
            raise CompileError(f"{path}: input {value.name!r} has no shape; fix it with {said}")
        return data
    told = _sample_shape(value.dims, data) if data is not None else ()
    sizes: list[int] = []
    for axis, dim in enumerate(value.dims):
        if isinstance(dim, int):
            sizes.append(dim)
        elif dim is not None and dim in known:
            sizes.append(known[dim])
        elif axis == 0 and len(value.dims) > 1:
            sizes.append(1)
        elif len(told) == len(value.dims):
            sizes.append(told[axis])
        else:
            example = _listed(tuple(dim if isinstance(dim, int) else 1 for dim in value.dims))
            said = option("dims", f"{dim}=..") if dim else option("shapes", f"{value.name}={example}")
            what = f"dimension {dim!r}" if dim else f"dimension {axis}"
            raise CompileError(f"{path}: {what} of input {value.name!r} is dynamic; fix it with {said}")
    return tuple(sizes)


def _agrees(dims: tuple[Dim, ...] | None, shape: Shape) -> bool:
    """Whether a shape is one that the file declares, or that for several samples where it declares one (batches.py)."""
    if dims is None:
        return True
    if len(dims) != len(shape):
        return False
    declared = (None, *dims[1:]) if len(dims) > 1 and dims[0] == 1 else dims
    return all(not isinstance(dim, int) or dim == size for dim, size in zip(declared, shape, strict=True))


def _shown(dims: tuple[Dim, ...] | None) -> str:
    return "no shape" if dims is None else f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]"


def _listed(shape: Shape) -> str:
    return ",".join(str(size) for size in shape)
