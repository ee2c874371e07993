"""The networks that papers compare on, for images of 3 x 32 x 32, with random weights: VGG-16, ResNet-18, MobileNetV2.

Each by its published shape with ten classes and batch normalization, and small ones of the same make for tests. A maker
writes network.onnx, input.json and calibration.npz, always the same.

    python -m bench.vision NAME FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.networks import GEMM, Layers

CLASSES = 10
POOL: dict[str, Any] = {"dilations": (1, 1), "pads": (0, 0, 0, 0), "kernel_shape": (2, 2), "strides": (2, 2)}


@dataclass(frozen=True)
class Vgg:
    """3x3 convolutions with ReLU, by blocks that a 2x2 max pool ends (Simonyan and Zisserman 2014)."""

    blocks: tuple[tuple[int, ...], ...]  # output channels of each convolution
    size: int = 32

    def write(self, folder: Path) -> None:
        """network.onnx, input.json and calibration.npz."""
        layers, channels = Layers(seed=0), 3
        for block in self.blocks:
            for outputs in block:
                _convolution(layers, channels, outputs)
                layers.node("Relu")
                channels = outputs
            layers.node("MaxPool", **POOL)
        layers.node("Flatten", axis=1)
        side = self.size >> len(self.blocks)
        layers.weighted("Gemm", (CLASSES, channels * side * side), **GEMM)
        layers.write(folder, (1, 3, self.size, self.size), (1, CLASSES))


@dataclass(frozen=True)
class ResNet:
    """Basic blocks of two 3x3 convolutions beside a shortcut; each stage halves the sides (He et al. 2015)."""

    stages: tuple[int, ...]  # output channels of each stage
    blocks: int = 2  # of each stage
    size: int = 32

    def write(self, folder: Path) -> None:
        """network.onnx, input.json and calibration.npz."""
        layers, channels = Layers(seed=0), self.stages[0]
        _convolution(layers, 3, channels)
        layers.node("Relu")
        for number, outputs in enumerate(self.stages):
            for block in range(self.blocks):
                self._block(layers, channels, outputs, 2 if number and not block else 1)
                channels = outputs
        _classify(layers, channels)
        layers.write(folder, (1, 3, self.size, self.size), (1, CLASSES))

    @staticmethod
    def _block(layers: Layers, channels: int, outputs: int, stride: int) -> None:
        start = layers.last
        _convolution(layers, channels, outputs, stride=stride)
        layers.node("Relu")
        _convolution(layers, outputs, outputs, scale=0.5)  # so that sums do not grow from block to block
        branch = layers.last
        layers.last = start
        if stride > 1 or channels != outputs:
            _convolution(layers, channels, outputs, kernel=1, stride=stride)
        layers.node("Add", branch)
        layers.node("Relu")


@dataclass(frozen=True)
class MobileNet:
    """Inverted residuals: 1x1 to many channels, 3x3 depthwise, 1x1 to few, with ReLU6 (Sandler et al. 2018)."""

    stages: tuple[tuple[int, int, int, int], ...]  # expansion, output channels, blocks, stride of the first
    stem: int
    head: int  # channels before the classifier
    size: int = 32

    def write(self, folder: Path) -> None:
        """network.onnx, input.json and calibration.npz."""
        layers, channels = Layers(seed=0), self.stem
        _convolution(layers, 3, channels)
        _relu6(layers)
        for expansion, outputs, blocks, stride in self.stages:
            for block in range(blocks):
                self._block(layers, channels, outputs, expansion, 1 if block else stride)
                channels = outputs
        _convolution(layers, channels, self.head, kernel=1)
        _relu6(layers)
        _classify(layers, self.head)
        layers.write(folder, (1, 3, self.size, self.size), (1, CLASSES))

    @staticmethod
    def _block(layers: Layers, channels: int, outputs: int, expansion: int, stride: int) -> None:
        start, wide = layers.last, channels * expansion
        if expansion > 1:
            _convolution(layers, channels, wide, kernel=1)
            _relu6(layers)
        _convolution(layers, wide, wide, stride=stride, group=wide)
        _relu6(layers)
        _convolution(layers, wide, outputs, kernel=1, scale=0.5 if stride == 1 and channels == outputs else 1.0)
        if stride == 1 and channels == outputs:
            layers.node("Add", start)


def _convolution(
    layers: Layers, channels: int, outputs: int, kernel: int = 3, stride: int = 1, group: int = 1, scale: float = 1.0
) -> None:
    """A convolution that keeps the sides but for its stride, without bias, and its normalization."""
    pad = kernel // 2
    layers.weighted(
        "Conv",
        (outputs, channels // group, kernel, kernel),
        bias=False,
        kernel_shape=(kernel, kernel),
        pads=(pad,) * 4,
        strides=(stride, stride),
        dilations=(1, 1),
        group=group,
    )
    layers.normalized(outputs, scale)


def _relu6(layers: Layers) -> None:
    layers.node("Clip", layers.constant(0.0), layers.constant(6.0))


def _classify(layers: Layers, channels: int) -> None:
    layers.node("GlobalAveragePool")
    layers.node("Flatten", axis=1)
    layers.weighted("Gemm", (CLASSES, channels), **GEMM)


VGG_16 = Vgg(((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)))
RESNET_18 = ResNet((64, 128, 256, 512))
# The first convolution has stride 1: images of 32 x 32 in place of 224 x 224.
MOBILENET_V2 = MobileNet(
    ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    32,
    1280,
)
SMALL_VGG = Vgg(((4, 6), (8,)), size=8)
SMALL_RESNET = ResNet((4, 6), blocks=1, size=8)
SMALL_MOBILENET = MobileNet(((1, 3, 1, 1), (2, 4, 2, 2)), 4, 8, size=8)

NETWORKS: Mapping[str, Callable[[Path], None]] = {
    "vgg16": VGG_16.write,
    "resnet18": RESNET_18.write,
    "mobilenet_v2": MOBILENET_V2.write,
    "small_vgg": SMALL_VGG.write,
    "small_resnet": SMALL_RESNET.write,
    "small_mobilenet": SMALL_MOBILENET.write,
}


def main() -> None:
    """Write one network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    NETWORKS[options.name](options.folder)


if __name__ == "__main__":
    main()
