"""Compiling large graphs of many small nodes: what is done again for nothing, counted in calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from plonnx.compiler import table_search
from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import Graph, Node, Tensor
from plonnx.compiler.lower import lower
from plonnx.compiler.options import Options
from plonnx.compiler.passes.rewrite import Scene, rewrite
from plonnx.compiler.room import _Room
from plonnx.gadgets import Builder


def _residual(blocks: int) -> bytes:
    """x + V Sigmoid(W x), so many times, on two entries."""
    random, nodes, constants = np.random.RandomState(0), [], []
    name = "x"
    for block in range(blocks):
        for matrix in "wv":
            value = random.uniform(-0.5, 0.5, (2, 2)).astype(np.float32)
            constants.append(numpy_helper.from_array(value, f"{matrix}{block}"))
        nodes += [
            helper.make_node("MatMul", [name, f"w{block}"], [f"a{block}"]),
            helper.make_node("Sigmoid", [f"a{block}"], [f"s{block}"]),
            helper.make_node("MatMul", [f"s{block}", f"v{block}"], [f"m{block}"]),
            helper.make_node("Add", [name, f"m{block}"], [f"x{block}"]),
        ]
        name = f"x{block}"
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [1, 2]) for end in ("x", name)]
    body = helper.make_graph(nodes, "residual", ends[:1], ends[1:], constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    made: bytes = model.SerializeToString()
    return made


def _graph(nodes: list[Node]) -> Graph:
    """Of tensors of one shape, from the input x to the last node's output."""
    names = ["x", *(name for node in nodes for name in node.outputs)]
    tensors = {name: Tensor(name, (1,), np.dtype(np.float32)) for name in names}
    return Graph("graph", {"": 17}, ("x",), ((names[-1], names[-1]),), tuple(nodes), tensors)


def _chain(count: int) -> Graph:
    return _graph([Node("Relu", (f"r{i - 1}" if i else "x",), (f"r{i}",), {}, 14) for i in range(count)])


def test_a_circuit_is_built_once_for_each_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no table reaches the target, all are judged: small circuits are kept until then."""
    built: list[int] = []

    def counted(graph: Graph, bits: int, *others: Any) -> Builder:
        built.append(bits)
        return lower(graph, bits, *others)

    monkeypatch.setattr(table_search, "lower", counted)
    data = {"x": np.random.RandomState(1).uniform(-1, 1, (20, 1, 2)).astype(np.float32)}
    monkeypatch.setattr(table_search, "TABLE_BITS", range(8, 12))
    monkeypatch.setattr(table_search, "LARGER_TABLES", range(0))
    monkeypatch.setattr(table_search, "FREEDOMS", ())
    options = Options(error_target=1e-9)
    found = quantized(_residual(2), data, options)
    assert not found.report.reached
    assert built == [8, 11, 9, 10]  # the two in the middle are out of reach by what the first is off

    monkeypatch.setattr(table_search, "_KEPT", 0)  # of large ones there is one at a time
    built.clear()
    again = quantized(_residual(2), data, options)
    assert built[:4] == [8, 11, 9, 10] and built[4:]
    assert again.report == found.report


def test_a_pass_that_changes_nothing_copies_nothing() -> None:
    graph = _chain(3)
    assert rewrite(graph, lambda scene, node: None) is graph
    kept = graph.with_nodes(graph.nodes, renamed={"r0": "x"}).nodes
    assert kept[0] is graph.nodes[0] and kept[2] is graph.nodes[2]
    assert kept[1].inputs == ("x",)


def test_new_names_are_counted_on() -> None:
    """Each name is looked up once, however many constants are named after one tensor."""
    scene = Scene(_chain(1))
    asked: list[object] = []

    class Counted(dict[str, Tensor]):
        def __contains__(self, name: object) -> bool:
            asked.append(name)
            return super().__contains__(name)

    scene.tensors = Counted(scene.tensors)
    names = [scene.constant("x", np.zeros(1, np.float32)) for _ in range(20)]
    assert names == [f"x~{count}" for count in range(1, 21)]
    assert len(asked) == 20


def test_ways_that_part_and_meet_are_gone_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is seen through 30 joins of two views each, of 2^30 ways."""
    nodes, name = list[Node](), "x"
    for i in range(30):
        views = [Node("Identity", (name,), (f"{side}{i}",), {}, 14) for side in "ab"]
        nodes += [*views, Node("Concat", (f"a{i}", f"b{i}"), (f"c{i}",), {"axis": 0}, 13)]
        name = f"c{i}"
    graph = _graph(nodes)
    seen: list[Node] = []
    through = _Room._seen_through

    def counted(room: _Room, node: Node) -> tuple[str, ...]:
        seen.append(node)
        assert len(seen) <= len(nodes)
        return through(room, node)

    monkeypatch.setattr(_Room, "_seen_through", counted)
    limits = dict.fromkeys(graph.tensors, 1.0) | {"x": 3.0}
    assert _Room(graph, limits, False, 16).reach(name) == 3.0
