"""From scikit-learn to a contract: a random forest on 30 measurements of a tumour, whose answer is proved and checked.

    pip install skl2onnx
    python circuits/forest/forest.py FOLDER

Fits, converts by skl2onnx, compiles, makes keys with a real setup, proves the answer for one held-out patient,
verifies, and writes the contract. Any other estimator that skl2onnx converts takes the forest's place in `fit`.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import plonnx

SEED = 0
Features = NDArray[np.float32]
Labels = NDArray[np.int64]


def split() -> tuple[Features, Features, Labels, Labels]:
    """Measurements for training and held-out ones, [n, 30], and whether a tumour is benign."""
    measurements, labels = load_breast_cancer(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        measurements.astype(np.float32), labels, random_state=SEED, stratify=labels
    )
    return train, test, train_labels, test_labels


def fit(trees: int = 30) -> RandomForestClassifier:
    """The forest."""
    train, _, labels, _ = split()
    return RandomForestClassifier(trees, max_depth=5, random_state=SEED).fit(train, labels)


def to_onnx(forest: RandomForestClassifier) -> onnx.ModelProto:
    """One TreeEnsembleClassifier with the outputs `label` and `probabilities`."""
    sample = np.zeros((1, forest.n_features_in_), np.float32)
    model: onnx.ModelProto = import_module("skl2onnx").to_onnx(forest, sample, options={"zipmap": False})
    return model


def main(folder: Path, trees: int = 30) -> None:
    """All of it; the files go to the folder."""
    train, test, _, labels = split()
    forest = fit(trees)
    onnx.save(to_onnx(forest), folder / "model.onnx")
    circuit = plonnx.compile(folder / "model.onnx", data={"X": train[:, None]})
    agreed = plonnx.run(circuit, {"X": test[:, None]})["label"].reshape(-1) == forest.predict(test)
    print(f"scikit-learn is right on {forest.score(test, labels):.1%} of {len(test)} held-out patients")
    print(f"the circuit gives the same label on {np.mean(agreed):.1%} of them")
    pk = plonnx.setup(circuit)
    proof = plonnx.prove(circuit, {"X": test[:1, None]}, pk)
    started = time.perf_counter()
    proof = plonnx.prove(circuit, {"X": test[:1, None]}, pk)
    print(f"proved in {time.perf_counter() - started:.2f} s, {len(proof.proof)} bytes")
    shown = plonnx.verify(pk.vk, proof).outputs
    print(f"verified: label {int(shown['label'].item())}, probabilities {shown['probabilities'].reshape(-1).round(3)}")
    (folder / "Verifier.sol").write_text(plonnx.emit_solidity(pk.vk))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
