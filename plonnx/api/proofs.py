"""Keys, proofs, and who accepts them off-chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plonnx.api.given import Inputs, Share, loaded, the_circuit, the_pk, the_proof, the_srs, the_vk
from plonnx.kzg.container import FileError
from plonnx.plonk.keys import NO_CONTEXT
from plonnx.srs_choice import warn
from plonnx.statement import Statement, read_statement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from plonnx.kzg.srs import SRS
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.registration import Registration
    from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey


def setup(
    circuit: ModelCircuit | str | Path,
    srs: SRS | str | Path | None = None,
    *,
    unsafe_srs: bool = False,
    blinding_seed: bytes | None = None,
    share: Share | None = None,
) -> ProvingKey:
    """The keys of a circuit; the verifying key is `.vk`.

    Without an `srs`, a ceremony's: Ethereum's up to 2^12 powers (rows times columns per commitment), Midnight's up to
    2^14 and beyond that what `plonnx srs fetch` brought; FileError where none is large enough. `unsafe_srs` takes a
    development SRS instead, for tests: anyone can forge proofs, and whatever uses such a key gives an
    `UnsafeSetupWarning`; where nobody here knows the setup, an `UnknownSetupWarning`. The commitments of a private
    model are blinded by the operating system's randomness; by a secret `blinding_seed` they come out the same again.
    `share` is called with the share of the work that is done.

    >>> pk = plonnx.setup(circuit)
    >>> pk.save("model.pk"), pk.vk.save("model.vk")
    """
    from plonnx.srs_choice import for_setup

    made = the_circuit(circuit)
    if srs is None or isinstance(srs, (str, Path)):
        srs = for_setup(made.srs_k, srs, unsafe_srs)
    elif unsafe_srs:
        raise ValueError("srs and unsafe_srs: give one of them")
    warn(srs)
    return made.keygen(srs, blinding_seed) if share is None else made.keygen(srs, blinding_seed, share)


def register(
    circuit: ModelCircuit | str | Path, pk: ProvingKey | str | Path, srs: SRS | str | Path | None = None
) -> Registration:
    """The proof that a private model's key commits to weights of their declared widths alone; made once for a key.

    >>> plonnx.register(circuit, pk).save("model.registration")
    """
    from plonnx.layout.known import known_columns
    from plonnx.layout.registration import register as make

    made, key = the_circuit(circuit), the_pk(pk)
    check_key(made, key)
    return make(key, known_columns(made.filler.fixed), the_srs(key.vk, srs))


def verify_registration(
    vk: VerifyingKey | str | Path,
    registration: Registration | str | Path,
    architecture: Architecture | str | Path,
    srs: SRS | str | Path | None = None,
) -> tuple[int, ...]:
    """The bits of each hidden column, or a VerificationError that says why the key or its registration is refused.

    Every byte of the key but the hidden commitments is what follows from the architecture; these commit to weights of
    the declared widths, and to nothing where the architecture has none (docs/security.md says what that is worth).

    >>> plonnx.verify_registration("model.vk", "model.registration", "model.architecture")
    (16, 16, 32)
    """
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.registration import Registration
    from plonnx.layout.registration import verify_registration as check

    key, shape = the_vk(vk), loaded(Architecture, architecture)
    chosen = the_srs(key, srs)
    shape.check_key(key, chosen)
    check(key, loaded(Registration, registration), shape.known, chosen)
    warn(key)
    return key.hidden_bits


def prove(
    circuit: ModelCircuit | str | Path,
    inputs: Inputs,
    pk: ProvingKey | str | Path,
    srs: SRS | str | Path | None = None,
    *,
    context: bytes = NO_CONTEXT,
) -> Proof:
    """Prove one inference. The SRS is the one that `pk` was made with; give it where it is neither embedded nor cached.

    The proof holds for `context` alone, 32 bytes that say what it may be used for (`plonnx.context` makes them).

    >>> proof = plonnx.prove(circuit, "input.json", pk)
    >>> proof.save("model.proof")
    """
    return Prover(circuit, pk, srs, keep=0).prove(inputs, context)


class Prover:
    """Several proofs with one circuit and key, which are loaded and transformed once.

    >>> prover = plonnx.Prover(circuit, pk)
    >>> proofs = [prover.prove(inputs) for inputs in ("first.json", "second.json")]

    keep: how many bytes of what depends on the key alone stay in memory; by default a part of what is available.
    """

    def __init__(
        self,
        circuit: ModelCircuit | str | Path,
        pk: ProvingKey | str | Path,
        srs: SRS | str | Path | None = None,
        keep: int | None = None,
    ) -> None:
        from plonnx.plonk.prover import Prover as WitnessProver

        self.circuit, key = the_circuit(circuit), the_pk(pk)
        check_key(self.circuit, key)
        chosen = the_srs(key.vk, srs)
        warn(key.vk)
        self._prover = WitnessProver(key, chosen, keep)

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
        self._prover.prepare()
        return self._prover.prove(self.circuit.witness(inputs), context=context)


def check_key(circuit: ModelCircuit, pk: ProvingKey) -> None:
    """FileError where the key was made for another circuit."""
    if pk.circuit_digest != circuit.digest:
        raise FileError("the proving key was made for another circuit: run plonnx setup on this one")


def verify(vk: VerifyingKey | str | Path, proof: Proof | str | Path, *, context: bytes | None = None) -> Statement:
    """The public inputs and outputs that the proof is for, or a VerificationError that says why it is refused.

    With a `context` the proof must be made for it; without, for the one that it names itself (`Statement.context`).

    >>> plonnx.verify(pk.vk, proof).outputs["logits"]
    array([[-1.25, 3.5]])
    """
    from plonnx.plonk.verifier import VerificationError
    from plonnx.plonk.verifier import verify as verify_proof

    key, candidate = the_vk(vk), the_proof(proof)
    if context is not None and candidate.context != context:
        raise VerificationError(
            f"the proof was made for the context 0x{candidate.context.hex()}, not 0x{context.hex()}"
        )
    verify_proof(key, candidate)
    warn(key)
    return read_statement(key, candidate)


def verify_batch(vk: VerifyingKey | str | Path, proofs: Sequence[Proof | str | Path]) -> list[Statement]:
    """What `verify` says of each of several proofs of one key, with one pairing for all; a bad one refuses them all.

    >>> [statement.outputs["logits"].argmax() for statement in plonnx.verify_batch(pk.vk, proofs)]
    [3, 7]
    """
    from plonnx.plonk.verifier import verify_batch as verify_proofs

    key, candidates = the_vk(vk), [the_proof(proof) for proof in proofs]
    verify_proofs(key, candidates)
    warn(key)
    return [read_statement(key, proof) for proof in candidates]


def context(chain_id: int, contract: str, sender: str, nonce: int) -> bytes:
    """The context of `PlonnxContext.once(sender, nonce)` in a contract on a chain: of no use elsewhere.

    >>> plonnx.context(1, "0x" + "11" * 20, "0x" + "22" * 20, nonce=0).hex()[:16]
    '8e1ef3206f53e45c'
    """
    from plonnx.solidity.abi import context as encode

    return encode(chain_id, contract, sender, nonce)
