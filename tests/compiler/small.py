"""Small ONNX models written as text, and their graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from plonnx.compiler.calibration import as_sample, random_inputs
from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel, to_onnx
from plonnx.compiler.graph import Graph
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import Model, read_model
from plonnx.compiler.options import Options
from plonnx.compiler.passes import optimize
from plonnx.compiler.quantized import Quantized
from plonnx.layout import search
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape, smallest_k

Constants = Mapping[str, Any]


def onnx_model(signature: str, body: str, constants: Constants | None = None, opset: int = 17) -> onnx.ModelProto:
    """A model from onnx's textual syntax; `constants` are initializers (floats unless they are integer arrays)."""
    domains = f'"": {opset}, "ai.onnx.ml": {5 if opset > 20 else 3}, "com.microsoft": 1'
    text = f"<ir_version: 8, opset_import: [{domains}]> small ({signature} {{ {body} }}"
    model = parser.parse_model(text)
    for name, value in (constants or {}).items():
        array = np.asarray(value)
        typed = array.astype(np.float32) if array.dtype == np.float64 else array
        model.graph.initializer.append(numpy_helper.from_array(typed, name))
    return model


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    """The model as a file."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def checked(folder: Path, signature: str, body: str, constants: Constants | None = None, opset: int = 17) -> Model:
    """The model as the importer reads it."""
    return read_model(saved(folder, onnx_model(signature, body, constants, opset)))


def graph_of(folder: Path, signature: str, body: str, constants: Constants | None = None, opset: int = 17) -> Graph:
    """The imported graph, before the passes."""
    model = checked(folder, signature, body, constants, opset)
    return import_graph(model, fix_shapes(model))


def operators(graph: Graph) -> list[str]:
    """Operators in order."""
    return [node.op for node in graph.nodes]


def random_samples(graph: Graph, count: int = 20, reach: float = 1.0) -> dict[str, NDArray[np.float64]]:
    """Uniform inputs."""
    return random_inputs(graph, dict.fromkeys(graph.inputs, (-reach, reach)), count, seed=1)


def run_float(graph: Graph, samples: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
    """The graph in floating point."""
    count = len(next(iter(samples.values())))
    return FloatModel(to_onnx(graph)).run_all([as_sample(graph, samples, index) for index in range(count)])


def assert_same_function(before: Graph, after: Graph) -> None:
    """Both graphs have the same inputs and outputs and compute the same, up to float32."""
    samples = random_samples(before)
    expected, got = run_float(before, samples), run_float(after, samples)
    assert before.inputs == after.inputs
    assert list(expected) == list(got)
    for name, value in expected.items():
        assert value.shape == got[name].shape
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-5)


def compiled(
    folder: Path, signature: str, body: str, constants: Constants | None = None, opset: int = 17, **options: Any
) -> Quantized:
    """The model compiled on 32 uniform samples in [-1, 1]."""
    path = saved(folder, onnx_model(signature, body, constants, opset))
    model = read_model(path)
    graph = optimize(import_graph(model, fix_shapes(model, options.get("dims"), options.get("shapes"))))
    return quantized(path, random_samples(graph, 32), Options(**{"table_bits": 12, **options}))


def assert_accurate(made: Quantized, tolerance: float = 0.005) -> None:
    """The circuit agrees with the model on its samples and with the float graph on others, relative to the range."""
    assert max(output.max_relative for output in made.report.outputs) <= tolerance
    samples = random_samples(made.graph)
    got, expected = made.evaluate(samples), run_float(made.graph, samples)
    for name, value in expected.items():
        assert got[name].shape == value.shape
        spread = float(np.ptp(value)) or 1.0
        assert np.abs(got[name] - value).max() <= tolerance * spread, name


def assert_as_onnxruntime(
    model: onnx.ModelProto, samples: Mapping[str, NDArray[Any]], tolerance: float = 0.0, /, **options: Any
) -> Quantized:
    """Compiled on the samples, every output is onnxruntime's on each of them, within a part of its range."""
    made = quantized(model, samples, Options(**{"table_bits": 12, **options}))
    got = made.evaluate({name: values.astype(np.float64) for name, values in samples.items()})
    oracle = FloatModel(model)
    runs = [
        oracle.run({name: values[k] for name, values in samples.items()}) for k in range(len(next(iter(got.values()))))
    ]
    for name, found in got.items():
        expected = np.stack([run[name] for run in runs]).astype(np.float64)
        assert found.shape == expected.shape, name
        assert np.abs(found - expected).max() <= tolerance * np.ptp(expected), name
    return made


def in_some_layout(model: onnx.ModelProto, samples: Mapping[str, NDArray[Any]], /, **options: Any) -> ModelCircuit:
    """The model compiled on the samples; the search for a good layout takes longer."""
    made = quantized(model, samples, Options(**options))
    columns = next(search.weight_choices(made.builder))
    rows = Layout(made.builder, Shape(0, 2, columns, 2)).rows
    shape = Shape(smallest_k(rows), 2, columns, 2)
    facts = {"opset": 17, "parameters": 0, "operators": {}, "larger_setups": [], "notes": []}
    ports = made.facts.inputs, made.facts.outputs
    return ModelCircuit("small", made.builder, shape, *ports, made.report.as_json(), facts)


def assert_proves(model: onnx.ModelProto, samples: Mapping[str, NDArray[Any]], /, **options: Any) -> None:
    """The circuit's constraints hold of an honest witness, and not of one whose public values are changed."""
    circuit = in_some_layout(model, samples, **{"table_bits": 8, **options})
    witness = circuit.witness(circuit.read_inputs({name: values[0] for name, values in samples.items()}))
    assert circuit.check(witness) == []
    forged = bytearray(witness.public_values)
    forged[-1] ^= 1
    assert circuit.check(replace(witness, public_values=bytes(forged)))
