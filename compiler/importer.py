"""ONNX file -> Graph: checked, every shape inferred afresh from the graph's inputs, subgraphs of constants folded.

Declared shapes of outputs and inner tensors are not believed (exporters get them wrong). The walk infers one node at
a time and folds as it goes, since a shape may depend on a folded value. Every refusal is a CompileError of one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import checker, defs, external_data_helper, helper, inliner, numpy_helper, shape_inference

from plonnx.compiler.float_model import node_proto
from plonnx.compiler.graph import CompileError, Graph, Node, Shape, Tensor
from plonnx.compiler.ops import find
from plonnx.compiler.passes.fold_constants import folded
from plonnx.compiler.shapes import output_shape
from plonnx.kzg.record import MOST_TEXT, printable

OLDEST_OPSET = 7
_INITIALIZERS_NEED_NOT_BE_INPUTS = 4
_SCALED = ("Resize", "Upsample")
"""Operators whose output's shape comes from a real operand."""
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
    """A checked ONNX model with its external data loaded and its local functions inlined."""

    path: Path
    proto: onnx.ModelProto
    inputs: tuple[Declared, ...]
    opsets: Mapping[str, int]

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
            output.type.tensor_type.ClearField("shape")
        proto.ir_version = max(proto.ir_version, _INITIALIZERS_NEED_NOT_BE_INPUTS)
        return proto


def read_model(path: str | Path) -> Model:
    """Read and check an ONNX file."""
    path = Path(path)
    try:
        proto = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise CompileError(f"{path}: cannot be read ({error.strerror})") from error
    except DecodeError as error:
        raise CompileError(f"{path}: not an ONNX file") from error
    if not proto.ir_version or not proto.graph.output:
        raise CompileError(f"{path}: not an ONNX file (it holds no graph)")
    opsets = _opsets(path, proto)
    _load_external_data(path, proto)
    try:
        checker.check_model(proto)
    except checker.ValidationError as error:
        raise CompileError(f"{path}: not a valid ONNX model: {_first_line(error)}") from error
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    _check_names(path, proto.graph)
    initialized = {tensor.name for tensor in proto.graph.initializer}
    declared = tuple(_declared(path, value) for value in proto.graph.input if value.name not in initialized)
    return Model(path, proto, declared, opsets)


def import_graph(model: Model, shapes: Mapping[str, Shape], hidden: bool = False) -> Graph:
    """The model as a Graph, for inputs of these shapes (fix_shapes finds them). hidden: its constants are secret."""
    if model.proto.graph.sparse_initializer:
        name = model.proto.graph.sparse_initializer[0].values.name
        raise CompileError(f"{model.path}: tensor {name!r} is a sparse initializer; make it dense")
    tensors = {value.name: Tensor(value.name, shapes[value.name], value.dtype) for value in model.inputs}
    for initializer in model.proto.graph.initializer:
        tensors[initializer.name] = Tensor.constant(initializer.name, numpy_helper.to_array(initializer))
    walk = _Walk(model, tensors, hidden)
    reads = [name for node in model.proto.graph.node for name in node.input]
    needed = {*reads, *(output.name for output in model.proto.graph.output)}
    nodes = [node for proto in model.proto.graph.node for node in walk.visit(proto, needed)]
    outputs = tuple((output.name, output.name) for output in model.proto.graph.output)
    for name, _ in outputs:
        if tensors[name].value is not None:
            raise CompileError(f"{model.path}: output {name!r} is a constant: it doesn't depend on the model's inputs")
    graph_name = model.proto.graph.name or model.path.stem
    inputs = tuple(value.name for value in model.inputs)
    return Graph(graph_name, model.opsets, inputs, outputs, tuple(nodes), tensors)


