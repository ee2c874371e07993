"""Conv and ConvTranspose: exact against a slow sum over every tap, and close to onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.compiler.fixed_point import Call
from plonnx.compiler.graph import CompileError, Graph, Node, Tensor
from plonnx.compiler.lower import lower
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.layout import parts
from tests.compiler.small import (
    assert_accurate,
    assert_as_onnxruntime,
    assert_proves,
    compiled,
    in_some_layout,
    onnx_model,
)

Integers = NDArray[np.int64]
BITS = 12


@dataclass(frozen=True)
class Case:
    """A layer: everything that its attributes say."""

    x: tuple[int, ...]
    groups: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    outputs: int
    more: tuple[int, ...]

    @property
    def attributes(self) -> dict[str, Any]:
        heads, tails = zip(*self.pads, strict=True)
        names = {"strides": self.strides, "dilations": self.dilations, "pads": heads + tails, "group": self.groups}
        return names | ({"output_padding": self.more} if any(self.more) else {})


@st.composite
def cases(draw: st.DrawFn, transposed: bool) -> Case:
    """Small layers of one to three spatial axes whose result is not empty."""
    rank, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    most = 5 if rank < 3 else 3

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, strides, dilations = each(1, 3), each(1, 3), each(1, 2)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    pads = tuple(zip(each(0, 2), each(0, 2), strict=True))
    extents = tuple(max(e, r - sum(p)) for e, r, p in zip(each(1, most), reach, pads, strict=True))
    more = tuple(min(m, s - 1) for m, s in zip(each(0, 1), strides, strict=True))
    if transposed:
        sizes = [s * (e - 1) + r + m for s, e, r, m in zip(strides, extents, reach, more, strict=True)]
        pads = tuple((min(a, (n - 1) // 2), min(b, (n - 1) // 2)) for (a, b), n in zip(pads, sizes, strict=True))
    x = (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), *extents)
    return Case(x, groups, kernel, strides, dilations, pads, groups * draw(st.integers(1, 2)), more)


def meetings(case: Case, small: tuple[int, ...], large: tuple[int, ...]) -> Iterator[tuple[Any, Any, Any]]:
    """(position in the small grid, position in the large one, tap) wherever stride * p + dilation * t - head = r."""
    for p in product(*map(range, small)):
        for t in product(*map(range, case.kernel)):
            r = tuple(
                s * a + d * b - head
                for s, a, d, b, (head, _) in zip(case.strides, p, case.dilations, t, case.pads, strict=True)
            )
            if all(0 <= a < size for a, size in zip(r, large, strict=True)):
                yield p, r, t


def slow_conv(case: Case, x: Integers, w: Integers, shape: tuple[int, ...]) -> Integers:
    """The definition, sample by sample and channel by channel."""
    y = np.zeros((case.x[0], case.outputs, *shape), np.int64)
    inner, outer = case.x[1] // case.groups, case.outputs // case.groups
    for n, o, c in product(range(case.x[0]), range(case.outputs), range(inner)):
        for p, r, t in meetings(case, shape, case.x[2:]):
            y[(n, o, *p)] += w[(o, c, *t)] * x[(n, o // outer * inner + c, *r)]
    return y


def slow_transpose(case: Case, x: Integers, w: Integers, shape: tuple[int, ...]) -> Integers:
    """The definition: every input is spread over the taps."""
    y = np.zeros((case.x[0], case.outputs, *shape), np.int64)
    inner, outer = case.x[1] // case.groups, case.outputs // case.groups
    for n, c, o in product(range(case.x[0]), range(case.x[1]), range(outer)):
        for p, r, t in meetings(case, case.x[2:], shape):
            y[(n, c // inner * outer + o, *r)] += w[(c, o, *t)] * x[(n, c, *p)]
    return y


def exact_sums(op: str, case: Case, x: Integers, w: Integers, b: Integers, shape: tuple[int, ...]) -> Integers:
    """The layer's exact sums: integer weights at the scale where they are the circuit's own coefficients."""
    weights = Tensor.constant("w", np.ldexp(w.astype(np.float64), -BITS))
    bias = Tensor.constant("b", np.ldexp(b.astype(np.float64), -BITS))
    kind = np.dtype(np.float32)
    made = (case.x[0], case.outputs, *shape)
    tensors = {
        "x": Tensor("x", case.x, kind, scale=0, interval=(-4095, 4095)),
        "w": weights,
        "b": bias,
        "y": Tensor("y", made, kind, scale=0, interval=(-4095, 4095)),
    }
    node = Node(op, ("x", "w", "b"), ("y",), case.attributes, 11)
    builder = lower(Graph("small", {"": 17}, ("x",), (("y", "y"),), (node,), tensors), BITS)
    assert sum(isinstance(block, Convolution) for block in builder.blocks) == 1
    assert len(builder.blocks) == 2
    done = builder.run({"x": x[None]})
    refs = builder.outputs[0].cells.refs
    sums: Integers = done.sums[0][refs >> 1]
    return sums


def assert_exact(case: Case, seed: int) -> None:
    """A Conv of random integers against a slow sum."""
    random = np.random.RandomState(seed)
    x = random.randint(-9, 10, case.x)
    w = random.randint(-9, 10, (case.outputs, case.x[1] // case.groups, *case.kernel))
    b = random.randint(-9, 10, case.outputs)
    shape = tuple(
        (e + sum(p) - (d * (k - 1) + 1)) // s + 1
        for e, p, d, k, s in zip(case.x[2:], case.pads, case.dilations, case.kernel, case.strides, strict=True)
    )
    expected = slow_conv(case, x, w, shape) + b.reshape(-1, *(1,) * len(shape))
    np.testing.assert_array_equal(exact_sums("Conv", case, x, w, b, shape), expected)


@settings(max_examples=40)
@given(case=cases(transposed=False), seed=st.integers(0, 99))
def test_conv_sums_are_exact(case: Case, seed: int) -> None:
    assert_exact(case, seed)


@settings(max_examples=30)
@given(case=cases(transposed=False), seed=st.integers(0, 99))
def test_conv_sums_in_place_are_exact(case: Case, seed: int) -> None:
    """The same of what is read where it stands, by strides."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Call, "reads_in_place", lambda call, x: x.shape[0] == 1)
        assert_exact(case, seed)


