"""Signed integers shifted as unsigned ones, with the sign put back: PyTorch's newer exporter writes shifts so.

Cast(BitShift(Cast(x), k))                                              x 2^k
Where(x < 0, Cast(BitShift(Cast(x), k) | ones above), Cast(..))         x / 2^k, rounded down
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite


def signed_shifts(graph: Graph, hidden: bool = False) -> Graph:
    """The rewrite; not of a hidden model, whose constants it would compare."""
    return graph if hidden else rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if node.op == "Cast":
        return _left(scene, node)
    return _right(scene, node) if node.op == "Where" else None


def _shifted(scene: Scene, name: str, direction: str) -> tuple[str, str] | None:
    """(x, 2^k) where `name` is x, a signed integer, as an unsigned one shifted by a constant k."""
    shift = scene.maker(name)
    if shift is None or shift.op != "BitShift" or shift.attributes.get("direction") != direction:
        return None
    unsigned, by = scene.maker(shift.inputs[0]), scene.value(shift.inputs[1])
    if unsigned is None or unsigned.op != "Cast" or by is None:
        return None
    x = unsigned.inputs[0]
    kind, made = scene.tensors[x].dtype, scene.tensors[name].dtype
    if kind.kind != "i" or made.kind != "u" or kind.itemsize != made.itemsize or np.any(by >= 8 * kind.itemsize - 1):
        return None
    return x, scene.constant(x, np.left_shift(np.ones_like(by), by).astype(kind), public=True)


def _left(scene: Scene, node: Node) -> list[Node] | None:
    found = _shifted(scene, node.inputs[0], "LEFT")
    if found is None or scene.tensors[node.outputs[0]].dtype != scene.tensors[found[0]].dtype:
        return None
    steps = Steps(scene, node)
    return steps.finish(steps.apply("Mul", *found))


def _right(scene: Scene, node: Node) -> list[Node] | None:
    """Where(x < 0, shifted | ones above, shifted)."""
    negative, *cast = (scene.maker(name) for name in node.inputs)
    if negative is None or negative.op != "Less" or any(one is None or one.op != "Cast" for one in cast):
        return None
    (filled,), (plain,) = (one.inputs for one in cast if one is not None)
    ones, found = scene.maker(filled), _shifted(scene, plain, "RIGHT")
    if found is None or ones is None or ones.op != "BitwiseOr" or plain not in ones.inputs:
        return None
    x, power = found
    mask = scene.value(next((name for name in ones.inputs if name != plain), plain))
    kind, value = scene.tensors[x].dtype, scene.value(power)
    if mask is None or value is None or scene.tensors[node.outputs[0]].dtype != kind:
        return None
    whole = 1 << 8 * kind.itemsize
    if np.any(mask.astype(object) != whole - whole // value.astype(object)):
        return None
    zero = scene.value(negative.inputs[1])
    if negative.inputs[0] != x or zero is None or np.any(zero):
        return None
    steps = Steps(scene, node)
    exact = steps.apply("Sub", x, steps.apply("Mod", x, power))
    return steps.finish(steps.apply("Div", exact, power))
