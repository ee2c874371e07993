"""Hidden columns: commitments that hide, evaluations that are masked, and the registration of their widths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from plonnx import _native
from plonnx.kzg.srs import SRS
from plonnx.layout.known import shared
from plonnx.layout.registration import (
    LIMB_BITS,
    Declared,
    Registration,
    register,
    registration_circuit,
    verify_registration,
    verify_widths,
)
from plonnx.plonk import prover
from plonnx.plonk.circuit import Circuit, CircuitError
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import G1_BYTES, Proof, ProvingKey, VerifyingKey
from plonnx.plonk.mock import MockProver
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Prover, UnsatisfiedError, Witness, prove, seeded_rng
from plonnx.plonk.verifier import VerificationError, verify
from tests.plonk import forge
from tests.plonk.registering import anywhere, forged_registration

Integers = NDArray[np.int64]
K = 5
ROWS = (1 << K) - 5
WEIGHTS = np.array([[3, 3, -32, 31, 7], [-8, -8, 0, 5, 1], [0, 0, 0, 0, 0]])
BITS = (6, 6, 6)


def circuit(weights: Integers = WEIGHTS, k: int = K, packing: int = 1, bits: tuple[int, ...] = BITS) -> Circuit:
    """sum over rows of x (sum_c chi^c w_c) = 0 for hidden w_c and a prover's x: each w_c is orthogonal to x.

    The first hidden column is masked a second time, alone; a shown combination stands beside.
    """
    c = Circuit(k, packing=packing, name="hidden")
    shown = c.fixed("shown", np.arange(1, 4))
    hidden = [c.hidden_fixed(f"w{i}", column, bits[i]) for i, column in enumerate(weights)]
    x = c.advice("x")
    chi = c.challenge("chi")
    every = c.combination("every", [(column, ((chi.name, i),) if i else ()) for i, column in enumerate(hidden)])
    first = c.combination("first", [(hidden[0], ())])
    beside = c.combination("beside", [(shown, ((chi.name, 1),))])
    c.sum("orthogonal", every() * x())
    c.sum("alone", first() * x() * (beside() - chi * shown() + 1))
    return c


def witness(*x: int) -> Witness:
    return Witness({"x": np.array([*(x or (1, -1))])}, b"")


@pytest.fixture(scope="module")
def srs() -> SRS:
    return SRS.development(8, tau=5)


@pytest.fixture(scope="module", params=[1, 3])
def pk(request: pytest.FixtureRequest, srs: SRS) -> ProvingKey:
    return keygen(circuit(packing=request.param), srs)


def rejected(vk: VerifyingKey, proof: Proof) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(vk, proof)
    return str(caught.value)


def masked_values(vk: VerifyingKey, proof: Proof) -> list[int]:
    values, at = [], 0
    for o in vk.opened:
        if o.kind == "combination" and o.members[0] in vk.masked:
            values.append(forge.parts(vk, proof).evaluations[at])
        at += o.evaluations
    assert len(values) == len(vk.masked)
    return values


def mask_commitments(vk: VerifyingKey, proof: Proof) -> list[bytes]:
    return forge.parts(vk, proof).points[vk.commitment_count - len(vk.masked) : vk.commitment_count]


# Commitments ---------------------------------------------------------------------------------------------------------


def test_hidden_columns_stand_alone_and_are_never_opened(pk: ProvingKey) -> None:
    vk = pk.vk
    assert vk.hidden_columns == (1, 2, 3)
    assert vk.hidden_bits == BITS
    assert vk.fixed_members[-3:] == ((1,), (2,), (3,))
    assert vk.masked == (0, 1)
    assert all(not {1, 2, 3} & set(o.members) for o in vk.opened if o.kind == "fixed")
    assert [o for o in vk.opened if o.kind == "combination" and o.packing != 1] == []


def test_a_gate_sees_them_through_a_combination_only(srs: SRS) -> None:
    for wrong in (
        lambda c, h: c.gate("bare", h() * c.advice("a")()),
        lambda c, h: c.sum("bare", h() * c.advice("a")()),
        lambda c, h: c.lookup("bare", c.table("t", [h()]), [c.advice("a")()]),
    ):
        made = Circuit(K)
        wrong(made, made.hidden_fixed("h", np.arange(4), 3))
        with pytest.raises(CircuitError, match="hidden column h needs a combination"):
            keygen(made, srs)


def test_two_keys_of_one_circuit_differ_in_the_hidden_commitments_alone(srs: SRS) -> None:
    one, other = (keygen(circuit(), srs).vk for _ in range(2))
    assert one.digest != other.digest
    differ = [
        members
        for members, a, b in zip(one.fixed_members, one.fixed_commitments, other.fixed_commitments, strict=True)
        if a != b
    ]
    assert differ == [(1,), (2,), (3,)]
    assert replace(one, fixed_commitments=()).encode() == replace(other, fixed_commitments=()).encode()
    assert not set(one.fixed_commitments[-3:]) & set(other.fixed_commitments[-3:])


def test_a_seeded_key_comes_out_again(srs: SRS) -> None:
    keys = [keygen(circuit(), srs, rng=seeded_rng(seed)) for seed in (b"one", b"one", b"other")]
    assert keys[0].vk.encode() == keys[1].vk.encode() != keys[2].vk.encode()
    assert [c.blinding for c in keys[0].fixed] == [c.blinding for c in keys[1].fixed]
    proofs = [prove(key, witness(), srs, seeded_rng(b"proof")) for key in keys[:2]]
    assert proofs[0] == proofs[1]


def test_the_blinding_fills_the_rows_beyond_the_active_ones(pk: ProvingKey) -> None:
    seen: set[int] = set()
    for index in pk.vk.hidden_columns:
        column = pk.fixed[index].field(pk.vk.n)
        content = WEIGHTS[index - 1].tolist()
        assert [column[row] for row in range(5)] == [value % MODULUS for value in content]
        assert all(column[row] == 0 for row in range(5, pk.vk.last_row))
        random = {column[row] for row in range(pk.vk.last_row, pk.vk.n)}
        assert len(random) == 5 and min(random) > 1 << 200
        assert not random & seen
        seen |= random
    assert pk.fixed[0].blinding == b""


def test_a_column_of_zeros_and_equal_columns_do_not_show(srs: SRS) -> None:
    vk = keygen(circuit(np.zeros((3, 5), np.int64)), srs).vk
    hidden = vk.fixed_commitments[-3:]
    assert len(set(hidden)) == 3
    assert bytes(G1_BYTES) not in hidden


def test_the_commitments_are_the_columns(pk: ProvingKey, srs: SRS) -> None:
    for index, commitment in zip((1, 2, 3), pk.vk.fixed_commitments[-3:], strict=True):
        assert srs.commit(_native.intt(pk.fixed[index].field(pk.vk.n))) == commitment


# Proofs --------------------------------------------------------------------------------------------------------------


def test_it_proves_and_verifies(pk: ProvingKey, srs: SRS) -> None:
    assert MockProver(circuit()).failures(witness()) == []
    for x in ((1, -1), (0, 0), (-5, 5)):
        verify(pk.vk, prove(pk, witness(*x), srs))


def test_two_proofs_share_no_mask_and_no_masked_value(pk: ProvingKey, srs: SRS) -> None:
    proofs = [prove(pk, witness(), srs) for _ in range(4)]
    values = [value for proof in proofs for value in masked_values(pk.vk, proof)]
    masks = [mask for proof in proofs for mask in mask_commitments(pk.vk, proof)]
    assert len(set(values)) == len(values) == 8
    assert len(set(masks)) == len(masks) == 8
    assert bytes(G1_BYTES) not in masks


def test_masks_hide_what_the_transcript_fixes(pk: ProvingKey, srs: SRS, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same randomness everywhere but in the masks: another value. Masks of zero: the bare combination."""

    def drawn(seed: bytes) -> None:
        random = seeded_rng(seed)

        def masks(columns: prover.Columns) -> None:
            for index in columns.vk.masked:
                rows = random(128) if seed else bytes(128)
                columns.masks[index] = _native.Vec.from_wide_bytes(rows)

        monkeypatch.setattr(prover.Columns, "draw_masks", masks)

    found = []
    for seed in (b"1", b"2", b""):
        drawn(seed)
        proof = prove(pk, witness(), srs, seeded_rng(b"proof"))
        verify(pk.vk, proof)
        found.append((forge.parts(pk.vk, proof).points[0], masked_values(pk.vk, proof), mask_commitments(pk.vk, proof)))
    assert len({point for point, _, _ in found}) == 1
    assert len({value for _, values, _ in found for value in values}) == 6
    assert found[2][2] == [bytes(G1_BYTES)] * 2


