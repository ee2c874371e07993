"""The search for a table: the smallest size, and as few scales by channel, by which the targets are met.

Sizes are tried from the smallest, each by (equalise -> quantize -> lower) and a run beside the float model. What is far
off shows on the first samples; what holds there is run on all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log, sqrt

import numpy as np

from plonnx.compiler.between import MOST_OFF, between, share_off
from plonnx.compiler.calibration import FEW, Calibration, Samples, as_sample
from plonnx.compiler.equalise import FREEDOMS, Freedom, equalised
from plonnx.compiler.fixed_point import TooSmall, WidthError
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Array, CompileError, Graph
from plonnx.compiler.integers import Inexact, check_integers
from plonnx.compiler.levels import rounded_layers
from plonnx.compiler.lower import lower, visible
from plonnx.compiler.masks import clamped
from plonnx.compiler.narrow import scaled_bits
from plonnx.compiler.ops.ml_forest import is_forest
from plonnx.compiler.options import DEFAULT_ERROR_TARGET, Options
from plonnx.compiler.quantize import quantize
from plonnx.compiler.quantized import Facts, Quantized, ports
from plonnx.compiler.report import Report, evaluate, inner_errors, output_errors, perplexities, spread_indices
from plonnx.compiler.tensor_error import PER_CHANNEL, TensorError, groups
from plonnx.gadgets import Builder, OutOfRange
from plonnx.kzg.wording import option
from plonnx.layout.inputs import Integers, Port, Reals

Say = Callable[[str], None]
"""Is told what is done next."""
TABLE_BITS = range(8, 17)
"""Table sizes that the search tries, smallest first."""
DECIDED_BITS = 12
"""The smallest table that is tried for trees and for rankings."""
LARGER_TABLES = range(17, 19)
EXACT_TABLES = range(17, 21)
"""Tables for whole numbers that no usual one holds: integers must stay exact."""
LARGER_FROM = 1.5
"""Larger tables, which cost commitments, are tried where the error is so many times the target."""
LEVEL_BITS = 20
"""Binary places of the sums that are rounded to levels."""
WORTH_BITS = 2
"""Scales by channel that are not needed are taken where they save so many bits of the table."""
SAME_ERROR = 1.25
"""Of tables that all miss a target the smallest is taken whose error is at most so many times the least."""
LEAST_LEFT = 1 / 4
"""The share of the target that is asked of the circuit where onnxruntime itself takes most of it."""
REFUSED = 3.0
"""A model whose error is beyond so many times a target is refused."""
UNSEEN = 4 / 3
"""By so much more of its range may an output be off on samples that the search has not seen."""
MANY = 128
"""So many given samples say how far outputs are off elsewhere."""
_LARGE = 1 << 19
"""Units of a circuit that is run on no further samples."""
_KEPT, _NUMBERS = 1 << 24, 8
"""Numbers of circuits that are kept until they are judged, 128 megabytes; those that a unit takes."""
_FIRST_SAMPLES, _SEARCH_SAMPLES = 16, 128
_RANDOM, _ELEMENTS = 32, 1 << 24
"""Random samples, at least, of which a large model is run on no more where CLEAR; the elements that these have."""
CLEAR = 1.5
"""How far within the targets a large model is on some random samples that is not run on the others."""
FALL = 8.0
"""By so many times at most does one bit more lower an error."""
_SPOKEN = 64
"""Samples of which a language model's perplexity is measured."""
_FEWER = 1, 4
"""Of the first samples: what is far off shows on them."""


def _holds(errors: Sequence[TensorError], target: float) -> bool:
    """The targets hold in every group of samples and every channel, and of next tokens."""
    return all(error.holds(target) and error.other_tokens <= 1.0 for error in errors)


@dataclass(frozen=True)
class Built:
    """A quantized graph, its builder, its input ports, the size of its table."""

    graph: Graph
    builder: Builder
    inputs: tuple[Port, ...]
    bits: int


def _tells_levels(built: Built) -> bool:
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


class _Run:
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


class _Kept:
    """Circuits that were run on few samples, by the size of their tables: the errors that are known, and themselves.

    Large ones are not kept until they are judged: they take gigabytes.
    """

    def __init__(self) -> None:
        self.errors = dict[int, float]()
        self._runs, self._room = dict[int, _Run](), _KEPT

    def add(self, run: _Run, error: float) -> None:
        """Note the error of one, and keep it if there is room."""
        self.errors[run.built.bits] = error
        builder = run.built.builder
        self._room -= _NUMBERS * builder.unit_count + sum(len(function.values) for function in builder.functions)
        if self._room >= 0:
            self._runs[run.built.bits] = run

    def take(self, bits: int) -> _Run | None:
        """That of a size, which is not kept any longer."""
        return self._runs.pop(bits, None)


