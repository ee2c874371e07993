"""Draws picture.png: an image, what the model and the circuit predict for it, and where the circuit's rows go.

python -m circuits.digits_cnn.picture      (in the root of the project)
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

import plonnx
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.onnx_file import read_model

HERE = Path(__file__).parent
KINDS = {"border": "borders", "copy": "copies", "public": "copies"}
COLOURS = {"values": "#2b6cb0", "borders": "#dd6b20", "copies": "#a0aec0"}


def main() -> None:
    """Compile, run one image through the float model and through a proof, draw."""
    circuit = plonnx.compile(HERE / "model.onnx", data=HERE / "calibration.npz")
    image = np.array(json.loads((HERE / "input.json").read_text())["input_data"][0], np.float32).reshape(1, 1, 8, 8)
    model = FloatModel(read_model(HERE / "model.onnx").fixed({"image": (1, 1, 8, 8)}))
    float_logits = model.run({"image": image})["logits"][0]
    pk = plonnx.setup(circuit)
    statement = plonnx.verify(pk.vk, plonnx.prove(circuit, HERE / "input.json", pk))
    proved = statement.outputs["logits"][0]

    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(12, 3.6), width_ratios=(1, 1.7, 2.4), layout="constrained"
    )
    left.imshow(image[0, 0], cmap="gray_r")
    left.set_title(f"proved to be a {proved.argmax()}")
    left.set_axis_off()

    places = np.arange(10)
    middle.bar(places - 0.2, float_logits, 0.4, label="float model", color="#a0aec0")
    middle.bar(places + 0.2, proved, 0.4, label="in the proof", color="#2b6cb0")
    middle.set_xticks(places)
    middle.set_xlabel("digit")
    middle.set_title("logits")
    middle.legend(frameon=False)

    rows = [(entry["name"], entry["rows"]) for entry in circuit.describe()["rows_by_tensor"]]
    names, counts = zip(*reversed(rows), strict=True)
    kinds = [KINDS.get(name.split()[0], "values") for name in names]
    bars = right.barh(range(len(names)), counts, color=[COLOURS[kind] for kind in kinds])
    right.set_yticks(range(len(names)), names)
    right.bar_label(bars, padding=3)
    right.set_xlim(0, max(counts) * 1.15)
    right.set_title(f"{circuit.layout.rows} rows of {1 << circuit.k}, lanes: {circuit.shape.lanes}. Where they go")
    for kind, colour in ((kind, colour) for kind, colour in COLOURS.items() if kind in kinds):
        right.bar(0, 0, color=colour, label=kind)
    right.legend(frameon=False, loc="best")
    for axes in (middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "picture.png", dpi=110)


if __name__ == "__main__":
    main()
