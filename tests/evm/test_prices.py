"""The prices that the prediction rests on are those that the node charges."""

from __future__ import annotations

from plonnx.kzg.prices import PAIRING, g1_msm
from plonnx.plonk.keys import Proof
from plonnx.solidity import evm, gas_report, node
from tests.evm.conftest import Deployed

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


def test_msm(rpc: node.Rpc) -> None:
    counts = [*range(1, 140), 200, 300]
    assert all(succeeds(rpc, 0x0C, [(g1_msm(k), 160 * k) for k in counts]))
    assert not any(succeeds(rpc, 0x0C, [(g1_msm(k) - 1, 160 * k) for k in counts]))


def test_pairing(rpc: node.Rpc) -> None:
    assert succeeds(rpc, 0x0F, [(PAIRING, 768), (PAIRING - 1, 768)]) == [True, False]


def test_prediction(either: tuple[Deployed, Proof]) -> None:
    verifier, proof = either
    vk = verifier.vk
    result = evm.call_verifier(verifier.rpc, vk, proof, verifier.address, mine=True)
    predicted = gas_report(vk)
    assert result.gas.total == result.gas_used
    assert (predicted.msm, predicted.pairing) == (result.gas.msm, result.gas.pairing)
    assert abs(predicted.total - result.gas_used) < 0.02 * result.gas_used
    assert abs(predicted.field - result.gas.field) < 0.2 * result.gas.field
    lines = predicted.lines()
    assert [line.split()[0] for line in lines] == ["transaction", "calldata", "G1MSM", "pairing", "field", "total"]
    assert sum(int(line.split()[1].replace(",", "")) for line in lines[:-1]) == predicted.total
    assert predicted.as_dict()["total"] == predicted.total
