"""Quantized ONNX: each operator stands for Quantize(f(Dequantize(..))).

    QuantizeLinear(x, s, z)      Cast(Min(Max(Round(x / s) + z, low), high)): one table where s is one for the tensor
    DequantizeLinear(q, s, z)    (q - z) s: linear, so that it goes into the next layer; of a constant its value
    QLinearMatMul, QLinearConv   between those
    MatMulInteger, ConvInteger   exact integers, or real numbers where a Cast alone reads them

Quantized tensors are exact integers of the circuit. What is rounded close to a half may be rounded otherwise than by
onnxruntime, by one step of the quantization. Scales and zero points of computed tensors say what the operator does:
they are public in a hidden model, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import defs

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, Node, Shape, type_interval
from plonnx.compiler.level_lines import level_lines
from plonnx.compiler.ops.registry import Mark, expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

FLOAT = np.dtype(np.float32)
_LEVELS = 255.0


@dataclass(frozen=True)
class Scale:
    """Names of a scale and of a zero point, either of which may be absent; along `axis` where they are vectors."""

    scale: str
    zero: str
    axis: int = 1
    block: int = 0


def _spread(value: Array, like: Shape, given: Scale) -> Array:
    """A scale or zero point that broadcasts against the tensor."""
    if value.size == 1:
        return value.reshape(())
    axis = given.axis % len(like)
    if given.block:
        return of_blocks(value, given.block, like[axis], axis)
    return value.reshape([-1 if a == axis else 1 for a in range(len(like))])


def of_blocks(values: Array, block: int, count: int, axis: int) -> Array:
    """A value for each of `count` entries along an axis, one for each block of them."""
    if block < 1:
        raise ValueError(f"blocks of {block}")
    return values.take(np.arange(count) // block, axis)


class Quantizer:
    """Steps between integers and reals."""

    def __init__(self, scene: Scene, node: Node) -> None:
        self.steps, self.scene, self.node = Steps(scene, node, dtype=FLOAT), scene, node

    def real(self, q: str, given: Scale) -> str:
        """(q - z) s."""
        shape, scale, exact = self.scene.shape(q), self.scene.value(given.scale), self._exact(q, given)
        if exact is not None and scale is not None:
            return self.steps.constant(exact * _spread(scale.astype(np.float64), shape, given))
        return self.steps.apply("Mul", self.moved(q, given), self._operand(given.scale, shape, given))

    def _exact(self, q: str, given: Scale) -> Array | None:
        """q - z of constants; None where one is computed."""
        value, zero = self.scene.value(q), self.scene.value(given.zero)
        if value is None or (given.zero and zero is None):
            return None
        return value.astype(np.float64) - (0 if zero is None else _spread(zero.astype(np.float64), value.shape, given))

    def moved(self, q: str, given: Scale, kind: np.dtype[Any] = FLOAT) -> str:
        """q - z in a type: of constants their difference."""
        exact, zero = self._exact(q, given), self.scene.value(given.zero)
        if exact is not None:
            return self.scene.constant(self.node.outputs[0], exact.astype(kind))
        x = self.steps.cast(q, kind)
        if given.zero and (zero is None or np.any(zero)):
            x = self.steps.apply("Sub", x, self._operand(given.zero, self.scene.shape(q), given, kind), dtype=kind)
        return x

    def integer(self, x: str, given: Scale, kind: np.dtype[Any]) -> str:
        """round(x / s) + z, in the type's range."""
        return self.placed(
            self.steps.apply("Div", x, self._operand(given.scale, self.scene.shape(x), given)), given, kind
        )

    def placed(self, x: str, given: Scale, kind: np.dtype[Any]) -> str:
        """round(x) + z, in the type's range."""
        zero, made = self.scene.value(given.zero), self._rounded(x)
        if given.zero and (zero is None or np.any(zero)):
            made = self.steps.apply("Add", made, self._operand(given.zero, self.scene.shape(x), given))
        return self.bounded(made, kind)

    def _rounded(self, x: str) -> str:
        """To the nearest integer; before version 11 there is no Round, and halves go up."""
        if defs.has("Round", self.scene.graph.opsets[""], ""):
            return self.steps.apply("Round", x)
        return self.steps.apply("Floor", self.steps.apply("Add", x, self.steps.constant(0.5, public=True)))

    def step(self, left: str, right: str, result: str, alpha: float = 1.0) -> Array | None:
        """How many steps of the result a product of one step each is, in float32 as onnxruntime has it.

        None where a scale is computed, or differs along the left operand or the result.
        """
        known = [self.scene.value(name) for name in (left, right, result)]
        if any(value is None for value in known):
            return None
        x, w, y = (np.asarray(value, np.float32) for value in known)
        if x.size != 1 or y.size != 1:
            return None
        return np.asarray(np.float32(alpha) * x.reshape(()) * w / y.reshape(()), np.float64)

    def leveled(
        self,
        op: str,
        x: tuple[str, Scale],
        weights: tuple[str, Scale],
        step: Array,
        bias: str,
        to: Scale,
        kind: np.dtype[Any],
        attributes: Mapping[str, Any],
        turned: bool = False,
    ) -> str | None:
        """round(step (sum of integers)) + z for constant weights, each sum exact; None where they are computed.

        By the line that gives onnxruntime's levels (level_lines.py).
        """
        steps, scene, (w, given) = self.steps, self.scene, weights
        whole, added = self._exact(w, given), scene.value(bias)
        if whole is None or any(name and scene.value(name) is None for name in (bias, to.zero)):
            return None
        slope, shift = self._line(step, to, kind)
        exact = whole * _spread(slope, whole.shape, given)
        exact = exact.T if turned else exact
        base = steps.constant(0.0)
        operands, offset = [self.moved(*x), scene.constant(base, exact)], shift
        if added is not None:
            offset = added.astype(np.float64) * slope.reshape(-1) + shift.reshape(-1)
        biased = added is not None or bool(np.any(shift))
        if biased and op == "Conv":
            outputs = whole.shape[0]
            operands.append(scene.constant(base, np.array(np.broadcast_to(offset.reshape(-1), (outputs,)))))
        made = steps.apply(op, *operands, shape=scene.shape(self.node.outputs[0]), dtype=FLOAT, **attributes)
        if biased and op != "Conv":
            made = steps.apply("Add", made, scene.constant(base, offset), dtype=FLOAT)
        return self.placed(made, to, kind)

    def _line(self, step: Array, to: Scale, kind: np.dtype[Any]) -> tuple[Array, Array]:
        """Slope and shift of the sums. A hidden model's weights are too coarse for either to matter."""
        if self.scene.hidden or kind.kind not in "iu" or kind.itemsize > 1:
            return step, np.zeros_like(step)
        (low, high), zero = type_interval(kind), self.scene.value(to.zero)
        moved = 0 if zero is None else int(zero.reshape(-1)[0])
        return level_lines(step, int(low) - moved, int(high) - moved)

    def bounded(self, x: str, kind: np.dtype[Any]) -> str:
        """x within a type, in that type."""
        if kind.kind not in "iu":
            raise self.steps.refuse(f"it quantizes to {kind}, which is not supported")
        low, high = type_interval(kind)
        raised = self.steps.apply("Max", x, self.steps.constant(low, public=True))
        return self.steps.cast(self.steps.apply("Min", raised, self.steps.constant(high, public=True)), kind)

    def _operand(self, name: str, like: Shape, given: Scale, kind: np.dtype[Any] = FLOAT) -> str:
        value = self.scene.value(name)
        if value is not None:
            spread = _spread(value.astype(np.float64), like, given)
            return self.scene.constant(self.node.outputs[0], spread.astype(kind), public=True)
        if int(np.prod(self.scene.shape(name), dtype=np.int64)) != 1:
            raise self.steps.refuse("a scale or zero point that is computed must be one for the whole tensor")
        return self.steps.reshape(self.steps.cast(name, kind), (1,) * max(len(like), 1))


