"""The front end as one call: ONNX file + calibration data -> Builder, accuracy report and facts about the model.

read_model -> read data -> fix_shapes -> import_graph -> optimize -> calibrate -> (quantize -> lower) per table size
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plonnx.compiler.calibration import DEFAULT_MARGIN, Calibration, as_sample, calibrate
from plonnx.compiler.fixed_point import WidthError
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Array, CompileError, Graph, Shape, Tensor
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.integers import Inexact, check_integers
from plonnx.compiler.lower import Hidden, Visibility, lower, visible
from plonnx.compiler.masks import clamped, without_masks
from plonnx.compiler.onnx_file import Model, Source, read_model
from plonnx.compiler.passes import optimize
from plonnx.compiler.quantize import quantize
from plonnx.compiler.report import Report, TensorError, evaluate, output_errors, spread_indices, worst_tensor
from plonnx.gadgets import Builder, OutOfRange
from plonnx.gadgets.blocks import Linear
from plonnx.kzg.wording import option
from plonnx.layout import cost
from plonnx.layout.circuit import MOST_BITS, ModelCircuit
from plonnx.layout.inputs import InputError, Port, Reals, read_arrays, to_samples

Data = str | Path | Mapping[str, Any]
TABLE_BITS = range(8, 17)
"""Table sizes that the search tries, smallest first."""
ALLOWED_TABLE_BITS = range(4, 21)
DEFAULT_ERROR_TARGET = 0.003
DEFAULT_WEIGHT_BITS = 16
_FIRST_SAMPLES, _SEARCH_SAMPLES = 16, 128


@dataclass(frozen=True)
class Facts:
    """What is worth telling about a compiled model; `operators` counts the nodes left after the passes."""

    name: str
    opset: int
    parameters: int
    operators: Mapping[str, int]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True)
class Quantized:
    """A model in the circuit's arithmetic: the builder, its accuracy, its facts, and the quantized graph."""

    builder: Builder
    report: Report
    facts: Facts
    graph: Graph

    def evaluate(self, samples: Mapping[str, Reals]) -> dict[str, Reals]:
        """Real inputs (samples, *shape) to real outputs (samples, *shape), through the circuit's integers."""
        outputs = evaluate(self.builder, self.facts.inputs, samples)
        return {port.name: np.ldexp(outputs[port.name].astype(np.float64), -port.scale) for port in self.facts.outputs}


def quantized(
    path: Source,
    data: Data | Sequence[Data] | None,
    *,
    outputs: Sequence[str] | None = None,
    margin: float = DEFAULT_MARGIN,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    table_bits: int | None = None,
    error_target: float | None = None,
    input_visibility: Visibility = "public",
    output_visibility: Visibility = "public",
    hidden: Hidden | None = None,
) -> Quantized:
    """Compile an ONNX file up to gadgets.

    `data` is one or several files or mappings of input name to array (inputs.py says in which shapes). Without
    `table_bits` the smallest table whose error is within `error_target` (relative to each output's range; 0.3 % where
    it is None) in every group of samples is taken, or the finest one where none is.
    With `hidden` the model's constants are secret: nothing public depends on them but the scales and the table's size.
    Raises CompileError or InputError, each of one line.
    """
    if table_bits is not None and table_bits not in ALLOWED_TABLE_BITS:
        low, high = ALLOWED_TABLE_BITS[0], ALLOWED_TABLE_BITS[-1]
        raise CompileError(f"{option('table_bits', str(table_bits))}: choose {low} to {high}")
    model = read_model(path, outputs)
    sources = [data] if isinstance(data, (str, Path, Mapping)) else list(data or ())
    fixed, samples = _read_data(model, sources, dims, shapes)
    imported, masked = without_masks(import_graph(model, fixed, hidden is not None), samples, margin)
    graph = optimize(imported, hidden is not None)
    visible(input_visibility, graph.inputs, "input")
    visible(output_visibility, [name for name, _ in graph.outputs], "output")
    calibration = calibrate(graph, samples, margin)
    oracle = FloatModel(model.fixed(fixed))
    search = _Search(graph, calibration, oracle, masked, input_visibility, output_visibility, hidden)
    target = DEFAULT_ERROR_TARGET if error_target is None else error_target
    return search.best([table_bits] if table_bits is not None else TABLE_BITS, target)


