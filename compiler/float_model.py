"""The float oracle: a model run in floating point, by onnxruntime or, where it refuses, by onnx's reference evaluator.

Two models are run: the user's file, which defines what is right, and the optimized Graph written back as ONNX with
every inner tensor exposed, which calibration measures. One thread, so that a run repeats itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from plonnx.compiler.graph import Array, CompileError, Graph, Node, Tensor

Sample = Mapping[str, Array]
"""One array of the tensor's own shape for each graph input."""

_QUIET = 4


def node_proto(node: Node) -> onnx.NodeProto:
    """The node as ONNX."""
    proto = helper.make_node(node.op, node.inputs, node.outputs, name=node.name, domain=node.domain)
    proto.attribute.extend(
        helper.make_attribute(key, list(value) if isinstance(value, tuple) else value)
        for key, value in node.attributes.items()
    )
    return proto


def _value_info(tensor: Tensor, name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)


def to_onnx(graph: Graph) -> onnx.ModelProto:
    """The graph as an ONNX model."""
    initializers = [
        numpy_helper.from_array(tensor.value, tensor.name)
        for tensor in graph.tensors.values()
        if tensor.value is not None
    ]
    nodes = [node_proto(node) for node in graph.nodes]
    nodes += [helper.make_node("Identity", [source], [name]) for name, source in graph.outputs if name != source]
    inputs = [_value_info(graph.tensors[name], name) for name in graph.inputs]
    outputs = [_value_info(graph.tensors[source], name) for name, source in graph.outputs]
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.opsets.items()]
    body = helper.make_graph(nodes, graph.name or "graph", inputs, outputs, initializers)
    return helper.make_model(body, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets, True))


class FloatModel:
    """A model in floating point."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.inputs = [value.name for value in model.graph.input]
        self.outputs = [value.name for value in model.graph.output]
        self._model = model
        self._session: Any = _session(model)
        self._evaluator: Any = None if self._session is not None else ReferenceEvaluator(model)

    def run(self, sample: Sample) -> dict[str, Array]:
        """Every output for one sample; CompileError where no evaluator can run the model."""
        feed = {name: np.ascontiguousarray(sample[name]) for name in self.inputs}
        if self._session is not None:
            try:
                return dict(zip(self.outputs, self._session.run(self.outputs, feed), strict=True))
            except Exception:  # onnxruntime's exceptions have no common base; the reference evaluator has the last word
                self._session, self._evaluator = None, ReferenceEvaluator(self._model)
        try:
            return dict(zip(self.outputs, self._evaluator.run(self.outputs, feed), strict=True))
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CompileError(f"the float model can't be run on the calibration data: {reason}") from error

    def run_all(self, samples: Sequence[Sample]) -> dict[str, Array]:
        """Every output over the samples, stacked: (samples, *shape)."""
        results = [self.run(sample) for sample in samples]
        return {name: np.stack([result[name] for result in results]) for name in self.outputs}


def _session(model: onnx.ModelProto) -> Any:
    """An onnxruntime session, or None where onnxruntime can't load the model."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # no common base class: whatever it is, the reference evaluator is tried instead
        return None
