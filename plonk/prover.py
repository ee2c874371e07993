"""The prover: for each phase fill, commit, draw; then quotient, evaluations, openings (docs/protocol.md, 4 to 7).

Knows no argument by name: what a phase's columns hold is in the proving key's programs. Imports neither sympy nor onnx.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from plonnx import _native
from plonnx.kzg import opening
from plonnx.kzg.opening import Atom, Claim
from plonnx.kzg.srs import SRS
from plonnx.plonk import domain
from plonnx.plonk.columns import OF_THE_KEY, Columns, Member, Witness, at_once, whole
from plonnx.plonk.keys import CONTEXT_BYTES, NO_CONTEXT, SCALAR_BYTES, Proof, ProvingKey
from plonnx.plonk.program import INVERSE_PSI, MODULUS, PSI, Kind, Narrow, Slot
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.quotient import Name, at_few, coset_shifts, few_slots, quotient
from plonnx.plonk.transcript import Transcript
from plonnx.plonk.verifier import quotient_at

Rng = Callable[[int], bytes]  # gives that many uniform bytes
Share = Callable[[float], None]  # is told which share of the work is done
UP_TO_QUOTIENT, UP_TO_OPENING = 0.5, 0.85  # of a proof's time, about
Vec = _native.Vec
KEPT_SHARE = 4  # what depends on the key alone may take one part in so many of the memory there is


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
        self.shifts = coset_shifts(pk)
        self.few = few_slots(pk)
        self.cosets: dict[Name, int] = {}  # on how many cosets gates read a column
        for gates in pk.programs:
            self.cosets.update((name, max(gates.cosets, self.cosets.get(name, 0))) for name in gates.program.columns)
        self._integers: dict[int, Narrow | None] = {}
        self._fixed: dict[int, Vec] = {}  # of fixed columns that are no integers
        self._polynomials: dict[Name, Vec] = {}  # of fixed columns and row selectors
        self._on_cosets: dict[tuple[Kind, int, int], Vec] = {}
        self._at_few: dict[Slot, Vec] = {}
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
        """The key's columns on cosets, those that are kept, and at the FEW points: of one proof alone when they are
        read, for while columns are filled they would add to the most memory that it takes."""
        if not self._keep:
            return
        asked = (gates.program.columns for gates in self.pk.programs)
        names = dict.fromkeys(name for columns in asked for name in columns if name[0] in OF_THE_KEY)
        for some in at_once(list(names), self.column_bytes):
            self.interpolate(some)
            for j, shift in enumerate(self.shifts):
                self._transform([name for name in some if j < self.cosets[name]], shift)
            self.release(some, len(self.shifts))

    def integers(self, index: int) -> Narrow | None:
        """A fixed column's values on H, where they are integers, at their width."""
        if index not in self._integers:
            column = self.pk.fixed[index]
            plain = column.is_integer and not column.blinding
            self._integers[index] = whole(np.asarray(column.values), self.vk.n) if plain else None
        return self._integers[index]

    def fixed(self, index: int) -> Vec:
        """The values on H of a fixed column that holds other than integers."""
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
        """Make the polynomials of columns of the key, and what is read of them at the FEW points."""
        missing = [name for name in columns if name not in self._polynomials]
        self._polynomials.update(
            zip(missing, _native.intt_many([self._values(*name) for name in missing]), strict=True)
        )
        for kind, index in missing:
            if kind == "fixed" and not (self._keep and index in self._filling):
                self._fixed.pop(index, None)
        slots = [slot for name in missing for slot in self.few.get(name, ()) if slot not in self._at_few]
        self._at_few |= at_few(slots, lambda kind, index: self._polynomials[kind, index], self.vk.k)

    def release(self, columns: Sequence[Name], cosets: int) -> None:
        """So many cosets are done: polynomials that no further one reads are dropped, but for those that are opened
        and are no integers."""
        for name in columns:
            if cosets >= self.cosets[name] and (name[0] == "selector" or self.integers(name[1]) is not None):
                self._polynomials.pop(name, None)

    def _values(self, kind: Kind, index: int) -> Vec:
        if kind == "selector":
            return domain.selector(self.vk, index)
        integers = self.integers(index)
        return self.fixed(index) if integers is None else _native.Vec.from_ints(integers)

    def _transform(self, names: Sequence[Name], shift: int) -> None:
        """Columns of the key on shift * H, as many as may be kept."""
        room = self._keep // self.column_bytes - len(self._on_cosets)
        kept = names[: max(0, room)]
        made = _native.ntt_many([self.polynomial(name) for name in kept], shift)
        self._on_cosets.update(((*name, shift), values) for name, values in zip(kept, made, strict=True))

    def on_coset(self, wanted: Sequence[Name], columns: Columns, number: int) -> dict[Name, Vec]:
        """The values of columns on the coset of that number, by column."""
        shift = self.shifts[number]
        vanishing = pow(shift, self.vk.n, MODULUS) - 1
        values = {name: self._on_cosets[(*name, shift)] for name in wanted if (*name, shift) in self._on_cosets}
        for some in at_once([name for name in wanted if name not in values], self.column_bytes):
            columns.interpolate(some)
            made = _native.ntt_many([columns.on_coset(*name, vanishing) for name in some], shift)
            values.update(zip(some, made, strict=True))
            columns.release(some, number + 1)
        return values

    def at_few(self) -> dict[Slot, Vec]:
        """What is known of the key's columns at the FEW points."""
        return dict(self._at_few)

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

        columns.filled()
        self.wait_for(1)
        columns.draw_masks()
        t = quotient(columns, lambda part: share(UP_TO_QUOTIENT + (UP_TO_OPENING - UP_TO_QUOTIENT) * part))
        columns.pieces = blind_pieces(t, vk.pieces, vk.piece_stride, rng)
        committed = [*columns.pieces, *(columns.masks[index] for index in vk.masked)]
        commitments = b"".join(srs.commit_many(committed))
        transcript.absorb(commitments)
        zeta = transcript.challenge()

        members, claims = evaluate(columns, zeta)
        check_evaluations(columns, claims, zeta)
        sent = [x for claim in claims[:-1] for values in claim.values for x in values]  # the quotient's follows
        evaluations = b"".join(x.to_bytes(SCALAR_BYTES, "big") for x in sent)
        transcript.absorb(evaluations)
        v = transcript.challenge()

        batched = batch(columns, members, claims, v)
        witness_polynomial = opening.witness_polynomial(batched)
        w = srs.commit(witness_polynomial)
        transcript.absorb(w)
        u = transcript.challenge()
        w_final = srs.commit(opening.final_polynomial(batched, claims, witness_polynomial, u))

        psi = columns.scalars[PSI] if vk.inverts_psi else 1
        base = domain.inverse_base(vk, zeta) * psi * opening.divisor(claims, u)
        inverse = pow(base, -1, MODULUS).to_bytes(SCALAR_BYTES, "big")
        proof = b"".join([*messages, commitments, evaluations, w, w_final, inverse])
        return Proof(vk.digest, proof, witness.public_values, context)


