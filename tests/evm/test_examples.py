"""The examples on a chain: each script as a newcomer runs it, and what its contract refuses beyond that."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import plonnx
from circuits.agent import agent
from circuits.chain import Call, Contract, changed, compiled_with, shown
from circuits.evolving_nft import evolving_nft
from circuits.private_verdict import private_verdict
from circuits.score_oracle import score_oracle
from plonnx.solidity import evm, node

ETHER = 10**18


def played(example: ModuleType, rpc: node.Rpc) -> tuple[Any, dict[str, str]]:
    """The scene that a script leaves on the tests' node, and what it printed by its first column."""
    said = io.StringIO()
    with redirect_stdout(said):
        scene = example.main(rpc)
    return scene, {line[:26].strip(): line[26:] for line in said.getvalue().splitlines()}


def refused(said: dict[str, str]) -> dict[str, str]:
    """What was refused, and why."""
    return {what: text.removeprefix("refused: ") for what, text in said.items() if text.startswith("refused")}


def created(rpc: node.Rpc, source: str, name: str) -> Contract:
    """A contract of a test's own."""
    compiled = node.compile_contracts("// SPDX-License-Identifier: MIT\npragma solidity ^0.8.25;\n" + source)[name]
    receipt = evm.transact(rpc, {"data": "0x" + compiled.creation.hex()})
    return Contract(rpc, receipt["contractAddress"], compiled.abi)


def done(call: Call, sender: str) -> None:
    """A transaction that must not revert."""
    assert call.refusal(sender) == ""
    assert call.send(sender)["status"] == "0x1"


def refuses_another_verifier(scene: Any, path: Any, name: str, *arguments: Any) -> None:
    """The constructor takes the verifier of its own model only."""
    liar = created(
        scene.chain.rpc, "contract Liar { bytes32 public constant VK_DIGEST = bytes32(uint256(7)); }", "Liar"
    )
    with redirect_stdout(io.StringIO()), pytest.raises(AssertionError, match="constructor reverted"):
        scene.chain.deploy(path, name, scene.model, liar.address, *arguments)


# The agent -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trading(rpc: node.Rpc) -> tuple[agent.Scene, dict[str, str]]:
    return played(agent, rpc)


def test_the_agent_trades_as_its_model_says(trading: tuple[agent.Scene, dict[str, str]]) -> None:
    scene, said = trading
    assert said["the model says"].startswith("buy") and said["the agent holds"] == "+10"
    assert refused(said) == {
        "another model's proof": "ProofRefused",
        "another decision": "ProofRefused",
        "other prices": "NotTheFeedsReturns",
        "sent by Eve": "ProofRefused",
        "sent again": "AlreadyTraded",
        "when prices come again": "ProofRefused",
    }
    assert scene.exchange.call("positions", scene.agent.address) == [agent.LOT]


def test_the_agent_refuses(trading: tuple[agent.Scene, dict[str, str]]) -> None:
    scene, _ = trading
    owner, alice = scene.chain.accounts[:2]
    assert scene.feed.to("push", [1]).refusal(alice) == "NotTheOwner"
    assert scene.feed.to("push", [0]).refusal(owner) == "PriceOutOfRange"
    late = scene.proof(alice)
    scene.push(agent.prices(np.array([-180, -90, 40, -130, -60, -210, -150, -120])))
    assert scene.agent.to("trade", *shown(late)).refusal(alice) == "NotTheFeedsReturns"
    own = scene.proof(alice)
    assert scene.agent.to("trade", own.proof, own.public_values[:-1]).refusal(alice) == "WrongPublicValuesLength"
    assert scene.agent.to("trade", own.proof[:-1], own.public_values).refusal(alice) == "ProofRefused"
    twin = scene.chain.deploy(
        agent.SOURCE,
        "Agent",
        scene.model,
        scene.agent.call("verifier")[0],
        scene.feed.address,
        scene.exchange.address,
        1,
    )
    assert twin.to("trade", *shown(own)).refusal(alice) == "ProofRefused"  # made for the other agent
    done(scene.agent.to("trade", *shown(own)), alice)
    assert scene.exchange.call("positions", scene.agent.address) == [0], "it sold what it had bought"
    refuses_another_verifier(scene, agent.SOURCE, "Agent", scene.feed.address, scene.exchange.address, 1)


