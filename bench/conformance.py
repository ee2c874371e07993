"""ONNX's own cases of single nodes, compiled: which operators agree with the standard (`make conformance`).

    python -m bench.conformance [OPERATOR ..] [--mock UNITS] [--list] [--page FILE]

The onnx package makes a small model of one node with inputs and expected outputs for nearly every form of every
operator. In scope is inference on real, integer and Boolean tensors. Operands that a model has as constants are bound
as such: shapes, axes, indices of what is moved, and what is learned or measured (kernels, statistics, scales). An
operand that is only compared or computed with is an input. NaN, infinity and empty tensors are out of scope: a circuit
holds numbers. The circuit's integers must give the expected outputs within TOLERANCE of their range (at least a
twentieth of the largest), integers and Booleans exactly. Circuits of at most `--mock` units go through the MockProver.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, defs, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from plonnx.compiler.calibration import FEW
from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.onnx_file import OLDEST_OPSET
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.layout import search
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.inputs import InputError
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape, smallest_k

Array = NDArray[Any]
TOLERANCE = 0.005
CONSTANT_BITS = 16
"""Table bits where an output of reals is nearly the same everywhere, so that it has no range to measure an error by."""
SECONDS = 20
"""A case that takes longer, on one processor, fails."""
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
CONSTANT_OPERANDS: dict[str, Sequence[int]] = {
    **{f"Reduce{name}": (1,) for name in _REDUCTIONS},
    **{f"{name}Window": (0,) for name in ("Blackman", "Hamming", "Hann")},
    "AffineGrid": (1,),
    "BatchNormalization": (1, 2, 3, 4),
    "CausalConvWithState": (1, 2),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "Conv": (1, 2),
    "ConvInteger": (1, 2, 3),
    "ConvTranspose": (1, 2),
    "CumSum": (1,),
    "CumProd": (1,),
    "DFT": (1, 2),
    "DequantizeLinear": (1, 2),
    "Expand": (1,),
    "GRU": (1, 2, 3, 4),
    "GatherND": (1,),
    "GridSample": (1,),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LSTM": (1, 2, 3, 4, 7),
    "LayerNormalization": (1, 2),
    "Loop": (0, 1),
    "MatMulInteger": (1, 2, 3),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "MaxUnpool": (1, 2),
    "OneHot": (1, 2),
    "PRelu": (1,),
    "Pad": (1, 2, 3),
    "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
    "QLinearMatMul": (1, 2, 3, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "RNN": (1, 2, 3, 4),
    "RMSNormalization": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "ReverseSequence": (1,),
    "RoiAlign": (1, 2),
    "STFT": (1, 2, 3),
    "Scatter": (1,),
    "ScatterElements": (1,),
    "ScatterND": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}
OUT_OF_SCOPE = {
    "training": ("Adagrad", "Adam", "Gradient", "Momentum", "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"),
    "random numbers": ("Bernoulli", "Multinomial", "RandomNormal", "RandomUniform", "RandomNormalLike"),
    "text": ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer", "LabelEncoder"),
    "images in files": ("ImageDecoder",),
}
ATTENTION = (
    "Attention",
    "CausalConvWithState",
    "FlexAttention",
    "LinearAttention",
    "RMSNormalization",
    "RotaryEmbedding",
)
_NUMBERS = frozenset(
    getattr(TensorProto, name)
    for name in (
        *("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "BOOL"),
        *("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    )
)


@dataclass(frozen=True)
class Result:
    """What became of a case: an empty reason where it passed."""

    case: str
    operator: str
    reason: str
    seconds: float


class Constant(Exception):
    """Every output follows from constants: there is nothing to prove."""


def cases(operators: Sequence[str]) -> Iterator[tuple[str, str, onnx.ModelProto, Sequence[Any], Sequence[Any]]]:
    """(name, operator, model, inputs, outputs) of those in scope; a function's expansion is not counted again."""
    for case in collect_testcases(None):
        model = case.model
        if model is None or "_expanded" in case.name or "training" in case.name:
            continue
        nodes = [node.op_type for node in model.graph.node]
        operator = nodes[0] if len(nodes) == 1 else "+".join(dict.fromkeys(nodes))
        if operators and not set(nodes) & set(operators):
            continue
        if any(set(nodes) & set(names) for names in OUT_OF_SCOPE.values()) or not _of_numbers(model):
            continue
        for inputs, outputs in case.data_sets or ():
            given, expected = [_array(value) for value in inputs], [_array(value) for value in outputs]
            held = [value.size > 0 and bool(np.all(np.isfinite(value))) for value in (*given, *expected)]
            if all(held):
                yield case.name, operator, model, given, expected


