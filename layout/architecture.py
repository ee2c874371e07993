"""The architecture of a private model: its circuit without a secret, from which anyone rebuilds the key's public part.

An Architecture is the ModelCircuit with zeros in the place of every secret, of whose report the scales are left. The
file holds no zeros either: a weight tensor is its shape, and what everybody knows of it (`hides` in
gadgets/linear/convolution.py). It comes from the model's owner, so nothing that is read is believed
(layout/recorded.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets.builder import Builder
from plonnx.gadgets.function import Applied
from plonnx.gadgets.gadget import ABSENT, Gadget
from plonnx.kzg import container
from plonnx.kzg.record import Record, require
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.file import decode_builder, encode_builder, read_port, read_shape
from plonnx.layout.inputs import Port
from plonnx.layout.known import Known, known_columns
from plonnx.layout.recorded import recorded
from plonnx.layout.validate import most_cells, most_weights, validate_circuit
from plonnx.plonk.keys import VerifyingKey
from plonnx.plonk.verifier import VerificationError

if TYPE_CHECKING:
    from plonnx.kzg.srs import SRS

Integers = NDArray[np.int64]
KIND = "architecture"
MOST_SCALE = 1023


@dataclass(frozen=True)
class Architecture:
    """A private model without its secrets."""

    circuit: ModelCircuit

    @classmethod
    def of(cls, circuit: ModelCircuit) -> Architecture:
        """The architecture of a private model's circuit; ValueError for a public model, which has nothing to leave out.

        Of the ports' limits, which calibration measured, only what the circuit enforces is left: |v| < T.
        """
        if not circuit.hidden:
            raise ValueError("the model of this circuit is public: its circuit is all that there is to see")
        builder = replace(circuit.builder, blocks=[block.bare() for block in circuit.builder.blocks])
        size = builder.table_size
        ports = ([replace(port, limit=size) for port in side] for side in (circuit.inputs, circuit.outputs))
        inputs, outputs = map(tuple, ports)
        report = {"scales": dict(circuit.report.get("scales", {}))}
        return cls(ModelCircuit(circuit.name, builder, circuit.shape, inputs, outputs, report, {}))

    # Use -------------------------------------------------------------------------------------------------------------

    def public_part(self, srs: SRS) -> VerifyingKey:
        """The verifying key but for the hidden columns, whose commitments are zeros (imports sympy)."""
        from plonnx.plonk.keygen import public_part

        return public_part(self.circuit.arithmetize(), srs)

    @property
    def known(self) -> tuple[Known, ...]:
        """What everybody knows of the hidden columns."""
        return known_columns(self.circuit.filler.fixed)

    def check_key(self, vk: VerifyingKey, srs: SRS) -> None:
        """VerificationError where any byte of the key but the hidden commitments is not as the architecture says."""
        if not vk.masked:
            raise VerificationError("the model of this verifying key is public: there is nothing registered")
        if srs.tau_g2 != vk.tau_g2:
            raise VerificationError(f"the key was made with another SRS ({vk.srs}) than {srs.name}")
        rebuilt = self.public_part(srs)
        differ = _differences(replace(rebuilt, fixed_commitments=()), replace(vk, fixed_commitments=()))
        if not differ and rebuilt.encode() != vk.public_part.encode():
            differ = ["fixed_commitments"]
        if differ:
            raise VerificationError(f"the verifying key is not of this architecture: its {', '.join(differ)} differ")

    def describe(self) -> dict[str, Any]:
        """Layers, shapes, scales, the domains of tables, widths: all that is public."""
        circuit = self.circuit
        builder, scales = circuit.builder, circuit.report["scales"]
        layers = [_layer(block, builder, scales) for block in builder.blocks]
        said = circuit.describe()
        return {
            "model": circuit.name,
            "digest": self.digest.hex(),
            "secrets": sum(layer["secrets"] for layer in layers),
            "table": builder.table_size,
            "weight_bits": builder.weight_bits,
            "bias_bits": builder.bias_bits,
            "rows": 1 << circuit.k,
            "used_rows": said["rows"],
            "columns": said["columns"],
            "packing": circuit.shape.packing,
            "copies": said["copies"],
            "layers": layers,
            "functions": [_function(function) for function in builder.applied],
            "tensors": [
                {"name": t.name, "role": t.role, "shape": list(t.shape), "scale": t.scale, "width": t.width}
                for t in circuit.tensors
            ],
        }

    # Files -----------------------------------------------------------------------------------------------------------

    @cached_property
    def digest(self) -> bytes:
        """keccak256 of the file's bytes."""
        return _native.keccak256(self.encode())

    def encode(self) -> bytes:
        """The file's bytes; equal architectures give equal bytes."""
        circuit, arrays = self.circuit, container.Arrays()
        builder = encode_builder(circuit.builder, arrays)
        for i, (record, block) in enumerate(zip(builder["blocks"], circuit.builder.blocks, strict=True)):
            for name in block.blank:
                record[name] = list(arrays.pop(f"block.{i}.{name}").shape)
        meta = {
            "name": circuit.name,
            "builder": builder,
            "shape": circuit.shape.record(),
            "ports": [[_port(port) for port in side] for side in (circuit.inputs, circuit.outputs)],
            "scales": circuit.report["scales"],
        }
        return container.encode(KIND, meta, arrays)

    def save(self, path: str | Path) -> None:
        """Write the architecture atomically."""
        container.atomic_write(path, self.encode())

    @classmethod
    def load(cls, path: str | Path) -> Architecture:
        """Read an architecture; FileError says what is wrong with the file."""
        return cls.decode(container.read_bytes(path), path)

    @classmethod
    def decode(cls, content: bytes, source: str | Path) -> Architecture:
        """The inverse of `encode`, with everything checked; FileError names `source`."""
        with Record(content, KIND, source) as held:
            made = cls(_circuit(held))
            require(made.encode() == content, "it is written in another way than plonnx writes it")
        return made