def compile_model(
    path: Source,
    data: Sequence[Any] | None,
    *,
    outputs: Sequence[str] | None = None,
    margin: float = 2.0,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    table_bits: int | None = None,
    error_target: float | None = None,
    input_visibility: Any = "public",
    output_visibility: Any = "public",
    model_visibility: str = "public",
    weight_bits: int | None = None,
    bias_bits: int | None = None,
    optimize: str = "prover",
    progress: Callable[[str], None] | None = None,
) -> ModelCircuit:
    """Compile an ONNX file (imports onnx). Raises CompileError or InputError with one line."""
    say = progress or (lambda message: None)
    say("quantizing")
    model = quantized(
        path,
        data or [],
        outputs=outputs,
        margin=margin,
        dims=dims,
        shapes=shapes,
        table_bits=table_bits,
        error_target=DEFAULT_ERROR_TARGET if error_target is None else error_target,
        input_visibility=input_visibility,
        output_visibility=output_visibility,
        hidden=_hidden(model_visibility, weight_bits, bias_bits),
    )
    if model.builder.hidden and not any(isinstance(block, Linear) for block in model.builder.blocks):
        raise ValueError(f"the model has no weights to hide; compile it with {option('model', 'public')}")
    say("laying out")
    layout = cost.choose(model.builder, optimize)
    facts = {
        "opset": model.facts.opset,
        "parameters": model.facts.parameters,
        "operators": dict(model.facts.operators),
    }
    return ModelCircuit(
        name=model.facts.name,
        builder=model.builder,
        shape=layout.shape,
        inputs=model.facts.inputs,
        outputs=model.facts.outputs,
        report=model.report.as_json(),
        facts=facts,
    )


def _hidden(visibility: str, weight_bits: int | None, bias_bits: int | None) -> Hidden | None:
    if visibility not in ("public", "private"):
        raise CompileError(f"{option('model', visibility)}: choose public or private")
    for name, bits in (("weight_bits", weight_bits), ("bias_bits", bias_bits)):
        if bits is not None and visibility == "public":
            private = option("model", "private")
            raise CompileError(f"{option(name)} declares a width of a private model: give {private} with it")
        if bits is not None and not 2 <= bits <= MOST_BITS:
            raise CompileError(f"{option(name, str(bits))}: choose 2 to {MOST_BITS}")
    if visibility == "public":
        return None
    return Hidden(DEFAULT_WEIGHT_BITS if weight_bits is None else weight_bits, bias_bits)


def ports(graph: Graph, inputs: Visibility, outputs: Visibility) -> tuple[tuple[Port, ...], ...]:
    """The circuit's inputs and outputs, as plain data."""
    in_public = visible(inputs, graph.inputs, "input")
    out_public = visible(outputs, [name for name, _ in graph.outputs], "output")
    ends = ([(name, name) for name in graph.inputs], in_public), (graph.outputs, out_public)
    made = []
    for pairs, public in ends:
        tensors = [(name, graph.tensors[source]) for name, source in pairs]
        made.append(
            tuple(
                Port(name, tensor.shape, str(tensor.dtype), *_scale_and_limit(tensor), public[name])
                for name, tensor in tensors
            )
        )
    return tuple(made)


def _scale_and_limit(tensor: Tensor) -> tuple[int, int]:
    assert tensor.scale is not None and tensor.interval is not None, "ports come after quantization"
    return tensor.scale, tensor.interval[1] + 1


def _read_data(
    model: Model,
    sources: Sequence[Data],
    dims: Mapping[str, int] | None,
    shapes: Mapping[str, Sequence[int]] | None,
) -> tuple[dict[str, Shape], dict[str, Reals]]:
    """The inputs' static shapes, and all samples of all sources in order."""
    names = [value.name for value in model.inputs]
    if not names:
        raise CompileError(f"{model.path}: the model has no inputs; there is nothing to prove")
    if not sources:
        optimize(import_graph(model, fix_shapes(model, dims, shapes)))  # what can't be compiled is said first
        raise CompileError(
            f"{model.path}: calibration data is missing; give samples of its inputs with {option('data')}"
        )
    arrays = [read_arrays(source, names) for source in sources]
    fixed = fix_shapes(model, dims, shapes, {name: array.shape for name, array in arrays[0].items()})
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for source, held in zip(sources, arrays, strict=True):
        where = str(source) if isinstance(source, (str, Path)) else "the given arrays"
        for name in names:
            parts[name].append(to_samples(held[name], name, fixed[name], where))
        counts = {len(parts[name][-1]) for name in names}
        if len(counts) > 1:
            raise InputError(f"{where}: its inputs have different numbers of samples")
    return fixed, {name: np.concatenate(part) for name, part in parts.items()}


