"""Random single nodes of nearly every ONNX operator at every version: operands and attributes that it can take.

A recipe gets a random generator and the operator's version, and gives the node's operands (None where absent), its
attributes and how many outputs it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from onnx import defs

from plonnx.compiler.onnx_file import OLDEST_OPSET

Array = NDArray[Any]
Case = tuple[list[Array | None], dict[str, Any], int]
Recipe = Callable[[RandomState, int], Case]
RECIPES: dict[str, Recipe] = {}


@dataclass(frozen=True)
class Versioned:
    """An operator of the default domain at one of its versions."""

    op: str
    since: int

    def __str__(self) -> str:
        return f"{self.op}-{self.since}"


def versioned() -> Iterator[Versioned]:
    """Every operator that has a recipe, at every version in force from the oldest supported opset on."""
    for op in sorted(RECIPES):
        seen = set()
        for opset in range(OLDEST_OPSET, defs.onnx_opset_version() + 1):
            if defs.has(op, opset, ""):
                schema = defs.get_schema(op, opset, "")
                if schema.since_version not in seen and not schema.deprecated:
                    seen.add(schema.since_version)
                    yield Versioned(op, schema.since_version)


def recipe(*ops: str) -> Callable[[Recipe], Recipe]:
    """Register a recipe for some operators."""

    def register(made: Recipe) -> Recipe:
        RECIPES.update(dict.fromkeys(ops, made))
        return made

    return register


def reals(r: RandomState, *shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return r.uniform(low, high, shape).astype(np.float32)


def integers(r: RandomState, *shape: int, low: int = -9, high: int = 9, dtype: Any = np.int64) -> Array:
    return r.randint(low, high + 1, shape).astype(dtype)


def shape_of(r: RandomState, low: int = 1, high: int = 4) -> tuple[int, ...]:
    return tuple(r.randint(1, 5, r.randint(low, high + 1)).tolist())


def axis_of(r: RandomState, rank: int, signed: bool = True) -> int:
    return int(r.randint(-rank if signed else 0, rank))


def maybe(r: RandomState, **attributes: Any) -> dict[str, Any]:
    """Each attribute, or its default."""
    return {name: value for name, value in attributes.items() if r.rand() < 0.7}


def one_of(r: RandomState, *choices: Any) -> Any:
    return choices[r.randint(len(choices))]


def _function(low: float, high: float, **attributes: Callable[[RandomState], Any]) -> Recipe:
    def made(r: RandomState, since: int) -> Case:
        drawn = {name: draw(r) for name, draw in attributes.items()}
        return [reals(r, *shape_of(r, 0), low=low, high=high)], maybe(r, **drawn), 1

    return made


def _slope(r: RandomState) -> float:
    return float(np.float32(r.uniform(0.1, 2.0)))


for _op in (
    *("Abs", "Atan", "Asinh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "HardSwish", "Identity", "Mish", "Neg"),
    *("Relu", "Round", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Tan", "Tanh"),
):
    RECIPES[_op] = _function(-3.0, 3.0)
for _op in ("Acos", "Asin", "Atanh"):
    RECIPES[_op] = _function(-0.9, 0.9)
RECIPES["Acosh"] = _function(1.1, 3.0)
for _op in ("Log", "Reciprocal", "Sqrt"):
    RECIPES[_op] = _function(0.1, 3.0)
for _op in ("Celu", "Elu", "LeakyRelu", "ThresholdedRelu", "Swish"):
    RECIPES[_op] = _function(-3.0, 3.0, alpha=_slope)
RECIPES["HardSigmoid"] = _function(-3.0, 3.0, alpha=_slope, beta=_slope)
RECIPES["Selu"] = _function(-3.0, 3.0, alpha=_slope, gamma=_slope)
RECIPES["Shrink"] = _function(-3.0, 3.0, lambd=_slope, bias=_slope)
RECIPES["Gelu"] = _function(-3.0, 3.0, approximate=lambda r: one_of(r, "none", "tanh"))


def _broadcast(r: RandomState) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = shape_of(r)
    other = tuple(size if r.rand() < 0.7 else 1 for size in shape)[r.randint(len(shape)) :]
    return (shape, other) if r.rand() < 0.5 else (other, shape)


@recipe("Add", "Sub", "Mul", "Div", "Pow", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
def binary(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    if r.rand() < 0.5:
        return [integers(r, *first, low=1, high=5), integers(r, *second, low=1, high=5)], {}, 1
    return [reals(r, *first, low=0.5, high=2.5), reals(r, *second, low=0.5, high=2.5)], {}, 1


@recipe("Div")
def division(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    if r.rand() < 0.5:
        divisors = integers(r, *second, low=1, high=5) * one_of(r, 1, -1)
        return [integers(r, *first), divisors], {}, 1
    return [reals(r, *first), reals(r, *second, low=0.5)], {}, 1


@recipe("PRelu")
def slopes(r: RandomState, since: int) -> Case:
    shape = shape_of(r, 2)
    return [reals(r, *shape), reals(r, *(shape[1:] if r.rand() < 0.5 else (1,)))], {}, 1


@recipe("Mod")
def modulo(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    divisors = integers(r, *second, low=1, high=5) * one_of(r, 1, -1)
    if r.rand() < 0.5:
        return [integers(r, *first), divisors], maybe(r, fmod=int(r.randint(2))), 1
    return [reals(r, *first), divisors.astype(np.float32)], {"fmod": 1}, 1


@recipe("And", "Or", "Xor")
def logic(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    return [r.rand(*first) < 0.5, r.rand(*second) < 0.5], {}, 1


@recipe("Not")
def negation(r: RandomState, since: int) -> Case:
    return [r.rand(*shape_of(r)) < 0.5], {}, 1


@recipe("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def bitwise(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    return [integers(r, *first, dtype=np.int32), integers(r, *second, dtype=np.int32)], {}, 1


@recipe("BitwiseNot")
def bitwise_not(r: RandomState, since: int) -> Case:
    return [integers(r, *shape_of(r), dtype=np.int32)], {}, 1


@recipe("BitShift")
def shift(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    operands = [integers(r, *first, low=0, high=99), integers(r, *second, low=0, high=5)]
    return [x.astype(np.uint32) for x in operands], {"direction": one_of(r, "LEFT", "RIGHT")}, 1


@recipe("IsNaN", "IsInf")
def not_finite(r: RandomState, since: int) -> Case:
    return [r.choice([0.5, np.nan, np.inf, -np.inf], shape_of(r)).astype(np.float32)], {}, 1


@recipe("Max", "Min", "Mean", "Sum")
def variadic(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    return [reals(r, *first), reals(r, *second), *([reals(r, *first)] if r.rand() < 0.5 else [])], {}, 1


@recipe("Clip")
def clip(r: RandomState, since: int) -> Case:
    x = reals(r, *shape_of(r))
    if since < 11:
        return [x], maybe(r, min=-0.5, max=0.75), 1
    low, high = (np.asarray(end, np.float32) if r.rand() < 0.7 else None for end in (-0.5, 0.75))
    return [x, low, high], {}, 1


@recipe(
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare"),
)
def reduction(r: RandomState, since: int) -> Case:
    x = reals(r, *shape_of(r), low=0.5, high=1.5)
    axes = sorted(r.permutation(x.ndim)[: r.randint(1, x.ndim + 1)].tolist())
    if since >= 11 and r.rand() < 0.5:
        axes = [axis - x.ndim for axis in axes]
    attributes = maybe(r, keepdims=int(r.randint(2)))
    return [x], {**attributes, **maybe(r, axes=axes)}, 1


def reduced_by_operand(op: str, since: int) -> bool:
    """Whether the operator's axes are an operand."""
    return since >= (13 if op == "ReduceSum" else 18)


