"""Random forests as the attributes of ai.onnx.ml's tree ensembles, over features that are multiples of 1/8 in [-2, 2].

Some thresholds are such multiples, others lie between two: a decision that is off by one step shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import RandomState
from onnx import TensorProto, helper

from tests.compiler.learned import Array

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
FEATURES = 4


def grid(r: RandomState, count: int, rows: int = 1) -> Array:
    """Samples of the features."""
    return r.randint(-16, 17, (count, rows, FEATURES)) / 8.0


@dataclass
class Grown:
    """Inner nodes with (feature, mode, threshold, false edge, true edge), leaves with a value for each target.

    An edge is a node's number, or -1 - leaf.
    """

    r: RandomState
    targets: int
    modes: list[str]
    depth: int
    low: float = -1.0
    sparse: bool = False
    nodes: list[list[Any]] = field(default_factory=list)
    leaves: list[Array] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def grow(self, trees: int) -> Grown:
        """Some trees; the first two have a depth that is known, so that every forest has a deep and a flat one."""
        for tree in range(trees):
            self.roots.append(
                self._node(self.depth if tree == 0 else self.r.randint(1, self.depth + 1), tree == 0, True)
            )
        return self

    def _node(self, depth: int, full: bool, root: bool = False) -> int:
        if depth == 0 or (not (full or root) and self.r.rand() < 0.2):
            value = self.r.uniform(self.low, 1.0, self.targets)
            if self.sparse:
                value[np.arange(self.targets) != self.r.randint(self.targets)] = 0.0
            self.leaves.append(value.astype(np.float32))
            return -len(self.leaves)
        threshold = self.r.randint(-12, 13) / 8.0 + self.r.choice([0.0, 0.03])
        place = len(self.nodes)
        node = [int(self.r.randint(FEATURES)), str(self.r.choice(self.modes)), float(np.float32(threshold))]
        self.nodes.append(node)
        node += [self._node(depth - 1, full), self._node(depth - 1, full)]
        return place

    def by_number(self, kind: str, **more: Any) -> dict[str, Any]:
        """As TreeEnsembleRegressor ("target") and TreeEnsembleClassifier ("class") have it, leaves and nodes mixed."""
        rows: list[tuple[int, int, list[Any] | None]] = []
        numbers: dict[tuple[int, int], int] = {}
        for tree, root in enumerate(self.roots):
            self._number(tree, root, rows, numbers, len(rows))
        found: dict[str, list[Any]] = {name: [] for name in _NODES}
        scores: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
        for tree, edge, node in rows:
            feature, mode, threshold, false, true = node or (0, "LEAF", 0.0, 0, 0)
            below = [numbers[tree, e] if node else 0 for e in (false, true)]
            values = tree, numbers[tree, edge], feature, mode, threshold, *below
            for name, value in zip(_NODES, values, strict=True):
                found[name].append(value)
            for target, weight in enumerate(self.leaves[-1 - edge]) if node is None else ():
                if weight != 0.0:
                    for name, value in zip(scores, (tree, numbers[tree, edge], target, float(weight)), strict=True):
                        scores[name].append(value)
        return {
            **{f"nodes_{name}": values for name, values in found.items()},
            **{f"{kind}_{name}": values for name, values in scores.items()},
            **more,
        }

    def _number(self, tree: int, edge: int, rows: list[Any], numbers: dict[tuple[int, int], int], before: int) -> None:
        numbers[tree, edge] = len(rows) - before
        rows.append((tree, edge, self.nodes[edge] if edge >= 0 else None))
        for below in self.nodes[edge][3:] if edge >= 0 else ():
            self._number(tree, below, rows, numbers, before)

    def apart(self, **more: Any) -> dict[str, Any]:
        """As TreeEnsemble has it; of a leaf the first target that is not zero."""
        edges = np.array([node[3:] for node in self.nodes])
        targets = [int(np.argmax(value != 0)) for value in self.leaves]
        weights = [float(value[target]) for value, target in zip(self.leaves, targets, strict=True)]
        kinds = [[*MODES, "BRANCH_MEMBER"].index(node[1]) for node in self.nodes]
        members = [node for node in self.nodes if node[1] == "BRANCH_MEMBER"]
        sets = [x for node in members for x in (1.0, 2.0, np.nan)[node[0] % 2 :]]  # onnxruntime gets others wrong
        return {
            "nodes_featureids": [node[0] for node in self.nodes],
            "nodes_modes": _tensor(kinds, TensorProto.UINT8),
            "nodes_splits": _tensor([node[2] for node in self.nodes], TensorProto.FLOAT),
            "leaf_targetids": targets,
            "leaf_weights": _tensor(weights, TensorProto.FLOAT),
            "tree_roots": self.roots,
            "n_targets": self.targets,
            **{
                f"nodes_{side}leafs": (edges[:, k] < 0).astype(int).tolist() for k, side in enumerate(("false", "true"))
            },
            **{
                f"nodes_{side}nodeids": np.where(edges[:, k] < 0, -1 - edges[:, k], edges[:, k]).tolist()
                for k, side in enumerate(("false", "true"))
            },
            **({"membership_values": _tensor(sets, TensorProto.FLOAT)} if sets else {}),
            **more,
        }


_NODES = ("treeids", "nodeids", "featureids", "modes", "values", "falsenodeids", "truenodeids")


def _tensor(values: list[Any], kind: int) -> TensorProto:
    return helper.make_tensor("t", kind, (len(values),), values)