def _holds(errors: Sequence[TensorError], target: float) -> bool:
    """The target holds in every group of samples."""
    return max(error.max_group_relative for error in errors) <= target


Built = tuple[Graph, Builder, tuple[Port, ...]]
"""A quantized graph, its builder, its input ports."""


class _Search:
    """Tries table sizes, smallest first, against the float model."""

    def __init__(
        self,
        graph: Graph,
        calibration: Calibration,
        oracle: FloatModel,
        masked: Mapping[str, Array],
        input_visibility: Visibility,
        output_visibility: Visibility,
        hidden: Hidden | None,
    ) -> None:
        self.hidden = hidden
        self.graph, self.calibration = graph, calibration
        self.input_visibility, self.output_visibility = input_visibility, output_visibility
        samples = calibration.samples
        runs = oracle.run_all([as_sample(graph, samples, index) for index in range(calibration.count)])
        self.expected = clamped(runs, masked)

    def best(self, table_bits: Sequence[int], error_target: float) -> Quantized:
        """The first size within the target, on ever more of the samples; else the finest that holds them all."""
        every = np.arange(self.calibration.count)
        steps = [spread_indices(self.calibration.count, most) for most in (_FIRST_SAMPLES, _SEARCH_SAMPLES)]
        fitting: list[int] = []
        overflow: OutOfRange | Inexact | None = None
        for bits in table_bits:
            try:
                built = self._build(bits)
                reached = self._reaches(built, steps[0], error_target) and all(
                    _holds(self._errors(built, which), error_target) for which in (steps[1], every)
                )
            except (OutOfRange, Inexact) as error:
                overflow = error
                continue
            except WidthError as error:  # a finer table makes wider weights: the finest that the declared widths hold
                if not fitting:
                    raise CompileError(str(error)) from error
                break
            fitting.append(bits)
            if reached:
                break
        for bits in reversed(fitting):
            try:
                return self._finish(bits, error_target, every)
            except OutOfRange as error:
                overflow = error
        if isinstance(overflow, Inexact):
            raise CompileError(f"{overflow}; wider integers are not supported yet: cast to float32 before computing")
        raise CompileError(
            f"no table size holds the calibration data: {overflow}; try a larger {option('margin')}, and keep arguments"
            " away from where a function has no value"
        )

    def _build(self, bits: int) -> Built:
        limits, ranges = self.calibration.limits, self.calibration.ranges
        graph = quantize(self.graph, limits, bits, self.hidden is not None, ranges)
        check_integers(graph, bits)
        builder = lower(graph, bits, self.input_visibility, self.output_visibility, self.hidden)
        return graph, builder, ports(graph, self.input_visibility, self.output_visibility)[0]

    def _errors(self, built: Built, which: Array) -> tuple[TensorError, ...]:
        graph, builder, inputs = built
        circuit = evaluate(builder, inputs, self._samples(which))
        return output_errors(graph, circuit, {name: values[which] for name, values in self.expected.items()})

    def _reaches(self, built: Built, which: Array, error_target: float) -> bool:
        """Whether a few samples leave hope: an error beyond the target against the range of all is one for good."""
        spans = {name: float(np.ptp(values)) or np.inf for name, values in self.expected.items()}
        return all(error.max_absolute / spans[error.name] <= error_target for error in self._errors(built, which))

    def _samples(self, which: Array) -> dict[str, Reals]:
        return {name: values[which] for name, values in self.calibration.samples.items()}

    def _finish(self, bits: int, error_target: float, every: Array) -> Quantized:
        graph, builder, inputs = built = self._build(bits)
        errors = self._errors(built, every)
        report = Report(
            table_bits=bits,
            margin=self.calibration.margin,
            error_target=error_target,
            reached=max(error.max_relative for error in errors) <= error_target,
            samples=self.calibration.given,
            random_samples=self.calibration.count - self.calibration.given,
            outputs=errors,
            worst=worst_tensor(builder, graph, inputs, self._samples(every)),
            scales={name: tensor.scale for name, tensor in graph.tensors.items() if tensor.scale is not None},
        )
        outputs = ports(graph, self.input_visibility, self.output_visibility)[1]
        parameters = sum(tensor.size for tensor in graph.tensors.values() if tensor.value is not None)
        operators = dict(sorted(Counter(node.op for node in graph.nodes).items()))
        return Quantized(
            builder, report, Facts(graph.name, graph.opsets[""], parameters, operators, inputs, outputs), graph
        )
