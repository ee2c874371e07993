"""Model -> Graph: every shape inferred afresh from the graph's inputs, constants folded, control flow gone.

Declared shapes of outputs and inner tensors are not believed (exporters get them wrong). The walk infers one node at
a time and folds as it goes, since a shape may depend on a folded value; If takes the branch of its constant
condition, Loop and Scan are unrolled (control_flow.py), sequences are their entries (sequences.py). What can't be
compiled is collected, so that one line can name all of it (refusals.py). Every refusal is a CompileError of one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper, shape_inference

from plonnx.compiler import control_flow
from plonnx.compiler.definitions import definition
from plonnx.compiler.float_model import attributes_of, node_proto
from plonnx.compiler.graph import (
    MOST_ELEMENTS,
    Array,
    CompileError,
    Dequantized,
    Graph,
    Node,
    Shape,
    Tensor,
    fitting,
    of_size,
)
from plonnx.compiler.normal_form import live, values_of
from plonnx.compiler.onnx_file import Model, first_line
from plonnx.compiler.ops import Mark, find, marked, marks
from plonnx.compiler.passes.fold_constants import folded
from plonnx.compiler.passes.rewrite import Scene
from plonnx.compiler.refusals import Refusal, in_training, refused, unsupported
from plonnx.compiler.sequences import take_sequence

_WIDE = 4
"""Bytes of the integers that every operator of integers takes."""


def import_graph(model: Model, shapes: Mapping[str, Shape], hidden: bool = False) -> Graph:
    """The model as a Graph, for inputs of these shapes (fix_shapes finds them). hidden: its constants are secret."""
    walk = Walk(model, shapes, hidden)
    body, outputs = model.proto.graph, [output.name for output in model.proto.graph.output]
    for initializer in body.initializer:
        walk.tensors[initializer.name] = Tensor.constant(initializer.name, values_of(initializer))
    scope: control_flow.Scope = {}
    walk.nodes_of(body.node, outputs, scope)
    walk.expand()
    shown = tuple((name, scope.get(name, name)) for name in outputs)
    if walk.refusals:
        spoiled = walk.spoiled()
        raise refused(model, walk.refusals, [name for name, source in shown if source not in spoiled])
    if any(source in walk.lists for _, source in shown):
        raise CompileError(f"{model.path}: an output is a sequence; make its entries outputs of their own")
    _check_outputs(model.path, [(name, walk.tensors[source]) for name, source in shown])
    inputs = tuple(value.name for value in model.inputs)
    return Graph(body.name, model.opsets, inputs, shown, tuple(walk.nodes), walk.tensors)


def _check_outputs(path: str, outputs: Sequence[tuple[str, Tensor]]) -> None:
    for name, tensor in outputs:
        if tensor.dtype.kind not in "fiub":
            raise CompileError(f"{path}: output {name!r} does not hold numbers")
        if not tensor.size:
            raise CompileError(f"{path}: output {name!r} is empty, of shape {list(tensor.shape)}")
    if all(tensor.value is not None for _, tensor in outputs):
        names = ", ".join(repr(name) for name, _ in outputs)
        raise CompileError(f"{path}: there is nothing to prove, since no output depends on the inputs: {names}")


class Walk:
    """One pass over the file's nodes: fold what is constant, collect what is unsupported, infer the other shapes."""

    def __init__(self, model: Model, shapes: Mapping[str, Shape], hidden: bool) -> None:
        self.model, self.hidden = model, hidden
        self.tensors = {
            value.name: Tensor(
                value.name, of_size(shapes[value.name], f"{model.path}: input {value.name!r}"), value.dtype
            )
            for value in model.inputs
        }
        self.nodes: list[Node] = []
        self.refusals: list[Refusal] = []
        self.unknown: set[str] = set()
        """What comes from nodes that are refused, where its shape is not known either."""
        self.lists: dict[str, tuple[str, ...]] = {}
        """The entries of each sequence: names of tensors (sequences.py)."""
        self.bodies = self.unrolled = 0
        """How many rounds of loops and branches it has visited, and the nodes in them."""
        self._folded = 0
        self._named = {name for node in model.proto.graph.node for name in node.output}
        self._given: dict[str, int] = {}
        self._trail: list[Node] = []
        self._imports = [helper.make_opsetid(domain, version) for domain, version in model.opsets.items()]

    def nodes_of(self, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], scope: control_flow.Scope) -> None:
        """Visit those nodes of a graph that its outputs need; `scope` says which tensor a name of the graph is."""
        kept, needed = live(nodes, outputs)
        for proto in kept:
            with fitting(f"{self.model.path}: node {proto.name or proto.output[0]!r} ({proto.op_type})"):
                self.visit(proto, needed, scope)

    def visit(self, proto: onnx.NodeProto, needed: set[str], scope: control_flow.Scope) -> None:
        """Add what stands for a node to the graph: nothing where it is folded."""
        node = self._node(proto, needed, scope)
        learning = in_training(node, self.tensors)
        if learning is not None:
            self.refuse(learning)
            return
        if node.op in control_flow.UNROLLED and not node.domain:
            control_flow.UNROLLED[node.op](self, node, proto, scope)
            return
        if take_sequence(self, node):
            return
        if any(name in self.unknown for name in node.inputs):
            if find(node) is None and node.op not in ("EyeLike", "Shape", "Size"):
                self.refuse(unsupported(node))
            self.lose(node)
            return
        self._check_operands(node)
        if self._fold(node) or self._without_bfloat16(node, proto, scope):
            return
        if find(node) is None:
            body = definition(proto, node, self.model.opsets, [self.tensors[n] if n else None for n in node.inputs])
            if body is None:
                self.refuse(unsupported(node))
            else:
                control_flow.take_definition(self, node, proto, scope, body)
            return
        self.add(node)

    def add(self, node: Node) -> None:
        """A supported node whose operands are known, its outputs inferred; empty tensors vanish."""
        self.infer(node)
        made = [name for name in node.outputs if name]
        empty = [name for name in made if not self.tensors[name].size]
        for name in empty:
            tensor = self.tensors[name]
            self.tensors[name] = Tensor.constant(name, np.zeros(tensor.shape, tensor.dtype))
        if len(empty) == len(made):
            return
        if empty and node.op == "Split":
            self._gather_parts(node)
            return
        if node.op == "Concat":
            node = replace(node, inputs=tuple(name for name in node.inputs if self.tensors[name].size))
        self.nodes.append(node)
        self._trail.append(node)

    def apply(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        """A node of our own."""
        since = defs.get_schema(op, self.model.opsets[""]).since_version
        node = Node(op, tuple(inputs), (output,), attributes, since, output)
        if not self._fold(node):
            self.add(node)

    def constant(self, name: str, value: Array) -> str:
        """A constant of our own."""
        self.tensors[name] = Tensor.constant(name, value)
        return name

    def value(self, name: str) -> Array | None:
        """The value of a constant; None for what is computed, absent or unknown."""
        return self.tensors[name].value if name and name in self.tensors else None

    def fresh(self, base: str) -> str:
        """A name that no tensor has or will have."""
        count = self._given.get(base, 0) + 1
        while any(f"{base}~{count}" in taken for taken in (self.tensors, self.unknown, self._named)):
            count += 1
        self._given[base] = count
        return f"{base}~{count}"

    def refuse(self, refusal: Refusal) -> None:
        """Note why a node can't be compiled, and go on: its outputs' shapes are inferred where that is possible."""
        self.refusals.append(refusal)
        node = refusal.node
        try:
            self.infer(node)
            self._trail.append(node)
        except (CompileError, KeyError):  # KeyError: an operand is not known
            self.lose(node)

    def lose(self, node: Node) -> None:
        """Of what a node makes, not even the shape is known."""
        self.unknown.update(filter(None, node.outputs))
        self._trail.append(node)

    def spoiled(self) -> set[str]:
        """What can't be computed, since it comes from a node that is refused."""
        found = {name for refusal in self.refusals for name in refusal.node.outputs if name} | self.unknown
        for node in self._trail:
            if not found.isdisjoint(node.inputs):
                found.update(filter(None, node.outputs))
        return found

    def expand(self) -> None:
        """Note the nodes that their operators' expansions refuse, before anything is measured."""
        refused_already = {refusal.node.outputs for refusal in self.refusals}
        scene = Scene(Graph("", self.model.opsets, (), (), tuple(self.nodes), self.tensors), self.hidden)
        for node in self.nodes:
            operator = find(node)
            if operator is None or operator.expand is None or node.outputs in refused_already:
                continue
            try:
                with fitting(node.label):
                    operator.expand(scene, node)
            except CompileError as error:
                self.refusals.append(Refusal(node, str(error).removeprefix(f"{node.label}: ")))

    def infer(self, node: Node) -> None:
        """The shapes and types of a node's outputs."""
        operator = find(node)
        if operator is not None and operator.makes is not None:
            try:
                made = operator.makes(node, [self.tensors[name] if name else None for name in node.inputs])
            except CompileError as error:
                raise CompileError(f"{self.model.path}: {error}") from error
            kinds = zip(node.outputs, made, strict=False)
            self.tensors.update((name, self._made(node, name, *kind)) for name, kind in kinds if name)
            return
        operands = [self.tensors[name] for name in node.inputs if name]
        inferred = self._inferred(node, operands)
        known = self._by_rule(node)
        for name in filter(None, node.outputs):
            kind = inferred[name].tensor_type if name in inferred else None
            dims = known if name == node.outputs[0] else None
            if dims is None and kind is not None and kind.HasField("shape"):
                dims = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
            if dims is None or any(size < 0 for size in dims):
                raise CompileError(
                    f"{self.model.path}: {node.label}: the shape of {name!r} depends on values, not on shapes alone"
                )
            dtype = operands[0].dtype if kind is None else helper.tensor_dtype_to_np_dtype(kind.elem_type)
            self.tensors[name] = self._made(node, name, dims, np.dtype(dtype))

    def _by_rule(self, node: Node) -> Shape | None:
        """The shape of a node's first output that its operator's own rule gives, if it has one."""
        operator = find(node)
        try:
            rule = None if operator is None else operator.shape
            return None if rule is None else rule(node, [self.tensors[name] if name else None for name in node.inputs])
        except CompileError as error:
            raise CompileError(f"{self.model.path}: {error}") from error

    def _made(self, node: Node, name: str, shape: Shape, dtype: np.dtype[Any]) -> Tensor:
        return Tensor(name, of_size(shape, f"{self.model.path}: {node.label}: {name!r}"), dtype)

    def _inferred(self, node: Node, operands: Sequence[Tensor]) -> Mapping[str, onnx.TypeProto]:
        """What onnx infers. Narrow integers that ONNX does not have for an operator, and exporters do, are taken as
        wide ones: the result is as narrow."""
        narrow = [tensor.dtype for tensor in operands if tensor.dtype.kind in "iu" and tensor.dtype.itemsize < _WIDE]
        try:
            return self._inferred_as(node, operands)
        except Exception as error:  # onnx raises InferenceError, SchemaError and RuntimeError
            reason = CompileError(f"{self.model.path}: {node.label}: {first_line(error)}")
            if not narrow:
                raise reason from error
        wide = {dtype: np.dtype(np.int32) for dtype in narrow}
        held = [
            replace(t, dtype=wide[t.dtype], value=None if t.value is None else t.value.astype(wide[t.dtype]))
            if t.dtype in wide
            else t
            for t in operands
        ]
        try:
            made = self._inferred_as(node, held)
        except Exception as error:
            raise reason from error
        for kind in made.values():
            if kind.tensor_type.elem_type == TensorProto.INT32:
                kind.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(narrow[0])
        return made

    def _inferred_as(self, node: Node, operands: Sequence[Tensor]) -> Mapping[str, onnx.TypeProto]:
        types = {
            tensor.name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)
            for tensor in operands
        }
        values = {
            tensor.name: numpy_helper.from_array(tensor.value, tensor.name)
            for tensor in operands
            if tensor.value is not None
            and (tensor.dtype.kind in "iu" or node.op == "Range" or marks(node) & Mark.SIZED)
        }
        schema = defs.get_schema(node.op, self.model.opsets.get(node.domain, 1), node.domain)
        return shape_inference.infer_node_outputs(schema, node_proto(node), types, values, opset_imports=self._imports)

    def _fold(self, node: Node) -> bool:
        self._check_folded(node)
        try:
            values = folded(node, self.model.opsets, self.tensors, self.hidden)
        except CompileError as error:
            raise CompileError(f"{self.model.path}: {error}") from error
        if values is None:
            return False
        self.count_constants(sum(value.size for value in values.values()))
        self.tensors.update((name, Tensor.constant(name, value)) for name, value in values.items())
        if node.op == "DequantizeLinear" and not node.attributes.get("block_size", 0):
            made, (q, scale, zero) = node.outputs[0], (*node.inputs, "")[:3]
            of = Dequantized(q, scale, zero, int(node.attributes.get("axis", 1)))
            self.tensors[made] = replace(self.tensors[made], dequantized=of)
        return True

    def _check_folded(self, node: Node) -> None:
        """What a node of constants makes is small enough, before it is made; what follows from values is small."""
        operands = [self.tensors[name] for name in node.inputs if name]
        if not operands or any(tensor.value is None for tensor in operands):
            return
        try:
            made = self._inferred(node, operands)
        except CompileError:
            return  # onnxruntime may take it all the same, or says what is wrong
        self._by_rule(node)
        for name, kind in made.items():
            dims = tuple(dim.dim_value for dim in kind.tensor_type.shape.dim)
            of_size(dims, f"{self.model.path}: {node.label}: {name!r}")

    def count_constants(self, elements: int) -> None:
        """So many elements more that the file's constants come to."""
        self._folded += elements
        if self._folded > MOST_ELEMENTS:
            raise CompileError(f"{self.model.path}: what its constants are folded to has more than 2^28 elements")

    def _without_bfloat16(self, node: Node, proto: onnx.NodeProto, scope: control_flow.Scope) -> bool:
        """A computed cast to bfloat16 (normal_form.py puts one back to float32 behind it) is its operand."""
        if node.op != "Cast" or node.domain or node.attributes["to"] != TensorProto.BFLOAT16:
            return False
        scope[proto.output[0]] = node.inputs[0]
        return True

    def _gather_parts(self, node: Node) -> None:
        """A Split of which some parts are empty: the others are gathered."""
        x, axis = node.inputs[0], int(node.attributes.get("axis", 0))
        start = 0
        for name in node.outputs:
            extent = self.tensors[name].shape[axis]
            if extent:
                where = self.constant(self.fresh(name), np.arange(start, start + extent))
                self.apply("Gather", (x, where), name, axis=axis)
            start += extent

    def _check_operands(self, node: Node) -> None:
        """A weight that is not a number makes everything after it one: the line names the weight."""
        for name in filter(None, node.inputs):
            value = self.tensors[name].value
            if value is None or value.dtype.kind != "f" or marks(node) & Mark.READS_NAN:
                continue
            broken = np.argwhere(np.isnan(value))
            if broken.size:
                raise CompileError(
                    f"{self.model.path}: {node.label}: its weight {name!r} is not a number (NaN) at"
                    f" {broken[0].tolist()}: the training diverged, or the file is damaged"
                )

    def _node(self, proto: onnx.NodeProto, needed: set[str], scope: control_flow.Scope) -> Node:
        counted = marked(proto.op_type, proto.domain) & Mark.NAMES_ALL
        outputs = [scope.get(name, name) if name in needed or counted else "" for name in proto.output]
        while len(outputs) > 1 and not outputs[-1]:
            outputs.pop()
        if not outputs[0]:
            outputs[0] = proto.output[0]
        inputs = [scope.get(name, name) for name in proto.input]
        while inputs and not inputs[-1]:
            inputs.pop()
        try:
            attributes = attributes_of(proto)
        except ValueError as error:
            raise CompileError(f"{self.model.path}: node {proto.name or proto.output[0]!r}: {error}") from error
        if "keepdims" in attributes:  # what is not 1 keeps none
            attributes["keepdims"] = int(attributes["keepdims"] == 1)
        since = self._since(proto.op_type, proto.domain)
        return Node(proto.op_type, tuple(inputs), tuple(outputs), attributes, since, proto.name, proto.domain)

    def _since(self, op: str, domain: str) -> int:
        version = self.model.opsets.get(domain, 1)
        try:
            return defs.get_schema(op, version, domain).since_version
        except defs.SchemaError:
            return version
