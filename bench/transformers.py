"""Transformers of published shapes with random weights: GPT-2, BERT, ViT, and small ones of the same make for tests.

Each as exporters write them: matrices with a bias beside, heads by Reshape and Transpose, a causal mask that is added,
tokens by Gather of the embedding, which GPT's head shares. Weights have the spread that training starts from. A maker
writes network.onnx (large matrices in weights.bin beside it), input.json and calibration.npz, always the same.

    python -m bench.transformers NAME FOLDER [--tokens N] [--layers N]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

OPSET, IR = 20, 10
SAMPLES = 16
EXTERNAL = 1 << 20  # bytes of a matrix that stands outside
SPREAD = 0.02  # of embeddings, as GPT-2 and BERT start
HIDDEN = -1e9  # added to the scores that the mask hides


class Network:
    """An ONNX graph under construction; tensors are named by what they are."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """The name of a constant with these values."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """The name of what a node makes, or the names."""
        from onnx import helper

        name = f"{op.lower()}{len(self.nodes)}"
        made = [name] if outputs == 1 else [f"{name}.{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, name, **attributes))
        return made[0] if outputs == 1 else made

    def drawn(self, *shape: int, spread: float = SPREAD) -> str:
        """A constant drawn from a normal distribution."""
        return self.constant(self.rng.standard_normal(shape, np.float32) * np.float32(spread))

    def dense(self, x: str, inputs: int, outputs: int, gain: float = 1.0) -> str:
        """x times a matrix that keeps the spread, and a small bias."""
        product = self.node("MatMul", x, self.drawn(inputs, outputs, spread=gain / np.sqrt(inputs)))
        return str(self.node("Add", product, self.drawn(outputs)))

    def normalized(self, x: str, width: int) -> str:
        """A LayerNormalization whose gain is about one."""
        gain = self.constant(self.rng.uniform(0.8, 1.2, width))
        return str(self.node("LayerNormalization", x, gain, self.drawn(width), axis=-1, epsilon=1e-5))

    def reshaped(self, x: str, *shape: int) -> str:
        """x in another shape."""
        return str(self.node("Reshape", x, self.constant(shape, np.int64)))

    def write(self, folder: Path, result: str, samples: np.ndarray, shape: tuple[int, ...], whole: bool) -> None:
        """network.onnx from `ids` or `x` to y, input.json and calibration.npz. whole: the result is a whole number."""
        import onnx
        from onnx import TensorProto, helper

        self.nodes.append(helper.make_node("Identity", [result], ["y"], "result"))
        name, kind = ("ids", TensorProto.INT64) if samples.dtype.kind == "i" else ("x", TensorProto.FLOAT)
        ends = (
            [helper.make_tensor_value_info(name, kind, samples.shape[1:])],
            [helper.make_tensor_value_info("y", TensorProto.INT64 if whole else TensorProto.FLOAT, shape)],
        )
        graph = helper.make_graph(self.nodes, "network", *ends, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.bin").unlink(missing_ok=True)  # onnx would append to it
        outside: dict[str, Any] = {"location": "weights.bin", "size_threshold": EXTERNAL}
        onnx.save(model, folder / "network.onnx", save_as_external_data=True, **outside)
        arrays: dict[str, Any] = {name: samples}
        np.savez(folder / "calibration.npz", **arrays)
        (folder / "input.json").write_text(json.dumps({"input_data": [samples[0].reshape(-1).tolist()]}))


@dataclass(frozen=True)
class Blocks:
    """Layers of attention and of two dense layers with Gelu between them, each beside a shortcut."""

    width: int
    heads: int
    layers: int
    tokens: int
    causal: bool = False
    after: bool = False  # normalized after the sum, as in BERT, in place of before the branch
    gelu: str = "none"  # GPT-2 has "tanh"

    def through(self, net: Network, x: str) -> str:
        """The layers on x [1, tokens, width]."""
        for _ in range(self.layers):
            for branch in (self.attention, self.dense):
                made = branch(net, x if self.after else net.normalized(x, self.width))
                x = net.node("Add", x, made)
                if self.after:
                    x = net.normalized(x, self.width)
        return x

    @property
    def gain(self) -> float:
        """Of what is added to a shortcut, so that the sum does not grow with the layers (GPT-2)."""
        return float(1 / np.sqrt(2 * self.layers))

    def attention(self, net: Network, x: str) -> str:
        """What attention adds to x."""
        width, size = self.width, self.width // self.heads
        parts = net.node("Split", net.dense(x, width, 3 * width), outputs=3, axis=-1, num_outputs=3)
        q, k, v = (net.reshaped(part, 1, self.tokens, self.heads, size) for part in parts)
        q, v = (net.node("Transpose", part, perm=(0, 2, 1, 3)) for part in (q, v))
        k = net.node("Transpose", k, perm=(0, 2, 3, 1))
        scores = net.node("Mul", net.node("MatMul", q, k), net.constant(1 / np.sqrt(size)))
        if self.causal:
            mask = np.where(np.tri(self.tokens, dtype=bool), 0.0, HIDDEN)
            scores = net.node("Add", scores, net.constant(mask[None, None]))
        mixed = net.node("MatMul", net.node("Softmax", scores, axis=-1), v)
        joined = net.reshaped(net.node("Transpose", mixed, perm=(0, 2, 1, 3)), 1, self.tokens, width)
        return net.dense(joined, width, width, self.gain)

    def dense(self, net: Network, x: str) -> str:
        """What the two layers add to x."""
        wide = net.node("Gelu", net.dense(x, self.width, 4 * self.width), approximate=self.gelu)
        return net.dense(wide, 4 * self.width, self.width, 2 * self.gain)


@dataclass(frozen=True)
class Tokens:
    """Blocks on embedded token ids: those that a vocabulary of 0 leaves out take embedded tokens as they are."""

    blocks: Blocks
    vocabulary: int

    def write(self, folder: Path) -> None:
        """Through GPT's head, the next token; of BERT, the tokens' vectors."""
        net, shape = Network(), (1, self.blocks.tokens, self.blocks.width)
        if not self.vocabulary:
            samples = net.rng.standard_normal((SAMPLES, *shape)).astype(np.float32)
            net.write(folder, self.blocks.through(net, "x"), samples, shape, whole=False)
            return
        ids = net.rng.integers(0, self.vocabulary, (SAMPLES, *shape[:2]))
        words = net.drawn(self.vocabulary, self.blocks.width)
        places = net.drawn(*shape, spread=SPREAD / 2)
        x = net.node("Add", net.node("Gather", words, "ids", axis=0), places)
        if self.blocks.after:
            x = net.normalized(x, self.blocks.width)
        x = self.blocks.through(net, x)
        if self.blocks.causal:
            last = net.node("Gather", net.normalized(x, self.blocks.width), net.constant(-1, np.int64), axis=1)
            logits = net.node("MatMul", last, net.node("Transpose", words, perm=(1, 0)))
            net.write(folder, net.node("ArgMax", logits, axis=-1, keepdims=0), ids, (1,), whole=True)
        else:
            net.write(folder, x, ids, shape, whole=False)


@dataclass(frozen=True)
class Vit:
    """Blocks on the patches of an image and a class token, whose vector is classified (Dosovitskiy et al. 2020)."""

    blocks: Blocks
    size: int = 32
    patch: int = 4
    classes: int = 10

    def write(self, folder: Path) -> None:
        """Class scores of an image."""
        net, width, side = Network(), self.blocks.width, self.size // self.patch
        samples = net.rng.standard_normal((SAMPLES, 1, 3, self.size, self.size)).astype(np.float32)
        kernel = net.drawn(width, 3, self.patch, self.patch, spread=1 / np.sqrt(3 * self.patch**2))
        sides = (self.patch, self.patch)
        x = net.node("Conv", "x", kernel, net.drawn(width), kernel_shape=sides, strides=sides)
        x = net.node("Transpose", net.reshaped(x, 1, width, side * side), perm=(0, 2, 1))
        x = net.node("Concat", net.drawn(1, 1, width, spread=1.0), x, axis=1)
        x = net.node("Add", x, net.drawn(1, side * side + 1, width))
        x = net.normalized(self.blocks.through(net, x), width)
        first = net.node("Gather", x, net.constant(0, np.int64), axis=1)
        net.write(folder, net.dense(first, width, self.classes), samples, (1, self.classes), whole=False)


GPT2 = Blocks(768, 12, layers=12, tokens=16, causal=True, gelu="tanh")
NETWORKS: Mapping[str, Tokens | Vit] = {
    "vit_tiny": Vit(Blocks(192, 3, layers=12, tokens=65)),
    "bert_tiny": Tokens(Blocks(128, 2, layers=2, tokens=128, after=True), vocabulary=30522),
    "gpt2_block": Tokens(replace(GPT2, layers=1), vocabulary=0),
    "gpt2_small": Tokens(GPT2, vocabulary=50257),
    "small_vit": Vit(Blocks(8, 2, layers=1, tokens=5), size=8),
    "small_bert": Tokens(Blocks(8, 2, layers=1, tokens=4, after=True), vocabulary=20),
    "small_gpt": Tokens(Blocks(8, 2, layers=1, tokens=4, causal=True, gelu="tanh"), vocabulary=20),
}


def sized(network: Tokens | Vit, tokens: int | None = None, layers: int | None = None) -> Tokens | Vit:
    """The network with another number of tokens or layers."""
    blocks = network.blocks
    return replace(network, blocks=replace(blocks, tokens=tokens or blocks.tokens, layers=layers or blocks.layers))


def main() -> None:
    """Write one network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, help="of a text")
    parser.add_argument("--layers", type=int)
    options = parser.parse_args()
    sized(NETWORKS[options.name], options.tokens, options.layers).write(options.folder)


if __name__ == "__main__":
    main()
