"""How far a tensor of the circuit is from the float model's.

Errors are absolute, and relative to the tensor's range: the largest minus the smallest float value of that tensor over
the samples (its largest magnitude where it is constant over them). An output that is rarely far from zero has another
range in every handful of samples, so the choice of the table looks at interleaved groups of GROUP samples too, each
against the group's own range.

A channel is what stands at one index of an axis (behind the first, the batch): a feature, a class, a detector's row.
Its error is relative to the channel's own range, where that is at least FLOOR of the tensor's. The target of channels
is PER_CHANNEL times that of tensors. Random inputs, which join few samples, say nothing about channels' ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plonnx.compiler.graph import Array
from plonnx.layout.language import NEXT_TOKENS

GROUP = 32
FLOOR = 1e-3
PER_CHANNEL = 10.0
OTHER_LEVELS = 1e-3
"""The share of levels that may be others: onnxruntime itself rounds so many otherwise than real numbers."""
MOST_OTHERS = 2.5
"""Next tokens alone refuse no model: scores that are nearly alike change places."""


@dataclass(frozen=True)
class TensorError:
    """The error of one tensor; `top1` is the share of rows whose largest entry is in the float model's place.

    `max_group_relative` is the largest error relative to the range of its own group of samples, `max_channel_relative`
    that to a channel's own range, at `channel`: an axis and an index. `stepped`: what follows from a decision about
    real numbers, so that one close to a threshold may come out on its other side. `agreement`, of whole numbers, is the
    share of values that are the float model's; `leveled`: these are levels of a quantized model. `next_tokens`, of a
    language model's scores, is the share of positions at which the likeliest token is the float model's; `perplexity`
    that of the given ids by the float model, and by the circuit.
    """

    name: str
    max_absolute: float
    mean_absolute: float
    max_relative: float
    mean_relative: float
    max_group_relative: float
    range: float
    top1: float | None
    max_channel_relative: float = 0.0
    channel: tuple[int, int] | None = None
    stepped: bool = False
    agreement: float | None = None
    next_tokens: float | None = None
    perplexity: tuple[float, float] | None = None
    leveled: bool = False

    @property
    def other_levels(self) -> float:
        """How many times more levels are others than may be."""
        return (1.0 - self.agreement) / OTHER_LEVELS if self.leveled and self.agreement is not None else 0.0

    def holds(self, target: float) -> bool:
        """Whether both targets hold in every group of samples; of levels, that hardly any is another."""
        if self.leveled:
            return self.other_levels <= 1.0
        return self.max_group_relative <= target and self.max_channel_relative <= PER_CHANNEL * target

    @property
    def other_tokens(self) -> float:
        """How many times more next tokens are others than may be; at most so many that the model is not refused."""
        return 0.0 if self.next_tokens is None else min((1.0 - self.next_tokens) / (1.0 - NEXT_TOKENS), MOST_OTHERS)

    def excess(self, target: float) -> float:
        """How many times the target the error is, or that of the worst channel; where values jump, on average."""
        errors = self.max_relative, self.max_channel_relative / PER_CHANNEL
        if self.stepped:
            errors = self.mean_relative, 0.0
        far = max(errors) / target if target else float(max(errors) > 0.0) and np.inf
        return max(far, self.other_tokens, self.other_levels)

    @property
    def place(self) -> str:
        """How messages name the worst channel: [:, 3]."""
        axis, index = self.channel or (0, 0)
        return f"[{', '.join([*(':' for _ in range(axis)), str(index)])}]"


class Gathered:
    """The errors of one tensor, a few samples at a time."""

    def __init__(self) -> None:
        self._samples: list[
            Array
        ] = []  # [samples, 4] each: the largest and the mean error, the least and largest value
        self._alike: list[Array] = []
        self._errors: dict[int, Array] = {}  # the largest of each index, by axis
        self._ranges: dict[int, Array] = {}  # the least and the largest value of each index, by axis
        self._whole = np.array([np.inf, -np.inf])

    def add(self, got: Array, expected: Array) -> None:
        """What the circuit and the float model have made of some samples, (samples, *shape)."""
        error = np.abs(got - expected)
        rows, values = error.reshape(len(error), -1), expected.reshape(len(error), -1)
        self._samples.append(np.stack([rows.max(1), rows.mean(1), values.min(1), values.max(1)], axis=1))
        if expected.ndim > 1 and expected.shape[-1] > 1:
            self._alike.append((got.argmax(axis=-1) == expected.argmax(axis=-1)).reshape(-1))
        for axis in _axes(error):
            largest = error.max(axis=_others(error, axis))
            self._errors[axis] = np.maximum(self._errors[axis], largest) if axis in self._errors else largest

    def know(self, whole: Array) -> None:
        """Samples by which the ranges of channels are known."""
        self._whole = _widened(self._whole, np.stack([whole.min(), whole.max()]))
        for axis in _axes(whole):
            others = _others(whole, axis)
            ends = np.stack([whole.min(axis=others), whole.max(axis=others)])
            self._ranges[axis] = _widened(self._ranges[axis], ends) if axis in self._ranges else ends

    def of(self, name: str) -> TensorError:
        """The errors of all that was added."""
        errors, mean, low, high = np.concatenate(self._samples).T
        largest, average, spread = float(errors.max()), float(mean.mean()), _spread(low, high)
        top1 = float(np.mean(np.concatenate(self._alike))) if self._alike else None
        parts = groups(len(errors))
        within = [float(high[g].max() - low[g].min()) or spread for g in parts]
        of_group = max(float(errors[g].max()) / own for g, own in zip(parts, within, strict=True))
        relative = largest / spread, average / spread
        return TensorError(name, largest, average, *relative, of_group, spread, top1, *self._worst_channel())

    def _worst_channel(self) -> tuple[float, tuple[int, int] | None]:
        """The largest error of a channel over its range, and its axis and index in the tensor."""
        worst, place = 0.0, None
        for axis, (low, high) in self._ranges.items():
            with np.errstate(invalid="ignore"):  # an output may be infinite
                relative = self._errors[axis] / np.maximum(high - low, FLOOR * _spread(*self._whole))
            if place is None or relative.max() > worst:
                worst, place = float(relative.max()), (axis - 1, int(relative.argmax()))
        return worst, place


def groups(count: int) -> list[slice]:
    """So many samples as interleaved groups, of about GROUP each."""
    parts = max(1, round(count / GROUP))
    return [slice(part, None, parts) for part in range(parts)]


def tensor_error(name: str, got: Array, expected: Array, whole: Array | None = None) -> TensorError:
    """Compare two real arrays (samples, *shape); channels' ranges are those of `whole`, where it is given."""
    gathered = Gathered()
    gathered.add(got, expected.astype(np.float64))
    if whole is not None:
        gathered.know(whole.astype(np.float64))
    return gathered.of(name)


def _axes(values: Array) -> list[int]:
    return [axis for axis in range(max(1, min(2, values.ndim - 1)), values.ndim) if values.shape[axis] > 1]


def _others(values: Array, axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(values.ndim) if a != axis)


def _widened(ends: Array, others: Array) -> Array:
    return np.stack([np.minimum(ends[0], others[0]), np.maximum(ends[1], others[1])])


def _spread(low: Array, high: Array) -> float:
    least, most = float(np.min(low)), float(np.max(high))
    return most - least or max(abs(least), abs(most)) or 1.0