def test_strides_sums_and_averages_copy_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network of all that is read in place where it is large: none of it copies a cell, and its proof holds."""
    monkeypatch.setattr("plonnx.compiler.fixed_point.windows._LARGE", 1)
    monkeypatch.setattr(parts, "ROWS_BY_LINES", 1)
    random = np.random.RandomState(3)
    shapes = {"w": (6, 2, 3, 3), "d": (6, 1, 3, 3), "u": (6, 6, 1, 1), "v": (6, 6, 3, 3)}
    shapes |= {"e": (6, 1, 2, 2), "f": (6, 3)}
    constants = {name: random.randn(*shape) / 3 for name, shape in shapes.items()}
    body = """
        a = Conv<pads = [1, 1, 1, 1]>(x, w)
        b = Conv<pads = [1, 1, 1, 1], strides = [2, 2], group = 6>(a, d)
        r = Relu(b)
        c = Conv(r, u)
        p = Conv<pads = [1, 1, 1, 1]>(c, v)
        s = Add(p, c)
        q = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(s)
        g = Conv<group = 6>(q, e)
        t = Flatten(g)
        y = MatMul(t, f)
    """
    model = onnx_model("float[1,2,8,8] x) => (float[1,3] y)", body, constants)
    samples = {"x": random.uniform(-1, 1, (16, 1, 2, 8, 8)).astype(np.float32)}
    made = assert_as_onnxruntime(model, samples, 0.01)
    kinds = [block.kind for block in made.builder.blocks]
    assert kinds == ["input", *["convolution"] * 3, "residual", *["convolution"] * 3]
    circuit = in_some_layout(model, samples, table_bits=12)
    assert circuit.describe()["copies_by_tensor"] == []
    assert circuit.layout.parts.by_lines
    assert_proves(model, samples, table_bits=12)


@settings(max_examples=40)
@given(case=cases(transposed=True), seed=st.integers(0, 99))
def test_conv_transpose_sums_are_exact(case: Case, seed: int) -> None:
    random = np.random.RandomState(seed)
    x = random.randint(-9, 10, case.x)
    w = random.randint(-9, 10, (case.x[1], case.outputs // case.groups, *case.kernel))
    b = random.randint(-9, 10, case.outputs)
    shape = tuple(
        s * (e - 1) + d * (k - 1) + 1 + more - sum(p)
        for e, p, d, k, s, more in zip(
            case.x[2:], case.pads, case.dilations, case.kernel, case.strides, case.more, strict=True
        )
    )
    expected = slow_transpose(case, x, w, shape) + b.reshape(-1, *(1,) * len(shape))
    np.testing.assert_array_equal(exact_sums("ConvTranspose", case, x, w, b, shape), expected)


RANDOM = np.random.RandomState(5)
W4233 = RANDOM.randn(4, 2, 3, 3)
CLOSE: list[tuple[str, str, dict[str, Any]]] = [
    ("float[1,2,7,6] x", "y = Conv(x, w, b)", {"w": W4233, "b": RANDOM.randn(4)}),
    ("float[2,2,7,6] x", "y = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w)", {"w": W4233}),
    ("float[1,2,7,6] x", "y = Conv<strides = [3, 2], dilations = [2, 1], pads = [2, 0, 1, 1]>(x, w)", {"w": W4233}),
    *[
        ("float[1,2,7,6] x", f'y = Conv<auto_pad = "{mode}", strides = [2, 3]>(x, w)', {"w": W4233})
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
    ],
    ("float[1,2,9] x", 'y = Conv<auto_pad = "SAME_LOWER">(x, w)', {"w": RANDOM.randn(3, 2, 4)}),
    ("float[1,2,9] x", 'y = Conv<auto_pad = "SAME_UPPER">(x, w)', {"w": RANDOM.randn(3, 2, 4)}),
    ("float[1,4,5,5] x", "y = Conv<group = 4, pads = [1, 1, 1, 1]>(x, w)", {"w": RANDOM.randn(8, 1, 3, 3)}),
    ("float[1,2,4,4,3] x", "y = Conv<strides = [2, 1, 2]>(x, w)", {"w": RANDOM.randn(2, 2, 2, 2, 2)}),
    ("float[1,3,4,4] x", "y = Conv<strides = [2, 2]>(x, w)", {"w": RANDOM.randn(2, 3, 1, 1)}),
    ("float[1,4,4,3] x", "y = ConvTranspose(x, w, b)", {"w": W4233, "b": RANDOM.randn(2)}),
    ("float[2,4,4,3] x", "y = ConvTranspose<strides = [2, 2], pads = [1, 1, 1, 0]>(x, w)", {"w": W4233}),
    (
        "float[1,4,4,3] x",
        "y = ConvTranspose<strides = [3, 2], output_padding = [1, 1], dilations = [1, 2], group = 2>(x, w, b)",
        {"w": W4233, "b": RANDOM.randn(4)},
    ),
    *[
        ("float[1,4,4,3] x", f'y = ConvTranspose<auto_pad = "{mode}", strides = [2, 2]>(x, w)', {"w": W4233})
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ],
    (
        "float[1,4,4,3] x",
        'y = ConvTranspose<auto_pad = "SAME_UPPER", strides = [2, 2], output_padding = [1, 0]>(x, w)',
        {"w": W4233},
    ),
    *[
        (
            "float[1,4,4,3] x",
            f'y = ConvTranspose<auto_pad = "{mode}", strides = [2, 2], output_shape = [8, 6]>(x, w)',
            {"w": W4233},
        )
        for mode in ("SAME_UPPER", "SAME_LOWER", "NOTSET")
    ],
    ("float[1,2,5] x", "y = ConvTranspose<strides = [3]>(x, w)", {"w": RANDOM.randn(2, 3, 2)}),
    ("float[1,2,3,2,2] x", "y = ConvTranspose<strides = [2, 1, 2]>(x, w)", {"w": RANDOM.randn(2, 2, 2, 3, 2)}),
]


@pytest.mark.parametrize(("x", "body", "constants"), CLOSE, ids=[f"{case[0]} {case[1]}" for case in CLOSE])
def test_close_to_onnxruntime(tmp_path: Path, x: str, body: str, constants: dict[str, Any]) -> None:
    axes = ",".join("ABCDE"[: x.count(",") + 1])
    made = compiled(tmp_path, f"{x}) => (float[{axes}] y)", body, constants)
    assert_accurate(made, 0.01)


@pytest.mark.parametrize(
    ("signature", "constants", "message"),
    [
        ("float[1,2,5] x, float[1,2,3] w) => (float[1,1,3] y)", {}, r"\(Conv\): the kernel must be a constant"),
        (
            "float[1,2,3] w) => (float[1,1,3] y)",
            {"x": RANDOM.randn(1, 2, 5)},
            r"\(Conv\): the operand must be computed from the model's inputs, not a constant",
        ),
        (
            "float[1,2,5] x, float[1] b) => (float[1,1,3] y)",
            {"w": RANDOM.randn(1, 2, 3)},
            r"\(Conv\): the bias must be a constant",
        ),
    ],
)
def test_refused(tmp_path: Path, signature: str, constants: dict[str, Any], message: str) -> None:
    body = "y = Conv(x, w, b)" if "b)" in signature else "y = Conv(x, w)"
    with pytest.raises(CompileError, match=message):
        compiled(tmp_path, signature, body, constants)
