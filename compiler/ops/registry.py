"""The registry of ONNX operators: domain, name and version -> handler and scale rule. Its keys are the supported list.

    @op("Gemm", since=7)
    def gemm(call: Call, x: Operand, weights: Operand, bias: Operand = None) -> Cells: ...

A handler gets one Operand per input: Scaled cells for a computed tensor, a float array for a constant, None for an
absent one. It builds the node's output out of gadgets and returns its Cells at the scale that the scale rule gave: a
sequence of Cells where there are several outputs. What passes and quantization must know of an operator, its Marks,
stands beside its handler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import TYPE_CHECKING, Any

import numpy as np

from plonnx.compiler.fixed_point import Call, Made, Operand
from plonnx.compiler.graph import Array, Graph, Interval, Node, Shape, Tensor
from plonnx.gadgets import Cells

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Handler = Callable[..., Made | Sequence[Made]]
ScaleRule = Callable[[Node, Mapping[str, Tensor], int], int]
"""(node with one output, tensors with the scales of the operands, scale that calibration asks for) -> its scale.

The node's other outputs are empty names.
"""
HALVED = "~halved"
"""A note on a Cast that halves what is compared with an extreme of itself, and on that (compiler/own_extremes.py)."""
Real = Callable[..., Array]
"""(attributes, float64 arrays of one shape or scalars, one per input, None where absent) -> the operator's value."""
Known = Callable[[Node, Mapping[str, Tensor]], Mapping[str, float]]
"""(node, tensors) -> the magnitudes of outputs that follow from shapes, whatever calibration saw."""
Expansion = Callable[["Scene", Node], list[Node] | None]
"""A rule of passes/rewrite.py: the simpler operators that stand for the node, None where it stands for itself."""
Reach = Callable[[Node, Sequence[Interval], Graph], Interval]
"""(node, the intervals of its operands, the graph) -> what its exact result can be."""
Resulting = Callable[[Node, Sequence[Tensor | None]], Shape | None]
"""(node, operands) -> the shape of its first output; None where onnx's inference holds."""
Along = Callable[[Node, Sequence[Shape | None], Shape, int], int | None]
"""(node, shapes of its operands, shape of its result, an axis of that) -> the axis of the first operand whose entries
alone make those along it, each in the same place; None where there is none."""
Makes = Callable[[Node, Sequence[Tensor | None]], Sequence[tuple[Shape, np.dtype[Any]]]]
"""(node, operands) -> shape and type of each output."""


class Mark(Flag):
    """What passes and quantization ask of an operator, whatever its version; x is its first operand."""

    RESHAPES = auto()
    """x's elements in their order, repeated perhaps: where the shape stays the same, so does the tensor."""
    PERMUTES = auto()
    """All of x's elements, in another order."""
    PICKS = auto()
    """Some of x's elements, at places that its attributes and other operands say."""
    FILLS = auto()
    """Some of x's elements, and a constant beside them."""
    COPIES = RESHAPES | PERMUTES | PICKS
    JOINS = auto()
    """Elements of several operands, side by side or chosen between."""
    BETWEEN = auto()
    """Each element lies between some of its operands': it is not negative where none of them is."""
    POSITIVE = auto()
    """Never negative, at no cost."""
    HOMOGENEOUS = auto()
    """f(2^e x) = 2^e f(x), element by element."""
    SUMS = auto()
    """Operands at one scale give a result at that scale, element by element."""
    REDUCES = auto()
    """So do the elements along some axes, which its attribute or second operand says."""
    SPATIAL = auto()
    """So do those along the axes behind the first two."""
    PRODUCT = auto()
    """Powers of two of its operands become one of its result."""
    LAYER = auto()
    """Sums of products with constants, which take powers of two of x and give any to the result."""
    COMPARES = auto()
    """Of two operands, which is larger, or whether they are equal."""
    STEPS = auto()
    """Jumps, so that a small error may become a large one. (Comparisons give Booleans, which are known to.)"""
    WIDE = auto()
    """Its handler takes and makes integers of two units (wide.py)."""
    PARTWISE = auto()
    """Does to each of these units what it does to an integer."""
    WHOLE = auto()
    """Makes whole numbers of whole numbers."""
    HALFWAY = auto()
    """Jumps halfway between whole numbers."""
    POLE = auto()
    """Infinite at an end of its domain; of others an infinite value is a very large one."""
    PUBLIC = auto()
    """Its constants say which function it is: they are public in a hidden model too."""
    TOLD = auto()
    """Its integers, from the second operand on, say what it does; they do not go into its values."""
    INDEXED = auto()
    """Its second operand counts the entries of x along an axis."""
    SIZED = auto()
    """Real operands say how large its result is."""
    HALVES = auto()
    """Compares its operands at half their scale (fixed_point.Call.extreme)."""
    EXTREME = auto()
    """The largest or the smallest ones of its operands' elements."""
    ROUNDS = auto()
    """No integer of integers: ONNX truncates it, where a circuit rounds."""
    READS_NAN = auto()
    """Has a meaning for constants that are not a number."""
    GUARDS = auto()
    """Asks for what a circuit's values never are: it decides nothing."""
    ALONE = auto()
    """Each element of the result is made of x's in its place, by constants."""
    KEEPS_NAN = auto()
    """What it expands to makes of NaN what it does."""
    UNLISTED = auto()
    """onnxruntime writes it into ONNX's domain where ONNX has nothing of its name."""
    NAMES_ALL = auto()
    """Its unread outputs keep their names: they say how large the others are, or must be there."""