def test_a_tampered_mask_is_rejected(pk: ProvingKey, srs: SRS) -> None:
    vk = pk.vk
    proof, other = prove(pk, witness(), srs), prove(pk, witness(), srs)
    first = vk.commitment_count - len(vk.masked)
    for i in range(len(vk.masked)):
        honest = forge.parts(vk, proof)
        for new in (bytes(G1_BYTES), forge.negative(honest.points[first + i]), mask_commitments(vk, other)[i]):
            points = list(honest.points)
            points[first + i] = new
            changed = replace(honest, points=points)
            rejected(vk, changed.proof(vk))
            assert "pairing" in rejected(vk, forge.refit(vk, changed).proof(vk))
        at = honest.evaluations.index(masked_values(vk, proof)[i])
        for value in (0, honest.evaluations[at] + 1, masked_values(vk, other)[i], masked_values(vk, proof)[1 - i]):
            evaluations = list(honest.evaluations)
            evaluations[at] = value
            changed = replace(honest, evaluations=evaluations)
            rejected(vk, changed.proof(vk))
            assert "pairing" in rejected(vk, forge.refit(vk, changed).proof(vk))
    swapped = forge.parts(vk, proof)
    swapped.points[first], swapped.points[first + 1] = swapped.points[first + 1], swapped.points[first]
    assert "pairing" in rejected(vk, forge.refit(vk, swapped).proof(vk))


