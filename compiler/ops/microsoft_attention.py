"""com.microsoft: attention, as the operators that it stands for.

RotaryEmbedding; MultiHeadAttention; Attention, whose projections are inside; GroupQueryAttention, whose rotary
embeddings are.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Node, Shape
from plonnx.compiler.ops.attention import (
    after,
    capped,
    contexts,
    given,
    join_heads,
    repeated,
    rotated,
    scores,
    shares,
    split_heads,
)
from plonnx.compiler.ops.microsoft import Made, Operands, first, like_first, public, sum_of
from plonnx.compiler.ops.registry import MICROSOFT, expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

_FILTER = -10000.0


@expands("RotaryEmbedding", since=1, domain=MICROSOFT, makes=like_first)
def rotary_embedding(scene: Scene, node: Node) -> list[Node]:
    """As that of ONNX, its operands in another order; one position is that of the first of a row."""
    steps = Steps(scene, node)
    x, positions, cos, sin = (given(node, place) for place in range(4))
    if scene.value(positions) is None and len(scene.shape(positions)) < 2:
        raise steps.refuse("its position_ids must be a constant of the model, or one for each entry")
    return steps.finish(rotated(steps, x, cos, sin, positions, bool(node.attributes.get("interleaved", 0))))


def _attends(
    steps: Steps, q: str, k: str, v: str, mask: str, bias: str, past: int, cap: float = 0.0, sink: str = ""
) -> str:
    """Heads [N, H, S, D] to [N, S, H D]: a padding mask, a bias that is added, a share of each row for `sink` [H]."""
    attributes = steps.node.attributes
    scale = float(attributes.get("scale", 0.0)) or 1.0 / math.sqrt(steps.shape(q)[3])
    x = capped(steps, scores(steps, q, k, scale), cap)
    length, total = steps.shape(x)[2:]
    if mask:
        low = public(steps, float(attributes.get("mask_filter_value", _FILTER)))
        x = steps.apply("Add", x, steps.apply("Mul", _hidden(steps, x, mask), low))
    if bias:
        x = steps.apply("Add", x, bias)
    ahead = np.arange(total) - np.arange(length)[:, None] - past
    window = int(attributes.get("local_window_size", -1))
    far = ahead <= -window if window > 0 else np.zeros_like(ahead, np.bool_)
    masked = (ahead > 0) | far if attributes.get("unidirectional", 0) else far
    banned = np.where(masked, -np.inf, 0.0)[None, None] if masked.any() else None
    if not sink:
        return join_heads(steps, contexts(steps, shares(steps, x, banned), v))
    rows = (*steps.shape(x)[:3], 1)
    own = steps.apply("Expand", steps.reshape(sink, (-1, 1, 1)), steps.integers(np.array(rows)), shape=rows)
    wide = steps.apply("Concat", x, own, shape=(*rows[:3], total + 1), axis=3)
    if banned is not None:
        banned = np.pad(banned, [(0, 0)] * 3 + [(0, 1)])
    return join_heads(steps, contexts(steps, _columns(steps, shares(steps, wide, banned), 0, total), v))


def _hidden(steps: Steps, x: str, mask: str) -> str:
    """1 where a mask hides a key of scores x [N, H, S, T], 0 elsewhere.

    It holds 1 and 0 for each key ([N, T]) or each query and key ([N, S, T]); or where the keys of each row end ([N]);
    or that, and then where they start ([2 N]).
    """
    shape, (count, _, length, total) = steps.shape(mask), steps.shape(x)
    if shape in ((count, total), (count, length, total)):
        hides = steps.apply("Sub", public(steps, 1.0), steps.cast(mask, np.float32))
        return steps.reshape(hides, (count, 1, -1, total))
    if shape not in ((count,), (2 * count,)):
        raise steps.refuse("its mask must be 0 or 1 for each key, or for each query and key, or say where keys end")
    ends = steps.cast(mask, np.int64)
    keys = steps.integers(np.arange(total)[None])
    before = steps.apply("Less", keys, steps.reshape(_columns(steps, ends, 0, count), (count, 1)))
    if shape[0] > count:
        starts = steps.reshape(_columns(steps, ends, count, 2 * count), (count, 1))
        before = steps.apply("And", before, steps.apply("Not", steps.apply("Less", keys, starts)))
    hides = steps.cast(steps.apply("Not", before), np.float32)
    return steps.reshape(hides, (count, 1, 1, total))


def _many_heads(node: Node, operands: Operands) -> Made:
    q, heads = first(operands), int(node.attributes["num_heads"])
    k, v = (operands[place] if len(operands) > place else None for place in (1, 2))
    past = operands[6] if len(operands) > 6 else None
    batch, length = q.shape[:2]
    widths = [1 if part is None else _head(part.shape, heads)[1] for part in (k, v)]
    total = (length if k is None else _head(k.shape, heads)[0]) + (0 if past is None else past.shape[2])
    present: list[Shape] = [(batch, heads, total, width) for width in widths]
    shapes = [(batch, length, heads * widths[1]), *present, (batch, heads, length, total)]
    return [(shape, q.dtype) for shape in shapes]


def _head(shape: Shape, heads: int) -> tuple[int, int]:
    """How many positions and how wide: of [N, T, H D], or of [N, H, T, D]."""
    return (shape[2], shape[3]) if len(shape) == 4 else (shape[1], shape[2] // heads)


@expands("MultiHeadAttention", since=1, domain=MICROSOFT, makes=_many_heads)
def multi_head_attention(scene: Scene, node: Node) -> list[Node]:
    """Projected q, k and v; a bias of all three, a padding mask, a bias of scores, a cache."""
    steps, heads = Steps(scene, node), int(node.attributes["num_heads"])
    if any(given(node, place) for place in (8, 9)) or (len(node.outputs) > 3 and node.outputs[3]):
        raise steps.refuse("beam search and the output qk are not supported")
    parts = [given(node, place) for place in range(3)]
    if not all(parts):
        raise steps.refuse("packed projections are not supported (nor by onnxruntime on a CPU)")
    if given(node, 3):
        sizes = [
            scene.shape(part)[-1] if len(scene.shape(part)) == 3 else heads * scene.shape(part)[-1] for part in parts
        ]
        starts = np.cumsum([0, *sizes])
        for place, part in enumerate(parts):
            own = _columns(steps, given(node, 3), int(starts[place]), int(starts[place + 1]))
            if len(scene.shape(part)) == 4:
                own = steps.reshape(own, (heads, 1, -1))
            parts[place] = steps.apply("Add", part, own)
    q, k, v = (split_heads(steps, part, heads) for part in parts)
    past = given(node, 6)
    k, v = after(steps, past, k), after(steps, given(node, 7), v)
    y = _attends(steps, q, k, v, given(node, 4), given(node, 5), scene.shape(past)[2] if past else 0)
    return steps.finish(y, k, v)


def _at(steps: Steps, x: str, axis: int, place: int) -> str:
    """One entry of an axis, without that axis."""
    shape = steps.shape(x)
    one = steps.apply(
        "Gather", x, steps.integers(np.array([place])), shape=(*shape[:axis], 1, *shape[axis + 1 :]), axis=axis
    )
    return steps.reshape(one, (*shape[:axis], *shape[axis + 1 :]))


def _columns(steps: Steps, x: str, start: int, end: int) -> str:
    """A run of the last axis."""
    shape, where = steps.shape(x), steps.integers(np.arange(start, end))
    return steps.apply("Gather", x, where, shape=(*shape[:-1], end - start), axis=len(shape) - 1)


def _sizes(node: Node, operands: Operands) -> tuple[int, int, int]:
    width = first(operands, 1).shape[1]
    q, k, v = (int(size) for size in node.attributes.get("qkv_hidden_sizes", (width // 3,) * 3))
    return q, k, v


def projecting(node: Node, operands: Operands) -> Made:
    x, heads = first(operands), int(node.attributes["num_heads"])
    past = operands[4] if len(operands) > 4 else None
    sizes, total = _sizes(node, operands), x.shape[1] + (0 if past is None else past.shape[3])
    present = (2, x.shape[0], heads, total, sizes[1] // heads)
    return [((*x.shape[:2], sizes[2]), x.dtype), (present, x.dtype)]


@expands("Attention", since=1, domain=MICROSOFT, makes=projecting)
def attention(scene: Scene, node: Node) -> list[Node]:
    """x W + b gives q, k and v; a padding mask, a bias of scores, a cache [2, N, H, P, D]."""
    steps, heads = Steps(scene, node), int(node.attributes["num_heads"])
    if node.attributes.get("do_rotary", 0):
        raise steps.refuse("its rotary embedding is not supported")
    sizes = _sizes(node, [scene.tensors[name] for name in node.inputs[:2]])
    shape = (*scene.shape(node.inputs[0])[:2], sum(sizes))
    made = sum_of(steps, steps.apply("MatMul", *node.inputs[:2], shape=shape), given(node, 2))
    starts = np.cumsum([0, *sizes]).tolist()
    runs = [_columns(steps, made, start, end) for start, end in pairwise(starts)]
    q, k, v = (split_heads(steps, run, heads) for run in runs)
    past = given(node, 4)
    if past:
        before = [_at(steps, past, 0, place) for place in (0, 1)]
        k, v = after(steps, before[0], k), after(steps, before[1], v)
    y = _attends(steps, q, k, v, given(node, 3), given(node, 5), scene.shape(past)[3] if past else 0)
    if len(node.outputs) < 2 or not node.outputs[1]:
        return steps.finish(y)
    one = [steps.reshape(part, (1, *steps.shape(part))) for part in (k, v)]
    return steps.finish(y, steps.apply("Concat", *one, shape=(2, *steps.shape(k)), axis=0))


def _grouped(node: Node, operands: Operands) -> Made:
    q, (heads, groups, width) = first(operands), _heads(node, operands)
    past = operands[3] if len(operands) > 3 else None
    batch, length = q.shape[:2]
    present: Shape = (batch, groups, _positions(operands, length, 0 if past is None else past.shape[2]), width)
    return [((batch, length, heads * width), q.dtype), (present, q.dtype), (present, q.dtype)]


def _positions(operands: Operands, length: int, past: int) -> int:
    """The positions of a cache after new ones: it grows by them unless it has room for all that there are."""
    total = operands[6].value if len(operands) > 6 and operands[6] is not None else None
    return length + past if total is None or int(total.reshape(-1)[0]) > past else past


def _heads(node: Node, operands: Operands) -> tuple[int, int, int]:
    """Heads of queries, heads of keys, the width of a head."""
    heads, groups = (int(node.attributes[name]) for name in ("num_heads", "kv_num_heads"))
    packed = len(operands) < 2 or operands[1] is None
    return heads, groups, first(operands).shape[2] // (heads + 2 * groups if packed else heads)


@expands("GroupQueryAttention", since=1, domain=MICROSOFT, makes=_grouped)
def group_query_attention(scene: Scene, node: Node) -> list[Node]:
    """Causal, of heads that share keys: packed or not, rotary embeddings, a cache, a window, softcap, sinks."""
    steps, attributes = Steps(scene, node), node.attributes
    heads, groups, width = _heads(node, [scene.tensors[name] if name else None for name in node.inputs])
    if len(node.outputs) > 3 and node.outputs[3]:
        raise steps.refuse("its output of scores is not supported")
    if any(str(attributes.get(f"{part}_quant_type", "NONE")) != "NONE" for part in "kv"):
        raise steps.refuse("quantized caches are not supported")
    parts = [given(node, place) for place in range(3)]
    if not parts[1]:
        starts = np.cumsum([0, heads, groups, groups]) * width
        parts = [_columns(steps, parts[0], int(start), int(end)) for start, end in pairwise(starts)]
    q, k, v = (split_heads(steps, part, count) for part, count in zip(parts, (heads, groups, groups), strict=True))
    batch, length = scene.shape(node.inputs[0])[:2]
    past = scene.shape(given(node, 3))[2] if given(node, 3) else 0
    ends = _partial(steps, past, length)
    if attributes.get("do_rotary", 0):
        interleaved = bool(attributes.get("rotary_interleaved", 0))
        places = given(node, 9) or (steps.reshape(given(node, 5), (batch, 1)) if ends else "")
        places = places or steps.integers(np.broadcast_to(past + np.arange(length), (batch, length)))
        caches = given(node, 7), given(node, 8)
        q, k = (rotated(steps, part, *caches, places, interleaved) for part in (q, k))
    if ends:
        total = _positions([scene.tensors[name] if name else None for name in node.inputs], length, past)
        k, v = (_filled(steps, given(node, place), x, total) for place, x in ((3, k), (4, v)))
    else:
        k, v = after(steps, given(node, 3), k), after(steps, given(node, 4), v)
    sink = given(node, 11)
    if attributes.get("smooth_softmax", 0) and not sink:
        sink = public(steps, np.zeros(heads))
    steps.node = replace(node, attributes={**attributes, "unidirectional": int(not ends)})
    shared = repeated(steps, k, heads), repeated(steps, v, heads)
    y = _attends(steps, q, *shared, ends, given(node, 10), past, float(attributes.get("softcap", 0.0)), sink)
    return steps.finish(y, k, v)


def _partial(steps: Steps, past: int, length: int) -> str:
    """Where the keys of each row of a batch end, of a cache of which only a part is filled; "" where all of it is.

    Rows of a prompt beyond its length have no meaning, and need no mask.
    """
    lengths = steps.scene.value(given(steps.node, 5))
    if not past or (lengths is not None and np.all(lengths + 1 == past + length)):
        return ""
    if length > 1 or int(steps.node.attributes.get("local_window_size", -1)) > 0:
        raise steps.refuse(
            f"its cache of {past} positions must be full: make seqlens_k a constant of {past + length - 1} (export the"
            " model with a cache as long as what it holds, and without padding), or take one token at a time and no"
            " local window"
        )
    one = steps.scene.constant(steps.node.outputs[0], np.ones((), np.int32), public=True)
    return steps.apply("Add", given(steps.node, 5), one)


def _filled(steps: Steps, past: str, x: str, total: int) -> str:
    """A cache [N, H, P, D] of `total` positions that has x [N, H, 1, D] where its part that is filled ends."""
    batch, heads, before, width = steps.shape(past)
    shape = (batch, heads, total, width)
    if total > before:
        room = public(steps, np.zeros((batch, heads, total - before, width)))
        past = steps.apply("Concat", past, room, shape=shape, axis=2)
    places = steps.scene.constant(past, np.arange(total, dtype=np.int32).reshape(1, 1, -1, 1), public=True)
    here = steps.apply("Equal", places, steps.reshape(given(steps.node, 5), (batch, 1, 1, 1)))
    return steps.apply("Where", here, x, past, shape=shape)
