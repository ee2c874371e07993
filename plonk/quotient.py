"""The quotient t = (sum of y-weighted gates) / Z_H: from cosets of n points, and from FEW points beside them.

The part of t that gates of d columns fix has (d - 1) n coefficients and a few more, of the selector of active rows. It
is V R + L for L of c n coefficients, which has its values on c cosets, V that vanishes there, and R of the few
coefficients, which eight points fix: x omega_8^k. All columns have their values there for little more than one
evaluation each; a coset more would take a transform of each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from plonnx import _native
from plonnx.plonk import domain
from plonnx.plonk.keys import ProvingKey
from plonnx.plonk.program import FEW, MODULUS, Kind, Slot

if TYPE_CHECKING:
    from plonnx.plonk.columns import Columns

Vec = _native.Vec
Name = tuple[Kind, int]  # a column of a program
Size = tuple[int, int]  # of a part of t: how many cosets, how many coefficients beyond
GENERATOR = 7
FEW_SHIFT = pow(GENERATOR, -1, MODULUS)  # x: neither x nor x omega_8^k is in H or on a coset below
assert FEW == 8  # as _native.evaluate_at_eight has it


def coset_shifts(pk: ProvingKey) -> list[int]:
    """The s of the cosets s * H that the quotient is computed on."""
    return _shifts(max(gates.cosets for gates in pk.programs))


def _shifts(cosets: int) -> list[int]:
    return [pow(GENERATOR, j + 1, MODULUS) for j in range(cosets)]


def few_slots(pk: ProvingKey) -> dict[Name, list[Slot]]:
    """What gates with coefficients beyond their cosets read, by column."""
    slots: dict[Name, list[Slot]] = {}
    for slot in sorted({slot for gates in pk.programs if gates.rest for slot in gates.program.slots}):
        slots.setdefault(slot[:2], []).append(slot)
    return slots


def at_few(slots: Collection[Slot], polynomial: Callable[[Kind, int], Vec], k: int) -> dict[Slot, Vec]:
    """What the slots read at the FEW points: a row further on is omega times the point."""
    made: dict[Slot, Vec] = {}
    for rotation in sorted({slot.rotation for slot in slots}):
        some = [slot for slot in slots if slot.rotation == rotation]
        x = FEW_SHIFT * pow(_native.omega(k), rotation, MODULUS) % MODULUS
        made.update(zip(some, _native.evaluate_at_eight([polynomial(s.kind, s.index) for s in some], x), strict=True))
    return made


class Factors(NamedTuple):
    """The numbers that join c residues, t's remainders modulo X^n - c_j times X^n - 1 there, to c n coefficients.

    And what R, the coefficients beyond, follows from; all powers of X are of X^n.
    """

    parts: list[list[int]]  # part i of L is sum_j parts[i][j] * residue j
    few: list[int]  # R at the FEW points is few[0] * gates + sum_j few[1 + j] * residue j
    vanishing: list[int]  # V's coefficients


@cache
def factors(k: int, cosets: int) -> Factors:
    """The same for every proof of a key: a small circuit's proof would notice the time."""
    n = 1 << k
    constants = [pow(shift, n, MODULUS) for shift in _shifts(cosets)]
    scales = [pow(c - 1, -1, MODULUS) for c in constants]  # one over Z_H
    inverse = domain.vandermonde_inverse(constants)
    parts = [[value * scale % MODULUS for value, scale in zip(row, scales, strict=True)] for row in inverse]
    vanishing = domain.with_roots(constants)
    y = pow(FEW_SHIFT, n, MODULUS)  # X^n at each of the FEW points, since n is a multiple of FEW
    over_v = pow(_at(vanishing, y), -1, MODULUS)
    few = [over_v * pow(y - 1, -1, MODULUS) % MODULUS]
    few += [-over_v * _at(part, y) % MODULUS for part in zip(*parts, strict=True)]
    return Factors(parts, few, vanishing)


def _at(coefficients: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % MODULUS
    return value


def quotient(columns: Columns, share: Callable[[float], None]) -> Vec:
    """The coefficients of t, as many as its gates can give it. share: is told which share of the cosets is done."""
    n, k = columns.vk.n, columns.vk.k
    residues = on_cosets(columns, share)
    beyond = beyond_cosets(columns, residues)
    result = Vec.zeros(max(cosets * n + rest for cosets, rest in residues))
    for i in range(max(cosets + (rest > 0) for cosets, rest in residues)):
        parts: list[Vec] = []
        scales: list[int] = []
        for size, held in residues.items():
            own = factors(k, size[0])
            if i < size[0]:
                parts += held
                scales += own.parts[i]
            if size in beyond and i <= size[0]:
                parts.append(beyond[size])
                scales.append(own.vanishing[i])
        result.write_(i * n, _native.linear_combination(parts, scales))
    return result


def on_cosets(columns: Columns, share: Callable[[float], None]) -> dict[Size, list[Vec]]:
    """By the size of the gates' part of t: of each coset the polynomial of n coefficients with the gates' values.

    On shift * H, X^n is the constant c, so t there equals sum_i c^i t_i for the parts t = sum_i X^(i n) t_i. A column
    is dropped after its last reader.
    """
    programs = columns.prover.pk.programs
    shifts = columns.prover.shifts
    residues: dict[Size, list[Vec]] = {(gates.cosets, gates.rest): [] for gates in programs}
    for j, shift in enumerate(shifts):
        running = [gates for gates in programs if j < gates.cosets]
        sums: dict[Size, Vec] = {}
        values: dict[Name, Vec] = {}
        for place, (cosets, rest, program) in enumerate(running):
            values |= columns.prover.on_coset([n for n in program.columns if n not in values], columns, j)
            add(sums, (cosets, rest), program.run_columns(values, columns.scalars)[0])
            later = {name for gates in running[place + 1 :] for name in gates.program.columns}
            values = {name: held for name, held in values.items() if name in later}
        share((j + 1) / len(shifts))
        for size in list(sums):
            residues[size].append(_native.intt(sums.pop(size), shift))
    return residues


def beyond_cosets(columns: Columns, residues: Mapping[Size, list[Vec]]) -> dict[Size, Vec]:
    """The coefficients of R for each size that has some: R = (t - L) / V at FEW points."""
    vk = columns.vk
    sums: dict[Size, Vec] = {}
    values = columns.at_few()
    for cosets, rest, program in columns.prover.pk.programs:
        if rest:
            add(sums, (cosets, rest), program.run_slots(values, columns.scalars)[0])
    there = iter(_native.evaluate_at_eight([held for size in sums for held in residues[size]], FEW_SHIFT))
    beyond = {}
    for (cosets, rest), gates in sums.items():
        terms = [gates, *(next(there) for _ in range(cosets))]
        at_points = _native.linear_combination(terms, factors(vk.k, cosets).few)
        beyond[cosets, rest] = _native.intt(at_points, FEW_SHIFT).slice(0, rest)
    return beyond


def add(sums: dict[Size, Vec], size: Size, values: Vec) -> None:
    """Add to the sum of a size."""
    sums[size] = sums[size].add(values) if size in sums else values
