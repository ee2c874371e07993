"""The prover: for each phase fill, commit, draw; then quotient, evaluations, openings (docs/protocol.md, 4 to 7).

Knows no argument by name: what a phase's columns hold is in the proving key's programs. Imports neither sympy nor onnx.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.kzg import opening
from plonnx.kzg.opening import Claim
from plonnx.kzg.srs import SRS
from plonnx.plonk import domain
from plonnx.plonk.keys import SCALAR_BYTES, Proof, ProvingKey
from plonnx.plonk.program import MODULUS, Kind, monomial
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.transcript import Transcript
from plonnx.plonk.verifier import gates_hold

Rng = Callable[[int], bytes]  # gives that many uniform bytes
Vec = _native.Vec


@dataclass(frozen=True)
class Witness:
    """The phase 0 advice columns as integers on rows 0.. (zero beyond), in column order, and the public values."""

    advice: tuple[NDArray[np.int64], ...]
    public_values: bytes


class UnsatisfiedError(ValueError):
    """The witness does not satisfy the circuit."""


def seeded_rng(seed: bytes) -> Rng:
    """A deterministic generator, for tests only."""
    counter = iter(range(1 << 62))

    def draw(count: int) -> bytes:
        blocks = -(-count // 32)
        return b"".join(_native.keccak256(seed + next(counter).to_bytes(8, "big")) for _ in range(blocks))[:count]

    return draw


class Prover:
    """Proves with one key; the fixed columns' field forms are kept between proofs."""

    def __init__(self, pk: ProvingKey, srs: SRS) -> None:
        vk = pk.vk
        if srs.tau_g2 != vk.tau_g2:
            raise ValueError(f"the key was made with another SRS ({vk.srs}); this one is {srs.name}")
        self.pk, self.vk, self.srs = pk, vk, srs
        self._fixed: dict[int, Vec] = {}

    def fixed(self, index: int) -> Vec:
        """A fixed column's values on H."""
        if index not in self._fixed:
            self._fixed[index] = self.pk.fixed[index].field(self.vk.n)
        return self._fixed[index]

    def prove(self, witness: Witness, rng: Rng = os.urandom) -> Proof:
        """A proof that the witness satisfies the circuit. Raises UnsatisfiedError if it does not."""
        vk = self.vk
        if len(witness.public_values) != vk.public_bytes:
            raise ValueError(f"{len(witness.public_values)} bytes of public values; the circuit has {vk.public_bytes}")
        transcript = Transcript(vk.digest, witness.public_values)
        columns = Columns(self, witness, rng)
        messages = []
        for number, phase in enumerate(vk.phases):
            columns.fill(number)
            commitments = b"".join(columns.commit(i) for i in range(phase.first, phase.stop))
            transcript.absorb(commitments)
            messages.append(commitments)
            columns.scalars.update((name, transcript.challenge()) for name in phase.challenges)
        columns.scalars.update(instance_sums(vk, witness.public_values, columns.scalars))

        pieces = blind_pieces(quotient(columns), vk.pieces, vk.n - 1, rng)
        commitments = b"".join(self.srs.commit(piece) for piece in pieces)
        transcript.absorb(commitments)
        zeta = transcript.challenge()

        polynomials, claims = evaluate(columns, pieces, zeta)
        check_evaluations(columns, claims, zeta)
        evaluations = b"".join(x.to_bytes(SCALAR_BYTES, "big") for claim in claims for x in claim.values)
        transcript.absorb(evaluations)
        v = transcript.challenge()

        witness_polynomial = opening.witness_polynomial(polynomials, claims, v)
        w = self.srs.commit(witness_polynomial)
        transcript.absorb(w)
        u = transcript.challenge()
        w_final = self.srs.commit(opening.final_polynomial(polynomials, claims, v, witness_polynomial, u))

        inverse = pow(domain.inverse_base(vk, zeta), -1, MODULUS).to_bytes(SCALAR_BYTES, "big")
        proof = b"".join([*messages, commitments, evaluations, w, w_final, inverse])
        return Proof(vk.digest, proof, witness.public_values)


