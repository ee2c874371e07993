"""The prover: for each phase fill, commit, draw; then quotient, evaluations, openings (docs/protocol.md, 4 to 7).

Knows no argument by name: what a phase's columns hold is in the proving key's programs. Imports neither sympy nor onnx.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.kzg import opening
from plonnx.kzg.opening import Claim
from plonnx.kzg.srs import SRS, Rows
from plonnx.plonk import domain, runs
from plonnx.plonk.filling import fill
from plonnx.plonk.keys import CONTEXT_BYTES, NO_CONTEXT, SCALAR_BYTES, Opened, Proof, ProvingKey
from plonnx.plonk.program import INVERSE_PSI, MODULUS, PSI, Kind, Slot, monomial
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.quotient import FEW_SHIFT, Name, at_few, coset_shifts, few_slots, quotient
from plonnx.plonk.transcript import Transcript
from plonnx.plonk.verifier import quotient_at

Rng = Callable[[int], bytes]  # gives that many uniform bytes
Share = Callable[[float], None]  # is told which share of the work is done
UP_TO_QUOTIENT, UP_TO_OPENING = 0.5, 0.85  # of a proof's time, about
Vec = _native.Vec
Which = TypeVar("Which")  # says which column
OF_THE_KEY: tuple[Kind, ...] = ("fixed", "selector")  # columns that are the same in every proof
KEPT_SHARE = 4  # what depends on the key alone may take one part in so many of the memory there is
AT_ONCE_BYTES = 1 << 26  # of columns that are transformed in one call: small ones share the cores


@dataclass(frozen=True)
class Witness:
    """The phase 0 advice columns as integers on rows 0.. (zero beyond), by name, and the public values.

    blinding: the random rows of columns that are committed already (64 bytes a row), by name.
    later: the values on rows 0.. of a later phase's free columns, by name, from the challenges drawn before.
    """

    advice: Mapping[str, NDArray[np.int64]]
    public_values: bytes
    blinding: Mapping[str, bytes] = field(default_factory=dict)
    later: Callable[[int, Mapping[str, int]], Mapping[str, Vec]] = field(default=lambda phase, scalars: {})


class UnsatisfiedError(ValueError):
    """The witness does not satisfy the circuit."""


def seeded_rng(seed: bytes) -> Rng:
    """A deterministic generator: as secret as its seed, and for one use of it."""
    counter = iter(range(1 << 62))

    def draw(count: int) -> bytes:
        blocks = -(-count // 32)
        return b"".join(_native.keccak256(seed + next(counter).to_bytes(8, "big")) for _ in range(blocks))[:count]

    return draw


def unheard(share: float) -> None:
    """Nobody asks how far the work is."""


class Prover:
    """Proves with one key. What depends on the key alone is kept from the first proof on: up to `keep` bytes.

    It can be used in worker processes, forked ones too: each starts kernel threads of its own.

    keep: by default a part of the memory that is available; 0 where only one proof is made.
    """

    def __init__(self, pk: ProvingKey, srs: SRS, keep: int | None = None) -> None:
        vk = pk.vk
        if srs.tau_g2 != vk.tau_g2:
            raise ValueError(f"the key was made with another SRS ({vk.srs}); this one is {srs.name}")
        self.pk, self.vk, self.srs = pk, vk, srs
        self._keep = _native.available_memory() // KEPT_SHARE if keep is None else keep
        self._fixed: dict[int, Vec] = {}
        self._polynomials: dict[Name, Vec] = {}  # of fixed columns and row selectors
        self._on_cosets: dict[tuple[Kind, int, int], Vec] = {}
        self._few, self._at_few = few_slots(pk), dict[Slot, Vec]()
        self._ready: tuple[int, list[Future[None]]] | None = None
        filling = (level.program for levels in pk.levels for level in levels)
        self._filling = {index for program in filling for kind, index in program.columns if kind == "fixed"}

    @property
    def column_bytes(self) -> int:
        """What a column takes as field elements."""
        return self.vk.n * SCALAR_BYTES

    def prepare(self) -> None:
        """Begin with what depends on the key alone, beside what the caller does next; `prove` waits for it.

        It is what makes the first proof longer than the next ones: on a thread of its own it takes the cores that a
        witness, or a file that is read, leaves idle.
        """
        if self._ready is None:
            worker = ThreadPoolExecutor(1)
            self._ready = os.getpid(), [worker.submit(self._prepare_points), worker.submit(self._prepare_columns)]
            worker.shutdown(wait=False)

    def wait_for(self, part: int) -> None:
        """The end of what `prepare` began: part 0 the points that advice is committed with, part 1 the columns."""
        self.prepare()
        assert self._ready is not None
        process, parts = self._ready
        if process == os.getpid():  # a forked process has no such thread: it makes what is missing when it is read
            parts[part].result()

    def _prepare_points(self) -> None:
        advice = [o for o in self.vk.opened if o.kind == "advice"]
        self.srs.make_ready({(self.vk.k, o.packing, place) for o in advice for place in range(len(o.members))})

    def _prepare_columns(self) -> None:
        """Polynomials of the key's columns, and on cosets those that are kept: of one proof alone when they are read,
        for while columns are filled they would add to the most memory that it takes."""
        if not self._keep:
            return
        for j, shift in enumerate(coset_shifts(self.pk)):
            asked = (gates.program.columns for gates in self.pk.programs if j < gates.cosets)
            names = dict.fromkeys(name for columns in asked for name in columns if name[0] in OF_THE_KEY)
            for some in at_once(list(names), self.column_bytes):
                self.interpolate(some)
                self._transform(some, shift)
        self._evaluate_at_few()

    def fixed(self, index: int) -> Vec:
        """A fixed column's values on H."""
        if (held := self._fixed.get(index)) is None:
            held = self._fixed[index] = self.pk.fixed[index].field(self.vk.n)
        return held

    def filled(self) -> None:
        """All columns of a proof are filled: values on H that only the next proof would read are dropped."""
        if not self._keep:
            self._fixed.clear()

    def polynomial(self, name: Name) -> Vec:
        """The polynomial of one of the key's columns."""
        if name not in self._polynomials:
            self.interpolate([name])
        return self._polynomials[name]

    def interpolate(self, columns: Sequence[Name]) -> None:
        """Make the polynomials of columns of the key. Values on H stay where filling reads them."""
        missing = [name for name in columns if name not in self._polynomials]
        values = [self.fixed(i) if kind == "fixed" else domain.selector(self.vk, i) for kind, i in missing]
        self._polynomials.update(zip(missing, _native.intt_many(values), strict=True))
        for kind, index in missing:
            if kind == "fixed" and index not in self._filling:
                self._fixed.pop(index, None)

    def _transform(self, names: Sequence[Name], shift: int) -> None:
        """Columns of the key on shift * H, as many as may be kept."""
        room = self._keep // self.column_bytes - len(self._on_cosets)
        kept = names[: max(0, room)]
        made = _native.ntt_many([self.polynomial(name) for name in kept], shift)
        self._on_cosets.update(((*name, shift), values) for name, values in zip(kept, made, strict=True))

    def on_coset(self, wanted: Sequence[Name], columns: Columns, shift: int) -> dict[Name, Vec]:
        """The values of columns on shift * H, by column."""
        vanishing = pow(shift, self.vk.n, MODULUS) - 1
        values = {name: self._on_cosets[(*name, shift)] for name in wanted if (*name, shift) in self._on_cosets}
        for some in at_once([name for name in wanted if name not in values], self.column_bytes):
            columns.interpolate(some)
            made = _native.ntt_many([columns.on_coset(*name, vanishing) for name in some], shift)
            values.update(zip(some, made, strict=True))
        return values

    def _evaluate_at_few(self) -> None:
        """What gates read of the key's columns at the FEW points."""
        missing = [slot for slot in self._few if slot.kind in OF_THE_KEY and slot not in self._at_few]
        for some in at_once(missing, self.column_bytes):
            self.interpolate(list(dict.fromkeys(slot[:2] for slot in some)))
            self._at_few |= at_few(some, lambda kind, index: self.polynomial((kind, index)), self.vk.k)

    def at_few(self, columns: Columns) -> dict[Slot, Vec]:
        """What gates with coefficients beyond their cosets read at the FEW points."""
        self._evaluate_at_few()
        values = dict(self._at_few)
        vanishing = pow(FEW_SHIFT, self.vk.n, MODULUS) - 1
        for some in at_once([slot for slot in self._few if slot.kind not in OF_THE_KEY], self.column_bytes):
            columns.interpolate(list(dict.fromkeys(slot[:2] for slot in some)))
            values |= at_few(some, lambda kind, index: columns.on_coset(kind, index, vanishing), self.vk.k)
        return values

    def prove(
        self, witness: Witness, rng: Rng = os.urandom, context: bytes = NO_CONTEXT, share: Share = unheard
    ) -> Proof:
        """A proof, for 32 bytes of context, that the witness satisfies the circuit; UnsatisfiedError if it does not.

        share: is told which share of the work is done, about.
        """
        vk, srs = self.vk, self.srs
        if len(witness.public_values) != vk.public_bytes:
            raise ValueError(f"{len(witness.public_values)} bytes of public values; the circuit has {vk.public_bytes}")
        if len(context) != CONTEXT_BYTES:
            raise ValueError(f"the context has {len(context)} bytes; it takes {CONTEXT_BYTES}")
        self.prepare()
        transcript = Transcript(vk.digest, witness.public_values, context)
        columns = Columns(self, witness, rng)
        messages = []
        for number, phase in enumerate(vk.phases):
            columns.fill(number)
            self.wait_for(0)
            commitments = b"".join(srs.commit_rows(vk.k, [columns.rows(o) for o in vk.opened_in_phase(phase)]))
            transcript.absorb(commitments)
            messages.append(commitments)
            share(UP_TO_QUOTIENT * (number + 1) / len(vk.phases))
            columns.scalars.update((name, transcript.challenge()) for name in phase.challenges)
            if PSI in phase.challenges and vk.inverts_psi:
                columns.scalars[INVERSE_PSI] = pow(columns.scalars[PSI], -1, MODULUS)
        columns.scalars.update(instance_sums(vk, witness.public_values, columns.scalars))

        self.filled()
        self.wait_for(1)
        columns.draw_masks()
        t = quotient(columns, lambda part: share(UP_TO_QUOTIENT + (UP_TO_OPENING - UP_TO_QUOTIENT) * part))
        columns.pieces = blind_pieces(t, vk.pieces, vk.piece_stride, rng)
        committed = [*columns.pieces, *(columns.masks[index] for index in vk.masked)]
        commitments = b"".join(srs.commit_many(committed))
        transcript.absorb(commitments)
        zeta = transcript.challenge()

        polynomials, claims = evaluate(columns, zeta)
        check_evaluations(columns, claims, zeta)
        sent = [x for claim in claims[:-1] for values in claim.values for x in values]  # the quotient's follows
        evaluations = b"".join(x.to_bytes(SCALAR_BYTES, "big") for x in sent)
        transcript.absorb(evaluations)
        v = transcript.challenge()

        witness_polynomial = opening.witness_polynomial(polynomials, claims, v)
        w = srs.commit(witness_polynomial)
        transcript.absorb(w)
        u = transcript.challenge()
        w_final = srs.commit(opening.final_polynomial(polynomials, claims, v, witness_polynomial, u))

        psi = columns.scalars[PSI] if vk.inverts_psi else 1
        base = domain.inverse_base(vk, zeta) * psi * opening.divisor(claims, u)
        inverse = pow(base, -1, MODULUS).to_bytes(SCALAR_BYTES, "big")
        proof = b"".join([*messages, commitments, evaluations, w, w_final, inverse])
        return Proof(vk.digest, proof, witness.public_values, context)


