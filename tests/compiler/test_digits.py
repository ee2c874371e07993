"""The worked examples: over all held-out images a circuit predicts what the float model predicts, at least 99 %."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from circuits.digits_mlp.train import held_out
from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.options import Options
from plonnx.layout.inputs import read_input

CIRCUITS = Path(__file__).parents[2] / "circuits"
EXAMPLES = {"digits_mlp": (64,), "digits_cnn": (1, 8, 8)}  # the shape of an image


@pytest.mark.parametrize("name", EXAMPLES)
def test_top1_agreement_over_the_held_out_images(name: str) -> None:
    made = quantized(CIRCUITS / name / "model.onnx", CIRCUITS / name / "calibration.npz")
    assert made.report.reached
    flat, labels = held_out()
    images = flat.reshape(-1, *EXAMPLES[name])
    logits = made.evaluate({"image": images[:, None].astype(np.float64)})["logits"][:, 0]
    expected = FloatModel(onnx.load(CIRCUITS / name / "model.onnx")).run({"image": images})["logits"]
    agreement = float(np.mean(logits.argmax(axis=1) == expected.argmax(axis=1)))
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    print(f"{name}: top-1 agreement {agreement:.2%}, accuracy {accuracy:.2%} over {len(images)} held-out images")
    assert agreement >= 0.99
    assert accuracy >= 0.96


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_input_is_a_held_out_image(name: str) -> None:
    made = quantized(CIRCUITS / name / "model.onnx", CIRCUITS / name / "calibration.npz", Options(table_bits=10))
    image = read_input(CIRCUITS / name / "input.json", made.facts.inputs)["image"]
    held = np.ldexp(image.reshape(-1), -made.facts.inputs[0].scales)
    np.testing.assert_allclose(held, held_out()[0][0], atol=1e-3)
