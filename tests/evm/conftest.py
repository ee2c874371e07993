"""One Ethereum node for the tests of the contract, and a contract on it with a proof that holds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from circuits import squares
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.prover import prove
from plonnx.solidity import RpcError, ToolError, evm, node
from plonnx.solidity.abi import REQUIRE_VALID, VERIFY, decode_bool, decode_error, encode_call

Statement = tuple[bytes, bytes]  # proof, public values
BATCH = 100


@dataclass(frozen=True)
class Deployed:
    """A verifier contract on the tests' node."""

    rpc: node.Rpc
    vk: VerifyingKey
    address: str

    def accepts(self, statements: Sequence[Statement]) -> list[bool]:
        """What `verify` returns; it must not revert."""
        return [decode_bool(answer) for answer in self._call(VERIFY, statements) if not _reverted(answer)]

    def reasons(self, statements: Sequence[Statement]) -> list[str]:
        """What `requireValid` reverts with; empty where it does not."""
        answers = self._call(REQUIRE_VALID, statements)
        return [decode_error(answer.data) if isinstance(answer, RpcError) else "" for answer in answers]

    def _call(self, signature: str, statements: Sequence[Statement]) -> list[bytes | RpcError]:
        calls = [
            ("eth_call", ({"to": self.address, "data": "0x" + encode_call(signature, *statement).hex()}, "latest"))
            for statement in statements
        ]
        answers = [answer for i in range(0, len(calls), BATCH) for answer in self.rpc.batch(calls[i : i + BATCH])]
        return [answer if isinstance(answer, RpcError) else bytes.fromhex(answer[2:]) for answer in answers]


def _reverted(answer: bytes | RpcError) -> bool:
    if isinstance(answer, RpcError):
        raise AssertionError(f"verify reverted: {answer}")
    return False


@pytest.fixture(scope="session")
def rpc() -> Iterator[node.Rpc]:
    """A node of our own."""
    try:
        node.find_solc()
        node.find_anvil()
    except ToolError as error:
        warnings.warn(f"THE CONTRACT IS NOT TESTED: {error}", stacklevel=1)
        pytest.skip(str(error))
    with node.anvil() as own:
        yield own


@pytest.fixture(scope="session")
def squares_proof() -> tuple[VerifyingKey, Proof]:
    """The hand-written circuit of circuits/squares.py, proved."""
    circuit, srs = squares.circuit(), SRS.development(9)
    pk = keygen(circuit, srs)
    return pk.vk, prove(pk, squares.witness(circuit), srs)


@pytest.fixture(scope="session")
def verifier(rpc: node.Rpc, squares_proof: tuple[VerifyingKey, Proof]) -> Deployed:
    """The contract for it."""
    vk, _ = squares_proof
    return Deployed(rpc, vk, evm.deploy(rpc, vk))