def prove(pk: ProvingKey, witness: Witness, srs: SRS, rng: Rng = os.urandom, context: bytes = NO_CONTEXT) -> Proof:
    """One proof; see `Prover` for several with one key."""
    return Prover(pk, srs, keep=0).prove(witness, rng, context)


def at_once(names: Sequence[Which], column_bytes: int) -> Iterator[Sequence[Which]]:
    """The columns in groups that are worth one call, and take little memory beside what is there already."""
    size = max(1, AT_ONCE_BYTES // column_bytes)
    yield from (names[start : start + size] for start in range(0, len(names), size))


class Columns:
    """The columns of one proof: values on H while phases are filled, coefficients afterwards."""

    def __init__(self, prover: Prover, witness: Witness, rng: Rng) -> None:
        self.prover, self.vk, self.rng = prover, prover.vk, rng
        self.witness, self.chosen = witness, prover.pk.chosen
        self._free = self.vk.phases[0].stop  # the number of the next free column among the chosen ones
        self.scalars: dict[str, int] = {}
        self._values: dict[Name, Vec] = {}
        self._coefficients: dict[Name, Vec] = {}
        self._fractions: dict[int, _native.Fractions] = {}  # of the phase's columns that are sums of some
        self._kept = {i: 1 in o.rotations for o in self.vk.opened if o.kind == "advice" for i in o.members}
        self.masks: dict[int, Vec] = {}
        self.pieces: list[Vec] = []

    def fill(self, phase: int) -> None:
        """Compute the values of the phase's columns, with their random rows."""
        if phase == 0:
            wanted = self.chosen[: self.vk.phases[0].stop]
            _same_names("phase 0", wanted, self.witness.advice)
            for index, name in enumerate(wanted):
                integers = np.ascontiguousarray(self.witness.advice[name])
                self._store(index, name, _native.Vec.from_ints(integers).padded(self.vk.n))
            return
        active = self.vk.last_row
        levels, columns = self.prover.pk.levels[phase - 1], self.vk.phases[phase]
        chosen = self.witness.later(phase, self.scalars)
        defined = {index for level in levels for index, _, _ in level.columns}
        free = [index for index in range(columns.first, columns.stop) if index not in defined]
        names = self.chosen[self._free : self._free + len(free)]
        self._free += len(free)
        _same_names(f"phase {phase}", names, chosen)
        for index, name in zip(free, names, strict=True):
            values = chosen[name]
            self._store(index, name, values.slice(0, min(len(values), active)).padded(self.vk.n))
        for level in levels:
            outputs = level.program.run_rows(self.values, self.scalars)
            for index, values, fractions in fill(level.columns, outputs, active):
                self._store(index, "", values.padded(self.vk.n))
                if fractions is not None:
                    self._fractions[index] = fractions

    def _store(self, index: int, name: str, values: Vec) -> None:
        start = self.random_start(index)
        needed = 64 * (self.vk.n - start)
        known = self.witness.blinding.get(name)
        if known is not None and len(known) != needed:
            raise ValueError(f"column {name} has {needed // 64} random rows, its blinding {len(known) // 64}")
        values.write_(start, _native.Vec.from_wide_bytes(self.rng(needed) if known is None else known))
        self._values["advice", index] = values

    def random_start(self, index: int) -> int:
        """The first random row of an advice column: u + 1 where row u is queried, else u."""
        return self.vk.last_row + (1 if self._kept[index] else 0)

    def rows(self, opened: Opened) -> list[Rows]:
        """The parts of an advice polynomial: integers and random rows apart, so that integers keep their width.

        For its commitment: what only that reads is dropped.
        """
        parts = []
        for place, index in enumerate(opened.members):
            values, start = self._values["advice", index], 0
            if index < self.vk.phases[0].stop:
                start = self.random_start(index)
                integers = np.ascontiguousarray(self.witness.advice[self.chosen[index]][:start])
                parts.append(Rows(integers, 0, opened.packing, place))
            rest = values.slice(start, self.vk.n) if start else values
            parts.append(Rows(rest, start, opened.packing, place, self._fractions.pop(index, None)))
        return parts

    def draw_masks(self) -> None:
        """A random r(X) of two coefficients for every masked combination, which is opened at one point."""
        for index in self.vk.masked:
            self.masks[index] = _native.Vec.from_wide_bytes(self.rng(128))

    def masked(self, index: int, vanishing: int) -> Vec:
        """The polynomial w + vanishing * r of a masked combination, equal to w + Z_H r where Z_H is `vanishing`."""
        polynomial = self.coefficients("combination", index).copy()
        polynomial.add_scaled_(vanishing % MODULUS, self.masks[index])
        return polynomial

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
        if not all(fixed[column].is_integer for column, _ in terms):
            return _native.linear_combination([self.prover.fixed(column) for column, _ in terms], [f for _, f in terms])
        combined = runs.combine([fixed[column].runs for column, _ in terms], [f for _, f in terms], self.vk.n)
        hidden = [(_native.Vec.from_wide_bytes(fixed[c].blinding), factor) for c, factor in terms if fixed[c].blinding]
        if hidden:
            rows = _native.linear_combination([rows for rows, _ in hidden], [factor for _, factor in hidden])
            combined.write_(self.vk.n - len(rows), rows)
        return combined

    def on_coset(self, kind: Kind, index: int, vanishing: int) -> Vec:
        """The polynomial of a program's column on points where Z_H is `vanishing`."""
        if kind == "combination" and index in self.masks:
            return self.masked(index, vanishing)
        return self.coefficients(kind, index)

    def coefficients(self, kind: Kind, index: int) -> Vec:
        """A column's polynomial."""
        if kind in OF_THE_KEY:
            return self.prover.polynomial((kind, index))
        if (kind, index) not in self._coefficients:
            self.interpolate([(kind, index)])
        return self._coefficients[kind, index]

    def interpolate(self, columns: Sequence[Name]) -> None:
        """Make the polynomials of columns; values on H are dropped."""
        self.prover.interpolate([name for name in columns if name[0] in OF_THE_KEY])
        missing = [name for name in columns if name[0] not in OF_THE_KEY and name not in self._coefficients]
        made = _native.intt_many([self.values(*name) for name in missing])
        self._coefficients.update(zip(missing, made, strict=True))
        for name in missing:
            del self._values[name]


def _same_names(where: str, wanted: Sequence[str], given: Mapping[str, object]) -> None:
    if set(wanted) != given.keys():
        missing, surplus = sorted(set(wanted) - given.keys()), sorted(given.keys() - set(wanted))
        raise ValueError(f"the witness of {where} lacks the columns {missing} and has others: {surplus}")


def blind_pieces(quotient: Vec, count: int, stride: int, rng: Rng) -> list[Vec]:
    """t_i + X^stride b_i - b_(i-1), b_i of two random coefficients: pieces that hide and still add up to t."""
    if count == 1:
        return [quotient]
    pieces = []
    previous = _native.Vec.zeros(2)
    for i in range(count):
        start, stop = (min(at * stride, len(quotient)) for at in (i, i + 1))
        piece = quotient.slice(start, stop).padded(stride + 2)
        blind = _native.Vec.from_wide_bytes(rng(128)) if i < count - 1 else _native.Vec.zeros(2)
        piece.write_(stride, blind)
        piece.add_scaled_(MODULUS - 1, previous)
        previous = blind
        pieces.append(piece)
    return pieces


def evaluate(columns: Columns, zeta: int) -> tuple[list[Vec], list[Claim]]:
    """The opened polynomials and their members' values, in opened order."""
    vk = columns.vk
    omega = _native.omega(vk.k)
    vanishing = pow(zeta, vk.n, MODULUS) - 1
    polynomials, members, points = [], [], []
    for o in vk.opened:
        if o.kind == "quotient":
            powers = [pow(zeta, i * vk.piece_stride, MODULUS) for i in o.members]
            members.append([_native.linear_combination([columns.pieces[i] for i in o.members], powers)])
        elif o.kind == "combination" and o.members[0] in columns.masks:
            members.append([columns.masked(o.members[0], vanishing)])
        else:
            members.append([columns.coefficients(o.kind, i) for i in o.members])
        polynomials.append(opening.pack(members[-1], o.packing))
        points.append(tuple(zeta * pow(omega, r, MODULUS) % MODULUS for r in o.rotations))
    values: dict[tuple[int, int, int], int] = {}
    for x in {x for at in points for x in at}:
        asked = [(j, i) for j, at in enumerate(points) if x in at for i in range(len(members[j]))]
        found = _native.evaluate_many([members[j][i] for j, i in asked], x)
        values.update(((j, i, x), value) for (j, i), value in zip(asked, found, strict=True))
    return polynomials, [
        Claim(at, tuple(tuple(values[j, i, x] for x in at) for i in range(len(members[j]))), vk.opened[j].packing)
        for j, at in enumerate(points)
    ]


def check_evaluations(columns: Columns, claims: list[Claim], zeta: int) -> None:
    """The value that a verifier takes for the quotient is its own: no proof is written that would not verify."""
    if claims[-1].values != ((quotient_at(columns.vk, columns.scalars, claims, zeta),),):
        raise UnsatisfiedError(
            "the witness does not satisfy the circuit: `plonnx mock` names the gate, the row and the tensor; where it"
            " names none, the key is of another version of plonnx: run plonnx setup again"
        )
