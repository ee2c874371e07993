"""Shapes that onnx's inference does not know, or finds otherwise than onnxruntime, which says what is right.

The last window of a pool with ceil_mode starts inside the operand or it is none; a scaled axis has the size that the
product in float32 gives; auto_pad sets the size of a ConvTranspose, output_padding or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from plonnx.compiler.graph import CompileError, Node, Shape, Tensor
from plonnx.compiler.ops.resize import given_scales

Operands = Sequence[Tensor | None]


def output_shape(node: Node, operands: Operands) -> Shape | None:
    """The shape of the node's first output where it is one of those below; None where onnx's inference holds."""
    rule = None if node.domain else _RULES.get(node.op)
    return None if rule is None else rule(node, operands)


def _shape(operands: Operands, place: int) -> Shape:
    tensor = operands[place]
    assert tensor is not None, "the checker sees to the operands that must be there"
    return tensor.shape


def _like_first(node: Node, operands: Operands) -> Shape:
    return _shape(operands, 0)


def _compressed(node: Node, operands: Operands) -> Shape | None:
    condition = operands[1]
    if condition is None or condition.value is None:
        return None
    shape, kept = list(_shape(operands, 0)), int(np.count_nonzero(condition.value))
    if "axis" not in node.attributes:
        return (kept,)
    shape[int(node.attributes["axis"])] = kept
    return tuple(shape)


def _one_hot(node: Node, operands: Operands) -> Shape | None:
    depth = operands[1]
    if depth is None or depth.value is None:
        return None
    shape = list(_shape(operands, 0))
    shape.insert(int(node.attributes.get("axis", -1)) % (len(shape) + 1), int(depth.value.reshape(-1)[0]))
    return tuple(shape)


def _frames(node: Node, operands: Operands) -> Shape | None:
    """[batch, frames, sums, 2] of an STFT."""
    shape, values = _shape(operands, 0), [None if tensor is None else tensor.value for tensor in operands[1:]]
    window = operands[2] if len(operands) > 2 else None
    length = None if window is None else window.shape[0]
    if len(values) > 2 and values[2] is not None:
        length = int(values[2].reshape(-1)[0])
    if length is None or values[0] is None:
        return None
    count = (shape[1] - length) // int(values[0].reshape(-1)[0]) + 1
    return shape[0], count, length // 2 + 1 if node.attributes.get("onesided", 1) else length, 2


def _unpooled(node: Node, operands: Operands) -> Shape | None:
    if len(operands) < 3:
        return None
    wanted = operands[2]
    return None if wanted is None or wanted.value is None else tuple(int(size) for size in wanted.value)


def _resized(node: Node, operands: Operands) -> Shape | None:
    scales = given_scales(node.attributes, [None if tensor is None else tensor.value for tensor in operands])
    if scales is None:
        return None
    sizes = list(_shape(operands, 0))
    for scale, axis in zip(scales, node.attributes.get("axes", range(len(sizes))), strict=True):
        sizes[axis] = int(np.float32(sizes[axis]) * scale)
    return tuple(sizes)


def _windows(node: Node, extents: Shape, kernel: Shape) -> Shape:
    """Output sizes along the spatial axes."""
    given, rank = node.attributes, len(extents)
    strides, dilations = given.get("strides", (1,) * rank), given.get("dilations", (1,) * rank)
    mode, sizes = given.get("auto_pad", "NOTSET"), []
    pads = given.get("pads", (0,) * (2 * rank)) if mode == "NOTSET" else (0,) * (2 * rank)
    for axis, (extent, stride) in enumerate(zip(extents, strides, strict=True)):
        if mode.startswith("SAME"):
            sizes.append(-(-extent // stride))
            continue
        room = extent + pads[axis] + pads[axis + rank] - dilations[axis] * (kernel[axis] - 1) - 1
        if room < 0:
            raise CompileError(f"{node.label}: its kernel is larger than its padded operand")
        size = -(-room // stride) + 1 if given.get("ceil_mode", 0) else room // stride + 1
        overhangs = (size - 1) * stride >= extent + pads[axis]
        sizes.append(size - 1 if given.get("ceil_mode", 0) and overhangs else size)
    return tuple(sizes)


def _pooled(node: Node, operands: Operands) -> Shape:
    shape, given = _shape(operands, 0), node.attributes
    kernel = tuple(given["kernel_shape"])
    sizes = _windows(node, shape[2:], kernel)
    if given.get("auto_pad", "NOTSET").startswith("SAME"):
        strides = given.get("strides", (1,) * len(sizes))
        reach = [(size - 1) * stride + taps for size, stride, taps in zip(sizes, strides, kernel, strict=True)]
        if any(d > 1 for d in given.get("dilations", ())) or any(r < e for r, e in zip(reach, shape[2:], strict=True)):
            raise CompileError(f"{node.label}: runtimes do not agree on what auto_pad pads here; give pads")
    return *shape[:2], *sizes


def _convolved(node: Node, operands: Operands) -> Shape:
    shape, kernel = _shape(operands, 0), _shape(operands, 1)
    return shape[0], kernel[0], *_windows(node, shape[2:], kernel[2:])


def _transposed(node: Node, operands: Operands) -> Shape:
    given, shape, kernel = node.attributes, _shape(operands, 0), _shape(operands, 1)
    rank = len(shape) - 2
    front = shape[0], kernel[1] * int(given.get("group", 1))
    if "output_shape" in given:
        return *front, *given["output_shape"][-rank:]
    ones, zeros = (1,) * rank, (0,) * rank
    strides, dilations = given.get("strides", ones), given.get("dilations", ones)
    more, pads = given.get("output_padding", zeros), given.get("pads", zeros * 2)
    mode, sizes = given.get("auto_pad", "NOTSET"), []
    for axis, extent in enumerate(shape[2:]):
        whole = strides[axis] * (extent - 1) + more[axis] + dilations[axis] * (kernel[2 + axis] - 1) + 1
        if mode.startswith("SAME"):
            whole = min(whole, extent * strides[axis])
        elif mode == "NOTSET":
            whole -= pads[axis] + pads[axis + rank]
        sizes.append(whole)
    return *front, *sizes


_RULES: Mapping[str, Callable[[Node, Operands], Shape | None]] = {
    "AveragePool": _pooled,
    "Compress": _compressed,
    "Conv": _convolved,
    "ConvTranspose": _transposed,
    "GroupNormalization": _like_first,
    "LpPool": _pooled,
    "MaxPool": _pooled,
    "MeanVarianceNormalization": _like_first,
    "MaxUnpool": _unpooled,
    "OneHot": _one_hot,
    "Resize": _resized,
    "STFT": _frames,
    "Upsample": _resized,
}
