"""The accuracy report: the quantized circuit against the float model, by the circuit's own evaluation.

Errors are absolute, and relative to the output's range: the largest minus the smallest float value of that tensor over
the samples (its largest magnitude where it is constant over them). An output that is rarely far from zero has another
range in every handful of samples, so the choice of the table looks at interleaved groups of GROUP samples too, each
against the group's own range.

A channel is what stands at one index of an axis (behind the first, the batch): a feature, a class, a detector's row.
Its error is relative to the channel's own range, where that is at least FLOOR of the tensor's. The target of channels
is PER_CHANNEL times that of tensors. Random inputs, which join few samples, say nothing about channels' ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from plonnx.compiler.calibration import Samples, inner_tensors
from plonnx.compiler.graph import Array, Graph, Node, Tensor
from plonnx.compiler.ops import Mark, marks
from plonnx.gadgets import Builder
from plonnx.layout.inputs import Integers, Port, quantize
from plonnx.layout.language import NEXT_TOKENS, next_tokens, perplexity, token_ids

_PLOTTED = ("name", "max_relative", "max_channel_relative", "channel")
GROUP = 32
FLOOR = 1e-3
PER_CHANNEL = 10.0
MOST_OTHERS = 2.5
"""Next tokens alone refuse no model: scores that are nearly alike change places."""
_TRACED_SAMPLES = 64
_BATCH = 128
_WHOLE = "iub"
"""Kinds of element types whose values are exact, or wrong."""


@dataclass(frozen=True)
class TensorError:
    """The error of one tensor; `top1` is the share of rows whose largest entry is in the float model's place.

    `max_group_relative` is the largest error relative to the range of its own group of samples, `max_channel_relative`
    that to a channel's own range, at `channel`: an axis and an index. `stepped`: what follows from a decision about
    real numbers, so that one close to a threshold may come out on its other side. `agreement`, of whole numbers, is the
    share of values that are the float model's. `next_tokens`, of a language model's scores, is the share of positions
    at which the likeliest token is the float model's; `perplexity` that of the given ids by the float model, and by
    the circuit.
    """

    name: str
    max_absolute: float
    mean_absolute: float
    max_relative: float
    mean_relative: float
    max_group_relative: float
    range: float
    top1: float | None
    max_channel_relative: float = 0.0
    channel: tuple[int, int] | None = None
    stepped: bool = False
    agreement: float | None = None
    next_tokens: float | None = None
    perplexity: tuple[float, float] | None = None

    @property
    def other_tokens(self) -> float:
        """How many times more next tokens are others than may be; at most so many that the model is not refused."""
        return 0.0 if self.next_tokens is None else min((1.0 - self.next_tokens) / (1.0 - NEXT_TOKENS), MOST_OTHERS)

    def excess(self, target: float) -> float:
        """How many times the target the error is, or that of the worst channel; where values jump, on average."""
        errors = self.max_relative, self.max_channel_relative / PER_CHANNEL
        if self.stepped:
            errors = self.mean_relative, 0.0
        far = max(errors) / target if target else float(max(errors) > 0.0) and np.inf
        return max(far, self.other_tokens)

    @property
    def place(self) -> str:
        """How messages name the worst channel: [:, 3]."""
        axis, index = self.channel or (0, 0)
        return f"[{', '.join([*(':' for _ in range(axis)), str(index)])}]"


@dataclass(frozen=True)
class Report:
    """What quantization costs, measured on `samples` calibration samples and `random_samples` random ones.

    `inner` are the inner tensors' errors, first to last; `worst` is the largest, where precision is lost. `scales` is
    log2 of the integer that stands for 1.0, by tensor. `reached` says whether every output is within `error_target`.
    """

    table_bits: int
    margin: float
    error_target: float
    reached: bool
    samples: int
    random_samples: int
    outputs: tuple[TensorError, ...]
    inner: tuple[TensorError, ...]
    scales: Mapping[str, int]

    @property
    def worst(self) -> TensorError | None:
        """None where the circuit has no inner tensor of its own."""
        return max(self.inner, key=lambda error: error.max_relative, default=None)

    @property
    def excess(self) -> float:
        """How many times its target the worst output's error is."""
        return max(error.excess(self.error_target) for error in self.outputs)

    @property
    def missed(self) -> str | None:
        """One line on the output that misses its target by most; None where all are reached."""
        if self.reached:
            return None
        return self.miss(max(self.outputs, key=lambda error: error.excess(self.error_target)))

    def miss(self, worst: TensorError) -> str:
        """One line on how far an output is off."""
        of_channel = worst.max_channel_relative / PER_CHANNEL > worst.max_relative
        error = worst.max_channel_relative if of_channel else worst.max_relative
        target = self.error_target * (PER_CHANNEL if of_channel else 1.0)
        lost = "" if self.worst is None else f"; precision is lost in {in_model(self.worst.name)!r}"
        if worst.next_tokens is not None and worst.other_tokens >= worst.excess(self.error_target):
            said = f"output {worst.name!r}: the next token is the float model's at {worst.next_tokens:.2%} of the"
            return f"{said} positions, the target is {NEXT_TOKENS:.0%}{lost}"
        place = f", channel {worst.place}," if of_channel else ""
        return f"output {worst.name!r}{place} is off by {error:.2%} of its range, the target is {target:.2%}{lost}"

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers; measured figures have 3 digits, so that they are any machine's."""
        record = asdict(self)
        record["missed"] = self.missed
        record["outputs"] = [_rounded(error) for error in self.outputs]
        record["worst"] = None if self.worst is None else _rounded(self.worst)
        record["inner"] = [
            {key: value for key, value in _rounded(error).items() if key in _PLOTTED} for error in self.inner
        ]
        return record