def kind_of(scene: Scene, name: str, default: Any = np.uint8) -> np.dtype[Any]:
    """The type that a zero point says."""
    return scene.tensors[name].dtype if name else np.dtype(default)


def operands_of(node: Node, count: int) -> list[str]:
    return [*node.inputs, *[""] * count][:count]


def _axis_of(node: Node) -> dict[str, int]:
    return {"axis": int(node.attributes.get("axis", 1)), "block": int(node.attributes.get("block_size", 0))}


def quantize_linear(scene: Scene, node: Node) -> list[Node]:
    """Reals to integers."""
    way, (x, scale, zero) = Quantizer(scene, node), operands_of(node, 3)
    kind = scene.tensors[node.outputs[0]].dtype
    return way.steps.finish(way.integer(way.steps.cast(x, FLOAT), Scale(scale, zero, **_axis_of(node)), kind))


def dequantize_linear(scene: Scene, node: Node) -> list[Node]:
    """Integers to reals."""
    way, (q, scale, zero) = Quantizer(scene, node), operands_of(node, 3)
    return way.steps.finish(way.real(q, Scale(scale, zero, **_axis_of(node))))


expands("QuantizeLinear", since=10)(quantize_linear)
expands("DequantizeLinear", since=10)(dequantize_linear)


@expands("QLinearMatMul", since=10)
def qlinear_matmul(scene: Scene, node: Node) -> list[Node]:
    """A product of quantized matrices; the right one's scales may differ from column to column."""
    way, (a, sa, za, b, sb, zb, sy, zy) = Quantizer(scene, node), operands_of(node, 8)
    step = way.step(sa, sb, sy)
    if step is not None:
        kept = way.leveled(
            "MatMul",
            (a, Scale(sa, za, axis=-2)),
            (b, Scale(sb, zb, axis=-1)),
            step,
            "",
            Scale(sy, zy),
            kind_of(scene, zy),
            {},
        )
        if kept is not None:
            return way.steps.finish(kept)
    left, right = way.real(a, Scale(sa, za, axis=-2)), way.real(b, Scale(sb, zb, axis=-1))
    made = way.steps.apply("MatMul", left, right, shape=scene.shape(node.outputs[0]))
    return way.steps.finish(way.integer(made, Scale(sy, zy), kind_of(scene, zy)))


