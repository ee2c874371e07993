"""The public functions, named like the commands. `plonnx` itself loads them when they are first used.

Circuits, keys and proofs are objects with `save` and `load`, or the paths of their files. Inputs and calibration data
are arrays, mappings of input name to array, DataFrames, or paths to .json, .csv, .npy or .npz files. What is wrong with
a file or a value is a ValueError of one line.

models.py, proofs.py and contracts.py have what the commands of these families call (plonnx/cli); given.py reads what is
given as a path.
"""

from __future__ import annotations

from plonnx.api.contracts import (
    calldata,
    deploy,
    deploy_key,
    deploy_shared_verifier,
    emit_shared_verifier,
    emit_solidity,
    key_contract,
    verify_evm,
)
from plonnx.api.models import compile, evaluate, inspect, mock, run
from plonnx.api.proofs import (
    Prover,
    check_key,
    context,
    prove,
    register,
    setup,
    verify,
    verify_batch,
    verify_registration,
)
from plonnx.kzg.container import FileError
from plonnx.srs_choice import UnknownSetupWarning, UnsafeSetupWarning
from plonnx.statement import Statement

__all__ = [
    "FileError",
    "Prover",
    "Statement",
    "UnknownSetupWarning",
    "UnsafeSetupWarning",
    "calldata",
    "check_key",
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
