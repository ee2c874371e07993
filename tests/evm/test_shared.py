"""The shared verifier: keys in contracts of their own, which whoever makes them may forge.

That it accepts and refuses what a verifier with its key inside does, is tested where those are (conftest.py, `form`).
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, fields, replace
from functools import partial

import pytest

from plonnx.kzg import prices
from plonnx.kzg.prices import CODE_LIMIT, CREATION_LIMIT, LONGEST_AT_ONCE, LONGEST_KEY
from plonnx.plonk import verifier as python_verifier
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.solidity import RpcError, evm, node, shared_evm
from plonnx.solidity import shared as shared_module
from plonnx.solidity.abi import REQUIRE_VALID, VERIFY, VERIFY_BATCH, KeyReference, batch_calldata, encode_call, selector
from plonnx.solidity.dapp import shared_files
from plonnx.solidity.layout import Layout
from plonnx.solidity.shared import SHARED_VERIFIER, KeyContract, emit_split
from tests.evm import key_machine, trapdoor
from tests.evm.conftest import SHARED, Deployed, Proved
from tests.evm.test_evm import ANVIL_KEY
from tests.evm.test_verifier import SHAPES
from tests.reference_verifier import keccak256

SMALL, LOGARITHMS = trapdoor.random_key(3, **SHAPES["small"])
WRONG_KEY = selector("WrongKey()")


@dataclass(frozen=True)
class Disguised(VerifyingKey):
    """A key that says it has another's digest."""

    disguise: bytes = b""

    def encode(self) -> bytes:
        """The other's bytes, so that digest and transcript are the other's, too."""
        return self.disguise


def disguised(key: VerifyingKey, as_key: VerifyingKey) -> Disguised:
    return Disguised(**{f.name: getattr(key, f.name) for f in fields(VerifyingKey)}, disguise=as_key.encode())


def answers(contract: Deployed, proof: Proof, key: KeyReference) -> list[bytes]:
    """What the functions of the shared verifier return for a key, or revert with."""
    single = (proof.proof, proof.public_values, proof.context, key)
    calls = [encode_call(name, *single) for name in (VERIFY, REQUIRE_VALID)] + [
        batch_calldata([proof], VERIFY_BATCH, key)
    ]
    return [answer.data if isinstance(answer, RpcError) else answer for answer in contract._ask(calls)]


@pytest.fixture(scope="module")
def shared(rpc: node.Rpc) -> Deployed:
    """The shared verifier with the key of a small shape."""
    return SHARED.deploy(rpc, SMALL)


@pytest.mark.parametrize("name", SHAPES)
def test_a_key_computes_what_the_verifier_computes(name: str) -> None:
    """Its code, run by a machine written from the protocol's page."""
    shape = SHAPES["small"] if name == "two data contracts" else SHAPES[name]
    vk, logarithms = trapdoor.random_key(len(name), **shape)
    compare(vk, trapdoor.forge(vk, logarithms, 1, context=bytes(range(32))))
    good = trapdoor.forge(vk, logarithms, 9)
    assert key_machine.run(KeyContract(vk).code, good.proof, good.public_values, good.context).inverse == 0
    other = replace(good, proof=good.proof[:-1] + bytes([good.proof[-1] ^ 1]))
    assert key_machine.run(KeyContract(vk).code, other.proof, other.public_values, other.context).inverse


def test_a_circuits_key_does(squares_proof: Proved, packed_proof: Proved) -> None:
    for vk, proof in (squares_proof, packed_proof):
        compare(vk, proof)


def compare(vk: VerifyingKey, proof: Proof) -> None:
    """The machine's checks are zero and its scalars those of plonk/verifier.py."""
    contract, layout = KeyContract(vk), Layout(vk)
    outcome = key_machine.run(contract.code, proof.proof, proof.public_values, proof.context)
    folded = python_verifier._fold(vk, proof)
    sent = list(folded.scalars)
    if outcome.pivot is not None:
        assert sent.pop(outcome.pivot) == 1
    assert (outcome.inverse, outcome.pivot) == (0, layout.pivot)
    *fixed, constant = folded.fixed
    assert outcome.scalars == [*sent, *(fixed[place] for place in layout.fixed), constant]
    assert outcome.fixed == b"".join(vk.fixed_commitments[place] for place in layout.fixed)
    assert outcome.price == prices.g1_msm(layout.points)
    assert contract.hash == keccak256(contract.code) and [len(one) for one in contract.creations] == [
        len(contract.code) + 10
    ]


