"""The worked example: over all held-out images the circuit predicts what the float model predicts, at least 99 %."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from circuits.digits_mlp.train import held_out
from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.inputs import read_input

FOLDER = Path(__file__).parents[2] / "circuits" / "digits_mlp"


def test_top1_agreement_over_the_held_out_images() -> None:
    made = quantized(FOLDER / "model.onnx", FOLDER / "calibration.npz")
    assert made.report.reached
    images, labels = held_out()
    logits = made.evaluate({"image": images[:, None, :].astype(np.float64)})["logits"][:, 0]
    expected = FloatModel(onnx.load(FOLDER / "model.onnx")).run({"image": images})["logits"]
    agreement = float(np.mean(logits.argmax(axis=1) == expected.argmax(axis=1)))
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    print(f"top-1 agreement {agreement:.2%}, accuracy {accuracy:.2%} over {len(images)} held-out images")
    assert agreement >= 0.99
    assert accuracy >= 0.96


def test_the_example_input_is_a_held_out_image() -> None:
    made = quantized(FOLDER / "model.onnx", FOLDER / "calibration.npz", table_bits=10)
    image = read_input(FOLDER / "input.json", made.facts.inputs)["image"]
    np.testing.assert_allclose(np.ldexp(image[0], -made.facts.inputs[0].scale), held_out()[0][0], atol=1e-3)
