"""Calibration: how large every tensor gets, measured by running the float model over samples.

A tensor's limit is its largest measured magnitude, widened by `margin`. Fewer than FEW samples say too little about the
inner tensors. Then these are measured on random inputs as well (numpy's RandomState, whose stream is frozen): on
RANDOM_SAMPLES uniform over each input's calibrated [min, max], widened like the given ones, and on as many corners of
the box that the widened inputs span, not widened again, so that an accepted input hardly ever overflows inside. Where
an input's channels get a scale each (channels.py), the box has a side for each.
Limits are rounded up to 12 significant bits, so that the last bits of a platform's float arithmetic rarely show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

import numpy as np

from plonnx.compiler.expansion import reduced_axes
from plonnx.compiler.float_model import FloatModel, Sample, evaluate_node, to_onnx
from plonnx.compiler.graph import Array, CompileError, Graph, Interval, Node, fitting, type_interval, type_reach
from plonnx.compiler.ops import Mark, find, marks
from plonnx.compiler.ops.registry import MOST
from plonnx.compiler.sums_of_squares import squared
from plonnx.layout.inputs import Reals

FEW = 16
RANDOM_SAMPLES = 128
CANCELS = 2.0**-6
_NEAR, _SMALL = 4.0, 16.0
"""Known bounds that are held: those so many times a limit, and whatever is so small. Samples miss the latter easily."""
_ARGUMENTS = 4097
_SIGNIFICANT_BITS = 12
_SEED = 20240229

Range = tuple[float, float]
Samples = Mapping[str, Reals]
"""Input name -> (samples, *shape)."""


@dataclass(frozen=True)
class Calibration:
    """What calibration measured.

    `limits` is tensor name -> largest magnitude that the circuit must hold, widened; `reach` that of each element,
    not rounded; `ranges` what was measured on the samples, not widened. `samples` are the given inputs followed by the
    uniform random ones, `given` is how many were given.
    """

    limits: Mapping[str, float]
    reach: Mapping[str, Array]
    ranges: Mapping[str, Range]
    samples: Samples
    given: int
    margin: float

    @property
    def count(self) -> int:
        """Number of samples, random ones included."""
        return len(next(iter(self.samples.values())))


def calibrate(
    graph: Graph, given: Samples, margin: float = 2.0, channels: Mapping[str, int] | None = None
) -> Calibration:
    """Measure every computed tensor of the graph; a tensor that is always zero gets the limit 1.

    `channels` is input name -> the axis along which its channels have ranges of their own.
    """
    count = len(next(iter(given.values())))
    indices = index_counts(graph)
    reach = {name: type_reach(tensor.dtype) for name, tensor in graph.tensors.items()}
    boxes = {name: _box(values, (channels or {}).get(name)) for name, values in given.items()}
    boxes |= {name: _index_box(given[name], counts) for name, counts in indices.items()}
    ranges = {name: input_range(np.stack(boxes[name]) if name in indices else v) for name, v in given.items()}
    inputs = {name: np.minimum(margin * _magnitude(box), reach[name]) for name, box in boxes.items()}
    inputs |= {name: np.where(np.isfinite(counts), counts, inputs[name]) for name, counts in indices.items()}
    samples = dict(given)
    if count < FEW:
        random = random_inputs(graph, boxes, RANDOM_SAMPLES)
        samples = {name: np.concatenate([values, random[name]]) for name, values in given.items()}
    inner = InnerTensors(graph)
    seen = _Seen.of(inner, samples)
    ranges |= seen.ranges
    for name, (low, high) in ranges.items():
        if not np.isfinite(low + high):
            raise CompileError(f"tensor {name!r} is infinite or not a number on the calibration data")
    limits = {name: margin * float(_magnitude(measured)) for name, measured in ranges.items()}
    reached = {name: margin * largest for name, largest in seen.largest.items()}
    if count < FEW:
        cornered = _Seen.of(inner, random_corners(graph, inputs, RANDOM_SAMPLES), finite=True)
        for name, measured in cornered.ranges.items():
            limits[name] = max(limits[name], float(_magnitude(measured)))
            reached[name] = np.maximum(reached[name], cornered.largest[name])
    whole = {name: float(np.max(limit)) for name, limit in inputs.items()}
    reached |= {name: margin * np.abs(values).max(axis=0) for name, values in samples.items()}
    limits = {name: min(up(limit), reach[name]) for name, limit in limits.items()} | whole
    for node in graph.nodes:
        operator = find(node)
        if operator is not None and operator.known is not None:
            limits.update(operator.known(node, graph.tensors))
    _leave_room_for_rounding(graph, limits, reached)
    _bound_functions(graph, limits, ranges)
    _follow_squares(graph, reached)
    _hold_what_can_be(graph, limits)
    _tie_steps(graph, limits)
    limits = {name: limit or 1.0 for name, limit in limits.items()}
    return Calibration(limits, reached, ranges, samples, count, margin)


def index_counts(graph: Graph) -> dict[str, Array]:
    """Inputs of which elements count the entries of an axis: how many there are, infinite where one counts nothing.

    Of a counted one -count .. count - 1 have a meaning.
    """
    counts: dict[str, Array] = {}

    def note(name: str, found: Array) -> None:
        counts[name] = np.minimum(counts[name], found) if name in counts else found

    def look(node: Node) -> None:
        x = node.inputs[0] if node.inputs else ""
        if marks(node) & Mark.INDEXED and graph.value(node.inputs[1]) is None:
            shape, places = graph.tensors[x].shape, graph.tensors[node.inputs[1]].shape
            shape = shape[int(node.attributes.get("batch_dims", 0)) :]
            depth = places[-1] if node.op.endswith("ND") else 0
            extent = min(shape[:depth]) if depth else shape[int(node.attributes.get("axis", 0))]
            note(node.inputs[1], np.full(places, float(extent)))
        made = [name for name in node.outputs if name in counts]
        if made and (marks(node) & Mark.COPIES or node.op == "Cast"):
            sources = _sources(graph, node)
            for name in made if sources else ():
                found = np.full(graph.tensors[x].size, np.inf)
                np.minimum.at(found, sources[name].reshape(-1), counts[name].reshape(-1))
                note(x, found.reshape(graph.tensors[x].shape))

    for node in reversed(graph.nodes):
        with fitting(node.label):
            look(node)
    return {name: counts[name] for name in graph.inputs if name in counts}


def _sources(graph: Graph, node: Node) -> dict[str, Array]:
    """Which element of a node's operand each of its results is; nothing where the other operands are computed."""
    x = node.inputs[0]
    others = {name: graph.value(name) for name in node.inputs[1:] if name}
    known = {name: value for name, value in others.items() if value is not None}
    places = np.arange(graph.tensors[x].size).reshape(graph.tensors[x].shape)
    if len(known) < len(others):
        return {}
    return {node.outputs[0]: places} if node.op == "Cast" else evaluate_node(node, graph.opsets, {x: places, **known})