@expands("QLinearConv", since=10)
def qlinear_conv(scene: Scene, node: Node) -> list[Node]:
    """A convolution of quantized tensors; the bias has the scale of the products."""
    way, (x, sx, zx, w, sw, zw, sy, zy, bias) = Quantizer(scene, node), operands_of(node, 9)
    step = way.step(sx, sw, sy)
    if step is not None:
        ends = (x, Scale(sx, zx)), (w, Scale(sw, zw, axis=0))
        kept = way.leveled("Conv", *ends, step, bias, Scale(sy, zy), kind_of(scene, zy), node.attributes)
        if kept is not None:
            return way.steps.finish(kept)
    operands = [way.real(x, Scale(sx, zx)), way.real(w, Scale(sw, zw, axis=0))]
    if bias:
        known = [scene.value(name) for name in (bias, sx, sw)]
        if any(value is None for value in known):
            raise way.steps.refuse("its bias and scales must be constants of the model")
        whole, one, other = (np.asarray(value, np.float64) for value in known)
        operands.append(way.steps.constant(whole * one.reshape(-1) * other.reshape(-1)))
    made = way.steps.apply("Conv", *operands, shape=scene.shape(node.outputs[0]), **node.attributes)
    return way.steps.finish(way.integer(made, Scale(sy, zy), kind_of(scene, zy)))