@pytest.mark.parametrize("x", [(1, 1), (0, 1), (0, 0, 1), (0, 0, 0, 1), (0, 0, 0, 0, 1), (1, -1, 31, 32)])
def test_a_forged_witness_is_rejected(
    pk: ProvingKey, srs: SRS, monkeypatch: pytest.MonkeyPatch, x: tuple[int, ...]
) -> None:
    """The last is orthogonal to the first hidden column, and not to the second."""
    assert MockProver(circuit()).failures(witness(*x))
    with pytest.raises(UnsatisfiedError):
        prove(pk, witness(*x), srs)
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    assert "pairing" in rejected(pk.vk, prove(pk, witness(*x), srs))


def test_a_mask_cannot_make_up_for_a_witness(pk: ProvingKey, srs: SRS, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the masks are chosen: they are zero on all rows."""
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    for value in (1, -1, 1 << 60):

        def chosen(columns: prover.Columns, value: int = value) -> None:
            columns.masks = {i: _native.Vec.from_scalars([value % MODULUS, 5]) for i in columns.vk.masked}

        monkeypatch.setattr(prover.Columns, "draw_masks", chosen)
        verify(pk.vk, prove(pk, witness(), srs))
        assert "pairing" in rejected(pk.vk, prove(pk, witness(1, 1), srs))


def test_other_weights_are_another_key(pk: ProvingKey, srs: SRS) -> None:
    """A prover with other weights: the digest set to fit, as a forger would write it, and from the start."""
    packing = pk.vk.packing
    other = keygen(circuit(np.array([[1, 2], [1, 2], [0, 0]]), packing=packing), srs)
    forged = prove(other, witness(2, -1), srs)
    verify(other.vk, forged)
    assert "inverse" in rejected(pk.vk, replace(forged, vk_digest=pk.vk.digest))
    claimed = replace(other, vk=pk.vk)
    assert "pairing" in rejected(pk.vk, prove(claimed, witness(2, -1), srs))


def test_several_proofs_with_one_prover(pk: ProvingKey, srs: SRS) -> None:
    one = Prover(pk, srs)
    proofs = [one.prove(witness(i, -i)) for i in range(3)]
    for proof in proofs:
        verify(pk.vk, proof)
    assert len({value for proof in proofs for value in masked_values(pk.vk, proof)}) == 6


# Registration --------------------------------------------------------------------------------------------------------


def registered(srs: SRS, weights: Integers, bits: tuple[int, ...], k: int = K) -> tuple[ProvingKey, Registration]:
    key = keygen(circuit(weights, k, bits=bits), srs)
    return key, register(key, anywhere(len(weights), k), srs)


def declaring(key: ProvingKey, bits: tuple[int, ...]) -> ProvingKey:
    """The key with other widths: only its digest changes."""
    return replace(key, vk=replace(key.vk, hidden_bits=bits))


def refused(vk: VerifyingKey, made: Registration, srs: SRS) -> str:
    """Why; checking the widths alone gives the same reason."""
    reasons = []
    for check in (
        lambda: verify_registration(vk, made, anywhere(len(vk.hidden_columns), K), srs),
        lambda: verify_widths(vk, made, srs),
    ):
        with pytest.raises(VerificationError) as caught:
            check()
        reasons.append(str(caught.value))
    assert reasons[0] == reasons[1]
    return reasons[0]


@pytest.mark.parametrize("packing", [1, 3])
def test_a_registration_is_accepted(srs: SRS, packing: int) -> None:
    key = keygen(circuit(packing=packing), srs)
    made = register(key, anywhere(3, K), srs)
    verify_registration(key.vk, made, anywhere(3, K), srs)
    verify_widths(key.vk, made, srs)
    assert made.proof.startswith(b"".join(key.vk.fixed_commitments[-3:]))
    assert made.is_about(key.vk)


def test_a_repeated_registration_tells_nothing_new(srs: SRS) -> None:
    """Each new evaluation of a hidden column would be an equation about it: the same key gives the same proof."""
    key, made = registered(srs, WEIGHTS, BITS)
    assert register(key, anywhere(3, K), srs) == made
    _, another = registered(srs, WEIGHTS, BITS)
    one, two = (forge.parts(registration_key(srs), Proof(b"", r.proof, b"")) for r in (made, another))
    assert not set(one.points) & set(two.points)
    assert not set(one.evaluations) & set(two.evaluations)


def registration_key(srs: SRS) -> VerifyingKey:
    return keygen(registration_circuit(Declared(K, BITS), *shared(anywhere(3, K))), srs).vk


def test_a_registration_depends_on_tau_and_on_nothing_else_of_an_srs(srs: SRS) -> None:
    """Not on its name, its size, or whether tau is at hand: another file of the same ceremony serves."""
    key, made = registered(srs, WEIGHTS, BITS)
    larger = SRS.development(9, tau=5)
    for same in (larger, SRS(srs.powers, srs.tau_g2), SRS(larger.powers, larger.tau_g2)):
        assert registration_key(same).digest == registration_key(srs).digest
        verify_registration(key.vk, made, anywhere(3, K), same)
        assert register(key, anywhere(3, K), same) == made
    assert "another SRS" in refused(key.vk, made, SRS.development(8, tau=6))


def test_a_registration_of_another_key_is_refused(srs: SRS) -> None:
    """Of the same weights with another blinding; and with its first points replaced by the key's."""
    key, made = registered(srs, WEIGHTS, BITS)
    other, its = registered(srs, WEIGHTS, BITS)
    assert "other columns" in refused(key.vk, its, srs)
    assert "other columns" in refused(other.vk, made, srs)
    size = 3 * G1_BYTES
    spliced = replace(its, proof=made.proof[:size] + its.proof[size:])
    assert "does not hold" in refused(key.vk, spliced, srs)
    vk = registration_key(srs)
    refitted = forge.refit(vk, forge.parts(vk, Proof(vk.digest, spliced.proof, b""))).proof(vk)
    assert "does not hold: the pairing" in refused(key.vk, replace(its, proof=refitted.proof), srs)


def test_turned_columns_are_refused(srs: SRS) -> None:
    """The key's own columns in another order, wide ones declared narrow."""
    weights = np.array([[1, 1], [500, 500], [0, 0]])
    key, made = registered(srs, weights, (3, 10, 3))
    turned = replace(key, vk=replace(key.vk, fixed_members=(*key.vk.fixed_members[:-3], (2,), (1,), (3,))))
    verify_registration(key.vk, made, anywhere(3, K), srs)
    assert "other columns" in refused(turned.vk, made, srs)
    assert "does not hold" in refused(declaring(key, (10, 3, 3)).vk, made, srs)


def test_no_bit_of_a_registration_is_free(srs: SRS) -> None:
    key, made = registered(srs, WEIGHTS, BITS)
    for at in range(0, len(made.proof), 29):
        changed = bytearray(made.proof)
        changed[at] ^= 1 << at % 8
        assert refused(key.vk, replace(made, proof=bytes(changed)), srs)
    for bits in ((5, 6, 6), (6, 7, 6)):
        assert "does not hold" in refused(declaring(key, bits).vk, made, srs)
    others: list[tuple[int, ...]] = [(6, 6), (6, 6, 6, 6), ()]
    for widths in others:
        assert "does not declare a width for each" in refused(declaring(key, widths).vk, made, srs)
    for bits in ((6, 6, 1), (6, 61, 6), (0, 6, 6)):
        assert "widths outside 2..60 bits" in refused(declaring(key, bits).vk, made, srs)
    for at in range(len(made.commitments)):
        other = list(made.commitments)
        other[at] = _native.g1_generator()
        with pytest.raises(VerificationError, match="does not hold"):
            verify_widths(key.vk, replace(made, commitments=tuple(other)), srs)
    with pytest.raises(VerificationError, match="about 2 columns; the verifying key has 3"):
        two = replace(made.pattern, secret=(0, 0), value=(-1, -1), again=(-1, -1))
        verify_widths(key.vk, replace(made, pattern=two), srs)


@pytest.mark.parametrize("bits", [6, 7, 8, 10])
@pytest.mark.parametrize("wrap", [False, True])
def test_a_value_out_of_its_declared_bits_is_refused(srs: SRS, bits: int, wrap: bool) -> None:
    """One too large or one too small, in one cell of one column: refused by the prover, and where it does not look."""
    half = 1 << (bits - 1)
    for value, fits in ((half, False), (-half - 1, False), (half - 1, True), (-half, True), (1 << 40, False)):
        weights = WEIGHTS.copy()
        weights[1, 4] = value
        key = keygen(circuit(weights, bits=(6, bits, 6)), srs)
        forged = forged_registration(key, anywhere(3, K), srs, wrap)
        if fits:
            verify_registration(key.vk, forged, anywhere(3, K), srs)
            verify_registration(key.vk, register(key, anywhere(3, K), srs), anywhere(3, K), srs)
        else:
            assert "does not hold: the pairing check" in refused(key.vk, forged, srs)
            with pytest.raises(ValueError, match=f"more than the declared {bits} bits"):
                register(key, anywhere(3, K), srs)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 7, 8, 11, 16, 33, 59, 60])
