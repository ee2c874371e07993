"""ONNX file -> Model: read, external data loaded, brought to one form, checked, local functions inlined."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, checker, defs, external_data_helper, helper, inliner

from plonnx.compiler.graph import CompileError, Shape
from plonnx.compiler.labels import number_labels
from plonnx.compiler.normal_form import graphs, inside, live, normalize
from plonnx.compiler.ops import Mark, marked
from plonnx.compiler.ops.registry import MICROSOFT
from plonnx.kzg.record import MOST_TEXT, printable
from plonnx.kzg.wording import option

OLDEST_OPSET = 7
_DEEPEST, _MOST_NODES = 100, 1 << 18
"""Local functions in one another; nodes that they come to."""
_MOST_BYTES = (1 << 31) - 1
"""Of a model: protobuf's limit of a message."""
Source = str | Path | bytes | onnx.ModelProto
Dim = int | str | None
"""A declared dimension: its size, its name, or None where it has neither."""


@dataclass(frozen=True)
class Declared:
    """A graph input as the file declares it; `dims` is None where not even the rank is known."""

    name: str
    dtype: np.dtype[Any]
    dims: tuple[Dim, ...] | None


@dataclass(frozen=True)
class Model:
    """A checked ONNX model; `path` is how messages name it. `notes` say what its outputs stand for (labels.py)."""

    path: str
    proto: onnx.ModelProto
    inputs: tuple[Declared, ...]
    opsets: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def fixed(self, shapes: Mapping[str, Shape]) -> onnx.ModelProto:
        """The user's model for the float oracle, its inputs of these shapes and its declared shapes forgotten."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self.proto)
        kinds = {value.name: value.type.tensor_type.elem_type for value in proto.graph.input}
        del proto.graph.input[:], proto.graph.value_info[:]
        proto.graph.input.extend(
            helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in shapes.items()
        )
        for output in proto.graph.output:
            output.ClearField("type")
        return proto


def read_model(source: Source, outputs: Sequence[str] | None = None) -> Model:
    """Read and check an ONNX file, its bytes, or a ModelProto (which stays as it is).

    With `outputs` only these of the graph's outputs are taken, and what they do not need is left out.
    """
    path, proto = _decoded(source)
    if not proto.ir_version or not proto.graph.output:
        raise CompileError(f"{path}: not an ONNX file (it holds no graph)")
    _check_types(path, proto)
    _load_external_data(path, proto)
    try:
        normalize(proto, Path(path).stem)
    except CompileError as error:
        raise CompileError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError) as error:  # what onnx raises for tensors that are damaged
        raise CompileError(f"{path}: not a valid ONNX model: {first_line(error)}") from error
    if outputs is not None:
        _take(path, proto, outputs)
    notes = _numbered(path, proto)
    initialized = {tensor.name for tensor in proto.graph.initializer}
    declared = tuple(_declared(path, value) for value in proto.graph.input if value.name not in initialized)
    opsets = _opsets(path, proto)
    _check(path, proto)
    if proto.functions:
        proto = _inlined(path, proto)
    _check_names(path, proto.graph)
    return Model(path, proto, declared, opsets, notes)


def _decoded(source: Source) -> tuple[str, onnx.ModelProto]:
    if isinstance(source, onnx.ModelProto):
        proto = onnx.ModelProto()
        proto.CopyFrom(source)
        return "model", proto
    path = "model" if isinstance(source, bytes) else str(source)
    try:
        if not isinstance(source, bytes) and Path(source).stat().st_size > _MOST_BYTES:
            raise _too_large(path)
        return path, onnx.ModelProto.FromString(source if isinstance(source, bytes) else Path(source).read_bytes())
    except OSError as error:
        raise CompileError(f"{path}: cannot be read ({error.strerror})") from error
    except DecodeError as error:
        raise CompileError(
            f"{path}: not an ONNX file; export the model first (torch.onnx.export, skl2onnx, tf2onnx, ..)"
        ) from error


def _numbered(path: str, proto: onnx.ModelProto) -> tuple[str, ...]:
    try:
        return number_labels(proto)
    except CompileError as error:
        raise CompileError(f"{path}: {error}") from error


def _take(path: str, proto: onnx.ModelProto, names: Sequence[str]) -> None:
    given = {output.name: output for output in proto.graph.output}
    for name in names:
        if name not in given:
            raise CompileError(f"{option('outputs', name)}: {path} has the outputs {', '.join(given)}")
    kept, _ = live(proto.graph.node, names)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    chosen = [onnx.ValueInfoProto.FromString(given[name].SerializeToString()) for name in dict.fromkeys(names)]
    del proto.graph.node[:], proto.graph.output[:]
    proto.graph.node.extend(copies)
    proto.graph.output.extend(chosen)


def _opsets(path: str, proto: onnx.ModelProto) -> dict[str, int]:
    """Domain -> version of the domains that nodes use; the default domain's version is in range."""
    newest = defs.onnx_opset_version()
    lists = [proto.opset_import, *(function.opset_import for function in proto.functions)]
    imports = {entry.domain: entry.version for entries in reversed(lists) for entry in entries}
    used = {node.domain for graph in graphs(proto.graph) for node in graph.node}
    used |= {node.domain for function in proto.functions for node in function.node}
    version = imports.get("", newest)
    if not OLDEST_OPSET <= version <= newest:
        raise CompileError(
            f"{path}: opset {version} is out of range; supported are {OLDEST_OPSET} to {newest}"
            " (export the model again with another opset_version)"
        )
    local = {function.domain for function in proto.functions}
    others = {domain: imports[domain] for domain in sorted(used - local - {""}) if domain in imports}
    return {"": version} | others


