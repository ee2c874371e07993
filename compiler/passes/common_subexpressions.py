"""Common subexpressions: of two nodes with the same operator, operands and attributes, the first serves both.

    a = Relu(x);  b = Relu(x);  c = Add(a, b)         becomes         a = Relu(x);  c = Add(a, a)

Constants of equal type, shape and content are one constant. In a hidden model that would show which of its values are
equal: there only shapes, axes and indices are, which say what an operator does.
"""

from __future__ import annotations

from hashlib import sha256

from plonnx.compiler.graph import Array, Graph, Node, Tensor
from plonnx.compiler.ops import Mark, marks

_START = 64


def common_subexpressions(graph: Graph, hidden: bool = False) -> Graph:
    """Keep the first of equal nodes."""
    secret = {name for node in graph.nodes for name in _values(node)} if hidden else set()
    renamed: dict[str, str] = {}
    alike: dict[object, list[Tensor]] = {}
    for tensor in graph.tensors.values():
        if tensor.value is not None and not (hidden and (tensor.dtype.kind == "f" or tensor.name in secret)):
            start = tensor.value.flat[:_START].tobytes()  # few go on alike: the others of a large model are not read
            alike.setdefault((str(tensor.dtype), tensor.shape, start), []).append(tensor)
    for tensors in alike.values():
        contents: dict[bytes, str] = {}
        values = {id(tensor.value): tensor.value for tensor in tensors}  # passes give what they keep another name
        digests = {one: _digest(value) if len(values) > 1 else b"" for one, value in values.items()}
        for tensor in tensors:
            first = contents.setdefault(digests[id(tensor.value)], tensor.name)
            if first != tensor.name:
                renamed[tensor.name] = first
    seen: dict[object, Node] = {}
    kept = []
    for node in graph.nodes:
        operands = tuple(renamed.get(name, name) for name in node.inputs)
        attributes = tuple((name, repr(node.attributes[name])) for name in sorted(node.attributes))
        first_node = seen.setdefault((node.domain, node.op, operands, attributes, tuple(map(bool, node.outputs))), node)
        if first_node is node:
            kept.append(node)
        else:
            renamed.update(zip(node.outputs, first_node.outputs, strict=True))
    return graph.with_nodes(kept, renamed=renamed)


def _digest(value: Array | None) -> bytes:
    assert value is not None, "constants have values"
    return sha256(value.tobytes()).digest()


def _values(node: Node) -> tuple[str, ...]:
    """The operands whose values go into the result, as far as an operator is not known to take them otherwise."""
    return node.inputs[:1] if marks(node) & Mark.TOLD else node.inputs
