"""Models of one operator of ai.onnx.ml with random attributes, compiled and compared with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized

Array = NDArray[Any]
ML = "ai.onnx.ml"


def one_node(
    op: str,
    inputs: Mapping[str, tuple[int, ...] | Array],
    outputs: Sequence[str] = ("y",),
    dtype: Any = np.float32,
    opset: int = 15,
    version: int = 3,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; an input is a shape, or an array that is a constant."""
    node = helper.make_node(op, list(inputs), list(outputs), domain=ML, **attributes)
    return of_nodes([node], inputs, outputs, dtype, opset, version)


def of_nodes(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, ...] | Array],
    outputs: Sequence[str],
    dtype: Any = np.float32,
    opset: int = 15,
    version: int = 3,
) -> onnx.ModelProto:
    """A model of some nodes."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    values = [helper.make_tensor_value_info(n, kind, shape) for n, shape in inputs.items() if isinstance(shape, tuple)]
    held = [numpy_helper.from_array(v, n) for n, v in inputs.items() if not isinstance(v, tuple)]
    shown = [helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = helper.make_graph(list(nodes), "learned", values, shown, held)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(ML, version)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def compiled(model: onnx.ModelProto, samples: Mapping[str, Array], **options: Any) -> Quantized:
    """The model on these samples."""
    return quantized(model, [dict(samples)], Options(**{"table_bits": 12, **options}))


def assert_agrees(
    made: Quantized, model: onnx.ModelProto, samples: Mapping[str, Array], tolerance: float = 0.005, labels: float = 1.0
) -> None:
    """On samples (samples, *shape): integers on a share of them, real numbers up to a share of their range."""
    read = read_model(model)
    oracle = FloatModel(read.fixed({port.name: port.shape for port in made.facts.inputs}))
    types = {value.name: value.dtype for value in read.inputs}
    count = len(next(iter(samples.values())))
    expected = oracle.run_all([{name: x[i].astype(types[name]) for name, x in samples.items()} for i in range(count)])
    got = made.evaluate({name: np.asarray(x, np.float64) for name, x in samples.items()})
    assert list(got) == list(expected)
    for name, value in expected.items():
        assert got[name].shape == value.shape, name
        if value.dtype.kind in "iub":
            assert np.mean(got[name] == value) >= labels, name
        else:
            assert np.abs(got[name] - value).max() <= tolerance * (float(np.ptp(value)) or 1.0), name
