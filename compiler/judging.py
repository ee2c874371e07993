"""How far a circuit is off the float model: what it is run on, and whether that is within the targets.

What is far off shows on the first samples; what holds there is run on all, and between them where there are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from plonnx.compiler.between import MOST_OFF, between, share_off
from plonnx.compiler.calibration import FEW, Calibration, Samples, as_sample
from plonnx.compiler.equalise import Freedom
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Array, Graph
from plonnx.compiler.levels import rounded_layers
from plonnx.compiler.masks import clamped
from plonnx.compiler.report import evaluate, output_errors, spread_indices
from plonnx.compiler.tensor_error import PER_CHANNEL, TensorError, groups
from plonnx.gadgets import Builder, OutOfRange
from plonnx.layout.inputs import Integers, Port, Reals

LEVEL_BITS = 20
"""Binary places of the sums that are rounded to levels."""
LEAST_LEFT = 1 / 4
"""The share of the target that is asked of the circuit where onnxruntime itself takes most of it."""
UNSEEN = 4 / 3
"""By so much more of its range may an output be off on samples that the search has not seen."""
MANY = 128
"""So many given samples say how far outputs are off elsewhere."""
_LARGE = 1 << 19
"""Units of a circuit that is run on no further samples."""
_FIRST_SAMPLES, _SEARCH_SAMPLES = 16, 128
_RANDOM, _ELEMENTS = 32, 1 << 24
"""Random samples, at least, of which a large model is run on no more where CLEAR; the elements that these have."""
CLEAR = 1.5
"""How far within the targets a large model is on some random samples that is not run on the others."""
_FEWER = 1, 4
"""Of the first samples: what is far off shows on them."""


def _holds(errors: Sequence[TensorError], target: float) -> bool:
    """The targets hold in every group of samples and every channel, and of next tokens."""
    return all(error.holds(target) and error.other_tokens <= 1.0 for error in errors)


@dataclass(frozen=True)
class Built:
    """A quantized graph, its builder, its input ports, the size of its table, which scales by channel it may have."""

    graph: Graph
    builder: Builder
    inputs: tuple[Port, ...]
    bits: int
    freedom: Freedom | None = None


def tells_levels(built: Built) -> bool:
    """Whether what layers of a quantized model make is fine enough for their levels: what samples tell too rarely.

    Scales in decimals (0.02 0.01 / 0.05) make sums that lie as close to halves as float32 does. Of a hidden model,
    whose weights have few bits, nothing is asked.
    """
    if built.builder.hidden:
        return True
    tensors, rounded = built.graph.tensors, rounded_layers(built.graph)
    made = [
        (tensors[node.inputs[0]].scale, tensors[node.outputs[0]].scale)
        for node in built.graph.nodes
        if node.outputs[0] in rounded
    ]
    return all(own is None or read is None or read > 0 or built.bits + own >= LEVEL_BITS for read, own in made)


def _some(graph: Graph, calibration: Calibration) -> Array:
    """All samples that are given, and as many random ones as a model of this size is run on first."""
    elements = sum(tensor.size for tensor in graph.tensors.values() if tensor.value is None)
    given, random = calibration.given, calibration.count - calibration.given
    chosen = spread_indices(random, max(_RANDOM, _ELEMENTS // max(1, elements)))
    return np.concatenate([np.arange(given), given + chosen])


class Run:
    """The outputs of a circuit on samples, each of which is run once, when it is first asked for."""

    def __init__(self, built: Built, samples: Mapping[str, Reals]) -> None:
        self.built, self._samples = built, samples
        count = len(next(iter(samples.values())))
        self._done = np.zeros(count, bool)
        self._outputs = {
            output.name: np.zeros((count, *output.cells.shape), np.int64) for output in built.builder.outputs
        }

    def those_run(self, which: Array) -> Array:
        """Of these samples, those that were asked for."""
        return which[self._done[which]]

    def outputs(self, which: Array) -> dict[str, Array]:
        """By name, (samples, *shape); OutOfRange where an inner tensor overflows."""
        missing = which[~self._done[which]]
        if len(missing):
            samples = {name: values[missing] for name, values in self._samples.items()}
            for name, values in evaluate(self.built.builder, self.built.inputs, samples).items():
                self._outputs[name][missing] = values
            self._done[missing] = True
        return {name: values[which] for name, values in self._outputs.items()}


@dataclass(frozen=True)
class Judged:
    """A circuit with its errors on so many samples, and whether these are within the targets.

    `off` is the share of samples between them that are decided otherwise (compiler/between.py), `further` how many
    times what is asked of these the outputs are off there.
    """

    run: Run
    errors: tuple[TensorError, ...]
    samples: int
    off: float
    further: float
    reached: bool

    @property
    def built(self) -> Built:
        """The circuit."""
        return self.run.built

    def excess(self, target: float) -> float:
        """How many times the target the worst error is."""
        return max(error.excess(target) for error in self.errors)

    def missed(self, target: float) -> float:
        """The same, or how much too often it decides otherwise: by a root, so that a bit is worth half of these."""
        return max(self.excess(target), sqrt(self.off / MOST_OFF))

    def cost(self, target: float) -> float:
        """The same, or how far off outputs are between few samples."""
        return max(self.missed(target), self.further)


class Judge:
    """Says how far circuits of one model are off the float model, and whether that is within the targets."""

    def __init__(
        self,
        graph: Graph,
        calibration: Calibration,
        oracle: FloatModel,
        masked: Mapping[str, Array],
        error_target: float,
    ) -> None:
        self.graph, self.calibration = graph, calibration
        self._oracle, self._masked, self._error_target = oracle, masked, error_target
        self._run: Run | None = None
        self._between: tuple[Samples, dict[str, Array]] | None = None
        self._ran: tuple[Built, dict[str, Integers] | None] | None = None
        self._every, self._some = np.arange(calibration.count), _some(graph, calibration)
        self.expected = self._oracle_on(oracle, calibration.samples)
        self.by_default = self._off_by_default()
        self.target = error_target * self._left()

    def forget(self, run: Run | None = None) -> None:
        """Hold no circuit, whose values take memory, but that of a run which goes on."""
        self._run, self._ran = run, None

    def reaches(self, built: Built) -> bool:
        """Whether the first samples leave hope: an error beyond the target against the range of all is one for good.

        What is far off shows on the first, so these are looked at before more are run.
        """
        which, target = self._first, self.target
        spans = {name: float(np.ptp(values)) or np.inf for name, values in self.expected.items()}
        return all(
            error.holds(target)
            if error.leveled
            else error.max_absolute / spans[error.name] <= target and error.max_channel_relative <= PER_CHANNEL * target
            for some in (*_FEWER, len(which))
            for error in self._errors(built, which[:some])
        )

    def within(self, built: Built) -> bool:
        """Whether a circuit is within the targets, on samples and, where there are few, between them."""
        stages = self._stages(built)
        parts = [which[group] for which in stages for group in groups(len(which))]
        if any(self._misses(built, part) for part in self._doubtful(built, parts)):
            return False
        for which in stages:
            if any(self._misses(built, which[group]) for group in groups(len(which))):
                return False
            errors = self._errors(built, which)
            if not _holds(errors, self.target):
                return False
        return self._off(built, errors) <= MOST_OFF and self._further(built, errors) <= 1.0

    def judged(self, built: Built, reached: bool) -> Judged:
        """A circuit with its errors on the samples by which it is judged, and between them."""
        which = self._stages(built)[-1]
        errors = self._errors(built, which)
        beside = self._off(built, errors), self._further(built, errors)
        return Judged(self.run(built), errors, len(which), *beside, reached)

    def known(self, built: Built) -> float:
        """The error that is known of a circuit, relative to its output's range: on more samples it is no smaller."""
        which = self.run(built).those_run(self._first)
        return max(
            (
                error.max_absolute / (float(np.ptp(self.expected[error.name])) or np.inf)
                for error in (self._errors(built, which) if len(which) else ())
                if not error.stepped and not error.leveled
            ),
            default=0.0,
        )

    def run(self, built: Built) -> Run:
        """The circuit's run, as long as no other circuit is asked about."""
        if self._run is None or self._run.built is not built:
            self._run = Run(built, self.calibration.samples)
        return self._run

    @property
    def _first(self) -> Array:
        """What is far off shows on these."""
        return np.asarray(self._some[spread_indices(len(self._some), _FIRST_SAMPLES)])

    def _doubtful(self, built: Built, parts: Sequence[Array]) -> list[Array]:
        """The groups that may well be beyond the targets by what was run of them, the worst first: any refuses all."""
        seen = [self._seen(built, part) for part in parts]
        worst = sorted(range(len(parts)), key=lambda place: -seen[place])
        return [parts[place] for place in worst if seen[place] > self.target / CLEAR]

    def _seen(self, built: Built, group: Array) -> float:
        """The error of a group, as `_misses` has it, by those of its samples that were run: with all it is no less."""
        which = self.run(built).those_run(group)
        spans = {name: float(np.ptp(values[group])) for name, values in self.expected.items()}
        return max(
            (
                max(error.max_absolute / spans[error.name], error.max_channel_relative / PER_CHANNEL)
                for error in (self._errors(built, which) if len(which) else ())
                if not error.leveled and spans[error.name] > 0
            ),
            default=0.0,
        )

    def _misses(self, built: Built, group: Array) -> bool:
        """Whether a group of samples is beyond the targets alone, so that the others need not be run.

        Levels are counted over all samples; where an output is the same in the whole group, its range is that of all.
        """
        return self._seen(built, group) > self.target or any(
            not error.leveled and not error.holds(self.target) and np.ptp(self.expected[error.name][group]) > 0
            for error in self._errors(built, group)
        )

    def _stages(self, built: Built) -> list[Array]:
        """The samples that a circuit is run on in turn, the last those by which it is judged."""
        if len(self._some) < len(self._every) and _holds(self._errors(built, self._some), self.target / CLEAR):
            return [self._some]
        return [spread_indices(len(self._every), _SEARCH_SAMPLES), self._every]

    def _errors(self, built: Built, which: Array) -> tuple[TensorError, ...]:
        """The outputs' errors on some samples."""
        expected = {name: values[which] for name, values in self.expected.items()}
        whole = self.expected if self.calibration.given >= FEW else None
        return output_errors(built.graph, self.run(built).outputs(which), expected, whole)

    def _off(self, built: Built, errors: Sequence[TensorError]) -> float:
        """The share of samples between the given ones that are decided otherwise; 0 where nothing decides."""
        if not any(error.stepped for error in errors) or self.calibration.given < FEW:
            return 0.0
        circuit, expected = self._beside(built, errors)
        return 0.0 if circuit is None else share_off(built.graph, circuit, expected, errors, self._error_target)

    def _further(self, built: Built, errors: Sequence[TensorError]) -> float:
        """How many times more than UNSEEN targets the outputs are off between few given samples; 0 of many samples."""
        names = [error.name for error in errors if not error.stepped and not error.leveled]
        if not FEW <= self.calibration.given < MANY or built.builder.unit_count > _LARGE or not names:
            return 0.0
        circuit, expected = self._beside(built, errors)
        if circuit is None:
            return 0.0
        whole = {name: np.concatenate([values, self.expected[name]]) for name, values in expected.items()}
        found = {error.name: error for error in output_errors(built.graph, circuit, expected, whole)}
        target, spans = self.target or np.inf, {error.name: error.range for error in errors}
        tensors = [found[name].max_absolute / (UNSEEN * target * spans[name]) for name in names]
        return max(*tensors, *(found[name].max_channel_relative / (PER_CHANNEL * target) for name in names))

    def _beside(
        self, built: Built, errors: Sequence[TensorError]
    ) -> tuple[dict[str, Integers] | None, dict[str, Array]]:
        """Outputs on samples between the given ones, and the float model's; None where a cell does not hold one."""
        if self._between is None:
            decided = any(error.stepped for error in errors)
            places = between(self.graph, self.calibration.samples, built.builder.unit_count, mixed=not decided)
            self._between = places, self._oracle_on(self._oracle, places)
        placed, expected = self._between
        if self._ran is None or self._ran[0] is not built:
            try:
                self._ran = built, evaluate(built.builder, built.inputs, placed)
            except OutOfRange:  # no sample of the user's: nothing is said
                self._ran = built, None
        return self._ran[1], expected

    def _left(self) -> float:
        """The share of the target that onnxruntime's own rounding leaves, at least LEAST_LEFT.

        A user compares with what it computes by default.
        """
        target = self._error_target
        return float(np.clip(1.0 - self.by_default / target, LEAST_LEFT, 1.0)) if target else 1.0

    def _off_by_default(self) -> float:
        """How far onnxruntime's fastest way is off what the model says, relative to an output's range."""
        usual, few = self._oracle.at_its_fastest(), spread_indices(self.calibration.count, _SEARCH_SAMPLES)
        if usual is None or not self._error_target:
            return 0.0
        made = self._oracle_on(usual, {name: values[few] for name, values in self.calibration.samples.items()})
        off = [
            float(np.max(np.abs(made[name] - values[few]))) / (float(np.ptp(values)) or np.inf)
            for name, values in self.expected.items()
            if self.graph.tensors[dict(self.graph.outputs)[name]].dtype.kind == "f"
        ]
        return max(off, default=0.0)

    def _oracle_on(self, oracle: FloatModel, samples: Samples) -> dict[str, Array]:
        """What a float model makes of samples."""
        count = len(next(iter(samples.values())))
        runs = oracle.run_all([as_sample(self.graph, samples, index) for index in range(count)])
        return clamped({name: values.astype(np.float64) for name, values in runs.items()}, self._masked)
