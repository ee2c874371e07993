"""Draws picture.png: how sure the model is of each character of an answer, and where the circuit's rows go.

python -m circuits.tiny_gpt.picture      (in the root of the project)
"""

from __future__ import annotations

from collections import Counter

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from circuits.tiny_gpt import demo, train

PARTS = {
    "o": "embedding",
    "e": "embedding",
    "x": "embedding",
    "last": "scores",
    "scores": "scores",
    "answered": "scores",
    "best": "arg-max, comparison",
    "same": "arg-max, comparison",
    "greedy": "arg-max, comparison",
    "number": "arg-max, comparison",
    "count": "arg-max, comparison",
    "answer": "arg-max, comparison",
}
LAYER = {
    **dict.fromkeys("ai", "normalizations"),
    **dict.fromkeys("bcdqkvt", "queries, keys, values"),
    **dict.fromkeys("fghp", "scores of attention"),
    **dict.fromkeys("rsuyz", "contexts"),
    **dict.fromkeys("jlm", "feed forward"),
}


def part_of(name: str) -> str:
    """Which part of the model a tensor belongs to; copies belong to their reader."""
    words = name.replace("copy for ", "").split("~")[0].split("[")[0].split("/")[0].split(" ")[0]
    if words[:-1] in LAYER and words[-1].isdigit():
        return f"layer {int(words[-1]) + 1}: {LAYER[words[:-1]]}"
    return PARTS.get(words.rstrip("0123456789"), "public values, others")


def main() -> None:
    """Compile, run a text, draw."""
    circuit = demo.compiled(train.HERE / "model.onnx")
    text = train.written(train.HERE / "model.onnx", "beautiful is")
    chances = train.chances(train.HERE / "model.onnx", text)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(1, 1.6), layout="constrained")
    places = np.arange(len(chances))
    left.bar(places, chances, color="#2b6cb0")
    left.set_xticks(places, [repr(letter) for letter in text[train.PROMPT :]])
    left.set_ylim(0, 1)
    left.set_title(f"{text[: train.PROMPT]!r}: chance of each character\nthat is proved to be the likeliest")
    rows = Counter[str]()
    for entry in circuit.describe()["rows_by_tensor"]:
        rows[part_of(entry["name"])] += entry["rows"]
    names, counts = zip(*reversed(rows.most_common()), strict=True)
    bars = right.barh(range(len(names)), counts, color="#2b6cb0")
    right.set_yticks(range(len(names)), names)
    right.bar_label(bars, padding=3)
    right.set_xlim(0, max(counts) * 1.15)
    right.set_title(f"{circuit.layout.rows} rows of {1 << circuit.k}, lanes: {circuit.shape.lanes}. Where they go")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(train.HERE / "picture.png", dpi=110)


if __name__ == "__main__":
    main()
