"""The front end as one call: ONNX file + calibration data -> Builder, accuracy report and facts about the model.

read_model -> read data -> fix_shapes -> import_graph -> optimize -> calibrate -> (quantize -> lower) per table size
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plonnx.compiler.calibration import Calibration, as_sample, calibrate
from plonnx.compiler.fixed_point import TableError, WidthError
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Array, CompileError, Graph, Shape, Tensor
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.integers import Inexact, check_integers
from plonnx.compiler.lower import Visibility, lower, visible
from plonnx.compiler.masks import clamped, without_masks
from plonnx.compiler.onnx_file import Model, Source, read_model
from plonnx.compiler.options import Options
from plonnx.compiler.passes import optimize
from plonnx.compiler.quantize import quantize
from plonnx.compiler.report import Report, TensorError, evaluate, output_errors, spread_indices, worst_tensor
from plonnx.gadgets import Builder, OutOfRange
from plonnx.kzg.wording import option
from plonnx.layout import cost
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.inputs import (
    InputError,
    Port,
    Reals,
    is_array,
    read_arrays,
    read_samples,
    to_samples,
    unbatched,
    where_from,
)

Data = Any
"""A file's path, a mapping of input name to array, a bare array, or a table: layout/inputs.py."""
TABLE_BITS = range(8, 17)
"""Table sizes that the search tries, smallest first."""
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
    notes: tuple[str, ...] = ()
    """What outputs stand for that were text or maps."""


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


def quantized(source: Source, data: Data | Sequence[Data] | None, options: Options | None = None) -> Quantized:
    """Compile a model up to gadgets.

    `data` is one or several files or mappings of input name to array (layout/inputs.py says in which shapes). Without
    `table_bits` the smallest table whose error is within `error_target` (relative to each output's range) in every
    group of samples is taken, or the finest one where none is. In a private model the constants are secret: nothing
    public depends on them but the scales and the table's size (docs/security.md says which constants are public: those
    that say what an operator does). Raises CompileError or InputError, each of one line.
    """
    chosen = options or Options()
    model = read_model(source, chosen.outputs)
    fixed, samples = _read_data(model, as_sources(data), chosen)
    imported, masked = without_masks(import_graph(model, fixed, chosen.hidden is not None), samples, chosen.margin)
    graph = optimize(imported, chosen.hidden is not None)
    visible(chosen.input, graph.inputs, "input")
    visible(chosen.output, [name for name, _ in graph.outputs], "output")
    calibration = calibrate(graph, samples, chosen.margin)
    search = _Search(graph, calibration, FloatModel(model.fixed(fixed)), masked, chosen)
    found = search.best([chosen.table_bits] if chosen.table_bits is not None else TABLE_BITS)
    return replace(found, facts=replace(found.facts, notes=model.notes))


def compile_model(
    source: Source,
    data: Data | Sequence[Data] | None,
    options: Options | None = None,
    progress: Callable[[str], None] | None = None,
) -> ModelCircuit:
    """Compile a model (imports onnx). The layout is made for the setup of `options.srs_size`, where that is given.

    Raises CompileError or InputError with one line.
    """
    wanted, say = options or Options(), progress or (lambda message: None)
    say("quantizing")
    model = quantized(source, data, wanted)
    if model.builder.hidden and not model.builder.secrets:
        raise CompileError(f"the model has no weights to hide; compile it with {option('model', 'public')}")
    say("laying out")
    choices = cost.search(model.builder, wanted.optimize, wanted.srs_size)
    chosen = cost.pick(choices, wanted.optimize, wanted.srs_size)
    facts = {
        "opset": model.facts.opset,
        "parameters": model.facts.parameters,
        "operators": dict(model.facts.operators),
        "larger_setups": [
            {"powers": 1 << c.srs_k, "gas": c.cost.gas, "prove_seconds": round(c.cost.seconds, 3)}
            for c in cost.larger_setups(choices, chosen)
        ],
        "notes": list(model.facts.notes),
    }
    return ModelCircuit(
        name=model.facts.name,
        builder=model.builder,
        shape=chosen.shape,
        inputs=model.facts.inputs,
        outputs=model.facts.outputs,
        report=model.report.as_json(),
        facts=facts,
    )


