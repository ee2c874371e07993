"""Lowering: a quantized Graph -> a gadgets.Builder, one handler call a node, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain as every

import numpy as np

from plonnx.compiler import narrow
from plonnx.compiler.added_rows import AddedRows, added_rows
from plonnx.compiler.constant_rows import ConstantRows, constant_rows
from plonnx.compiler.fixed_point import Call, Made, Operand, Scaled, Wide
from plonnx.compiler.graph import Array, CompileError, Graph, Node, Tensor, fitting, type_interval
from plonnx.compiler.integers import Kept, kept_by, leaving
from plonnx.compiler.levels import rounded_layers
from plonnx.compiler.ops import embedding, find, wide
from plonnx.compiler.pointwise import Chain, chains
from plonnx.compiler.recurrences import afresh, recurrences
from plonnx.compiler.residuals import Joined, joined_layers
from plonnx.compiler.sums_of_products import SumOfProducts, sums_of_products
from plonnx.compiler.sums_of_squares import SumOfSquares, sums_of_squares
from plonnx.gadgets import Builder, Cells
from plonnx.kzg.wording import option
from plonnx.layout.inputs import parts_of

Join = Joined | AddedRows | ConstantRows | SumOfProducts | SumOfSquares
Visibility = str | Mapping[str, str]
""""public" or "private" for all, or by tensor name (what is not named is public)."""


@dataclass(frozen=True)
class Hidden:
    """A hidden model: its declared widths. Without `bias_bits`: what a bias of twice the output's range needs."""

    weight_bits: int = 16
    bias_bits: int | None = None

    def builder(self, table_bits: int) -> Builder:
        """An empty builder."""
        bias_bits = 2 * table_bits + 2 if self.bias_bits is None else self.bias_bits
        return Builder(table_bits, True, self.weight_bits, bias_bits)


def lower(
    graph: Graph,
    table_bits: int,
    input_visibility: Visibility = "public",
    output_visibility: Visibility = "public",
    hidden: Hidden | None = None,
) -> Builder:
    """Build the circuit of a quantized graph; CompileError names the node that can't be built.

    Where functions of one name differ in their intervals alone, everything is built again with one table for all.
    """

    plan = _Plan(graph, table_bits, hidden is not None)

    def built(domains: Mapping[str, tuple[int, int]]) -> Builder:
        builder = Builder(table_bits) if hidden is None else hidden.builder(table_bits)
        _build(builder, graph, plan, input_visibility, output_visibility, domains)
        return builder

    builder, domains = built({}), dict[str, tuple[int, int]]()
    for function in builder.functions:
        low, high = domains.get(function.name, (function.low, function.high))
        domains[function.name] = min(low, function.low), max(high, function.high)
    return builder if len(domains) == len(builder.functions) else built(domains)


class _Plan:
    """What becomes of which nodes, by the output of each: of the graph alone, the same however often it is built."""

    def __init__(self, graph: Graph, table_bits: int, hidden: bool) -> None:
        self.wrapping = leaving(graph, table_bits)
        self.composed = chains(graph, hidden, self.wrapping)
        self.uses = Counter(graph.reads())
        composed = {node.outputs[0] for chain in self.composed.values() for node in chain.nodes}
        self.inner = composed - self.composed.keys()
        self.leveled = frozenset[str]() if hidden else rounded_layers(graph)
        self.recurrences = recurrences(graph, self.composed)
        elsewhere = {*self.recurrences, *self.inner, *self.composed}
        self.joins: dict[str, Join] = {} if hidden else _joins(graph, elsewhere, table_bits, self.leveled)
        elsewhere |= {*self.joins, *_inner(self.joins)}
        chained = sums_of_products(graph, elsewhere, table_bits)
        self.chained = bool(chained)
        self.joins |= chained
        self.postponed = _inner(self.joins)


