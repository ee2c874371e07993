"""Pools against onnxruntime, and maxima exactly against a slow numpy pool."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.compiler.graph import CompileError, Graph, Node, Tensor
from plonnx.compiler.lower import lower
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.window import WindowSum
from plonnx.gadgets.maximum import Maximum
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from tests.compiler.small import (
    assert_accurate,
    assert_as_onnxruntime,
    assert_proves,
    compiled,
    onnx_model,
    random_samples,
)

BITS = 12


@st.composite
def windows(draw: st.DrawFn) -> list[tuple[int, int, int, int, int, int]]:
    """(extent, kernel, stride, dilation, head, tail) of one to three axes; every window meets the grid."""
    axes = []
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        dilation = draw(st.integers(1, 2)) if kernel > 1 else 1
        head, tail = (draw(st.integers(0, kernel - 1)) for _ in range(2))
        if dilation > 1:
            head, tail = min(head, 1), min(tail, 1)
        extent = draw(st.integers((kernel - 1) * dilation + 1, 6))
        axes.append((extent, kernel, stride, dilation, head, tail))
    return axes


def slow_max_pool(x: NDArray[np.int64], axes: list[tuple[int, ...]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The definition, window by window."""
    y = np.zeros((*x.shape[:2], *shape), np.int64)
    for n, c in product(range(x.shape[0]), range(x.shape[1])):
        for q in product(*map(range, shape)):
            seen = []
            for t in product(*(range(axis[1]) for axis in axes)):
                place = tuple(s * a + d * b - head for a, b, (_, _, s, d, head, _) in zip(q, t, axes, strict=True))
                if all(0 <= a < axis[0] for a, axis in zip(place, axes, strict=True)):
                    seen.append(int(x[(n, c, *place)]))
            y[(n, c, *q)] = max(seen)
    return y


