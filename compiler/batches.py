"""Circuits of several samples at once: a batch stands in the leading axis of every input that has one.

Exporters that are not told otherwise write files for a batch of 1. `for_batches` makes of such a file one for B
samples, where the user gives its inputs a leading B: the shapes that it names as constants (those of Reshape and
Resize) and the constants that stand beside each sample (of Concat, initial states of a recurrence) grow by B, at the
place where the batch is. Whether the batch is one, so that each sample gets what it gets alone, is not followed
through the graph but tried: `treats_alike` runs the float model both ways. What is proved is the graph of B samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from plonnx.compiler import control_flow
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Array, CompileError, Shape, Tensor
from plonnx.compiler.importer import Walk
from plonnx.compiler.normal_form import values_of
from plonnx.compiler.onnx_file import Declared, Model
from plonnx.kzg.wording import option
from plonnx.layout.inputs import InputError, Reals, to_samples

_ALIKE = 0.01
"""How far an output may be off, as a part of its range: a level of a quantized model that float32 rounds otherwise."""
_ENOUGH = 128
"""Batches that calibration gets where there are as many samples: with fewer it adds random ones."""
_CELLS = 1 << 25
"""Numbers in all batches together."""


def batch_of(model: Model, shapes: Mapping[str, Shape]) -> int:
    """How many samples stand in the leading axes that the file leaves open, or gives one sample; 1 where none does."""
    sizes = {shapes[value.name][0] for value in model.inputs if _has_batch(value, shapes[value.name])}
    return sizes.pop() if len(sizes) == 1 else 1


def _has_batch(value: Declared, shape: Shape) -> bool:
    leading = value.dims[0] if value.dims else None
    return len(shape) > 1 and shape[0] > 1 and (not isinstance(leading, int) or leading == 1)


def alone(model: Model, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes for one sample."""
    of = {value.name: value for value in model.inputs}
    return {name: (1, *shape[1:]) if _has_batch(of[name], shape) else shape for name, shape in shapes.items()}