def prove(pk: ProvingKey, witness: Witness, srs: SRS, rng: Rng = os.urandom, context: bytes = NO_CONTEXT) -> Proof:
    """One proof; see `Prover` for several with one key."""
    return Prover(pk, srs, keep=0).prove(witness, rng, context)


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


def evaluate(columns: Columns, zeta: int) -> tuple[list[list[Member]], list[Claim]]:
    """The members of the opened polynomials and their values, in opened order."""
    vk = columns.vk
    omega = _native.omega(vk.k)
    vanishing = pow(zeta, vk.n, MODULUS) - 1
    members: list[list[Member]] = []
    points = []
    for o in vk.opened:
        if o.kind == "quotient":
            powers = [pow(zeta, i * vk.piece_stride, MODULUS) for i in o.members]
            members.append([_native.linear_combination([columns.pieces[i] for i in o.members], powers)])
        elif o.kind == "combination" and o.members[0] in columns.masks:
            members.append([columns.masked(o.members[0], vanishing)])
        else:
            members.append([(o.kind, i) for i in o.members])
        points.append(tuple(zeta * pow(omega, r, MODULUS) % MODULUS for r in o.rotations))
    values: dict[tuple[int, int, int], int] = {}
    for x in {x for at in points for x in at}:
        asked = [(j, i) for j, at in enumerate(points) if x in at for i in range(len(members[j]))]
        found = columns.at([members[j][i] for j, i in asked], x)
        values.update(((j, i, x), value) for (j, i), value in zip(asked, found, strict=True))
    return members, [
        Claim(at, tuple(tuple(values[j, i, x] for x in at) for i in range(len(members[j]))), vk.opened[j].packing)
        for j, at in enumerate(points)
    ]


def batch(
    columns: Columns, members: Sequence[Sequence[Member]], claims: Sequence[Claim], v: int
) -> dict[tuple[Atom, ...], Vec]:
    """sum_j v^e(j) F_j by the atoms of the F_j: their members are summed up place by place, and packed at the end."""
    powers = opening.powers(claims, v)
    batched = {}
    for atoms, numbers in opening.groups(claims).items():
        places = range(max(len(members[j]) for j in numbers))
        sums = [
            columns.combined([(members[j][place], powers[j]) for j in numbers if place < len(members[j])])
            for place in places
        ]
        batched[atoms] = opening.pack(sums, claims[numbers[0]].packing)
    return batched


def check_evaluations(columns: Columns, claims: list[Claim], zeta: int) -> None:
    """The value that a verifier takes for the quotient is its own: no proof is written that would not verify."""
    if claims[-1].values != ((quotient_at(columns.vk, columns.scalars, claims, zeta),),):
        raise UnsatisfiedError(
            "the witness does not satisfy the circuit: `plonnx mock` names the gate, the row and the tensor; where it"
            " names none, the key is of another version of plonnx: run plonnx setup again"
        )


__all__ = ["Columns", "Prover", "Rng", "Share", "UnsatisfiedError", "Witness", "prove", "seeded_rng", "unheard"]