def test_moves_beyond_the_calibrated_range_are_cut_off(trading: tuple[agent.Scene, dict[str, str]]) -> None:
    scene, _ = trading
    alice = scene.chain.accounts[1]
    scene.push([100, 900, 1, 50, 50, 2**128 - 1, 1, 3, 4])
    returns, _ = scene.observed()
    assert returns.tolist() == [[500, -500, 500, 0, 500, -500, 500, 500]]
    done(scene.agent.to("trade", *shown(scene.proof(alice))), alice)


# The creature --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raising(rpc: node.Rpc) -> tuple[evolving_nft.Scene, dict[str, str]]:
    return played(evolving_nft, rpc)


def test_a_creature_becomes_what_its_model_says(raising: tuple[evolving_nft.Scene, dict[str, str]]) -> None:
    scene, said = raising
    assert refused(said) == {
        "another model's proof": "ProofRefused",
        "another trait": "ProofRefused",
        "from other traits": "NotItsTraits",
        "for another creature": "NotItsTraits",
        "sent by Eve": "NotAllowed",
        "27 hours a day": "NotItsHours",
        "sent again": "NotItsTraits",
        "Eve with Alice's proof": "ProofRefused",
    }
    assert scene.creature.call("generation", 1) == [2]
    (told,) = scene.creature.call("tokenURI", 1)
    assert all(f'"trait_type":"{name}"' in told for name in evolving_nft.TRAITS)
    assert said["creature 1 is now"] == scene.describe(1)


def test_traits_are_the_models_answer_rounded(raising: tuple[evolving_nft.Scene, dict[str, str]]) -> None:
    scene, _ = raising
    alice = scene.chain.accounts[1]
    number = scene.mint(alice)
    for hours in ([12, 0, 0], [0, 12, 0], [0, 0, 0]):
        proof = scene.proof(number, hours, alice)
        said = plonnx.verify(scene.model.pk.vk, proof).outputs["grown"].reshape(-1)
        done(scene.creature.to("evolve", number, *shown(proof)), alice)
        (traits,) = scene.creature.call("traitsOf", number)
        assert traits == np.clip(np.floor(said + 0.5), 0, evolving_nft.MOST).tolist()


def test_the_creature_refuses(raising: tuple[evolving_nft.Scene, dict[str, str]]) -> None:
    scene, _ = raising
    alice, eve, carol = scene.chain.accounts[1:4]
    creature, first, second = scene.creature, scene.mint(alice), scene.mint(alice)
    lessons = scene.proof(first, [0, 0, 0], alice)
    backwards = scene.proof(first, [-3, 9, 6], alice)  # the model would take it
    assert creature.to("evolve", first, *shown(backwards)).refusal(alice) == "NotItsHours"
    (traits,) = creature.call("traitsOf", first)
    integers = scene.model.circuit.read_inputs({"traits": np.array([traits]), "hours": np.zeros((1, 3))})
    with pytest.raises(ValueError, match="no multiple of 16"):  # a sixteenth of a trait
        scene.model.prover.prove_integers({**integers, "traits": integers["traits"] + 1})
    integers["traits"][0, 0] += 16
    odd = scene.model.prover.prove_integers(integers)
    assert creature.to("evolve", first, *shown(odd)).refusal(alice) == "NotItsTraits"
    assert creature.to("evolve", 99, *shown(lessons)).refusal(alice) == "NoSuchCreature"
    for taken in (eve, carol):
        assert creature.to("transferFrom", alice, taken, first).refusal(eve) == "NotAllowed"
        assert creature.to("approve", taken, first).refusal(eve) == "NotAllowed"
    assert creature.to("transferFrom", alice, "0x" + "00" * 20, first).refusal(alice) == "NotAllowed"
    done(creature.to("approve", eve, first), alice)
    assert creature.to("transferFrom", alice, eve, second).refusal(eve) == "NotAllowed"
    done(creature.to("transferFrom", alice, carol, first), eve)
    assert creature.call("ownerOf", first) == [carol]
    assert creature.to("transferFrom", carol, eve, first).refusal(eve) == "NotAllowed", (
        "an approval is for one transfer"
    )
    done(creature.to("setApprovalForAll", eve, True), alice)
    done(creature.to("transferFrom", alice, eve, second), eve)
    assert [creature.call("supportsInterface", bytes.fromhex(i))[0] for i in ("80ac58cd", "ffffffff")] == [True, False]
    refuses_another_verifier(scene, evolving_nft.SOURCE, "Creature")