def _hold_what_can_be(graph: Graph, limits: dict[str, float]) -> None:
    """Raise limits to known bounds that are near or small, or of integers, and far ones as near as that.

    What was zero on all samples gets what Booleans make.
    """
    intervals, unseen = dict[str, Interval](), set[str]()
    for node in graph.nodes:
        made = next(filter(None, node.outputs))
        most, operator = node.attributes.get(MOST, 0.0), find(node)
        if graph.tensors[made].dtype.kind == "f":
            most = min(most, max(_SMALL, _NEAR * limits[made]))
        limits[made] = max(limits[made], most)
        computed = [name for name in node.inputs if name and graph.value(name) is None]
        if graph.tensors[made].dtype.kind == "b":
            intervals[made] = (0.0, 1.0)
        elif operator is not None and operator.reach is not None and computed and intervals.keys() >= set(computed):
            values = [graph.value(name) for name in node.inputs]
            operands = [
                intervals[name] if value is None else (float(value.min()), float(value.max()))
                for name, value in zip(node.inputs, values, strict=True)
                if name and (value is None or value.size)
            ]
            if len(operands) == len(node.inputs) and not marks(node) & Mark.POLE:
                intervals[made] = operator.reach(node, operands, graph)
        if made in intervals and not limits[made]:
            limits[made] = up(max(map(abs, intervals[made])))
            unseen.add(made)
        if marks(node) & Mark.SUMS:
            limits[made] = max(limits[made], *(limits[name] for name in unseen.intersection(node.inputs)), 0.0)