# Reading -------------------------------------------------------------------------------------------------------------


def _differences(left: VerifyingKey, right: VerifyingKey) -> list[str]:
    """What two keys are not written alike in."""
    one, other = left.encode(), right.encode()
    if one == other:
        return []
    meta, others = (container.decode(each, "verifying key", "a key")[0] for each in (one, other))
    named = sorted(name for name in meta | others if json.dumps(meta.get(name)) != json.dumps(others.get(name)))
    return named or ["program"]


def _port(port: Port) -> dict[str, Any]:
    return {f.name: getattr(port, f.name) for f in fields(Port) if f.name != "limit"}


def _circuit(held: Record) -> ModelCircuit:
    """The circuit, its gadgets recorded anew."""
    shape = read_shape(held["shape"])
    builder = decode_builder(held["builder"], held, bare=True)
    inputs, outputs = (
        tuple(read_port(port, limit=builder.table_size) for port in side.items()) for side in held["ports"].parts(2)
    )
    with held["scales"].fields() as scales:
        report = {"scales": {name: scales[name].integer(-MOST_SCALE, MOST_SCALE) for name in scales}}
    made = ModelCircuit(held["name"].text(), builder, shape, inputs, outputs, report, {})
    validate_circuit(made, most_cells(held.size))
    made = replace(made, builder=recorded(builder, shape, most_weights(held.size)))
    rows = made.layout.rows
    require(rows <= shape.active_rows, f"it needs {rows} rows, 2^{shape.k} have {shape.active_rows} active ones")
    return made


# What it looks like --------------------------------------------------------------------------------------------------


def _function(function: Applied) -> dict[str, Any]:
    """A function's domain and values, as integers at the scales that its name says; or its coefficients over T."""
    return {"name": function.name, "from": function.low, "to": function.high, **function.outline}


def _read(block: Gadget, builder: Builder) -> list[str]:
    """The gadgets that a gadget reads, each once; +: its positive parts alone, a ReLU."""
    firsts = np.array([other.first for other in builder.blocks])
    refs = block.operands[block.operands != ABSENT]
    pairs = np.unique(np.stack([np.searchsorted(firsts, refs >> 1, "right") - 1, refs & 1]), axis=1)
    return [builder.blocks[owner].name + "+" * view for owner, view in pairs.T.tolist()]


def _layer(block: Gadget, builder: Builder, scales: Mapping[str, int]) -> dict[str, Any]:
    """One line about a gadget: what it makes from what, how many secrets it has, how many constants that are none."""
    one, function = next(iter(block.contributions), None), block.applies
    return {
        "name": block.name,
        "kind": block.kind,
        "reads": _read(block, builder),
        "from": [block.operands.size] if one is None else list(one.x.shape),
        "to": list(block.extents),
        "taps": 1 if one is None else len(one.factor.offsets),
        "groups": 1 if one is None else one.factor.groups,
        "secrets": block.secrets,
        "constants": block.constants,
        "scale": scales.get(block.name, "-"),
        "function": "-" if function is None else function.name,
    }


__all__ = ["Architecture"]
