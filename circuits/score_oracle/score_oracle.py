"""An oracle that publishes credit scores, each with the proof that its model computes it, on a local chain.

    python -m circuits.score_oracle.score_oracle      (in the root of the project, after make setup)

Trains the model, compiles it, sets it up with a ceremony, deploys its verifier and ScoreOracle.sol, publishes one
score, then three with one pairing, lets a lender read them, and tries what must not work: a replay, a copied proof,
another model's, a better score, an older report after a newer one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

import plonnx
from circuits.chain import Chain, Contract, Model, acted, changed, shown
from circuits.dense import chances, dense, model, train
from plonnx.solidity.node import Rpc

SOURCE = Path(__file__).with_name("ScoreOracle.sol")
FEATURES = ("collateral, % of the debt", "months known", "loans repaid", "payments late", "credit used, %")
LARGEST = np.array([500, 120, 40, 20, 100])
MOST = 10**18  # what a score of 1 lets a borrower owe


def borrowers(seed: int, count: int = 800) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Features [count, 5], and whether the loan was paid back [count, 1]."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, LARGEST + 1, (count, len(LARGEST)))
    collateral, months, repaid, late, used = (features / LARGEST).T
    good = 3 * collateral + months + 2 * repaid - 4 * late - 2 * used * (1 - collateral)
    return features, (good + rng.normal(0, 0.5, count) > 0.6).astype(np.float64)[:, None]


def scorer(seed: int = 0) -> onnx.ModelProto:
    """features [1, 5], whole numbers -> 8 ReLUs -> score [1, 1], the chance that a loan is paid back."""
    features, paid = borrowers(seed)
    layers = train(features / LARGEST, paid, hidden=8, error=chances, seed=seed)
    layers[0] = (layers[0][0] / LARGEST[:, None], layers[0][1])
    nodes, weights = dense(layers, "real features", "logit")
    cast = helper.make_node("Cast", ["features"], ["real features"], to=TensorProto.FLOAT)
    sigmoid = helper.make_node("Sigmoid", ["logit"], ["score"])
    ends = {"features": [1, len(LARGEST)]}
    return model("scores", [cast, *nodes, sigmoid], weights, ends, {"score": [1, 1]}, integers=["features"])


def samples() -> dict[str, NDArray[np.int64]]:
    """Calibration: borrowers."""
    return {"features": borrowers(1, count=200)[0][:, None]}


@dataclass(frozen=True)
class Scene:
    """What stands on the chain when scores may be published."""

    chain: Chain
    model: Model
    oracle: Contract
    lender: Contract
    known: dict[int, list[int]] = field(default_factory=dict)  # report -> features

    def attest(self, borrower: str, features: list[int]) -> int:
        """The number of a new report, from the attester."""
        self.oracle.to("attest", borrower, features).send(self.chain.accounts[0])
        (report,) = self.oracle.call("count")
        self.known[report] = features
        return int(report)

    def proof(self, report: int, publisher: str, made_by: Model | None = None) -> plonnx.Proof:
        """The score that follows from a report, for a publisher."""
        context = plonnx.context(self.chain.id, self.oracle.address, publisher, report)
        return (made_by or self.model).prove({"features": np.array([self.known[report]])}, context)

    def score(self, borrower: str) -> float:
        """What the oracle says of a borrower."""
        (value, _) = self.oracle.call("scoreOf", borrower)
        return float(value / 1e18)


def staged(chain: Chain) -> Scene:
    """Everything deployed."""
    made = chain.model(scorer(), samples())
    oracle = chain.deploy(SOURCE, "ScoreOracle", made, chain.verifier(made), chain.accounts[0])
    return Scene(chain, made, oracle, chain.deploy(SOURCE, "Lender", made, oracle.address, MOST))


def main(rpc: Rpc | None = None) -> Scene:
    """All of it, on a node started for this unless one is given."""
    return acted(staged, play, rpc)


def play(scene: Scene) -> None:
    """One score, then three at once, and what is refused."""
    chain, publish = scene.chain, partial(scene.oracle.to, "publish")
    publish_many = partial(scene.oracle.to, "publishMany")
    publisher, eve, *people = chain.accounts[1:7]
    report = scene.attest(people[0], [180, 36, 12, 1, 40])
    proof = scene.proof(report, publisher)

    rival = scene.proof(report, publisher, Model.made(scorer(seed=5), samples()))
    lie, fable = (changed(scene.model, proof, tensor) for tensor in ("score", "features"))
    wrong = "NotTheReportsFeatures"
    chain.refused("another model's proof", publish(report, *shown(rival)), publisher)
    chain.refused("another score", publish(report, proof.proof, lie), publisher)
    chain.refused("other features", publish(report, proof.proof, fable), publisher, wrong)
    chain.refused("sent by Eve", publish(report, *shown(proof)), eve)
    one = chain.sent("one score", publish(report, *shown(proof)), publisher)
    (limit,) = scene.lender.call("limitOf", people[0])
    chain.say("the lender reads", f"score {scene.score(people[0]):.3f}, so at most {limit / 1e18:.3f} ether of debt")
    chain.refused("sent again", publish(report, *shown(proof)), publisher, "AlreadyPublished")

    more = [
        scene.attest(who, what)
        for who, what in zip(people[1:], ([90, 2, 0, 3, 95], [300, 90, 30, 0, 10]), strict=False)
    ]
    again = scene.attest(people[0], [180, 36, 12, 1, 40])
    chain.refused("for an equal report", publish(again, *shown(proof)), publisher)
    numbers = [*more, again]
    proofs = [scene.proof(number, publisher) for number in numbers]
    statements = [p.proof for p in proofs], [p.public_values for p in proofs]
    bad = statements[0], [*statements[1][:-1], changed(scene.model, proofs[-1], "score")]
    chain.refused("one lie among three", publish_many(numbers, *bad), publisher)
    three = chain.sent("three scores", publish_many(numbers, *statements), publisher)
    each = [int(receipt["gasUsed"], 16) / count for receipt, count in ((one, 1), (three, 3))]
    chain.say("gas for a score", f"{each[0]:,.0f} alone, {each[1]:,.0f} with two others")
    chain.say("scores", ", ".join(f"{scene.score(who):.3f}" for who in people[:3]))


if __name__ == "__main__":
    main()