def _leave_room_for_rounding(graph: Graph, limits: dict[str, float], reached: dict[str, Array]) -> None:
    """What cancels in a mean or a sum holds the rounding of its terms, however little the float model leaves of them.

    A result then has steps of CANCELS of its largest term's: finer ones would show nothing but that term's rounding.
    """
    for node in graph.nodes:
        made = node.outputs[0]
        if node.op not in ("Add", "ReduceMean", "Sub") or node.domain or graph.tensors[made].dtype.kind != "f":
            continue
        for name in node.inputs:
            if not name or graph.tensors[name].dtype.kind != "f" or graph.value(name) is not None:
                continue
            limits[made], terms = max(limits[made], up(CANCELS * limits[name])), reached[name]
            if node.op == "ReduceMean":
                axes = reduced_axes(node, graph.value(node.inputs[1]) if len(node.inputs) > 1 else None, terms.ndim)
                terms = terms.max(axis=axes, keepdims=bool(node.attributes.get("keepdims", 1)))
            reached[made] = np.maximum(reached[made], CANCELS * terms)


def _tie_steps(graph: Graph, limits: dict[str, float]) -> None:
    """Give what stands at one place of several steps one limit, so that they have one scale and share their weights.

    Steps are Gemms of the same constants; from their operands the places are followed back as long as the steps were
    made alike, and on to what one function makes of them, if nobody else reads them (recurrences.py).
    """
    readers, makers = graph.readers(), {node.outputs[0]: node for node in graph.nodes}
    steps: dict[tuple[str, ...], list[Node]] = {}
    for node in graph.nodes:
        if node.op == "Gemm" and graph.value(node.inputs[1]) is not None:
            steps.setdefault(node.inputs[1:], []).append(node)
    places = [
        [names[0] for names in ends]
        for nodes in steps.values()
        if len(nodes) > 1
        for ends in ([node.inputs for node in nodes], [node.outputs for node in nodes])
    ]
    seen = set[frozenset[str]]()
    while places:
        names = [name for name in dict.fromkeys(places.pop()) if name in makers]
        if len(names) < 2 or frozenset(names) in seen:
            continue
        seen.add(frozenset(names))
        limits.update(dict.fromkeys(names, max(limits[name] for name in names)))
        followed = [node for name in names for node in readers[name]]
        unary = all(sum(graph.value(name) is None for name in node.inputs if name) == 1 for node in followed)
        if len(followed) == len(names) and unary and len({(node.op, *node.inputs[1:]) for node in followed}) == 1:
            places.append([node.outputs[0] for node in followed])
        made = [makers[name] for name in names]
        if len({(node.op, len(node.inputs)) for node in made}) == 1:
            places.extend(list(same) for same in zip(*(node.inputs for node in made), strict=True))


def _magnitude(measured: tuple[Reals | float, Reals | float]) -> Reals:
    return np.maximum(np.abs(measured[0]), np.abs(measured[1]))


def _box(values: Reals, axis: int | None) -> tuple[Reals, Reals]:
    """An input's range over its samples, by channel where there is such an axis; each as `input_range` has it."""
    others = tuple(a for a in range(values.ndim) if axis is None or a != axis + 1)
    low, high = (np.asarray(end(values, axis=others, keepdims=True)[0]) for end in (np.min, np.max))
    single = low == high
    return np.where(single, np.minimum(low, 0.0), low), np.where(single, np.maximum(high, 0.0), high)


def _index_box(values: Reals, counts: Array) -> tuple[Reals, Reals]:
    """What indices may be, element by element; elsewhere what they were."""
    known = np.isfinite(counts)
    return np.where(known, 0.0, values.min(axis=0)), np.where(known, counts - 1.0, values.max(axis=0))


@dataclass
class _Seen:
    """Of every tensor that a node computes: its range, and each element's largest magnitude."""

    ranges: dict[str, Range]
    largest: dict[str, Array]

    @classmethod
    def of(cls, inner: InnerTensors, samples: Samples, finite: bool = False) -> _Seen:
        """Measured on samples. finite: leave out what is infinite or not a number."""
        seen = cls({}, {})
        for tensors in inner.of(samples):
            for name, value in tensors.items():
                seen._add(name, value if value.dtype == np.float32 else value.astype(np.float64), finite)
        return seen

    def _add(self, name: str, reals: Array, finite: bool) -> None:
        if not reals.size:
            return
        least, most, shown = float(reals.min()), float(reals.max()), reals
        if not isfinite(most - least):
            known = np.isfinite(reals)
            if finite and not known.any():
                return
            if finite:
                least, most = float(reals[known].min()), float(reals[known].max())
            shown = np.where(known, reals, reals.dtype.type(0))
        low, high = self.ranges.get(name, (inf, -inf))
        self.ranges[name] = float(np.minimum(low, least)), float(np.maximum(high, most))
        magnitude = np.abs(shown).astype(np.float32, copy=False)
        self.largest[name] = np.maximum(self.largest[name], magnitude) if name in self.largest else magnitude


