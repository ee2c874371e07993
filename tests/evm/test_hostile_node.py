"""A node that lies, or answers in no form that a node has: one line says so, and no address is believed."""

from __future__ import annotations

from typing import Any

import pytest

from plonnx.solidity import evm
from plonnx.solidity.node import Rpc, RpcError

CODE = bytes.fromhex("600160005360016000f3")
HONEST: dict[str, Any] = {
    "eth_chainId": "0x7a69",
    "eth_getTransactionCount": "0x5",
    "eth_gasPrice": "0x10",
    "eth_maxPriorityFeePerGas": "0x1",
    "eth_estimateGas": "0xcf08",
    "eth_sendRawTransaction": "0x" + 64 * "1",
    "eth_getTransactionReceipt": {"status": "0x1", "gasUsed": "0xcf00"},
    "eth_getCode": "0x00",
    "eth_call": "0x",
}


def node(monkeypatch: pytest.MonkeyPatch, **others: Any) -> Rpc:
    """A node with these answers."""
    monkeypatch.setenv("PLONNX_PRIVATE_KEY", 63 * "0" + "1")
    answers = {**HONEST, **others}

    def answered(rpc: Rpc, body: Any) -> Any:
        made = [{"id": one["id"], "result": answers[one["method"]]} for one in (body if type(body) is list else [body])]
        return made if type(body) is list else made[0]

    monkeypatch.setattr(Rpc, "_post", answered)
    return Rpc("http://127.0.0.1:1")


def deployed(monkeypatch: pytest.MonkeyPatch, **others: Any) -> evm.Deployment:
    """What is said of a deployment to it, of one byte of code."""
    return evm.deploy_code(node(monkeypatch, **others), CODE, 1)


def test_the_address_is_the_one_that_follows_from_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one may hold a contract that accepts everything."""
    planned = evm.deploy_code(node(monkeypatch), CODE, 1, dry_run=True)
    receipt = {**HONEST["eth_getTransactionReceipt"], "contractAddress": planned.address.upper().replace("X", "x")}
    made = deployed(monkeypatch, eth_getTransactionReceipt=receipt)
    assert made.address == planned.address and made.gas == 0xCF00 and len(made.transaction) == 66
    assert made.transaction != HONEST["eth_sendRawTransaction"], "it is the hash of what was signed"
    for lie in ("0x" + 40 * "1", None, 5):
        with pytest.raises(RpcError, match=f"where only {planned.address} can come of it"):
            deployed(monkeypatch, eth_getTransactionReceipt={**receipt, "contractAddress": lie})


@pytest.mark.parametrize("answer", [None, 5, 0.5, True, [], {}, "", "0x", "0xzz", "12", "0x" + 65 * "f", "\x1b[2J"])
@pytest.mark.parametrize("method", ["eth_chainId", "eth_getTransactionCount", "eth_estimateGas"])
def test_a_number_that_is_none(monkeypatch: pytest.MonkeyPatch, method: str, answer: Any) -> None:
    with pytest.raises(RpcError, match=r"the node answers .*where a number is due") as refused:
        deployed(monkeypatch, **{method: answer})
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("answer", [5, [], "0x1", "done", True])
def test_other_answers_that_are_none(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    with pytest.raises(RpcError, match=r"where a receipt is due|where a number is due"):
        deployed(monkeypatch, eth_getTransactionReceipt=answer)
    with pytest.raises(RpcError, match="where bytes are due"):
        evm._code(node(monkeypatch, eth_getCode=answer), "0x" + 40 * "0")


def test_an_account_without_coin_is_named_with_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = evm.deploy_code(node(monkeypatch), CODE, 1, dry_run=True)
    call = Rpc.call

    def poor(rpc: Rpc, method: str, *parameters: Any) -> Any:
        if method == "eth_sendRawTransaction":
            raise RpcError(f"{method}: Insufficient funds for gas * price + value")
        return call(rpc, method, *parameters)

    monkeypatch.setattr(Rpc, "call", poor)
    with pytest.raises(ValueError, match=f"^{planned.sender}, the account of PLONNX_PRIVATE_KEY, has too little of"):
        deployed(monkeypatch)


def test_where_nothing_is_the_chain_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract of another chain is what is mostly meant."""
    with pytest.raises(ValueError, match=r"there is no contract at 0x0+ on chain 31337 \(http://127\.0\.0\.1:1\)"):
        evm._code(node(monkeypatch, eth_getCode="0x"), "0x" + 40 * "0")


def test_where_no_node_is_the_reason_is_in_words() -> None:
    with pytest.raises(RpcError, match=r"no answer of an Ethereum node \([A-Z][a-z ]+\): is one running there"):
        Rpc("http://127.0.0.1:1").call("eth_chainId")


@pytest.mark.parametrize("answer", [None, 5, "no", [], [5], [[]], {"id": []}, {"id": 1, "error": "no"}, {"error": {}}])
def test_no_answer_at_all(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    rpc = node(monkeypatch)
    monkeypatch.setattr(Rpc, "_post", lambda rpc, body: answer)
    with pytest.raises(RpcError, match="eth_chainId: no answer"):
        rpc.call("eth_chainId")


def test_what_it_says_moves_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    rpc = node(monkeypatch)
    error = {"id": 1, "error": {"message": "\x1b[2J\u202e" + "long " * 1000}}
    monkeypatch.setattr(Rpc, "_post", lambda rpc, body: error)
    with pytest.raises(RpcError) as refused:
        rpc.call("eth_chainId")
    assert str(refused.value).isprintable() and len(str(refused.value)) < 400


def test_a_price_that_nobody_would_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's bound holds for price and tip together, and the fee that is signed stays below it."""
    gwei = 10**9
    for price, tip, asked in ((10**6 * gwei, 0, "1,000,000"), (0, 201 * gwei, "201"), (150 * gwei, 51 * gwei, "201")):
        rpc = node(monkeypatch, eth_gasPrice=hex(price), eth_maxPriorityFeePerGas=hex(tip))
        for dry_run in (True, False):
            with pytest.raises(ValueError, match=f"asks {asked} gwei for a unit of gas, of at most 200: ask another"):
                evm.deploy_code(rpc, CODE, 1, dry_run)
        assert evm.deploy_code(rpc, CODE, 1, True, float("inf")).fee == 2 * price + tip
        with pytest.raises(ValueError, match="of at most nan"):
            evm.deploy_code(rpc, CODE, 1, True, float("nan"))
    rpc = node(monkeypatch, eth_gasPrice=hex(30 * gwei), eth_maxPriorityFeePerGas=hex(gwei))
    assert [evm.deploy_code(rpc, CODE, 1, True, most).fee // gwei for most in (200.0, 31.0)] == [61, 31]