def _array(value: Any) -> Array:
    """The values of a tensor; a bfloat16 is a float32, as plonnx takes it."""
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return array if array.dtype.kind in "fiub" else array.astype(np.float32)


def _of_numbers(model: onnx.ModelProto) -> bool:
    ports = [*model.graph.input, *model.graph.output]
    return all(p.type.HasField("tensor_type") and p.type.tensor_type.elem_type in _NUMBERS for p in ports)


def bound(model: onnx.ModelProto, inputs: Sequence[Any]) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The model with constant operands as initializers and its inputs' shapes; its other inputs."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    for entry in made.opset_import:
        names = [node.op_type for node in made.graph.node]
        if entry.domain == "" and entry.version < OLDEST_OPSET and all(_same(name, entry.version) for name in names):
            entry.version = OLDEST_OPSET
    values = {port.name: np.asarray(value) for port, value in zip(made.graph.input, inputs, strict=False)}
    fixed = {
        node.input[place]
        for node in made.graph.node
        for place in CONSTANT_OPERANDS.get(node.op_type, ())
        if place < len(node.input)
    }
    kept = [port for port in made.graph.input if port.name not in fixed]
    made.graph.initializer.extend(numpy_helper.from_array(values[n], n) for n in fixed if n in values)
    del made.graph.input[:]
    for port in kept:
        port.type.tensor_type.shape.Clear()
        for extent in values[port.name].shape:
            port.type.tensor_type.shape.dim.add().dim_value = extent
        made.graph.input.append(port)
    return made, {port.name: values[port.name] for port in kept}


def _same(operator: str, version: int) -> bool:
    """The operator is still at that version where plonnx's first opset is."""
    return bool(defs.get_schema(operator, OLDEST_OPSET).since_version <= version)


def run(model: onnx.ModelProto, inputs: Sequence[Any], outputs: Sequence[Any], mock: int) -> None:
    """Raises whatever is wrong; AssertionError where outputs differ."""
    made, given = bound(model, inputs)
    if not given:
        raise Constant
    data = {name: np.repeat(value[None], FEW, axis=0) for name, value in given.items()}  # enough: none are made up
    ranges, exact = all(_has_range(value) for value in outputs), not any(value.dtype.kind == "f" for value in outputs)
    chosen = Options(
        error_target=TOLERANCE / 5 if ranges else np.inf, table_bits=None if ranges or exact else CONSTANT_BITS
    )
    compiled = quantized(made.SerializeToString(), data, chosen)
    got = compiled.evaluate({name: value.astype(np.float64) for name, value in data.items()})
    for port, expected in zip(made.graph.output, outputs, strict=False):
        _compare(port.name, got[port.name][0], np.asarray(expected))
    if compiled.builder.unit_count <= mock:
        _prove(compiled, given)


def _has_range(value: Array) -> bool:
    return bool(np.ptp(value.astype(np.float64)) > np.abs(value.astype(np.float64)).max() / 20)


def _compare(name: str, found: Array, expected: Array) -> None:
    if found.shape != expected.shape:
        raise AssertionError(f"{name} has the shape {found.shape}, not {expected.shape}")
    reals = expected.astype(np.float64)
    if not np.all(np.isfinite(reals)):
        raise AssertionError(f"{name} is expected to be infinite or not a number")
    error = float(np.max(np.abs(found - reals), initial=0.0))
    exact = expected.dtype.kind != "f"
    largest = float(np.abs(reals).max(initial=0.0)) or 1.0
    reach = max(float(np.ptp(reals)), largest / 20)  # a constant output has no range
    if error > (0.0 if exact else TOLERANCE * reach):
        raise AssertionError(f"{name} is off by {error:.3g}, {error / reach:.2%} of its range")


