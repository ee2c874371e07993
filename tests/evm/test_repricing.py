"""Precompiles that cost something else than when the contract was written, in an interpreter that lets us choose."""

from __future__ import annotations

import pytest

from plonnx.plonk.keys import Proof
from plonnx.solidity import calldata, emit_solidity, node
from plonnx.solidity.abi import selector
from plonnx.solidity.gas import gas_report
from tests.evm.conftest import Deployed, Proved
from tests.evm.interpreter import Prices, call
from tests.evm.test_verifier import bad_points, replaced

YES, NO = (value.to_bytes(32, "big") for value in (1, 0))
INSUFFICIENT = b"revert" + selector("InsufficientGas()")
PLENTY = 30_000_000
PRICES = [
    Prices(),
    Prices(msm=0.3, pairing=0.2),
    Prices(msm=1.01, pairing=1.01),
    Prices(msm=1.9, pairing=1.9),
    Prices(msm=5, pairing=0.5),
    Prices(msm=0.7, pairing=8),
    Prices(msm=30, pairing=30),
]


def by_price(prices: Prices) -> str:
    return f"{prices.msm} and {prices.pairing}"


def invalid(good: Proof) -> Proof:
    """The proof with W' off the curve."""
    return Proof(good.vk_digest, replaced(good.proof, -128, bad_points()["off the curve"]), good.public_values)


def code_of(verifier: Deployed) -> tuple[bytes, dict[str, bytes]]:
    """The verifier's code, and that of the contract with its key where it has one. No immutables: no data contracts."""
    codes = {
        address: bytes.fromhex(verifier.rpc.call("eth_getCode", address, "latest")[2:])
        for address in (verifier.address, *([verifier.key.address] if verifier.key else []))
    }
    return codes.pop(verifier.address), codes


@pytest.mark.parametrize("prices", PRICES, ids=by_price)
def test_a_new_price_changes_no_verdict(either: tuple[Deployed, Proof], prices: Prices) -> None:
    verifier, good = either
    wrong = Proof(good.vk_digest, replaced(good.proof, -128, bytes(96)), good.public_values)
    calls = [(calldata(proof, verifier.key), PLENTY) for proof in (good, invalid(good), wrong)]
    code, others = code_of(verifier)
    assert call(code, calls, prices, others=others) == [YES, NO, NO]


@pytest.mark.parametrize("prices", PRICES[1::2], ids=by_price)
def test_no_gas_limit_turns_a_verdict(verifier: Deployed, squares_proof: Proved, prices: Prices) -> None:
    """Whatever the price: too little gas reverts, a valid proof is never false, an invalid one never true."""
    _, good = squares_proof
    code = node.compile_contract(emit_solidity(verifier.vk)).runtime
    report = gas_report(verifier.vk)
    dear = round(4 * (report.msm * max(prices.msm, 1) + report.pairing * max(prices.pairing, 1)))
    limits = range(20_000, report.field + dear, dear // 12)
    for proof, verdict in ((good, YES), (invalid(good), NO)):
        answers = call(code, [(calldata(proof), gas) for gas in limits], prices)
        assert set(answers) <= {verdict, INSUFFICIENT, None}
        assert answers[-1] == verdict and INSUFFICIENT in answers


@pytest.mark.parametrize("missing", ["0x" + f"{address:040x}" for address in (0x0C, 0x0F)])
def test_no_contract_where_a_precompile_is_missing(verifier: Deployed, missing: str) -> None:
    creation = node.compile_contract(emit_solidity(verifier.vk)).creation
    refused = call(creation, [(b"", PLENTY)], Prices(missing=(missing,)), creation=True)
    assert refused == [b"revert" + selector("PrecompileMissing()")]
    assert call(creation, [(b"", PLENTY)], Prices(), creation=True) != refused
