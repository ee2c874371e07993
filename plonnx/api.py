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
from plonnx.srs_choice import UnsafeSetupWarning
from plonnx.statement import Statement, read_statement

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from plonnx.inspection import Inspectable
    from plonnx.kzg.srs import SRS
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.registration import Registration
    from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey
    from plonnx.solidity import EvmResult

Visibility = Literal["public", "private"]
Inputs = Any
"""A path, an array, a mapping of input name to array, or a DataFrame: layout/inputs.py."""
Progress = Callable[[str], None]


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
    max_rows: int | None = None,
    progress: Progress | None = None,
) -> ModelCircuit:
    """Compile an ONNX model (a file, its bytes, or a ModelProto) to a circuit.

    `data` are samples of the inputs: the ranges of all tensors are measured on them and widened by `margin`; an input
    that leaves its range cannot be proved. `outputs` are those of the graph's outputs that the circuit has, by default
    all. `dims` fixes symbolic dimensions by name, `shapes` whole inputs. `input` and `output` say what the proof shows,
    for all tensors or by name. With a private `model` the keys commit to its weights without showing them; nothing
    public then depends on a weight but the scales and the table's size, and every weight must fit `weight_bits` (16 by
    default), every bias `bias_bits` (by default what twice the output's range needs). `max_rows` is how many powers the
    setup has: rows times columns a commitment stay within it. An OutlookWarning says what will hurt later.

    >>> circuit = plonnx.compile("model.onnx", data="calibration.json", output={"logits": "public"})
    >>> circuit.save("model.circuit")
    """
    from plonnx.compiler.compile import compile_model
    from plonnx.compiler.options import DEFAULT_ERROR_TARGET, Options
    from plonnx.outlook import OutlookWarning, outlook

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
        max_rows=max_rows,
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
    from plonnx.layout.inputs import read_arrays

    return read_arrays(given, ["labels"])["labels"]


def run(circuit: ModelCircuit | str | Path, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """The circuit's outputs by name, (samples, ..), without a proof: what proofs of these inputs would show.

    >>> plonnx.run("model.circuit", "input.json")["logits"].shape
    (1, 10)
    """
    return _circuit(circuit).predict(inputs)


def setup(
    circuit: ModelCircuit | str | Path, srs: SRS | str | Path | None = None, *, blinding_seed: bytes | None = None
) -> ProvingKey:
    """The keys of a circuit; the verifying key is `.vk`.

    Without an `srs`, Ethereum's ceremony up to 2^12 rows, else a development SRS with an `UnsafeSetupWarning`. The
    commitments of a private model are blinded by the operating system's randomness; by a secret `blinding_seed` they
    come out the same again.

    >>> pk = plonnx.setup(circuit)
    >>> pk.save("model.pk"), pk.vk.save("model.vk")
    """
    from plonnx.srs_choice import for_setup

    made = _circuit(circuit)
    return made.keygen(
        for_setup(made.srs_k, srs) if srs is None or isinstance(srs, (str, Path)) else srs, blinding_seed
    )


def register(
    circuit: ModelCircuit | str | Path, pk: ProvingKey | str | Path, srs: SRS | str | Path | None = None
) -> Registration:
    """The proof that every weight and bias of a private model is in its declared range; made once for a key.

    >>> plonnx.register(circuit, pk).save("model.registration")
    """
    from plonnx.layout.registration import declare
    from plonnx.layout.registration import register as make
    from plonnx.srs_choice import for_key

    made, key = _circuit(circuit), _pk(pk)
    check_key(made, key)
    chosen = for_key(key.vk, srs) if srs is None or isinstance(srs, (str, Path)) else srs
    return make(key, declare(made, key.vk), chosen)


def verify_registration(
    vk: VerifyingKey | str | Path, registration: Registration | str | Path, srs: SRS | str | Path | None = None
) -> tuple[int, ...]:
    """The bits of each hidden column, or a VerificationError that says why the registration is refused.

    >>> plonnx.verify_registration("model.vk", "model.registration")
    (16, 16, 32)
    """
    from plonnx.layout.registration import Registration
    from plonnx.layout.registration import verify_registration as check
    from plonnx.srs_choice import for_key

    key, candidate = _vk(vk), _loaded(Registration, registration)
    check(key, candidate, for_key(key, srs) if srs is None or isinstance(srs, (str, Path)) else srs)
    return candidate.declared.bits


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
) -> Proof:
    """Prove one inference. The SRS is the one that `pk` was made with; give it where it is neither embedded nor cached.

    >>> proof = plonnx.prove(circuit, "input.json", pk)
    >>> proof.save("model.proof")
    """
    return Prover(circuit, pk, srs).prove(inputs)


class Prover:
    """Several proofs with one circuit and key, which are loaded and transformed once.

    >>> prover = plonnx.Prover(circuit, pk)
    >>> proofs = [prover.prove(inputs) for inputs in ("first.json", "second.json")]
    """

    def __init__(
        self, circuit: ModelCircuit | str | Path, pk: ProvingKey | str | Path, srs: SRS | str | Path | None = None
    ) -> None:
        from plonnx.plonk.prover import Prover as WitnessProver
        from plonnx.srs_choice import for_key

        self.circuit, key = _circuit(circuit), _pk(pk)
        check_key(self.circuit, key)
        chosen = for_key(key.vk, srs) if srs is None or isinstance(srs, (str, Path)) else srs
        self._prover = WitnessProver(key, chosen)

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


def verify(vk: VerifyingKey | str | Path, proof: Proof | str | Path) -> Statement:
    """The public inputs and outputs that the proof is for, or a VerificationError that says why it is refused.

    >>> plonnx.verify(pk.vk, proof).outputs["logits"]
    array([[-1.25, 3.5]])
    """
    from plonnx.plonk.verifier import verify as verify_proof

    key, candidate = _vk(vk), _proof(proof)
    verify_proof(key, candidate)
    return read_statement(key, candidate.public_values)


def emit_solidity(vk: VerifyingKey | str | Path) -> str:
    """The source of contract `Verifier`, which accepts the proofs that `verify` accepts.

    >>> Path("Verifier.sol").write_text(plonnx.emit_solidity(pk.vk))
    """
    from plonnx.solidity import emit_solidity as emit

    return emit(_vk(vk))


def calldata(proof: Proof | str | Path) -> bytes:
    """The call of `verify(bytes proof, bytes publicValues)` with this proof.

    >>> plonnx.calldata(proof).hex()
    'f7e83aee...'
    """
    from plonnx.solidity import calldata as encode

    return encode(_proof(proof))


def verify_evm(
    vk: VerifyingKey | str | Path,
    proof: Proof | str | Path,
    rpc_url: str | None = None,
    address: str | None = None,
    any_code: bool = False,
) -> EvmResult:
    """Call the contract on an Ethereum node: one started for this, or the one at `rpc_url`.

    The contract is deployed there, or found at `address`, where its code must be what solc makes of it here; with
    `any_code` it is known by the verifying key that it reports.

    >>> plonnx.verify_evm(pk.vk, proof).accepted
    True
    """
    from plonnx.solidity import verify_evm as call

    return call(_vk(vk), _proof(proof), rpc_url=rpc_url, address=address, any_code=any_code)


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
    "evaluate",
    "inspect",
    "mock",
    "prove",
    "register",
    "run",
    "setup",
    "verify",
    "verify_evm",
    "verify_registration",
]