def _build(
    builder: Builder,
    graph: Graph,
    plan: _Plan,
    input_visibility: Visibility,
    output_visibility: Visibility,
    domains: Mapping[str, tuple[int, int]],
) -> None:
    operands: dict[str, Operand] = {name: tensor.value for name, tensor in graph.tensors.items()}
    public = visible(input_visibility, graph.inputs, "input")
    for name in graph.inputs:
        tensor = graph.tensors[name]
        assert tensor.scale is not None, "lowering comes after quantization"
        if tensor.wide:
            operands[name] = _wide_input(builder, tensor, public[name])
            continue
        kept = kept_by(tensor, builder.table_bits)
        if public[name] and kept == Kept():
            kept = Kept(narrow.share(tensor, builder.table_bits))
        cells = builder.input(name, tensor.shape, public[name], tensor.dtype.kind == "b", **kept._asdict())
        operands[name] = Scaled(cells, tensor.scale, tensor)
    uses, layers = Counter(plan.uses), {} if builder.hidden else afresh(plan.recurrences)
    held = {name: _cells(x) for name, x in operands.items() if isinstance(x, Scaled | Wide)}  # that will be read
    for node in graph.nodes:
        if node.outputs[0] in plan.postponed:
            continue
        joined = plan.joins.get(node.outputs[0])
        reading = node.inputs if joined is None else joined.inputs
        uses.subtract(filter(None, reading))
        for name in (name for name in reading if uses[name] <= 0):
            held.pop(name, None)
        if node.outputs[0] in plan.inner:
            continue
        read_later = list(every.from_iterable(held.values()))
        tensors = tuple(graph.tensor(name) if name in plan.uses else None for name in node.outputs)
        inputs = tuple(graph.tensor(name) for name in node.inputs)
        chain = plan.composed.get(node.outputs[0])
        call = Call(
            builder,
            node,
            inputs,
            tensors,
            builder.table_bits,
            read_later,
            domains,
            layers.get(node.outputs[0]),
            layers.get(_source(node, chain)),
            leveled=node.outputs[0] in plan.leveled,
            chained=plan.chained,
        )
        wraps = node.outputs[0] in plan.wrapping
        with fitting(node.label):
            made = _join(call, operands, joined, graph) if joined else _lower_node(call, operands, chain, wraps)
        for name, x in zip(node.outputs, made, strict=True):
            if name:
                operands[name] = x
            if x is not None and uses[name] > 0:
                held[name] = _cells(x)
    public = visible(output_visibility, [name for name, _ in graph.outputs], "output")
    for name, source in graph.outputs:
        shown = operands[source]
        parts = _cells(shown) if isinstance(shown, Scaled | Wide) else _constant(builder, graph.tensors[source])
        for part, held_by in zip(parts_of(name, graph.tensors[source].wide), parts, strict=True):
            builder.output(part, held_by, public=public[name])


def _inner(joins: Mapping[str, Join]) -> set[str]:
    """The outputs of the nodes that are made with others."""
    return {node.outputs[0] for joined in joins.values() for node in joined.inner}


def _joins(graph: Graph, elsewhere: Collection[str], table_bits: int, leveled: Collection[str]) -> dict[str, Join]:
    """By the output of a node: what is made with it."""
    squares, layers = _held_squares(graph, elsewhere, table_bits), joined_layers(graph, elsewhere)
    inner = {node.outputs[0] for joined in layers.values() for node in joined.inner}
    constants = constant_rows(graph, {*elsewhere, *leveled, *inner})
    return {**layers, **added_rows(graph, elsewhere), **constants, **squares}


def _held_squares(graph: Graph, elsewhere: Collection[str], table_bits: int) -> dict[str, SumOfSquares]:
    """The sums of squares, a T-th of which two units hold, as calibration saw them; and those of magnitudes."""
    found, makers = {}, {node.outputs[0]: node for node in graph.nodes}
    for name, squares in sums_of_squares(graph, elsewhere).items():
        out, x = graph.tensors[name], graph.tensors[squares.x]
        if out.scale is None or x.scale is None or out.interval is None or out.wide or x.wide:
            continue
        most = out.interval[1] * (squares.width if makers[name].op == "ReduceMean" else 1)
        if squares.power == 1 or np.ldexp(most, 2 * x.scale - out.scale) < 2 << 2 * table_bits:
            found[name] = squares
    return found


def _cells(x: Scaled | Wide) -> Sequence[Cells]:
    """All that an operand has."""
    return [cells for cells, _ in x.terms]


def _wide_input(builder: Builder, tensor: Tensor, public: bool) -> Wide:
    """An input of integers of two units: the low part from 0 to T - 1, the high part within type and range."""
    natural, fewer = tensor.dtype.kind == "u", wide.narrowed(tensor, builder.table_bits)
    high, low = parts_of(tensor.name, tensor.wide)
    above = builder.input(high, tensor.shape, public, narrow=fewer, natural=natural)
    below = builder.input(low, tensor.shape, public, narrow=1, natural=True)
    return Wide(above, below, builder.table_size, tensor)


