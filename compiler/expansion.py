"""Steps: the nodes that an operator's expansion (ops/registry.py) puts in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from onnx import defs, helper

from plonnx.compiler.graph import Array, CompileError, Node, Shape

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene


@dataclass
class Steps:
    """Each step adds a node and gives the name of its result; names and messages are those of `node`.

    `dtype` is the type of constants: that of the node's first output unless it is given.
    """

    scene: Scene
    node: Node
    nodes: list[Node] = field(default_factory=list)
    dtype: np.dtype[Any] | None = None

    def refuse(self, reason: str) -> CompileError:
        """The error of a node that has no expansion as it stands, to be raised."""
        return CompileError(f"{self.node.label}: {reason}")

    def shape(self, name: str) -> Shape:
        """The shape of a tensor."""
        return self.scene.shape(name)

    def constant(self, value: Array | float, public: bool = False) -> str:
        """A constant; public where it says what the operator does."""
        dtype = self.scene.tensors[self._base].dtype if self.dtype is None else self.dtype
        return self.scene.constant(self._base, np.asarray(value, dtype), public=public)

    def integers(self, value: Array) -> str:
        """A constant of whole numbers that everybody knows: indices, labels."""
        return self.scene.constant(self._base, np.asarray(value, np.int64), public=True)

    def apply(
        self, op: str, *inputs: str, shape: Shape | None = None, dtype: DTypeLike | None = None, **attributes: object
    ) -> str:
        """A node; its shape is that of its broadcast operands, its type that of the node's output, unless given."""
        made = np.broadcast_shapes(*(self.shape(name) for name in inputs)) if shape is None else shape
        made_type = self._dtype(op, inputs, attributes) if dtype is None else dtype
        result = self.scene.computed(self._base, made, made_type)
        self.nodes.append(self.scene.node(op, inputs, result, self.node.name, **attributes))
        return result

    def note(self, result: str, **attributes: object) -> None:
        """Further attributes of the node that gives a result."""
        at = next(at for at, node in enumerate(self.nodes) if result in node.outputs)
        self.nodes[at] = replace(self.nodes[at], attributes={**self.nodes[at].attributes, **attributes})

    def cast(self, x: str, dtype: DTypeLike | None = None) -> str:
        """x in another type, by default that of the node's output, where it is not of that type."""
        target = np.dtype(self.scene.tensors[self._base].dtype if dtype is None else dtype)
        if self.scene.tensors[x].dtype == target:
            return x
        return self.apply("Cast", x, to=helper.np_dtype_to_tensor_dtype(target))

    def reduce(self, op: str, x: str, axes: Sequence[int], keepdims: bool = True) -> str:
        """A reduction; `axes` count from the front."""
        kept = [
            1 if axis in axes else extent for axis, extent in enumerate(self.shape(x)) if keepdims or axis not in axes
        ]
        if len(defs.get_schema(op, self.scene.graph.opsets[""]).inputs) < 2:  # its axes are an attribute
            return self.apply(op, x, shape=tuple(kept), axes=tuple(axes), keepdims=int(keepdims))
        along = self.scene.constant(self._base, np.asarray(axes, np.int64))
        return self.apply(op, x, along, shape=tuple(kept), keepdims=int(keepdims))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """x in another shape."""
        whole = tuple(int(extent) for extent in np.empty(self.shape(x), np.bool_).reshape(shape).shape)
        target = self.scene.constant(self._base, np.asarray(whole, np.int64))
        return self.apply("Reshape", x, target, shape=whole)

    def gather(self, parts: Sequence[str], places: NDArray[np.int64]) -> str:
        """The entries at `places` of flat tensors, one after another: re-indexing, in the shape of `places`."""
        flat = [part if len(self.shape(part)) == 1 else self.reshape(part, (-1,)) for part in parts]
        size = sum(self.shape(part)[0] for part in flat)
        joined = flat[0] if len(flat) == 1 else self.apply("Concat", *flat, shape=(size,), axis=0)
        where = self.scene.constant(self._base, places.reshape(-1))
        taken = self.apply("Gather", joined, where, shape=(places.size,), axis=0)
        return taken if places.ndim == 1 else self.reshape(taken, places.shape)

    def axes(self) -> tuple[int, ...]:
        """The axes that the node, a reduction, reduces."""
        given = None
        if len(self.node.inputs) > 1 and self.node.inputs[1]:
            given = self.scene.value(self.node.inputs[1])
            if given is None:
                raise self.refuse("its axes must be a constant of the model")
        return reduced_axes(self.node, given, len(self.shape(self.node.inputs[0])))

    def take(self, x: str, places: NDArray[np.int64], axis: int) -> str:
        """Entries along an axis, which the shape of `places` replaces."""
        shape = self.shape(x)
        where = self.scene.constant(self._base, places.astype(np.int64))
        made = (*shape[:axis], *places.shape, *shape[axis + 1 :])
        return self.apply("Gather", x, where, shape=made, axis=axis)

    def finish(self, *results: str) -> list[Node]:
        """The nodes; these results, one for each output of the node, become its outputs where they are read."""
        renamed: dict[str, str] = {}
        for result, output in zip(results, self.node.outputs, strict=False):
            made = any(result in node.outputs for node in self.nodes) and result not in renamed
            if output:
                renamed[result if made else self.apply("Identity", result)] = output
        return [
            replace(
                node,
                inputs=tuple(renamed.get(name, name) for name in node.inputs),
                outputs=tuple(renamed.get(name, name) for name in node.outputs),
            )
            for node in self.nodes
        ]

    def _dtype(self, op: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> np.dtype[Any]:
        if op == "Cast":
            return np.dtype(helper.tensor_dtype_to_np_dtype(attributes["to"]))
        only = defs.get_schema(op, self.scene.graph.opsets[""]).outputs[0].types
        if only == {"tensor(bool)"}:
            return np.dtype(np.bool_)
        if only == {"tensor(int64)"}:
            return np.dtype(np.int64)
        return self.scene.tensors[inputs[1 if op == "Where" else 0]].dtype

    @property
    def _base(self) -> str:
        return next(filter(None, self.node.outputs))


def reduced_axes(node: Node, given: Array | None, rank: int) -> tuple[int, ...]:
    """The axes of a reduction, from its attribute or its second input, counted from the front; all where none are.

    An axis that is there twice counts once.
    """
    axes = node.attributes.get("axes", ()) if given is None else given.reshape(-1).tolist()
    if not len(axes) and node.attributes.get("noop_with_empty_axes", 0):
        return ()
    return tuple(sorted({int(axis) % rank for axis in axes})) or tuple(range(rank))
