"""com.microsoft: what onnxruntime's optimizer and Optimum write for transformers, as the operators that it stands for.

Products and functions: FusedMatMul, FusedGemm, Gelu, BiasGelu, FastGelu, QuickGelu. Normalizations, of sums too:
SkipLayerNormalization and its kin, some of which it writes into the default domain. CDist, which scikit-learn's nearest
neighbours are exported with. Attention is in microsoft_attention.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, Node, Shape, Tensor
from plonnx.compiler.ops.attention import given
from plonnx.compiler.ops.normalization import by_root, layer_normalization, normalized, rms_normalization
from plonnx.compiler.ops.registry import MICROSOFT, Expansion, Mark, expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Operands = Sequence[Tensor | None]
Made = list[tuple[Shape, np.dtype[Any]]]
_EPSILON = 1e-12


def first(operands: Operands, place: int = 0) -> Tensor:
    tensor = operands[place]
    assert tensor is not None, "an operand that must be there"
    return tensor


def like_first(node: Node, operands: Operands) -> Made:
    """All outputs of the first operand's shape."""
    x = first(operands)
    return [(x.shape, x.dtype)] * len(node.outputs)


def public(steps: Steps, value: Array | float) -> str:
    return steps.constant(value, public=True)


def _turned(steps: Steps, x: str, order: Sequence[int]) -> str:
    shape = steps.shape(x)
    return steps.apply("Transpose", x, shape=tuple(shape[axis] for axis in order), perm=tuple(order))


# Products -------------------------------------------------------------------------------------------------------------


def _fused(node: Node, operands: Operands) -> Made:
    a, b = (first(operands, place) for place in (0, 1))
    shapes = [
        tuple(np.empty(tensor.shape, np.bool_).transpose(_order(node, side, len(tensor.shape))).shape)
        for side, tensor in (("A", a), ("B", b))
    ]
    return [(product_shape(*shapes), a.dtype)]


def product_shape(left: Shape, right: Shape) -> Shape:
    """The shape of a product of matrices; ValueError where they do not fit."""
    if left[-1] != right[-2:][0]:
        raise ValueError(f"a product of shapes {list(left)} and {list(right)}")
    return (*np.broadcast_shapes(left[:-2], right[:-2]), *left[-2:-1], *right[-2:][1:])


def _order(node: Node, side: str, rank: int) -> list[int]:
    """The axes of an operand as the product takes them: first the batch's, where these stand before the last."""
    order = list(range(rank))
    if node.attributes.get(f"transBatch{side}", 0):
        order = [*order[1:-1], 0, rank - 1]
    if node.attributes.get(f"trans{side}", 0) and rank > 1:
        order[-2:] = order[:-3:-1]
    return order


@expands("FusedMatMul", since=1, domain=MICROSOFT, makes=_fused)
@expands("TransposeMatMul", since=1, domain=MICROSOFT, makes=_fused)
def fused_matmul(scene: Scene, node: Node) -> list[Node]:
    """alpha A B, of transposed factors where it says so."""
    steps, (shape, _) = Steps(scene, node), _fused(node, [scene.tensors[name] for name in node.inputs])[0]
    factors = [
        _turned(steps, name, _order(node, side, len(scene.shape(name))))
        for side, name in zip("AB", node.inputs, strict=True)
    ]
    made = steps.apply("MatMul", *factors, shape=shape)
    alpha = float(node.attributes.get("alpha", 1.0))
    return steps.finish(made if alpha == 1.0 else steps.apply("Mul", made, public(steps, alpha)))


def _gemm(node: Node, operands: Operands) -> Made:
    a, b = (first(operands, place) for place in (0, 1))
    rows = a.shape[1 if node.attributes.get("transA", 0) else 0]
    return [((rows, b.shape[0 if node.attributes.get("transB", 0) else 1]), a.dtype)]


