"""Sums of two products, and means by a share, as one gadget (compiler/sums_of_products.py), and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.sum import Sum
from plonnx.gadgets.product import Product
from plonnx.gadgets.product_sum import ProductSum
from tests.compiler.small import assert_accurate, assert_as_onnxruntime, assert_proves, onnx_model

N = 6
INPUTS = ("f", "c", "i", "g")
SIGNATURE = f"{', '.join(f'float[{N}] {name}' for name in INPUTS)}) => (float[{N}] y"


def samples(count: int = 40, seed: int = 0, reach: float = 1.0) -> dict[str, np.ndarray[Any, Any]]:
    draw = np.random.RandomState(seed).uniform
    return {name: draw(-reach, reach, (count, N)).astype(np.float32) for name in INPUTS}


def made(body: str, outputs: str = "", table_bits: int = 12, **options: Any) -> list[Gadget]:
    model = onnx_model(f"{SIGNATURE}{outputs})", body, {"w": np.array(0.3)})
    return quantized(model, samples(), Options(table_bits=table_bits, **options)).builder.blocks


def chains(blocks: list[Gadget]) -> list[int]:
    """The operands of each chain."""
    return [block.stride for block in blocks if isinstance(block, ProductSum)]


BODIES = {
    "a sum": ("a = Mul(f, c) b = Mul(i, g) y = Add(a, b)", 4),
    "a difference": ("a = Mul(f, c) b = Mul(i, g) y = Sub(a, b)", 4),
    "a difference the other way": ("k = Mul(g, w) a = Mul(f, c) b = Mul(i, k) y = Sub(b, a)", 4),
    "a factor twice": ("a = Mul(f, c) b = Mul(c, g) y = Add(a, b)", 4),
    "scales apart": ("s = Exp(f) t = Tanh(i) a = Mul(s, c) b = Mul(t, g) y = Add(b, a)", 4),
    "a mean": ("z = Sigmoid(f) d = Sub(c, g) p = Mul(z, d) y = Add(g, p)", 3),
    "a mean the other way": ("z = Sigmoid(f) d = Sub(c, g) p = Mul(d, z) y = Add(p, g)", 3),
}


@pytest.mark.parametrize(("body", "operands"), BODIES.values(), ids=BODIES)
def test_forms(body: str, operands: int) -> None:
    """On the samples that it is calibrated with and on others inside; and every constraint holds, of them alone."""
    blocks = made(body)
    assert chains(blocks) == [operands]
    assert not any(isinstance(block, Product) for block in blocks)
    model = onnx_model(f"{SIGNATURE})", body, {"w": np.array(0.3)})
    assert_accurate(assert_as_onnxruntime(model, samples(), 0.002, table_bits=14), 0.002)
    assert_proves(model, samples())


OTHERS = {
    "one product is read twice": ("a = Mul(f, c) b = Mul(i, g) y = Add(a, b) z = Neg(a)", f", float[{N}] z"),
    "one product is shown": ("a = Mul(f, c) b = Mul(i, g) y = Add(a, b) z = Identity(a)", f", float[{N}] z"),
    "the same twice": ("a = Mul(f, c) y = Add(a, a)", ""),
    "a square": ("a = Mul(f, f) b = Mul(i, g) y = Add(a, b)", ""),
    "a multiple": ("a = Mul(f, w) b = Mul(i, g) y = Add(a, b)", ""),
    "a number for all": ("s = ReduceMax<keepdims = 1>(f) a = Mul(s, c) b = Mul(i, g) y = Add(a, b)", ""),
    "a share that may be more than one": ("z = Exp(f) d = Sub(c, g) p = Mul(z, d) y = Add(g, p)", ""),
    "another difference": ("z = Sigmoid(f) d = Sub(g, c) p = Mul(z, d) y = Add(g, p)", ""),
    "a difference that is shown": ("z = Sigmoid(f) d = Sub(c, g) p = Mul(z, d) y = Add(g, p)", f", float[{N}] d"),
}


@pytest.mark.parametrize(("body", "outputs"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_such_sum(body: str, outputs: str) -> None:
    blocks = made(body, outputs)
    assert chains(blocks) == [] and any(isinstance(block, Sum | Product) for block in blocks)


def test_too_few_are_left() -> None:
    """They would cost every lane three cells in the proof."""
    more = (
        "p = Sin(c) q = Exp(i) r = Cos(q) s = Tanh(r) t = Sin(s) u = Exp(t) v = Add(u, p) k = Mul(v, q) l = Sub(k, c)"
    )
    long = f"{more} a = Mul(f, c) b = Mul(i, g) y = Add(a, b) z = Tile(l, n)"
    model = onnx_model(f"{SIGNATURE}, float[{12 * N}] z)", f"{long}", {"n": np.array([12])})
    assert chains(quantized(model, samples(), Options(table_bits=12)).builder.blocks) == [2, 4]  # copies are no work
    small = "d = Slice(f, o, e) h = Slice(i, o, e) a = Mul(d, h) j = Slice(g, o, e) k = Slice(c, o, e) b = Mul(j, k)"
    more = "m = Exp(f) n = Exp(c) p = Mul(m, n) q = Sin(p) r = Tanh(q) s = Mul(r, f) t = Mul(s, g) y = Exp(t)"
    body = f"{small} z = Add(a, b) {more}"
    ends = {"o": np.array([0]), "e": np.array([1])}
    blocks = quantized(onnx_model(f"{SIGNATURE}, float[1] z)", body, ends), samples(), Options(table_bits=12))
    assert chains(blocks.builder.blocks) == []


def recurrent(op: str, gates: int, hidden: int = 4, steps: int = 3) -> tuple[Any, dict[str, Any]]:
    r = np.random.RandomState(3)
    shapes = {"W": (1, gates * hidden, 3), "R": (1, gates * hidden, hidden), "B": (1, 2 * gates * hidden)}
    constants = {name: r.uniform(-0.7, 0.7, shape) for name, shape in shapes.items()}
    model = onnx_model(
        f"float[{steps},1,3] X) => (float[1,1,{hidden}] Y)",
        f"U, Y = {op}<hidden_size = {hidden}>(X, W, R, B)",
        constants,
    )
    return model, {"X": r.uniform(-1, 1, (30, steps, 1, 3)).astype(np.float32)}


@pytest.mark.parametrize(("op", "gates", "strides"), [("LSTM", 4, {2, 4}), ("GRU", 3, {2, 3})])
def test_the_states_of_a_recurrence(op: str, gates: int, strides: set[int]) -> None:
    """A step's state is one gadget, and its other products are chains too: no product of another kind, no rescaling."""
    model, given = recurrent(op, gates)
    blocks = quantized(model, given, Options(table_bits=11)).builder.blocks
    assert set(chains(blocks)) == strides and not any(isinstance(block, Product) for block in blocks)
    assert sum(block.name.endswith("~") for block in blocks) <= 1  # of the first step
    assert_as_onnxruntime(model, given, 0.01, table_bits=11)


def test_a_private_recurrence() -> None:
    model, given = recurrent("LSTM", 4)
    blocks = quantized(model, given, Options(table_bits=12, model="private")).builder.blocks
    assert set(chains(blocks)) == {2, 4}
