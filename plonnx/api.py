"""The public functions, named like the commands. `plonnx` itself loads them when they are first used.

Circuits, keys and proofs are objects with `save` and `load`, or the paths of their files. Inputs and calibration data
are arrays, mappings of input name to array, DataFrames, or paths to .json, .csv, .npy or .npz files. What is wrong with
a file or a value is a ValueError of one line.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

from plonnx.kzg.container import FileError
from plonnx.kzg.prices import MAX_FEE
from plonnx.kzg.wording import option
from plonnx.plonk.keys import NO_CONTEXT
from plonnx.srs_choice import UnknownSetupWarning, UnsafeSetupWarning, warn
from plonnx.statement import Statement, read_statement

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from plonnx.inspection import Inspectable
    from plonnx.kzg.srs import SRS
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.registration import Registration
    from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey
    from plonnx.solidity import EvmResult
    from plonnx.solidity.evm import Deployment
    from plonnx.solidity.shared import KeyContract

Visibility = Literal["public", "private"]
Inputs = Any
"""A path, an array, a mapping of input name to array, or a DataFrame: layout/inputs.py."""
Progress = Callable[[str], None]
Share = Callable[[float], None]


class _Loadable(Protocol):
    @classmethod
    def load(cls, path: str | Path) -> Self: ...


_T = TypeVar("_T", bound=_Loadable)


def _loaded(kind: type[_T], given: _T | str | Path) -> _T:
    """An object, or what its file holds."""
    return kind.load(given) if isinstance(given, (str, Path)) else given


def _circuit(given: ModelCircuit | str | Path) -> ModelCircuit:
    from plonnx.layout.circuit import ModelCircuit

    return _loaded(ModelCircuit, given)


def _vk(given: VerifyingKey | str | Path) -> VerifyingKey:
    from plonnx.plonk.keys import VerifyingKey

    return _loaded(VerifyingKey, given)


def _pk(given: ProvingKey | str | Path) -> ProvingKey:
    from plonnx.plonk.keys import ProvingKey

    return _loaded(ProvingKey, given)


def _proof(given: Proof | str | Path) -> Proof:
    from plonnx.plonk.keys import Proof

    return _loaded(Proof, given)


def _srs(vk: VerifyingKey, given: SRS | str | Path | None) -> SRS:
    """The SRS of a key: the one that is given, or found by its path or the key alone."""
    from plonnx.srs_choice import for_key

    return for_key(vk, given) if given is None or isinstance(given, (str, Path)) else given


def compile(
    source: str | Path | bytes | onnx.ModelProto,
    /,
    data: Inputs | Sequence[Inputs] | None = None,
    *,
    outputs: Sequence[str] | None = None,
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
    max_memory: float | None = None,
    progress: Progress | None = None,
) -> ModelCircuit:
    """Compile an ONNX model (a file, its bytes, or a ModelProto) to a circuit.

    `data` are samples of the inputs: the ranges of all tensors are measured on them and widened by `margin`; an input
    that leaves its range cannot be proved. Outputs are within `error_target` (0.003) of their range from the float
    model, channels within ten times that of their own; a model that misses this by more than three times is refused,
    unless `table_bits` says how fine it shall be (docs/scales.md).
    `outputs` are those of the graph's outputs that the circuit has, by default all. `dims` fixes symbolic dimensions by
    name, `shapes` whole inputs. `input` and `output` say what the proof shows,
    for all tensors or by name. With a private `model` the keys commit to its weights without showing them; nothing
    public then depends on a weight but the scales and the table's size, and every weight must fit `weight_bits` (16 by
    default), every bias `bias_bits` (by default what twice the output's range needs). All that is public is
    `circuit.architecture`: whoever relies on the key rebuilds the key's public part from it.
    `optimize` says what to make cheap. The layout is made for the setup that there will be: `srs`, or one of 2^srs_size
    powers; otherwise "gas" stays inside those that come with plonnx, and the circuit's `facts` say what others save.
    `max_memory` are the gigabytes that a proof may take, by the cost model: a model of which every layout takes more is
    refused. Without it, layouts that take more than 8 GB count as dearer.
    An OutlookWarning says what will hurt later.

    >>> circuit = plonnx.compile("model.onnx", data="calibration.json", output={"logits": "public"})
    >>> circuit.save("model.circuit")
    """
    from plonnx.compiler.compile import compile_model
    from plonnx.compiler.options import DEFAULT_ERROR_TARGET, Options
    from plonnx.outlook import OutlookWarning, outlook

    if srs is not None:
        from plonnx.kzg.srs import SRS

        if srs_size is not None:
            raise ValueError("give srs or srs_size: the size of a setup follows from it")
        srs_size = _loaded(SRS, srs).size.bit_length() - 1
    options = Options(
        outputs=None if outputs is None else tuple([outputs] if isinstance(outputs, str) else outputs),
        margin=margin,
        dims=dict(dims or {}),
        shapes={name: tuple(shape) for name, shape in (shapes or {}).items()},
        table_bits=table_bits,
        error_target=DEFAULT_ERROR_TARGET if error_target is None else error_target,
        input=input if isinstance(input, str) else dict(input),
        output=output if isinstance(output, str) else dict(output),
        model=model,
        weight_bits=weight_bits,
        bias_bits=bias_bits,
        optimize=optimize,
        srs_size=srs_size,
        max_memory=max_memory,
    )
    circuit = compile_model(source, data, options, progress)
    for line in outlook(circuit):
        warnings.warn(line, OutlookWarning, stacklevel=2)
    return circuit


def evaluate(
    circuit: ModelCircuit | str | Path,
    data: Inputs,
    labels: Any = None,
    *,
    model: str | Path | bytes | onnx.ModelProto | None = None,
    output: str | None = None,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """The circuit's accuracy on data, beside that of the float model that it was compiled from.

    `labels` are classes or values, an array or the path of an .npy file. `output` names the output that they are about
    (by default the first with several scores); a single score means class 1 above `threshold`. `model` is the ONNX
    model, run by onnxruntime: a circuit does not hold it. Without labels the result says how far the two agree.

    >>> plonnx.evaluate("model.circuit", "test.npz", "labels.npy", model="model.onnx")["float"]
    {'accuracy': 0.98}
    """
    made = _circuit(circuit)
    reference = None
    if model is not None:
        from plonnx.compiler.compile import float_outputs

        reference = float_outputs(model, data, made.inputs, [port.name for port in made.outputs])
    return made.evaluate(
        data, None if labels is None else _labels(labels), reference=reference, output=output, threshold=threshold
    )


def _labels(given: Any) -> NDArray[Any]:
    import numpy as np

    if not isinstance(given, (str, Path)):
        return np.asarray(given)
    from plonnx.layout.inputs import InputError, MissingError, read_arrays

    try:
        return read_arrays(given, ["labels"])["labels"]
    except MissingError as error:
        raise InputError(f"{given}: it holds no labels: give an .npy file, or name the array labels") from error


def run(circuit: ModelCircuit | str | Path, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """The circuit's outputs by name, (samples, ..), without a proof: what proofs of these inputs would show.

    >>> plonnx.run("model.circuit", "input.json")["logits"].shape
    (1, 10)
    """
    return _circuit(circuit).predict(inputs)


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

    made = _circuit(circuit)
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

    made, key = _circuit(circuit), _pk(pk)
    check_key(made, key)
    return make(key, known_columns(made.filler.fixed), _srs(key.vk, srs))


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

    key, shape = _vk(vk), _loaded(Architecture, architecture)
    chosen = _srs(key, srs)
    shape.check_key(key, chosen)
    check(key, _loaded(Registration, registration), shape.known, chosen)
    warn(key)
    return key.hidden_bits


def mock(circuit: ModelCircuit | str | Path, inputs: Inputs) -> list[str]:
    """Check every constraint on an input without keys; one line for each that fails, naming gate, row and cells.

    >>> plonnx.mock(circuit, "input.json")
    []
    """
    made = _circuit(circuit)
    return made.mock(made.read_inputs(inputs))


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

        self.circuit, key = _circuit(circuit), _pk(pk)
        check_key(self.circuit, key)
        chosen = _srs(key.vk, srs)
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


def context(chain_id: int, contract: str, sender: str, nonce: int) -> bytes:
    """The context of `PlonnxContext.once(sender, nonce)` in a contract on a chain: of no use elsewhere.

    >>> plonnx.context(1, "0x" + "11" * 20, "0x" + "22" * 20, nonce=0).hex()[:16]
    '8e1ef3206f53e45c'
    """
    from plonnx.solidity.abi import context as encode

    return encode(chain_id, contract, sender, nonce)


def verify(vk: VerifyingKey | str | Path, proof: Proof | str | Path, *, context: bytes | None = None) -> Statement:
    """The public inputs and outputs that the proof is for, or a VerificationError that says why it is refused.

    With a `context` the proof must be made for it; without, for the one that it names itself (`Statement.context`).

    >>> plonnx.verify(pk.vk, proof).outputs["logits"]
    array([[-1.25, 3.5]])
    """
    from plonnx.plonk.verifier import VerificationError
    from plonnx.plonk.verifier import verify as verify_proof

    key, candidate = _vk(vk), _proof(proof)
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

    key, candidates = _vk(vk), [_proof(proof) for proof in proofs]
    verify_proofs(key, candidates)
    warn(key)
    return [read_statement(key, proof) for proof in candidates]


def emit_solidity(vk: VerifyingKey | str | Path, *, via_ir: bool = False) -> str:
    """The source of contract `Verifier`, which accepts the proofs that `verify` accepts.

    For a key over an unsafe setup its constructor reverts, but on development chains (1337, 31337). `via_ir` writes it
    for projects that are compiled with viaIR; calls then cost 1 to 2 % more, and solc may run out of memory where a
    model is not small: the shared verifier compiles either way.

    >>> Path("Verifier.sol").write_text(plonnx.emit_solidity(pk.vk))
    """
    from plonnx.solidity import emit_solidity as emit

    key = _vk(vk)
    warn(key)
    return emit(key, via_ir)


def emit_shared_verifier() -> str:
    """The source of contract `PlonnxSharedVerifier`: one for all models, whose keys are in contracts of their own.

    >>> Path("PlonnxSharedVerifier.sol").write_text(plonnx.emit_shared_verifier())
    """
    from plonnx.solidity.shared import emit_shared_verifier as emit

    return emit()


def key_contract(vk: VerifyingKey | str | Path) -> KeyContract:
    """The contract that holds a key for the shared verifier: its `code`, what creates it, its `hash`.

    The hash stands for the key: whoever relies on the shared verifier states it, and must know it from here.

    >>> plonnx.key_contract(pk.vk).hash.hex()
    '2f1c...'
    """
    from plonnx.solidity.shared import KeyContract

    key = _vk(vk)
    warn(key)
    return KeyContract(key)


def calldata(
    proof: Proof | str | Path | Sequence[Proof | str | Path],
    *,
    vk: VerifyingKey | str | Path | None = None,
    key_address: str | None = None,
) -> bytes:
    """The call of `verify(bytes proof, bytes publicValues, bytes32 context)`, or of `verifyBatch` with several.

    With `vk` and the address of its contract, that of the shared verifier: `verify(address key, bytes32 keyHash, ..)`.

    >>> plonnx.calldata(proof).hex()
    'c4d06258...'
    """
    from plonnx.plonk.keys import Proof
    from plonnx.solidity.abi import batch_calldata
    from plonnx.solidity.abi import calldata as encode
    from plonnx.solidity.shared import reference

    if (vk is None) != (key_address is None):
        raise ValueError(
            f"{option('vk')} and {option('key_address')}: the shared verifier is told both, others neither"
        )
    proofs = [_proof(proof)] if isinstance(proof, (Proof, str, Path)) else [_proof(one) for one in proof]
    key = None
    if vk is not None and key_address is not None:
        key = reference(_vk(vk), key_address, proofs)
    return encode(proofs[0], key) if isinstance(proof, (Proof, str, Path)) else batch_calldata(proofs, key=key)


def deploy(
    vk: VerifyingKey | str | Path, rpc_url: str, *, dry_run: bool = False, max_fee: float = MAX_FEE
) -> Deployment:
    """Create the verifier contract on a network, signed with the key in PLONNX_PRIVATE_KEY; `dry_run` only estimates.

    max_fee: the most that a unit of gas may cost, in gwei. Where the node asks for more nothing is signed (ValueError).

    >>> plonnx.deploy(pk.vk, "https://..", dry_run=True).gas
    1723456
    """
    from plonnx.solidity.evm import deploy_verifier

    return deploy_verifier(_vk(vk), rpc_url, dry_run, max_fee)


def deploy_shared_verifier(rpc_url: str, *, dry_run: bool = False, max_fee: float = MAX_FEE) -> Deployment:
    """Create the shared verifier on a network likewise: once, for all models.

    >>> plonnx.deploy_shared_verifier("https://..", dry_run=True).gas
    1515322
    """
    from plonnx.solidity.shared_evm import deploy_shared_verifier as create

    return create(rpc_url, dry_run, max_fee)


def deploy_key(
    vk: VerifyingKey | str | Path, rpc_url: str, *, dry_run: bool = False, max_fee: float = MAX_FEE
) -> Deployment:
    """Create the contract that holds a key for the shared verifier likewise.

    >>> plonnx.deploy_key(pk.vk, "https://..", dry_run=True).gas
    276498
    """
    from plonnx.solidity.shared_evm import deploy_key as create

    return create(_vk(vk), rpc_url, dry_run, max_fee)


def verify_evm(
    vk: VerifyingKey | str | Path,
    proof: Proof | str | Path,
    rpc_url: str | None = None,
    address: str | None = None,
    any_code: bool = False,
    *,
    shared: bool = False,
    key_address: str | None = None,
    max_fee: float = MAX_FEE,
) -> EvmResult:
    """Call the contract on an Ethereum node: one started for this, or the one at `rpc_url`.

    The contract is deployed there, or found at `address`, where its code must be what solc makes of it here; with
    `any_code` it is known by the verifying key that it reports. `shared` calls the shared verifier instead, with the
    key's contract at `key_address`; what is not given is deployed, on a node started here with a registry, on another
    for at most `max_fee` gwei a unit of gas.

    >>> plonnx.verify_evm(pk.vk, proof).accepted
    True
    """
    from plonnx.solidity import verify_evm as call
    from plonnx.solidity.shared_evm import verify_shared

    if key_address is not None and not shared:
        raise ValueError(f"{option('key_address')} is for the shared verifier: {option('shared')}")
    key = _vk(vk)
    warn(key)
    if shared:
        return verify_shared(key, _proof(proof), rpc_url, address, key_address, any_code, max_fee)
    return call(key, _proof(proof), rpc_url=rpc_url, address=address, any_code=any_code, max_fee=max_fee)


def inspect(subject: Inspectable | str | Path, *, plot: str | Path | None = None) -> dict[str, Any]:
    """What a circuit, architecture, key, proof, registration or SRS (or its file) consists of: rows, columns, layers.

    `plot` is where to draw a circuit's errors: each tensor's against its range, along the network (.png, .svg, .pdf).

    >>> plonnx.inspect("model.circuit", plot="errors.png")["rows"]
    1024
    """
    from plonnx.inspection import describe

    if plot is not None:
        from plonnx.error_plot import plot_errors
        from plonnx.layout.circuit import ModelCircuit

        held = ModelCircuit.load(subject) if isinstance(subject, (str, Path)) else subject
        if not isinstance(held, ModelCircuit):
            raise ValueError(f"{option('plot')}: only a circuit knows its errors")
        plot_errors(held, plot)
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
    "deploy_key",
    "deploy_shared_verifier",
    "emit_shared_verifier",
    "emit_solidity",
    "evaluate",
    "inspect",
    "key_contract",
    "mock",
    "prove",
    "register",
    "run",
    "setup",
    "verify",
    "verify_batch",
    "verify_evm",
    "verify_registration",
]