def fix_shapes(
    model: Model,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    data: Mapping[str, Shape] | None = None,
) -> dict[str, Shape]:
    """The static shape of every graph input.

    In order: `shapes` (input name -> shape), `dims` (dimension name -> size), then the shape of the calibration arrays
    in `data`; a symbolic leading dimension of a tensor of rank 2 or more is a batch of 1 where `shapes` and `dims` say
    nothing (in data it is the sample axis). CompileError names the flag for a dimension that nothing fixes.
    """
    known = dict(dims or {})
    named = {dim for value in model.inputs for dim in value.dims or () if isinstance(dim, str)}
    _refuse_unknown(model.path, "--dim", known, named)
    _refuse_unknown(model.path, "--shape", shapes or {}, {value.name for value in model.inputs})
    for name, size in known.items():
        if size < 1:
            raise CompileError(f"--dim {name}={size}: a dimension is at least 1")
    for value in model.inputs:
        _learn(known, value, (shapes or {}).get(value.name), (data or {}).get(value.name))
    return {
        value.name: _fixed(model.path, value, known, (shapes or {}).get(value.name), (data or {}).get(value.name))
        for value in model.inputs
    }


def _opsets(path: Path, proto: onnx.ModelProto) -> dict[str, int]:
    """Domain -> version of the domains that nodes use; the default domain's version is in range."""
    newest = defs.onnx_opset_version()
    imports = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in proto.opset_import}
    used = {"" if node.domain == "ai.onnx" else node.domain for node in proto.graph.node}
    version = imports.get("", newest)
    if not OLDEST_OPSET <= version <= newest:
        raise CompileError(
            f"{path}: opset {version} is out of range; supported are {OLDEST_OPSET} to {newest}"
            " (export the model again with another opset_version)"
        )
    return {"": version} | {domain: version for domain, version in sorted(imports.items()) if domain in used - {""}}


def _check_names(path: Path, graph: onnx.GraphProto) -> None:
    """Names go into files, reports and the contract: as they are, or not at all."""
    tensors = [value.name for value in (*graph.input, *graph.output)]
    for name in (graph.name or path.stem, *tensors, *(name for node in graph.node for name in node.output)):
        if not printable(name) or len(name) > MOST_TEXT:
            raise CompileError(f"{path}: the name {name[:80]!r} is too long or holds unprintable characters: rename it")


def _load_external_data(path: Path, proto: onnx.ModelProto) -> None:
    attributes = (attribute for node in proto.graph.node for attribute in node.attribute)
    held = [attribute.t for attribute in attributes if attribute.type == onnx.AttributeProto.TENSOR]
    for tensor in (*proto.graph.initializer, *held):
        if not external_data_helper.uses_external_data(tensor):
            continue
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        except Exception as error:  # OSError, ValidationError or ValueError, by version of onnx
            location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
            raise CompileError(
                f"{path}: the external data of tensor {tensor.name!r} can't be read from {location!r};"
                " the file belongs beside the model"
            ) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _declared(path: Path, value: onnx.ValueInfoProto) -> Declared:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value")
        raise CompileError(f"{path}: input {value.name!r} is not a tensor but a {kind}, which is not supported")
    tensor = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if dtype.kind not in "fiub":
        raise CompileError(f"{path}: input {value.name!r} holds {dtype} values; inputs must be numbers")
    if not tensor.HasField("shape"):
        return Declared(value.name, dtype, None)
    return Declared(value.name, dtype, tuple(_dim(dim) for dim in tensor.shape.dim))


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value") and dim.dim_value > 0:
        return int(dim.dim_value)
    return dim.dim_param or None


def _refuse_unknown(path: Path, flag: str, given: Mapping[str, object], known: set[str]) -> None:
    for name in given:
        if name not in known:
            have = ", ".join(sorted(known)) or "none"
            raise CompileError(f"{flag} {name}=..: {path} has no such name; it has {have}")


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
    path: Path, value: Declared, known: Mapping[str, int], given: Sequence[int] | None, data: Shape | None
) -> Shape:
    if given is not None:
        shape = tuple(int(size) for size in given)
        agrees = value.dims is None or (
            len(shape) == len(value.dims)
            and all(not isinstance(dim, int) or dim == size for dim, size in zip(value.dims, shape, strict=True))
        )
        if not agrees or any(size < 1 for size in shape):
            flag = ",".join(str(size) for size in shape)
            raise CompileError(f"--shape {value.name}={flag}: {path} declares {_shown(value.dims)}")
        return shape
    if value.dims is None:
        if data is None:
            raise CompileError(f"{path}: input {value.name!r} has no shape; fix it with --shape {value.name}=1,3")
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
            example = ",".join(str(dim) if isinstance(dim, int) else "1" for dim in value.dims)
            flag = f"--dim {dim}=.." if dim else f"--shape {value.name}={example}"
            what = f"dimension {dim!r}" if dim else f"dimension {axis}"
            raise CompileError(f"{path}: {what} of input {value.name!r} is dynamic; fix it with {flag}")
    return tuple(sizes)


