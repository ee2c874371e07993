"""Where: a choice between two tensors, element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Node
from plonnx.compiler.ops.registry import expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene


@expands("Where", since=9)
def where(scene: Scene, node: Node) -> list[Node]:
    """By a constant condition: entries gathered from both tensors, which is free but for the constants among them."""
    steps, condition = Steps(scene, node), scene.value(node.inputs[0])
    if condition is None:
        raise steps.refuse("its condition must be a constant of the model")
    shape = scene.shape(node.outputs[0])
    chosen = np.broadcast_to(condition, shape)
    places, parts, start = np.zeros(shape, np.int64), list[str](), 0
    for name, taken in ((node.inputs[1], chosen), (node.inputs[2], ~chosen)):
        if not taken.any():
            continue
        value, own = scene.value(name), scene.shape(name)
        if value is None:
            size = int(np.prod(own, dtype=np.int64))
            places[taken] = start + np.broadcast_to(np.arange(size).reshape(own), shape)[taken]
            parts.append(name)
        elif value.size == 1:
            size = 1
            places[taken] = start
            parts.append(steps.constant(value.reshape(1)))
        else:
            size = int(taken.sum())
            places[taken] = start + np.arange(size)
            parts.append(steps.constant(np.broadcast_to(value, shape)[taken]))
        start += size
    return steps.finish(steps.gather(parts, places))
