"""Public values as bytes, and their reduction to instance sums (docs/protocol.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plonnx.plonk.keys import InstanceColumn, PublicTensor, VerifyingKey
from plonnx.plonk.program import MODULUS

CHI, PSI = "chi", "psi"
WORD_BYTES = 31
HIGH, LOW = ".high", ".low"
"""What the names of the two tensors end in that hold integers beyond a table: the value is the sum of both."""
MISSING = "_missing"
"""Behind an input's name: the Boolean input of its shape that says which of its values are missing (NaN)."""


def width_of(high: int) -> int:
    """The bytes that hold every integer from -high - 1 to high in two's complement."""
    return (high.bit_length() + 8) // 8


def are_parts(high: PublicTensor, low: PublicTensor) -> bool:
    """Whether two tensors hold integers of two units: by their names, and by scales and bytes that parts have.

    A model may have two tensors of such names that are none, as the ends of an interval.
    """
    named = high.name.endswith(HIGH) and low.name == high.name.removesuffix(HIGH) + LOW
    if not named or (high.role, high.shape) != (low.role, low.shape) or not isinstance(high.scale, int):
        return False
    return low.scale == 0 and high.scale < 0 and low.width == width_of((1 << -high.scale) - 1)


def is_mark(flag: PublicTensor, of: PublicTensor) -> bool:
    """Whether an input says which values of another one are missing: there, that one's integers are anything."""
    named = (flag.role, of.role, flag.name) == ("input", "input", of.name + MISSING)
    return named and flag.shape == of.shape and (flag.scale, flag.low, flag.high) == (0, 0, 1)


def values_per_word(width: int) -> int:
    """How many values of `width` bytes a word of at most 31 bytes holds."""
    return WORD_BYTES // width


def pack(tensors: Sequence[PublicTensor], values: Mapping[str, NDArray[np.int64]]) -> bytes:
    """Two's complement big-endian, each tensor in its width, row-major, in the order given. Keys are "role name"."""
    parts = []
    for tensor in tensors:
        flat = np.ascontiguousarray(values[f"{tensor.role} {tensor.name}"], np.int64).reshape(-1)
        parts.append(flat.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 8 - tensor.width :].tobytes())
    return b"".join(parts)


def unpack(tensor: PublicTensor, public_values: bytes) -> NDArray[np.int64]:
    """The integers of one tensor."""
    raw = np.frombuffer(public_values, np.uint8, tensor.count * tensor.width, tensor.offset).reshape(-1, tensor.width)
    wide = np.repeat(np.where(raw[:, :1] >= 128, 255, 0).astype(np.uint8), 8 - tensor.width, axis=1)
    return np.hstack([wide, raw]).view(">i8").astype(np.int64).reshape(tensor.shape)


def real(tensor: PublicTensor, public_values: bytes) -> NDArray[np.float64]:
    """The real numbers of one tensor: integer / 2^scale, channel by channel where they have scales of their own."""
    return np.ldexp(unpack(tensor, public_values).astype(np.float64), -np.asarray(tensor.scale, np.int64))


def instance_sum(column: InstanceColumn, public_values: bytes, chi: int, psi: int) -> int:
    """sum over runs and words of chi^(exponent + j) * psi^power * word."""
    total = 0
    for run in column.runs:
        size = run.width * run.per_word
        sign = int.from_bytes((b"\x80" + bytes(run.width - 1)) * run.per_word, "big")
        data = public_values[run.offset : run.offset + run.count * run.width]
        horner = 0
        for start in range((len(data) - 1) // size * size, -1, -size):
            chunk = data[start : start + size]
            missing = 8 * (size - len(chunk))
            pattern = sign >> missing << missing
            word = ((int.from_bytes(chunk, "big") << missing) ^ pattern) - pattern
            horner = (horner * chi + word) % MODULUS
        total += horner * pow(chi, run.exponent, MODULUS) * pow(psi, run.power, MODULUS)
    return total % MODULUS


def instance_sums(vk: VerifyingKey, public_values: bytes, scalars: Mapping[str, int]) -> dict[str, int]:
    """Every instance column's sum, by name."""
    return {c.name: instance_sum(c, public_values, scalars[CHI], scalars.get(PSI, 1)) for c in vk.instances}