def prove(pk: ProvingKey, witness: Witness, srs: SRS, rng: Rng = os.urandom) -> Proof:
    """One proof; see `Prover` for several with one key."""
    return Prover(pk, srs).prove(witness, rng)


class Columns:
    """The columns of one proof: values on H while phases are filled, coefficients afterwards."""

    def __init__(self, prover: Prover, witness: Witness, rng: Rng) -> None:
        self.prover, self.vk, self.rng = prover, prover.vk, rng
        self.witness = witness
        self.scalars: dict[str, int] = {}
        self._values: dict[tuple[Kind, int], Vec] = {}
        self._coefficients: dict[tuple[Kind, int], Vec] = {}
        self._kept = {o.index: 1 in o.rotations for o in self.vk.opened if o.kind == "advice"}

    def fill(self, phase: int) -> None:
        """Compute the values of the phase's columns, with their random rows."""
        if phase == 0:
            first, stop = self.vk.phases[0].first, self.vk.phases[0].stop
            if len(self.witness.advice) != stop - first:
                raise ValueError(f"the witness has {len(self.witness.advice)} columns, phase 0 has {stop - first}")
            for index, integers in enumerate(self.witness.advice):
                self._store(index, _native.Vec.from_ints(np.ascontiguousarray(integers)).padded(self.vk.n))
            return
        active = self.vk.last_row
        for level in self.prover.pk.levels[phase - 1]:
            outputs = level.program.run_rows(self.values, self.scalars)
            pairs = zip(level.columns, outputs[::2], outputs[1::2], strict=True)
            for (index, kind, first), left, right in pairs:
                if kind == "ratio":
                    filled = left.mul(right.inverse())
                else:
                    filled = _native.affine_scan(first, left.slice(0, active), right.slice(0, active))
                self._store(index, filled.slice(0, active + (kind != "ratio")).padded(self.vk.n))

    def _store(self, index: int, values: Vec) -> None:
        start = self.random_start(index)
        values.write_(start, _native.Vec.from_wide_bytes(self.rng(64 * (self.vk.n - start))))
        self._values["advice", index] = values

    def random_start(self, index: int) -> int:
        """The first random row of an advice column: u + 1 where row u is queried, else u."""
        return self.vk.last_row + (1 if self._kept[index] else 0)

    def commit(self, index: int) -> bytes:
        """The commitment of an advice column; integers and random rows apart, so that the MSM keeps its width."""
        srs, k, values = self.prover.srs, self.vk.k, self._values["advice", index]
        if index >= self.vk.phases[0].stop:
            return srs.commit_values(k, values)
        start = self.random_start(index)
        narrow = srs.commit_ints(k, np.ascontiguousarray(self.witness.advice[index][:start]))
        return _native.g1_add(narrow, srs.commit_values(k, values.slice(start, self.vk.n), start))

    def values(self, kind: Kind, index: int) -> Vec:
        """A column's values on H."""
        if (kind, index) not in self._values:
            self._values[kind, index] = self._public_values(kind, index)
        return self._values[kind, index]

    def _public_values(self, kind: Kind, index: int) -> Vec:
        if kind == "fixed":
            return self.prover.fixed(index)
        if kind == "selector":
            return domain.selector(self.vk, index)
        fixed = self.prover.pk.fixed
        terms = [(column, monomial(m, self.scalars)) for column, m in self.vk.combinations[index].terms]
        if all(fixed[column].is_integer for column, _ in terms):
            length = max(len(fixed[column].values) for column, _ in terms)
            arrays = [np.ascontiguousarray(_extend(fixed[column].values, length)) for column, _ in terms]
            return _native.combine_ints(arrays, [factor for _, factor in terms]).padded(self.vk.n)
        return _native.linear_combination([self.prover.fixed(column) for column, _ in terms], [f for _, f in terms])

    def coefficients(self, kind: Kind, index: int) -> Vec:
        """A column's polynomial. Its values on H are dropped."""
        if (kind, index) not in self._coefficients:
            self._coefficients[kind, index] = _native.intt(self.values(kind, index))
            del self._values[kind, index]
        return self._coefficients[kind, index]


