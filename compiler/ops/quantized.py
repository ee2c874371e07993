"""Quantized ONNX, also as onnxruntime writes it: each operator stands for Quantize(f(Dequantize(..))).

    QuantizeLinear(x, s, z)      Cast(Min(Max(Round(x / s) + z, low), high)): one table where s is one for the tensor
    DequantizeLinear(q, s, z)    (q - z) s: linear, so that it goes into the next layer; of a constant its value
    QLinearMatMul, QLinearConv   between those
    MatMulInteger, ConvInteger   exact integers, or real numbers where a Cast alone reads them

Quantized tensors are exact integers of the circuit. What is rounded close to a half may be rounded otherwise than by
onnxruntime, by one step of the quantization. Scales and zero points of computed tensors say what the operator does:
they are public in a hidden model, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import defs

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, CompileError, Node, Shape, Tensor, type_interval
from plonnx.compiler.level_lines import level_lines
from plonnx.compiler.ops.registry import MICROSOFT, Makes, Mark, expands, find

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

_FLOAT = np.dtype(np.float32)
_LEVELS = 255.0


@dataclass(frozen=True)
class _Scale:
    """Names of a scale and of a zero point, either of which may be absent; along `axis` where they are vectors."""

    scale: str
    zero: str
    axis: int = 1
    block: int = 0


def _spread(value: Array, like: Shape, given: _Scale) -> Array:
    """A scale or zero point that broadcasts against the tensor."""
    if value.size == 1:
        return value.reshape(())
    axis = given.axis % len(like)
    if given.block:
        return np.repeat(value, given.block, axis).take(np.arange(like[axis]), axis)
    return value.reshape([-1 if a == axis else 1 for a in range(len(like))])


class _Quantizer:
    """Steps between integers and reals."""

    def __init__(self, scene: Scene, node: Node) -> None:
        self.steps, self.scene, self.node = Steps(scene, node, dtype=_FLOAT), scene, node

    def real(self, q: str, given: _Scale) -> str:
        """(q - z) s."""
        shape, scale, exact = self.scene.shape(q), self.scene.value(given.scale), self._exact(q, given)
        if exact is not None and scale is not None:
            return self.steps.constant(exact * _spread(scale.astype(np.float64), shape, given))
        return self.steps.apply("Mul", self.moved(q, given), self._operand(given.scale, shape, given))

    def _exact(self, q: str, given: _Scale) -> Array | None:
        """q - z of constants; None where one is computed."""
        value, zero = self.scene.value(q), self.scene.value(given.zero)
        if value is None or (given.zero and zero is None):
            return None
        return value.astype(np.float64) - (0 if zero is None else _spread(zero.astype(np.float64), value.shape, given))

    def moved(self, q: str, given: _Scale) -> str:
        """q - z, as a real number."""
        zero, x = self.scene.value(given.zero), self.steps.cast(q, _FLOAT)
        if given.zero and (zero is None or np.any(zero)):
            x = self.steps.apply("Sub", x, self._operand(given.zero, self.scene.shape(q), given))
        return x

    def integer(self, x: str, given: _Scale, kind: np.dtype[Any]) -> str:
        """round(x / s) + z, in the type's range."""
        return self.placed(
            self.steps.apply("Div", x, self._operand(given.scale, self.scene.shape(x), given)), given, kind
        )

    def placed(self, x: str, given: _Scale, kind: np.dtype[Any]) -> str:
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
        x: tuple[str, _Scale],
        weights: tuple[str, _Scale],
        step: Array,
        bias: str,
        to: _Scale,
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
        made = steps.apply(op, *operands, shape=scene.shape(self.node.outputs[0]), dtype=_FLOAT, **attributes)
        if biased and op != "Conv":
            made = steps.apply("Add", made, scene.constant(base, offset), dtype=_FLOAT)
        return self.placed(made, to, kind)

    def _line(self, step: Array, to: _Scale, kind: np.dtype[Any]) -> tuple[Array, Array]:
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

    def _operand(self, name: str, like: Shape, given: _Scale) -> str:
        value = self.scene.value(name)
        if value is not None:
            return self.steps.constant(_spread(value.astype(np.float64), like, given), public=True)
        if int(np.prod(self.scene.shape(name), dtype=np.int64)) != 1:
            raise self.steps.refuse("a scale or zero point that is computed must be one for the whole tensor")
        return self.steps.reshape(self.steps.cast(name, _FLOAT), (1,) * max(len(like), 1))


