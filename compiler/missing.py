"""Missing values (NaN): a circuit holds numbers, so a Boolean input beside the one that lacks some says which.

    X [n, f]      becomes      X [n, f], X_missing [n, f]      and      x = Where(X_missing, NaN, X)      is read for X

That is where calibration data hold NaN (`with_marks`). `without_nan` then follows what is missing to where the model
says what becomes of it, and takes the NaN out of the graph; m is what is missing of x, made from X_missing:

    Imputer(x)           Where(m, imputed, Imputer(X))
    IsNaN(x), x > 3      m, Where(m, False, X > 3): what onnxruntime makes of NaN
    Gather(x, ..)        NaN where Gather(m, ..), else Gather(X, ..)
    2 x + 1              NaN where m, else 2 X' + 1 with X' = Where(m, a usual value, X)
    trees of x           trees of X and m, whose nodes say where missing values go (ops/ml_forest.py)

Whatever X holds where it is missing, nothing depends on it: the prover may choose it, and who reads a public X must
read X_missing with it. What would be NaN at the end is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

from plonnx.compiler.calibration import Samples
from plonnx.compiler.computed_masks import measured_on
from plonnx.compiler.expansion import Steps
from plonnx.compiler.float_model import Unevaluable, evaluate_node
from plonnx.compiler.graph import Array, CompileError, Graph, Node, Shape
from plonnx.compiler.normal_form import graphs
from plonnx.compiler.onnx_file import Declared, Model
from plonnx.compiler.ops import Mark, find, marks
from plonnx.compiler.ops.ml_forest import reads_missing
from plonnx.compiler.passes.rewrite import Scene, rewrite
from plonnx.layout.inputs import Reals
from plonnx.plonk.public_values import MISSING

_WHERE = 9
"""The first opset that has Where."""


def with_marks(
    model: Model, shapes: Mapping[str, Shape], samples: Mapping[str, Reals]
) -> tuple[Model, dict[str, Shape], dict[str, Reals]]:
    """The model, its inputs' shapes and its samples, with a Boolean input for each input of which values are missing.

    Samples have a usual value in their place. CompileError where the model can't be read so.
    """
    lacking = [name for name, values in samples.items() if np.isnan(values).any()]
    if not lacking:
        return model, dict(shapes), dict(samples)
    found, held = dict(shapes), dict(samples)
    for name in lacking:
        lost = np.isnan(samples[name])
        held[name] = np.where(lost, _usual(samples[name], lost), samples[name])
        held[name + MISSING], found[name + MISSING] = lost.astype(np.float64), shapes[name]
    return _read_through_marks(model, lacking), found, held


def _usual(values: Reals, lost: Array) -> Reals:
    """Of each entry of samples [n, *shape] the first value that is there; 0 where none is."""
    first = np.take_along_axis(values, np.argmin(lost, axis=0)[None], axis=0)[0]
    there: Reals = np.nan_to_num(first)
    return there


def _read_through_marks(model: Model, names: Sequence[str]) -> Model:
    """The model that reads NaN where an input's mark says so."""
    proto, version = onnx.ModelProto(), _with_where(model)
    proto.CopyFrom(model.proto)
    others = [entry for entry in proto.opset_import if entry.domain]
    del proto.opset_import[:]
    proto.opset_import.extend([helper.make_opsetid("", version), *others])
    kinds = {value.name: value.type.tensor_type for value in proto.graph.input}
    taken = {*kinds, *(name for node in proto.graph.node for name in node.output)}
    given, declared = {name: f"{name}~given" for name in names}, {value.name: value for value in model.inputs}
    for graph in graphs(proto.graph):
        for node in graph.node:
            node.input[:] = [given.get(name, name) for name in node.input]
    chosen, marked = [], []
    for name, read in given.items():
        if name + MISSING in taken or any(output.name == name for output in proto.graph.output):
            raise CompileError(
                f"{model.path}: input {name!r} has missing values (NaN), which the model shows as they are"
            )
        mark = onnx.ValueInfoProto(name=name + MISSING)
        mark.type.tensor_type.CopyFrom(kinds[name])
        mark.type.tensor_type.elem_type = TensorProto.BOOL
        proto.graph.input.append(mark)
        marked.append(Declared(mark.name, np.dtype(np.bool_), declared[name].dims))
        nothing = f"{name}~nothing"
        proto.graph.initializer.append(numpy_helper.from_array(np.array(np.nan, declared[name].dtype), nothing))
        chosen.append(helper.make_node("Where", [mark.name, nothing, name], [read], name=read))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend([*chosen, *nodes])
    return replace(model, proto=proto, inputs=(*model.inputs, *marked), opsets={**model.opsets, "": version})


