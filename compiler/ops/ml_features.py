"""Preparing features, ai.onnx.ml: scaling, normalizing, imputing, encoding, choosing. Numbers only, no text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, CompileError, Node, Tensor
from plonnx.compiler.ops.ml_scores import Made, given, looked_up, samples
from plonnx.compiler.ops.normalization import holds_something, inverse_or_one
from plonnx.compiler.ops.registry import ML, Mark, expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

_FLOAT = np.dtype(np.float32)


def _like_operand(node: Node, operands: Sequence[Tensor | None]) -> Made:
    x = operands[0]
    assert x is not None, "the checker sees to the operands that must be there"
    return [(x.shape, x.dtype)]


def _real(node: Node, operands: Sequence[Tensor | None]) -> Made:
    return [(_like_operand(node, operands)[0][0], _FLOAT)]


@expands("Scaler", since=1, domain=ML, makes=_real, marks=Mark.KEEPS_NAN)
def scaler(scene: Scene, node: Node) -> list[Node]:
    """(x - offset) scale as x scale - offset scale, which brings features of different ranges together first."""
    steps = Steps(scene, node, dtype=_FLOAT)
    x = steps.cast(node.inputs[0], np.float32)
    scale, offset = (given(node, name).astype(np.float64) for name in ("scale", "offset"))
    width = steps.shape(x)[-1]
    if any(values.size not in (1, width) for values in (scale, offset)):
        raise steps.refuse(f"its {offset.size} offsets and {scale.size} scales do not fit {width} features")
    scaled = steps.apply("Mul", x, steps.constant(scale))
    return steps.finish(steps.apply("Add", scaled, steps.constant(-offset * scale)))


@expands("Normalizer", since=1, domain=ML, makes=_real)
def normalizer(scene: Scene, node: Node) -> list[Node]:
    """x over the norm of its row: the largest entry, the sum of magnitudes, or the root of the sum of squares.

    A row of zeros stays as it is. The rows of a Softmax have the norm 1 already.
    """
    steps, norm = Steps(scene, node, dtype=_FLOAT), str(node.attributes.get("norm", "MAX"))
    if norm == "L1" and scene.producer(node.inputs[0], "Softmax") is not None:
        return steps.finish(node.inputs[0])
    x = steps.cast(node.inputs[0], np.float32)
    axes = (len(steps.shape(x)) - 1,)
    if norm == "MAX":
        size = steps.reduce("ReduceMax", x, axes)
        some = steps.apply("Abs", steps.apply("Sign", size))
        return steps.finish(steps.apply("Mul", x, inverse_or_one(steps, size, some)))
    if norm == "L1":
        size = steps.reduce("ReduceSum", steps.apply("Abs", x), axes)
    elif norm == "L2":
        size = steps.apply("Sqrt", steps.reduce("ReduceSum", steps.apply("Mul", x, x), axes))
    else:
        raise steps.refuse(f"its norm {norm!r} is not one of ONNX's")
    return steps.finish(steps.apply("Mul", x, inverse_or_one(steps, size, holds_something(steps, x, axes))))


@expands("Binarizer", since=1, domain=ML, makes=_like_operand, marks=Mark.ALONE)
def binarizer(scene: Scene, node: Node) -> list[Node]:
    """1 above the threshold, 0 elsewhere."""
    steps, dtype = Steps(scene, node), scene.tensors[node.inputs[0]].dtype
    threshold = float(node.attributes.get("threshold", 0.0))
    if dtype.kind != "f":
        threshold = float(np.floor(threshold))  # of integers the same decision
    above = steps.apply("Greater", node.inputs[0], steps.constant(threshold))
    return steps.finish(steps.cast(above, dtype.type))


@expands("Imputer", since=1, domain=ML, makes=_like_operand, marks=Mark.READS_NAN | Mark.ALONE)
def imputer(scene: Scene, node: Node) -> list[Node]:
    """Features with the replaced value become the imputed one, of all features or of each.

    A circuit holds no NaN: where it is what is replaced, the operator is the identity, and values that are missing have
    been replaced before (compiler/missing.py).
    """
    steps, x = Steps(scene, node), node.inputs[0]
    replaced, imputed = imputing(node, scene.tensors[x].dtype)
    if np.isnan(replaced):
        return steps.finish(x)
    width = steps.shape(x)[-1]
    if imputed.size not in (1, width):
        raise steps.refuse(f"its {imputed.size} imputed values do not fit {width} features")
    missing = _same(steps, x, steps.constant(replaced))
    return steps.finish(steps.apply("Where", missing, steps.constant(imputed), x))


def imputing(node: Node, dtype: np.dtype[Any]) -> tuple[float, Array]:
    """What an Imputer of features of this type replaces, and by what: a number, or one for each feature."""
    kind = "int64" if dtype.kind in "iu" else "float"
    return node.attributes.get(f"replaced_value_{kind}", 0), given(node, f"imputed_value_{kind}s")


def _same(steps: Steps, x: str, values: str) -> str:
    """[x = value]; real numbers where no difference is seen at the difference's scale, so that rounding hides none."""
    if steps.scene.tensors[x].dtype.kind != "f":
        return steps.apply("Equal", x, values)
    zero, difference = steps.constant(0.0, public=True), steps.apply("Sub", x, values)
    apart = steps.apply("Or", steps.apply("Greater", difference, zero), steps.apply("Less", difference, zero))
    return steps.apply("Not", apart)