@expands("FusedGemm", since=1, domain=MICROSOFT, makes=_gemm)
def fused_gemm(scene: Scene, node: Node) -> list[Node]:
    """A Gemm and an activation."""
    steps, attributes = Steps(scene, node), node.attributes
    kept = {key: attributes[key] for key in ("alpha", "beta", "transA", "transB") if key in attributes}
    made = steps.apply("Gemm", *node.inputs, shape=scene.shape(node.outputs[0]), **kept)
    given_to = {"alpha": "activation_alpha", "beta": "activation_beta", "gamma": "activation_gamma"}
    own = {key: attributes[name] for key, name in given_to.items() if name in attributes}
    return steps.finish(steps.apply(str(attributes["activation"]), made, **own))


# Functions ------------------------------------------------------------------------------------------------------------


def _gelu(steps: Steps, x: str) -> str:
    """x (1 + erf(x / sqrt(2))) / 2."""
    power = steps.apply("Erf", steps.apply("Mul", x, public(steps, 1.0 / math.sqrt(2.0))))
    half = steps.apply("Mul", x, public(steps, 0.5))
    return steps.apply("Mul", half, steps.apply("Add", power, public(steps, 1.0)))


def _fast_gelu(steps: Steps, x: str) -> str:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    cube = steps.apply("Mul", steps.apply("Pow", x, public(steps, 3.0)), public(steps, 0.044715))
    inner = steps.apply("Mul", steps.apply("Add", x, cube), public(steps, math.sqrt(2.0 / math.pi)))
    half = steps.apply("Mul", x, public(steps, 0.5))
    return steps.apply("Mul", half, steps.apply("Add", steps.apply("Tanh", inner), public(steps, 1.0)))


def _quick_gelu(steps: Steps, x: str) -> str:
    """x sigmoid(alpha x)."""
    alpha = public(steps, float(steps.node.attributes.get("alpha", 1.702)))
    return steps.apply("Mul", x, steps.apply("Sigmoid", steps.apply("Mul", x, alpha)))


def _of_a_sum(function: Any) -> Expansion:
    """A function of the operand, to which a second one may be added before."""

    def rule(scene: Scene, node: Node) -> list[Node]:
        steps = Steps(scene, node)
        return steps.finish(function(steps, sum_of(steps, *node.inputs)))

    return rule


for _name, _function in (("Gelu", _gelu), ("BiasGelu", _gelu), ("FastGelu", _fast_gelu), ("QuickGelu", _quick_gelu)):
    expands(_name, since=1, domain=MICROSOFT, makes=like_first)(_of_a_sum(_function))


# Normalizations -------------------------------------------------------------------------------------------------------


def sum_of(steps: Steps, *parts: str) -> str:
    """The sum of those that are there."""
    there = [part for part in parts if part]
    made = there[0]
    for part in there[1:]:
        made = steps.apply("Add", made, part)
    return made


def _scaled(steps: Steps, x: str, scale: str, bias: str = "", centred: bool = True) -> str:
    """A normalization along the last axis, its scale and bias."""
    last = (len(steps.shape(x)) - 1,)
    made = normalized(steps, x, last, default=_EPSILON) if centred else by_root(steps, x, last, default=_EPSILON)
    return sum_of(steps, steps.apply("Mul", made, scale), bias)


def _skipping(node: Node, operands: Operands) -> Made:
    x = first(operands)
    return [(x.shape, x.dtype), (x.shape[:-1], x.dtype), (x.shape[:-1], x.dtype), (x.shape, x.dtype)]


def _refuse_statistics(steps: Steps) -> None:
    if any(steps.node.outputs[1:3]):
        raise steps.refuse("its outputs mean and inv_std_var are not supported")


@expands("SkipLayerNormalization", since=1, domain=MICROSOFT, makes=_skipping)
def skip_layer_normalization(scene: Scene, node: Node) -> list[Node]:
    """LayerNormalization of x + skip + bias; that sum may be an output too."""
    steps = Steps(scene, node)
    _refuse_statistics(steps)
    total = sum_of(steps, *node.inputs[:2], given(node, 4))
    return steps.finish(_scaled(steps, total, given(node, 2), given(node, 3)), "", "", total)