@dataclass(frozen=True)
class _Found:
    """What the search has found: the errors on so many samples, and whether these are within the targets.

    `off` is the share of samples between them that are decided otherwise (compiler/between.py), `further` how many
    times what is asked of these the outputs are off there.
    """

    freedom: Freedom | None
    run: _Run
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


class _Unheld(CompileError):
    """Whole numbers that no table held."""


class TableSearch:
    """Tries table sizes, smallest first, against the float model."""

    def __init__(
        self,
        graph: Graph,
        calibration: Calibration,
        oracle: FloatModel,
        masked: Mapping[str, Array],
        wide: Mapping[str, int],
        options: Options,
        say: Say,
    ) -> None:
        self.say = say
        self.graph, self.calibration, self.wide, self.options = graph, calibration, wide, options
        self.pairs = False  # whether integers may take two units
        public = visible(options.input, graph.inputs, "input")
        self.public = frozenset(name for name in graph.inputs if public[name])
        self.oracle, self.masked = oracle, masked
        self._run: _Run | None = None
        self._between: tuple[Samples, dict[str, Array]] | None = None
        self._ran: tuple[Built, dict[str, Integers] | None] | None = None
        self.every, self.some = np.arange(calibration.count), _some(graph, calibration)
        self.expected = self._oracle_on(oracle, calibration.samples)
        self.by_default = self._off_by_default()
        self.target = options.error_target * self._left()

    def best(self) -> Quantized:
        """One scale for each tensor where the targets are then met; else scales by channel, as few as possible.

        Scales by channel are also tried for a smaller table: at outputs and inputs alone, where they cost nothing.
        Tables that are larger than the usual ones come last.
        """
        chosen, target = self.options.table_bits, max(self.options.error_target, DEFAULT_ERROR_TARGET)
        sizes = list(TABLE_BITS) if chosen is None else [chosen]
        if chosen is None and any(is_forest(node) or node.op == "TopK" for node in self.graph.nodes):
            sizes = [bits for bits in sizes if bits >= DECIDED_BITS]
        best, failure = self._smallest(sizes, None)
        for pairs, wanted in ((True, sizes), (False, EXACT_TABLES), (True, EXACT_TABLES)):
            if best is None and isinstance(failure, _Unheld | TooSmall) and (chosen is None or wanted is sizes):
                self.pairs, sizes = pairs, list(wanted)
                best, failure = self._smallest(sizes, None)
        for freedom in FREEDOMS:
            if best is not None and best.reached and (freedom.inner or best.built.bits < sizes[0] + WORTH_BITS):
                break
            limit = best.built.bits - WORTH_BITS if best is not None and best.reached else sizes[-1]
            reached = best is not None and best.reached
            smaller = [bits for bits in sizes if bits <= limit]
            if reached and not self._promises(max(smaller), freedom):
                continue
            worse = np.inf if best is None else best.cost(target) / 2 * target
            found, _ = self._smallest(smaller, freedom, reached, worse)
            if found is None:
                continue
            if best is None or found.reached or (not best.reached and 2 * found.cost(target) < best.cost(target)):
                best = found
        if best is None:
            assert failure is not None, "a table that holds the data, or why none does"
            raise failure
        if chosen is None and not best.reached and best.missed(target) > LARGER_FROM:
            larger, worse = [bits for bits in LARGER_TABLES if bits > best.built.bits], best.missed(target) / SAME_ERROR
            finer, _ = self._smallest(larger, best.freedom, worse=worse * target)
            best = finer if finer is not None and SAME_ERROR * finer.missed(target) < best.missed(target) else best
        return self._finish(self._in_fewer_bytes(best))

    def _in_fewer_bytes(self, best: _Found) -> _Found:
        """For a chain, the same with large public inputs of a byte less, if everything is within the targets still.

        Not of what thresholds decide: a sample that is not there may be decided otherwise.
        """
        bits, tensors = best.built.bits, best.built.graph.tensors
        less = (scaled_bits(tensors[name], bits, True) < scaled_bits(tensors[name], bits) for name in self.public)
        decided = any(error.stepped or error.leveled for error in best.errors)
        if self.options.optimize != "gas" or not best.reached or decided or not any(less):
            return best
        try:
            built = self._build(bits, best.freedom, coarse=True)
            assert built is not None, "it was built before"
            if not (self._reaches(built, self._first, self.target) and self._within(built)):
                return best
            return self._judged(built, best.freedom, True)
        except (OutOfRange, Inexact, TooSmall, WidthError):
            return best

    def _smallest(
        self, sizes: Sequence[int], freedom: Freedom | None, within: bool = False, worse: float = np.inf
    ) -> tuple[_Found | None, CompileError | None]:
        """The first size within the targets, on ever more of the samples; else the finest that is worth its cost.

        None and the reason where none holds them; None and None where the freedom changes nothing, where no size
        is `within` the targets, and where the errors of all are known to be `worse`: what is as far off is of no use.
        """
        error_target = self.target
        fitting: list[int] = []
        reached, built, widest = False, None, max(sizes, default=0)
        kept = _Kept()
        overflow: OutOfRange | Inexact | TooSmall | None = None
        for bits in self._in_turn(sizes, kept, -np.inf if within else worse):
            if bits > widest:
                continue
            built = self._run = self._ran = None  # that one is `kept`, if it is small
            try:
                built = self._build(bits, freedom)
                if built is None:
                    return None, None
                reached = (
                    _tells_levels(built) and self._reaches(built, self._first, error_target) and self._within(built)
                )
            except (OutOfRange, Inexact, TooSmall) as error:
                overflow = error
                continue
            except WidthError as error:  # a finer table makes wider weights: the finest that the declared widths hold
                if not fitting:
                    return None, CompileError(str(error))
                widest = bits
                continue
            fitting.append(bits)
            if reached:
                break
            kept.add(self._outputs(built), self._known(built))
        if not reached and (within or min(kept.errors.values(), default=0.0) >= worse):
            return None, None
        found, unheld = self._coarsest(fitting if reached else sorted(fitting), built, freedom, reached, kept)
        return found, None if found is not None else self._failure(unheld or overflow)

    def _in_turn(self, sizes: Sequence[int], kept: _Kept, worse: float) -> Iterator[int]:
        """The sizes, smallest first, without those that are beyond the targets by what is known of smaller ones.

        Where none is within the targets, and the least error is below `worse`, these come in the end: one that is
        hardly better than the last may be all that there is.
        """
        left, least = list[int](), 0
        for bits in sizes:
            if bits < least and bits != sizes[-1]:
                left.append(bits)
                continue
            yield bits
            times = kept.errors.get(bits, 0.0) / (self.target or np.inf)
            least = bits + ceil(log(times, FALL)) if times > 1.0 else 0
        if min(kept.errors.values(), default=0.0) < worse:
            yield from left

    def _coarsest(
        self, fitting: Sequence[int], built: Built | None, freedom: Freedom | None, reached: bool, kept: _Kept
    ) -> tuple[_Found | None, OutOfRange | None]:
        """The smallest size that is hardly worse than any: of those that reach the targets, the last; and what failed.

        `built` is the circuit that was built last.
        """
        found: _Found | None = None
        overflow: OutOfRange | None = None
        least = np.inf
        for bits in reversed(fitting):
            if found is not None and kept.errors[bits] > SAME_ERROR * least * self.target:
                break
            if built is None or built.bits != bits:
                self._run = kept.take(bits)
                built = self._build(bits, freedom) if self._run is None else self._run.built
                assert built is not None, "it was built before"
            try:
                made = self._judged(built, freedom, reached)
            except OutOfRange as error:
                overflow, reached = error, False
                continue
            least = min(least, made.cost(self.target))
            if found is not None and made.cost(self.target) > SAME_ERROR * least:
                break
            found = made
            if reached:
                break
        return found, overflow

    def _known(self, built: Built) -> float:
        """The error that is known of a circuit, relative to its output's range: on more samples it is no smaller."""
        which = self._outputs(built).those_run(self._first)
        return max(
            (
                error.max_absolute / (float(np.ptp(self.expected[error.name])) or np.inf)
                for error in (self._errors(built, which) if len(which) else ())
                if not error.stepped and not error.leveled
            ),
            default=0.0,
        )

    def _judged(self, built: Built, freedom: Freedom | None, reached: bool) -> _Found:
        """A circuit with its errors on the samples by which it is judged, and between them."""
        which = self._stages(built)[-1]
        errors = self._errors(built, which)
        beside = self._off(built, errors), self._further(built, errors)
        return _Found(freedom, self._outputs(built), errors, len(which), *beside, reached)

    def _promises(self, bits: int, freedom: Freedom) -> bool:
        """Whether a size may be within the targets, as far as a few samples tell; smaller ones hardly are where not."""
        self._run = None
        try:
            built = self._build(bits, freedom)
            return built is not None and self._reaches(built, self._first, self.target)
        except (OutOfRange, Inexact, TooSmall, WidthError):
            return True

    def _failure(self, overflow: OutOfRange | Inexact | TooSmall | None) -> CompileError:
        if isinstance(overflow, TooSmall):
            return overflow
        if isinstance(overflow, Inexact):
            public = " (integers up to 2^40 are exact in public models)" if self.options.hidden is not None else ""
            return _Unheld(f"{overflow}; cast to float32 before computing{public}")
        return CompileError(
            f"no table size holds the calibration data: {overflow}; try a larger {option('margin')}, and keep arguments"
            " away from where a function has no value"
        )

    def _build(self, bits: int, freedom: Freedom | None, coarse: bool = False) -> Built | None:
        """The circuit for a size; None where the freedom changes nothing of it. coarse: inputs of a byte less."""
        self.say(f"quantizing, a table of 2^{bits}{', inputs of fewer bytes' * coarse}")
        graph, calibration, hidden = self.graph, self.calibration, self.options.hidden
        if freedom is not None:
            secret = hidden is not None
            graph, calibration = equalised(graph, calibration, bits, freedom, self.wide, secret, self.public)
            if graph is self.graph:
                return None
        graph = quantize(
            graph, calibration.limits, bits, hidden is not None, calibration.ranges, self.public, self.pairs, coarse
        )
        check_integers(graph, bits)
        builder = lower(graph, bits, self.options.input, self.options.output, hidden)
        return Built(graph, builder, ports(graph, self.options.input, self.options.output, builder.hidden)[0], bits)

    @property
    def _first(self) -> Array:
        """What is far off shows on these."""
        return np.asarray(self.some[spread_indices(len(self.some), _FIRST_SAMPLES)])

    def _within(self, built: Built) -> bool:
        """Whether a circuit is within the targets, on samples and, where there are few, between them."""
        for which in self._stages(built):
            if any(self._misses(built, which[group]) for group in groups(len(which))):
                return False
            errors = self._errors(built, which)
            if not _holds(errors, self.target):
                return False
        return self._off(built, errors) <= MOST_OFF and self._further(built, errors) <= 1.0

    def _misses(self, built: Built, group: Array) -> bool:
        """Whether a group of samples is beyond the targets alone, so that the others need not be run.

        Levels are counted over all samples; where an output is the same in the whole group, its range is that of all.
        """
        return any(
            not error.leveled and not error.holds(self.target) and np.ptp(self.expected[error.name][group]) > 0
            for error in self._errors(built, group)
        )

    def _stages(self, built: Built) -> list[Array]:
        """The samples that a circuit is run on in turn, the last those by which it is judged."""
        if len(self.some) < len(self.every) and _holds(self._errors(built, self.some), self.target / CLEAR):
            return [self.some]
        return [spread_indices(len(self.every), _SEARCH_SAMPLES), self.every]

    def _errors(self, built: Built, which: Array) -> tuple[TensorError, ...]:
        """The outputs' errors on some samples."""
        expected = {name: values[which] for name, values in self.expected.items()}
        whole = self.expected if self.calibration.given >= FEW else None
        return output_errors(built.graph, self._outputs(built).outputs(which), expected, whole)

    def _outputs(self, built: Built) -> _Run:
        """The circuit's run, as long as no other circuit is asked about."""
        if self._run is None or self._run.built is not built:
            self._run = _Run(built, self.calibration.samples)
        return self._run

    def _off(self, built: Built, errors: Sequence[TensorError]) -> float:
        """The share of samples between the given ones that are decided otherwise; 0 where nothing decides."""
        if not any(error.stepped for error in errors) or self.calibration.given < FEW:
            return 0.0
        circuit, expected = self._beside(built, errors)
        return 0.0 if circuit is None else share_off(built.graph, circuit, expected, errors, self.options.error_target)

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
            self._between = places, self._oracle_on(self.oracle, places)
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
        target = self.options.error_target
        return float(np.clip(1.0 - self.by_default / target, LEAST_LEFT, 1.0)) if target else 1.0

    def _off_by_default(self) -> float:
        """How far onnxruntime's fastest way is off what the model says, relative to an output's range."""
        usual, few = self.oracle.at_its_fastest(), spread_indices(self.calibration.count, _SEARCH_SAMPLES)
        if usual is None or not self.options.error_target:
            return 0.0
        made = self._oracle_on(usual, {name: values[few] for name, values in self.calibration.samples.items()})
        off = [
            float(np.max(np.abs(made[name] - values[few]))) / (float(np.ptp(values)) or np.inf)
            for name, values in self.expected.items()
            if self.graph.tensors[dict(self.graph.outputs)[name]].dtype.kind == "f"
        ]
        return max(off, default=0.0)

    def _notes(self) -> tuple[str, ...]:
        """What to know when comparing with onnxruntime; of a hidden model nothing, whose weights decide it."""
        if self.options.hidden is not None or self.by_default <= self.options.error_target:
            return ()
        return (
            "onnxruntime by default rounds what weights in integers multiply to 8 bits, which alone is"
            f" {self.by_default:.2%} of an output's range; compare with its session's"
            " session.qdq_matmulnbits_accuracy_level = 1",
        )

    def _oracle_on(self, oracle: FloatModel, samples: Samples) -> dict[str, Array]:
        """What a float model makes of samples."""
        count = len(next(iter(samples.values())))
        runs = oracle.run_all([as_sample(self.graph, samples, index) for index in range(count)])
        return clamped({name: values.astype(np.float64) for name, values in runs.items()}, self.masked)

    def _reaches(self, built: Built, which: Array, error_target: float) -> bool:
        """Whether a few samples leave hope: an error beyond the target against the range of all is one for good.

        What is far off shows on the first, so these are looked at before more are run.
        """
        spans = {name: float(np.ptp(values)) or np.inf for name, values in self.expected.items()}
        return all(
            error.holds(error_target)
            if error.leveled
            else error.max_absolute / spans[error.name] <= error_target
            and error.max_channel_relative <= PER_CHANNEL * error_target
            for some in (*_FEWER, len(which))
            for error in self._errors(built, which[:some])
        )

    def _finish(self, found: _Found) -> Quantized:
        """The model with its report; CompileError where it is too far from the float model to be of use."""
        built, options, samples = found.built, self.options, self.calibration.samples
        graph, builder = built.graph, built.builder
        target, given = options.error_target, np.arange(min(self.calibration.given, _SPOKEN))
        expected = {name: values[given] for name, values in self.expected.items()}
        ids = {name: values[given] for name, values in samples.items()}
        spoken = perplexities(graph, found.run.outputs(given), expected, ids)
        errors = tuple(replace(error, perplexity=spoken.get(error.name)) for error in found.errors)
        report = Report(
            table_bits=built.bits,
            margin=self.calibration.margin,
            error_target=target,
            reached=all(error.excess(target) <= 1.0 for error in errors),
            samples=self.calibration.given,
            random_samples=found.samples - self.calibration.given,
            outputs=errors,
            inner=inner_errors(builder, graph, built.inputs, samples),
            scales={name: tensor.scale for name, tensor in graph.tensors.items() if tensor.scale is not None},
        )
        if options.table_bits is None:
            _check_use(report)
        outputs = ports(graph, options.input, options.output, builder.hidden)[1]
        parameters = sum(tensor.size for tensor in self.graph.tensors.values() if tensor.value is not None)
        operators = dict(sorted(Counter(node.op for node in graph.nodes).items()))
        return Quantized(
            builder,
            report,
            Facts(graph.name, graph.opsets[""], parameters, operators, built.inputs, outputs, self._notes()),
            graph,
        )


def _check_use(report: Report) -> None:
    """Refuses errors beyond REFUSED times a target; what thresholds decide by its mean, against the laxer target."""
    limit = REFUSED * max(report.error_target, DEFAULT_ERROR_TARGET)
    for error in report.outputs:
        tensor = error.mean_relative / PER_CHANNEL if error.stepped else error.max_relative
        channel = 0.0 if error.stepped else error.max_channel_relative / PER_CHANNEL
        if max(tensor, channel) > limit:
            accepted = float(np.ceil(1e4 * max(error.max_relative, channel)) / 1e4)
            raise CompileError(
                f"{report.miss(error)}, and no larger table helps: rescale or clip that tensor in the model, give more"
                f" calibration data, or accept the error with {option('error_target', f'{accepted:g}')}"
            )