def test_another_key_is_no_verdict(shared: Deployed) -> None:
    """Another hash, another model's key, no code, code of another kind, a shorter and a longer key."""
    assert shared.key is not None
    good = trapdoor.forge(SMALL, LOGARITHMS, 1)
    yes = (1).to_bytes(32, "big")
    assert answers(shared, good, shared.key) == [yes, b"", yes]
    another = KeyContract(trapdoor.random_key(8, **SHAPES["small"])[0])
    elsewhere = shared_evm.create_key(shared.rpc, another)
    empty = "0x" + "77" * 20
    code = KeyContract(SMALL).code
    cut, more = (evm.create(shared.rpc, _creation(held)) for held in (code[:-1], code + b"\0"))
    for address in (elsewhere.address, shared.address, empty, shared.rpc.call("eth_accounts")[0], cut, more):
        assert answers(shared, good, KeyReference(address, shared.key.hash)) == [WRONG_KEY] * 3
    for value in (bytes(32), another.hash, keccak256(b""), SMALL.digest):
        assert answers(shared, good, KeyReference(shared.key.address, value)) == [WRONG_KEY] * 3
    # Nor do hashes that fit help where there is no key behind them: no code, and the shared verifier's own.
    own = shared.rpc.call("eth_getCode", shared.address, "latest")
    for address, value in ((empty, keccak256(b"")), (shared.address, keccak256(bytes.fromhex(own[2:])))):
        assert answers(shared, good, KeyReference(address, value)) == [WRONG_KEY] * 3
    # Another model's key, named by whoever trusts it: no proof of that model.
    assert answers(shared, good, elsewhere)[0] == bytes(32)


def _creation(code: bytes) -> bytes:
    return bytes.fromhex(f"61{len(code):04x}80600a5f395ff3") + code


def test_no_byte_of_a_key_is_free(shared: Deployed) -> None:
    """Any changed byte in the code at the address, for a caller who names the trusted hash."""
    assert shared.key is not None
    good = trapdoor.forge(SMALL, LOGARITHMS, 1)
    data = "0x" + encode_call(VERIFY, good.proof, good.public_values, good.context, shared.key).hex()
    code, rng = KeyContract(SMALL).code, random.Random(5)
    calls = []
    for at in range(len(code)):
        forged = code[:at] + bytes([code[at] ^ 1 << rng.randrange(8)]) + code[at + 1 :]
        override = {shared.key.address: {"code": "0x" + forged.hex()}}
        calls.append(("eth_call", ({"to": shared.address, "data": data}, "latest", override)))
    said = [answer for at in range(0, len(calls), 100) for answer in shared.rpc.batch(calls[at : at + 100])]
    assert all(isinstance(answer, RpcError) and answer.data == WRONG_KEY for answer in said)


def test_a_forged_key_with_the_digest_of_a_trusted_one(shared: Deployed) -> None:
    """A key of the attacker's that says it has the trusted digest: the trusted hash refuses it, whatever it accepts.

    It accepts under its own hash: so no caller may take the hash from whoever brings the proof.
    """
    assert shared.key is not None
    forged, logarithms = trapdoor.random_key(8, **SHAPES["small"])
    evil = disguised(forged, SMALL)
    assert evil.digest == SMALL.digest
    lie = trapdoor.forge(evil, logarithms, 4)
    assert lie.vk_digest == SMALL.digest
    with pytest.raises(python_verifier.VerificationError):
        python_verifier.verify(SMALL, lie)
    at = shared_evm.create_key(shared.rpc, KeyContract(evil))
    assert answers(shared, lie, at)[0] == (1).to_bytes(32, "big")
    assert answers(shared, lie, KeyReference(at.address, shared.key.hash)) == [WRONG_KEY] * 3
    assert answers(shared, lie, shared.key)[0] == bytes(32)


def test_nobody_registers_another_key_under_a_hash(shared: Deployed) -> None:
    assert shared.key is not None
    rpc = shared.rpc
    registry = evm.create(rpc, shared_evm.registry_creation())
    evil = shared_evm.create_key(rpc, KeyContract(disguised(trapdoor.random_key(8, **SHAPES["small"])[0], SMALL)))
    twin = shared_evm.create_key(rpc, KeyContract(SMALL))

    def register(address: str) -> None:
        data = selector("register(address)") + bytes(12) + bytes.fromhex(address[2:])
        call = {"to": registry, "data": "0x" + data.hex()}
        rpc.call("eth_call", call, "latest")
        evm._receipt(rpc, evm._send(rpc, call))

    def key_of(value: bytes) -> str:
        return "0x" + evm._call(rpc, registry, selector("keyOf(bytes32)") + value)[12:].hex()

    assert key_of(shared.key.hash) == "0x" + "00" * 20
    for key in (shared.key, evil):
        register(key.address)
        assert key_of(key.hash) == key.address.lower()
    register(twin.address)  # may be gone tomorrow, as one that destroys itself would be
    assert twin.hash == shared.key.hash and key_of(twin.hash) == shared.key.address.lower()
    assert key_of(SMALL.digest) == "0x" + "00" * 20
    for address in (registry, "0x" + "77" * 20, rpc.call("eth_accounts")[0]):
        with pytest.raises(RpcError) as error:
            register(address)
        assert error.value.data == selector("NoKey()")
    # Created and registered by one transaction.
    (creation,) = KeyContract(trapdoor.random_key(9, **SHAPES["small"])[0]).creations
    data = selector("create(bytes)") + (32).to_bytes(32, "big") + len(creation).to_bytes(32, "big") + creation
    evm._receipt(rpc, evm._send(rpc, {"to": registry, "data": "0x" + data.hex()}))
    address = key_of(keccak256(creation[10:]))
    assert bytes.fromhex(rpc.call("eth_getCode", address, "latest")[2:]) == creation[10:]


