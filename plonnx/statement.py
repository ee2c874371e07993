"""What a proof says: its public inputs and outputs as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plonnx.kzg.container import FileError
from plonnx.plonk.keys import NO_CONTEXT, Proof, VerifyingKey
from plonnx.plonk.public_values import HIGH, LOW, are_parts, real

Tensors = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Statement:
    """The public inputs and outputs of a proof, by name, as real numbers (integer / 2^scale), and its context.

    Where `inputs` has an `X_missing` beside `X`, a number of X counts only where that is 0: the model takes the others
    for missing, and the prover chose what stands there.
    `unsafe` where the secret of the key's setup is known to somebody, who can make such a proof of anything.
    """

    inputs: Tensors
    outputs: Tensors
    unsafe: bool
    context: bytes = NO_CONTEXT


def read_statement(vk: VerifyingKey, proof: Proof) -> Statement:
    """The numbers in a proof's public values; FileError where their length is not the key's."""
    public_values = proof.public_values
    if len(public_values) != vk.public_bytes:
        raise FileError(
            f"the proof has {len(public_values)} bytes of public values, the verifying key expects {vk.public_bytes}:"
            " they belong to different circuits"
        )
    sides: dict[str, Tensors] = {"input": {}, "output": {}}
    for tensor in vk.tensors:
        sides[tensor.role][tensor.name] = real(tensor, public_values)
    named = {(tensor.role, tensor.name): tensor for tensor in vk.tensors}
    for high in vk.tensors:
        low = named.get((high.role, high.name.removesuffix(HIGH) + LOW))
        if low is not None and are_parts(high, low):
            _join(sides[high.role], high.name, low.name)
    return Statement(sides["input"], sides["output"], vk.unsafe, proof.context)


def _join(side: Tensors, high: str, low: str) -> None:
    """Put integers together that the circuit holds as two: y.high and y.low are y, their sum."""
    name = high.removesuffix(HIGH)
    if name not in side:
        side[name] = side.pop(high) + side.pop(low)