NO_MARK = Mark(0)
ML = "ai.onnx.ml"
"""The domain of scikit-learn's, XGBoost's and LightGBM's models."""
MICROSOFT = "com.microsoft"
"""The domain of what onnxruntime's optimizer and quantizer write."""
MOST = "~most"
"""A note on a node: the largest value that its first output can have."""
OWN = "plonnx"
"""The domain of what passes make and no file has."""


@dataclass(frozen=True)
class Op:
    """The handler of one operator from version `since` on (until the next registered version).

    `real` is what an elementwise operator computes, so that a chain of them can become one table (pointwise.py).
    `curved`: it takes a table by itself, or more units than a table does. `expand` is applied before calibration
    (passes/expand.py), so that the inner tensors of what it gives are measured. `known` replaces what was measured.
    `makes` says what the outputs are where onnx's inference does not, `shape` that of the first where onnxruntime finds
    another one. `marks`: what passes ask of it. `reach` is there where integers can leave their type (integers.py).
    `along`: which entries of the first operand some of the result depend on (passes/gather_early.py).
    """

    since: int
    handler: Handler
    scale: ScaleRule
    real: Real | None = None
    curved: bool = False
    expand: Expansion | None = None
    known: Known | None = None
    makes: Makes | None = None
    marks: Mark = NO_MARK
    reach: Reach | None = None
    shape: Resulting | None = None
    along: Along | None = None


_REGISTRY: dict[tuple[str, str], list[Op]] = {}
"""By domain and name."""
_MARKS: dict[tuple[str, str], Mark] = {}


