"""A Pad with zeros of the spatial axes becomes padding of the convolution that reads it.

    Conv(Pad(x, [0, 0, 1, 1, 0, 0, 2, 2]), W)      becomes      Conv<pads = [1, 1, 2, 2]>(x, W)

The convolution then reads a whole tensor, not one with holes. The padded value says what the operator does: it is
public in a hidden model too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops.shape import pad_widths
from plonnx.compiler.passes.rewrite import Scene, rewrite


def fold_padding(graph: Graph) -> Graph:
    """Move every such Pad into its Conv."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    pad = scene.producer(node.inputs[0], "Pad") if node.op == "Conv" else None
    if pad is None or node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or not _is_zero(scene, pad):
        return None
    constants = [scene.value(name) for name in pad.inputs[1:2] + pad.inputs[3:4]]
    if any(value is None for value in constants):
        return None
    rank = len(scene.shape(pad.inputs[0]))
    widths = pad_widths(pad.attributes, rank, *(value for value in constants if value is not None))
    if np.any(widths < 0) or np.any(widths[:, :2]):
        return None
    own = node.attributes.get("pads", (0,) * (2 * (rank - 2)))
    attributes = {key: value for key, value in node.attributes.items() if key != "auto_pad"}
    attributes["pads"] = tuple((widths[:, 2:].reshape(-1) + np.asarray(own)).tolist())
    return [replace(node, inputs=(pad.inputs[0], *node.inputs[1:]), attributes=attributes)]


def _is_zero(scene: Scene, pad: Node) -> bool:
    value = scene.value(pad.inputs[2]) if len(pad.inputs) > 2 and pad.inputs[2] else np.zeros(1)
    constant = pad.attributes.get("mode", "constant") == "constant" and pad.attributes.get("value", 0.0) == 0.0
    return constant and value is not None and not np.any(value)
