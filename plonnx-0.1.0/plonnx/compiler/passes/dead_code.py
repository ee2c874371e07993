"""Dead code: nodes and tensors from which no output can be reached.

    a = Relu(x);  b = Neg(x);  output a        becomes        a = Relu(x);  output a

The graph's inputs stay, read or not: they are part of the statement that is proved.
"""

from __future__ import annotations

from plonnx.compiler.graph import Graph


def dead_code(graph: Graph) -> Graph:
    """Drop what no output needs."""
    needed = {source for _, source in graph.outputs}
    kept = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(name for name in node.inputs if name)
    needed.update(graph.inputs, *(node.outputs for node in kept))
    return graph.with_nodes(reversed(kept), {name: t for name, t in graph.tensors.items() if name in needed})