def _prove(compiled: Quantized, given: dict[str, Array]) -> None:
    """The MockProver, in some layout: the search for a good one takes longer."""
    columns = next(search.weight_choices(compiled.builder))
    rows = Layout(compiled.builder, Shape(0, 2, columns, 2)).rows
    shape = Shape(smallest_k(rows), 2, columns, 2)
    ports = compiled.facts.inputs, compiled.facts.outputs
    circuit = ModelCircuit("case", compiled.builder, shape, *ports, {}, {})
    found = circuit.check(circuit.witness(circuit.read_inputs(given)))
    if found:
        raise AssertionError(f"the MockProver: {found[0]}")


def _late(*_: Any) -> None:
    raise TimeoutError(f"takes more than {SECONDS} s")


def measured(name: str, operator: str, mock: int, case: Sequence[Any]) -> Result | None:
    """The case's result; None where there is nothing to prove."""
    start = time.monotonic()
    signal.signal(signal.SIGPROF, _late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor: other processes do not count
    try:
        model, inputs, outputs = case
        run(model, inputs, outputs, mock)
        reason = ""
    except Constant:
        return None
    except (CompileError, InputError, AssertionError, TimeoutError) as error:
        reason = str(error)
        if "no output depends on the inputs" in reason or "the model has no inputs" in reason:
            return None
    except Exception as error:  # a defect: said as one
        reason = f"DEFECT {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Result(name, operator, " ".join(reason.split()), time.monotonic() - start)


def report(results: Sequence[Result], listed: bool) -> None:
    """Failures with their reasons, then a line an operator that fails somewhere, then the rate."""
    by_operator: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_operator[result.operator].append(result)
    print()
    for operator, its in sorted(by_operator.items()):
        passed = sum(not result.reason for result in its)
        if passed < len(its) or listed:
            print(f"{operator:28} {passed:3} of {len(its):3}")
        for reason, count in Counter(_short(r.reason) for r in its if r.reason).most_common(3):
            print(f"    {count:3} x {reason[:150]}")
    passed = sum(not result.reason for result in results)
    if results:
        print(f"\n{passed} of {len(results)} cases in scope pass: {passed / len(results):.1%}")


def page(results: Sequence[Result]) -> str:
    """docs/conformance.md: what passes, and each case that does not with its reason."""
    failed = [result for result in results if result.reason]
    aside = [result for result in results if result.operator not in ATTENTION]
    rates = [f"{sum(not r.reason for r in some)} of {len(some)}" for some in (results, aside)]
    lines = [
        "# Conformance",
        "",
        f"ONNX's own cases of single nodes (onnx {onnx.__version__}): {rates[0]} in scope pass, {rates[1]} without",
        "the attention family. In scope is inference on real, integer and Boolean tensors; bench/conformance.py says",
        'what is bound as a constant and what counts as equal. `make conformance ARGS="--page docs/conformance.md"`',
        "writes this page.",
        "",
        "| operator | pass |",
        "|---|---|",
    ]
    for operator in sorted({result.operator for result in failed}):
        its = [result for result in results if result.operator == operator]
        lines.append(f"| {operator} | {sum(not r.reason for r in its)} of {len(its)} |")
    lines += ["", "Every case of the other operators passes. What does not:", "", "| case | reason |", "|---|---|"]
    lines += [
        f"| {r.case.removeprefix('test_')} | {_short(r.reason).replace('|', chr(92) + '|')[:200]} |" for r in failed
    ]
    return "\n".join(lines) + "\n"


def _short(reason: str) -> str:
    """The reason without the model's and the node's names."""
    return reason.removeprefix("model: ").split("): ", 1)[-1]


def main() -> int:
    """0 where every case that was looked at passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operators", nargs="*", help="operators to look at; all where none is named")
    parser.add_argument(
        "--mock", type=int, default=0, metavar="UNITS", help="the MockProver, for circuits of as many units"
    )
    parser.add_argument("--list", action="store_true", help="operators of which every case passes, too")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page of all that was looked at")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    results = []
    for name, operator, *case in cases(given.operators):
        result = measured(name, operator, given.mock, case)
        if result is not None:
            results.append(result)
            if result.reason:
                print(f"{result.case}: {result.reason}", flush=True)
    report(results, given.list)
    if given.page:
        given.page.write_text(page(results))
    return int(any(result.reason for result in results))


if __name__ == "__main__":
    sys.exit(main())
