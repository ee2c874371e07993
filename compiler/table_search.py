"""The search for a table: the smallest size, and as few scales by channel, by which the targets are met.

Sizes are tried from the smallest, each by (equalise -> quantize -> lower) and a run beside the float model. What is far
off shows on the first samples; what holds there is run on all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, log

import numpy as np

from plonnx.compiler.calibration import Calibration
from plonnx.compiler.equalise import FREEDOMS, Freedom, equalised
from plonnx.compiler.fixed_point import TooSmall, WidthError
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Array, CompileError, Graph
from plonnx.compiler.integers import Inexact, check_integers
from plonnx.compiler.judging import Built, Judge, Judged, Run, tells_levels
from plonnx.compiler.lower import lower, visible
from plonnx.compiler.narrow import scaled_bits
from plonnx.compiler.ops.ml_forest import is_forest
from plonnx.compiler.options import DEFAULT_ERROR_TARGET, Options
from plonnx.compiler.quantize import quantize
from plonnx.compiler.quantized import Facts, Quantized, ports
from plonnx.compiler.report import Report, inner_errors, perplexities
from plonnx.compiler.tensor_error import PER_CHANNEL
from plonnx.gadgets import OutOfRange
from plonnx.kzg.wording import option

Say = Callable[[str], None]
"""Is told what is done next."""
TABLE_BITS = range(8, 17)
"""Table sizes that the search tries, smallest first."""
DECIDED_BITS = 12
"""The smallest table that is tried for trees, for rankings, and for choices among what is clipped narrowly."""
NARROW = 2.0**-6
"""Of what is clipped: a coarse table holds hardly a value between bounds so near, and samples seldom lie there."""
LARGER_TABLES = range(17, 19)
EXACT_TABLES = range(17, 21)
"""Tables for whole numbers that no usual one holds: integers must stay exact."""
LARGER_FROM = 1.5
"""Larger tables, which cost commitments, are tried where the error is so many times the target."""
WORTH_BITS = 2
"""Scales by channel that are not needed are taken where they save so many bits of the table."""
SAME_ERROR = 1.25
"""Of tables that all miss a target the smallest is taken whose error is at most so many times the least."""
REFUSED = 3.0
"""A model whose error is beyond so many times a target is refused."""
_KEPT, _NUMBERS = 1 << 24, 8
"""Numbers of circuits that are kept until they are judged, 128 megabytes; those that a unit takes."""
FALL = 8.0
"""By so many times at most does one bit more lower an error."""
_SPOKEN = 64
"""Samples of which a language model's perplexity is measured."""


