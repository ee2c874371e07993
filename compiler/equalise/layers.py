"""Layers: their weights take the operand's exponents and give any along their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plonnx.compiler.channels import DEEPEST, Exponents, exponents_along
from plonnx.compiler.equalise.choices import Choices
from plonnx.compiler.graph import Array, Node
from plonnx.compiler.passes.fold_into_convolution import along_channels
from plonnx.compiler.passes.fold_into_gemm import gemm_parts

_ALIKE = 2
"""Exponents of a sum that stay what they are where others would differ by at most so much."""


class Layers(Choices):
    """A rule for each: whether the node was written, with its exponents moved."""

    def _linear(self, node: Node) -> bool:
        rule = {"Gemm": self._gemm, "MatMul": self._matmul}.get(node.op, self._convolved)
        return rule(node)

    def _gemm(self, node: Node) -> bool:
        before = self._channels(node.inputs[0], -1)
        if before is None:
            return False
        out = node.outputs[0]
        after = self._of_stream(out)
        after = self._choice(out, 1) if after is None else after
        parts = gemm_parts(self.scene, node) if before.any() or after.any() else None
        if parts is None:
            return False
        weights, bias = parts
        columns = -after[0]
        constants = np.ldexp(weights, before[:, None] + columns), np.ldexp(bias, columns)
        return self._layer(node, constants, after)

    def _of_stream(self, out: str) -> Exponents | None:
        """The exponents of a layer that is added to something: those that the sum needs, if possible the other's.

        A layer takes any at no cost, where the other one would be rescaled, element by element.
        """
        name = out
        while len(self.readers.get(name, [])) == 1 and self.readers[name][0].op == "Reshape":
            name = self.readers[name][0].outputs[0]
        reader = self.readers[name][0] if len(self.readers.get(name, [])) == 1 else None
        if reader is None or reader.op != "Add" or not self.freedom.inner or reader.outputs[0] not in self.to_layers:
            return None
        total = reader.outputs[0]
        (other,) = (n for n in reader.inputs if n != name) if reader.inputs[0] != reader.inputs[1] else ("",)
        shape = self.scene.shape(total)
        if not other or self.scene.value(other) is not None or any(self.scene.shape(n) != shape for n in (name, other)):
            return None
        if self.scene.shape(out)[-1] != shape[-1]:
            return None
        needed, own = exponents_along(self.reach[total], len(shape) - 1, DEEPEST), self._exponents(other)
        wanted = np.zeros(shape, np.int64) if needed is None else needed
        if np.ptp(wanted - own) <= _ALIKE:
            wanted = own
        self.streams[total] = wanted
        return np.array(wanted.reshape(self.scene.shape(out)))

    def _matmul(self, node: Node) -> bool:
        a, b = node.inputs
        left, right = self.scene.value(a), self.scene.value(b)
        out = node.outputs[0]
        if left is None and right is not None:
            before = self._channels(a, -1)
            after = self._choice(out, len(self.scene.shape(out)) - 1) if right.ndim == 2 else None
            if before is None:
                return False
            after = np.zeros(self.scene.shape(out), np.int64) if after is None else after
            if not before.any() and not after.any():
                return False
            columns = -after.reshape(-1, after.shape[-1])[0] if right.ndim == 2 else np.zeros(1, np.int64)
            powers = before if right.ndim == 1 else before[:, None] + columns
            made = self._constant(b, np.ldexp(right.astype(np.float64), powers).astype(right.dtype))
            return self._emit(replace(node, inputs=(self._name(a), made), outputs=(self._hold(out, after),)))
        if left is not None and b in self.held:
            rows = self._channels(b, -2 if len(self.scene.shape(b)) > 1 else -1)
            if rows is None:
                return False
            made = self._constant(a, np.ldexp(left.astype(np.float64), rows).astype(left.dtype))
            return self._emit(replace(node, inputs=(made, self._name(b))))
        return False

    def _convolved(self, node: Node) -> bool:
        kernel = self.scene.value(node.inputs[1])
        bias = self.scene.value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        before = self._channels(node.inputs[0], 1)
        given = len(node.inputs) > 2 and bool(node.inputs[2])
        if kernel is None or before is None or (given and bias is None):
            return False
        out = node.outputs[0]
        after = self._choice(out, 1)
        if not before.any() and not after.any():
            return False
        columns = -after.reshape(*after.shape[:2], -1)[0, :, 0]
        scaled = along_channels(node, kernel.astype(np.float64), np.ldexp(1.0, before), of_output=False)
        scaled = along_channels(node, scaled, np.ldexp(1.0, columns), of_output=True)
        constants = (scaled,) if bias is None else (scaled, np.ldexp(bias.astype(np.float64), columns))
        return self._layer(node, constants, after)

    def _layer(self, node: Node, constants: Sequence[Array], after: Exponents) -> bool:
        dtype = self.scene.tensors[node.outputs[0]].dtype
        names = tuple(self._constant(node.outputs[0], value.astype(dtype)) for value in constants)
        made = self._hold(node.outputs[0], after)
        return self._emit(replace(node, inputs=(self._name(node.inputs[0]), *names), outputs=(made,)))
