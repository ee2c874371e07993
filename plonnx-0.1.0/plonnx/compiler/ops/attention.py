"""Attention and rotary embeddings, as the simpler operators that exporters write otherwise.

    y = Softmax(scale q k^T + bias) v        q [N, H, S, D], k [N, G, T, D], v [N, G, T, E]; H / G heads share k and v

Products of matrices cost their operands and results (linear.py); keys that heads share stand once. What masks is added
as -inf, which compiler/masks.py takes out of the arithmetic: so these operators are expanded before it looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, Node
from plonnx.compiler.ops.registry import expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Reals = NDArray[np.float64]
_WITH_BIAS, _SHARES = 2, 3  # what the output qk_matmul_output shows


def given(node: Node, place: int) -> str:
    """The operand at a place, "" where it is absent."""
    return node.inputs[place] if place < len(node.inputs) else ""


def split_heads(steps: Steps, x: str, heads: int) -> str:
    """[N, S, H D] -> [N, H, S, D]; what has four axes stays."""
    shape = steps.shape(x)
    if len(shape) == 4:
        return x
    parts = steps.reshape(x, (shape[0], shape[1], heads, shape[2] // heads))
    return steps.apply("Transpose", parts, shape=(shape[0], heads, shape[1], shape[2] // heads), perm=(0, 2, 1, 3))


def join_heads(steps: Steps, x: str) -> str:
    """[N, H, S, D] -> [N, S, H D]."""
    count, heads, length, width = steps.shape(x)
    moved = steps.apply("Transpose", x, shape=(count, length, heads, width), perm=(0, 2, 1, 3))
    return steps.reshape(moved, (count, length, heads * width))


def after(steps: Steps, past: str, x: str) -> str:
    """[N, H, P, D] of before, then x [N, H, S, D]."""
    if not past:
        return x
    count, heads, length, width = steps.shape(x)
    return steps.apply("Concat", past, x, shape=(count, heads, steps.shape(past)[2] + length, width), axis=2)


def repeated(steps: Steps, x: str, heads: int) -> str:
    """[N, G, T, D] -> [N, H, T, D], each as often as heads share it."""
    count, groups, length, width = steps.shape(x)
    if groups == heads:
        return x
    wide = (count, groups, heads // groups, length, width)
    target = steps.integers(np.array(wide))
    one = steps.reshape(x, (count, groups, 1, length, width))
    return steps.reshape(steps.apply("Expand", one, target, shape=wide), (count, heads, length, width))


def scores(steps: Steps, q: str, k: str, scale: float) -> str:
    """scale q k^T for q [N, H, S, D], k [N, H, T, D]."""
    count, heads, length, width = steps.shape(q)
    total = steps.shape(k)[2]
    scaled = q if scale == 1.0 else steps.apply("Mul", q, steps.constant(scale, public=True))
    turned = steps.apply("Transpose", k, shape=(count, heads, width, total), perm=(0, 1, 3, 2))
    return steps.apply("MatMul", scaled, turned, shape=(count, heads, length, total))


def capped(steps: Steps, x: str, cap: float) -> str:
    """cap tanh(x / cap); x where there is no cap."""
    if cap <= 0.0:
        return x
    ratio, factor = (steps.constant(value, public=True) for value in (1.0 / cap, cap))
    return steps.apply("Mul", steps.apply("Tanh", steps.apply("Mul", x, ratio)), factor)


def shares(steps: Steps, x: str, bias: Reals | None) -> str:
    """Softmax(x + bias) along the last axis; a row whose bias is -inf everywhere is zero."""
    if bias is None or not bias.any():
        return steps.apply("Softmax", x, axis=-1)
    empty = np.all(np.isneginf(bias), axis=-1, keepdims=True)
    made = steps.apply("Add", x, steps.constant(np.where(empty, 0.0, bias)))
    made = steps.apply("Softmax", made, axis=-1)
    if not empty.any():
        return made
    places = np.arange(int(np.prod(steps.shape(x)))).reshape(steps.shape(x))
    return steps.gather([made, steps.constant(np.zeros(1))], np.where(empty, places.size, places))


def contexts(steps: Steps, weights: str, v: str) -> str:
    """[N, H, S, T] times v [N, H, T, E]."""
    return steps.apply("MatMul", weights, v, shape=(*steps.shape(weights)[:3], steps.shape(v)[3]))


@expands("Attention", since=23)
def attention(scene: Scene, node: Node) -> list[Node]:
    """With caches, constant and computed masks, causality, a window, softcap and the scores as an output."""
    steps, attributes = Steps(scene, node), node.attributes
    q, k, v = (
        split_heads(steps, name, int(attributes.get(f"{part}_num_heads", 0)))
        for name, part in zip(node.inputs[:3], ("q", "kv", "kv"), strict=True)
    )
    k, v = after(steps, given(node, 4), k), after(steps, given(node, 5), v)
    present = k, v
    heads, width = steps.shape(q)[1], steps.shape(q)[3]
    k, v = repeated(steps, k, heads), repeated(steps, v, heads)
    raw = scores(steps, q, k, float(attributes.get("scale", 1.0 / np.sqrt(width))))
    soft = capped(steps, raw, float(attributes.get("softcap", 0.0)))
    bias = _bias(steps, steps.shape(raw), steps.shape(given(node, 4))[2] if given(node, 4) else 0)
    masked, weights = _masked(steps, soft, bias)
    y = contexts(steps, weights, v)
    if len(scene.shape(node.inputs[0])) == 3:
        y = join_heads(steps, y)
    mode = int(attributes.get("qk_matmul_output_mode", 0))
    shown = [raw, soft, masked, weights][mode]
    if mode == _WITH_BIAS and len(node.outputs) > 3 and node.outputs[3] and bias is not None:
        shown = steps.apply("Add", masked, steps.constant(bias))
    return steps.finish(y, *present, shown)


def _masked(steps: Steps, x: str, bias: Reals | None) -> tuple[str, str]:
    """Scores [N, H, S, T] without what computed masks hide, and their shares.

    A row of which Booleans hide everything is zero: it gets one more score, zero there and -inf in other rows.
    """
    mask, shape = given(steps.node, 3), steps.shape(x)
    flags = _within(steps, shape)
    if mask and steps.scene.value(mask) is None:
        mask = _as_long(steps, mask, shape[3])
        if steps.scene.tensors[mask].dtype.kind == "b":
            flags.append(mask)
        else:
            x = steps.apply("Add", x, mask)
    if not flags:
        return x, shares(steps, x, bias)
    allowed = flags[0]
    for flag in flags[1:]:
        allowed = steps.apply("And", allowed, flag)
    low, zero = (steps.constant(value, public=True) for value in (-np.inf, 0.0))
    x = steps.apply("Where", allowed, x, low, shape=shape)
    seen = allowed if bias is None else _and_constant(steps, allowed, ~np.isneginf(bias))
    count = steps.reduce("ReduceSum", steps.cast(seen, np.float32), (len(steps.shape(seen)) - 1,))
    empty = steps.apply("Less", count, steps.scene.constant(count, np.asarray(0.5, np.float32), public=True))
    rest = steps.apply("Where", empty, zero, low, shape=steps.shape(empty))
    row = (*shape[:3], 1)
    rest = steps.apply("Expand", rest, steps.integers(np.array(row)), shape=row)
    wide = steps.apply("Concat", x, rest, shape=(*shape[:3], shape[3] + 1), axis=3)
    made = shares(steps, wide, None if bias is None else np.pad(bias, [(0, 0)] * 3 + [(0, 1)]))
    return x, _taken(steps, made, np.arange(shape[3]))


def _within(steps: Steps, shape: tuple[int, ...]) -> list[str]:
    """Which keys are before the computed end of their row, and as causality and a window count from it."""
    name, attributes, (length, total) = given(steps.node, 6), steps.node.attributes, shape[2:]
    if not name or steps.scene.value(name) is not None:
        return []
    ends = steps.reshape(name, (-1, 1, 1, 1))
    ahead = np.arange(total) - np.arange(length)[:, None] + length  # of key j before query i, had the row no end
    left, right = (int(attributes.get(f"{side}_window_size", -1)) for side in ("left", "right"))
    least = np.arange(total)[None]
    if attributes.get("is_causal", 0):
        least = np.maximum(least, ahead - 1)
    if right >= 0:
        least = np.maximum(least, ahead - right - 1)
    flags = [steps.apply("Less", steps.integers(least), ends)]
    if left >= 0:
        flags.append(steps.apply("Less", ends, steps.integers(ahead + left + 1)))
    return flags


def _as_long(steps: Steps, mask: str, total: int) -> str:
    """A computed mask of as many keys as there are; those beyond it are hidden by the bias."""
    shape = steps.shape(mask)
    if shape[-1] == total:
        return mask
    rest = np.zeros((*shape[:-1], total - shape[-1]), steps.scene.tensors[mask].dtype)
    name = steps.scene.constant(mask, rest, public=True)
    return steps.apply("Concat", mask, name, shape=(*shape[:-1], total), axis=len(shape) - 1)


def _and_constant(steps: Steps, flags: str, allowed: NDArray[np.bool_]) -> str:
    """Both hold: re-indexing, since where the constant is false, so is the result."""
    shape = np.broadcast_shapes(steps.shape(flags), allowed.shape)
    size = int(np.prod(steps.shape(flags), dtype=np.int64))
    places = np.broadcast_to(np.arange(size).reshape(steps.shape(flags)), shape)
    never = steps.scene.constant(flags, np.zeros(1, np.bool_), public=True)
    return steps.gather([flags, never], np.where(allowed, places, size))


def _bias(steps: Steps, shape: tuple[int, ...], past: int) -> Reals | None:
    """What a constant mask, causality, a window and padded keys add to scores [N, H, S, T]; None for nothing."""
    node, attributes = steps.node, steps.node.attributes
    length, total = shape[2:]
    bias, some = np.zeros((1, 1, 1, 1)), False
    value = steps.scene.value(given(node, 3))
    if value is not None:
        real = np.where(value, 0.0, -np.inf) if value.dtype.kind == "b" else value.astype(np.float64)
        widths = [(0, 0)] * (real.ndim - 1) + [(0, total - real.shape[-1])]
        bias, some = bias + np.pad(real, widths, constant_values=-np.inf), True
    elif given(node, 3) and steps.shape(given(node, 3))[-1] < total:
        bias, some = bias + np.where(np.arange(total) < steps.shape(given(node, 3))[-1], 0.0, -np.inf), True
    padded = given(node, 6)
    ends = steps.scene.value(padded)
    if padded and ends is None:  # `_within` counts from there
        return np.broadcast_to(bias, (*bias.shape[:-2], length, total)) if some else None
    offset = np.asarray(past) if ends is None else ends.reshape(-1, 1, 1, 1).astype(np.int64) - length
    ahead = np.arange(total) - (np.arange(length)[:, None] + offset)  # of key j before query i, negative behind it
    hidden: list[Array] = []
    if attributes.get("is_causal", 0):
        hidden.append(ahead > 0)
    left, right = (int(attributes.get(f"{side}_window_size", -1)) for side in ("left", "right"))
    if left >= 0:
        hidden.append(-ahead > left)
    if right >= 0:
        hidden.append(ahead > right)
    if ends is not None:
        hidden.append(np.arange(total) >= ends.reshape(-1, 1, 1, 1))
    for part in hidden:
        bias, some = bias + np.where(part, -np.inf, 0.0), True
    return np.broadcast_to(bias, (*np.broadcast_shapes(bias.shape[:2], (1, 1)), length, total)) if some else None


@expands("RotaryEmbedding", since=23)
def rotary_embedding(scene: Scene, node: Node) -> list[Node]:
    """Pairs (a, b) of a head become (cos a - sin b, sin a + cos b), with the angles of each position."""
    steps = Steps(scene, node)
    x, cos, sin, positions = (given(node, place) for place in range(4))
    return steps.finish(rotated(steps, x, cos, sin, positions, bool(node.attributes.get("interleaved", 0))))


def rotated(steps: Steps, x: str, cos: str, sin: str, positions: str, interleaved: bool, heads: int = 0) -> str:
    """A rotary embedding, of either domain: caches [positions, R / 2], or one for each [N, S, R / 2]."""
    attributes, shape = steps.node.attributes, steps.shape(x)
    heads = heads or int(attributes.get("num_heads", 0)) or shape[-1] // (2 * steps.shape(cos)[-1])
    four = split_heads(steps, x, heads)
    count, heads, length, width = steps.shape(four)
    half = steps.shape(cos)[-1]
    turned = 2 * half
    angles = [_angles(steps, cache, positions, (count, length, half)) for cache in (cos, sin)]
    order = np.arange(turned).reshape(half, 2).T if interleaved else np.arange(turned).reshape(2, half)
    pairs = [_taken(steps, four, order[part]) for part in (0, 1)]
    a, b = (steps.apply("Mul", pairs[0], angles[part]) for part in (0, 1))
    c, d = (steps.apply("Mul", pairs[1], angles[part]) for part in (1, 0))
    parts = [steps.apply("Sub", a, c), steps.apply("Add", b, d)]
    made = steps.apply("Concat", *parts, shape=(count, heads, length, turned), axis=3)
    made = _taken(steps, made, np.argsort(order.reshape(-1)))
    if turned < width:
        rest = _taken(steps, four, np.arange(turned, width))
        made = steps.apply("Concat", made, rest, shape=(count, heads, length, width), axis=3)
    return join_heads(steps, made) if len(shape) == 3 else made


def _angles(steps: Steps, cache: str, positions: str, shape: tuple[int, int, int]) -> str:
    """[N or 1, 1, S, R / 2]."""
    rows = cache
    if positions:
        where = steps.scene.value(positions)
        if where is not None and where.size == 1:  # com.microsoft: the first one's
            positions = steps.integers(int(where.reshape(())) + np.arange(shape[1])[None])
        rows = steps.apply("Gather", cache, positions, shape=(*steps.shape(positions), shape[2]), axis=0)
    return steps.reshape(rows, (-1, 1, shape[1], shape[2]))


def _taken(steps: Steps, x: str, places: NDArray[np.int64]) -> str:
    """Entries of the last axis."""
    where = steps.integers(places)
    return steps.apply("Gather", x, where, shape=(*steps.shape(x)[:-1], places.size), axis=len(steps.shape(x)) - 1)