def quotient(columns: Columns) -> Vec:
    """The coefficients of t = (sum of y-weighted gates) / Z_H, coset by coset (n at a time).

    On shift * H, X^n is the constant c, so t there equals sum_i c^i t_i for the parts t = sum_i X^(i n) t_i; a
    Vandermonde system in the c's gives the parts.
    """
    vk = columns.vk
    count = -(-vk.pieces * (vk.n - 1) // vk.n)
    shifts = [pow(7, j + 1, MODULUS) for j in range(count)]
    constants = [pow(shift, vk.n, MODULUS) for shift in shifts]
    residues = []
    for shift, c in zip(shifts, constants, strict=True):

        def on_coset(kind: Kind, index: int, shift: int = shift) -> Vec:
            if kind == "selector" and index == 0:
                return _native.Vec.powers(_native.omega(vk.k), vk.n, shift)
            return _native.ntt(columns.coefficients(kind, index), shift)

        (gates,) = vk.program.run_rows(on_coset, columns.scalars)
        residues.append(_native.intt(gates.scale(pow(c - 1, -1, MODULUS)), shift))
    result = _native.Vec.zeros(count * vk.n)
    for i, row in enumerate(domain.vandermonde_inverse(constants)):
        result.write_(i * vk.n, _native.linear_combination(residues, row))
    return result


def blind_pieces(quotient: Vec, count: int, stride: int, rng: Rng) -> list[Vec]:
    """t_i + b_i X^stride - b_(i-1): the pieces hide each other and still add up to t."""
    pieces = []
    previous = 0
    for i in range(count):
        stop = min((i + 1) * stride, len(quotient))
        piece = quotient.slice(i * stride, stop).padded(stride + 1)
        blind = int.from_bytes(rng(64), "big") % MODULUS if i < count - 1 else 0
        piece.write_(stride, _native.Vec.from_scalars([blind]))
        piece.write_(0, _native.Vec.from_scalars([(piece[0] - previous) % MODULUS]))
        previous = blind
        pieces.append(piece)
    return pieces


def evaluate(columns: Columns, pieces: list[Vec], zeta: int) -> tuple[list[Vec], list[Claim]]:
    """The opened polynomials and their values, in opened order; the quotient comes last."""
    vk = columns.vk
    omega = _native.omega(vk.k)
    polynomials = [columns.coefficients(o.kind, o.index) for o in vk.opened]
    points = [tuple(zeta * pow(omega, r, MODULUS) % MODULUS for r in o.rotations) for o in vk.opened]
    powers = [pow(zeta, i * (vk.n - 1), MODULUS) for i in range(vk.pieces)]
    polynomials.append(_native.linear_combination(pieces, powers))
    points.append((zeta,))
    claims = [Claim(at, tuple(f.evaluate(x) for x in at)) for f, at in zip(polynomials, points, strict=True)]
    return polynomials, claims


def check_evaluations(columns: Columns, claims: list[Claim], zeta: int) -> None:
    """The verifier's check at zeta, run by the prover: no proof is written that would not verify."""
    inverse = pow(domain.inverse_base(columns.vk, zeta), -1, MODULUS)
    if not gates_hold(columns.vk, columns.scalars, claims, zeta, inverse):
        raise UnsatisfiedError(
            "the witness does not satisfy the circuit: `plonnx mock` names the gate, the row and the tensor"
        )


def _extend(values: NDArray[np.generic], length: int) -> NDArray[np.generic]:
    return values if len(values) == length else np.concatenate([values, np.zeros(length - len(values), values.dtype)])