class _Kept:
    """Circuits that were run on few samples, by the size of their tables: the errors that are known, and themselves.

    Large ones are not kept until they are judged: they take gigabytes.
    """

    def __init__(self) -> None:
        self.errors = dict[int, float]()
        self._runs, self._room = dict[int, Run](), _KEPT

    def add(self, run: Run, error: float) -> None:
        """Note the error of one, and keep it if there is room."""
        self.errors[run.built.bits] = error
        builder = run.built.builder
        self._room -= _NUMBERS * builder.unit_count + sum(len(function.values) for function in builder.functions)
        if self._room >= 0:
            self._runs[run.built.bits] = run

    def take(self, bits: int) -> Run | None:
        """That of a size, which is not kept any longer."""
        return self._runs.pop(bits, None)


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
        self.judge = Judge(graph, calibration, oracle, masked, options.error_target)
        self.target = self.judge.target

    def best(self) -> Quantized:
        """One scale for each tensor where the targets are then met; else scales by channel, as few as possible.

        Scales by channel are also tried for a smaller table: at outputs and inputs alone, where they cost nothing.
        Tables that are larger than the usual ones come last.
        """
        chosen, target = self.options.table_bits, max(self.options.error_target, DEFAULT_ERROR_TARGET)
        sizes = list(TABLE_BITS) if chosen is None else [chosen]
        if chosen is None and (
            any(is_forest(node) or node.op == "TopK" for node in self.graph.nodes)
            or _chooses_narrowly(self.graph, self.calibration.limits)
        ):
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
            finer, _ = self._smallest(larger, best.built.freedom, worse=worse * target)
            best = finer if finer is not None and SAME_ERROR * finer.missed(target) < best.missed(target) else best
        return self._finish(self._in_fewer_bytes(best))

    def _in_fewer_bytes(self, best: Judged) -> Judged:
        """For a chain, the same with large public inputs of a byte less, if everything is within the targets still.

        Not of what thresholds decide: a sample that is not there may be decided otherwise.
        """
        bits, tensors = best.built.bits, best.built.graph.tensors
        less = (scaled_bits(tensors[name], bits, True) < scaled_bits(tensors[name], bits) for name in self.public)
        decided = any(error.stepped or error.leveled for error in best.errors)
        if self.options.optimize != "gas" or not best.reached or decided or not any(less):
            return best
        try:
            built = self._build(bits, best.built.freedom, coarse=True)
            assert built is not None, "it was built before"
            if not (self.judge.reaches(built) and self.judge.within(built)):
                return best
            return self.judge.judged(built, True)
        except (OutOfRange, Inexact, TooSmall, WidthError):
            return best

    def _smallest(
        self, sizes: Sequence[int], freedom: Freedom | None, within: bool = False, worse: float = np.inf
    ) -> tuple[Judged | None, CompileError | None]:
        """The first size within the targets, on ever more of the samples; else the finest that is worth its cost.

        None and the reason where none holds them; None and None where the freedom changes nothing, where no size
        is `within` the targets, and where the errors of all are known to be `worse`: what is as far off is of no use.
        """
        fitting: list[int] = []
        reached, built, widest = False, None, max(sizes, default=0)
        kept = _Kept()
        overflow: OutOfRange | Inexact | TooSmall | None = None
        for bits in self._in_turn(sizes, kept, -np.inf if within else worse):
            if bits > widest:
                continue
            built = None  # that one is `kept`, if it is small
            self.judge.forget()
            try:
                built = self._build(bits, freedom)
                if built is None:
                    return None, None
                reached = tells_levels(built) and self.judge.reaches(built) and self.judge.within(built)
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
            kept.add(self.judge.run(built), self.judge.known(built))
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
    ) -> tuple[Judged | None, OutOfRange | None]:
        """The smallest size that is hardly worse than any: of those that reach the targets, the last; and what failed.

        `built` is the circuit that was built last.
        """
        found: Judged | None = None
        overflow: OutOfRange | None = None
        least = np.inf
        for bits in reversed(fitting):
            if found is not None and kept.errors[bits] > SAME_ERROR * least * self.target:
                break
            if built is None or built.bits != bits:
                run = kept.take(bits)
                self.judge.forget(run)
                built = self._build(bits, freedom) if run is None else run.built
                assert built is not None, "it was built before"
            try:
                made = self.judge.judged(built, reached)
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

    def _promises(self, bits: int, freedom: Freedom) -> bool:
        """Whether a size may be within the targets, as far as a few samples tell; smaller ones hardly are where not."""
        self.judge.forget()
        try:
            built = self._build(bits, freedom)
            return built is not None and self.judge.reaches(built)
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
        scales = ", scales by channel" if freedom is not None else ""
        self.say(f"quantizing, a table of 2^{bits}{scales}{', inputs of fewer bytes' * coarse}")
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
        inputs = ports(graph, self.options.input, self.options.output, builder.hidden)[0]
        return Built(graph, builder, inputs, bits, freedom)

    def _notes(self) -> tuple[str, ...]:
        """What to know when comparing with onnxruntime; of a hidden model nothing, whose weights decide it."""
        if self.options.hidden is not None or self.judge.by_default <= self.options.error_target:
            return ()
        return (
            "onnxruntime by default rounds what weights in integers multiply to 8 bits, which alone is"
            f" {self.judge.by_default:.2%} of an output's range; compare with its session's"
            " session.qdq_matmulnbits_accuracy_level = 1",
        )

    def _finish(self, found: Judged) -> Quantized:
        """The model with its report; CompileError where it is too far from the float model to be of use."""
        built, options, samples = found.built, self.options, self.calibration.samples
        graph, builder = built.graph, built.builder
        target, given = options.error_target, np.arange(min(self.calibration.given, _SPOKEN))
        expected = {name: values[given] for name, values in self.judge.expected.items()}
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


def _chooses_narrowly(graph: Graph, limits: Mapping[str, float]) -> bool:
    """Whether a model picks the best, and clips real numbers to a small part of what they may be."""
    if not any(node.op in ("ArgMax", "ArgMin") for node in graph.nodes):
        return False
    for node in graph.nodes:
        bounds = [graph.value(name) for name in node.inputs[1:3] if name] if node.op == "Clip" else []
        least, most = bounds if len(bounds) == 2 else (None, None)
        if least is not None and most is not None and node.inputs[0] in limits:
            width = float(most.max()) - float(least.min())
            if graph.tensors[node.inputs[0]].dtype.kind == "f" and 0.0 < width <= NARROW * limits[node.inputs[0]]:
                return True
    return False


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