@recipe("ArgMax", "ArgMin")
def arg_extreme(r: RandomState, since: int) -> Case:
    x = integers(r, *shape_of(r), low=0, high=3).astype(np.float32)
    attributes = maybe(r, axis=axis_of(r, x.ndim, since >= 11), keepdims=int(r.randint(2)))
    return [x], attributes | (maybe(r, select_last_index=int(r.randint(2))) if since >= 12 else {}), 1


@recipe("Softmax", "LogSoftmax", "Hardmax")
def softmax(r: RandomState, since: int) -> Case:
    x = reals(r, *shape_of(r, 2))
    return [x], maybe(r, axis=axis_of(r, x.ndim, since >= 11)), 1


@recipe("LpNormalization")
def lp_normalization(r: RandomState, since: int) -> Case:
    x = reals(r, *shape_of(r, 2))
    return [x], maybe(r, axis=axis_of(r, x.ndim), p=one_of(r, 1, 2)), 1


@recipe("CumSum")
def cumulative(r: RandomState, since: int) -> Case:
    x = reals(r, *shape_of(r))
    axis = np.asarray(axis_of(r, x.ndim), np.int64)
    return [x, axis], maybe(r, exclusive=int(r.randint(2)), reverse=int(r.randint(2))), 1


# Windows --------------------------------------------------------------------------------------------------------------