# The oracle of scores ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scoring(rpc: node.Rpc) -> tuple[score_oracle.Scene, dict[str, str]]:
    return played(score_oracle, rpc)


def test_scores_are_published_with_their_proofs(scoring: tuple[score_oracle.Scene, dict[str, str]]) -> None:
    scene, said = scoring
    assert refused(said) == {
        "another model's proof": "ProofRefused",
        "another score": "ProofRefused",
        "other features": "NotTheReportsFeatures",
        "sent by Eve": "ProofRefused",
        "sent again": "AlreadyPublished",
        "for an equal report": "ProofRefused",
        "one lie among three": "ProofRefused",
    }
    (circuit,) = [scene.model.circuit]
    computed = circuit.predict({"features": np.array([[scene.known[1]]])})["score"].item()
    assert scene.score(scene.chain.accounts[3]) == pytest.approx(computed, abs=1e-12)


def test_the_oracle_of_scores_refuses(scoring: tuple[score_oracle.Scene, dict[str, str]]) -> None:
    scene, _ = scoring
    attester, publisher = scene.chain.accounts[:2]
    oracle, borrower = scene.oracle, scene.chain.accounts[8]
    assert oracle.to("attest", borrower, [1] * 5).refusal(publisher) == "NotTheAttester"
    assert oracle.to("scoreOf", borrower).refusal(publisher) == "NoScore"
    older, newer = scene.attest(borrower, [400, 90, 30, 0, 10]), scene.attest(borrower, [100, 3, 1, 6, 90])
    old, new = scene.proof(older, publisher), scene.proof(newer, publisher)
    assert oracle.to("publish", 99, *shown(new)).refusal(publisher) == "NoSuchReport"
    assert oracle.to("publish", 0, *shown(new)).refusal(publisher) == "NoSuchReport"
    twice = [new.proof] * 2, [new.public_values] * 2
    assert oracle.to("publishMany", [newer, newer], *twice).refusal(publisher) == "AlreadyPublished"
    assert oracle.to("publishMany", [newer], *twice).refusal(publisher) == "WrongLengths"
    done(oracle.to("publish", newer, *shown(new)), publisher)
    score = scene.score(borrower)
    done(oracle.to("publish", older, *shown(old)), publisher)
    assert scene.score(borrower) == score < 0.5, "the older report is good, and does not count any more"
    scene.chain.rpc.call("evm_increaseTime", 8 * 86_400)
    scene.chain.rpc.call("evm_mine")
    assert scene.lender.to("limitOf", borrower).refusal(publisher) == "ScoreTooOld"
    short = scene.attest(borrower, [400, 90, 30, 0])
    scene.known[short] = scene.known[older]
    assert (
        oracle.to("publish", short, *shown(scene.proof(short, publisher))).refusal(publisher) == "NotTheReportsFeatures"
    )
    refuses_another_verifier(scene, score_oracle.SOURCE, "ScoreOracle", attester)


# The guarded vault ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarding(rpc: node.Rpc) -> tuple[private_verdict.Scene, dict[str, str]]:
    return played(private_verdict, rpc)


def test_the_vault_pays_what_its_private_model_calls_honest(
    guarding: tuple[private_verdict.Scene, dict[str, str]],
) -> None:
    scene, said = guarding
    reasons = refused(said)
    foreign = reasons.pop("another's registration")
    assert "registration is about other columns" in foreign
    assert reasons == {
        "another private model": "ProofRefused",
        "another verdict": "ProofRefused",
        "other features": "NotItsFeatures",
        "sent by Eve": "ProofRefused",
        "sent again": "NotPending",
    }
    assert said["Alice still has"] == "7.75 ether"
    assert plonnx.inspect(scene.model.pk.vk)["weights"].startswith("hidden")