def _kind(scene: Scene, name: str, default: Any = np.uint8) -> np.dtype[Any]:
    """The type that a zero point says."""
    return scene.tensors[name].dtype if name else np.dtype(default)


def _inputs(node: Node, count: int) -> list[str]:
    return [*node.inputs, *[""] * count][:count]


def _axis_of(node: Node) -> dict[str, int]:
    return {"axis": int(node.attributes.get("axis", 1)), "block": int(node.attributes.get("block_size", 0))}


def _quantize_linear(scene: Scene, node: Node) -> list[Node]:
    """Reals to integers."""
    way, (x, scale, zero) = _Quantizer(scene, node), _inputs(node, 3)
    kind = scene.tensors[node.outputs[0]].dtype
    return way.steps.finish(way.integer(way.steps.cast(x, _FLOAT), _Scale(scale, zero, **_axis_of(node)), kind))


def _dequantize_linear(scene: Scene, node: Node) -> list[Node]:
    """Integers to reals."""
    way, (q, scale, zero) = _Quantizer(scene, node), _inputs(node, 3)
    return way.steps.finish(way.real(q, _Scale(scale, zero, **_axis_of(node))))


expands("QuantizeLinear", since=10)(_quantize_linear)
expands("DequantizeLinear", since=10)(_dequantize_linear)


@expands("QLinearMatMul", since=10)
def qlinear_matmul(scene: Scene, node: Node) -> list[Node]:
    """A product of quantized matrices; the right one's scales may differ from column to column."""
    way, (a, sa, za, b, sb, zb, sy, zy) = _Quantizer(scene, node), _inputs(node, 8)
    step = way.step(sa, sb, sy)
    if step is not None:
        kept = way.leveled(
            "MatMul",
            (a, _Scale(sa, za, axis=-2)),
            (b, _Scale(sb, zb, axis=-1)),
            step,
            "",
            _Scale(sy, zy),
            _kind(scene, zy),
            {},
        )
        if kept is not None:
            return way.steps.finish(kept)
    left, right = way.real(a, _Scale(sa, za, axis=-2)), way.real(b, _Scale(sb, zb, axis=-1))
    made = way.steps.apply("MatMul", left, right, shape=scene.shape(node.outputs[0]))
    return way.steps.finish(way.integer(made, _Scale(sy, zy), _kind(scene, zy)))


@expands("QLinearConv", since=10)
def qlinear_conv(scene: Scene, node: Node) -> list[Node]:
    """A convolution of quantized tensors; the bias has the scale of the products."""
    way, (x, sx, zx, w, sw, zw, sy, zy, bias) = _Quantizer(scene, node), _inputs(node, 9)
    step = way.step(sx, sw, sy)
    if step is not None:
        ends = (x, _Scale(sx, zx)), (w, _Scale(sw, zw, axis=0))
        kept = way.leveled("Conv", *ends, step, bias, _Scale(sy, zy), _kind(scene, zy), node.attributes)
        if kept is not None:
            return way.steps.finish(kept)
    operands = [way.real(x, _Scale(sx, zx)), way.real(w, _Scale(sw, zw, axis=0))]
    if bias:
        known = [scene.value(name) for name in (bias, sx, sw)]
        if any(value is None for value in known):
            raise way.steps.refuse("its bias and scales must be constants of the model")
        whole, one, other = (np.asarray(value, np.float64) for value in known)
        operands.append(way.steps.constant(whole * one.reshape(-1) * other.reshape(-1)))
    made = way.steps.apply("Conv", *operands, shape=scene.shape(node.outputs[0]), **node.attributes)
    return way.steps.finish(way.integer(made, _Scale(sy, zy), _kind(scene, zy)))


