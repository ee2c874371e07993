"""The float oracle: a model run in floating point, by onnxruntime or, where it refuses, by onnx's reference evaluator.

Three kinds of models are run: the user's file, which defines what is right, the optimized Graph written back as ONNX
with every inner tensor exposed, which calibration measures, and single nodes whose operands are constants
(passes/fold_constants.py). One thread, so that a run repeats itself.

onnxruntime has the first word because it is what users compare with. The reference evaluator is not asked where it is
known to compute something else (reference.py; tests/compiler/test_float_model.py looks for more of these).

Products with weights in integers onnxruntime computes in its fastest way unless it is told otherwise: what is
multiplied is rounded to 8 bits, which alone may be off by 0.3 % of an output's range. Here it computes what the model
says; `at_its_fastest` says how far the other is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper

from plonnx.compiler.graph import Array, CompileError, Graph, Node, Tensor
from plonnx.compiler.wider_types import of_wider_types
from plonnx.gadgets.in_order import in_order

Sample = Mapping[str, Array]
"""One array of the tensor's own shape for each graph input."""

FORMULA = "~formula"
"""A note on a node: what it computes of its operand, element by element, as compiler/tabulated.py has it."""
_QUIET = 4
_WRONG = ["MatmulTransposeFusion"]
"""What onnxruntime's optimizer gets wrong: a transposed matrix times a vector becomes another product (1.32)."""
_AS_THE_MODEL_SAYS, _FASTEST = "1", "4"
"""In float32; with operands of 8 bits."""


class Unevaluable(CompileError):
    """Neither onnxruntime nor a reference evaluator that agrees with it can compute something."""


def node_proto(node: Node) -> onnx.NodeProto:
    """The node as ONNX, without its name: nodes that come of one node share it, which onnxruntime refuses.

    Nor does it get what passes have noted on it, whose names start with a tilde.
    """
    proto = helper.make_node(node.op, node.inputs, node.outputs, domain=node.domain)
    proto.attribute.extend(
        helper.make_attribute(key, list(value) if isinstance(value, tuple) else value)
        for key, value in node.attributes.items()
        if not key.startswith("~") and not (isinstance(value, tuple) and not value)  # onnx types no empty list
    )
    return proto


def _protos(node: Node) -> list[onnx.NodeProto]:
    """The nodes of ONNX that stand for one: several where it is one of ours."""
    formula = node.attributes.get(FORMULA)
    return [node_proto(node)] if formula is None else formula.nodes(node.inputs[0], node.outputs[0])


def _of_one_type(graph: Graph, node: Node, casts: dict[str, onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes of one, with casts of reals to the type that its operator shares: passes take casts between them out.

    casts: those that are there already, by the name of what they make.
    """
    if not defs.has(node.op, node.since, node.domain):
        yield from _protos(node)
        return
    schema, inputs = defs.get_schema(node.op, node.since, node.domain), list(node.inputs)
    if len(inputs) > schema.max_input:  # trees, and what is missing of their features (compiler/missing.py)
        yield from _with_nan(graph, inputs[0], inputs[1], node)
        return
    kinds = [graph.tensors[name].dtype if name else None for name in inputs]
    formal = [schema.inputs[min(place, len(schema.inputs) - 1)].type_str for place in range(len(inputs))]
    for shared in {*formal} - {""}:
        reals = {kind for kind, own in zip(kinds, formal, strict=True) if own == shared and kind and kind.kind == "f"}
        made = zip(schema.outputs, node.outputs, strict=False)
        wanted = [graph.tensors[name].dtype for own, name in made if own.type_str == shared and name]
        target = next((kind for kind in wanted if kind.kind == "f"), max(reals, key=lambda k: k.itemsize, default=None))
        if target is None or reals <= {target}:
            continue
        for place, (kind, own) in enumerate(zip(kinds, formal, strict=True)):
            if own != shared or kind is None or kind.kind != "f" or kind == target:
                continue
            name = f"{inputs[place]}~{target}"
            if name not in casts:
                to = helper.np_dtype_to_tensor_dtype(target)
                casts[name] = helper.make_node("Cast", [inputs[place]], [name], to=to)
                yield casts[name]
            inputs[place] = name
    yield from _protos(replace(node, inputs=tuple(inputs)))


def _with_nan(graph: Graph, x: str, missing: str, node: Node) -> Iterator[onnx.NodeProto]:
    """The node of x that is NaN where it is missing: ONNX has no operand that says so."""
    nothing, read = (f"{node.outputs[0]}/{part}" for part in ("nothing", "read"))
    nan = numpy_helper.from_array(np.array(np.nan, graph.tensors[x].dtype))
    yield helper.make_node("Constant", [], [nothing], value=nan)
    yield helper.make_node("Where", [missing, nothing, x], [read])
    yield node_proto(replace(node, inputs=(read,)))


def attributes_of(proto: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node as plain values: lists are tuples, text is str. ValueError where one is damaged."""
    return {attribute.name: _attribute(attribute) for attribute in proto.attribute}


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if attribute.type == onnx.AttributeProto.STRINGS:
        return tuple(text.decode(errors="replace") for text in value)
    return tuple(value) if attribute.type in _LISTS else value


_LISTS = (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS)


def _value_info(tensor: Tensor, name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)


def to_onnx(graph: Graph) -> onnx.ModelProto:
    """The graph as an ONNX model."""
    initializers = [
        numpy_helper.from_array(tensor.plain, tensor.name)
        for tensor in graph.tensors.values()
        if tensor.value is not None
    ]
    casts: dict[str, onnx.NodeProto] = {}
    nodes = [proto for node in graph.nodes for proto in _of_one_type(graph, node, casts)]
    nodes += [helper.make_node("Identity", [source], [name]) for name, source in graph.outputs if name != source]
    inputs = [_value_info(graph.tensors[name], name) for name in graph.inputs]
    outputs = [_value_info(graph.tensors[source], name) for name, source in graph.outputs]
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.opsets.items()]
    body = helper.make_graph(nodes, graph.name or "graph", inputs, outputs, initializers)
    return helper.make_model(body, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets, True))


