"""The accuracy report: the quantized circuit against the float model, by the circuit's own evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from plonnx.compiler.calibration import InnerTensors, Samples
from plonnx.compiler.graph import Array, Graph, Node, Tensor
from plonnx.compiler.levels import output_steps
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.tensor_error import OTHER_LEVELS, PER_CHANNEL, Gathered, TensorError, tensor_error
from plonnx.gadgets import Builder
from plonnx.layout.inputs import Integers, Port, held, joined
from plonnx.layout.language import NEXT_TOKENS, next_tokens, perplexity, token_ids

_PLOTTED = ("name", "max_relative", "max_channel_relative", "channel")
_TRACED, _FEWEST_TRACED, _TRACED_CELLS = 64, 8, 1 << 21
"""Samples by which inner tensors are ranked: fewer of large models, whose tensors have many elements in each."""
_WHOLE = "iub"
"""Kinds of element types whose values are exact, or wrong."""


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
        if worst.other_levels > 1.0 and worst.agreement is not None:
            said = f"output {worst.name!r}: {worst.agreement:.2%} of its levels are the float model's"
            return f"{said}, the target is {1.0 - OTHER_LEVELS:.1%}{lost}"
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
        if isinstance(value, tuple):
            return [plain(entry) for entry in value]
        return float(f"{value:.3g}") if isinstance(value, float) else value

    return {key: plain(value) for key, value in asdict(error).items()}


def evaluate(builder: Builder, ports: Sequence[Port], samples: Samples) -> dict[str, Integers]:
    """The circuit's outputs for real samples (samples, *shape); OutOfRange where an inner tensor overflows."""
    return builder.evaluate(held(samples, ports))


def output_errors(
    graph: Graph, circuit: Mapping[str, Integers], expected: Mapping[str, Array], whole: Mapping[str, Array] | None
) -> tuple[TensorError, ...]:
    """The error of every output, both sides as (samples, *shape); channels' ranges are those of the `whole` data.

    None: there is too little data to know the ranges of channels.
    """
    stepped, known = _stepped(graph), dict.fromkeys(expected) if whole is None else whole
    steps = output_steps(graph)
    errors = []
    for name, source in graph.outputs:
        tensor = graph.tensors[source]
        got = reals(joined(circuit, name, tensor.wide), tensor)
        counted = tensor.dtype.kind in _WHOLE or (
            source in stepped and np.all(expected[name] == np.rint(expected[name]))
        )
        agreement = float(np.mean(got == expected[name])) if counted else None
        if source in steps:
            agreement = float(np.mean(np.abs(got - expected[name]) < 0.5 * steps[source]))
        error = tensor_error(name, got, expected[name], known[name])
        tokens = None if _ids_of(graph, source) is None else next_tokens(got, expected[name])
        errors.append(
            replace(error, stepped=source in stepped, agreement=agreement, next_tokens=tokens, leveled=source in steps)
        )
    return tuple(errors)


def perplexities(
    graph: Graph, circuit: Mapping[str, Integers], expected: Mapping[str, Array], samples: Samples
) -> dict[str, tuple[float, float]]:
    """By output of a language model: the perplexity of its ids by the float model, and by the circuit."""
    found = {}
    for name, source in graph.outputs:
        ids = _ids_of(graph, source)
        if ids is not None:
            tensor = graph.tensors[source]
            both = (expected[name], reals(joined(circuit, name, tensor.wide), tensor))
            known = [perplexity(scores, samples[ids]) for scores in both]
            if known[0] is not None and known[1] is not None:
                found[name] = known[0], known[1]
    return found


def _ids_of(graph: Graph, source: str) -> str | None:
    """The input whose tokens an output has scores for, if it has."""
    kinds = {name: (graph.tensors[name].shape, str(graph.tensors[name].dtype)) for name in graph.inputs}
    return token_ids(kinds, (graph.tensors[source].shape, str(graph.tensors[source].dtype)))


def _stepped(graph: Graph) -> set[str]:
    """Tensors that do not follow real numbers continuously. What integers alone decide is exact.

    So is a guard such as Where(IsNaN(p), 0, p) behind a softmax: a circuit's numbers are finite.
    """
    found = set[str]()
    for node in graph.nodes:
        computed = _computed(graph, node)
        real = any(graph.tensors[name].dtype.kind == "f" for name in computed)
        whole = any(graph.tensors[name].dtype.kind in _WHOLE for name in node.outputs if name)
        if marks(node) & Mark.GUARDS:
            continue
        jumps = whole or bool(marks(node) & Mark.STEPS) or bool(node.domain)
        if (real and jumps) or any(name in found for name in computed):
            found.update(node.outputs)
    return found


def _computed(graph: Graph, node: Node) -> list[str]:
    return [name for name in node.inputs if name and graph.tensors[name].value is None]


def inner_errors(builder: Builder, graph: Graph, ports: Sequence[Port], samples: Samples) -> tuple[TensorError, ...]:
    """The errors of the inner tensors that the circuit has cells for, in the order of the nodes."""
    most = int(np.clip(_TRACED_CELLS // max(1, builder.unit_count), _FEWEST_TRACED, _TRACED))
    some = {name: values[spread_indices(len(values), most)] for name, values in samples.items()}
    shown = {source for _, source in graph.outputs}
    made = (name for node in graph.nodes for name in node.outputs if name in builder.named and name not in shown)
    gathered = {name: Gathered() for name in made if builder.named[name].shape == graph.tensors[name].shape}
    runs = InnerTensors(graph).of(some)
    for read in builder.batches(held(some, ports)):
        count = len(read(builder.outputs[0].cells))
        known = [{name: run[name] for name in gathered} for run in islice(runs, count)]
        for name, errors in gathered.items():
            expected = np.stack([run[name] for run in known]).astype(np.float64)
            errors.add(reals(read(builder.named[name]), graph.tensors[name]), expected)
            errors.know(expected)
    return tuple(errors.of(name) for name, errors in gathered.items())


def spread_indices(count: int, most: int) -> Array:
    """At most `most` indices below `count`, evenly spread, first and last included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def reals(integers: Integers, tensor: Tensor) -> Array:
    """What a tensor's integers stand for."""
    return np.asarray(np.ldexp(integers.astype(np.float64), -tensor.scales))
