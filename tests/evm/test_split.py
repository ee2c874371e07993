"""A verifier of its own whose key is too long for its code: split, it answers as the one that is written out."""

from __future__ import annotations

import pytest

from plonnx.solidity import emit_solidity, evm, gas_report, generator, node, shared, source
from plonnx.solidity.generator import TooLongError, emit_written_out
from plonnx.solidity.shared import KeyContract, emit_split
from tests.evm import trapdoor
from tests.evm.conftest import Deployed, Proved
from tests.evm.test_verifier import SHAPES, bad_points, fast_accepts

VK, LOGARITHMS = trapdoor.random_key(3, **SHAPES["small"])


@pytest.fixture
def short_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain whose contracts may hold little code, but for those that hold a key."""
    monkeypatch.setattr(generator, "CODE_LIMIT", 5_000)
    monkeypatch.setattr(generator, "CREATION_LIMIT", 5_000)


def test_what_is_too_long_is_split(short_code: None, rpc: node.Rpc) -> None:
    with pytest.raises(TooLongError, match="would take about"):
        emit_written_out(VK)
    assert source.is_split(VK)
    assert emit_solidity(VK) == emit_split(VK) == emit_solidity(VK, via_ir=True)
    contract = Deployed(rpc, VK, evm.create(rpc, node.compile_contract(emit_solidity(VK)).creation))
    evm.check_code(rpc, VK, contract.address)
    good = [trapdoor.forge(VK, LOGARITHMS, i, context=bytes([i]) * 32) for i in range(2)]
    bad = [trapdoor.forge(VK, LOGARITHMS, 9, bad={0: point}) for point in (*bad_points().values(), trapdoor.point(7))]
    bad.append(trapdoor.forge(VK, LOGARITHMS, 9, error=1))
    statements = [(proof.proof, proof.public_values, proof.context) for proof in [*good, *bad]]
    verdicts = [True] * len(good) + [False] * len(bad)
    assert contract.accepts(statements) == verdicts == [fast_accepts(VK, statement) for statement in statements]
    assert contract.reasons(statements)[-2:] == ["PairingFailed"] * 2
    assert contract.batches([good, [good[0], bad[-1]]]) == ["", "PairingFailed"]
    result = evm.call_verifier(rpc, VK, good[0], contract.address, mine=True)
    assert result.accepted and abs(gas_report(VK).total - result.gas_used) < 0.02 * result.gas_used


def test_a_long_key_is_split_into_parts(
    short_code: None, monkeypatch: pytest.MonkeyPatch, rpc: node.Rpc, squares_proof: Proved
) -> None:
    monkeypatch.setattr(shared, "CODE_LIMIT", len(KeyContract(VK).code) // 2 + 9)
    text = emit_solidity(VK)
    assert "contract VerifierData1" in text and "contract VerifierData2" not in text
    contract = Deployed(rpc, VK, evm.create(rpc, node.compile_contract(text).creation))
    evm.check_code(rpc, VK, contract.address)
    good, bad = trapdoor.forge(VK, LOGARITHMS, 1), trapdoor.forge(VK, LOGARITHMS, 1, error=1)
    assert contract.reasons([(one.proof, one.public_values, one.context) for one in (good, bad)]) == [
        "",
        "PairingFailed",
    ]
    result = evm.call_verifier(rpc, VK, good, contract.address, mine=True)
    assert abs(gas_report(VK).total - result.gas_used) < 0.02 * result.gas_used
    # Code that names another key's contract is not what solc makes here.
    other = evm.create(rpc, KeyContract(squares_proof[0]).creations[0])
    code = evm._code(rpc, contract.address)
    (place,) = (p for places in node.compile_contract(text).immutables for p in places[:1])
    at = code[place : place + 32]
    rpc.call("anvil_setCode", other, "0x" + code.replace(at, bytes(12) + bytes.fromhex(other[2:])).hex())
    with pytest.raises(ValueError, match="its code is not what solc makes of it here"):
        evm.check_code(rpc, VK, other)


def test_both_forms_have_one_interface() -> None:
    written, split = (node.compile_contract(text).abi for text in (emit_written_out(VK), emit_split(VK)))

    def named(abi: tuple[dict[str, object], ...]) -> list[str]:
        shown = [one for one in abi if one.get("name") != "WrongKey"]
        return sorted(map(str, shown))

    assert named(written) == named(split)


def test_keys_that_fit_are_written_out() -> None:
    assert not source.is_split(VK) and emit_solidity(VK) == emit_written_out(VK)
    assert not source.is_split(VK, via_ir=True)
    large, _ = trapdoor.random_key(3, **SHAPES["data contract"])
    assert source.is_split(large, via_ir=True) and not source.is_split(large)
    assert emit_solidity(large, via_ir=True) == emit_split(large)


def test_a_split_key_stands_in_the_source() -> None:
    text = emit_split(VK)
    key = KeyContract(VK)
    assert f'hex"{key.code.hex()}"' in text and f"KEY_HASH = 0x{key.hash.hex()}" in text
    assert f"VK_DIGEST = 0x{VK.digest.hex()}" in text
