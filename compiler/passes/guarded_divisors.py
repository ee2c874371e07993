"""Quotients that are chosen only where their divisor is not zero: the divisor is one elsewhere.

    Where(Equal(d, 0), c, Div(x, d))        becomes     Where(Equal(d, 0), c, Div(x, Where(Equal(d, 0), 1, d)))
    Where(Equal(d, 0), 0, Div(x, d))                    Mul(x, Where(Equal(d, 0), 0, 1 / Where(Equal(d, 0), 1, d)))

The condition may be any function of the divisor alone (d > 0, abs(d) > e) that is decided by its value at zero. So no
tensor is infinite on the calibration data; and of zeros, as divide_no_nan and its kin have them, the second factor is
one table. Not of a private model, whose constants it would look at.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops import find
from plonnx.compiler.passes.rewrite import Scene, rewrite

_DEEPEST = 4
"""Nodes between a divisor and the condition that looks at it."""


def guarded_divisors(graph: Graph, hidden: bool = False) -> Graph:
    """The rewrite."""
    return graph if hidden else rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if node.op != "Where" or node.domain or scene.tensors[node.outputs[0]].dtype.kind != "f":
        return None
    condition = node.inputs[0]
    for place in (1, 2):
        quotient = scene.producer(node.inputs[place], "Div")
        if quotient is None or quotient.domain or scene.value(quotient.inputs[1]) is not None:
            continue
        (x, divisor), other = quotient.inputs, scene.value(node.inputs[3 - place])
        decided = _at_zero(scene, condition, divisor, _DEEPEST)
        if decided is None or decided.size != 1 or bool(decided.reshape(-1)[0]) == (place == 1):
            continue
        steps = Steps(scene, node)

        def chosen(name: str, otherwise: str, steps: Steps = steps, place: int = place) -> str:
            branches = (name, otherwise) if place == 1 else (otherwise, name)
            return steps.apply("Where", condition, *branches)

        one = steps.constant(np.array(1.0), public=True)
        safe = chosen(divisor, one)
        if other is not None and not np.any(other) and scene.shape(condition) == scene.shape(divisor):
            share = chosen(steps.apply("Div", one, safe), steps.constant(np.array(0.0), public=True))
            if scene.shape(node.outputs[0]) == np.broadcast_shapes(scene.shape(x), scene.shape(share)):
                return steps.finish(steps.apply("Mul", x, share))
        inputs = list(node.inputs)
        inputs[place] = steps.apply("Div", x, safe)
        return [*steps.nodes, replace(node, inputs=tuple(inputs))]
    return None


def _at_zero(scene: Scene, name: str, divisor: str, depth: int) -> Array | None:
    """What a function of the divisor alone is where that is zero; None of anything else."""
    if name == divisor:
        return np.zeros(1)
    value, maker = scene.value(name), scene.maker(name)
    if value is not None:
        return value.reshape(-1) if value.size == 1 else None
    operator = None if maker is None or not depth else find(maker)
    if maker is None or operator is None or operator.real is None or not all(maker.inputs):
        return None
    operands = [_at_zero(scene, each, divisor, depth - 1) for each in maker.inputs]
    if any(operand is None for operand in operands):
        return None
    with np.errstate(all="ignore"):
        return np.asarray(operator.real(maker.attributes, *operands))