def calibrated(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The scale that the tensor's own range asks for: the output is rescaled."""
    return asked


def aligned(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The coarsest scale among the computed operands: cells are re-indexed or seen through, never rescaled upwards."""
    scales = [tensors[name].scale for name in node.inputs if name and tensors[name].value is None]
    return min(scale for scale in scales if scale is not None)


def op(
    name: str,
    since: int,
    scale: ScaleRule = calibrated,
    real: Real | None = None,
    curved: bool = False,
    expand: Expansion | None = None,
    known: Known | None = None,
    domain: str = "",
    makes: Makes | None = None,
    marks: Mark = NO_MARK,
    reach: Reach | None = None,
    shape: Resulting | None = None,
    along: Along | None = None,
) -> Callable[[Handler], Handler]:
    """Register the decorated handler for an operator, of the default ONNX domain unless another one is given."""

    def register(handler: Handler) -> Handler:
        entries = _REGISTRY.setdefault((domain, name), [])
        if any(entry.since == since for entry in entries):
            raise ValueError(f"{name} since version {since} is registered twice")
        entries.append(Op(since, handler, scale, real, curved, expand, known, makes, marks, reach, shape, along))
        _MARKS[domain, name] = _MARKS.get((domain, name), NO_MARK) | marks
        entries.sort(key=lambda entry: entry.since)
        return handler

    return register


def function(
    name: str, real: Real, expand: Expansion | None = None, marks: Mark = NO_MARK, reach: Reach | None = None
) -> None:
    """Register a function of one value, its first operand; the others are uniform constants. It becomes a table."""

    def handler(call: Call, x: Operand, *constants: Operand) -> Cells:
        scalars = [call.scalar(value, f"its operand {place}") for place, value in enumerate(constants, 1)]
        return call.apply(lambda values: real(call.node.attributes, values, *scalars), call.computed(x, "the operand"))

    op(name, 1, real=real, curved=True, expand=expand, marks=marks, reach=reach)(handler)


def expands(
    name: str,
    since: int,
    domain: str = "",
    makes: Makes | None = None,
    marks: Mark = NO_MARK,
    shape: Resulting | None = None,
    along: Along | None = None,
) -> Callable[[Expansion], Expansion]:
    """Register an operator that is only ever rewritten: the decorated rule gives the nodes that stand for it."""

    def register(rule: Expansion) -> Expansion:
        def handler(call: Call, *operands: Operand) -> Cells:
            raise call.refuse("is not supported in this form")

        op(name, since, expand=rule, domain=domain, makes=makes, marks=marks, shape=shape, along=along)(handler)
        return rule

    return register


def find(node: Node) -> Op | None:
    """The handler in force for a node, None where the operator or its version is not supported."""
    entries = [entry for entry in _REGISTRY.get((node.domain, node.op), []) if entry.since <= node.since]
    return entries[-1] if entries else None


def shape_of(operands: Sequence[Tensor | None], place: int) -> Shape:
    """The shape of an operand that must be there, for rules of shapes."""
    tensor = operands[place]
    assert tensor is not None, "the checker sees to the operands that must be there"
    return tensor.shape


def marks(node: Node) -> Mark:
    """What passes ask of a node's operator."""
    return marked(node.op, node.domain)


def marked(name: str, domain: str = "") -> Mark:
    """What passes ask of an operator; nothing of one that is not there."""
    return _MARKS.get((domain, name), NO_MARK)


def versions() -> dict[str, int]:
    """The supported operators, with their domain where it is not the default one, and the first version of each."""
    return {
        f"{domain}.{name}" if domain else name: found[0].since
        for (domain, name), found in sorted(_REGISTRY.items())
        if domain != OWN
    }


def descriptions() -> list[tuple[str, str, int, str]]:
    """Of each entry: domain, name, first version, and what becomes of it (its handler's or rule's first paragraph)."""
    return [
        (domain, name, entry.since, _description(entry))
        for (domain, name), found in sorted(_REGISTRY.items())
        for entry in found
        if domain != OWN
    ]


def _description(entry: Op) -> str:
    said = entry.handler.__doc__ or (entry.expand.__doc__ if entry.expand is not None else None)
    if said is not None:
        return said.strip().split("\n\n")[0]
    return (
        "A function of one value: a table." if entry.real is not None else "Rewritten into the operators it stands for."
    )


def supported() -> list[str]:
    """Names of the supported operators, as `versions` gives them."""
    return list(versions())


__all__ = [
    "ML",
    "MOST",
    "NO_MARK",
    "OWN",
    "Along",
    "Call",
    "Expansion",
    "Handler",
    "Known",
    "Made",
    "Makes",
    "Mark",
    "Op",
    "Operand",
    "Reach",
    "Real",
    "Resulting",
    "aligned",
    "calibrated",
    "descriptions",
    "expands",
    "find",
    "function",
    "marked",
    "marks",
    "op",
    "shape_of",
    "supported",
    "versions",
]