def batches(
    model: Model, held: Mapping[str, Reals], shapes: Mapping[str, Shape], where: str
) -> dict[str, Reals] | None:
    """Batches of arrays that hold single samples: input name -> [n, *shape].

    They begin at every sample, or so that there are _ENOUGH of them: each sample stands in many places, and there are
    about as many batches as samples. None where the arrays hold batches already.
    """
    size, single = batch_of(model, shapes), alone(model, shapes)
    try:
        given = {name: to_samples(values, name, single[name], where) for name, values in held.items()}
    except InputError:
        return None
    counts = {len(values) for values in given.values()}
    if len(counts) > 1:
        return None
    count, cells = counts.pop(), sum(map(prod, shapes.values()))
    made = max(-(-count // size), min(count, _ENOUGH, _CELLS // cells))
    start = np.arange(made) * count // made
    chosen = (start[:, None] + np.arange(size)) % count
    return {
        name: values[chosen].reshape((made, *shapes[name])) if single[name] != shapes[name] else values[start]
        for name, values in given.items()
    }


def for_batches(model: Model, shapes: Mapping[str, Shape]) -> Model:
    """The model for inputs of these shapes, where the file has them with a leading 1; else as it is.

    CompileError where its graph can't take them.
    """
    given = [value for value in model.inputs if value.dims and value.dims[0] == 1 and shapes[value.name][0] > 1]
    if not given:
        return model
    single = _walked(Walk(model, alone(model, shapes), hidden=False), {})
    if single.refusals:
        return model  # what it can't be compiled for is said where it is imported
    walk = _Widened(model, shapes, single.tensors)
    try:
        _walked(walk, walk.scope)
    except CompileError as error:
        said = str(error).removeprefix(f"{model.path}: ")
        raise CompileError(f"{_said(model, shapes)} for one sample alone, {said}: {_MEND}") from error
    inputs = [replace(value, dims=shapes[value.name]) if value in given else value for value in model.inputs]
    return replace(model, proto=walk.written(), inputs=tuple(inputs))


_MEND = "export it with a dynamic batch dimension"


def _said(model: Model, shapes: Mapping[str, Shape]) -> str:
    name = next(value.name for value in model.inputs if _has_batch(value, shapes[value.name]))
    shape = ",".join(map(str, shapes[name]))
    return f"{option('shapes', f'{name}={shape}')}: the graph of {model.path} is"


def _walked(walk: Walk, scope: control_flow.Scope) -> Walk:
    body = walk.model.proto.graph
    for initializer in body.initializer:
        walk.tensors[initializer.name] = Tensor.constant(initializer.name, values_of(initializer))
    walk.nodes_of(body.node, [output.name for output in body.output], scope)
    return walk


def treats_alike(model: Model, widened: Model, shapes: Mapping[str, Shape], batch: Mapping[str, Reals]) -> bool:
    """Whether the float model gives each sample of a batch what it gives it alone: tried on one batch.

    Samples that come again have their reals moved a few places, so that no two are alike.
    """
    single, size = alone(model, shapes), batch_of(model, shapes)
    kinds = {value.name: value.dtype for value in model.inputs}
    together, each = dict[str, Array](), [dict[str, Array]() for _ in range(size)]
    for name, values in batch.items():
        if single[name] == shapes[name]:
            together[name] = values.astype(kinds[name])
            for sample in each:
                sample[name] = together[name]
            continue
        together[name] = _distinct(values).astype(kinds[name])
        for sample, own in zip(each, together[name], strict=True):
            sample[name] = own[None]
    try:
        got = FloatModel(widened.fixed(shapes)).run(together)
        wanted = list(FloatModel(model.fixed(single)).run_each(each))
    except CompileError:
        return False
    return all(_same(got[name], [sample[name] for sample in wanted]) for name in got)


def _distinct(values: Reals) -> Reals:
    """Samples of which there are too few: those that come again have other numbers in each place, if not ids."""
    if np.array_equal(values, np.floor(values)):
        return values
    seen = dict[bytes, int]()
    made = np.array(values)
    for place, sample in enumerate(values):
        again = seen.setdefault(sample.tobytes(), 0)
        seen[sample.tobytes()] += 1
        made[place] = np.roll(sample.reshape(-1), again).reshape(sample.shape)
    return made


def _same(got: Array, wanted: Sequence[Array]) -> bool:
    expected = np.concatenate(wanted) if wanted[0].ndim else np.stack(wanted)
    if got.shape != expected.shape or got.dtype.kind not in "fiub":
        return False
    if got.dtype.kind != "f":
        return bool(np.array_equal(got, expected))
    most = float(np.ptp(expected)) or float(np.abs(expected).max()) or 1.0
    return bool(np.allclose(got, expected, rtol=0.0, atol=_ALIKE * most, equal_nan=True))


def refuse_mixing(model: Model, shapes: Mapping[str, Shape]) -> CompileError:
    """What is said where samples of a batch get something else than alone."""
    return CompileError(
        f"{_said(model, shapes)} for one sample alone: in a batch its outputs are others, or stand elsewhere: {_MEND}"
    )


def _place(made: Shape, before: int, joins: bool) -> int | None:
    """The axis of a shape for one sample that takes the batch, which has `before` entries in front of it.

    An axis of 1 that begins there is the batch's own. Otherwise it is a part of the axis that begins there, or, where
    axes join, of the one that ends there: rows rather than what a row holds.
    """
    starts = [at for at in range(len(made)) if prod(made[:at]) == before]
    if not starts:
        return len(made) - 1 if joins and prod(made) == before else None
    own = [at for at in starts if made[at] == 1]
    return own[0] if own else starts[0] - (1 if joins and starts[0] else 0)


class _Widened(Walk):
    """The graph for a batch, and the file's nodes that had to change; `single` are the tensors of one sample."""

    def __init__(self, model: Model, shapes: Mapping[str, Shape], single: Mapping[str, Tensor]) -> None:
        super().__init__(model, shapes, hidden=False)
        self.scope: control_flow.Scope = {}
        self._single, self._size = single, batch_of(model, shapes)
        self._inside: dict[str, int] = {}
        """Of tensors whose rows are steps times samples: how many steps, where each has the samples behind it."""
        self._changed: dict[str, onnx.NodeProto] = {}
        self._constants: list[onnx.TensorProto] = []

    def visit(self, proto: onnx.NodeProto, needed: set[str], scope: control_flow.Scope) -> None:
        """As for one sample, but with shapes and constants for the batch; nodes of bodies stay as they are."""
        grown = self._grown(proto) if scope is self.scope and not proto.domain else {}
        if grown:
            made = onnx.NodeProto()
            made.CopyFrom(proto)
            for place, value in grown.items():
                made.input[place] = self.fresh(f"{proto.output[0]}~batch")
                self.constant(made.input[place], value)
                self._constants.append(numpy_helper.from_array(value, made.input[place]))
            self._changed[proto.output[0]] = made
            proto = made
        super().visit(proto, needed, scope)
        steps = {self._inside[name] for name in proto.input if name in self._inside}
        if len(steps) == 1 and proto.op_type != "Reshape":
            self._inside.update((name, max(steps)) for name in proto.output if self._axis(name) == 0)

    def written(self) -> onnx.ModelProto:
        """The file with these nodes."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self.model.proto)
        for node in proto.graph.node:
            if node.output and node.output[0] in self._changed:
                node.CopyFrom(self._changed[node.output[0]])
        proto.graph.initializer.extend(self._constants)
        return proto

    def _grown(self, node: onnx.NodeProto) -> dict[int, Array]:
        """The constant operands that a batch makes longer."""
        match node.op_type:
            case "Reshape":
                return self._sizes(node, 1)
            case "Resize":
                return self._sizes(node, 3)
            case "Concat":
                return self._beside(node)
            case "RNN" | "GRU" | "LSTM":
                return self._states(node)
        return {}

    def _axis(self, name: str) -> int | None:
        """The one axis that is longer than for one sample, by the batch."""
        if name not in self.tensors or name not in self._single:
            return None
        ours, theirs = self.tensors[name].shape, self._single[name].shape
        longer = [axis for axis, (b, one) in enumerate(zip(ours, theirs, strict=False)) if b != one]
        fits = len(ours) == len(theirs) and len(longer) == 1 and ours[longer[0]] == self._size * theirs[longer[0]]
        return longer[0] if fits else None

    def _sizes(self, node: onnx.NodeProto, place: int) -> dict[int, Array]:
        """A constant shape, longer where the batch stands in the operand, row-major."""
        value = self.value(node.input[place]) if len(node.input) > place else None
        axis = self._axis(node.input[0])
        if value is None or not value.size or axis is None or node.output[0] not in self._single:
            return {}
        given, made = self._single[node.input[0]].shape, self._single[node.output[0]].shape
        if node.op_type == "Resize":
            at: int | None = axis if len(value) == len(made) else None
        else:
            before = self._inside.get(node.input[0], prod(given[:axis]))
            at = _place(made, before, joins=len(made) < len(given))
            if at is not None and prod(made[:at]) < before:
                self._inside[node.output[0]] = before
        if at is None:
            return {}
        return {place: np.array([size * (self._size if i == at else 1) for i, size in enumerate(made)])}

    def _beside(self, node: onnx.NodeProto) -> dict[int, Array]:
        """Constants that are joined to every sample: one for each."""
        axes = {self._axis(name) for name in node.input} - {None}
        joined = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if len(axes) != 1:
            return {}
        return self._repeated(node, range(len(node.input)), axes.pop() or 0, joined)

    def _states(self, node: onnx.NodeProto) -> dict[int, Array]:
        """States and lengths that are constants: one for each sample, behind the time."""
        if self._axis(node.input[0]) != 1:
            return {}
        lengths, states = 4, (5, 6)
        return self._repeated(node, states, 1) | self._repeated(node, [lengths], 0)

    def _repeated(
        self, node: onnx.NodeProto, places: Sequence[int], axis: int, joined: int | None = None
    ) -> dict[int, Array]:
        found = {}
        for place in places:
            value = self.value(node.input[place]) if place < len(node.input) else None
            if value is None or value.ndim <= axis or value.shape[axis] != 1:
                continue
            if joined is None or joined % value.ndim != axis:
                found[place] = np.repeat(value, self._size, axis=axis)
        return found