def _join(call: Call, operands: Mapping[str, Operand], joined: Join, graph: Graph) -> list[Scaled | Wide | None]:
    """Layers and what is added to them or stands beside them, rows of a matrix; products or squares and their sum."""
    if isinstance(joined, SumOfProducts):
        first = call.computed(operands[joined.first], "a factor")
        links = [(call.computed(operands[x], "a factor"), factor, carried) for x, factor, carried in joined.links]
        return [Scaled(call.product_sum(first, links), call.scale, call.out)]
    if isinstance(joined, SumOfSquares):
        read = call.computed(operands[joined.x], "the operand")
        made = call.sum_of_powers(read, joined.power, call.node.op == "ReduceMean")
        return [Scaled(made, call.scale, call.out)]
    if isinstance(joined, AddedRows):
        matrix, index = (operands[name] for name in joined.gather.inputs)
        numbers = call.computed(index, "the index")
        table, added = call.constant(matrix, "the matrix"), call.constant(operands[joined.added], "a term")
        return [Scaled(embedding.rows(call, table, numbers, 0, added), call.scale, call.out)]
    if isinstance(joined, ConstantRows):
        x, matrix = (operands[name] for name in joined.inputs[:2])
        read, weights = call.computed(x, "the operand"), call.constant(matrix, "the matrix")
        return [Scaled(call.rows_of(read, joined.rows, weights, joined.bias), call.scale, call.out)]
    others = [call.computed(operands[name], "a term") for name in joined.others]
    if joined.layers[0].op == "Conv":
        inputs = tuple(graph.tensor(name) for name in joined.layers[0].inputs)
        layer = replace(call, node=joined.layers[0], inputs=inputs, added=others[0])
        return _lower_node(layer, operands, None, wraps=False)
    layers, biases = list[tuple[Scaled, Array]](), list[Array]()
    for dense in joined.layers:
        x, matrix, *row = (operands[name] if name else None for name in dense.inputs)
        layers.append((call.computed(x, "the operand"), call.constant(matrix, "the matrix").astype(np.float64)))
        biases += [call.constant(bias, "the bias").astype(np.float64) for bias in row if bias is not None]
    made = call.residual(layers, sum(biases[1:], biases[0]) if biases else None, others)
    return [Scaled(made, call.scale, call.out)]


def _constant(builder: Builder, tensor: Tensor) -> list[Cells]:
    """A constant of the model as cells, or as two units: an output that does not depend on the inputs."""
    assert tensor.value is not None and tensor.scale is not None, "quantization gives constant outputs their scale"
    integers = np.floor(np.ldexp(tensor.value.astype(np.float64), tensor.scale) + 0.5).astype(np.int64)
    parts = [integers >> tensor.wide, integers & (1 << tensor.wide) - 1] if tensor.wide else [integers]
    return [
        builder.sum([], part << builder.table_bits, name) if part.any() else Cells(np.full(tensor.shape, -1), 0, 0)
        for name, part in zip(parts_of(tensor.name, tensor.wide), parts, strict=True)
    ]


def _source(node: Node, chain: Chain | None) -> str:
    """The name of what a function reads."""
    return chain.source if chain is not None else node.inputs[0] if node.inputs else ""


def _lower_node(
    call: Call, operands: Mapping[str, Operand], chain: Chain | None, wraps: bool
) -> list[Scaled | Wide | None]:
    """The node's outputs; None for those that nobody reads. wraps: the first could leave its type."""
    node, tensors = call.node, call.outputs
    operator = find(node)
    assert operator is not None, "the importer refuses unsupported operators"
    if call.reads is not None and call.reads.applied:
        made: Made | Sequence[Made] = call.applied(call.computed(operands[_source(node, chain)], "the operand"))
    elif chain is not None:
        source = call.computed(operands[chain.source], "the operand")
        made = call.apply(chain, source, formula=chain.formula, halfway=chain.halfway)
    elif call.is_wide:
        made = wide.lowered(call, operator, [operands[name] if name else None for name in node.inputs])
    else:
        made = operator.handler(call, *(operands[name] if name else None for name in node.inputs))
    parts = [made] if isinstance(made, Cells | Wide) else list(made)
    if wraps and tensors[0] is not None:
        parts = [_within_type(call, parts[0]), *parts[1:]]
    for tensor in tensors[len(parts) :]:
        if tensor is not None:
            raise CompileError(f"{node.label}: its output {tensor.name!r} is read, which is not supported")
    held = [_scaled(node, tensor, cells) for tensor, cells in zip(tensors, parts, strict=False)]
    return [*held, *[None] * (len(tensors) - len(held))]


def _within_type(call: Call, made: Made) -> Made:
    """What a node makes, by a table that ends where its type does."""
    if isinstance(made, Wide):
        return wide.within_type(call, made)
    low, high = type_interval(call.out.dtype)
    return call.apply(
        lambda values: np.where((values >= low) & (values <= high), values, np.nan),
        Scaled(made, call.scale),
        formula=f"x of {call.out.dtype}",
    )


def _scaled(node: Node, tensor: Tensor | None, cells: Made) -> Scaled | Wide | None:
    if tensor is None:
        return None
    if isinstance(cells, Wide):
        assert tensor.wide and tuple(cells.shape) == tensor.shape, f"{node.label}: {cells.shape} is not {tensor.shape}"
        return replace(cells, tensor=tensor)
    assert tensor.scale is not None, "lowering comes after quantization"
    assert tuple(cells.shape) == tensor.shape, f"{node.label}: {cells.shape} is not {tensor.shape}"
    return Scaled(cells, tensor.scale, tensor)


def visible(visibility: Visibility, names: tuple[str, ...] | list[str], kind: str) -> dict[str, bool]:
    """Name -> public, for every name; CompileError for unknown names and words."""
    chosen = dict.fromkeys(names, visibility) if isinstance(visibility, str) else visibility
    for name, word in chosen.items():
        if name not in names:
            raise CompileError(f"{option(kind, f'{name}={word}')}: the model's {kind}s are {', '.join(names)}")
    return {name: chosen.get(name, "public") == "public" for name in names}