def _windows(r: RandomState, rank: int, kernel: list[int], dilated: bool = True) -> dict[str, Any]:
    attributes: dict[str, Any] = maybe(r, strides=r.randint(1, 4, rank).tolist())
    mode = one_of(r, "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    if mode != "NOTSET":
        return attributes | {"auto_pad": mode}
    pads = [int(r.randint(0, size)) for size in kernel]
    attributes |= maybe(r, pads=[*pads, *(int(r.randint(0, size)) for size in kernel)])
    return attributes | (maybe(r, dilations=r.randint(1, 3, rank).tolist()) if dilated else {})


@recipe("Conv")
def convolution(r: RandomState, since: int) -> Case:
    rank, groups = one_of(r, 1, 2), one_of(r, 1, 2)
    kernel = r.randint(1, 4, rank).tolist()
    x, w = reals(r, 2, 2 * groups, *r.randint(6, 9, rank)), reals(r, 2 * groups, 2, *kernel)
    bias = reals(r, 2 * groups) if r.rand() < 0.5 else None
    return [x, w, bias], {"group": groups, **maybe(r, kernel_shape=kernel), **_windows(r, rank, kernel)}, 1


@recipe("ConvTranspose")
def transposed(r: RandomState, since: int) -> Case:
    rank, groups = one_of(r, 1, 2), one_of(r, 1, 2)
    kernel = r.randint(2, 4, rank).tolist()
    x, w = reals(r, 1, 2 * groups, *r.randint(3, 6, rank)), reals(r, 2 * groups, 2, *kernel)
    attributes = {"group": groups, "kernel_shape": kernel, "strides": [2] * rank}
    if r.rand() < 0.5:
        return [x, w], attributes | {"auto_pad": one_of(r, "SAME_UPPER", "SAME_LOWER", "VALID")}, 1
    return [x, w], {**attributes, **maybe(r, pads=[1] * (2 * rank), output_padding=[1] * rank)}, 1


@recipe("AveragePool", "MaxPool", "LpPool")
def pool(r: RandomState, since: int) -> Case:
    rank = one_of(r, 1, 2)
    kernel = r.randint(2, 4, rank).tolist()
    return [reals(r, 1, 2, *r.randint(6, 9, rank))], {"kernel_shape": kernel, **_windows(r, rank, kernel, False)}, 1


def pool_attributes(r: RandomState, op: str, since: int, rank: int) -> dict[str, Any]:
    """What a version adds to a pool."""
    more: dict[str, Any] = {}
    if op == "AveragePool":
        more |= maybe(r, count_include_pad=int(r.randint(2)))
    if op == "LpPool":
        more |= maybe(r, p=one_of(r, 1, 2, 3))
    if since >= {"AveragePool": 10, "MaxPool": 10, "LpPool": 18}[op]:
        more |= maybe(r, ceil_mode=int(r.randint(2)))
    return more


@recipe("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(r: RandomState, since: int) -> Case:
    return [reals(r, 2, 3, *r.randint(2, 5, one_of(r, 1, 2)))], {}, 1


# Normalizations -------------------------------------------------------------------------------------------------------


@recipe("BatchNormalization")
def batch_normalization(r: RandomState, since: int) -> Case:
    x = reals(r, 2, 3, *r.randint(1, 4, r.randint(1, 3)))
    statistics = [reals(r, 3), reals(r, 3), reals(r, 3), reals(r, 3, low=0.5)]
    return [x, *statistics], maybe(r, epsilon=0.1), 1


@recipe("InstanceNormalization")
def instance_normalization(r: RandomState, since: int) -> Case:
    return [reals(r, 2, 3, *r.randint(2, 4, 2)), reals(r, 3), reals(r, 3)], maybe(r, epsilon=0.1), 1


@recipe("GroupNormalization")
def group_normalization(r: RandomState, since: int) -> Case:
    size = 2 if since < 21 else 4
    return [reals(r, 2, 4, 3, 3), reals(r, size), reals(r, size)], {"num_groups": 2, **maybe(r, epsilon=0.1)}, 1


@recipe("LayerNormalization", "RMSNormalization")
def layer_normalization(r: RandomState, since: int) -> Case:
    x = reals(r, 2, 3, 4)
    axis = axis_of(r, 3)
    return [x, reals(r, *x.shape[axis:])], {"axis": axis, **maybe(r, epsilon=0.1)}, 1


@recipe("MeanVarianceNormalization")
def mean_variance(r: RandomState, since: int) -> Case:
    return [reals(r, 2, 3, 3, 3)], maybe(r, axes=[0, 2, 3] if r.rand() < 0.5 else [1, 2]), 1


@recipe("LRN")
def local_response(r: RandomState, since: int) -> Case:
    x = reals(r, 2, 5, *r.randint(2, 4, 2))
    return [x], {"size": int(r.randint(1, 6)), **maybe(r, alpha=0.5, beta=0.6, bias=1.5)}, 1


# Matrices -------------------------------------------------------------------------------------------------------------


@recipe("MatMul")
def matrix_product(r: RandomState, since: int) -> Case:
    lead = shape_of(r, 0, 2)
    shapes = one_of(r, ((3,), (3,)), ((*lead, 2, 3), (3,)), ((3,), (*lead, 3, 4)), ((*lead, 2, 3), (*lead, 3, 4)))
    return [reals(r, *shapes[0]), reals(r, *shapes[1])], {}, 1


@recipe("Gemm")
def gemm(r: RandomState, since: int) -> Case:
    first, second = (r.randint(2) for _ in range(2))
    a, b = reals(r, *((3, 2) if first else (2, 3))), reals(r, *((4, 3) if second else (3, 4)))
    bias = reals(r, *one_of(r, (2, 4), (4,), (1,), (2, 1)))
    return [a, b, bias], {"transA": int(first), "transB": int(second), **maybe(r, alpha=0.5, beta=1.5)}, 1


@recipe("Einsum")
def einsum(r: RandomState, since: int) -> Case:
    equation, shapes = one_of(
        r, ("bi,ij->bj", ((2, 3), (3, 4))), ("bij,bkj->bik", ((2, 3, 4), (2, 5, 4))), ("ii->i", ((3, 3),))
    )
    return [reals(r, *shape) for shape in shapes], {"equation": equation}, 1


@recipe("Det")
def determinant(r: RandomState, since: int) -> Case:
    return [reals(r, *shape_of(r, 0, 2), 3, 3)], {}, 1


# Re-indexing ----------------------------------------------------------------------------------------------------------


@recipe("Reshape")
def reshape(r: RandomState, since: int) -> Case:
    shape = one_of(r, [4, 6], [-1, 3], [0, -1], [2, 0, 4])
    return [reals(r, 2, 3, 4), np.asarray(shape)], {}, 1


@recipe("Flatten")
def flatten(r: RandomState, since: int) -> Case:
    x = reals(r, *shape_of(r))
    return [x], maybe(r, axis=axis_of(r, x.ndim, since >= 11)), 1


@recipe("Squeeze", "Unsqueeze")
def squeeze(r: RandomState, since: int) -> Case:
    axes = one_of(r, [0], [2], [0, 2])
    x = reals(r, 1, 3, 1)
    return ([x], {"axes": axes}, 1) if since < 13 else ([x, np.asarray(axes)], {}, 1)


@recipe("Transpose")
def transpose(r: RandomState, since: int) -> Case:
    x = reals(r, *shape_of(r))
    return [x], maybe(r, perm=r.permutation(x.ndim).tolist()), 1


@recipe("Expand")
def expand(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    return [reals(r, *first), np.asarray(second)], {}, 1


@recipe("Tile")
def tile(r: RandomState, since: int) -> Case:
    x = reals(r, *shape_of(r))
    return [x, integers(r, x.ndim, low=1, high=3)], {}, 1


@recipe("Concat")
def concat(r: RandomState, since: int) -> Case:
    shape = shape_of(r)
    return [reals(r, *shape), reals(r, *shape)], {"axis": axis_of(r, len(shape), since >= 11)}, 1


@recipe("Split")
def split(r: RandomState, since: int) -> Case:
    x, axis = reals(r, 4, 6), int(r.randint(2))
    sizes = one_of(r, None, [1, x.shape[axis] - 1])
    count = {"num_outputs": 2} if since >= 18 and sizes is None else {}
    if since < 13:
        return [x], {"axis": axis, **({} if sizes is None else {"split": sizes})}, 2
    return [x, None if sizes is None else np.asarray(sizes)], {"axis": axis, **count}, 2


@recipe("Slice")
def slices(r: RandomState, since: int) -> Case:
    x = reals(r, 5, 6)
    starts, ends, axes = r.randint(-4, 3, 2), r.randint(3, 9, 2), r.permutation(2)
    if since < 10:
        return [x], {"starts": starts.tolist(), "ends": ends.tolist(), **maybe(r, axes=axes.tolist())}, 1
    return [x, starts, ends, axes, one_of(r, np.array([1, 2]), np.array([-1, 1]))], {}, 1


@recipe("Gather")
def gather(r: RandomState, since: int) -> Case:
    axis = int(r.randint(2))
    return [reals(r, 4, 5), integers(r, *shape_of(r, 0, 2), low=-4 if since >= 11 else 0, high=3)], {"axis": axis}, 1


@recipe("GatherElements")
def gather_elements(r: RandomState, since: int) -> Case:
    return [reals(r, 4, 5), integers(r, 3, 4, low=-4, high=3)], {"axis": int(r.randint(2))}, 1


@recipe("GatherND")
def gather_nd(r: RandomState, since: int) -> Case:
    return [reals(r, 4, 5, 3), integers(r, 3, r.randint(1, 4), low=0, high=2)], {}, 1


@recipe("ScatterElements")
def scatter_elements(r: RandomState, since: int) -> Case:
    more = maybe(r, reduction=one_of(r, "none", "add", "mul")) if since >= 16 else {}
    indices = np.stack([r.permutation(4)[:2] for _ in range(5)], 1)
    return [reals(r, 4, 5), indices, reals(r, 2, 5)], {"axis": 0, **more}, 1


@recipe("ScatterND")
def scatter_nd(r: RandomState, since: int) -> Case:
    more = maybe(r, reduction=one_of(r, "none", "add", "mul")) if since >= 16 else {}
    return [reals(r, 4, 5), r.permutation(4)[:2, None], reals(r, 2, 5)], more, 1


@recipe("Pad")
def pad(r: RandomState, since: int) -> Case:
    x, pads = reals(r, 4, 5), r.randint(0, 3, 4)
    mode = one_of(r, "constant", "reflect", "edge")
    if since < 11:
        return [x], {"pads": pads.tolist(), "mode": mode, **maybe(r, value=0.5)}, 1
    return [x, pads, np.asarray(0.5, np.float32) if r.rand() < 0.5 else None], {"mode": mode}, 1


@recipe("DepthToSpace")
def depth_to_space(r: RandomState, since: int) -> Case:
    more = maybe(r, mode=one_of(r, "DCR", "CRD")) if since >= 11 else {}
    return [reals(r, 2, 8, 2, 3)], {"blocksize": 2, **more}, 1


@recipe("SpaceToDepth")
def space_to_depth(r: RandomState, since: int) -> Case:
    return [reals(r, 2, 3, 4, 6)], {"blocksize": 2}, 1


@recipe("Trilu")
def triangle(r: RandomState, since: int) -> Case:
    return [reals(r, *shape_of(r, 2)), np.asarray(r.randint(-2, 3))], maybe(r, upper=int(r.randint(2))), 1


@recipe("ReverseSequence")
def reverse(r: RandomState, since: int) -> Case:
    axis = int(r.randint(2))
    return [reals(r, 3, 3, 2), integers(r, 3, low=1, high=3)], {"batch_axis": axis, "time_axis": 1 - axis}, 1


@recipe("Where")
def where(r: RandomState, since: int) -> Case:
    first, second = _broadcast(r)
    return [r.rand(*first) < 0.5, reals(r, *first), reals(r, *second)], {}, 1


@recipe("Compress")
def compress(r: RandomState, since: int) -> Case:
    return [reals(r, 4, 3), r.rand(4) < 0.5], {"axis": 0}, 1


@recipe("NonZero")
def non_zero(r: RandomState, since: int) -> Case:
    return [integers(r, *shape_of(r), low=0, high=1)], {}, 1


@recipe("OneHot")
def one_hot(r: RandomState, since: int) -> Case:
    x = integers(r, *shape_of(r, 1, 2), low=-4 if since >= 11 else 0, high=3)
    return [x, np.asarray(4), np.array([0.5, 2.0], np.float32)], maybe(r, axis=axis_of(r, x.ndim)), 1


@recipe("EyeLike")
def eye_like(r: RandomState, since: int) -> Case:
    return [reals(r, 3, 4)], maybe(r, k=int(r.randint(-2, 3)), dtype=one_of(r, 1, 7)), 1


@recipe("Range")
def number_range(r: RandomState, since: int) -> Case:
    return [np.asarray(v) for v in (r.randint(5), r.randint(6, 20), r.randint(1, 4))], {}, 1


@recipe("ConstantOfShape", "Shape", "Size")
def no_attributes(r: RandomState, since: int) -> Case:
    return [integers(r, 3, low=1, high=3)], {}, 1


@recipe("Cast")
def cast(r: RandomState, since: int) -> Case:
    source = one_of(r, reals(r, 3, 4, low=-9, high=9), integers(r, 3, 4), r.rand(3, 4) < 0.5)
    return [source], {"to": one_of(r, 1, 6, 7, 9, 10, 11)}, 1


@recipe("CastLike")
def cast_like(r: RandomState, since: int) -> Case:
    return [reals(r, 3, 4, low=-9, high=9), one_of(r, reals(r, 1), integers(r, 1))], {}, 1


@recipe("Dropout")
def dropout(r: RandomState, since: int) -> Case:
    return [reals(r, *shape_of(r))], {}, 1


@recipe("TopK")
def top(r: RandomState, since: int) -> Case:
    x = np.argsort(r.rand(4, 6)).astype(np.float32)
    more = maybe(r, largest=int(r.randint(2))) if since >= 11 else {}
    operands: list[Array | None] = [x] if since < 10 else [x, np.array([2])]
    return operands, {"axis": int(r.randint(2)), **({"k": 2} if since < 10 else {}), **more}, 2


@recipe("Unique")
def unique(r: RandomState, since: int) -> Case:
    return [integers(r, 8, low=0, high=3)], maybe(r, sorted=int(r.randint(2))), 4


# Sampling -------------------------------------------------------------------------------------------------------------


@recipe("Resize", "Upsample")
def resize(r: RandomState, since: int) -> Case:
    x, scales = reals(r, 1, 2, 4, 5), np.array([1, 1, one_of(r, 2, 1.5, 0.5), one_of(r, 2, 3, 0.6)], np.float32)
    attributes = {"mode": one_of(r, "nearest", "linear")}
    if since < 11:
        scales = np.maximum(scales, 1)
        return ([x], {**attributes, "scales": scales.tolist()}, 1) if since < 9 else ([x, scales], attributes, 1)
    ways = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    attributes |= maybe(r, coordinate_transformation_mode=one_of(r, *ways))
    attributes |= maybe(r, nearest_mode=one_of(r, "floor", "ceil", "round_prefer_floor", "round_prefer_ceil"))
    if r.rand() < 0.5:
        return [x, None, scales], attributes, 1
    return [x, None, None, np.array([1, 2, *r.randint(2, 9, 2)])], attributes, 1


@recipe("GridSample")
def grid_sample(r: RandomState, since: int) -> Case:
    mode = one_of(r, "nearest", "linear" if since >= 20 else "bilinear")
    attributes = {"mode": mode, **maybe(r, padding_mode=one_of(r, "zeros", "border"), align_corners=int(r.randint(2)))}
    return [reals(r, 1, 2, 4, 5), reals(r, 1, 3, 4, 2, low=-1.1, high=1.1)], attributes, 1


# Quantization ---------------------------------------------------------------------------------------------------------


@recipe("QuantizeLinear")
def quantize(r: RandomState, since: int) -> Case:
    if since >= 13 and r.rand() < 0.5:
        axis = int(r.randint(2))
        count = (3, 4)[axis]
        zeros = integers(r, count, low=100, high=150, dtype=np.uint8)
        return [reals(r, 3, 4), reals(r, count, low=0.01, high=0.1), zeros], {"axis": axis}, 1
    zero = one_of(r, np.asarray(3, np.int8), np.asarray(128, np.uint8))
    return [reals(r, 3, 4), reals(r, low=0.01, high=0.1), zero], {}, 1


@recipe("DequantizeLinear")
def dequantize(r: RandomState, since: int) -> Case:
    x = integers(r, 4, 6, low=-100, high=100, dtype=np.int8)
    if since >= 21 and r.rand() < 0.5:
        zeros = integers(r, 4, 3, dtype=np.int8)
        return [x, reals(r, 4, 3, low=0.01, high=0.1), zeros], {"axis": 1, "block_size": 2}, 1
    if since >= 13 and r.rand() < 0.5:
        axis = int(r.randint(2))
        count = (4, 6)[axis]
        return [x, reals(r, count, low=0.01, high=0.1), integers(r, count, dtype=np.int8)], {"axis": axis}, 1
    return [x, reals(r, low=0.01, high=0.1), np.asarray(3, np.int8) if r.rand() < 0.5 else None], {}, 1


@recipe("DynamicQuantizeLinear")
def dynamic_quantize(r: RandomState, since: int) -> Case:
    return [reals(r, 3, 4)], {}, 3


@recipe("MatMulInteger")
def integer_product(r: RandomState, since: int) -> Case:
    a, b = (integers(r, *shape, low=0, high=200, dtype=np.uint8) for shape in ((2, 3), (3, 4)))
    return [a, b, np.asarray(12, np.uint8), np.asarray(0, np.uint8)], {}, 1


@recipe("QLinearMatMul")
def quantized_product(r: RandomState, since: int) -> Case:
    a, b = (integers(r, *shape, low=0, high=200, dtype=np.uint8) for shape in ((2, 3), (3, 4)))
    scale, zero = np.asarray(0.1, np.float32), np.asarray(100, np.uint8)
    return [a, scale, zero, b, scale, zero, np.asarray(2.0, np.float32), zero], {}, 1


# Recurrences ----------------------------------------------------------------------------------------------------------


@recipe("RNN", "GRU", "LSTM")
def recurrence(r: RandomState, since: int) -> Case:
    raise NotImplementedError("made by `drawn`, which knows the operator")


_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _recurrence(r: RandomState, op: str) -> Case:
    gates, hidden, ways = _GATES[op], 2, one_of(r, 1, 2)
    attributes = {"hidden_size": hidden, "direction": "bidirectional" if ways == 2 else one_of(r, "forward", "reverse")}
    weights = reals(r, ways, gates * hidden, 4), reals(r, ways, gates * hidden, hidden)
    bias = reals(r, ways, 2 * gates * hidden) if r.rand() < 0.7 else None
    if op == "GRU":
        attributes |= maybe(r, linear_before_reset=int(r.randint(2)))
    return [reals(r, 3, 2, 4), *weights, bias], attributes, 2


def drawn(kind: Versioned, seed: int) -> Case:
    """A random node of an operator."""
    r = RandomState(seed)
    if kind.op in _GATES:
        return _recurrence(r, kind.op)
    operands, attributes, outputs = RECIPES[kind.op](r, kind.since)
    if kind.op in ("AveragePool", "MaxPool", "LpPool"):
        attributes |= pool_attributes(r, kind.op, kind.since, len(attributes["kernel_shape"]))
    if kind.op.startswith("Reduce") and "axes" in attributes and reduced_by_operand(kind.op, kind.since):
        operands = [*operands, np.asarray(attributes.pop("axes"))]
    while operands and operands[-1] is None:
        operands.pop()
    return operands, attributes, outputs