def _bound_functions(graph: Graph, limits: dict[str, float], ranges: Mapping[str, Range]) -> None:
    """Lower the limits of functions that can't reach them: a sigmoid needs no margin above one.

    Not where the arguments that are tried miss what was measured, as they do close to the edge of a logarithm.
    """
    for node in graph.nodes:
        operator = find(node)
        computed = [name for name in node.inputs if name and graph.tensors[name].value is None]
        if operator is None or operator.real is None or not operator.curved or len(computed) > 1:
            continue
        reach = limits[computed[0]]
        arguments = np.linspace(-reach, reach, _ARGUMENTS)
        operands = [arguments if name == computed[0] else graph.value(name) for name in node.inputs]
        if all(operand is None or operand is arguments or operand.size == 1 for operand in operands):
            with np.errstate(all="ignore"):
                values = np.abs(operator.real(node.attributes, *operands))
            attained = float(np.max(values, where=np.isfinite(values), initial=0.0))
            if attained > 0.0 and attained * (1.0 + 2.0**-10) >= float(_magnitude(ranges[node.outputs[0]])):
                limits[node.outputs[0]] = min(limits[node.outputs[0]], up(attained * (1.0 + 2.0**-10)))


def _follow_squares(graph: Graph, reached: dict[str, Array]) -> None:
    """An element's square has the room that the element has: that may grow by the margin, the square by its square."""
    for node in graph.nodes:
        x = squared(graph, node)
        if x is not None and graph.tensors[x].dtype.kind == "f" and x in reached:
            made = node.outputs[0]
            reached[made] = np.maximum(reached[made], np.minimum(reached[x] ** 2, _NEAR * reached[made]))


def input_range(values: Reals) -> Range:
    """[min, max] of an input's samples; a single value is no range, and is taken together with zero."""
    low, high = float(np.min(values)), float(np.max(values))
    if low == high:
        low, high = min(low, 0.0), max(high, 0.0)
    return low, high


def random_inputs(graph: Graph, ranges: Mapping[str, Any], count: int, seed: int = _SEED) -> dict[str, Reals]:
    """Inputs uniform over each input's range (or box), as (count, *shape); integers for integer inputs."""
    random = np.random.RandomState(seed)
    inputs = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        low, high = ranges[name]
        unit = random.random_sample((count, *tensor.shape))
        if tensor.dtype.kind == "f":
            inputs[name] = low + (high - low) * unit
        else:
            inputs[name] = np.floor(low + (high - low + 1) * unit)
    return inputs


def random_corners(graph: Graph, limits: Mapping[str, Any], count: int, seed: int = _SEED) -> dict[str, Reals]:
    """Inputs whose every element is plus or minus its limit, within its type, as (count, *shape)."""
    random = np.random.RandomState(seed)
    corners = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        signs = np.where(random.random_sample((count, *tensor.shape)) < 0.5, -1.0, 1.0)
        corners[name] = np.clip(signs * limits[name], *type_interval(tensor.dtype))
    for name, counts in index_counts(graph).items():
        known = np.isfinite(counts)
        most = np.where(known, counts, 1.0).astype(np.int64)
        drawn = random.randint(-most, most, corners[name].shape)
        kept = np.clip(drawn, *type_interval(graph.tensors[name].dtype))
        corners[name] = np.where(known, kept, corners[name])
    return corners


def as_sample(graph: Graph, samples: Samples, index: int) -> Sample:
    """One sample in the types that the model's inputs have."""
    return {name: samples[name][index].astype(graph.tensors[name].dtype) for name in graph.inputs}


class InnerTensors:
    """A graph in floating point that shows every tensor that a node computes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        names = tuple((name, name) for node in graph.nodes for name in node.outputs if name)
        self._model = FloatModel(to_onnx(replace(graph, outputs=names))) if names else None

    def of(self, samples: Samples) -> Iterator[dict[str, Array]]:
        """For each sample, the tensors by name."""
        if self._model is None:
            return
        count = len(next(iter(samples.values())))
        yield from self._model.run_each(as_sample(self.graph, samples, index) for index in range(count))


def up(bound: float) -> float:
    """The bound rounded up to a few significant bits."""
    mantissa, exponent = np.frexp(bound)
    return float(np.ldexp(np.ceil(np.ldexp(mantissa, _SIGNIFICANT_BITS)), exponent - _SIGNIFICANT_BITS))
