"""Functions of one value: the free Relu, the piecewise linear ones as sums of free views, all others as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Made, Scaled, Wide
from plonnx.compiler.graph import Array, Graph, Interval, Node, Shape, Tensor
from plonnx.compiler.ops import wide_choice
from plonnx.compiler.ops.registry import NO_MARK, Call, Mark, Operand, aligned, expands, function, op, shape_of
from plonnx.gadgets import Cells

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Attributes = Mapping[str, Any]


@op(
    "Relu",
    since=6,
    scale=aligned,
    real=lambda attributes, x: np.maximum(x, 0),
    marks=Mark.POSITIVE | Mark.HOMOGENEOUS | Mark.WHOLE,
)
def relu(call: Call, x: Operand) -> Cells:
    """max(x, 0), a view of the same cells at the same scale."""
    return call.builder.relu(call.computed(x, "the operand").cells, name=call.out.name)


_erf: Callable[[Array], Array] = np.vectorize(math.erf, otypes=[np.float64])


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _gelu(attributes: Attributes, x: Array) -> Array:
    if attributes.get("approximate", "none") == "tanh":
        return np.asarray(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))))


def _celu(attributes: Attributes, x: Array) -> Array:
    alpha = float(attributes.get("alpha", 1.0))
    return np.asarray(np.maximum(x, 0.0) + np.minimum(0.0, alpha * np.expm1(x / alpha)))


def _selu(attributes: Attributes, x: Array) -> Array:
    alpha, gamma = attributes.get("alpha", 1.6732632423543772), attributes.get("gamma", 1.0507009873554805)
    return np.asarray(gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))))


def _shrink(attributes: Attributes, x: Array) -> Array:
    width, bias = attributes.get("lambd", 0.5), attributes.get("bias", 0.0)
    return np.where(x < -width, x + bias, np.where(x > width, x - bias, 0.0))


def _hard_sigmoid(attributes: Attributes, x: Array) -> Array:
    return np.asarray(np.clip(attributes.get("alpha", 0.2) * x + attributes.get("beta", 0.5), 0.0, 1.0))


def _clip(attributes: Attributes, x: Array, low: Any = None, high: Any = None) -> Array:
    low = attributes.get("min") if low is None else low
    high = attributes.get("max") if high is None else high
    raised = x if low is None else np.maximum(x, low)
    return raised if high is None else np.minimum(raised, high)


_OF_ONE_VALUE: Mapping[str, Callable[..., Array]] = {
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "Asin": np.arcsin,
    "Asinh": np.arcsinh,
    "Atan": np.arctan,
    "Atanh": np.arctanh,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Cosh": np.cosh,
    "Erf": _erf,
    "Exp": np.exp,
    "Floor": np.floor,
    "HardSwish": lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "Log": np.log,
    "Mish": lambda x: x * np.tanh(_softplus(x)),
    "Reciprocal": lambda x: 1.0 / x,
    "Round": np.rint,
    "Sigmoid": _sigmoid,
    "Sin": np.sin,
    "Sinh": np.sinh,
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1.0 + np.abs(x)),
    "Sqrt": np.sqrt,
    "Tan": np.tan,
    "Tanh": np.tanh,
}

_WITH_ATTRIBUTES: Mapping[str, Callable[..., Array]] = {
    "Celu": _celu,
    "Clip": _clip,
    "Elu": lambda a, x: np.where(x > 0, x, a.get("alpha", 1.0) * np.expm1(np.minimum(x, 0.0))),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "Selu": _selu,
    "Shrink": _shrink,
    "Swish": lambda a, x: x * _sigmoid(a.get("alpha", 1.0) * x),
    "ThresholdedRelu": lambda a, x: np.where(x > a.get("alpha", 1.0), x, 0.0),
}


def _without_attributes(real: Callable[..., Array]) -> Callable[..., Array]:
    return lambda attributes, x: real(x)


def _magnitude(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    low, high = operands[0]
    return max(low, -high, 0.0), max(-low, high)


_MARKS: Mapping[str, Mark] = {
    "Atanh": Mark.POLE,
    "Ceil": Mark.STEPS,
    "Clip": Mark.PUBLIC,
    "Exp": Mark.ROUNDS,
    "Floor": Mark.STEPS,
    "Log": Mark.POLE | Mark.ROUNDS,
    "Reciprocal": Mark.POLE | Mark.PRODUCT | Mark.ROUNDS,
    "Round": Mark.STEPS | Mark.HALFWAY,
    "Sqrt": Mark.PRODUCT | Mark.ROUNDS,
}

for _name, _real in _OF_ONE_VALUE.items():
    function(
        _name,
        _without_attributes(_real),
        marks=_MARKS.get(_name, NO_MARK),
    )


@op("Abs", 1, real=_without_attributes(np.abs), curved=True, marks=Mark.HOMOGENEOUS | Mark.WIDE, reach=_magnitude)
def absolute(call: Call, x: Operand) -> Made:
    """A table; of integers of two units the better of x and -x."""
    if isinstance(x, Wide):
        return wide_choice.magnitude(call, x)
    return call.apply(np.abs, call.computed(x, "the operand"))


@op("Sign", 1, real=_without_attributes(np.sign), curved=True, marks=Mark.STEPS | Mark.WIDE)
def sign(call: Call, x: Operand) -> Cells:
    """A table; of integers of two units two comparisons."""
    if isinstance(x, Wide):
        return wide_choice.sign(call, x)
    return call.apply(np.sign, call.computed(x, "the operand"))


_LARGE = 4
"""Bytes of integers that a table may not hold."""


def _by_computed_bounds(scene: Scene, node: Node) -> list[Node] | None:
    """Clip(x, low, high) is Min(Max(x, low), high) for a computed bound, and of integers that may take two units."""
    bounds = [(name, op) for name, op in zip(node.inputs[1:], ("Max", "Min"), strict=False) if name]
    kind = scene.tensors[node.inputs[0]].dtype
    large = kind.kind in "iu" and kind.itemsize >= _LARGE and bool(bounds) and not scene.hidden
    if all(scene.value(name) is not None for name, _ in bounds) and not large:
        return None
    steps, result = Steps(scene, node), node.inputs[0]
    for name, extreme in bounds:
        result = steps.apply(extreme, result, name)
    return steps.finish(result)


for _name, _real in _WITH_ATTRIBUTES.items():
    function(_name, _real, expand=_by_computed_bounds if _name == "Clip" else None, marks=_MARKS.get(_name, NO_MARK))


@expands("SwiGLU", since=28)
def swiglu(scene: Scene, node: Node) -> list[Node]:
    """a sigmoid(alpha a), which is a table, times b."""
    steps, (a, b) = Steps(scene, node), node.inputs
    alpha = steps.constant(float(node.attributes.get("alpha", 1.0)), public=True)
    gate = steps.apply("Mul", a, steps.apply("Sigmoid", steps.apply("Mul", a, alpha)))
    return steps.finish(steps.apply("Mul", gate, b))


def _leaky(attributes: Attributes, x: Array) -> Array:
    return np.where(x < 0, attributes.get("alpha", 0.01) * x, x)


@op("LeakyRelu", since=6, real=_leaky, marks=Mark.HOMOGENEOUS)
def leaky_relu(call: Call, x: Operand) -> Cells:
    """alpha x + (1 - alpha) max(x, 0): a table where it joins the layer before, at no unit, else a sum of two views."""
    operand = call.computed(x, "the operand")
    if call.fuses(operand.cells):
        return call.apply(lambda values: _leaky(call.node.attributes, values), operand)
    alpha = float(call.node.attributes.get("alpha", 0.01))
    positive = Scaled(call.builder.relu(operand.cells, name=f"{call.out.name}+"), operand.scale)
    return call.sum([(operand, alpha), (positive, 1.0 - alpha)])


def _by_computed_slope(scene: Scene, node: Node) -> list[Node] | None:
    """max(x, 0) + slope (x - max(x, 0)) where the slope is computed."""
    (x, slope), steps = node.inputs, Steps(scene, node)
    if scene.value(slope) is not None:
        return None
    positive = steps.apply("Relu", x)
    negative = steps.apply("Mul", steps.apply("Sub", x, positive), slope)
    return steps.finish(steps.apply("Add", positive, negative))


def _as_x(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    """onnx's inference says so too, of slopes that have more elements or none; onnxruntime then makes as many."""
    x, slope = (shape_of(operands, place) for place in range(2))
    if np.broadcast_shapes(x, slope) != x:
        raise ValueError(f"slopes of shape {list(slope)} for a tensor of shape {list(x)}")
    return x


@op(
    "PRelu",
    since=7,
    shape=_as_x,
    real=lambda attributes, x, slope: np.where(x < 0, slope * x, x),
    expand=_by_computed_slope,
    marks=Mark.HOMOGENEOUS,
)
def prelu(call: Call, x: Operand, slope: Operand) -> Cells:
    """slope x + (1 - slope) max(x, 0), two views of the same cells; a constant slope may differ by channel."""
    operand = call.computed(x, "the operand")
    slopes = call.constant(slope, "the slope").astype(np.float64)
    positive = Scaled(call.builder.relu(operand.cells, name=f"{call.out.name}+"), operand.scale)
    return call.weighted([operand, positive], [slopes, 1.0 - slopes])