def _with_where(model: Model) -> int:
    """The model's opset, or one that has Where and the same versions of all operators that the model uses."""
    version = model.opsets[""]
    names = {node.op_type for graph in graphs(model.proto.graph) for node in graph.node if not node.domain}
    if version < _WHERE and any(_version(name, version) != _version(name, _WHERE) for name in names):
        raise CompileError(
            f"{model.path}: its data have missing values (NaN), which takes opset {_WHERE}: export the model again"
        )
    return max(version, _WHERE)


def _version(name: str, opset: int) -> int:
    return defs.get_schema(name, opset).since_version if defs.has(name, opset) else 0


def without_nan(graph: Graph, samples: Samples, hidden: bool = False) -> Graph:
    """The graph without NaN. CompileError where a node, or an output, makes NaN of what is missing."""
    if not any(_says_what_is_missing(graph, node) for node in graph.nodes):
        return graph
    walk = _Walk(graph, samples)
    made = rewrite(graph, walk.rule, hidden)
    for name, source in graph.outputs:
        if source in walk.lost:
            raise CompileError(f"output {name!r} would be NaN, too; impute them, or put numbers in their place")
    return made


def _says_what_is_missing(graph: Graph | Scene, node: Node) -> bool:
    """Where(m, NaN, x)."""
    nothing = graph.value(node.inputs[1]) if node.op == "Where" and not node.domain else None
    return nothing is not None and nothing.dtype.kind == "f" and bool(np.isnan(nothing).all())


