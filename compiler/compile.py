"""The front end as one call: ONNX file + calibration data -> Builder, accuracy report and facts about the model.

read_model -> read data -> fix_shapes -> import_graph -> optimize -> calibrate -> (equalise -> quantize -> lower) per
table size and freedom of scales (table_search.py) -> layout
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.batches import for_batches
from plonnx.compiler.calibration import calibrate
from plonnx.compiler.calibration_data import Data, as_sources, read_data
from plonnx.compiler.channels import wide_inputs
from plonnx.compiler.clear_thresholds import with_clear_thresholds
from plonnx.compiler.computed_masks import with_raised_constants
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Array, CompileError, Graph, Shape
from plonnx.compiler.importer import import_graph
from plonnx.compiler.leaf_values import with_values_in_leaves
from plonnx.compiler.lower import Visibility, visible
from plonnx.compiler.masks import without_masks
from plonnx.compiler.missing import with_marks, without_nan
from plonnx.compiler.onnx_file import Source, read_model
from plonnx.compiler.ops.normalization import Product
from plonnx.compiler.options import Options
from plonnx.compiler.own_extremes import with_halves
from plonnx.compiler.passes import optimize
from plonnx.compiler.passes.expand import expand_attention
from plonnx.compiler.passes.gather_early import gather_early
from plonnx.compiler.polynomial import with_polynomials
from plonnx.compiler.positive_maxima import positive_maxima, with_positive_maxima
from plonnx.compiler.products_of_shares import cheaper, near, planned_products, with_products
from plonnx.compiler.quantized import Quantized
from plonnx.compiler.shallow_masks import with_deep_masks
from plonnx.compiler.table_search import Say, TableSearch
from plonnx.compiler.tabulated import with_tabulated_columns
from plonnx.compiler.wide_rows import with_scaled_rows
from plonnx.gadgets import Builder
from plonnx.kzg.wording import option
from plonnx.layout import cost, counts, search
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.inputs import (
    Port,
    Reals,
    marked_by,
    read_samples,
    unbatched,
    where_from,
)
from plonnx.layout.planner import Layout


def quantized(
    source: Source, data: Data | Sequence[Data] | None, options: Options | None = None, say: Say = lambda message: None
) -> Quantized:
    """Compile a model up to gadgets.

    `data` is one or several files or mappings of input name to array (layout/inputs.py says in which shapes). Without
    `table_bits` the smallest table is taken whose error is within `error_target` (relative to each output's range) in
    every group of samples, and within ten times that in every channel of an output; channels get scales of their own
    where that is needed. Where no table does, the best is taken, or the model refused where that is REFUSED times off.
    In a private model the constants are secret: nothing public depends on them but the scales and the table's size
    (docs/security.md says which constants are public: those that say what an operator does). Raises CompileError or
    InputError, each of one line.
    """
    chosen = options or Options()
    sources, hidden = as_sources(data), chosen.hidden is not None
    read = read_data(read_model(source, chosen.outputs), sources, chosen)
    model, fixed, samples = with_marks(*read)
    added = {mark: name for mark, name in marked_by(fixed).items() if mark not in read[1]}
    chosen = replace(chosen, input=_seen_alike(chosen.input, fixed, added))
    imported = import_graph(model, fixed, hidden)
    try:
        present = without_nan(imported, samples, hidden)
    except CompileError as error:
        raise CompileError(f"{where_from(sources[0])}: some values are missing (NaN), but {error}") from error
    tabulated = with_tabulated_columns(with_values_in_leaves(present, hidden), hidden)
    early = gather_early(expand_attention(tabulated, hidden), hidden)
    raised = with_raised_constants(early, samples, chosen.margin, hidden)
    oracle = FloatModel(model.fixed(fixed))

    def found(graph: Graph) -> Quantized:
        positive = frozenset[str]() if hidden else positive_maxima(graph, samples)
        every = planned_products(graph, None if hidden else samples)
        products = near(every)

        def by(products: Mapping[str, Product], options: Options) -> Quantized:
            cleared, masked = without_masks(graph, samples, options.margin, positive, products)
            cleared = with_positive_maxima(with_products(cleared, products, positive), positive)
            return _found(optimize(cleared, hidden), masked, samples, oracle, options, say)

        best = by(products, chosen)
        if products == every or not best.report.reached:
            return best
        bits = best.report.table_bits
        sizes = [bits, bits + 1] if chosen.table_bits is None else [bits]
        return cheaper(best, lambda bits: by(every, replace(chosen, table_bits=bits)), sizes)

    deep = raised if hidden else with_deep_masks(raised, samples, chosen.error_target)
    best = _best(lambda: found(deep), lambda: found(raised) if deep is not raised else None)
    return replace(best, facts=replace(best.facts, notes=(*model.notes, *best.facts.notes)))


def _seen_alike(visibility: Visibility, shapes: Mapping[str, Shape], added: Mapping[str, str]) -> Visibility:
    """What says which values of an input are missing is as visible as the input, or more.

    CompileError where an added mark would be hidden beside a public input: any of its values could then be missing.
    """
    if isinstance(visibility, str):
        return visibility
    marks = {mark: visibility[name] for mark, name in marked_by(shapes).items() if name in visibility}
    chosen = {**marks, **visibility}
    for mark, name in added.items():
        if chosen.get(mark) == "private" and chosen.get(name, "public") == "public":
            hidden = option("input", f"{mark}=private")
            raise CompileError(f"{hidden}: it says which values of the public {name} count: make {name} private, too")
    return chosen


def _found(
    graph: Graph,
    masked: Mapping[str, NDArray[np.bool_]],
    samples: Mapping[str, Reals],
    oracle: FloatModel,
    options: Options,
    say: Say,
) -> Quantized:
    """The circuit of a graph without masks, by the smallest table."""
    visible(options.input, graph.inputs, "input")
    visible(options.output, [name for name, _ in graph.outputs], "output")

    def by_tables(graph: Graph) -> Quantized:
        cleared = with_halves(with_clear_thresholds(graph, samples, oracle))
        wide = wide_inputs(cleared, samples)
        calibration = calibrate(cleared, samples, options.margin, wide)
        return TableSearch(cleared, calibration, oracle, masked, wide, options, say).best()

    return by_tables(graph) if options.hidden is not None else _with_scaled_rows(graph, samples, options, by_tables)


def _best(first: Callable[[], Quantized], second: Callable[[], Quantized | None]) -> Quantized:
    """What is found first where it reaches its targets; else the better of both."""
    best, failure = None, None
    try:
        best = first()
    except CompileError as error:
        failure = error
    if best is None or not best.report.reached:
        try:
            other = second()
        except CompileError:
            other = None
        if other is not None and (best is None or other.report.excess < best.report.excess):
            best = other
    if best is None:
        assert failure is not None, "a circuit, or why there is none"
        raise failure
    return best


def _with_scaled_rows(
    graph: Graph, samples: Mapping[str, Reals], options: Options, search: Callable[[Graph], Quantized]
) -> Quantized:
    """Rows of very different sizes are scaled; those that are channels only where scales by channel do not suffice."""
    rows = with_scaled_rows(graph, samples)

    def scaled() -> Quantized | None:
        channels = graph if options.table_bits is not None else with_scaled_rows(graph, samples, channels=True)
        return search(optimize(channels)) if len(channels.nodes) > len(rows.nodes) else None

    return _best(lambda: search(optimize(rows)), scaled)


def compile_model(
    source: Source,
    data: Data | Sequence[Data] | None,
    options: Options | None = None,
    progress: Say | None = None,
) -> ModelCircuit:
    """Compile a model (imports onnx). The layout is made for the setup of `options.srs_size`, where that is given.

    Raises CompileError or InputError with one line.
    """
    wanted, say = options or Options(), progress or (lambda message: None)
    say("quantizing")
    model = quantized(source, data, wanted, say)
    if model.builder.hidden and not model.builder.secrets:
        raise CompileError(f"the model has no weights to hide; compile it with {option('model', 'public')}")
    say("laying out")
    builder, choices, chosen = _laid_out(model.builder, wanted)
    facts = {
        "opset": model.facts.opset,
        "parameters": model.facts.parameters,
        "operators": dict(model.facts.operators),
        "larger_setups": [
            {"powers": 1 << c.srs_k, "gas": c.cost.gas, "prove_seconds": round(c.cost.seconds, 3)}
            for c in search.larger_setups(choices, chosen)
        ],
        "notes": list(model.facts.notes),
    }
    circuit = ModelCircuit(
        name=model.facts.name,
        builder=builder,
        shape=chosen.shape,
        inputs=model.facts.inputs,
        outputs=model.facts.outputs,
        report=model.report.as_json(),
        facts=facts,
    )
    vars(circuit)["cost"] = chosen.cost  # as it was found
    return circuit


def _laid_out(builder: Builder, options: Options) -> tuple[Builder, Mapping[int, search.Choice], search.Choice]:
    """The layouts by the setup that they need, and the chosen one; with gates for polynomials where these cost less.

    Tables are looked at in the shape that is best with gates; only where they cost less there, in every shape.
    """

    def best(one: Builder) -> tuple[Builder, Mapping[int, search.Choice], search.Choice]:
        choices = search.choices(one, options.aim)
        return one, choices, search.pick(choices, options.aim)

    gates = with_polynomials(builder)
    if gates is None:
        return best(builder)
    found = best(gates)
    shape, weight = found[2].shape, found[2].weight
    tables = cost.predict(shape, counts.Facts(Layout(builder, shape)))
    if search.weigh(shape, tables, options.aim) > weight:
        return found
    return min(found, best(builder), key=lambda one: one[2].weight)


def float_outputs(source: Source, data: Data, inputs: Sequence[Port], outputs: Sequence[str]) -> dict[str, Array]:
    """The float model's outputs on data, (samples, ..), for the inputs of a circuit that was compiled from it."""
    model = read_model(source, outputs)
    names, shapes = [value.name for value in model.inputs], {port.name: port.shape for port in inputs}
    marks = {mark: name for mark, name in marked_by(shapes).items() if mark not in names}
    own = {name: shape for name, shape in shapes.items() if name not in marks}
    if sorted(names) != sorted(own):
        raise CompileError(
            f"{model.path}: its inputs {', '.join(names)} are not those of the circuit, {', '.join(own)}"
        )
    model = for_batches(model, own)
    samples = read_samples(data, shapes)
    samples |= {name: np.where(samples[mark] != 0, np.nan, samples[name]) for mark, name in marks.items()}
    types = {value.name: value.dtype for value in model.inputs}
    oracle = FloatModel(model.fixed(own))
    count = len(next(iter(samples.values())))
    runs = oracle.run_all([{name: samples[name][i].astype(types[name]) for name in names} for i in range(count)])
    return {name: unbatched(values, values.shape[1:]) for name, values in runs.items()}
