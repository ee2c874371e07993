"""A token whose traits change only as its model says, with proofs, on a local chain.

    python -m circuits.evolving_nft.evolving_nft      (in the root of the project, after make setup)

Trains the model, compiles it, sets it up with a ceremony, deploys its verifier and Creature.sol, mints, raises a
creature for two generations, and tries what must not work: a replay, a copied proof, another creature's, another
model's, better traits than the model gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

import plonnx
from circuits.chain import Chain, Contract, Model, acted, changed, shown
from circuits.dense import dense, model, squares, train
from plonnx.solidity.node import Rpc

SOURCE = Path(__file__).with_name("Creature.sol")
TRAITS = ("strength", "wit", "charm", "luck")
MOST, HOURS = 100, 12  # Creature.sol: of a trait, and of exercise, study and play together


def lives(seed: int, count: int = 800) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Traits [count, 4], hours [count, 3], and what a creature gains by them [count, 4]."""
    rng = np.random.default_rng(seed)
    traits = rng.integers(0, MOST + 1, (count, 4))
    hours = rng.multinomial(HOURS, np.ones(4) / 4, count)[:, :3]
    room = 1 - traits / MOST
    exercise, study, play = hours.T
    effort = np.stack([exercise, study, play, play * (hours.max(axis=1) < 6)], axis=1)
    tired = 0.3 * np.maximum(hours.sum(axis=1, keepdims=True) - 10, 0)
    return traits, hours, 2 * effort * room - tired - 0.5


def grower(seed: int = 0) -> onnx.ModelProto:
    """traits [1, 4] and hours [1, 3], whole numbers -> 16 ReLUs -> gains, added to the traits: grown [1, 4]."""
    traits, hours, gained = lives(seed)
    layers = train(np.hstack([traits / MOST, hours / HOURS]), gained / 10, hidden=16, error=squares, seed=seed)
    (first, first_bias), (second, second_bias) = layers
    scale = np.repeat([MOST, HOURS], [4, 3])[:, None]
    nodes, weights = dense([(first / scale, first_bias), (second * 10, second_bias * 10)], "life", "gains")
    casts = [helper.make_node("Cast", [name], [f"real {name}"], to=TensorProto.FLOAT) for name in ("traits", "hours")]
    joined = helper.make_node("Concat", ["real traits", "real hours"], ["life"], axis=1)
    grown = helper.make_node("Add", ["real traits", "gains"], ["grown"])
    ends = {"traits": [1, 4], "hours": [1, 3]}
    return model(
        "creature", [*casts, joined, *nodes, grown], weights, ends, {"grown": [1, 4]}, integers=["traits", "hours"]
    )


def samples() -> dict[str, NDArray[np.int64]]:
    """Calibration: lives, and the ends of what the contract allows."""
    traits, hours, _ = lives(1, count=200)
    ends = np.array([[0, 0, 0], [HOURS, 0, 0], [0, HOURS, 0], [0, 0, HOURS]])
    corners = np.repeat([[0] * 4, [MOST] * 4], 4, axis=0)
    return {
        "traits": np.vstack([traits, corners])[:, None],
        "hours": np.vstack([hours, ends, ends])[:, None],
    }


@dataclass(frozen=True)
class Scene:
    """What stands on the chain when creatures may be minted."""

    chain: Chain
    model: Model
    creature: Contract

    def mint(self, owner: str) -> int:
        """The number of a new creature."""
        self.creature.to("mint").send(owner)
        (number,) = self.creature.call("supply")
        return int(number)

    def proof(self, number: int, hours: list[int], sender: str, made_by: Model | None = None) -> plonnx.Proof:
        """What the model makes of a creature, for its owner to use once."""
        (traits,) = self.creature.call("traitsOf", number)
        (nonce,) = self.creature.call("useOf", number)
        context = plonnx.context(self.chain.id, self.creature.address, sender, nonce)
        return (made_by or self.model).prove({"traits": np.array([traits]), "hours": np.array([hours])}, context)

    def describe(self, number: int) -> str:
        """A creature's traits by name."""
        (traits,) = self.creature.call("traitsOf", number)
        return ", ".join(f"{name} {value}" for name, value in zip(TRAITS, traits, strict=True))


def staged(chain: Chain) -> Scene:
    """Everything deployed."""
    made = chain.model(grower(), samples())
    return Scene(chain, made, chain.deploy(SOURCE, "Creature", made, chain.verifier(made)))


def main(rpc: Rpc | None = None) -> Scene:
    """All of it, on a node started for this unless one is given."""
    return acted(staged, play, rpc)


def play(scene: Scene) -> None:
    """Two generations of one creature, and what is refused."""
    chain, evolve = scene.chain, partial(scene.creature.to, "evolve")
    alice, eve = chain.accounts[1:3]
    first, second = scene.mint(alice), scene.mint(alice)
    chain.say(f"creature {first} is born", scene.describe(first))

    proof = scene.proof(first, [5, 4, 3], alice)
    rival = scene.proof(first, [5, 4, 3], alice, Model.made(grower(seed=5), samples()))
    lie, fable = (changed(scene.model, proof, tensor) for tensor in ("grown", "traits"))
    chain.refused("another model's proof", evolve(first, *shown(rival)), alice)
    chain.refused("another trait", evolve(first, proof.proof, lie), alice)
    chain.refused("from other traits", evolve(first, proof.proof, fable), alice, "NotItsTraits")
    chain.refused("for another creature", evolve(second, *shown(proof)), alice, "NotItsTraits")
    chain.refused("sent by Eve", evolve(first, *shown(proof)), eve, "NotAllowed")
    lazy = scene.proof(first, [9, 9, 9], alice)
    chain.refused("27 hours a day", evolve(first, *shown(lazy)), alice, "NotItsHours")
    chain.sent("sent by Alice", evolve(first, *shown(proof)), alice)
    chain.say(f"creature {first} is now", scene.describe(first))
    chain.refused("sent again", evolve(first, *shown(proof)), alice, "NotItsTraits")

    stolen = scene.proof(first, [0, 6, 6], alice)
    chain.sent("Alice sells it to Eve", scene.creature.to("transferFrom", alice, eve, first), alice)
    chain.refused("Eve with Alice's proof", evolve(first, *shown(stolen)), eve)
    own = scene.proof(first, [0, 6, 6], eve)
    chain.sent("Eve with her own", evolve(first, *shown(own)), eve)
    chain.say(f"creature {first} is now", scene.describe(first))


if __name__ == "__main__":
    main()