def test_a_key_in_several_contracts(shared: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """One creation makes the parts and the list of them; hash, verdicts and entry are those of a key in one piece."""
    assert shared.key is not None
    rpc, whole = shared.rpc, KeyContract(SMALL)
    monkeypatch.setattr(shared_module, "CODE_LIMIT", len(whole.code) // 3 + 3)
    contract = KeyContract(SMALL)
    assert len(contract.parts) == 3 and contract.hash == whole.hash and contract.code == whole.code
    at = shared_evm.create_key(rpc, contract)
    code = bytes.fromhex(rpc.call("eth_getCode", at.address, "latest")[2:])
    parts = ["0x" + code[i : i + 20].hex() for i in (1, 21, 41)]
    assert len(code) == 61 and [evm._code(rpc, part) for part in parts] == contract.parts
    assert evm.key_at(rpc, at.address) == whole.code
    good, bad = trapdoor.forge(SMALL, LOGARITHMS, 1), trapdoor.forge(SMALL, LOGARITHMS, 1, error=1)
    yes = (1).to_bytes(32, "big")
    assert answers(shared, good, at) == [yes, b"", yes] and answers(shared, bad, at)[0] == bytes(32)
    registry = evm.create(rpc, shared_evm.registry_creation())

    def register(address: str) -> bytes:
        data = selector("register(address)") + bytes(12) + bytes.fromhex(address[2:])
        return evm._call(rpc, registry, data)

    assert register(at.address) == whole.hash == register(shared.key.address)
    # Other lists: in another order, one left out, one too often, another contract, none there, the last cut off.
    first, second, third = (bytes.fromhex(part[2:]) for part in parts)
    elsewhere, nothing = bytes.fromhex(shared.address[2:]), b"\x77" * 20
    lists = [
        [second, first, third],
        [first, second],
        [first, second, third, third],
        [elsewhere],
        [first, nothing, third],
    ]
    for held in [*(b"\0" + b"".join(one) for one in lists), code[:-1], b"\0", b"\0" + bytes(20)]:
        other = KeyReference(evm.create(rpc, _creation(held)), whole.hash)
        assert answers(shared, good, other) == [WRONG_KEY] * 3
    for held in (b"\0" + first + nothing, b"\0" + elsewhere, b"\1" + first):
        with pytest.raises(RpcError):
            register(evm.create(rpc, _creation(held)))
    # A list whose last address lacks a byte, where that byte lies behind it in the registry's memory.
    cut = bytes.fromhex(f"61{len(code) - 1:04x}8060405f395ff3").ljust(64, code[-1:]) + code[:-1]
    data = selector("create(bytes)") + (32).to_bytes(32, "big") + len(cut).to_bytes(32, "big") + cut
    with pytest.raises(RpcError) as error:
        evm._call(rpc, registry, data)
    assert error.value.data == selector("NoKey()")


def test_a_key_that_no_creation_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_module, "LONGEST_KEY", 700)
    with pytest.raises(ValueError, match=r"key's contract would have 7.. bytes .* at most 700 .*larger setup"):
        KeyContract(SMALL).hash  # noqa: B018


def test_a_key_for_the_shared_verifier_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier of its own is made in one transaction with its key; the shared one is there already."""
    monkeypatch.setattr(shared_module, "LONGEST_SPLIT_KEY", 700)
    assert KeyContract(SMALL).hash
    with pytest.raises(ValueError, match=r"would take 7.. bytes .* at most 700: .*plonnx key-contract"):
        emit_split(SMALL)


def test_the_longest_keys() -> None:
    """By one transaction, and by several: each creation is as long as it may be, and a list of all parts is no key."""
    key, longest = KeyContract(SMALL), KeyContract(SMALL)
    vars(key)["code"], vars(longest)["code"] = bytes(LONGEST_AT_ONCE), bytes(LONGEST_KEY)
    (creation,) = key.creations
    assert len(creation) <= CREATION_LIMIT
    assert all(len(each) <= CODE_LIMIT + 10 for each in longest.creations)
    assert len(shared_module.listing(["0x" + "77" * 20] * len(longest.creations))) - 10 < shared_module.SHORTEST


def test_a_key_of_several_creations(shared: Deployed, rpc: node.Rpc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts first, then their list, by a node's account or signed; a dry run says the address and bounds the gas."""
    whole = KeyContract(SMALL)
    monkeypatch.setattr(shared_module, "CODE_LIMIT", len(whole.code) // 3 + 3)
    monkeypatch.setattr(shared_module, "LONGEST_AT_ONCE", len(whole.code) - 1)
    contract = KeyContract(SMALL)
    assert [creation[10:] for creation in contract.creations] == contract.parts and len(contract.parts) == 3
    at = shared_evm.create_key(rpc, contract)
    monkeypatch.setenv("PLONNX_PRIVATE_KEY", "0x" + ANVIL_KEY)
    planned, made = (shared_evm.deploy_key(SMALL, rpc.url, dry_run=dry) for dry in (True, False))
    assert planned.address == made.address and 0.9 * planned.gas < made.gas <= planned.gas
    assert made.gas > 200 * len(whole.code)
    good, bad = trapdoor.forge(SMALL, LOGARITHMS, 1), trapdoor.forge(SMALL, LOGARITHMS, 1, error=1)
    for address in (at.address, made.address):
        assert evm.key_at(rpc, address) == whole.code
        key = KeyReference(address, whole.hash)
        assert [answers(shared, proof, key)[0][-1] for proof in (good, bad)] == [1, 0]


def test_a_part_that_is_not_created_reverts(shared: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_module, "CODE_LIMIT", 1_000)
    (creation,) = KeyContract(SMALL).creations
    broken = creation.replace(bytes.fromhex("80600a5f395ff3"), bytes.fromhex("80600a5f395ffd"), 1)  # REVERT, not RETURN
    assert broken != creation
    with pytest.raises(RpcError):
        shared.rpc.call("eth_call", {"data": "0x" + broken.hex()}, "latest")


def test_on_a_given_node(
    shared: Deployed, squares_proof: Proved, monkeypatch: pytest.MonkeyPatch, rpc: node.Rpc
) -> None:
    """What is there is checked, what is not there is created."""
    vk, proof = squares_proof
    verify = partial(shared_evm.verify_shared, vk, proof, rpc.url)
    monkeypatch.delenv("PLONNX_PRIVATE_KEY", raising=False)
    with pytest.raises(ValueError, match="PLONNX_PRIVATE_KEY"):
        verify()
    monkeypatch.setenv("PLONNX_PRIVATE_KEY", "0x" + ANVIL_KEY)
    made = verify()
    assert made.accepted and made.key is not None and made.key.hash == KeyContract(vk).hash
    assert made.gas_used == verify(made.address, made.key.address).gas_used
    planned = shared_evm.deploy_key(vk, rpc.url, dry_run=True)
    assert rpc.call("eth_getCode", planned.address, "latest") == "0x" and planned.runtime_bytes == len(
        KeyContract(vk).code
    )
    assert shared.key is not None
    with pytest.raises(ValueError, match=f"contract at {shared.key.address} does not hold this verifying key"):
        verify(made.address, shared.key.address)
    with pytest.raises(ValueError, match=r"is not what solc makes here of the shared verifier.*any_code"):
        verify(made.key.address, made.key.address)
    with pytest.raises(ValueError, match="there is no contract"):
        verify(made.address, "0x" + "77" * 20)
    with pytest.raises(ValueError, match="not an address"):
        verify(made.address, "0x77")
    with pytest.raises(ValueError, match="key_address needs rpc_url"):
        shared_evm.verify_shared(vk, proof, key_address=made.key.address)
    with pytest.raises(ValueError, match="another verifying key"):
        shared_evm.verify_shared(SMALL, proof)


def test_the_interface_is_the_contracts(rpc: node.Rpc) -> None:
    """IPlonnxSharedVerifier says what the shared verifier takes, returns and reverts with."""
    files = shared_files()

    def interface(name: str) -> set[str]:
        compiled = node.compile_contracts(files[f"{name}.sol"], name=f"{name}.sol")[name]
        entries = [entry for entry in compiled.abi if entry["type"] != "constructor"]
        return {json.dumps(entry, sort_keys=True) for entry in entries}

    assert interface("IPlonnxSharedVerifier") == interface(SHARED_VERIFIER)


def test_a_key_whose_counts_need_more_bytes() -> None:
    """One line says so: 2^32 public bytes are one too many for four."""
    vk, _ = trapdoor.random_key(1, advice=3, fixed=2, ops=4)
    with pytest.raises(ValueError, match="more parts than a contract can hold: compile with"):
        KeyContract(replace(vk, public_bytes=1 << 32)).code  # noqa: B018  # the property refuses
