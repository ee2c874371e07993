"""One Ethereum node for the tests of the contract, and a contract on it with a proof that holds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from circuits import squares
from plonnx.kzg.srs import SRS
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.prover import prove
from plonnx.solidity import RpcError, ToolError, evm, node, shared_evm
from plonnx.solidity.abi import (
    REQUIRE_VALID,
    REQUIRE_VALID_BATCH,
    VERIFY,
    VERIFY_BATCH,
    KeyReference,
    batch_calldata,
    decode_bool,
    decode_error,
    encode_call,
)
from plonnx.solidity.shared import KeyContract

Statement = tuple[bytes, bytes] | tuple[bytes, bytes, bytes]  # proof, public values, and a context that is not zero
Proved = tuple[VerifyingKey, Proof]
BATCH = 100


@dataclass(frozen=True)
class Deployed:
    """A verifier contract on the tests' node: the key's own, or with a `key` the shared one."""

    rpc: node.Rpc
    vk: VerifyingKey
    address: str
    key: KeyReference | None = None

    def accepts(self, statements: Sequence[Statement]) -> list[bool]:
        """What `verify` returns; it must not revert."""
        return [decode_bool(_returned(answer)) for answer in self._call(VERIFY, statements)]

    def reasons(self, statements: Sequence[Statement]) -> list[str]:
        """What `requireValid` reverts with; empty where it does not."""
        answers = self._call(REQUIRE_VALID, statements)
        return [decode_error(answer.data) if isinstance(answer, RpcError) else "" for answer in answers]

    def batches(self, batches: Sequence[Sequence[Proof]]) -> list[str]:
        """What `requireValidBatch` reverts with, empty where it does not; `verifyBatch` must say the same."""
        calls = [
            batch_calldata(batch, name, self.key) for batch in batches for name in (REQUIRE_VALID_BATCH, VERIFY_BATCH)
        ]
        answers = self._ask(calls, 8)
        reasons = [decode_error(a.data) if isinstance(a, RpcError) else "" for a in answers[::2]]
        assert [decode_bool(_returned(answer)) for answer in answers[1::2]] == [reason == "" for reason in reasons]
        return reasons

    def _call(self, signature: str, statements: Sequence[Statement]) -> list[bytes | RpcError]:
        return self._ask([encode_call(signature, *statement, key=self.key) for statement in statements])

    def _ask(self, questions: Sequence[bytes], at_once: int = BATCH) -> list[bytes | RpcError]:
        calls = [("eth_call", ({"to": self.address, "data": "0x" + data.hex()}, "latest")) for data in questions]
        answers = [answer for i in range(0, len(calls), at_once) for answer in self.rpc.batch(calls[i : i + at_once])]
        return [answer if isinstance(answer, RpcError) else bytes.fromhex(answer[2:]) for answer in answers]


def _returned(answer: bytes | RpcError) -> bytes:
    if isinstance(answer, RpcError):
        raise AssertionError(f"verify reverted: {answer}")
    return answer


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


def squares_circuit(packing: int, hidden: bool) -> Circuit:
    """The circuit of circuits/squares.py; with hidden columns their combination must be that of public ones."""
    circuit = squares.circuit()
    circuit.packing = packing
    if hidden:
        values = [np.arange(40) * 7 - 99, np.arange(25) ** 2]
        opaque = [circuit.hidden_fixed(f"hidden {i}", x, 40) for i, x in enumerate(values)]
        public = [circuit.fixed(f"its values {i}", x) for i, x in enumerate(values)]
        chi = circuit.challenge("chi")
        combination = circuit.combination("hidden combination", [(opaque[0], ()), (opaque[1], (("chi", 3),))])
        circuit.gate("hidden is what it is", combination() - public[0]() - chi**3 * public[1]())
    return circuit


def prove_squares(packing: int, hidden: bool) -> Proved:
    """Its key and a proof."""
    circuit, srs = squares_circuit(packing, hidden), SRS.development(12)
    pk = keygen(circuit, srs)
    return pk.vk, prove(pk, squares.witness(circuit), srs)


@pytest.fixture(scope="session")
def squares_proof() -> Proved:
    """The hand-written circuit of circuits/squares.py, proved."""
    return prove_squares(1, hidden=False)


@pytest.fixture(scope="session")
def verifier(rpc: node.Rpc, squares_proof: Proved) -> Deployed:
    """The contract for it."""
    vk, _ = squares_proof
    return Deployed(rpc, vk, evm.deploy(rpc, vk))


class Form:
    """How a verifier comes onto a node: with its key inside, or as the shared one, which is there once, and a key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shared: dict[str, str] = {}  # by the node's URL

    def __repr__(self) -> str:
        return self.name

    def deploy(self, rpc: node.Rpc, vk: VerifyingKey) -> Deployed:
        """A verifier for a key."""
        if self.name == "own":
            return Deployed(rpc, vk, evm.deploy(rpc, vk))
        if rpc.url not in self.shared:
            self.shared[rpc.url] = shared_evm.create_shared_verifier(rpc)
        return Deployed(rpc, vk, self.shared[rpc.url], shared_evm.create_key(rpc, KeyContract(vk)))


OWN, SHARED = FORMS = (Form("own"), Form("shared"))  # what holds for one holds for the other


@pytest.fixture(scope="session")
def packed_proof() -> Proved:
    """A circuit with packed and hidden columns, proved."""
    return prove_squares(4, hidden=True)


@pytest.fixture(scope="session", params=["plain", "packed and hidden", "packed and hidden, shared"])
def either(request: pytest.FixtureRequest, rpc: node.Rpc) -> tuple[Deployed, Proof]:
    """A contract and a proof that holds: of the plain circuit, and of one with packed and hidden columns."""
    vk, proof = request.getfixturevalue("squares_proof" if request.param == "plain" else "packed_proof")
    return (SHARED if "shared" in request.param else OWN).deploy(rpc, vk), proof