def _extracted(node: Node, operands: Sequence[Tensor | None]) -> Made:
    x, chosen = operands
    assert x is not None and chosen is not None, "the checker sees to the operands that must be there"
    return [((*(x.shape[:-1] or (1,)), chosen.size), x.dtype)]


@expands("ArrayFeatureExtractor", since=1, domain=ML, makes=_extracted, marks=Mark.KEEPS_NAN)
def array_feature_extractor(scene: Scene, node: Node) -> list[Node]:
    """Columns at some indices; entries of a constant list are looked up, as labels are."""
    steps, (x, chosen) = Steps(scene, node), node.inputs
    indices, values, shape = scene.value(chosen), scene.value(x), scene.shape(node.outputs[0])
    if indices is None and values is not None and values.size == values.shape[-1]:
        return steps.finish(steps.reshape(looked_up(steps, chosen, values.reshape(-1)), shape))
    columns = steps.reshape(chosen, (-1,)) if indices is None else steps.integers(indices.reshape(-1))
    taken = (*scene.shape(x)[:-1], steps.shape(columns)[0])
    return steps.finish(steps.reshape(steps.apply("Gather", x, columns, shape=taken, axis=-1), shape))


def _vectorized(node: Node, operands: Sequence[Tensor | None]) -> Made:
    count, _ = samples(node, operands[0])
    wanted = given(node, "inputdimensions")
    if len(wanted) != len(operands) or np.any(wanted < 1):
        raise CompileError(f"{node.label}: its inputdimensions {wanted.tolist()} are not one number for each operand")
    return [((count, int(wanted.sum())), _FLOAT)]


@expands("FeatureVectorizer", since=1, domain=ML, makes=_vectorized, marks=Mark.KEEPS_NAN)
def feature_vectorizer(scene: Scene, node: Node) -> list[Node]:
    """Columns beside each other, of each operand as many as `inputdimensions` says: the first ones, or zeros behind."""
    steps, parts = Steps(scene, node), []
    for name, wanted in zip(node.inputs, given(node, "inputdimensions").tolist(), strict=True):
        real = steps.cast(name, np.float32)
        count, width = samples(node, scene.tensors[real])
        rows = real if len(steps.shape(real)) == 2 else steps.reshape(real, (count, width))
        if width > wanted:
            rows = steps.apply("Gather", rows, steps.integers(np.arange(wanted)), shape=(count, wanted), axis=1)
        parts.append(rows)
        if width < wanted:
            parts.append(steps.constant(np.zeros((count, wanted - width)), public=True))
    return steps.finish(steps.apply("Concat", *parts, shape=scene.shape(node.outputs[0]), axis=1))