def _moved(way: _Quantizer, q: str, zero: str, axis: int) -> str:
    """q - z as a real number."""
    one = way.scene.constant(way.node.outputs[0], np.ones(1, np.float32), public=True)
    return way.real(q, _Scale(one, zero, axis))


def _of_integers(scene: Scene, node: Node, product: Node) -> list[Node] | None:
    """The product of integers as reals, cast to what `node` gives: itself, or the Cast that alone reads it."""
    way, (a, b, za, zb) = _Quantizer(scene, node), _inputs(product, 4)
    convolves = product.op == "ConvInteger"
    left = _moved(way, a, za, 1 if convolves else -2)
    right = _moved(way, b, zb, 0 if convolves else -1)
    shape = scene.shape(product.outputs[0])
    made = way.steps.apply("Conv" if convolves else "MatMul", left, right, shape=shape, **product.attributes)
    return way.steps.finish(way.steps.cast(made))


def _exactly(scene: Scene, node: Node) -> list[Node] | None:
    """int32, unless all that is done with it is a cast to reals (`_cast_of_a_product`)."""
    readers = [other for other in scene.graph.nodes if node.outputs[0] in other.inputs]
    shown = any(source == node.outputs[0] for _, source in scene.graph.outputs)
    alone = len(readers) == 1 and not shown and readers[0].op == "Cast"
    if alone and scene.tensors[readers[0].outputs[0]].dtype.kind == "f":
        return None
    return _of_integers(scene, node, node) if node.op == "ConvInteger" else _exact_product(scene, node)


def _exact_product(scene: Scene, node: Node) -> list[Node]:
    """In integers, which take two units where one does not hold them (wide.py)."""
    way, (a, b, za, zb) = _Quantizer(scene, node), _inputs(node, 4)
    factors = [_moved_integer(way, q, _Scale("", zero, axis)) for q, zero, axis in ((a, za, -2), (b, zb, -1))]
    made = way.steps.apply("MatMul", *factors, shape=scene.shape(node.outputs[0]), dtype=np.int32)
    return way.steps.finish(made)


def _moved_integer(way: _Quantizer, q: str, given: _Scale) -> str:
    """q - z in int32."""
    value, zero, shape = way.scene.value(q), way.scene.value(given.zero), way.scene.shape(q)
    if value is not None and (zero is not None or not given.zero):
        moved = value.astype(np.int32) - (0 if zero is None else _spread(zero.astype(np.int32), shape, given))
        return way.scene.constant(way.node.outputs[0], np.asarray(moved, np.int32))
    x = way.steps.cast(q, np.int32)
    if not given.zero or (zero is not None and not np.any(zero)):
        return x
    taken = way.steps.reshape(way.steps.cast(given.zero, np.int32), (1,) * max(len(shape), 1))
    if zero is not None:
        base = way.node.outputs[0]
        taken = way.scene.constant(
            base, np.asarray(_spread(zero.astype(np.int32), shape, given), np.int32), public=True
        )
    elif int(np.prod(way.scene.shape(given.zero), dtype=np.int64)) != 1:
        raise way.steps.refuse("a zero point that is computed must be one for the whole tensor")
    return way.steps.apply("Sub", x, taken, dtype=np.int32)


def cast_of_a_product(scene: Scene, node: Node) -> list[Node] | None:
    """A sum of many products of integers is rarely below T: where only its real value is read, it may be coarser."""
    for op in ("MatMulInteger", "ConvInteger"):
        product = scene.producer(node.inputs[0], op)
        if product is not None and scene.tensors[node.outputs[0]].dtype.kind == "f":
            return _of_integers(scene, node, product)
    return None


expands("MatMulInteger", since=10)(_exactly)
expands("ConvInteger", since=10)(_exactly)