def float_outputs(source: Source, data: Data, inputs: Sequence[Port], outputs: Sequence[str]) -> dict[str, Array]:
    """The float model's outputs on data, (samples, ..), for the inputs of a circuit that was compiled from it."""
    model = read_model(source, outputs)
    names = [value.name for value in model.inputs]
    if sorted(names) != sorted(port.name for port in inputs):
        circuit = ", ".join(port.name for port in inputs)
        raise CompileError(f"{model.path}: its inputs {', '.join(names)} are not those of the circuit, {circuit}")
    samples = read_samples(data, {port.name: port.shape for port in inputs})
    types = {value.name: value.dtype for value in model.inputs}
    oracle = FloatModel(model.fixed({port.name: port.shape for port in inputs}))
    count = len(next(iter(samples.values())))
    runs = oracle.run_all([{name: samples[name][i].astype(types[name]) for name in names} for i in range(count)])
    return {name: unbatched(values, values.shape[1:]) for name, values in runs.items()}


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


def as_sources(data: Any) -> list[Any]:
    """Calibration data as a list of sources; None is no source, a single one is one."""
    if data is None:
        return []
    return list(data) if isinstance(data, (list, tuple)) and not is_array(data) else [data]


def _read_data(model: Model, sources: Sequence[Data], options: Options) -> tuple[dict[str, Shape], dict[str, Reals]]:
    """The inputs' static shapes, and all samples of all sources in order."""
    names = [value.name for value in model.inputs]
    dims, shapes = options.dims, options.shapes
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
        where = where_from(source)
        for name in names:
            parts[name].append(to_samples(held[name], name, fixed[name], where, fill=True))
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
        options: Options,
    ) -> None:
        self.graph, self.calibration, self.options = graph, calibration, options
        samples = calibration.samples
        runs = oracle.run_all([as_sample(graph, samples, index) for index in range(calibration.count)])
        self.expected = clamped({name: values.astype(np.float64) for name, values in runs.items()}, masked)

    def best(self, table_bits: Sequence[int]) -> Quantized:
        """The first size within the target, on ever more of the samples; else the finest that holds them all."""
        every, error_target = np.arange(self.calibration.count), self.options.error_target
        steps = [spread_indices(self.calibration.count, most) for most in (_FIRST_SAMPLES, _SEARCH_SAMPLES)]
        fitting: list[int] = []
        overflow: OutOfRange | Inexact | TableError | None = None
        for bits in table_bits:
            try:
                built = self._build(bits)
                reached = self._reaches(built, steps[0], error_target) and all(
                    _holds(self._errors(built, which), error_target) for which in (steps[1], every)
                )
            except (OutOfRange, Inexact, TableError) as error:
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
        if isinstance(overflow, TableError):
            raise overflow
        if isinstance(overflow, Inexact):
            raise CompileError(f"{overflow}; wider integers are not supported yet: cast to float32 before computing")
        raise CompileError(
            f"no table size holds the calibration data: {overflow}; try a larger {option('margin')}, and keep arguments"
            " away from where a function has no value"
        )

    def _build(self, bits: int) -> Built:
        limits, ranges = self.calibration.limits, self.calibration.ranges
        hidden = self.options.hidden
        graph = quantize(self.graph, limits, bits, hidden is not None, ranges)
        check_integers(graph, bits)
        builder = lower(graph, bits, self.options.input, self.options.output, hidden)
        return graph, builder, ports(graph, self.options.input, self.options.output)[0]

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
        outputs = ports(graph, self.options.input, self.options.output)[1]
        parameters = sum(tensor.size for tensor in graph.tensors.values() if tensor.value is not None)
        operators = dict(sorted(Counter(node.op for node in graph.nodes).items()))
        return Quantized(
            builder, report, Facts(graph.name, graph.opsets[""], parameters, operators, inputs, outputs), graph
        )
