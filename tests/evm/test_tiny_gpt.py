"""circuits/tiny_gpt: its model says which answers are greedy; a smaller one is proved to a contract."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import plonnx
from circuits.tiny_gpt import train
from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from plonnx.kzg.srs import SRS
from plonnx.plonk.prover import prove
from plonnx.solidity import evm, node
from tests.compiler.small import in_some_layout


def test_the_model_that_comes_with_it() -> None:
    """On prompts that calibration has not seen, the circuit agrees with the float model, and sees a wrong answer."""
    path = train.HERE / "model.onnx"
    made = quantized(path, train.HERE / "calibration.npz", Options(table_bits=13))
    texts = np.stack(
        [train.encode(train.written(path, (train.TEXT * 2)[start : start + 12])) for start in range(0, 800, 80)]
    )
    wrong = texts.copy()
    wrong[:, -1] = (wrong[:, -1] + 1) % len(train.ALPHABET)
    said = [made.evaluate({"text": some[:, None].astype(np.float64)})["greedy"].mean() for some in (texts, wrong)]
    assert said == [1.0, 0.0]


def test_training_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "BATCH", 8)
    texts = train.windows(train.CONTEXT + 1)[::40]
    before, after = (
        float(train.loss(train.logits({n: train.Value(w) for n, w in held.items()}, texts[:, :-1]), texts[:, 1:]).array)
        for held in (train.train(0), train.train(60))
    )
    assert after < before - 0.5


def test_an_answer_is_proved_to_a_contract(monkeypatch: pytest.MonkeyPatch, rpc: node.Rpc) -> None:
    """A model of one small layer, untrained."""
    for name, value in {"WIDTH": 8, "LAYERS": 1, "PROMPT": 3, "ANSWER": 2, "CONTEXT": 4}.items():
        monkeypatch.setattr(train, name, value)
    weights = train.drawn(np.random.default_rng(3))
    texts = train.examples(weights, np.random.default_rng(4), 24)
    model = train.to_onnx(weights)
    onnx.checker.check_model(model, full_check=True)
    circuit = in_some_layout(model, {"text": texts}, table_bits=9)
    srs = SRS.development(circuit.srs_k)
    pk = circuit.keygen(srs)
    contract = evm.deploy(rpc, pk.vk)
    for place, honest in ((0, 0.0), (1, 1.0)):  # every fourth example is wrong
        proof = prove(pk, circuit.witness(circuit.read_inputs({"text": texts[place]})), srs)
        assert plonnx.verify(pk.vk, proof).outputs["greedy"].item() == honest
        assert evm.call_verifier(rpc, pk.vk, proof, contract).accepted
