"""The public functions, named like the commands. `plonnx` itself loads them when they are first used.

Circuits, keys and proofs are objects with `save` and `load`; inputs and calibration data are arrays or paths to .json,
.npy or .npz files. What is wrong with a file or a value is a ValueError of one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from plonnx.kzg.container import FileError
from plonnx.srs_choice import UnsafeSetupWarning
from plonnx.statement import Statement, read_statement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from plonnx.inspection import Inspectable
    from plonnx.kzg.srs import SRS
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.registration import Registration
    from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey
    from plonnx.solidity import EvmResult

Visibility = Literal["public", "private"]
Inputs = str | Path | Mapping[str, "ArrayLike"]
Progress = Callable[[str], None]


def compile(
    path: str | Path,
    /,
    data: Inputs | Sequence[Inputs] | None = None,
    *,
    margin: float = 2.0,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    table_bits: int | None = None,
    error_target: float | None = None,
    input: Visibility | Mapping[str, Visibility] = "public",
    output: Visibility | Mapping[str, Visibility] = "public",
    model: Visibility = "public",
    weight_bits: int | None = None,
    bias_bits: int | None = None,
    optimize: Literal["prover", "gas", "balanced"] = "prover",
    progress: Progress | None = None,
) -> ModelCircuit:
    """Compile an ONNX file to a circuit.

    `data` are samples of the inputs: the ranges of all tensors are measured on them and widened by `margin`; an input
    that leaves its range cannot be proved. `dims` fixes symbolic dimensions by name, `shapes` whole inputs. `input` and
    `output` say what the proof shows, for all tensors or by name. With a private `model` the keys commit to its weights
    without showing them; nothing public then depends on a weight but the scales and the table's size, and every weight
    must fit `weight_bits` (16 by default), every bias `bias_bits` (by default what twice the output's range needs).

    >>> circuit = plonnx.compile("model.onnx", data="calibration.json", output={"logits": "public"})
    >>> circuit.save("model.circuit")
    """
    from plonnx.compiler.compile import compile_model

    samples = None if data is None else [data] if isinstance(data, (str, Path, Mapping)) else list(data)
    return compile_model(
        path,
        samples,
        margin=margin,
        dims=dict(dims or {}),
        shapes={name: tuple(shape) for name, shape in (shapes or {}).items()},
        table_bits=table_bits,
        error_target=error_target,
        input_visibility=input if isinstance(input, str) else dict(input),
        output_visibility=output if isinstance(output, str) else dict(output),
        model_visibility=model,
        weight_bits=weight_bits,
        bias_bits=bias_bits,
        optimize=optimize,
        progress=progress,
    )


def setup(
    circuit: ModelCircuit, srs: SRS | str | Path | None = None, *, blinding_seed: bytes | None = None
) -> ProvingKey:
    """The keys of a circuit; the verifying key is `.vk`.

    Without an `srs`, Ethereum's ceremony up to 2^12 rows, else a development SRS with an `UnsafeSetupWarning`. The
    commitments of a private model are blinded by the operating system's randomness; by a secret `blinding_seed` they
    come out the same again.

    >>> pk = plonnx.setup(circuit)
    >>> pk.save("model.pk"), pk.vk.save("model.vk")
    """
    from plonnx.srs_choice import for_setup

    return circuit.keygen(
        for_setup(circuit.srs_k, srs) if srs is None or isinstance(srs, (str, Path)) else srs, blinding_seed
    )


def register(circuit: ModelCircuit, pk: ProvingKey, srs: SRS | str | Path | None = None) -> Registration:
    """The proof that every weight and bias of a private model is in its declared range; made once for a key.

    >>> plonnx.register(circuit, pk).save("model.registration")
    """
    from plonnx.layout.registration import declare
    from plonnx.layout.registration import register as make
    from plonnx.srs_choice import for_key

    check_key(circuit, pk)
    chosen = for_key(pk.vk, srs) if srs is None or isinstance(srs, (str, Path)) else srs
    return make(pk, declare(circuit, pk.vk), chosen)


def verify_registration(
    vk: VerifyingKey, registration: Registration, srs: SRS | str | Path | None = None
) -> tuple[int, ...]:
    """The bits of each hidden column, or a VerificationError that says why the registration is refused.

    >>> plonnx.verify_registration(pk.vk, plonnx.Registration.load("model.registration"))
    (16, 16, 32)
    """
    from plonnx.layout.registration import verify_registration as check
    from plonnx.srs_choice import for_key

    check(vk, registration, for_key(vk, srs) if srs is None or isinstance(srs, (str, Path)) else srs)
    return registration.declared.bits


def mock(circuit: ModelCircuit, inputs: Inputs) -> list[str]:
    """Check every constraint on an input without keys; one line for each that fails, naming gate, row and cells.

    >>> plonnx.mock(circuit, "input.json")
    []
    """
    return circuit.mock(circuit.read_inputs(inputs))


def prove(circuit: ModelCircuit, inputs: Inputs, pk: ProvingKey, srs: SRS | str | Path | None = None) -> Proof:
    """Prove one inference. The SRS is the one that `pk` was made with; give it where it is neither embedded nor cached.

    >>> proof = plonnx.prove(circuit, "input.json", pk)
    >>> proof.save("model.proof")
    """
    return Prover(circuit, pk, srs, keep=0).prove(inputs)


class Prover:
    """Several proofs with one circuit and key, which are loaded and transformed once.

    >>> prover = plonnx.Prover(circuit, pk)
    >>> proofs = [prover.prove(inputs) for inputs in ("first.json", "second.json")]

    keep: how many bytes of what depends on the key alone stay in memory; by default a part of what is available.
    """

    def __init__(
        self, circuit: ModelCircuit, pk: ProvingKey, srs: SRS | str | Path | None = None, keep: int | None = None
    ) -> None:
        from plonnx.plonk.prover import Prover as WitnessProver
        from plonnx.srs_choice import for_key

        check_key(circuit, pk)
        chosen = for_key(pk.vk, srs) if srs is None or isinstance(srs, (str, Path)) else srs
        self.circuit = circuit
        self._prover = WitnessProver(pk, chosen, keep)

    def prove(self, inputs: Inputs) -> Proof:
        """Prove one inference."""
        return self.prove_integers(self.circuit.read_inputs(inputs))

    def prove_all(self, inputs: Inputs) -> Iterator[Proof]:
        """Prove every sample of a file or of arrays with a leading sample axis, one after another."""
        for sample in self.circuit.read_batch(inputs):
            yield self.prove_integers(sample)

    def prove_integers(self, inputs: Mapping[str, NDArray[np.int64]]) -> Proof:
        """Prove an inference whose inputs have been read (`circuit.read_inputs`)."""
        return self._prover.prove(self.circuit.witness(inputs))


def check_key(circuit: ModelCircuit, pk: ProvingKey) -> None:
    """FileError where the key was made for another circuit."""
    if pk.circuit_digest != circuit.digest:
        raise FileError("the proving key was made for another circuit: run plonnx setup on this one")


def verify(vk: VerifyingKey, proof: Proof) -> Statement:
    """The public inputs and outputs that the proof is for, or a VerificationError that says why it is refused.

    >>> plonnx.verify(pk.vk, proof).outputs["logits"]
    array([[-1.25, 3.5]])
    """
    from plonnx.plonk.verifier import verify as verify_proof

    verify_proof(vk, proof)
    return read_statement(vk, proof.public_values)


def emit_solidity(vk: VerifyingKey) -> str:
    """The source of contract `Verifier`, which accepts the proofs that `verify` accepts.

    >>> Path("Verifier.sol").write_text(plonnx.emit_solidity(pk.vk))
    """
    from plonnx.solidity import emit_solidity as emit

    return emit(vk)


def calldata(proof: Proof) -> bytes:
    """The call of `verify(bytes proof, bytes publicValues)` with this proof.

    >>> plonnx.calldata(proof).hex()
    'f7e83aee...'
    """
    from plonnx.solidity import calldata as encode

    return encode(proof)


def verify_evm(
    vk: VerifyingKey, proof: Proof, rpc_url: str | None = None, address: str | None = None, any_code: bool = False
) -> EvmResult:
    """Call the contract on an Ethereum node: one started for this, or the one at `rpc_url`.

    The contract is deployed there, or found at `address`, where its code must be what solc makes of it here; with
    `any_code` it is known by the verifying key that it reports.

    >>> plonnx.verify_evm(pk.vk, proof).accepted
    True
    """
    from plonnx.solidity import verify_evm as call

    return call(vk, proof, rpc_url=rpc_url, address=address, any_code=any_code)


def inspect(subject: Inspectable | str | Path) -> dict[str, Any]:
    """What a circuit, key, proof, registration or SRS (or its file) consists of: rows, columns, where they come from.

    >>> plonnx.inspect("model.circuit")["rows"]
    1024
    """
    from plonnx.inspection import describe

    return describe(subject)


__all__ = [
    "FileError",
    "Prover",
    "Statement",
    "UnsafeSetupWarning",
    "calldata",
    "compile",
    "emit_solidity",
    "inspect",
    "mock",
    "prove",
    "register",
    "setup",
    "verify",
    "verify_evm",
    "verify_registration",
]