@expands("SkipSimplifiedLayerNormalization", since=1, domain=MICROSOFT, makes=_skipping)
def skip_simplified_layer_normalization(scene: Scene, node: Node) -> list[Node]:
    """RMSNormalization of x + skip + bias."""
    steps = Steps(scene, node)
    _refuse_statistics(steps)
    total = sum_of(steps, *node.inputs[:2], given(node, 3))
    return steps.finish(_scaled(steps, total, given(node, 2), centred=False), "", "", total)


def _normalizing(node: Node, operands: Operands) -> Made:
    """The result, and statistics, which only training reads."""
    x = first(operands)
    axis = int(node.attributes.get("axis", -1)) % len(x.shape)
    few = (*x.shape[:axis], *(1,) * (len(x.shape) - axis))
    return [(x.shape, x.dtype), (few, x.dtype), (few, x.dtype)]


@expands("SimplifiedLayerNormalization", since=1, makes=_normalizing, marks=Mark.UNLISTED)
def simplified_layer_normalization(scene: Scene, node: Node) -> list[Node] | None:
    """RMSNormalization, as onnxruntime calls it in models of older opsets."""
    return rms_normalization(scene, node)


expands("LayerNormalization", since=1, makes=_normalizing, marks=Mark.UNLISTED)(layer_normalization)


def embedded(node: Node, operands: Operands) -> Made:
    ids, words = first(operands), first(operands, 2)
    shape = (*ids.shape, words.shape[-1])
    return [(shape, words.dtype), (ids.shape[:1], np.dtype(np.int32)), (shape, words.dtype)]


@expands("EmbedLayerNormalization", since=1, domain=MICROSOFT, makes=embedded)
def embed_layer_normalization(scene: Scene, node: Node) -> list[Node]:
    """LayerNormalization of the embeddings of words, positions and segments; and how many words a mask leaves."""
    steps = Steps(scene, node)
    ids, segments, words, places, kinds, scale, bias, mask, where = (given(node, place) for place in range(9))
    shape = (*scene.shape(ids), scene.shape(words)[-1])
    where = where or steps.integers(np.broadcast_to(np.arange(shape[1]), shape[:2]))
    parts = [steps.apply("Gather", words, ids, shape=shape, axis=0)]
    parts.append(steps.apply("Gather", places, where, shape=(*scene.shape(where), shape[-1]), axis=0))
    if kinds:
        segments = segments or steps.integers(np.zeros(shape[:2]))
        parts.append(steps.apply("Gather", kinds, segments, shape=(*scene.shape(segments), shape[-1]), axis=0))
    total = sum_of(steps, *parts)
    lengths = steps.reduce("ReduceSum", mask, (1,), keepdims=False) if mask else steps.integers(np.zeros(shape[:1]))
    return steps.finish(_scaled(steps, total, scale, bias), steps.cast(lengths, np.int32), total)


# Distances -----------------------------------------------------------------------------------------------------------


def _distances(node: Node, operands: Operands) -> Made:
    a, b = first(operands), first(operands, 1)
    return [((a.shape[0], b.shape[0]), a.dtype)]


@expands("CDist", since=1, domain=MICROSOFT, makes=_distances)
def cdist(scene: Scene, node: Node) -> list[Node]:
    """Distances of the rows of two matrices, or their squares: |a|^2 - 2 a . b + |b|^2, of which a . b is a product."""
    steps, (a, b) = Steps(scene, node), node.inputs
    metric, shape = str(node.attributes.get("metric", "sqeuclidean")), scene.shape(node.outputs[0])
    if metric not in ("euclidean", "sqeuclidean"):
        raise steps.refuse(f"its metric {metric!r} is not one of onnxruntime's")
    inner = steps.apply("MatMul", a, _turned(steps, b, (1, 0)), shape=shape)
    squares = [steps.reduce("ReduceSum", steps.apply("Mul", x, x), (1,)) for x in (a, b)]
    ends = steps.apply("Add", squares[0], _turned(steps, squares[1], (1, 0)))
    apart = steps.apply("Relu", steps.apply("Sub", ends, steps.apply("Mul", inner, public(steps, 2.0))))
    return steps.finish(apart if metric == "sqeuclidean" else steps.apply("Sqrt", apart))