def _check(path: str, proto: onnx.ModelProto) -> None:
    """onnx's checker. Inputs and outputs without a shape or a type are no fault, nor are operators of onnxruntime's."""
    for value in (*proto.graph.input, *proto.graph.output):
        if not value.type.WhichOneof("value"):
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    own = _of_onnxruntime(proto)
    for node in own:
        node.domain = MICROSOFT
    imports = len(proto.opset_import)
    if own and not any(entry.domain == MICROSOFT for entry in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    try:
        checker.check_model(proto)
    except Exception as error:  # ValidationError; for damaged files UnicodeDecodeError, RuntimeError and others
        raise CompileError(f"{path}: not a valid ONNX model: {first_line(error)}") from error
    finally:
        del proto.opset_import[imports:]
        for node in own:
            node.domain = ""


def _of_onnxruntime(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes that onnxruntime writes into the default domain, where ONNX has nothing of their name at that opset."""
    version = next((entry.version for entry in proto.opset_import if not entry.domain), 1)
    nodes = (node for graph in graphs(proto.graph) for node in graph.node if not node.domain)
    return [node for node in nodes if marked(node.op_type) & Mark.UNLISTED and not defs.has(node.op_type, version)]


def _check_names(path: str, graph: onnx.GraphProto) -> None:
    """Names go into files, reports and the contract: as they are, or not at all."""
    tensors = [value.name for value in (*graph.input, *graph.output)]
    for name in (graph.name, *tensors, *(name for node in graph.node for name in node.output)):
        if not printable(name) or len(name) > MOST_TEXT:
            raise CompileError(f"{path}: the name {name[:80]!r} is too long or holds unprintable characters: rename it")


def _inlined(path: str, proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions, which may be of another opset."""
    _check_functions(path, proto)
    try:
        made = inliner.inline_local_functions(proto, convert_version=True)
    except Exception as error:  # C++ exceptions of several kinds
        raise CompileError(f"{path}: its local functions can't be inlined: {first_line(error)}") from error
    if not any(entry.domain == "" for entry in made.opset_import):
        made.opset_import.extend(
            entry for function in proto.functions[:1] for entry in function.opset_import if entry.domain == ""
        )
    return made


def _check_functions(path: str, proto: onnx.ModelProto) -> None:
    """What local functions come to, before they are inlined: one that calls another twice, which does so too, .."""
    calls = {
        (function.domain, function.name, function.overload): Counter(map(_called, inside(function.node)))
        for function in proto.functions
    }
    sizes, waiting = dict[tuple[str, str, str], int](), set(calls)
    for _ in range(_DEEPEST):
        ready = [name for name in waiting if waiting.isdisjoint(calls[name])]
        sizes |= {name: sum(count * sizes.get(one, 1) for one, count in calls[name].items()) for name in ready}
        waiting.difference_update(ready)
    if waiting:
        raise CompileError(f"{path}: its local functions call themselves, or more than {_DEEPEST} others in turn")
    if sum(sizes.get(_called(node), 1) for node in inside(proto.graph.node)) > _MOST_NODES:
        raise CompileError(f"{path}: its local functions come to more than {_MOST_NODES} nodes")


def _called(node: onnx.NodeProto) -> tuple[str, str, str]:
    return node.domain, node.op_type, node.overload


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All constants of a file: initializers and attributes, of subgraphs and functions too."""
    nodes = [node for held in (proto.graph, *proto.functions) for node in inside(held.node)]
    attributes = [attribute for node in nodes for attribute in node.attribute]
    bodies = [graph for attribute in attributes for graph in (attribute.g, *attribute.graphs)]
    for graph in (proto.graph, *bodies):
        yield from graph.initializer
    sparse = [tensor for graph in (proto.graph, *bodies) for tensor in graph.sparse_initializer]
    for attribute in attributes:
        yield from (attribute.t, *attribute.tensors)
        sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _load_external_data(path: str, proto: onnx.ModelProto) -> None:
    outside = [tensor for tensor in _tensors(proto) if external_data_helper.uses_external_data(tensor)]
    if sum(map(_external_bytes, outside)) > _MOST_BYTES:
        raise _too_large(path)
    for tensor in outside:
        described = {entry.key: entry.value for entry in tensor.external_data}
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(Path(path).parent))
            if "length" not in described:  # the file may go on behind it
                tensor.raw_data = tensor.raw_data[: _element_bytes(tensor)]
        except Exception as error:  # OSError, ValidationError or ValueError, by version of onnx
            raise CompileError(
                f"{path}: the external data of tensor {tensor.name!r} can't be read from"
                f" {described.get('location', '')!r}; {_fault(Path(path).parent, described)}"
            ) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _too_large(path: str) -> CompileError:
    return CompileError(
        f"{path}: its constants take more than 2 GB, the most that ONNX holds in one message, and that is compiled:"
        " save its weights in float16, or compile a part of it"
    )


def _external_bytes(tensor: onnx.TensorProto) -> int:
    """What a tensor takes of its file, by what it says itself; 0 where it says nothing that can be read."""
    described = {entry.key: entry.value for entry in tensor.external_data}
    try:
        return max(0, int(described["length"]) if "length" in described else _element_bytes(tensor))
    except (KeyError, TypeError, ValueError):
        return 0


def _element_bytes(tensor: onnx.TensorProto) -> int:
    """The most bytes that a tensor's elements take."""
    return int(math.prod(tensor.dims)) * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _fault(folder: Path, described: Mapping[str, str]) -> str:
    """What is wrong with the file that external data should be in."""
    try:
        start, length = int(described.get("offset", 0)), int(described["length"])
        held = (folder / described["location"]).stat().st_size
    except (KeyError, ValueError, OSError):
        return "the file belongs beside the model"
    if start >= 0 and held < start + length:
        return f"the file is cut off: it has {held} bytes, {start + length} are needed; copy or export it again"
    return "the file belongs beside the model"


def _check_types(path: str, proto: onnx.ModelProto) -> None:
    """Every element type is one that this version of onnx has."""
    known = set(helper.get_all_tensor_dtypes()) | {TensorProto.UNDEFINED}
    for graph in graphs(proto.graph):
        kinds = [(v.name, v.type.tensor_type.elem_type) for v in (*graph.input, *graph.output, *graph.value_info)]
        kinds += [(tensor.name, tensor.data_type) for tensor in graph.initializer]
        kinds += [(tensor.values.name, tensor.values.data_type) for tensor in graph.sparse_initializer]
        for name, kind in kinds:
            if kind not in known:
                raise CompileError(f"{path}: tensor {name!r} has the element type {kind}, which ONNX does not have")


def _declared(path: str, value: onnx.ValueInfoProto) -> Declared:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "value of no type"
        raise CompileError(f"{path}: input {value.name!r} is not a tensor but a {kind}, which is not supported")
    tensor = value.type.tensor_type
    if tensor.elem_type == TensorProto.UNDEFINED:
        raise CompileError(f"{path}: input {value.name!r} has no element type; export the model again")
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if dtype.kind not in "fiub":
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise CompileError(f"{path}: input {value.name!r} holds {kind} values; inputs must be numbers")
    if not tensor.HasField("shape"):
        return Declared(value.name, dtype, None)
    return Declared(value.name, dtype, tuple(_dim(dim) for dim in tensor.shape.dim))


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value") and dim.dim_value > 0:
        return int(dim.dim_value)
    return dim.dim_param or None


def first_line(error: Exception) -> str:
    """The first line of an error of onnx's that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
