"""What a proof says: its public inputs and outputs as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plonnx.kzg.container import FileError
from plonnx.plonk.keys import PublicTensor, VerifyingKey

Tensors = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Statement:
    """The public inputs and outputs of a proof, by name, as real numbers (integer / 2^scale)."""

    inputs: Tensors
    outputs: Tensors


def read_statement(vk: VerifyingKey, public_values: bytes) -> Statement:
    """The numbers in `public_values` (docs/protocol.md section 6); FileError where the length is not the key's."""
    if len(public_values) != vk.public_bytes:
        raise FileError(
            f"the proof has {len(public_values)} bytes of public values, the verifying key expects {vk.public_bytes}:"
            " they belong to different circuits"
        )
    inputs: Tensors = {}
    outputs: Tensors = {}
    for tensor in vk.tensors:
        side = inputs if tensor.role == "input" else outputs
        side[tensor.name] = integers(tensor, public_values) / np.float64(2.0**tensor.scale)
    return Statement(inputs, outputs)


def integers(tensor: PublicTensor, public_values: bytes) -> NDArray[np.int64]:
    """A tensor's integers: two's complement big-endian, `width` bytes each."""
    width = tensor.width
    stop = tensor.offset + tensor.count * width
    digits = np.frombuffer(public_values[tensor.offset : stop], np.uint8).reshape(-1, width)
    sign = np.where(digits[:, :1] >= 0x80, 0xFF, 0).astype(np.uint8)
    padded = np.hstack([np.repeat(sign, 8 - width, axis=1), digits])
    return np.ascontiguousarray(padded).view(">i8").astype(np.int64).reshape(tensor.shape)
