"""The one intermediate representation, from import to lowering: a Graph of Nodes over named Tensors.

Every node is a standard ONNX operator, so that any graph can be written back as ONNX and run by a float oracle
(compiler/float_model.py). All three classes are immutable; a pass takes a Graph and gives another one. Quantization
adds a scale and an interval to each Tensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
Interval = tuple[float, float]


class CompileError(ValueError):
    """A model that can't be compiled as it is; the message is one line that names the place and the mend."""


MOST_ELEMENTS = 1 << 28
"""Of a tensor, and of what a file's constants are folded to in all: a few bytes may name more than any memory holds."""


def of_size(shape: Shape, what: str) -> Shape:
    """The shape; CompileError, beginning with `what`, for one that no circuit holds."""
    if prod(shape) > MOST_ELEMENTS:
        raise CompileError(f"{what} has the shape {list(shape)}: more than 2^28 elements")
    return shape


@contextmanager
def fitting(label: str) -> Iterator[None]:
    """What Python or numpy say of operands and attributes that do not fit becomes a CompileError that names the node.

    What this project says itself stays as it is.
    """
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        if type(error).__module__.startswith("plonnx."):
            raise
        said = " ".join(str(error).split())
        raise CompileError(f"{label}: its operands and attributes do not fit one another ({said})") from error


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named tensor of static shape: a constant where `value` is given, computed otherwise.

    Once quantized, an integer v stands for the real number v / 2**scale, and lies in `interval` (both ends included);
    `measured` is the range of real values that calibration saw. A graph's input or output may have a scale for each
    channel: `shift`, which broadcasts over the tensor, is added to `scale`. wide: the integer is held as two,
    2^wide high + low with 0 <= low < 2^wide (ops/wide.py); 0 where it is one.

    public: a constant that says what an operator does (an epsilon, an exponent), nothing that was learned: everybody
    knows it of a hidden model, too.
    """

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    value: Array | None = None
    scale: int | None = None
    shift: Array | None = None
    interval: tuple[int, int] | None = None
    measured: tuple[float, float] | None = None
    public: bool = False
    wide: int = 0
    dequantized: Dequantized | None = None

    @staticmethod
    def constant(name: str, value: Array, public: bool = False) -> Tensor:
        """A constant of the value's shape and type."""
        return Tensor(name, value.shape, value.dtype, value, public=public)

    @property
    def plain(self) -> Array:
        """The value of a constant as its type holds it; `value` may be more exact."""
        assert self.value is not None, "a computed tensor has no value"
        return self.value.astype(self.dtype, copy=False)

    @property
    def scales(self) -> Array:
        """The scale, or that of each channel, broadcasting over the tensor; there from quantization on."""
        assert self.scale is not None, "scales come with quantization"
        return np.asarray(self.scale if self.shift is None else self.scale + self.shift)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)  # not of 64 bits: what wraps around may come out as nothing


def type_reach(dtype: np.dtype[Any]) -> float:
    """The largest magnitude of a type: infinite for reals."""
    low, high = type_interval(dtype)
    return max(-low, high)


def type_interval(dtype: np.dtype[Any]) -> Interval:
    """The values of a type, both ends included."""
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind not in "iu":
        return -np.inf, np.inf
    info = np.iinfo(dtype)
    return float(info.min), float(info.max)


@dataclass(frozen=True, eq=False)
class Node:
    """One operator. Absent optional inputs and outputs are empty names; `since` is the operator's version in force."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    since: int
    name: str = ""
    domain: str = ""

    @property
    def label(self) -> str:
        """How messages name the node."""
        return f"node {self.name or self.outputs[0]!r} ({f'{self.domain}.' if self.domain else ''}{self.op})"

    def formula(self, operands: Sequence[str | Array | None]) -> str:
        """The node as text, for operands that are names, or constants that are the same everywhere: Clip(x, 0, 6)."""
        shown = [o if isinstance(o, str) else "" if o is None else f"{float(np.ravel(o)[0]):.9g}" for o in operands]
        return (
            f"{self.op}({', '.join([*shown, *(f'{key}={self.attributes[key]}' for key in sorted(self.attributes))])})"
        )


@dataclass(frozen=True)
class Dequantized:
    """What a constant was made of by a DequantizeLinear: the names of its integers, scale and zero point."""

    integers: str
    scale: str
    zero: str
    axis: int = 1


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order, each tensor produced once.

    `inputs` are tensor names; `outputs` are pairs (name of the graph's output, tensor that it shows), so that renaming
    or sharing a tensor never changes what the model's user sees.
    """

    name: str
    opsets: Mapping[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]

    def tensor(self, name: str) -> Tensor | None:
        """The tensor of that name; None for the empty name of an absent optional input."""
        return self.tensors[name] if name else None

    def value(self, name: str) -> Array | None:
        """The value of a constant; None for computed and absent tensors."""
        return self.tensors[name].value if name else None

    def uses(self) -> dict[str, int]:
        """How often each tensor is read, by nodes and by the graph's outputs."""
        count = dict.fromkeys(self.tensors, 0)
        for name in self.reads():
            count[name] += 1
        return count

    def readers(self) -> dict[str, list[Node]]:
        """The nodes that read each tensor, in order, each once."""
        found: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.inputs)):
                found[name].append(node)
        return found

    def reads(self) -> Iterable[str]:
        """Every read of a tensor, in order, outputs last."""
        for node in self.nodes:
            yield from (name for name in node.inputs if name)
        yield from (source for _, source in self.outputs)

    def with_nodes(
        self,
        nodes: Iterable[Node],
        tensors: Mapping[str, Tensor] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> Graph:
        """The graph with other nodes (and tensors); reads of a name in `renamed` become reads of its replacement."""
        renamed = renamed or {}

        def current(name: str) -> str:
            while name in renamed:
                name = renamed[name]
            return name

        def moved(node: Node) -> Node:
            if renamed.keys().isdisjoint(node.inputs):
                return node
            return replace(node, inputs=tuple(current(name) for name in node.inputs))

        return replace(
            self,
            nodes=tuple(moved(node) for node in nodes),
            outputs=tuple((name, current(source)) for name, source in self.outputs),
            tensors=self.tensors if tensors is None else tensors,
        )


def scale_of(limit: float, table_bits: int) -> int:
    """The largest s with limit * 2**s <= 2**table_bits - 1."""
    scale = table_bits - int(np.frexp(limit)[1])
    return scale if np.ldexp(limit, scale) <= (1 << table_bits) - 1 else scale - 1