class FloatModel:
    """A model in floating point."""

    def __init__(self, model: onnx.ModelProto, accuracy: str = _AS_THE_MODEL_SAYS) -> None:
        self.inputs = [value.name for value in model.graph.input]
        self.outputs = [value.name for value in model.graph.output]
        self._model = model
        self._session: Any = _session(model, accuracy)
        if self._session is None and (wider := of_wider_types(model)) is not None:
            self._session = _session(wider, accuracy)
        self._evaluator: Any = None
        self._one_at_a_time = Lock()  # the reference evaluator keeps state

    def at_its_fastest(self) -> FloatModel | None:
        """The model as onnxruntime computes it by default, where that may be less exact; None where it is the same."""
        weights = any(node.op_type == "DequantizeLinear" for node in self._model.graph.node)
        return FloatModel(self._model, _FASTEST) if weights and self.by_onnxruntime else None

    def showing(self, names: Iterable[str]) -> FloatModel | None:
        """The model with those of these tensors as its outputs that it computes by these names; None without one."""
        made = {name for node in self._model.graph.node for name in node.output}
        shown = onnx.ModelProto()
        shown.CopyFrom(self._model)
        del shown.graph.output[:]
        shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name in made)
        return FloatModel(shown) if shown.graph.output else None

    @property
    def by_onnxruntime(self) -> bool:
        """Whether onnxruntime takes it."""
        return self._session is not None

    def run(self, sample: Sample) -> dict[str, Array]:
        """Every output for one sample; CompileError where nothing that can be relied on runs the model."""
        try:
            return self.evaluate(sample)
        except Unevaluable as error:
            raise CompileError(f"the float model can't be run on the calibration data: {error}") from error

    def run_each(self, samples: Iterable[Sample]) -> Iterator[dict[str, Array]]:
        """Every output for each sample."""
        return in_order(self.run, samples)

    def run_all(self, samples: Sequence[Sample]) -> dict[str, Array]:
        """Every output over the samples, stacked: (samples, *shape)."""
        results = list(self.run_each(samples))
        return {name: np.stack([result[name] for result in results]) for name in self.outputs}

    def evaluate(self, sample: Sample) -> dict[str, Array]:
        """As `run`, for whoever says in words of its own what can't be computed: raises Unevaluable."""
        feed = {name: np.asarray(sample[name], order="C") for name in self.inputs}
        if self._session is not None:
            try:
                return dict(zip(self.outputs, self._session.run(self.outputs, feed), strict=True))
            except Exception:  # onnxruntime's exceptions have no common base; the reference evaluator has the last word
                pass  # for this sample alone: what is said of another does not depend on which came first
        try:
            with self._one_at_a_time:
                if self._evaluator is None:
                    from plonnx.compiler.reference import reference  # slow to load, and hardly ever asked

                    self._evaluator = reference(self._model)
                return dict(zip(self.outputs, self._evaluator.run(self.outputs, feed), strict=True))
        except Unevaluable:
            raise
        except Exception as error:  # it raises whatever its numpy code raises
            raise Unevaluable("neither onnxruntime nor onnx's reference evaluator can compute it") from error


def _session(model: onnx.ModelProto, accuracy: str) -> Any:
    """An onnxruntime session, or None where onnxruntime can't load the model."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", accuracy)
    if len(model.graph.node) == 1:  # a constant to fold: looking for what to optimize takes longer
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=_WRONG
        )
        session._model_bytes = None  # kept for a change of provider, which nobody asks for: as large as the model
        return session
    except Exception:  # no common base class: whatever it is, the reference evaluator is tried instead
        return None


def evaluate_node(node: Node, opsets: Mapping[str, int], operands: Mapping[str, Array]) -> dict[str, Any]:
    """The outputs of one node, by name, for constant operands; Unevaluable where nothing can compute them.

    The node is run at its own version, whatever newer opset the model imports.
    """
    version = node.since if defs.has(node.op, node.since, node.domain) else opsets.get(node.domain, 1)
    imports = [helper.make_opsetid(node.domain, version)]
    plain = {name: value for name, value in operands.items() if value.dtype.kind in _NUMPY_KINDS}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in plain.items()
    ]
    held = [numpy_helper.from_array(value, name) for name, value in operands.items() if name not in plain]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.outputs if name]
    graph = helper.make_graph([node_proto(node)], "constant", inputs, outputs, held)
    ir_version = helper.find_min_ir_version_for(imports, True)
    return FloatModel(helper.make_model(graph, opset_imports=imports, ir_version=ir_version)).evaluate(plain)


_NUMPY_KINDS = "fiubOUS"
"""Kinds of types that numpy itself has; others (bfloat16, int4, ..) can't be fed, but held as initializers."""