def _shown(dims: tuple[Dim, ...] | None) -> str:
    return "no shape" if dims is None else f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]"


class _Walk:
    """One pass over the file's nodes: fold what is constant, refuse what is unsupported, infer the other shapes."""

    def __init__(self, model: Model, tensors: dict[str, Tensor], hidden: bool) -> None:
        self.model, self.tensors, self.hidden = model, tensors, hidden
        self.imports = [helper.make_opsetid(domain, version) for domain, version in model.opsets.items()]

    def visit(self, proto: onnx.NodeProto, needed: set[str]) -> list[Node]:
        """The node for the graph: none where it is folded."""
        node = self._node(proto, needed)
        try:
            values = folded(node, self.model.opsets, self.tensors, self.hidden)
        except CompileError as error:
            raise CompileError(f"{self.model.path}: {error}") from error
        if values is not None:
            self.tensors.update((name, Tensor.constant(name, value)) for name, value in values.items())
            return []
        if find(node) is None:
            raise CompileError(
                f"{self.model.path}: {node.label}: operator not supported at version {node.since};"
                " `plonnx operators` lists those that are, besides any whose operands are constants"
            )
        self._infer(node)
        return [node]

    def _node(self, proto: onnx.NodeProto, needed: set[str]) -> Node:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        counted = proto.op_type == "Split"  # how many outputs there are says how large they are
        outputs = [name if name in needed or counted else "" for name in proto.output]
        while len(outputs) > 1 and not outputs[-1]:
            outputs.pop()
        if not outputs[0]:
            outputs[0] = proto.output[0]
        inputs = list(proto.input)
        while inputs and not inputs[-1]:
            inputs.pop()
        attributes = {attribute.name: _attribute(attribute) for attribute in proto.attribute}
        since = self._since(proto.op_type, domain)
        return Node(proto.op_type, tuple(inputs), tuple(outputs), attributes, since, proto.name, domain)

    def _since(self, op: str, domain: str) -> int:
        version = self.model.opsets.get(domain, 1)
        try:
            return defs.get_schema(op, version, domain).since_version
        except defs.SchemaError:
            return version

    def _infer(self, node: Node) -> None:
        operands = [self.tensors[name] for name in node.inputs if name]
        types = {
            tensor.name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)
            for tensor in operands
        }
        values = {
            tensor.name: numpy_helper.from_array(tensor.value, tensor.name)
            for tensor in operands
            if tensor.value is not None and (tensor.dtype.kind in "iu" or node.op in _SCALED)
        }
        schema = defs.get_schema(node.op, self.model.opsets[node.domain], node.domain)
        try:
            inferred = shape_inference.infer_node_outputs(
                schema, node_proto(node), types, values, opset_imports=self.imports
            )
        except Exception as error:  # onnx raises InferenceError and RuntimeError
            raise CompileError(f"{self.model.path}: {node.label}: {_first_line(error)}") from error
        try:
            known = output_shape(node, [self.tensors[name] if name else None for name in node.inputs])
        except CompileError as error:
            raise CompileError(f"{self.model.path}: {error}") from error
        for name in filter(None, node.outputs):
            kind = inferred[name].tensor_type if name in inferred else None
            dims = known if name == node.outputs[0] else None
            if dims is None and kind is not None and kind.HasField("shape"):
                dims = tuple(dim.dim_value for dim in kind.shape.dim)
            if dims is None or any(size < 1 for size in dims):
                raise CompileError(
                    f"{self.model.path}: {node.label}: the shape of {name!r} depends on values, not on shapes alone"
                )
            dtype = operands[0].dtype if kind is None else helper.tensor_dtype_to_np_dtype(kind.elem_type)
            self.tensors[name] = Tensor(name, dims, np.dtype(dtype))


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return tuple(value) if attribute.type in _LISTS else value


_LISTS = (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS, onnx.AttributeProto.STRINGS)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
