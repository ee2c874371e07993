"""Public values: bytes and back, and the instance sum against the formula of docs/protocol.md section 6."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.plonk.keys import InstanceColumn, PublicTensor, Run
from plonnx.plonk.program import MODULUS
from plonnx.plonk.public_values import instance_sum, pack, real, unpack

elements = st.integers(0, MODULUS - 1)


def tensor(name: str, shape: tuple[int, ...], width: int, offset: int = 0, scale: int = 0) -> PublicTensor:
    return PublicTensor(name, "input", shape, scale, offset, width, -(1 << 62), 1 << 62)


@st.composite
def statements(draw: st.DrawFn) -> tuple[list[PublicTensor], dict[str, Any]]:
    tensors, values, offset = [], {}, 0
    for i in range(draw(st.integers(1, 3))):
        width = draw(st.integers(1, 8))
        shape = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
        bound = 1 << (8 * width - 1)
        count = int(np.prod(shape, dtype=np.int64))
        flat = draw(st.lists(st.integers(-bound, bound - 1), min_size=count, max_size=count))
        tensors.append(tensor(f"t{i}", shape, width, offset))
        values[f"input t{i}"] = np.array(flat, np.int64).reshape(shape)
        offset += count * width
    return tensors, values


@given(statements())
def test_pack_and_unpack(case: tuple[list[PublicTensor], dict[str, Any]]) -> None:
    tensors, values = case
    packed = pack(tensors, values)
    plain = b"".join(
        int(x).to_bytes(t.width, "big", signed=True) for t in tensors for x in values[f"input {t.name}"].reshape(-1)
    )
    assert packed == plain
    for t in tensors:
        np.testing.assert_array_equal(unpack(t, packed), values[f"input {t.name}"])


def test_real_numbers_are_integers_over_a_power_of_two() -> None:
    t = tensor("t", (2,), 2, scale=3)
    assert real(t, pack([t], {"input t": np.array([-12, 5])})).tolist() == [-1.5, 0.625]


@st.composite
def columns(draw: st.DrawFn) -> tuple[bytes, InstanceColumn]:
    runs, offset = [], 0
    for _ in range(draw(st.integers(1, 4))):
        width = draw(st.integers(1, 4))
        run = Run(
            offset + draw(st.integers(0, 2)),
            draw(st.integers(1, 40)),
            width,
            draw(st.integers(1, 31 // width)),
            draw(st.integers(0, 9)),
            draw(st.integers(0, 5)),
        )
        runs.append(run)
        offset = run.offset + run.count * run.width
    extremes = st.sampled_from([b"\x00", b"\x7f", b"\x80", b"\xff"])
    data = draw(st.lists(extremes | st.binary(min_size=1, max_size=1), min_size=offset, max_size=offset))
    return b"".join(data), InstanceColumn("c", tuple(runs))


@given(columns(), elements, elements)
def test_the_instance_sum_is_the_pages_formula(case: tuple[bytes, InstanceColumn], chi: int, psi: int) -> None:
    """Value by value in signed integers, with no bit tricks."""
    data, column = case
    total = 0
    for run in column.runs:
        at = [run.offset + i * run.width for i in range(run.count)]
        values = [int.from_bytes(data[i : i + run.width], "big", signed=True) for i in at]
        for i, value in enumerate(values):
            j, place = divmod(i, run.per_word)
            weight = 256 ** (run.width * (run.per_word - 1 - place))
            total += pow(chi, run.exponent + j, MODULUS) * pow(psi, run.power, MODULUS) * value * weight
    assert instance_sum(column, data, chi, psi) == total % MODULUS


@pytest.mark.parametrize(("count", "per_word"), [(1, 31), (31, 31), (32, 31), (61, 31), (62, 31), (5, 1)])
def test_minus_one_in_short_and_full_words(count: int, per_word: int) -> None:
    """The last word may be short: it is aligned as a full one."""
    run = Run(0, count, 1, per_word, 0, 0)
    expected = sum(-(256 ** (per_word - 1 - i % per_word)) * pow(3, i // per_word) for i in range(count))
    assert instance_sum(InstanceColumn("c", (run,)), b"\xff" * count, 3, 1) == expected % MODULUS


@given(st.binary(min_size=40, max_size=40), st.integers(0, 319))
def test_every_bit_of_the_bytes_counts(data: bytes, bit: int) -> None:
    column = InstanceColumn("c", (Run(0, 20, 1, 15, 0, 0), Run(20, 10, 2, 7, 2, 3)))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    chi, psi = 0x123456789ABCDEF << 120, 0xFEDCBA987654321 << 110
    assert instance_sum(column, data, chi, psi) != instance_sum(column, bytes(changed), chi, psi)
