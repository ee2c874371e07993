"""Where everything lies in the contract's memory: addresses are chosen here, once, and printed as constants.

    0x80   the transcript's state, then the evaluations (absorbing them needs no copy)
    then   the input of G1MSM: 160 bytes a point (x and y in 64 bytes each, the scalar)
    then   the input of the pairing check: two pairs of 384 bytes
    then   the input of G1ADD: two points of 128 bytes
    then   the state again and a buffer for the messages that are hashed
    then   single words by name: challenges, sums of public words, selectors, monomials, constants, intermediate values;
           at first the public values, which are hashed before there are any

The MSM's points: the proof's (advice, quotient, masks, W, W' in its order) but the pivot, which is added to the sum,
then the used fixed commitments, the generator.
The contract keeps to `external` entry points, so that no other object lives in memory. Each address has a name, a
constant of the contract.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, VerifyingKey

START = 0x80
START_VIA_IR = 0x80 + (1 << 12)  # below stands what the compiler moves from the stack into memory
PAIR = 160  # bytes of a point and its scalar in G1MSM's input
PAIRING_INPUT = 768
ADDITION_INPUT = 256
OPENING = 96  # what stands behind the first word when the transcript starts: "plonnx proof v1", digest, context, hash


def fixed_places(vk: VerifyingKey) -> dict[int, int]:
    """By fixed column: the number of the commitment that stands for it (its own, or that of its packed polynomial)."""
    return {members[0]: place for place, members in enumerate(vk.fixed_members)}


def used_fixed(vk: VerifyingKey) -> list[int]:
    """The fixed commitments that the MSM needs: those opened, themselves or in a combination."""
    places = fixed_places(vk)
    used = {places[o.members[0]] for o in vk.opened if o.kind == "fixed"}
    for o in vk.opened:
        if o.kind == "combination":
            used.update(places[column] for column, _ in vk.combinations[o.members[0]].terms)
    return sorted(used)


SPOKEN = {  # words whose letters would not do as a constant's name
    "r": "order",
    "1/zeta": "inverse of zeta",
    "zeta^n": "zeta to the n",
    "zeta^n - 1": "vanishing",
    "1/(zeta^n - 1)": "inverse of vanishing",
    "1/divisor": "inverse of divisor",
    "circuit 1/psi": "inverse of psi",
    "selector 0": "x",
    "selector 1": "first",
    "selector 2": "last",
    "selector 3": "active",
}


SELECTORS = {f"selector {i}": f"the selector {name} at zeta" for i, name in enumerate(("X", "first", "last", "active"))}


def of_circuit(name: str) -> str:
    """The word of a circuit's challenge or instance sum, whatever its name: no word of the contract's own begins so."""
    return f"circuit {name}"


TAKEN = (  # the contract's other constants
    *("MODEL", "VK_DIGEST", "UNSAFE_SRS", "PROOF_BYTES", "PUBLIC_VALUES_BYTES"),
    *("G1_ADD", "G1_MSM", "PAIRING_CHECK", "MEMORY_END", "BATCH_SEED"),
)
LONGEST = 40  # letters of a name


class Named(NamedTuple):
    """A place of memory: its constant in the contract, the address, what lies there."""

    constant: str
    address: int
    meaning: str


class Layout:
    """The addresses for one verifying key."""

    def __init__(self, vk: VerifyingKey, start: int = START) -> None:
        self.start = start
        self.fixed = used_fixed(vk)
        # The number, among the points at the start of the proof, of the one that is added with G1ADD.
        self.pivot = vk.pivot if vk.opened[vk.pivot].kind == "advice" else None
        self.sent = vk.commitment_count - (self.pivot is not None)  # at the start of the proof, without the pivot
        self.masks = self.sent - len(vk.masked)  # the number of the first mask among them
        self.pieces = self.masks - vk.pieces  # and of the quotient's first piece
        self.points = self.sent + 2 + len(self.fixed) + 1
        self.evaluations = start + 32
        self.msm = self.evaluations + SCALAR_BYTES * vk.evaluation_count
        self.pairing = self.msm + PAIR * self.points
        self.addition = self.pairing + PAIRING_INPUT  # G1ADD's input: the MSM's sum, the pivot
        self.buffer = self.addition + (0 if self.pivot is None else ADDITION_INPUT)  # the first word is the state
        messages = [len(vk.opened_in_phase(phase)) for phase in vk.phases]
        message = G1_BYTES * max(*messages, vk.pieces + len(vk.masked))
        self._words = self.buffer + 32 + max(message, OPENING)
        self._words += -self._words % 32
        self.hashed = self._words + 32  # public values while they are hashed, before there is any word but r
        self._hashed_end = self.hashed + vk.public_bytes + -vk.public_bytes % 32
        self._named: dict[str, Named] = {}  # words, by what lies there
        self._constants = set(TAKEN)
        self._places = self._fixed_places(vk)
        self._at = {place.address: place.constant for place in self._places}
        self.word("r")  # the field's order

    def _fixed_places(self, vk: VerifyingKey) -> list[Named]:
        """What lies at the same place in every layout of the key."""
        places = [("state of evaluations", self.evaluations - SCALAR_BYTES, "the transcript's state")]
        at = self.evaluations
        for kind, member, rotation in (slot for o in vk.opened for slot in o.slots):
            shift = {0: "", 1: " next"}.get(rotation, f" plus {rotation}")
            where = "zeta" if not rotation else f"omega^{rotation} zeta"
            places.append((f"{kind} {member}{shift}", at, f"{kind} column {member} at {where}"))
            at += SCALAR_BYTES
        sent = [f"advice {i}" for i in range(self.pieces + (self.pivot is not None)) if i != self.pivot]
        names = [*sent, *(f"quotient {i}" for i in range(vk.pieces)), *(f"mask {i}" for i in range(len(vk.masked)))]
        names += ["w", "w prime", *(f"fixed {i}" for i in self.fixed), "generator"]
        for number, name in enumerate(names):
            places.append((f"point {name}", self.point(number), f"in G1MSM's input: the commitment {name}"))
            places.append((f"scalar {name}", self.point(number) + 128, "its scalar"))
        places.append(("pairing input", self.pairing, "G2 points at 128 and 512, F and W' before them"))
        if self.pivot is not None:
            places.append(("addition input", self.addition, "the MSM's sum, the pivot"))
        places.append(("state", self.buffer, "the transcript's state"))
        places.append(("message", self.buffer + 32, "what is absorbed"))
        places.append(("hashed values", self.hashed, "public values while they are hashed; then the words below"))
        return [Named(self._constant(name), address, meaning) for name, address, meaning in places]

    def _constant(self, name: str) -> str:
        """A new constant's name, made of the letters and digits of what it stands for."""
        words = re.findall(r"[A-Za-z0-9]+", name)
        base = constant = "_".join(["AT", *words] if not words or words[0][0].isdigit() else words).upper()[:LONGEST]
        number = 1
        while constant in self._constants:
            number += 1
            constant = f"{base}_{number}"
        self._constants.add(constant)
        return constant

    @property
    def places(self) -> list[Named]:
        """All that has a name, by address."""
        return [*self._places, *self._named.values()]

    def name(self, address: int) -> str:
        """An address as the source has it: its name, or what is added to the last name before it."""
        before = max(place for place in self._at if place <= address)
        return self._at[before] if before == address else f"add({self._at[before]}, {address - before})"

    def word(self, name: str, spoken: str = "") -> str:
        """The named word's constant, a new one for a new name; spoken: what a reader is told, also of several words."""
        if name not in self._named:
            told = (spoken or name).removeprefix(of_circuit(""))
            constant = self._constant(SPOKEN.get(name, told))
            self._named[name] = Named(constant, self._next, SELECTORS.get(name, told))
        return self._named[name].constant

    def read(self, name: str) -> str:
        """An expression for the named word."""
        return f"mload({self.word(name)})"

    def evaluation(self, number: int) -> str:
        """The address of an evaluation."""
        return self.name(self.evaluations + SCALAR_BYTES * number)

    def point(self, number: int) -> int:
        """The address of an MSM point."""
        return self.msm + PAIR * number

    def scalar(self, number: int) -> str:
        """The address of an MSM point's scalar."""
        return self.name(self.point(number) + 128)

    def fixed_point(self, place: int) -> int:
        """The number of a fixed commitment among the MSM's points."""
        return self.sent + 2 + self.fixed.index(place)

    @property
    def end(self) -> int:
        """The size of the memory."""
        return max(self._next, self._hashed_end)

    @property
    def _next(self) -> int:
        """The address of the next named word."""
        return self._words + 32 * len(self._named)


def coordinates(point: bytes) -> list[int]:
    """The 32-byte words of points or G2 coordinates in EIP-2537 form: each 48-byte coordinate padded to 64 bytes."""
    words = []
    for at in range(0, len(point), 48):
        words += [int.from_bytes(point[at : at + 16], "big"), int.from_bytes(point[at + 16 : at + 48], "big")]
    return words


def g2_words(point: bytes, negate: bool = False) -> list[int]:
    """A G2 point (x.c1 || x.c0 || y.c1 || y.c0) in EIP-2537 form (x.c0, x.c1, y.c0, y.c1)."""
    x1, x0, y1, y0 = (int.from_bytes(point[at : at + 48], "big") for at in range(0, 192, 48))
    if negate:
        y0, y1 = -y0 % FIELD, -y1 % FIELD
    return coordinates(b"".join(value.to_bytes(48, "big") for value in (x0, x1, y0, y1)))


FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