def _product_of_integers(scene: Scene, node: Node, product: Node, kind: np.dtype[Any]) -> list[Node]:
    """A product of integers that is computed in a type, cast to what `node` gives.

    That is the product itself, or the Cast that alone reads it.
    """
    way, (a, b, za, zb) = Quantizer(scene, node), operands_of(product, 4)
    op, axes = ("Conv", (1, 0)) if product.op == "ConvInteger" else ("MatMul", (-2, -1))
    factors = [way.moved(q, Scale("", zero, axis), kind) for q, zero, axis in zip((a, b), (za, zb), axes, strict=True)]
    made = way.steps.apply(op, *factors, shape=scene.shape(product.outputs[0]), dtype=kind, **product.attributes)
    return way.steps.finish(way.steps.cast(made))


def _integers(scene: Scene, node: Node) -> list[Node] | None:
    """int32, unless all that is done with it is a cast to reals (`cast_of_a_product`).

    Products of matrices are exact, and take two units where one does not hold them (wide.py).
    """
    name = node.outputs[0]
    readers = scene.graph.readers()[name]
    shown = any(source == name for _, source in scene.graph.outputs)
    alone = len(readers) == 1 and not shown and readers[0].op == "Cast"
    if alone and scene.tensors[readers[0].outputs[0]].dtype.kind == "f":
        return None
    return _product_of_integers(scene, node, node, FLOAT if node.op == "ConvInteger" else np.dtype(np.int32))


def cast_of_a_product(scene: Scene, node: Node) -> list[Node] | None:
    """A sum of many products of integers is rarely below T: where only its real value is read, it may be coarser."""
    for op in ("MatMulInteger", "ConvInteger"):
        product = scene.producer(node.inputs[0], op)
        if product is not None and scene.tensors[node.outputs[0]].dtype.kind == "f":
            return _product_of_integers(scene, node, product, FLOAT)
    return None


expands("MatMulInteger", since=10)(_integers)
expands("ConvInteger", since=10)(_integers)


def _dynamic(steps: Steps, x: str) -> tuple[str, str, str]:
    """(q, scale, zero point) of x between its own least and largest value, as reals."""
    every = tuple(range(len(steps.shape(x))))
    zero = steps.constant(0.0, public=True)
    low = steps.apply("Min", steps.reduce("ReduceMin", x, every), zero)
    high = steps.apply("Max", steps.reduce("ReduceMax", x, every), zero)
    width = steps.apply("Sub", high, low)
    scale = steps.apply("Mul", width, steps.constant(1.0 / _LEVELS, public=True))
    inverse = steps.apply("Mul", steps.apply("Reciprocal", width), steps.constant(_LEVELS, public=True))
    start = steps.apply("Round", steps.apply("Neg", steps.apply("Mul", low, inverse)))
    moved = steps.apply("Add", steps.apply("Round", steps.apply("Mul", x, inverse)), start)
    return moved, scale, start


def _held_in_bytes(x: Array) -> Array:
    low, high = min(x.min(initial=0.0), 0.0), max(x.max(initial=0.0), 0.0)
    scale = (high - low) / _LEVELS or 1.0
    return np.clip(np.rint(x / scale), np.rint(low / scale), np.rint(high / scale)) * scale


def through_bytes(steps: Steps, x: str) -> str:
    """x as uint8 between its own least and largest value holds it, as reals."""
    known = steps.scene.value(x)
    if known is not None:
        return steps.constant(_held_in_bytes(known.astype(np.float64)))
    q, scale, zero = _dynamic(steps, x)
    low, high = (steps.constant(end, public=True) for end in (0.0, _LEVELS))
    bounded = steps.apply("Min", steps.apply("Max", q, low), high)
    return steps.apply("Mul", steps.apply("Sub", bounded, zero), scale)


@expands("DynamicQuantizeLinear", since=11, marks=Mark.NAMES_ALL)
def dynamic_quantize_linear(scene: Scene, node: Node) -> list[Node]:
    """uint8 between the tensor's own least and largest value."""
    way = Quantizer(scene, node)
    q, scale, zero = _dynamic(way.steps, node.inputs[0])
    unsigned = np.dtype(np.uint8)
    shown = way.steps.reshape(scale, ()), way.steps.reshape(way.bounded(zero, unsigned), ())
    return way.steps.finish(way.bounded(q, unsigned), *shown)
