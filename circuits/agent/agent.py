"""An agent that trades only with a proof of what its model decides on the oracle's prices, on a local chain.

    python -m circuits.agent.agent      (in the root of the project, after make setup)

Trains the model, compiles it, sets it up with a ceremony, deploys its verifier and Agent.sol, proves a decision,
trades, and tries what must not work: a second trade, a copied proof, a replay, another model, other public values.
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
from circuits.dense import classes, dense, model, train
from plonnx.solidity.node import Rpc

SOURCE = Path(__file__).with_name("Agent.sol")
WINDOW, MOST = 8, 500  # Agent.sol: returns that the model sees, basis points beyond which they are cut off
DECISIONS = ("sell", "hold", "buy")
LOT = 10


def market(seed: int, count: int = 600) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Windows of returns in basis points, [count, 8], and what was right to do: prices here have momentum."""
    rng = np.random.default_rng(seed)
    trend = rng.normal(0, 120, (count, 1))
    returns = trend + rng.normal(0, 100, (count, WINDOW + 1))
    after = returns[:, -1]
    return np.clip(np.rint(returns[:, :-1]), -MOST, MOST).astype(np.int64), np.digitize(after, (-60, 60))


def decider(seed: int = 0) -> onnx.ModelProto:
    """returns [1, 8], whole basis points -> 12 ReLUs -> logits [1, 3] of sell, hold, buy."""
    windows, right = market(seed)
    layers = train(windows / 100, right, hidden=12, error=classes, seed=seed)
    layers[0] = (layers[0][0] / 100, layers[0][1])
    nodes, weights = dense(layers, "moves", "logits")
    cast = helper.make_node("Cast", ["returns"], ["moves"], to=TensorProto.FLOAT)
    return model("agent", [cast, *nodes], weights, {"returns": [1, WINDOW]}, {"logits": [1, 3]}, integers=["returns"])


def samples() -> dict[str, NDArray[np.int64]]:
    """Calibration: windows of the market, and the largest moves that the contract lets through."""
    windows, _ = market(1, count=200)
    return {"returns": np.vstack([windows, np.full((1, WINDOW), MOST), np.full((1, WINDOW), -MOST)])[:, None]}


@dataclass(frozen=True)
class Scene:
    """What stands on the chain when the agent may trade."""

    chain: Chain
    model: Model
    agent: Contract
    feed: Contract
    exchange: Contract

    def push(self, prices: list[int]) -> None:
        """New prices, from the feed's owner."""
        self.feed.to("push", prices).send(self.chain.accounts[0])

    def observed(self) -> tuple[NDArray[np.int64], int]:
        """The model's inputs, and the number of the latest price."""
        returns, round_ = self.agent.call("observed")
        return np.array([returns]), round_

    def proof(self, sender: str, made_by: Model | None = None) -> plonnx.Proof:
        """What the model decides on the latest prices, for a sender to trade on once."""
        returns, round_ = self.observed()
        context = plonnx.context(self.chain.id, self.agent.address, sender, round_)
        return (made_by or self.model).prove({"returns": returns}, context)


def prices(returns: NDArray[np.int64], start: int = 10_000_000) -> list[int]:
    """Nine prices with these eight returns in basis points."""
    steps = [start]
    for move in returns.tolist():
        steps.append(-(-steps[-1] * (10_000 + move) // 10_000))
    return steps


def staged(chain: Chain) -> Scene:
    """Everything deployed, and nine prices in the feed."""
    made = chain.model(decider(), samples())
    verifier = chain.verifier(made)
    feed, exchange = (chain.deploy(SOURCE, name, made) for name in ("PriceFeed", "PaperExchange"))
    agent = chain.deploy(SOURCE, "Agent", made, verifier, feed.address, exchange.address, LOT)
    scene = Scene(chain, made, agent, feed, exchange)
    scene.push(prices(np.array([180, 90, -40, 130, 60, 210, 150, 120])))
    return scene


def main(rpc: Rpc | None = None) -> Scene:
    """All of it, on a node started for this unless one is given."""
    return acted(staged, play, rpc)


def play(scene: Scene) -> None:
    """One trade, and what is refused."""
    chain, trade = scene.chain, partial(scene.agent.to, "trade")
    alice, eve = chain.accounts[1:3]
    proof = scene.proof(alice)
    decision = DECISIONS[int(plonnx.verify(scene.model.pk.vk, proof).outputs["logits"].argmax())]
    chain.say("the model says", f"{decision}, proved in {len(proof.proof):,} bytes")

    rival = scene.proof(alice, Model.made(decider(seed=5), samples()))
    lie, elsewhere = (changed(scene.model, proof, tensor) for tensor in ("logits", "returns"))
    chain.refused("another model's proof", trade(*shown(rival)), alice)
    chain.refused("another decision", trade(proof.proof, lie), alice)
    chain.refused("other prices", trade(proof.proof, elsewhere), alice, "NotTheFeedsReturns")
    chain.refused("sent by Eve", trade(*shown(proof)), eve)
    chain.sent("sent by Alice", trade(*shown(proof)), alice, says=f"{decision} {LOT}")
    (position,) = scene.exchange.call("positions", scene.agent.address)
    chain.say("the agent holds", f"{position:+}")
    chain.refused("sent again", trade(*shown(proof)), alice, "AlreadyTraded")

    (same, _) = scene.feed.call("latest")
    scene.push(same)
    chain.refused("when prices come again", trade(*shown(proof)), alice)


if __name__ == "__main__":
    main()