def _dynamic(way: _Quantizer, x: str) -> tuple[str, str, str]:
    """(q, scale, zero point) of x between its own least and largest value, as reals."""
    steps, every = way.steps, tuple(range(len(way.scene.shape(x))))
    zero = steps.constant(0.0, public=True)
    low = steps.apply("Min", steps.reduce("ReduceMin", x, every), zero)
    high = steps.apply("Max", steps.reduce("ReduceMax", x, every), zero)
    width = steps.apply("Sub", high, low)
    scale = steps.apply("Mul", width, steps.constant(1.0 / _LEVELS, public=True))
    inverse = steps.apply("Mul", steps.apply("Reciprocal", width), steps.constant(_LEVELS, public=True))
    start = steps.apply("Round", steps.apply("Neg", steps.apply("Mul", low, inverse)))
    moved = steps.apply("Add", steps.apply("Round", steps.apply("Mul", x, inverse)), start)
    return moved, scale, start


@expands("DynamicQuantizeLinear", since=11, marks=Mark.NAMES_ALL)
def dynamic_quantize_linear(scene: Scene, node: Node) -> list[Node]:
    """uint8 between the tensor's own least and largest value."""
    way = _Quantizer(scene, node)
    q, scale, zero = _dynamic(way, node.inputs[0])
    unsigned = np.dtype(np.uint8)
    shown = way.steps.reshape(scale, ()), way.steps.reshape(way.bounded(zero, unsigned), ())
    return way.steps.finish(way.bounded(q, unsigned), *shown)


# com.microsoft --------------------------------------------------------------------------------------------------------


def _shape(operands: Sequence[Tensor | None], place: int) -> Shape:
    tensor = operands[place]
    if tensor is None:
        raise CompileError("an operand that must be there is absent")
    return tensor.shape


