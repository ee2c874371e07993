"""A sum of tensors with a coefficient each, read where they lie: one term a channel in the linear check.

y[c, p] = sum_k g_k x_k[c, p]: each x_k is what a layer of one tap reads that has a group for each channel
(gadgets/linear/check.py), so that the equation of (c, p) is the sum of several layers' instead of one's. A term that is
the same for J channels, one after another, is a layer of J outputs for each channel of its own. What stands nowhere in
these channels, or has a reader of another view, is copied: a sum of k terms costs a unit a cell, and one more for each
copy, where gadgets/linear/sum.py always has k copies. For public models: the coefficients stand in fixed columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from plonnx.gadgets.cells import Cells
from plonnx.gadgets.gadget import Cellwise, Gadget, Integers
from plonnx.gadgets.linear.contribution import Contribution, multiple
from plonnx.gadgets.linear.equation import Equation
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder

_LANES = 8
"""Of a circuit of some size: what takes fewer rows there does so elsewhere."""
_FEW = 4
"""Channels with a factor of their own in the check."""
Terms = Sequence[tuple[Cells, int]]


@dataclass(frozen=True, eq=False)
class Combination(Equation):
    """y = sum_k coefficient_k x_k; refs [terms, channels, *grid], of which `alike` channels in a row are equal."""

    kind: ClassVar[str] = "combination"

    terms: Integers
    coefficients: tuple[int, ...]
    alike: tuple[int, ...]

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """Every term, by a weight for each channel of the result."""
        return [multiple(x, c, same) for x, c, same in zip(self.terms, self.coefficients, self.alike, strict=True)]

    @property
    def channels(self) -> tuple[int, ...]:
        """Those of the terms."""
        return self.terms.shape[1:]

    @property
    def operands(self) -> Integers:
        """The refs of all terms."""
        return self.terms.reshape(-1)

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same terms."""
        terms = [(cells(x), c) for x, c in zip(self.terms, self.coefficients, strict=True)]
        return combination(builder, terms, self.name, self.alike)

    @property
    def constants(self) -> int:
        """A coefficient for each channel of each term."""
        return len(self.terms) * len(self.terms[0])

    def validate(self, where: str) -> int:
        """As many as each term."""
        require(self.terms.ndim > 2 and self.terms.size > 0, f"{where}: its terms are no channels of a grid")
        counts = len(self.coefficients) == len(self.alike) == len(self.terms)
        require(counts, f"{where} has not one coefficient for each term")
        for x, same in zip(self.terms, self.alike, strict=True):
            fits = same > 0 and len(x) % same == 0
            require(fits and np.array_equal(x, np.repeat(x[::same], same, axis=0)), f"{where}: its channels differ")
        return int(self.terms[0].size)

    def widths(self, weight_bits: int, bias_bits: int, where: str) -> None:
        """No hidden model has one."""
        require(False, f"{where}: a private model adds by copies")

    def sums(self, operands: Integers) -> Integers:
        """The exact y [samples, count] from the terms' values."""
        weights = np.array(self.coefficients, np.int64)[:, None]
        y: Integers = (operands.reshape(len(operands), len(self.terms), -1) * weights).sum(axis=1)
        return y


def combination(builder: Builder, terms: Terms, name: str, alike: Sequence[int] | None = None) -> Cells:
    """sum of coefficient * x over cells [channels, *grid] of one shape. Absent cells are zeros. Raises as `sum`.

    alike: for each term, how many channels in a row are the same cells; one without it.
    """
    if builder.hidden:
        raise ValueError(f"{name}: a private model adds by copies")
    bound = float(sum(abs(c) * x.reach for x, c in terms))
    ends = [[c * x.low, c * x.high, 0] for x, c in terms]
    builder.bounded(name, bound)
    interval = builder.rescaled((float(sum(map(min, ends))), float(sum(map(max, ends)))))
    refs = np.stack([x.refs for x, _ in terms])
    fields = None, refs, tuple(int(c) for _, c in terms), tuple(alike or (1,) * len(terms))
    return builder.add(Combination, name, terms[0][0].shape, interval, *fields)


def combined(builder: Builder, terms: Terms, name: str) -> Cells | None:
    """The sum of cells of one shape, in the channels of a term that stands in some; None where copies cost less."""
    standing = [_channels(builder, x) for x, _ in terms]
    chosen = next((each for each in standing if each is not None), None)
    if chosen is None or len(terms) < 2 or builder.hidden:
        return None
    order, channels, _ = chosen
    arranged = [(x.reshape(-1).take(order, 0).reshape(channels), c) for x, c in terms]
    alike = [_alike(x.refs) for x, _ in arranged]
    copies = sum(
        same == 1 and (each is None or not each.free or not np.array_equal(each.order, order))
        for same, each in zip(alike, standing, strict=True)
    )
    cells, width = len(order), channels[-1]
    if cells // width * -(-width // _LANES) * (1 + copies) >= (1 + len(terms)) * -(-cells // _LANES):
        return None
    made = combination(builder, arranged, name, alike)
    return builder.name(name, made.reshape(-1).take(np.argsort(order), 0).reshape(terms[0][0].shape))


def _alike(refs: Integers) -> int:
    """How many channels in a row are the same cells everywhere; one where that would leave many of their own."""
    changes = np.flatnonzero(np.any(refs[1:] != refs[:-1], axis=tuple(range(1, refs.ndim)))) + 1
    runs = np.diff([0, *changes.tolist(), len(refs)])
    return int(runs[0]) if len(runs) <= _FEW and np.all(runs == runs[0]) else 1


class _Standing(NamedTuple):
    """All units of one gadget: their order in its channels, the channels, whether nobody reads another view of them."""

    order: Integers
    channels: tuple[int, ...]
    free: bool


def _channels(builder: Builder, x: Cells) -> _Standing | None:
    """Where a tensor stands, if that is in channels: its own, or those of the first layer that reads all of it."""
    refs = x.refs.reshape(-1)
    if np.any(refs < 0):
        return None
    source = builder.maker(int(refs.min()) >> 1)
    if source is None or source.count != refs.size:
        return None
    order = np.argsort(refs >> 1, kind="stable")
    if not np.array_equal(refs[order] >> 1, source.units):
        return None
    later = (one for block in builder.blocks[builder.blocks.index(source) + 1 :] for one in block.contributions)
    read = [one.x for one in later if one.x.size == refs.size and _all_of(one.x, source)]
    if source.channels is not None:
        return _Standing(order, source.channels, all(np.array_equal(x.reshape(-1), refs[order]) for x in read))
    if not read or source.stride > 1:
        return None
    stands = order[np.argsort(np.argsort(read[0].reshape(-1) >> 1, kind="stable"), kind="stable")]
    alike = all(np.array_equal(x.reshape(-1), refs[stands]) for x in read)
    return _Standing(stands, read[0].shape, alike)


def _all_of(x: Integers, source: Gadget) -> bool:
    """Whether refs, as many as a gadget has units, show all of them, in whatever order."""
    return int(x.min()) >> 1 == source.first and np.array_equal(np.sort(x.reshape(-1) >> 1), source.units)
