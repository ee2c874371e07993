"""The public functions, named like the commands. `plonnx` itself loads them when they are first used.

Circuits, keys and proofs are objects with `save` and `load`; inputs and calibration data are arrays or paths to .json,
.npy or .npz files. What is wrong with a file or a value is a ValueError of one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from plonnx.kzg.container import FileError
from plonnx.plonk.keys import NO_CONTEXT
from plonnx.srs_choice import UnknownSetupWarning, UnsafeSetupWarning, warn
from plonnx.statement import Statement, read_statement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from plonnx.inspection import Inspectable
    from plonnx.kzg.srs import SRS
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.registration import Registration
    from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey
    from plonnx.solidity import EvmResult
    from plonnx.solidity.evm import Deployment

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
    srs: SRS | str | Path | None = None,
    srs_size: int | None = None,
    progress: Progress | None = None,
) -> ModelCircuit:
    """Compile an ONNX file to a circuit.

    `data` are samples of the inputs: the ranges of all tensors are measured on them and widened by `margin`; an input
    that leaves its range cannot be proved. `dims` fixes symbolic dimensions by name, `shapes` whole inputs. `input` and
    `output` say what the proof shows, for all tensors or by name. With a private `model` the keys commit to its weights
    without showing them; nothing public then depends on a weight but the scales and the table's size, and every weight
    must fit `weight_bits` (16 by default), every bias `bias_bits` (by default what twice the output's range needs).
    All that is public is `circuit.architecture`: whoever relies on the key rebuilds the key's public part from it.
    `optimize` says what to make cheap. The layout is made for the setup that there will be: `srs`, or one of 2^srs_size
    powers; otherwise "gas" stays inside those that come with plonnx, and the circuit's `facts` say what others save.

    >>> circuit = plonnx.compile("model.onnx", data="calibration.json", output={"logits": "public"})
    >>> circuit.save("model.circuit")
    """
    from plonnx.compiler.compile import compile_model

    if srs is not None:
        from plonnx.kzg.srs import SRS

        if srs_size is not None:
            raise ValueError("give srs or srs_size: the size of a setup follows from it")
        srs_size = (srs if isinstance(srs, SRS) else SRS.load(srs)).size.bit_length() - 1
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
        srs_size=srs_size,
        progress=progress,
    )


def setup(
    circuit: ModelCircuit,
    srs: SRS | str | Path | None = None,
    *,
    unsafe_srs: bool = False,
    blinding_seed: bytes | None = None,
) -> ProvingKey:
    """The keys of a circuit; the verifying key is `.vk`.

    Without an `srs`, a ceremony's: Ethereum's up to 2^12 powers (rows times columns per commitment), Midnight's up to
    2^14 and beyond that what `plonnx srs fetch` brought; FileError where none is large enough. `unsafe_srs` takes a
    development SRS instead, for tests: anyone can forge proofs, and whatever uses such a key gives an
    `UnsafeSetupWarning`; where nobody here knows the setup, an `UnknownSetupWarning`. The commitments of a private
    model are blinded by the operating system's randomness; by a secret `blinding_seed` they come out the same again.

    >>> pk = plonnx.setup(circuit)
    >>> pk.save("model.pk"), pk.vk.save("model.vk")
    """
    from plonnx.srs_choice import for_setup

    if srs is None or isinstance(srs, (str, Path)):
        srs = for_setup(circuit.srs_k, srs, unsafe_srs)
    elif unsafe_srs:
        raise ValueError("srs and unsafe_srs: give one of them")
    warn(srs)
    return circuit.keygen(srs, blinding_seed)


def register(circuit: ModelCircuit, pk: ProvingKey, srs: SRS | str | Path | None = None) -> Registration:
    """The proof that a private model's key commits to weights of their declared widths alone; made once for a key.

    >>> plonnx.register(circuit, pk).save("model.registration")
    """
    from plonnx.layout.known import known_columns
    from plonnx.layout.registration import register as make
    from plonnx.srs_choice import for_key

    check_key(circuit, pk)
    chosen = for_key(pk.vk, srs) if srs is None or isinstance(srs, (str, Path)) else srs
    return make(pk, known_columns(circuit.filler.fixed), chosen)


def verify_registration(
    vk: VerifyingKey, registration: Registration, architecture: Architecture, srs: SRS | str | Path | None = None
) -> tuple[int, ...]:
    """The bits of each hidden column, or a VerificationError that says why the key or its registration is refused.

    Every byte of the key but the hidden commitments is what follows from the architecture; these commit to weights of
    the declared widths, and to nothing where the architecture has none (docs/security.md says what that is worth).

    >>> architecture = plonnx.Architecture.load("model.architecture")
    >>> plonnx.verify_registration(pk.vk, plonnx.Registration.load("model.registration"), architecture)
    (16, 16, 32)
    """
    from plonnx.layout.registration import verify_registration as check
    from plonnx.srs_choice import for_key

    chosen = for_key(vk, srs) if srs is None or isinstance(srs, (str, Path)) else srs
    architecture.check_key(vk, chosen)
    check(vk, registration, architecture.known, chosen)
    warn(vk)
    return vk.hidden_bits


def mock(circuit: ModelCircuit, inputs: Inputs) -> list[str]:
    """Check every constraint on an input without keys; one line for each that fails, naming gate, row and cells.

    >>> plonnx.mock(circuit, "input.json")
    []
    """
    return circuit.mock(circuit.read_inputs(inputs))


def prove(
    circuit: ModelCircuit,
    inputs: Inputs,
    pk: ProvingKey,
    srs: SRS | str | Path | None = None,
    *,
    context: bytes = NO_CONTEXT,
) -> Proof:
    """Prove one inference. The SRS is the one that `pk` was made with; give it where it is neither embedded nor cached.

    The proof holds for `context` alone, 32 bytes that say what it may be used for (`plonnx.context` makes them).

    >>> proof = plonnx.prove(circuit, "input.json", pk)
    >>> proof.save("model.proof")
    """
    return Prover(circuit, pk, srs).prove(inputs, context)


class Prover:
    """Several proofs with one circuit and key, which are loaded and transformed once.

    >>> prover = plonnx.Prover(circuit, pk)
    >>> proofs = [prover.prove(inputs) for inputs in ("first.json", "second.json")]
    """

    def __init__(self, circuit: ModelCircuit, pk: ProvingKey, srs: SRS | str | Path | None = None) -> None:
        from plonnx.plonk.prover import Prover as WitnessProver
        from plonnx.srs_choice import for_key

        check_key(circuit, pk)
        chosen = for_key(pk.vk, srs) if srs is None or isinstance(srs, (str, Path)) else srs
        warn(pk.vk)
        self.circuit = circuit
        self._prover = WitnessProver(pk, chosen)

    @property
    def unsafe(self) -> bool:
        """Whether the secret of the key's setup is known to somebody."""
        return self._prover.vk.unsafe

    def prove(self, inputs: Inputs, context: bytes = NO_CONTEXT) -> Proof:
        """Prove one inference, for a context of 32 bytes."""
        return self.prove_integers(self.circuit.read_inputs(inputs), context)

    def prove_all(self, inputs: Inputs, context: bytes = NO_CONTEXT) -> Iterator[Proof]:
        """Prove every sample of a file or of arrays with a leading sample axis, one after another."""
        for sample in self.circuit.read_batch(inputs):
            yield self.prove_integers(sample, context)

    def prove_integers(self, inputs: Mapping[str, NDArray[np.int64]], context: bytes = NO_CONTEXT) -> Proof:
        """Prove an inference whose inputs have been read (`circuit.read_inputs`)."""
        return self._prover.prove(self.circuit.witness(inputs), context=context)


def check_key(circuit: ModelCircuit, pk: ProvingKey) -> None:
    """FileError where the key was made for another circuit."""
    if pk.circuit_digest != circuit.digest:
        raise FileError("the proving key was made for another circuit: run plonnx setup on this one")


def context(chain_id: int, contract: str, sender: str, nonce: int) -> bytes:
    """The context of `PlonnxContext.once(sender, nonce)` in a contract on a chain: of no use elsewhere.

    >>> plonnx.context(1, "0x" + "11" * 20, "0x" + "22" * 20, nonce=0).hex()[:16]
    '8e1ef3206f53e45c'
    """
    from plonnx.solidity.abi import context as encode

    return encode(chain_id, contract, sender, nonce)


def verify(vk: VerifyingKey, proof: Proof, *, context: bytes | None = None) -> Statement:
    """The public inputs and outputs that the proof is for, or a VerificationError that says why it is refused.

    With a `context` the proof must be made for it; without, for the one that it names itself (`Statement.context`).

    >>> plonnx.verify(pk.vk, proof).outputs["logits"]
    array([[-1.25, 3.5]])
    """
    from plonnx.plonk.verifier import VerificationError
    from plonnx.plonk.verifier import verify as verify_proof

    if context is not None and proof.context != context:
        raise VerificationError(f"the proof was made for the context 0x{proof.context.hex()}, not 0x{context.hex()}")
    verify_proof(vk, proof)
    warn(vk)
    return read_statement(vk, proof)


def verify_batch(vk: VerifyingKey, proofs: Sequence[Proof]) -> list[Statement]:
    """What `verify` says of each of several proofs of one key, with one pairing for all; a bad one refuses them all.

    >>> [statement.outputs["logits"].argmax() for statement in plonnx.verify_batch(pk.vk, proofs)]
    [3, 7]
    """
    from plonnx.plonk.verifier import verify_batch as verify_proofs

    verify_proofs(vk, proofs)
    warn(vk)
    return [read_statement(vk, proof) for proof in proofs]


def emit_solidity(vk: VerifyingKey) -> str:
    """The source of contract `Verifier`, which accepts the proofs that `verify` accepts.

    For a key over an unsafe setup its constructor reverts, but on development chains (1337, 31337).

    >>> Path("Verifier.sol").write_text(plonnx.emit_solidity(pk.vk))
    """
    from plonnx.solidity import emit_solidity as emit

    warn(vk)
    return emit(vk)


def calldata(proof: Proof | Sequence[Proof]) -> bytes:
    """The call of `verify(bytes proof, bytes publicValues, bytes32 context)`, or of `verifyBatch` with several.

    >>> plonnx.calldata(proof).hex()
    'c4d06258...'
    """
    from plonnx.plonk.keys import Proof
    from plonnx.solidity.abi import batch_calldata
    from plonnx.solidity.abi import calldata as encode

    return encode(proof) if isinstance(proof, Proof) else batch_calldata(proof)


def deploy(vk: VerifyingKey, rpc_url: str, *, dry_run: bool = False) -> Deployment:
    """Create the verifier contract on a network, signed with the key in PLONNX_PRIVATE_KEY; `dry_run` only estimates.

    >>> plonnx.deploy(pk.vk, "https://..", dry_run=True).gas
    1723456
    """
    from plonnx.solidity.evm import deploy_verifier

    return deploy_verifier(vk, rpc_url, dry_run)


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

    warn(vk)
    return call(vk, proof, rpc_url=rpc_url, address=address, any_code=any_code)


def inspect(subject: Inspectable | str | Path) -> dict[str, Any]:
    """What a circuit, architecture, key, proof, registration or SRS (or its file) consists of: rows, columns, layers.

    >>> plonnx.inspect("model.circuit")["rows"]
    1024
    """
    from plonnx.inspection import describe

    return describe(subject)


__all__ = [
    "FileError",
    "Prover",
    "Statement",
    "UnknownSetupWarning",
    "UnsafeSetupWarning",
    "calldata",
    "compile",
    "context",
    "deploy",
    "emit_solidity",
    "inspect",
    "mock",
    "prove",
    "register",
    "setup",
    "verify",
    "verify_batch",
    "verify_evm",
    "verify_registration",
]
