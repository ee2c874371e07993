"""Columns of integers: what is read of their polynomials without these is what the polynomials say."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx import _native
from plonnx.kzg.srs import SRS
from plonnx.plonk.columns import Columns, Member, whole
from plonnx.plonk.keys import ProvingKey
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Prover, Witness, seeded_rng
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.quotient import quotient


@pytest.fixture
def columns(pk: ProvingKey, srs: SRS, witness: Witness) -> Columns:
    """All phases filled."""
    made = Columns(Prover(pk, srs, keep=0), witness, seeded_rng(b"rows"))
    made.scalars.update({name: 3 + i for i, name in enumerate(c for p in pk.vk.phases for c in p.challenges)})
    for phase in range(len(pk.vk.phases)):
        made.fill(phase)
    made.filled()
    made.scalars.update(instance_sums(pk.vk, witness.public_values, made.scalars))
    return made


def members(columns: Columns) -> list[Member]:
    """All columns that are opened, and a polynomial that is no column."""
    own = [(o.kind, i) for o in columns.vk.opened if o.kind != "quotient" for i in o.members]
    return [*own, _native.Vec.from_scalars([5, MODULUS - 2, 1 << 200])]


def polynomials(columns: Columns) -> list[_native.Vec]:
    return [m if isinstance(m, _native.Vec) else _native.intt(columns.values(*m)) for m in members(columns)]


def test_evaluations_are_those_of_the_polynomials(columns: Columns) -> None:
    """At points beside H; some columns are integers, in the proof and in the key, and some are not."""
    opened = members(columns)
    narrow = [columns.integers(*m) is not None for m in opened if not isinstance(m, _native.Vec)]
    assert any(narrow) and not all(narrow)
    kinds = {m[0] for m in opened if not isinstance(m, _native.Vec) and columns.integers(*m) is not None}
    assert kinds == {"advice", "fixed"}
    expected = polynomials(columns)  # before values are dropped
    for x in (12345, MODULUS - 77, pow(7, 1 << 20, MODULUS)):
        assert columns.at(opened, x) == [f.evaluate(x) for f in expected]


def test_sums_are_those_of_the_polynomials(columns: Columns) -> None:
    factors = [pow(11, i + 1, MODULUS) for i in range(len(members(columns)))]
    expected = _native.linear_combination(polynomials(columns), factors)
    made = columns.combined(list(zip(members(columns), factors, strict=True)))
    assert made.to_bytes() == expected.to_bytes()
    alone = _native.Vec.from_scalars([5, 7])
    assert columns.combined([(alone, 1)]).to_bytes() == alone.to_bytes()


def test_polynomials_of_integers_go_after_their_last_coset(columns: Columns) -> None:
    """What is held at the end of the quotient is of field elements, and opened."""
    columns.draw_masks()
    quotient(columns, lambda share: None)
    held = {*columns._coefficients, *columns.prover._polynomials}
    assert held
    for kind, index in held:
        assert kind != "selector" and columns.integers(kind, index) is None
    assert not columns.prover._fixed and not columns.prover._on_cosets
    assert all(name[0] == "advice" and name[1] >= columns.vk.phases[0].stop for name in columns._values)


def test_integers_are_held_at_their_width() -> None:
    made = whole(np.array([1, -128, 0, 127]), 8)
    assert made.dtype == np.int8 and made.tolist() == [1, -128, 0, 127, 0, 0, 0, 0]
    assert whole(np.array([1 << 40]), 2).tolist() == [1 << 40, 0]
    with pytest.raises(ValueError, match="a column of 9 rows, where there are 8"):
        whole(np.arange(9), 8)
