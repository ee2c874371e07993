"""A vault that pays what a private model calls honest, with proofs, on a local chain.

    python -m circuits.private_verdict.private_verdict      (in the root of the project, after make setup)

The model's owner trains it and compiles it as a private one. A depositor, who sees no weight, rebuilds the key's public
part from the architecture, checks the registration, and only then deposits. One withdrawal is paid and one refused by
proved verdicts; then comes what must not work: a replay, a copied proof, another private model, a better verdict, a
registration of another key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

import plonnx
from circuits.chain import Chain, Contract, Model, acted, changed, shown
from circuits.dense import chances, dense, model, train
from plonnx._native import keccak256
from plonnx.solidity.node import Rpc

SOURCE = Path(__file__).with_name("GuardedVault.sol")
FEATURES, MOST = 5, 1000  # GuardedVault.sol: how much, which part, how old, to whom, how often before
ETHER = 10**18


def withdrawals(seed: int, count: int = 800) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Features [count, 5], and which were thefts [count, 1]: large parts, soon, to strangers."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, MOST + 1, (count, FEATURES))
    amount, part, hours, known, paid = (features / MOST).T
    return features, (0.6 * amount + 1.2 * part - 0.8 * hours - 0.9 * known - 0.4 * paid > 0.2).astype(float)[:, None]


def guard(seed: int = 0) -> onnx.ModelProto:
    """features [1, 5], whole numbers -> 8 ReLUs -> suspicion [1, 1]: above zero it is a theft."""
    features, theft = withdrawals(seed)
    layers = train(features / MOST, theft, hidden=8, error=chances, seed=seed)
    layers[0] = (layers[0][0] / MOST, layers[0][1])
    nodes, weights = dense(layers, "real features", "suspicion")
    cast = helper.make_node("Cast", ["features"], ["real features"], to=TensorProto.FLOAT)
    ends = {"features": [1, FEATURES]}
    return model("guard", [cast, *nodes], weights, ends, {"suspicion": [1, 1]}, integers=["features"])


def samples() -> dict[str, NDArray[np.int64]]:
    """Calibration: withdrawals, and the corners of what the contract lets through."""
    corners = np.array(np.meshgrid(*[(0, MOST)] * FEATURES)).reshape(FEATURES, -1).T
    return {"features": np.vstack([withdrawals(1, count=200)[0], corners])[:, None]}


@dataclass(frozen=True)
class Published:
    """The files that the model's owner hands out, as bytes. None of them holds a weight."""

    vk: bytes
    registration: bytes
    architecture: bytes

    @classmethod
    def by(cls, owner: Model) -> Published:
        """What `plonnx compile --model private` and `plonnx setup` write beside what is secret."""
        registration = plonnx.register(owner.circuit, owner.pk)
        return cls(owner.pk.vk.encode(), registration.encode(), owner.circuit.architecture.encode())

    def refusal(self) -> str:
        """Why `plonnx verify-registration` refuses the files; empty where the key is what they say."""
        try:
            plonnx.verify_registration(
                plonnx.VerifyingKey.decode(self.vk, "guard.vk"),
                plonnx.Registration.decode(self.registration, "guard.registration"),
                plonnx.Architecture.decode(self.architecture, "guard.architecture"),
            )
        except (plonnx.VerificationError, plonnx.FileError) as error:
            return str(error)
        return ""

    @property
    def hashes(self) -> list[bytes]:
        """What the vault names them by."""
        return [keccak256(self.architecture), keccak256(self.registration)]


@dataclass(frozen=True)
class Scene:
    """What stands on the chain when depositors may come."""

    chain: Chain
    model: Model
    rival: Model
    files: Published
    others: Published
    vault: Contract

    def request(self, owner: str, to: str, amount: int) -> int:
        """The number of a withdrawal that is asked for."""
        self.vault.to("request", to, amount).send(owner)
        (number,) = self.vault.call("count")
        return int(number)

    def proof(self, number: int, sender: str, made_by: Model | None = None) -> plonnx.Proof:
        """The model's verdict on a withdrawal, for a sender."""
        (features,) = self.vault.call("featuresOf", number)
        context = plonnx.context(self.chain.id, self.vault.address, sender, number)
        return (made_by or self.model).prove({"features": np.array([features])}, context)


def staged(chain: Chain) -> Scene:
    """The owner's part: the model, its files, verifier and vault; of a rival the model and its files."""
    made = chain.model(guard(), samples(), model="private")
    rival = Model.made(guard(seed=5), samples(), model="private")
    files = Published.by(made)
    vault = chain.deploy(SOURCE, "GuardedVault", made, chain.verifier(made), *files.hashes)
    return Scene(chain, made, rival, files, Published.by(rival), vault)


def main(rpc: Rpc | None = None) -> Scene:
    """All of it, on a node started for this unless one is given."""
    return acted(staged, play, rpc)


def play(scene: Scene) -> None:
    """The depositor's checks, two verdicts, and what is refused."""
    chain, vault = scene.chain, scene.vault
    decide, deposit = partial(vault.to, "decide"), partial(vault.to, "deposit")
    owner, alice, eve, shop = chain.accounts[:4]
    if scene.files.refusal() or vault.call("architecture") + vault.call("registration") != scene.files.hashes:
        raise AssertionError("the key is not what its registration says")
    chain.say("Alice checks the key", "all of it follows from the architecture, its weights are registered")
    foreign = replace(scene.files, registration=scene.others.registration)
    chain.say("another's registration", f"refused: {foreign.refusal()}")

    chain.sent("Alice deposits 4 ether", deposit(value=4 * ETHER), alice)
    chain.rpc.call("evm_increaseTime", 600 * 3600)
    honest = scene.request(alice, shop, ETHER // 4)
    proof, rival = scene.proof(honest, owner), scene.proof(honest, owner, scene.rival)
    lie, fable = (changed(scene.model, proof, tensor) for tensor in ("suspicion", "features"))
    chain.refused("another private model", decide(honest, *shown(rival)), owner)
    chain.refused("another verdict", decide(honest, proof.proof, lie), owner)
    chain.refused("other features", decide(honest, proof.proof, fable), owner, "NotItsFeatures")
    chain.refused("sent by Eve", decide(honest, *shown(proof)), eve)
    chain.sent("a quarter to a shop", decide(honest, *shown(proof)), owner, says="paid")
    chain.refused("sent again", decide(honest, *shown(proof)), owner, "NotPending")

    chain.sent("Alice deposits 4 more", deposit(value=4 * ETHER), alice)
    (balance,) = vault.call("balanceOf", alice)
    theft = scene.request(alice, eve, balance)
    verdict = scene.proof(theft, owner)
    chain.sent("all of it to Eve", decide(theft, *shown(verdict)), owner, says="refused by the model")
    (left,) = vault.call("balanceOf", alice)
    chain.say("Alice still has", f"{left / ETHER} ether")


if __name__ == "__main__":
    main()