def test_what_is_handed_out_must_belong_together(guarding: tuple[private_verdict.Scene, dict[str, str]]) -> None:
    scene, _ = guarding
    files, others = scene.files, scene.others
    assert files.refusal() == others.refusal() == ""
    assert replace(files, vk=others.vk).refusal()
    assert files.architecture == others.architecture, "nothing of it depends on a weight"
    for at in (len(files.registration) // 2, len(files.registration) - 1):
        bent = files.registration[:at] + bytes([files.registration[at] ^ 1]) + files.registration[at + 1 :]
        assert replace(files, registration=bent).refusal()
    assert replace(files, architecture=files.architecture[:-1]).refusal()


def test_the_vault_refuses(guarding: tuple[private_verdict.Scene, dict[str, str]]) -> None:
    scene, _ = guarding
    owner, _, eve, shop, dora = scene.chain.accounts[:5]
    vault, rpc = scene.vault, scene.chain.rpc
    done(vault.to("deposit", value=2 * ETHER), dora)
    assert vault.to("request", eve, 3 * ETHER).refusal(dora) == "BalanceTooLow"
    assert vault.to("request", eve, 0).refusal(dora) == "BalanceTooLow"
    first, second = (scene.request(dora, shop, ETHER // 2) for _ in range(2))
    assert vault.call("balanceOf", dora) == [ETHER]
    proof = scene.proof(first, owner)
    assert vault.to("decide", second, *shown(proof)).refusal(owner) in ("ProofRefused", "NotItsFeatures")
    assert vault.to("cancel", first).refusal(eve) == "NotTheOwner"
    done(vault.to("cancel", first), dora)
    assert vault.to("decide", first, *shown(proof)).refusal(owner) == "NotPending"
    assert vault.call("balanceOf", dora) == [ETHER + ETHER // 2]
    assert vault.to("payUnjudged", second).refusal(dora) == "TooEarly"
    rpc.call("evm_increaseTime", 7 * 86_400)
    rpc.call("evm_mine")
    before = int(rpc.call("eth_getBalance", shop, "latest"), 16)
    done(vault.to("payUnjudged", second), dora)
    assert int(rpc.call("eth_getBalance", shop, "latest"), 16) == before + ETHER // 2
    assert vault.to("payUnjudged", second).refusal(dora) == "NotPending"
    refuses_another_verifier(scene, private_verdict.SOURCE, "GuardedVault", bytes(32), bytes(32))


THIEF = """
interface IVault { function payUnjudged(uint256 number) external; }
contract Thief {
    uint256 public tries;
    receive() external payable {
        ++tries;
        try IVault(msg.sender).payUnjudged(tries) { revert("paid twice"); } catch {}
    }
}
contract Stubborn { receive() external payable { revert("no"); } }
"""


def test_who_is_paid_cannot_come_back(guarding: tuple[private_verdict.Scene, dict[str, str]]) -> None:
    scene, _ = guarding
    dora, (vault, rpc) = scene.chain.accounts[4], (scene.vault, scene.chain.rpc)
    thief, stubborn = (created(rpc, THIEF, name) for name in ("Thief", "Stubborn"))
    done(vault.to("deposit", value=ETHER), dora)
    (held,) = vault.call("balanceOf", dora)
    greedy, stuck = scene.request(dora, thief.address, ETHER // 4), scene.request(dora, stubborn.address, ETHER // 4)
    rpc.call("evm_increaseTime", 7 * 86_400)
    rpc.call("evm_mine")
    done(vault.to("payUnjudged", greedy), dora)
    assert thief.call("tries") == [1]
    assert int(rpc.call("eth_getBalance", thief.address, "latest"), 16) == ETHER // 4
    assert vault.to("payUnjudged", stuck).refusal(dora) == "PaymentFailed"
    done(vault.to("cancel", stuck), dora)
    assert vault.call("balanceOf", dora) == [held - ETHER // 4]


def test_changed_values_are_changed(trading: tuple[agent.Scene, dict[str, str]]) -> None:
    """The helper that the scripts lie with: one bit of the tensor that it names."""
    scene, _ = trading
    proof = scene.model.prove({"returns": np.zeros((1, 8), np.int64)})
    for tensor in scene.model.pk.vk.tensors:
        lie = changed(scene.model, proof, tensor.name)
        different = [i for i, (a, b) in enumerate(zip(proof.public_values, lie, strict=True)) if a != b]
        assert different == [tensor.offset + tensor.width - 1]
    assert set(compiled_with(scene.model, agent.SOURCE)) >= {"Agent", "PriceFeed", "PaperExchange"}
