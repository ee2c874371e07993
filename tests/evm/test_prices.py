"""The prices that the prediction rests on are those that the node charges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

import plonnx
from circuits.dense import dense, model, squares, train
from plonnx.kzg.prices import PAIRING, g1_msm
from plonnx.levers import is_of, levers
from plonnx.plonk.keys import Proof
from plonnx.solidity import emit_solidity, evm, gas_report, node
from plonnx.solidity.abi import batch_calldata
from plonnx.solidity.gas import batched, of_tensors
from tests.evm.conftest import OWN, SHARED, Deployed

# calldata: gas, input; returns whether staticcall(gas, precompile, input) succeeds
CALLER = "0x602036038060205f3760805f825f60{:02x}5f35fa5f5260205ff3"
ADDRESS = "0x00000000000000000000000000000000000c0de0"


def succeeds(rpc: node.Rpc, precompile: int, cases: list[tuple[int, int]]) -> list[bool]:
    """For each (gas, length of a zero input)."""
    override = {ADDRESS: {"code": CALLER.format(precompile)}}
    calls = [
        ("eth_call", ({"to": ADDRESS, "data": "0x" + f"{gas:064x}" + "00" * length}, "latest", override))
        for gas, length in cases
    ]
    return [int(answer, 16) == 1 for i in range(0, len(calls), 50) for answer in rpc.batch(calls[i : i + 50], True)]


@pytest.fixture(scope="module", params=["squares_proof", "packed_proof"])
def own(request: pytest.FixtureRequest, rpc: node.Rpc) -> tuple[Deployed, Proof]:
    """A contract with its key inside, of which the report speaks, and a proof that holds."""
    vk, proof = request.getfixturevalue(request.param)
    return OWN.deploy(rpc, vk), proof


def small_network() -> onnx.ModelProto:
    """16 inputs, 8 ReLUs, 4 outputs."""
    rng = np.random.default_rng(1)
    layers = train(rng.uniform(-1, 1, (64, 16)), rng.uniform(-1, 1, (64, 4)), 8, squares, steps=1)
    return model("small", *dense(layers, "x", "y"), {"x": [1, 16]}, {"y": [1, 4]})


def test_msm(rpc: node.Rpc) -> None:
    counts = [*range(1, 140), 200, 300]
    assert all(succeeds(rpc, 0x0C, [(g1_msm(k), 160 * k) for k in counts]))
    assert not any(succeeds(rpc, 0x0C, [(g1_msm(k) - 1, 160 * k) for k in counts]))


def test_pairing(rpc: node.Rpc) -> None:
    assert succeeds(rpc, 0x0F, [(PAIRING, 768), (PAIRING - 1, 768)]) == [True, False]


def test_prediction(own: tuple[Deployed, Proof]) -> None:
    verifier, proof = own
    vk = verifier.vk
    result = evm.call_verifier(verifier.rpc, vk, proof, verifier.address, mine=True)
    predicted = gas_report(vk)
    assert result.gas.total == result.gas_used
    assert (predicted.msm, predicted.pairing) == (result.gas.msm, result.gas.pairing)
    assert abs(predicted.total - result.gas_used) < 0.02 * result.gas_used
    assert abs(predicted.field - result.gas.field) < 0.2 * result.gas.field
    lines = predicted.lines()
    names = ["transaction", "calldata", "G1MSM", "pairing", "field", "total", *predicted.drafts]
    assert [line[:26].strip() for line in lines] == names
    shown = [int(line[26:].split()[0].replace(",", "")) for line in lines]
    assert sum(shown[:5]) == shown[5] == predicted.total == predicted.as_dict()["total"]


def test_prediction_of_the_shared_verifier(rpc: node.Rpc, own: tuple[Deployed, Proof]) -> None:
    vk, proof = own[0].vk, own[1]
    contract = SHARED.deploy(rpc, vk)
    result = evm.call_verifier(rpc, vk, proof, contract.address, mine=True, key=contract.key)
    predicted = gas_report(vk, shared=True)
    assert (predicted.msm, predicted.pairing) == (result.gas.msm, result.gas.pairing)
    assert abs(predicted.total - result.gas_used) < 0.02 * result.gas_used
    assert predicted.counts["mulmods"] > gas_report(vk).counts["mulmods"] / 2


def test_a_batch_costs_what_is_predicted(own: tuple[Deployed, Proof]) -> None:
    verifier, proof = own
    for count in (1, 4):
        call = "0x" + batch_calldata([proof] * count).hex()
        used = int(evm.transact(verifier.rpc, {"to": verifier.address, "data": call})["gasUsed"], 16)
        assert abs(batched(verifier.vk, count) - used / count) < 0.03 * used / count


def test_repricings_that_are_proposed(own: tuple[Deployed, Proof]) -> None:
    """EIP-7976's floor is 64 gas a byte of calldata; EIP-7904's draft had four prices that a verifier pays."""
    vk = own[0].vk
    report = gas_report(vk)
    floor, dearer = report.drafts.values()
    assert floor == report.total, "a single proof spends more than its floor"
    large = replace(report, counts={**report.counts, "calldata bytes": 100_000})
    assert large.drafts["EIP-7976"] == 21_000 + 6_400_000
    source = emit_solidity(vk)
    mulmods, hashes = source.count("mulmod("), source.count("keccak256(")
    assert 0 < report.counts["mulmods"] < 2 * mulmods and 0 < report.counts["hashes"] < hashes
    added = 3 * report.counts["mulmods"] + 7 * report.counts["mods"] + 15 * report.counts["hashes"]
    assert dearer - report.total == added + 268 * ("G1_ADD" in source)


def test_the_levers_save_what_they_say() -> None:
    """A key that is made so costs what was predicted within 2 %; private inputs save at least what is said."""
    data = {"x": np.random.default_rng(0).uniform(-1, 1, (32, 16)).astype(np.float32)}
    model = small_network()
    kinds: list[dict[str, Any]] = [{}, {"optimize": "gas"}, {"input": "private"}]
    circuits = [plonnx.compile(model, data, **options) for options in kinds]
    keys = [plonnx.setup(circuit, unsafe_srs=True).vk for circuit in circuits]
    assert is_of(circuits[0], keys[0]) and not is_of(circuits[0], keys[1])
    alone = levers(keys[0])
    assert any("verifyBatch" in lever.change for lever in alone) and not any("optimize" in x.change for x in alone)
    found = levers(keys[0], circuits[0])
    assert 2 <= len(found) <= 3 and [lever.saves for lever in found] == sorted((x.saves for x in found), reverse=True)
    now, gas, private = (gas_report(vk).total for vk in keys)
    assert all(lever.gas + lever.saves == now for lever in found)
    (predicted,) = [lever.gas for lever in found if lever.change.startswith("compile optimize=gas:")]
    assert abs(predicted - gas) < 0.02 * gas
    assert 0 < of_tensors(keys[0], "input") <= now - private
