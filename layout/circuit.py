"""A compiled model: the builder's blocks, the shape of its layout, its ports and its accuracy report, in one file.

The file holds integers only; rows and columns follow from them (layout/planner.py), the PLONK circuit too
(layout/arithmetize.py, at setup). Proving reads it without onnx or sympy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets.builder import Builder, Execution
from plonnx.gadgets.gadget import OutOfRange
from plonnx.kzg import container
from plonnx.kzg.record import Record, require
from plonnx.kzg.wording import option
from plonnx.layout.file import decode_builder, encode_builder, read_facts, read_port, read_report, read_shape
from plonnx.layout.inputs import InputError, Port, Source, read_batch, read_input
from plonnx.layout.planner import Layout
from plonnx.layout.shape import LayoutError, Shape
from plonnx.layout.validate import most_cells, validate_circuit
from plonnx.layout.witness import Filler
from plonnx.plonk.keys import ProvingKey, PublicTensor, Scale, nested
from plonnx.plonk.prover import Share, Witness, seeded_rng, unheard
from plonnx.plonk.public_values import pack

if TYPE_CHECKING:
    from plonnx.kzg.srs import SRS
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.cost import Cost
    from plonnx.plonk.circuit import Circuit
    from plonnx.plonk.mock import Failure

Integers = NDArray[np.int64]
KIND = "circuit"


@dataclass(frozen=True)
class ModelCircuit:
    """A model in the circuit's arithmetic, laid out."""

    name: str
    builder: Builder
    shape: Shape
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    report: dict[str, Any]
    facts: dict[str, Any]

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(f"{p.name}{list(p.shape)}" for p in side) for side in (self.inputs, self.outputs))
        model = ", a private model" if self.hidden else ""
        return f"<ModelCircuit {self.name}: {inputs} -> {outputs}, {1 << self.k} rows{model}>"

    @property
    def k(self) -> int:
        """n = 2^k rows."""
        return self.shape.k

    @property
    def srs_k(self) -> int:
        """An SRS of 2^srs_k powers serves: rows times columns per commitment."""
        return self.shape.k + (self.shape.packing - 1).bit_length()

    @cached_property
    def layout(self) -> Layout:
        """Where everything lies. LayoutError for a shape that is too small."""
        layout = Layout(self.builder, self.shape)
        if layout.rows > self.shape.active_rows:
            raise LayoutError(
                f"circuit {self.name}: {layout.rows} rows do not fit the {self.shape.active_rows} there are"
            )
        return layout

    @cached_property
    def filler(self) -> Filler:
        """Fills the layout's columns."""
        return Filler(self.layout)

    @cached_property
    def tensors(self) -> list[PublicTensor]:
        """The public tensors with their scales."""
        sides = (("input", self.inputs), ("output", self.outputs))
        scales: dict[tuple[str, str], Scale] = {
            (role, name): nested(port.scales + relative)
            for role, ports in sides
            for port in ports
            for name, relative in port.parts.items()
        }
        return [replace(tensor, scale=scales[tensor.role, tensor.name]) for tensor in self.layout.tensors]

    # Use -------------------------------------------------------------------------------------------------------------

    def arithmetize(self) -> Circuit:
        """The PLONK circuit (imports sympy)."""
        from plonnx.layout.arithmetize import arithmetize

        return arithmetize(self.layout, self.name, self.tensors)

    @property
    def hidden(self) -> bool:
        """Whether the model is the prover's secret."""
        return self.builder.hidden

    @cached_property
    def cost(self) -> Cost:
        """What a proof and its check cost by the cost model (imports sympy)."""
        from plonnx.layout import cost, counts

        return cost.predict(self.shape, counts.Facts(self.layout))

    @cached_property
    def architecture(self) -> Architecture:
        """All of a private model that is no secret; ValueError for a public one."""
        from plonnx.layout.architecture import Architecture

        return Architecture.of(self)

    def keygen(self, srs: SRS, blinding_seed: bytes | None = None, share: Share = unheard) -> ProvingKey:
        """The keys, bound to this circuit file's digest.

        A hidden model's commitments are blinded by the system's randomness, or reproducibly from a secret seed: anew
        for every circuit and setup, as each key's registration opens the columns at a point of its own.
        """
        from plonnx.plonk.keygen import keygen

        if blinding_seed is None:
            return keygen(self.arithmetize(), srs, self.digest, share=share)
        if not self.hidden:
            raise ValueError("a blinding seed is for a private model; this one is public")
        seed = _native.keccak256(b"plonnx blinding v2" + self.digest + srs.tau_g2 + blinding_seed)
        return keygen(self.arithmetize(), srs, self.digest, seeded_rng(seed), share)

    def read_inputs(self, source: Source) -> dict[str, Integers]:
        """The integers of one inference from a file or from arrays; InputError names the file and the tensor."""
        return read_input(source, self.inputs)

    def read_batch(self, source: Source) -> list[dict[str, Integers]]:
        """The integers of several inferences, one for each sample of a file or of arrays."""
        return read_batch(source, self.inputs)

    def predict(self, inputs: Source) -> dict[str, NDArray[Any]]:
        """The circuit's outputs by name, (samples, ..), without a proof: what a proof of each sample would show.

        >>> circuit.predict("test.npz")["logits"].argmax(axis=-1)
        array([7, 2, 1])
        """
        from plonnx.layout.evaluation import predict

        return predict(self, inputs)

    def evaluate(
        self,
        inputs: Source,
        labels: Any = None,
        *,
        reference: Mapping[str, NDArray[Any]] | None = None,
        output: str | None = None,
        threshold: float = 0.5,
    ) -> dict[str, Any]:
        """The circuit's accuracy on labels, beside that of a reference: layout/evaluation.py says by which measure.

        `reference` are another model's outputs in the form of `predict`; plonnx.evaluate takes them from an ONNX file.

        >>> circuit.evaluate("test.npz", labels)["circuit"]
        {'accuracy': 0.97}
        """
        from plonnx.layout.evaluation import evaluate

        return evaluate(self, inputs, labels, reference, output, threshold)

    def execute(self, inputs: Mapping[str, Integers]) -> Execution:
        """Run one inference in integers; InputError where an inner tensor leaves its calibrated range."""
        return self.run({name: np.asarray(values)[None] for name, values in inputs.items()})

    def run(self, inputs: Mapping[str, Integers]) -> Execution:
        """As `execute`, for several inferences (samples, *shape)."""
        try:
            return self.builder.run(inputs)
        except OutOfRange as error:
            raise InputError(
                f"{error}: the inputs go beyond the calibration data; compile with such data or a larger"
                f" {option('margin')}"
            ) from error

    def witness(self, inputs: Mapping[str, Integers]) -> Witness:
        """The phase 0 columns and the public values of one inference."""
        done = self.execute(inputs)
        values = {f"input {block.name}": inputs[block.name] for block in self.builder.inputs}
        values |= {f"output {o.name}": self.builder.read(done, o.cells) for o in self.builder.outputs}
        return Witness(self.filler.advice(done), pack(self.tensors, values), later=partial(self.filler.later, done))

    def mock(self, inputs: Mapping[str, Integers]) -> list[str]:
        """One line for every constraint that fails on these inputs."""
        return [str(failure) for failure in self.check(self.witness(inputs))]

    def check(self, witness: Witness) -> list[Failure]:
        """The MockProver on a witness, with the linear check told apart equation by equation."""
        from plonnx.layout.explain import label, wrong_sums
        from plonnx.plonk.mock import MockProver

        failures = MockProver(self.arithmetize(), label(self.layout)).failures(witness)
        return wrong_sums(self.layout, witness) + failures if failures else []

    def describe(self) -> dict[str, Any]:
        """Rows, columns, lookups, where the rows come from, predicted cost (imports sympy)."""
        from plonnx.layout import contract
        from plonnx.layout.explain import copies

        layout, shape, predicted = self.layout, self.shape, self.cost
        rows = [
            {
                "name": place.name,
                "rows": place.rows,
                "of_values": 0 if place.border is not None else place.runs * place.height * place.stride,
                "lanes": place.used_lanes,
            }
            for place in layout.places
        ]
        visibility: dict[str, Any] = {"visibility": "public", "digest": self.digest.hex()}
        if self.hidden:  # the digest would let anyone test a guess of the weights
            bits = {"weight_bits": self.builder.weight_bits, "bias_bits": self.builder.bias_bits}
            visibility = {"visibility": "private", **bits}
        return {
            "model": self.name,
            **visibility,
            **self.facts,
            "k": self.k,
            "rows": layout.rows,
            "usable_rows": shape.active_rows,
            "table": self.builder.table_size,
            "columns": {
                "lanes": shape.lanes,
                "weights": shape.weight_columns if layout.positions.contributions else 0,
                **_columns(predicted),
            },
            "lookups": predicted.lookups * shape.active_rows,
            "rows_by_tensor": rows,
            "copies": len(layout.copied.rows),
            "copies_by_tensor": copies(layout),
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": [asdict(port) for port in self.outputs],
            "predicted": {
                "prove_seconds": round(predicted.seconds, 3),
                "peak_bytes": predicted.memory,
                "proof_bytes": predicted.proof_bytes,
                "gas": contract.gas(layout, predicted),
            },
            "accuracy": {key: value for key, value in self.report.items() if key != "inner"},
        }

    # Files -----------------------------------------------------------------------------------------------------------

    @cached_property
    def digest(self) -> bytes:
        """keccak256 of the file's bytes."""
        return _native.keccak256(self.encode())

    def encode(self) -> bytes:
        """The file's bytes; equal circuits give equal bytes."""
        return b"".join(self._pieces())

    def _pieces(self) -> list[container.Piece]:
        arrays: container.Arrays = {}
        meta = {
            "name": self.name,
            "builder": encode_builder(self.builder, arrays),
            "shape": self.shape.record(),
            "ports": [[asdict(port) for port in ports] for ports in (self.inputs, self.outputs)],
            "report": self.report,
            "facts": self.facts,
        }
        return container.encode_in_pieces(KIND, meta, arrays)

    def save(self, path: str | Path) -> None:
        """Write the circuit atomically."""
        container.atomic_write(path, self._pieces())

    @classmethod
    def load(cls, path: str | Path) -> ModelCircuit:
        """Read a circuit; FileError says what is wrong with the file."""
        content = container.read_bytes(path)
        with Record(content, KIND, path) as held:
            inputs, outputs = held["ports"].parts(2)
            circuit = cls(
                held["name"].text(),
                decode_builder(held["builder"], held),
                read_shape(held["shape"]),
                tuple(map(read_port, inputs.items())),
                tuple(map(read_port, outputs.items())),
                read_report(held["report"]),
                read_facts(held["facts"]),
            )
            validate_circuit(circuit, most_cells(held.size))
            require(container.is_made_of(content, circuit._pieces()), "its arrays are not in canonical form")
        vars(circuit)["digest"] = _native.keccak256(content)
        return circuit


def _columns(predicted: Cost) -> dict[str, int]:
    return {"full": predicted.full_columns, "narrow": predicted.narrow_columns}
