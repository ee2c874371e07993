"""Convolutions and dense layers: one term a channel in the linear check (gadgets/linear/check.py), whatever the kernel.

A dense layer may be run in steps (gadgets/linear/shared.py): T layers with the same weights are one layer of
T times the positions, which passes over its weights once. Later inputs may depend on earlier outputs, as in a
recurrent network: all cells stand in phase 0, and the check knows no order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.function import Function
from plonnx.gadgets.gadget import Cellwise, Gadget, Integers, Marks
from plonnx.gadgets.linear.biases import OWN
from plonnx.gadgets.linear.contribution import Contribution, Weights, overlap
from plonnx.gadgets.linear.equation import Equation, fits, zeros
from plonnx.kzg.record import lies_within, require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells

MOST_OFFSET = 1 << 20  # of a tap
_CHUNK = 1 << 19  # gathered elements at a time: a few megabytes, which caches hold


@dataclass(frozen=True, eq=False)
class Convolution(Equation):
    """y[o, p] = bias[o] + sum over the group's c and taps t of W[c, t, j] x[c, s p + offsets[t]], o = group * J + j.

    x: refs [channels, *grid], zero outside its grid. weights [channels, taps, J]; offsets [taps, axes]; p runs over
    `shape` (as many axes as the grid has), s are the strides, ones where there are none. A dense layer [R, K] x [K, N]
    has K channels, R positions and one tap.

    bias: one for each output, or [outputs, *shape] (each lane has its own then, biases.py), not in a hidden model.

    hides: of a hidden model, 1 where a weight is a secret and 0 where everybody knows it (a pool's 1/K, the zeros of a
    strided kernel), broadcast to the weights; None where all are secret. A bias, where there is one, is a secret.
    """

    kind: ClassVar[str] = "convolution"

    x: Integers
    weights: Integers
    offsets: Integers
    bias: Integers | None
    shape: tuple[int, ...]
    groups: int
    parts: int | None = None
    hides: Integers | None = None
    strides: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _narrow(self.weights))

    @property
    def steps(self) -> int | None:
        """The positions fall into so many equal parts, which are run one after another."""
        return self.parts

    def at_step(self, step: int) -> tuple[Gadget, Integers]:
        """The layer on the positions of one step."""
        assert self.parts is not None, "a layer that is run whole has no steps"
        here = np.split(np.arange(self.positions), self.parts)[step]
        units = self.units.reshape(self.outputs, -1)[:, here].reshape(-1)
        return replace(self, count=len(units), x=self.x[:, here], shape=(len(here),), parts=None), units

    @cached_property
    def kernel(self) -> Weights:
        """The weights, as they come to a channel's rows."""
        return Weights(self.weights, self.offsets, self.groups, self.hides)

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """x, by its weights."""
        return (Contribution(self.x, self.kernel, self.shape, strides=self.strides),)

    @property
    def channels(self) -> tuple[int, ...]:
        """Its output channels, each a grid of positions."""
        return (self.outputs, *self.shape)

    @property
    def outputs(self) -> int:
        """Output channels."""
        return int(self.groups * self.weights.shape[2])

    @property
    def positions(self) -> int:
        """Output positions of a channel."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def operands(self) -> Integers:
        """The refs of x."""
        return self.x.reshape(-1)

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Its function's, and the bias on the rows of each channel."""
        if self.bias is None or self.by_position:
            return super().marks(number)
        return {**super().marks(number), "bias": {0: np.repeat(self.bias, self.positions)}}

    @property
    def by_position(self) -> bool:
        """Whether each position has biases of its own."""
        return self.bias is not None and self.bias.ndim > 1

    def lane_marks(self) -> Mapping[str, Mapping[int, Integers]]:
        """The biases of every position."""
        return {OWN: {0: self.bias.reshape(-1)}} if self.bias is not None and self.by_position else {}

    def lowered(self, half: int, hidden: bool) -> Convolution | None:
        """By its bias."""
        bias = np.zeros(self.outputs, np.int64) if self.bias is None else self.bias
        whole = not np.any(self.weights % (2 * half)) and not np.any(bias % (2 * half))
        return None if self.parts is not None or (self.bias is None if hidden else whole) else self.with_less(half)

    def with_less(self, half: int) -> Convolution:
        """With a bias that is less."""
        return replace(self, bias=(np.zeros(self.outputs, np.int64) if self.bias is None else self.bias) - half)

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same cells."""
        return builder.convolution(
            cells(self.x),
            self.weights,
            self.offsets,
            self.bias,
            self.shape,
            self.name,
            self.groups,
            self.parts,
            self.hides,
            strides=self.strides,
        )

    @property
    def secrets(self) -> int:
        """The weights that are hidden, and the bias."""
        return int(self.kernel.secret.sum()) + (0 if self.bias is None else len(self.bias))

    @property
    def constants(self) -> int:
        """The weights that are not hidden."""
        return self.weights.size - int(self.kernel.secret.sum())

    @property
    def hides_constants(self) -> bool:
        """A bias is a secret."""
        return True

    def bare(self) -> Convolution:
        """Without hidden weights and bias."""
        weights = zeros(self.weights)
        if self.hides is not None:
            weights = np.where(self.hides, 0, self.weights)
        return replace(self, weights=weights, bias=None if self.bias is None else zeros(self.bias))

    @property
    def blank(self) -> Sequence[str]:
        """The bias, and weights that are all hidden."""
        return ["weights"] * (not np.any(self.weights)) + ["bias"] * (self.bias is not None)

    def validate(self, where: str) -> int:
        """Its output channels' positions."""
        require(self.offsets.ndim == 2, f"{where}: its offsets do not fit its taps")
        axes, taps = len(self.shape), len(self.offsets)
        require(axes > 0 and self.x.ndim == 1 + axes and self.x.size > 0, f"{where}: its input does not fit its shape")
        weights = self.weights.ndim == 3 and self.weights.shape[:2] == (len(self.x), taps) and self.weights.size > 0
        require(weights, f"{where}: its weights do not fit its input and taps")
        require(self.offsets.shape == (taps, axes), f"{where}: its offsets do not fit its taps")
        require(lies_within(self.offsets, MOST_OFFSET), f"{where}: a tap lies too far out")
        require(self.groups > 0 and len(self.x) % self.groups == 0, f"{where}: its groups do not fit its channels")
        biases = [(self.outputs,), *([self.channels] if self.parts is None else [])]
        require(self.bias is None or self.bias.shape in biases, f"{where}: its bias does not fit its outputs")
        require(all(size > 0 for size in self.shape), f"{where}: its shape has an empty axis")
        strides = self.strides == () or (len(self.strides) == axes and self.parts is None)
        fits_stride = all(0 < stride <= MOST_OFFSET for stride in self.strides)
        require(strides and fits_stride, f"{where}: its strides do not fit its shape")
        hides = self.hides is None or np.isin(self.hides, (0, 1)).all()
        require(bool(hides), f"{where}: it is not said which weights are secret")
        require(
            self.hides is None or _broadcasts(self.hides, self.weights), f"{where}: `hides` does not fit its weights"
        )
        steps = self.parts is None or (self.parts > 0 and axes == taps == self.groups == 1 and not np.any(self.offsets))
        require(steps and self.positions % (self.parts or 1) == 0, f"{where}: its steps do not fit its positions")
        return self.outputs * self.positions

    def widths(self, weight_bits: int, bias_bits: int, where: str) -> None:
        """The weights' and the bias's."""
        require(fits(self.weights, weight_bits), f"{where}: a weight is wider than declared")
        require(self.bias is None or fits(self.bias, bias_bits), f"{where}: a bias is wider than declared")
        require(not self.by_position, f"{where}: a private model's biases are of channels")

    def sums(self, operands: Integers) -> Integers:
        """The exact y, some rows of positions at a time: windows in the order of the product, samples last."""
        samples, channels, taps = len(operands), len(self.x), len(self.offsets)
        kernel = self.weights.reshape(self.groups, channels // self.groups * taps, -1).transpose(0, 2, 1)
        kind = exact_type(self.reach, operands)
        kernel, x = kernel.astype(kind), operands.T.reshape(*self.x.shape, samples).astype(kind)
        y = np.empty((self.groups, kernel.shape[1], *self.shape, samples), np.int64)
        step = max(1, _CHUNK * self.shape[0] // (channels * taps * self.positions * samples))
        for start in range(0, self.shape[0], step):
            made = y[:, :, start : start + step]
            windows = self._windows(x, start, made.shape[2]).reshape(self.groups, kernel.shape[2], -1)
            made[...] = (kernel @ windows).reshape(made.shape)
        if self.bias is not None:
            by_position = self.shape if self.by_position else (1,) * len(self.shape)
            y += self.bias.reshape(self.groups, -1, *by_position, 1)
        result: Integers = y.reshape(self.count, samples).T
        return result

    def _windows(self, x: NDArray[Any], start: int, rows: int) -> NDArray[Any]:
        """What some rows of positions read of x [channels, *grid, samples]: [channels, taps, *positions, samples]."""
        grid, shape = x.shape[1:-1], (rows, *self.shape[1:])
        strides = self.strides or (1,) * len(shape)
        if len(self.offsets) == 1 and grid == self.shape and not np.any(self.offsets) and not self.strides:
            return x[:, start : start + rows]
        windows = np.zeros((len(x), len(self.offsets), *shape, x.shape[-1]), x.dtype)
        first = np.array([start * strides[0], *(0 for _ in shape[1:])])
        for tap, offset in enumerate((self.offsets + first).tolist()):
            found = overlap(offset, shape, grid, strides)
            if found is not None:
                into, read = found
                windows[:, tap][(slice(None), *into)] = x[(slice(None), *read)]
        return windows

    @cached_property
    def reach(self) -> float:
        """The largest sum of an output's weights' magnitudes."""
        above, below = signed_sums(self.weights, self.groups)
        return float((above + below).max(initial=0))


def signed_sums(weights: Integers, groups: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each output, [groups * J]: the sum of its positive weights of [channels, taps, J], and of the others' sizes.

    Some rows at a time, which caches hold.
    """
    rows = weights.reshape(groups, -1 if weights.size else 0, weights.shape[2])
    above, below = (np.zeros((groups, weights.shape[2])) for _ in range(2))
    step = max(1, _CHUNK // 4 // max(1, above.size))
    for start in range(0, rows.shape[1], step):
        part = rows[:, start : start + step].astype(np.float64)
        above += np.maximum(part, 0).sum(axis=1)
        below -= np.minimum(part, 0).sum(axis=1)
    return above.reshape(-1), below.reshape(-1)


def _narrow(weights: Integers) -> Integers:
    """The weights, where they and their magnitudes fit, in half the bytes: those of large models take gigabytes."""
    shown = any(weights.strides) and weights.dtype.itemsize > 4  # others take no memory
    reach = max(int(weights.max(initial=0)), -int(weights.min(initial=0))) if shown else 0
    return weights.astype(np.int32) if shown and reach < 1 << 31 else weights


def _broadcasts(values: Integers, to: Integers) -> bool:
    return values.ndim == to.ndim and all(a in (1, b) for a, b in zip(values.shape, to.shape, strict=True))


def exact_type(reach: float, operands: Integers) -> type[np.number[Any]]:
    """The type in which a product is exact: a float (BLAS) where every partial sum fits its mantissa.

    reach: the largest sum of magnitudes that comes to the operands.
    """
    bound = max(-float(operands.min(initial=0)), float(operands.max(initial=0))) * reach
    return np.float32 if bound < 2.0**24 else np.float64 if bound < 2.0**53 else np.int64