def _like(place: int, kind: int | np.dtype[Any] | None = None) -> Makes:
    """The shape of an operand; the type of an operand, or a given one."""

    def made(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
        source = operands[place if kind is None else kind] if isinstance(kind, int | None) else None
        return [(_shape(operands, place), kind if isinstance(kind, np.dtype) else _type(source))]

    return made


def _type(tensor: Tensor | None, default: Any = np.uint8) -> np.dtype[Any]:
    return np.dtype(default) if tensor is None else tensor.dtype


def _as_quantized(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    return [(_shape(operands, 0), _type(operands[2] if len(operands) > 2 else None))]


expands("QuantizeLinear", 1, MICROSOFT, _as_quantized)(_quantize_linear)
expands("DequantizeLinear", 1, MICROSOFT, _like(0, 1))(_dequantize_linear)


def _binary(op: str) -> None:
    def makes(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
        return [(np.broadcast_shapes(_shape(operands, 0), _shape(operands, 3)), _type(operands[0]))]

    @expands(f"QLinear{op}", 1, MICROSOFT, makes)
    def rule(scene: Scene, node: Node) -> list[Node]:
        way, (a, sa, za, b, sb, zb, sy, zy) = _Quantizer(scene, node), _inputs(node, 8)
        made = way.steps.apply(op, way.real(a, _Scale(sa, za)), way.real(b, _Scale(sb, zb)))
        return way.steps.finish(way.integer(made, _Scale(sy, zy), scene.tensors[node.outputs[0]].dtype))


def _unary(op: str, name: str, makes: Makes) -> None:
    """Of one quantized tensor: x, its scale and zero point, those of the result."""

    @expands(f"QLinear{name}", 1, MICROSOFT, makes)
    def rule(scene: Scene, node: Node) -> list[Node]:
        way, (x, sx, zx, sy, zy) = _Quantizer(scene, node), _inputs(node, 5)
        if node.attributes.get("channels_last", 0):
            raise way.steps.refuse("channels_last = 1 is not supported; export the model with channels first")
        given = {key: value for key, value in node.attributes.items() if key != "channels_last"}
        made = way.steps.apply(op, way.real(x, _Scale(sx, zx)), shape=scene.shape(node.outputs[0]), **given)
        return way.steps.finish(way.integer(made, _Scale(sy, zy), scene.tensors[node.outputs[0]].dtype))


def _as(op: str) -> Makes:
    """The shape that a standard operator gives."""

    def makes(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
        standard = find(replace(node, op=op, domain="", since=defs.onnx_opset_version()))
        shape = None if standard is None or standard.shape is None else standard.shape(node, operands)
        return [(_shape(operands, 0) if shape is None else shape, _type(operands[0]))]

    return makes


def _of_channels(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    shape = _shape(operands, 0)
    return [((*shape[:2], *(1,) * (len(shape) - 2)), _type(operands[0]))]


for _name in ("Add", "Mul"):
    _binary(_name)
for _op, _name, _makes in (
    ("Sigmoid", "Sigmoid", _like(0)),
    ("LeakyRelu", "LeakyRelu", _like(0)),
    ("GlobalAveragePool", "GlobalAveragePool", _of_channels),
    ("AveragePool", "AveragePool", _as("AveragePool")),
):
    _unary(_op, _name, _makes)


def _concatenated(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    shapes = [list(_shape(operands, place)) for place in range(2, len(operands), 3)]
    axis = int(node.attributes["axis"]) % len(shapes[0])
    whole = [*shapes[0]]
    whole[axis] = sum(shape[axis] for shape in shapes)
    return [(tuple(whole), _type(operands[2]))]


@expands("QLinearConcat", 1, MICROSOFT, _concatenated)
def qlinear_concat(scene: Scene, node: Node) -> list[Node]:
    """Quantized tensors of several scales along an axis."""
    way, (sy, zy, *rest) = _Quantizer(scene, node), node.inputs
    parts = [way.real(q, _Scale(s, z)) for q, s, z in zip(rest[::3], rest[1::3], rest[2::3], strict=True)]
    made = way.steps.apply("Concat", *parts, shape=scene.shape(node.outputs[0]), axis=node.attributes["axis"])
    return way.steps.finish(way.integer(made, _Scale(sy, zy), scene.tensors[node.outputs[0]].dtype))


def _multiplied(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    """The shape of a product of matrices, either of which may be transposed."""
    left, right = (list(_shape(operands, place)) for place in (0, 3 if node.op == "QGemm" else 1))
    for shape, key in ((left, "transA"), (right, "transB")):
        if node.attributes.get(key, 0) and len(shape) > 1:
            shape[-1], shape[-2] = shape[-2], shape[-1]
    product = np.matmul(np.empty(left, np.bool_), np.empty(right, np.bool_))
    return tuple(product.shape)


def _product(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    return [(_multiplied(node, operands), _FLOAT)]


def _quantized_product(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    quantizes = len(operands) > 8 and operands[7] is not None
    return [(_multiplied(node, operands), _type(operands[8]) if quantizes else _FLOAT)]


def _turned(steps: Steps, x: str, key: str) -> str:
    """The matrix, transposed where the node says so."""
    shape, rank = steps.shape(x), len(steps.shape(x))
    if not steps.node.attributes.get(key, 0) or rank < 2:
        return x
    order = (*range(rank - 2), rank - 1, rank - 2)
    return steps.apply("Transpose", x, shape=tuple(shape[a] for a in order), perm=order)


def _scaled_product(steps: Steps, a: str, b: str) -> str:
    """alpha A B."""
    shape = steps.shape(steps.node.outputs[0])
    made = steps.apply("MatMul", _turned(steps, a, "transA"), _turned(steps, b, "transB"), shape=shape)
    alpha = float(steps.node.attributes.get("alpha", 1.0))
    return made if alpha == 1.0 else steps.apply("Mul", made, steps.constant(alpha, public=True))


@expands("QGemm", 1, MICROSOFT, _quantized_product)
def qgemm(scene: Scene, node: Node) -> list[Node]:
    """alpha A B + C of quantized tensors, as reals where no scale of the result is given."""
    way, (a, sa, za, b, sb, zb, c, sy, zy) = _Quantizer(scene, node), _inputs(node, 9)
    axis = 0 if node.attributes.get("transB", 0) else -1
    step = way.step(sa, sb, sy, float(node.attributes.get("alpha", 1.0))) if sy else None
    if step is not None and not node.attributes.get("transA", 0):
        ends, turned = ((a, _Scale(sa, za)), (b, _Scale(sb, zb, axis))), bool(node.attributes.get("transB", 0))
        kept = way.leveled("MatMul", *ends, step, c, _Scale(sy, zy), _kind(scene, zy), {}, turned)
        if kept is not None:
            return way.steps.finish(kept)
    made = _scaled_product(way.steps, way.real(a, _Scale(sa, za)), way.real(b, _Scale(sb, zb, axis)))
    if c:
        known = [scene.value(name) for name in (c, sa, sb)]
        if any(value is None for value in known):
            raise way.steps.refuse("its bias and scales must be constants of the model")
        whole, one, other = (np.asarray(value, np.float64) for value in known)
        alpha = float(node.attributes.get("alpha", 1.0))
        made = way.steps.apply("Add", made, way.steps.constant(alpha * whole * one.reshape(-1) * other.reshape(-1)))
    return way.steps.finish(way.integer(made, _Scale(sy, zy), _kind(scene, zy)) if sy else made)


@expands("MatMulIntegerToFloat", 1, MICROSOFT, _product)
def matmul_integer_to_float(scene: Scene, node: Node) -> list[Node]:
    """A product of quantized matrices as reals, and a bias."""
    way, (a, b, sa, sb, za, zb, bias) = _Quantizer(scene, node), _inputs(node, 7)
    left, right = way.real(a, _Scale(sa, za)), way.real(b, _Scale(sb, zb, axis=-1))
    made = way.steps.apply("MatMul", left, right, shape=scene.shape(node.outputs[0]))
    return way.steps.finish(way.steps.apply("Add", made, bias) if bias else made)


@expands("DynamicQuantizeMatMul", 1, MICROSOFT, _product)
def dynamic_quantize_matmul(scene: Scene, node: Node) -> list[Node]:
    """The left matrix goes through uint8 between its own least and largest value."""
    way, (a, b, sb, zb, bias) = _Quantizer(scene, node), _inputs(node, 5)
    q, scale, zero = _dynamic(way, a)
    steps, shape = way.steps, scene.shape(node.outputs[0])
    low, high = (steps.constant(end, public=True) for end in (0.0, _LEVELS))
    bounded = steps.apply("Min", steps.apply("Max", q, low), high)
    left = steps.apply("Mul", steps.apply("Sub", bounded, zero), scale)
    made = steps.apply("MatMul", left, way.real(b, _Scale(sb, zb, axis=-1)), shape=shape)
    return steps.finish(steps.apply("Add", made, bias) if bias else made)


# A fused activation --------------------------------------------------------------------------------------------------

_ACTIVATIONS: Mapping[str, Sequence[str]] = {
    "Clip": ("min", "max"),
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
}


def _activated(steps: Steps, x: str, name: str, values: Sequence[float]) -> str:
    if name not in _ACTIVATIONS:
        raise steps.refuse(f"its activation {name!r} is not supported")
    if name == "Clip":
        raised = steps.apply("Max", x, steps.constant(values[0], public=True))
        return steps.apply("Min", raised, steps.constant(values[1], public=True))
    given: dict[str, Any] = dict(zip(_ACTIVATIONS[name], map(float, values), strict=False))
    return steps.apply(name, x, **given)


@expands("FusedConv", 1, MICROSOFT, _as("Conv"))
def fused_conv(scene: Scene, node: Node) -> list[Node]:
    """activation(Conv(x, w, b) + z)."""
    steps, (x, w, bias, z) = Steps(scene, node), _inputs(node, 4)
    given = {key: value for key, value in node.attributes.items() if not key.startswith("activation")}
    operands = [x, w, *([bias] if bias else [])]
    made = steps.apply("Conv", *operands, shape=scene.shape(node.outputs[0]), **given)
    if z:
        made = steps.apply("Add", made, z)
    name = str(node.attributes.get("activation", ""))
    return steps.finish(_activated(steps, made, name, node.attributes.get("activation_params", ())) if name else made)