@settings(max_examples=40)
@given(axes=windows(), seed=st.integers(0, 99), batch=st.integers(1, 2))
def test_max_pool_is_exact(axes: list[tuple[int, ...]], seed: int, batch: int) -> None:
    extent, kernel, strides, dilations, heads, tails = zip(*axes, strict=True)
    shape = tuple((e + h + t - (d * (k - 1) + 1)) // s + 1 for e, k, s, d, h, t in axes)
    x = np.random.RandomState(seed).randint(0, 4096, (batch, 2, *extent))
    attributes = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": heads + tails}
    kind = np.dtype(np.float32)
    tensors = {
        "x": Tensor("x", x.shape, kind, scale=0, interval=(0, 4095)),
        "r": Tensor("r", x.shape, kind, scale=0, interval=(0, 4095)),
        "y": Tensor("y", (batch, 2, *shape), kind, scale=0, interval=(0, 4095)),
    }
    nodes = Node("Relu", ("x",), ("r",), {}, 14), Node("MaxPool", ("r",), ("y",), attributes, 12)
    builder = lower(Graph("small", {"": 17}, ("x",), (("y", "y"),), nodes, tensors), BITS)
    assert len(builder.blocks) == 2 - (kernel == (1,) * len(kernel))
    np.testing.assert_array_equal(builder.evaluate({"x": x[None]})["y"][0], slow_max_pool(x, axes, shape))


MAX = "float[1,2,7,6] x"
POOLS: list[tuple[str, str]] = [
    (MAX, "y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)"),
    (MAX, "y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x)"),
    (MAX, "r = Relu(x) y = MaxPool<kernel_shape = [3, 2], dilations = [2, 1], pads = [1, 0, 1, 0]>(r)"),
    (MAX, "y = MaxPool<kernel_shape = [3, 2], strides = [2, 2], ceil_mode = 1>(x)"),
    (MAX, "y = MaxPool<kernel_shape = [2, 3], strides = [3, 2], ceil_mode = 1, pads = [1, 1, 1, 1]>(x)"),
    *[
        (MAX, f'y = {op}<auto_pad = "{mode}", kernel_shape = [3, 2], strides = [2, 2]>(x)')
        for op in ("MaxPool", "AveragePool")
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ],
    ("float[2,3,9] x", "y = MaxPool<kernel_shape = [3], strides = [2]>(x)"),
    ("float[1,2,4,4,3] x", "y = MaxPool<kernel_shape = [2, 2, 2]>(x)"),
    (MAX, "y = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x)"),
    (MAX, "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x)"),
    (MAX, "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 0, 1], count_include_pad = 1>(x)"),
    (MAX, "y = AveragePool<kernel_shape = [2, 3], strides = [2, 2], ceil_mode = 1>(x)"),
    (MAX, "y = AveragePool<kernel_shape = [2, 2], dilations = [2, 2], pads = [1, 1, 1, 1]>(x)"),
    (
        MAX,
        "y = AveragePool<kernel_shape = [3, 3], strides = [3, 2], ceil_mode = 1, pads = [1, 1, 1, 1],"
        " count_include_pad = 1>(x)",
    ),
    ("float[2,3,8] x", "y = MaxPool<kernel_shape = [1], strides = [2], ceil_mode = 1>(x)"),
    ("float[2,3,5] x", 'y = AveragePool<kernel_shape = [1], strides = [3], auto_pad = "VALID", ceil_mode = 1>(x)'),
    ("float[2,3,9] x", "y = AveragePool<kernel_shape = [4], strides = [3]>(x)"),
    ("float[1,2,4,4,3] x", "y = AveragePool<kernel_shape = [2, 2, 2], strides = [2, 2, 1]>(x)"),
    (MAX, "y = GlobalAveragePool(x)"),
    (MAX, "y = GlobalMaxPool(x)"),
    (MAX, "y = GlobalLpPool<p = 1>(x)"),
    (MAX, "y = GlobalLpPool<p = 2>(x)"),
    (MAX, "y = LpPool<kernel_shape = [3, 2], p = 1, pads = [1, 0, 1, 0]>(x)"),
    (MAX, "y = LpPool<kernel_shape = [3, 3], strides = [2, 2]>(x)"),
    (MAX, "y = LpPool<kernel_shape = [3, 3], p = 3, dilations = [2, 1]>(x)"),
    (MAX, "y = LpPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(x)"),
    ("float[2,3,9] x", 'y = LpPool<auto_pad = "SAME_UPPER", kernel_shape = [4], strides = [2]>(x)'),
]


@pytest.mark.parametrize(("x", "body"), POOLS, ids=[f"{case[0]} {case[1]}" for case in POOLS])
def test_close_to_onnxruntime(tmp_path: Path, x: str, body: str) -> None:
    axes = ",".join("ABCDE"[: x.count(",") + 1])
    opset = 17 if "GlobalLp" in body else 22  # onnxruntime has no GlobalLpPool of version 22
    assert_accurate(compiled(tmp_path, f"{x}) => (float[{axes}] y)", body, opset=opset, table_bits=14), 0.01)


@pytest.mark.parametrize("opset", [7, 10, 12])
def test_old_versions(tmp_path: Path, opset: int) -> None:
    body = "a = MaxPool<kernel_shape = [2, 2]>(x) y = AveragePool<kernel_shape = [3, 2], pads = [1, 1, 1, 0]>(a)"
    assert_accurate(compiled(tmp_path, f"{MAX}) => (float[A,B,C,D] y)", body, opset=opset))


def test_maxima_of_what_is_not_negative_need_no_rescaling(tmp_path: Path) -> None:
    """A signed operand is rescaled first, to half its scale: as many units again."""
    pool = "MaxPool<kernel_shape = [2, 2], strides = [2, 2]>"
    signature = "float[1,2,4,4] x) => (float[1,2,2,2] y)"
    positive = compiled(tmp_path, signature, f"r = Relu(x) t = Transpose<perm = [0, 1, 3, 2]>(r) y = {pool}(t)")
    signed = compiled(tmp_path, signature, f"y = {pool}(x)")
    assert positive.builder.unit_count == 32 + 8
    assert signed.builder.unit_count == 32 + 32 + 8
    assert positive.facts.outputs[0].scales == signed.facts.outputs[0].scales + 1
    assert sum(isinstance(block, Maximum) for block in signed.builder.blocks) == 1


IN_PLACE = [
    "kernel_shape = [2, 2], strides = [2, 2]",
    "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
    "kernel_shape = [1, 3], strides = [1, 2], ceil_mode = 1",
    "kernel_shape = [2, 2], dilations = [2, 1]",
]


@pytest.mark.parametrize("attributes", IN_PLACE)
def test_pools_of_large_layers_are_differences_to_the_same_integers(
    tmp_path: Path, attributes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is copied but where the rows of a public tensor end; a private model copies the windows."""
    signature, kernel = "float[1,2,12,12] x) => (float[A,B,C,D] y)", np.linspace(-1, 1, 16 * 2).reshape(16, 2, 1, 1)
    body = f"c = Conv(x, w) r = Relu(c) p = MaxPool<{attributes}>(r) y = Conv(p, v)"
    constants = {"w": kernel, "v": np.linspace(-1, 1, 4 * 16 * 4).reshape(4, 16, 2, 2)}
    made = compiled(tmp_path, signature, body, constants)
    hidden = compiled(tmp_path, signature, body, constants, model="private")
    kinds = [[type(block) for block in each.builder.blocks] for each in (made, hidden)]
    assert WindowSum in kinds[0] and Maximum not in kinds[0]
    assert WindowSum not in kinds[1] and Maximum in kinds[1]
    layout = Layout(made.builder, Shape(0, 4, 4, 1))
    assert not [place.name for place in layout.places if place.because and not place.name.startswith("public")]
    monkeypatch.setattr("plonnx.compiler.fixed_point.windows._LARGE_FOR_MAXIMA", 1 << 20)
    copied = compiled(tmp_path, signature, body, constants)
    assert Maximum in [type(block) for block in copied.builder.blocks]
    samples = random_samples(made.graph, 8)
    np.testing.assert_array_equal(made.evaluate(samples)["y"], copied.evaluate(samples)["y"])


@pytest.mark.parametrize(("pads", "kind"), [((1, 1, 0, 0), Maximum), ((0, 0, 0, 0), WindowSum)])
def test_a_pool_of_negative_values_in_padding_copies(pads: tuple[int, ...], kind: type) -> None:
    """An absent cell is a zero, which would be the largest."""
    x, float32 = -np.random.default_rng(1).integers(1, 1000, (1, 16, 12, 12)), np.dtype(np.float32)
    shape = (1, 16, 6, 6)
    tensors = {
        "x": Tensor("x", x.shape, float32, scale=0, interval=(-1000, 1000)),
        "w": Tensor("w", (16, 1, 1, 1), float32, np.full((16, 1, 1, 1), 0.25, np.float32)),
        "c": Tensor("c", x.shape, float32, scale=0, interval=(-1000, 1000)),
        "y": Tensor("y", shape, float32, scale=0, interval=(-1000, 1000)),
    }
    attributes = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": pads}
    nodes = Node("Conv", ("x", "w"), ("c",), {"group": 16}, 11), Node("MaxPool", ("c",), ("y",), attributes, 12)
    builder = lower(Graph("small", {"": 17}, ("x",), (("y", "y"),), nodes, tensors), BITS)
    assert {type(block) for block in builder.blocks} & {Maximum, WindowSum} == {kind}
    axes = [(12, 2, 2, 1, pads[0], pads[2]), (12, 2, 2, 1, pads[1], pads[3])]
    expected = slow_max_pool((x + 2) // 4, axes, shape[2:])
    np.testing.assert_array_equal(builder.evaluate({"x": x[None]})["y"][0], expected)


def test_windows_of_one_divisor_are_one_matrix(tmp_path: Path) -> None:
    def blocks(attributes: str) -> int:
        body = f"y = AveragePool<kernel_shape = [3, 3], {attributes}>(x)"
        made = compiled(tmp_path, f"{MAX}) => (float[A,B,C,D] y)", body)
        return sum(isinstance(block, Convolution) for block in made.builder.blocks)

    assert blocks("strides = [2, 2]") == 1
    assert blocks("pads = [1, 1, 1, 1], count_include_pad = 1") == 1
    assert blocks("pads = [1, 1, 1, 1]") == 3


@pytest.mark.parametrize(
    ("signature", "body", "constants", "message"),
    [
        (
            "float[1,1,3,3] z) => (float[A,B,C,D] y)",
            "p = MaxPool<kernel_shape = [2, 2], dilations = [4, 1], pads = [2, 0, 2, 0]>(z) y = Relu(p)",
            {},
            r"\(MaxPool\): one of its windows lies in the padding",
        ),
        (
            "float[1,1,3] z) => (float[A,B,C] y)",
            "y = MaxPool<kernel_shape = [4], strides = [4]>(z)",
            {},
            r"\(MaxPool\): its kernel is larger than its padded operand",
        ),
        (
            "float[1,1,6] z) => (float[A,B,C] y)",
            'y = LpPool<kernel_shape = [1], strides = [2], auto_pad = "SAME_UPPER">(z)',
            {},
            r"\(LpPool\): runtimes do not agree on what auto_pad pads here; give pads",
        ),
    ],
)
def test_refused(tmp_path: Path, signature: str, body: str, constants: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compiled(tmp_path, signature, body, constants)


@settings(max_examples=10, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    padded=st.booleans(),
    order=st.integers(0, 1),
)
def test_indices(kernel: tuple[int, int], stride: int, dilation: int, padded: bool, order: int) -> None:
    """Exactly onnxruntime's, of values of which many are equal."""
    pads = [(k - 1) // 2 if padded else 0 for k in kernel] * 2
    body = f"y, i = MaxPool<kernel_shape = {list(kernel)}, strides = [{stride}, {stride}], pads = {pads},"
    body += f" dilations = [{dilation}, {dilation}], storage_order = {order}>(x)"
    model = onnx_model("float[2,2,5,6] x) => (float[A,B,C,D] y, int64[A,B,C,D] i)", body)
    x = np.random.RandomState(0).randint(-2, 3, (16, 2, 2, 5, 6)).astype(np.float32)
    assert_as_onnxruntime(model, {"x": x})


def test_what_is_pooled_is_put_back() -> None:
    """By computed indices, which are all that is read of one pool."""
    body = """y, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
        z, j = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
        u = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(y, i)"""
    x = np.random.RandomState(0).randint(-16, 17, (16, 1, 2, 4, 4)).astype(np.float32) / 16
    made = "(float[1,2,4,4] u, int64[1,2,2,2] j)"
    assert_as_onnxruntime(onnx_model(f"float[1,2,4,4] x) => {made}", body), {"x": x})


def test_indices_hold_in_the_circuit() -> None:
    model = onnx_model(
        "float[1,1,2,3] x) => (float[A,B,C,D] y, int64[A,B,C,D] i)", "y, i = MaxPool<kernel_shape = [1, 2]>(x)"
    )
    assert_proves(
        model, {"x": np.random.RandomState(0).randint(-2, 3, (16, 1, 1, 2, 3)).astype(np.float32)}, table_bits=8
    )