# Categories ----------------------------------------------------------------------------------------------------------


def _encoding(node: Node, what: str) -> Array:
    """The keys or the values of a LabelEncoder, those that it has."""
    found = [given(node, f"{what}_{kind}") for kind in ("int64s", "floats", "tensor")]
    return next((values.reshape(-1) for values in found if values.size), np.zeros(0, np.int64))


def _encoded(node: Node, operands: Sequence[Tensor | None]) -> Made:
    keys, values = _encoding(node, "keys"), _encoding(node, "values")
    if not keys.size or keys.size != values.size or values.dtype.kind not in "fiu":
        raise CompileError(f"{node.label}: it encodes text; only numbers are encoded as numbers: encode text outside")
    dtype = np.dtype(np.int64) if values.dtype.kind in "iu" else _FLOAT
    return [(_like_operand(node, operands)[0][0], dtype)]


@expands("LabelEncoder", since=2, domain=ML, makes=_encoded, marks=Mark.ALONE)
def label_encoder(scene: Scene, node: Node) -> list[Node]:
    """The value of the key that the operand equals, the default where it equals none."""
    steps, (x,) = Steps(scene, node), node.inputs
    keys, values = _encoding(node, "keys"), _encoding(node, "values")
    whole = values.dtype.kind in "iu"
    fallback = given(node, "default_tensor")
    if not fallback.size:
        fallback = np.asarray(node.attributes.get("default_int64" if whole else "default_float", -1 if whole else 0.0))
    known = np.zeros(keys.size, bool)
    known[np.unique(keys, return_index=True)[1]] = True  # of a key that is there twice onnxruntime takes the first
    known &= ~np.isnan(keys.astype(np.float64))  # a NaN equals nothing that a circuit holds
    chosen = steps.cast(_among(steps, x, keys[known]), steps.scene.tensors[node.outputs[0]].dtype.type)
    moved = (values[known] - fallback.reshape(-1)[0]).reshape(-1, 1)
    shape = scene.shape(node.outputs[0])
    taken = steps.apply("MatMul", chosen, steps.constant(moved), shape=(*shape, 1))
    return steps.finish(steps.apply("Add", steps.reshape(taken, shape), steps.constant(fallback.reshape(-1)[0])))


def _among(steps: Steps, x: str, keys: Array) -> str:
    """[x = key] for each key, along a new last axis."""
    column = steps.reshape(x, (*steps.shape(x), 1))
    dtype = steps.scene.tensors[x].dtype
    constant = steps.scene.constant(steps.node.outputs[0], keys.astype(dtype), public=True)
    return _same(Steps(steps.scene, steps.node, steps.nodes, dtype), column, constant)


def _one_hot(node: Node, operands: Sequence[Tensor | None]) -> Made:
    categories = given(node, "cats_int64s")
    if not categories.size:
        raise CompileError(f"{node.label}: it encodes text, not numbers: encode text outside")
    return [((*_like_operand(node, operands)[0][0], categories.size), _FLOAT)]


@expands("OneHotEncoder", since=1, domain=ML, makes=_one_hot)
def one_hot_encoder(scene: Scene, node: Node) -> list[Node]:
    """[x = category] for each category along a new last axis; of none of them all are zero.

    Of a category that is there twice onnxruntime marks the last.
    """
    steps, categories = Steps(scene, node), given(node, "cats_int64s")
    found = steps.cast(_among(steps, node.inputs[0], categories), np.float32)
    last = categories.size - 1 - np.unique(categories[::-1], return_index=True)[1]
    if last.size < categories.size:
        marked = np.isin(np.arange(categories.size), last).astype(np.float64)
        found = steps.apply("Mul", found, steps.constant(marked, public=True))
    return steps.finish(found)
