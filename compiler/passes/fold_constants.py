"""Constant folding: a node whose operands are all constants becomes its value, computed by the float oracle.

    Shape(x) -> Gather(0) -> Concat(-1) -> Reshape(x, .)     becomes     Reshape(x, [1, -1])

Shape, Size and EyeLike of a tensor of static shape are constants too. The importer folds while it infers shapes (a
shape may depend on folded values); the pass folds what other passes have made constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper

from plonnx.compiler.float_model import Unevaluable, evaluate_node
from plonnx.compiler.graph import Array, CompileError, Graph, Node, Tensor
from plonnx.compiler.ops import Mark, marks

RANDOM = frozenset(
    ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)


_SHAPED_BY_VALUES = frozenset(("Compress", "NonZero", "Range", "Unique"))


def fold_constants(graph: Graph, hidden: bool = False) -> Graph:
    """Replace nodes of constant operands by constants."""
    tensors = dict(graph.tensors)
    nodes = []
    for node in graph.nodes:
        values = folded(node, graph.opsets, tensors, hidden)
        if values is None:
            nodes.append(node)
        else:
            tensors.update((name, Tensor.constant(name, value)) for name, value in values.items())
    return graph.with_nodes(nodes, tensors)


def folded(
    node: Node, opsets: Mapping[str, int], tensors: Mapping[str, Tensor], hidden: bool = False
) -> dict[str, Array] | None:
    """The values of the node's outputs where they are constant, else None.

    In a hidden model real constants are secret: where they decide a shape or an index, the node is refused.
    """
    if node.op in _OF_SHAPES and not node.domain:
        return {node.outputs[0]: _OF_SHAPES[node.op](node, tensors[node.inputs[0]])}
    operands = [tensors[name] for name in node.inputs if name]
    holds_graph = any(isinstance(value, onnx.GraphProto) for value in node.attributes.values())
    if node.op in RANDOM or holds_graph or any(tensor.value is None for tensor in operands):
        return None
    try:
        results = evaluate_node(node, opsets, {t.name: t.plain for t in operands if t.value is not None})
    except Unevaluable as error:
        shown = ", ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in operands)
        raise CompileError(
            f"{node.label}: its operands are constants ({shown}), but {error}; export the model with its value instead"
        ) from error
    if not all(isinstance(value, (np.ndarray, np.generic)) for value in results.values()):
        return None
    values = {name: np.asarray(value) for name, value in results.items()}
    secret = next((tensor for tensor in operands if tensor.dtype.kind == "f"), None)
    if hidden and secret is not None:
        public = [value for value in values.values() if value.dtype.kind != "f"]
        if public or node.op in _SHAPED_BY_VALUES or marks(node) & Mark.SIZED:
            raise CompileError(
                f"{node.label}: in a private model no shape and no index may come from its constant {secret.name!r}"
            )
    return values


def _shape(node: Node, tensor: Tensor) -> Array:
    shape = tensor.shape[node.attributes.get("start", 0) : node.attributes.get("end", None)]
    return np.asarray(shape, dtype=np.int64)


def _size(node: Node, tensor: Tensor) -> Array:
    return np.asarray(tensor.size, dtype=np.int64)


def _eye(node: Node, tensor: Tensor) -> Array:
    given = node.attributes.get("dtype")
    dtype = tensor.dtype if given is None else helper.tensor_dtype_to_np_dtype(given)
    if len(tensor.shape) != 2:
        raise CompileError(f"{node.label}: its operand has {len(tensor.shape)} axes, where a matrix is due")
    rows, columns = tensor.shape
    return np.eye(rows, columns, int(node.attributes.get("k", 0)), dtype)


_OF_SHAPES: Mapping[str, Callable[[Node, Tensor], Array]] = {"EyeLike": _eye, "Shape": _shape, "Size": _size}
"""What follows from an operand's shape, whatever its value is."""