def in_model(name: str) -> str:
    """The name of the model's tensor that a tensor was made from."""
    return name.partition("~")[0]


def _rounded(error: TensorError) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return float(f"{value:.3g}") if isinstance(value, float) else list(value) if isinstance(value, tuple) else value

    return {key: plain(value) for key, value in asdict(error).items()}


def evaluate(builder: Builder, ports: Sequence[Port], samples: Samples) -> dict[str, Integers]:
    """The circuit's outputs for real samples (samples, *shape); OutOfRange where an inner tensor overflows."""
    inputs = {port.name: quantize(samples[port.name], port) for port in ports}
    count = len(inputs[ports[0].name])
    parts = [
        builder.evaluate({name: values[start : start + _BATCH] for name, values in inputs.items()})
        for start in range(0, count, _BATCH)
    ]
    return {output.name: np.concatenate([part[output.name] for part in parts]) for output in builder.outputs}


def output_errors(
    graph: Graph, circuit: Mapping[str, Integers], expected: Mapping[str, Array], whole: Mapping[str, Array] | None
) -> tuple[TensorError, ...]:
    """The error of every output, both sides as (samples, *shape); channels' ranges are those of the `whole` data.

    None: there is too little data to know the ranges of channels.
    """
    stepped, known = _stepped(graph), dict.fromkeys(expected) if whole is None else whole
    errors = []
    for name, source in graph.outputs:
        got, tensor = _reals(circuit[name], graph.tensors[source]), graph.tensors[source]
        counted = tensor.dtype.kind in _WHOLE or (
            source in stepped and np.all(expected[name] == np.rint(expected[name]))
        )
        agreement = float(np.mean(got == expected[name])) if counted else None
        error = tensor_error(name, got, expected[name], known[name])
        tokens = None if _ids_of(graph, source) is None else next_tokens(got, expected[name])
        errors.append(replace(error, stepped=source in stepped, agreement=agreement, next_tokens=tokens))
    return tuple(errors)


def perplexities(
    graph: Graph, circuit: Mapping[str, Integers], expected: Mapping[str, Array], samples: Samples
) -> dict[str, tuple[float, float]]:
    """By output of a language model: the perplexity of its ids by the float model, and by the circuit."""
    found = {}
    for name, source in graph.outputs:
        ids = _ids_of(graph, source)
        if ids is not None:
            both = (expected[name], _reals(circuit[name], graph.tensors[source]))
            known = [perplexity(scores, samples[ids]) for scores in both]
            if known[0] is not None and known[1] is not None:
                found[name] = known[0], known[1]
    return found