def test_both_ends_of_every_width(srs: SRS, bits: int) -> None:
    """Widths that are whole limbs, and that are not."""
    half = 1 << (bits - 1)
    weights = np.array([[0, 0, -half, half - 1], [-half] * 4, [half - 1] * 4])
    key, made = registered(srs, weights, (bits,) * 3)
    verify_registration(key.vk, made, anywhere(3, K), srs)
    assert sum(Declared.by(key.vk).limb_widths(bits)) == bits
    with pytest.raises(ValueError, match=f"declared {bits - 1} bits"):
        register(declaring(key, (bits, bits, bits - 1)), anywhere(3, K), srs)


def test_full_rows(srs: SRS) -> None:
    """A column with a value on every active row."""
    random = np.random.default_rng(1).integers(-512, 512, (2, ROWS))
    random[:, 1] = random[:, 0]
    key, made = registered(srs, random, (10, 10))
    verify_registration(key.vk, made, anywhere(2, K), srs)


@pytest.mark.parametrize("bits", [12, 13, 17, 24, 32])
def test_limbs_of_many_rows(bits: int) -> None:
    """At k = 14 a limb has LIMB_BITS; widths that are no multiple of it end in a narrower one."""
    k = 14
    declared = Declared(k, (bits, 2))
    assert declared.limb_bits == LIMB_BITS
    full, rest = divmod(bits, LIMB_BITS)
    assert list(declared.limb_widths(bits)) == [LIMB_BITS] * full + [rest] * bool(rest)
    srs = SRS.development(k, tau=5)
    half = 1 << (bits - 1)
    weights = np.array([[5, 5, -half, half - 1, -1, 0], [1, 1, -2, 1, -1, 0]])
    key, made = registered(srs, weights, declared.bits, k)
    verify_registration(key.vk, made, anywhere(2, k), srs)


def test_hidden_commitments_are_in_the_columns_order(pk: ProvingKey) -> None:
    assert pk.vk.hidden_commitments == pk.vk.fixed_commitments[-3:]
