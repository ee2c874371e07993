"""The verifier contract: written from a verifying key, compiled, called.

Read `source` (which form a key's verifier has), `generator` (what is emitted, and templates/Verifier.sol.j2, its
frame), then `layout` (the memory and its names), `sections`, `public_words`, `opening` and `straight_line` (the Yul of
each part of docs/protocol.md), `gas` (what it costs, by kzg/prices.py). `abi` encodes calls; `node` finds solc and
anvil; `evm` deploys and calls, with `signer` for a node that holds no key. `dapp` and contracts/ are what a contract
that acts on proofs needs beside its verifier. The other form, one verifier for all models: `shared` (keys as data),
with `equations` and `tape` (arithmetic as data), `shared_evm` and templates/SharedVerifier.sol.j2.
"""

from plonnx.solidity.abi import calldata
from plonnx.solidity.evm import EvmResult, verify_evm
from plonnx.solidity.gas import GasReport, gas_report
from plonnx.solidity.node import RpcError, ToolError
from plonnx.solidity.source import emit_solidity

__all__ = [
    "EvmResult",
    "GasReport",
    "RpcError",
    "ToolError",
    "calldata",
    "emit_solidity",
    "gas_report",
    "verify_evm",
]
