"""What is computed of one tree's value alone goes into its leaves.

    LabelEncoder(Cast(tree(x))), Log(tree(x) + 1), ..      becomes      another tree(x)

So exporters write isolation forests: a tree gives the number of its leaf, two encoders look up what is known of it, and
logarithms make a path's length of that. Of public models, whose leaves everybody may compute.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import numpy_helper

from plonnx.compiler.expansion import Steps
from plonnx.compiler.float_model import Unevaluable
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops.ml_forest import is_forest
from plonnx.compiler.ops.ml_scores import given
from plonnx.compiler.passes.dead_code import dead_code
from plonnx.compiler.passes.rewrite import Scene
from plonnx.compiler.tabulated import Formula, before, of_one, read_outside, sources, spread

_MOST = 2
"""Results of one tree: each takes a tree of its own."""


def with_values_in_leaves(graph: Graph, hidden: bool = False) -> Graph:
    """The graph with such trees."""
    trees = {node.outputs[0]: node for node in graph.nodes if _is_plain_tree(node)}
    if hidden or not trees:
        return graph
    makers = {name: place for place, node in enumerate(graph.nodes) for name in node.outputs}
    found = sources(graph)
    read = read_outside(graph, found)
    ends: dict[str, list[str]] = {}
    for node in graph.nodes:
        (end, *others), tree = node.outputs, found[node.outputs[0]]
        if end in read and not others and tree in trees and end != tree and graph.tensors[end].dtype.kind == "f":
            ends.setdefault(tree, []).append(end)
    chosen = {end: tree for tree, those in ends.items() if len(those) <= _MOST for end in those}
    scene, nodes = Scene(graph), list[Node]()
    for node in graph.nodes:
        made, end = None, node.outputs[0]
        if end in chosen:
            chain = [graph.nodes[place] for place in before(graph, makers, end, chosen[end])]
            made = _tree(scene, trees[chosen[end]], chain)
        nodes += [node] if made is None else made
    return dead_code(graph.with_nodes(nodes, scene.tensors))


def _is_plain_tree(node: Node) -> bool:
    """One tree, with one weight at each leaf, which is its value."""
    held = node.attributes
    plain = held.get("post_transform", "NONE") == "NONE" and held.get("aggregate_function", "SUM") == "SUM"
    if not is_forest(node) or node.op == "TreeEnsemble" or int(held.get("n_targets", 1)) != 1 or not plain:
        return False
    leaves = [mode == "LEAF" for mode in held.get("nodes_modes", ())]
    numbers = given(node, "target_nodeids")
    one = np.unique(given(node, "nodes_treeids")).size == 1 and np.unique(numbers).size == numbers.size
    return bool(one and numbers.size == sum(leaves) and given(node, "base_values").size <= 1)


def _tree(scene: Scene, tree: Node, chain: list[Node]) -> list[Node] | None:
    """A tree whose values are the chain's of its own; None where one has no value, or rows have constants of their own.

    A tree has one value at a leaf, whichever row reaches it.
    """
    graph, end = scene.graph, chain[-1]
    x = graph.tensors[tree.outputs[0]]
    steps = Steps(scene, end)
    constants = [spread(graph, node) for node in chain]
    if any(np.ptp(values) != 0 for held in constants for values in held.values()):
        return None
    body = [step for node, held in zip(chain, constants, strict=True) for step in of_one(graph, node, held, 0)]
    formula = Formula(x.name, end.outputs[0], x.dtype, graph.tensors[end.outputs[0]].dtype, body, graph.opsets)
    own = (
        given(tree, "target_weights").astype(np.float32) + given(tree, "base_values").astype(np.float32).sum()
    ).ravel()
    try:
        values: Array = formula(own)
    except Unevaluable:
        return None
    if not np.all(np.isfinite(values)):
        return None
    weights = numpy_helper.from_array(values.astype(np.float32), "weights")
    dropped = ("target_weights", "target_weights_as_tensor", "base_values", "base_values_as_tensor")
    kept = {name: value for name, value in tree.attributes.items() if name not in dropped}
    held = (
        {"target_weights_as_tensor": weights}
        if "target_weights_as_tensor" in tree.attributes
        else {"target_weights": tuple(numpy_helper.to_array(weights).tolist())}
    )
    made = scene.computed(end.outputs[0], x.shape, x.dtype)
    steps.nodes.append(replace(tree, outputs=(made,), attributes={**kept, **held}))
    shape = scene.shape(end.outputs[0])
    return steps.finish(steps.cast(made if shape == x.shape else steps.reshape(made, shape)))
