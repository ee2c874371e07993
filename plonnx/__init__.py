"""plonnx: compile an ONNX model to a PLONK circuit, prove its inference, verify it on Ethereum.

The functions have the names of the commands; `api/` says what each takes and gives.

    import plonnx

    circuit = plonnx.compile("model.onnx", data="calibration.json")
    pk = plonnx.setup(circuit)
    proof = plonnx.prove(circuit, "input.json", pk)
    statement = plonnx.verify(pk.vk, proof)
    print(statement.outputs)

To read the project, start with docs/architecture.md. Everything here is loaded when it is first used, so that
`import plonnx` costs nothing and a verifier never loads the compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plonnx.api import (
        Prover,
        Statement,
        UnknownSetupWarning,
        UnsafeSetupWarning,
        calldata,
        compile,
        context,
        deploy,
        deploy_key,
        deploy_shared_verifier,
        emit_shared_verifier,
        emit_solidity,
        evaluate,
        inspect,
        key_contract,
        mock,
        prove,
        register,
        run,
        setup,
        verify,
        verify_batch,
        verify_evm,
        verify_registration,
    )
    from plonnx.kzg.container import FileError
    from plonnx.kzg.srs import SRS
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.registration import Registration
    from plonnx.outlook import OutlookWarning
    from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey
    from plonnx.plonk.verifier import VerificationError

_HOME = {
    "Architecture": "plonnx.layout.architecture",
    "FileError": "plonnx.kzg.container",
    "ModelCircuit": "plonnx.layout.circuit",
    "OutlookWarning": "plonnx.outlook",
    "Proof": "plonnx.plonk.keys",
    "Prover": "plonnx.api",
    "ProvingKey": "plonnx.plonk.keys",
    "Registration": "plonnx.layout.registration",
    "SRS": "plonnx.kzg.srs",
    "Statement": "plonnx.api",
    "UnknownSetupWarning": "plonnx.api",
    "UnsafeSetupWarning": "plonnx.api",
    "VerificationError": "plonnx.plonk.verifier",
    "VerifyingKey": "plonnx.plonk.keys",
    "calldata": "plonnx.api",
    "compile": "plonnx.api",
    "context": "plonnx.api",
    "deploy": "plonnx.api",
    "deploy_key": "plonnx.api",
    "deploy_shared_verifier": "plonnx.api",
    "emit_shared_verifier": "plonnx.api",
    "emit_solidity": "plonnx.api",
    "evaluate": "plonnx.api",
    "inspect": "plonnx.api",
    "key_contract": "plonnx.api",
    "mock": "plonnx.api",
    "prove": "plonnx.api",
    "register": "plonnx.api",
    "run": "plonnx.api",
    "setup": "plonnx.api",
    "verify": "plonnx.api",
    "verify_batch": "plonnx.api",
    "verify_evm": "plonnx.api",
    "verify_registration": "plonnx.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("plonnx")
    if name not in _HOME:
        raise AttributeError(f"module 'plonnx' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, "__version__"})


__all__ = [
    "SRS",
    "Architecture",
    "FileError",
    "ModelCircuit",
    "OutlookWarning",
    "Proof",
    "Prover",
    "ProvingKey",
    "Registration",
    "Statement",
    "UnknownSetupWarning",
    "UnsafeSetupWarning",
    "VerificationError",
    "VerifyingKey",
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