def _ids_of(graph: Graph, source: str) -> str | None:
    """The input whose tokens an output has scores for, if it has."""
    kinds = {name: (graph.tensors[name].shape, str(graph.tensors[name].dtype)) for name in graph.inputs}
    return token_ids(kinds, (graph.tensors[source].shape, str(graph.tensors[source].dtype)))


def _stepped(graph: Graph) -> set[str]:
    """Tensors that do not follow real numbers continuously. What integers alone decide is exact."""
    found = set[str]()
    for node in graph.nodes:
        computed = _computed(graph, node)
        real = any(graph.tensors[name].dtype.kind == "f" for name in computed)
        whole = any(graph.tensors[name].dtype.kind in _WHOLE for name in node.outputs if name)
        jumps = whole or bool(marks(node) & Mark.STEPS) or bool(node.domain)
        if (real and jumps) or any(name in found for name in computed):
            found.update(node.outputs)
    return found


def _computed(graph: Graph, node: Node) -> list[str]:
    return [name for name in node.inputs if name and graph.tensors[name].value is None]


def tensor_error(name: str, got: Array, expected: Array, whole: Array | None = None) -> TensorError:
    """Compare two real arrays of one shape, samples leading."""
    expected = expected.astype(np.float64)
    error = np.abs(got - expected)
    spread = _spread(expected)
    rows = expected.ndim > 1 and expected.shape[-1] > 1
    top1 = float(np.mean(got.argmax(axis=-1) == expected.argmax(axis=-1))) if rows else None
    largest, mean = float(error.max()), float(error.mean())
    groups = _by_group(error, expected)
    worst = (0.0, None) if whole is None else _worst_channel(error, whole.astype(np.float64))
    return TensorError(name, largest, mean, largest / spread, mean / spread, groups, spread, top1, *worst)


def _spread(values: Array) -> float:
    return float(np.ptp(values)) or float(np.max(np.abs(values))) or 1.0


def _worst_channel(error: Array, whole: Array) -> tuple[float, tuple[int, int] | None]:
    """The largest error of a channel over its range, and its axis and index in the tensor."""
    worst, place, floor = 0.0, None, FLOOR * _spread(whole)
    for axis in range(max(1, min(2, whole.ndim - 1)), whole.ndim):
        if whole.shape[axis] < 2:
            continue
        others = tuple(a for a in range(whole.ndim) if a != axis)
        with np.errstate(invalid="ignore"):  # an output may be infinite
            relative = error.max(axis=others) / np.maximum(np.ptp(whole, axis=others), floor)
        if place is None or relative.max() > worst:
            worst, place = float(relative.max()), (axis - 1, int(relative.argmax()))
    return worst, place


def _by_group(error: Array, expected: Array) -> float:
    """The largest error of a group of samples over the group's range (or, where that is zero, the range of all)."""
    groups = max(1, round(len(expected) / GROUP))
    ranges = [float(np.ptp(expected[group::groups])) for group in range(groups)]
    errors = [float(error[group::groups].max()) for group in range(groups)]
    whole = _spread(expected)
    return max(largest / (spread or whole) for largest, spread in zip(errors, ranges, strict=True))


def inner_errors(builder: Builder, graph: Graph, ports: Sequence[Port], samples: Samples) -> tuple[TensorError, ...]:
    """The errors of the inner tensors that the circuit has cells for, in the order of the nodes."""
    some = {name: values[spread_indices(len(values), _TRACED_SAMPLES)] for name, values in samples.items()}
    traced = builder.trace({port.name: quantize(some[port.name], port) for port in ports})
    runs = list(inner_tensors(graph, some))
    shown = {source for _, source in graph.outputs}
    known = {name: np.stack([run[name] for run in runs]) for name in traced if runs and name in runs[0]}
    return tuple(
        tensor_error(name, _reals(traced[name], graph.tensors[name]), known[name], known[name])
        for node in graph.nodes
        for name in node.outputs
        if name in traced and name not in shown and traced[name].shape[1:] == graph.tensors[name].shape
    )


def spread_indices(count: int, most: int) -> Array:
    """At most `most` indices below `count`, evenly spread, first and last included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _reals(integers: Integers, tensor: Tensor) -> Array:
    return np.asarray(np.ldexp(integers.astype(np.float64), -tensor.scales))