class _Walk:
    """Goes through the nodes in order. `lost`: by tensor, the Boolean tensor of its shape that says what is missing."""

    def __init__(self, graph: Graph, samples: Samples) -> None:
        self.graph, self.samples = graph, samples
        self.lost: dict[str, str] = {}
        self.usual: dict[str, str] = {}
        """By tensor: the one that has usual values where it is missing; itself where it has."""
        self.tests: dict[str, tuple[str, bool]] = {}
        """By the output of an IsNaN, or its opposite: what is missing there, and whether it says so."""

    def rule(self, scene: Scene, node: Node) -> list[Node] | None:
        """What stands for a node; None where it stays."""
        steps = Steps(scene, node)
        if _says_what_is_missing(scene, node):
            condition, _, x = node.inputs
            out = scene.shape(node.outputs[0])
            self.lost[node.outputs[0]] = self._spread(steps, condition, out)
            return steps.finish(self._spread(steps, x, out))
        lacking = [name for name in dict.fromkeys(node.inputs) if name in self.lost]
        if node.op == "Not" and node.inputs[0] in self.tests:
            mark, held = self.tests[node.inputs[0]]
            self.tests[node.outputs[0]] = mark, not held
        if not lacking:
            return None
        return self._followed(steps, lacking)

    def _followed(self, steps: Steps, lacking: Sequence[str]) -> list[Node]:
        """What stands for a node whose operands `lacking` may be missing."""
        node, mark, operator = steps.node, marks(steps.node), find(steps.node)
        made = steps.nodes
        if reads_missing(node):
            made.append(replace(node, inputs=(node.inputs[0], self.lost[node.inputs[0]])))
        elif node.op == "IsNaN":
            self.tests[node.outputs[0]] = self.lost[lacking[0]], True
            made = steps.finish(self.lost[lacking[0]])
        elif mark & Mark.KEEPS_NAN and operator is not None and operator.expand is not None:
            for part in operator.expand(steps.scene, node) or []:
                for new in self.rule(steps.scene, part) or [part]:
                    steps.scene.emitted(new)
                    made.append(new)
        elif mark & Mark.COPIES and list(lacking) == [node.inputs[0]]:
            self._copied(steps)
        elif mark & Mark.JOINS and node.op == "Where":
            self._chosen(steps)
        elif mark & Mark.JOINS:
            self._joined(steps)
        elif operator is not None and (operator.real is not None or mark & Mark.ALONE):
            made = self._computed(steps, lacking)
        else:
            raise _makes_nan(node)
        return made

    def _spread(self, steps: Steps, x: str, shape: Shape) -> str:
        """x broadcast to a shape."""
        if steps.shape(x) == shape:
            return x
        dtype = steps.scene.tensors[x].dtype
        return steps.apply("Expand", x, steps.integers(np.array(shape)), shape=shape, dtype=dtype)

    def _as_usual(self, steps: Steps, name: str) -> str:
        """The tensor with usual values where it is missing."""
        if name not in self.usual:
            one = {n: v[:1] * (self.graph.tensors[n].dtype.kind != "b") for n, v in self.samples.items()}
            value = np.nan_to_num(measured_on(self.graph, {name}, one)[name][0])
            dtype = steps.scene.tensors[name].dtype
            constant = steps.scene.constant(name, value.astype(dtype))
            self.usual[name] = steps.apply("Where", self.lost[name], constant, name, dtype=dtype)
        return self.usual[name]

    def _note(self, node: Node, marked: Mapping[str, str]) -> None:
        """What is missing of a node's outputs; usual values are made of usual ones."""
        self.lost.update(marked)
        if all(self.usual.get(name) == name for name in node.inputs if name in self.lost):
            self.usual.update((name, name) for name in marked)

    def _copied(self, steps: Steps) -> None:
        """Re-indexing: what is missing goes the same way."""
        node, scene = steps.node, steps.scene
        names = {out: scene.computed(out, scene.shape(out), np.bool_) for out in node.outputs if out}
        moved = (self.lost[node.inputs[0]], *node.inputs[1:])
        steps.nodes += [node, replace(node, inputs=moved, outputs=tuple(names.get(out, "") for out in node.outputs))]
        self._note(node, names)

    def _joined(self, steps: Steps) -> None:
        """Side by side."""
        node, scene, (out,) = steps.node, steps.scene, steps.node.outputs
        parts = [
            self.lost.get(name) or scene.constant(name, np.zeros(scene.shape(name), np.bool_), public=True)
            for name in node.inputs
        ]
        mark = scene.computed(out, scene.shape(out), np.bool_)
        steps.nodes += [node, replace(node, inputs=tuple(parts), outputs=(mark,))]
        self._note(node, {out: mark})

    def _chosen(self, steps: Steps) -> None:
        """Where: missing is what is chosen and missing."""
        node, (condition, *branches), (out,) = steps.node, steps.node.inputs, steps.node.outputs
        steps.nodes.append(node)
        for held, branch, other in ((False, branches[0], branches[1]), (True, branches[1], branches[0])):
            if other not in self.lost and self.tests.get(condition) == (self.lost.get(branch), held):
                return  # what is missing is replaced
        none = steps.scene.constant(out, np.zeros((), np.bool_), public=True)
        parts = [self.lost.get(name, none) for name in branches]
        self.lost[out] = steps.apply("Where", condition, *parts, shape=steps.shape(out), dtype=np.bool_)

    def _computed(self, steps: Steps, lacking: Sequence[str]) -> list[Node]:
        """Element by element: what onnxruntime makes of NaN is chosen where an operand is missing."""
        node, (out,) = steps.node, steps.node.outputs
        shape, made = steps.shape(out), self._of_nan(steps.scene, node, lacking)
        for name in lacking if len({self.lost[name] for name in lacking}) > 1 else ():
            if not np.array_equal(made, self._of_nan(steps.scene, node, [name]), equal_nan=made.dtype.kind == "f"):
                raise _makes_nan(node)  # a power of 0 is 1, of whatever
        lost = np.isnan(made) if made.dtype.kind == "f" else np.zeros(shape, bool)
        if lost.any() and not lost.all():
            raise _makes_nan(node)
        mark = self._spread(steps, self.lost[lacking[0]], shape)
        for name in lacking[1:]:
            mark = steps.apply("Or", mark, self._spread(steps, self.lost[name], shape), dtype=np.bool_)
        imputes = marks(node) & Mark.READS_NAN and not lost.any()  # whatever it is given there
        held = {name: name if imputes else self._as_usual(steps, name) for name in lacking}
        value = steps.scene.computed(out, shape)
        steps.nodes.append(replace(node, inputs=tuple(held.get(name, name) for name in node.inputs), outputs=(value,)))
        if lost.any():
            self.lost[out], self.usual[out] = mark, out
            return steps.finish(value)
        chosen = steps.constant(made, public=made.dtype.kind == "b")
        return steps.finish(steps.apply("Where", mark, chosen, value, dtype=made.dtype))

    def _of_nan(self, scene: Scene, node: Node, lacking: Sequence[str]) -> Array:
        """What onnxruntime makes where these operands lack everything, and others nothing."""
        operands = dict[str, Array]()
        for name in filter(None, node.inputs):
            tensor = scene.tensors[name]
            filler = np.nan if name in lacking else 1
            operands[name] = np.full(tensor.shape, filler, tensor.dtype) if tensor.value is None else tensor.plain
            bound = name in self.lost or marks(node) & (Mark.SUMS | Mark.PRODUCT | Mark.COMPARES)
            if tensor.value is None and not bound:  # what it makes may depend on the other operand
                raise _makes_nan(node)
        try:
            made: Array = evaluate_node(node, self.graph.opsets, operands)[node.outputs[0]]
        except Unevaluable as error:
            raise _makes_nan(node) from error
        if node.op == "Cast" and made.dtype.kind in "iu":
            raise _makes_nan(node)
        return made


def _makes_nan(node: Node) -> CompileError:
    return CompileError(
        f"{node.label}: it would make NaN of them; impute them before it, or put numbers in their place"
    )
