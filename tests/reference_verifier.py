"""A slow verifier written from docs/protocol.md alone, over py_ecc and Python integers.

It shares no code with the fast verifier (plonk/verifier.py) or the contract: from plonnx it reads only the fields and
the canonical bytes of the verifying key. Keccak is its own, points are decoded and checked here, sums are plain.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from py_ecc.optimized_bls12_381 import (
    FQ,
    FQ2,
    G1,
    G2,
    Z1,
    add,
    b,
    curve_order,
    field_modulus,
    is_inf,
    is_on_curve,
    multiply,
    normalize,
    pairing,
)

R = curve_order
Point = Any


class RejectedError(Exception):
    """Why the proof does not hold."""


# --- keccak256 (the padding before SHA-3's) -------------------------------------------------------------------------

_MASK = (1 << 64) - 1


def _round_constants() -> list[int]:
    constants, register = [], 1
    for _ in range(24):
        word = 0
        for j in range(7):
            word |= (register & 1) << ((1 << j) - 1)
            register = (register << 1) ^ (0x171 if register >> 7 else 0)
        constants.append(word)
    return constants


_ROUNDS = _round_constants()


def _rotate(word: int, by: int) -> int:
    return ((word << by) | (word >> (64 - by))) & _MASK if by else word


def _permute(a: list[list[int]]) -> None:
    for constant in _ROUNDS:
        c = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
        d = [c[(x - 1) % 5] ^ _rotate(c[(x + 1) % 5], 1) for x in range(5)]
        for x in range(5):
            for y in range(5):
                a[x][y] ^= d[x]
        x, y, current = 1, 0, a[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, a[x][y] = a[x][y], _rotate(current, (t + 1) * (t + 2) // 2 % 64)
        for y in range(5):
            row = [a[x][y] for x in range(5)]
            for x in range(5):
                a[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5] & _MASK)
        a[0][0] ^= constant


def keccak256(message: bytes) -> bytes:
    """Ethereum's hash."""
    rate = 136
    padded = bytearray(message + b"\x01" + bytes(-(len(message) + 1) % rate))
    padded[-1] |= 0x80
    state = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            state[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
        _permute(state)
    return b"".join(state[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


# --- encodings (protocol.md section 1) ------------------------------------------------------------------------------


def read_point(encoded: bytes) -> Point:
    """A G1 point: canonical, on the curve, of order r."""
    if encoded == bytes(96):
        return Z1
    x, y = int.from_bytes(encoded[:48], "big"), int.from_bytes(encoded[48:], "big")
    if x >= field_modulus or y >= field_modulus:
        raise RejectedError("coordinate not canonical")
    point = (FQ(x), FQ(y), FQ(1))
    if not is_on_curve(point, b):
        raise RejectedError("point off the curve")
    if not is_inf(multiply(point, R)):
        raise RejectedError("point outside the subgroup")
    return point


def _points(content: bytes) -> list[Point]:
    return [read_point(content[i : i + 96]) for i in range(0, len(content), 96)]


def write_point(point: Point) -> bytes:
    """The inverse of `read_point`."""
    if is_inf(point):
        return bytes(96)
    x, y = normalize(point)
    return int(x).to_bytes(48, "big") + int(y).to_bytes(48, "big")


def read_g2(encoded: bytes) -> Point:
    """A G2 point of the verifying key (trusted)."""
    x1, x0, y1, y0 = (int.from_bytes(encoded[i : i + 48], "big") for i in range(0, 192, 48))
    return (FQ2([x0, x1]), FQ2([y0, y1]), FQ2([1, 0]))


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, length: int) -> bytes:
        self.at += length
        return self.content[self.at - length : self.at]


def _scalars(content: bytes) -> list[int]:
    values = [int.from_bytes(content[i : i + 32], "big") for i in range(0, len(content), 32)]
    if any(value >= R for value in values):
        raise RejectedError("scalar not canonical")
    return values


# --- public values (section 6) --------------------------------------------------------------------------------------


def instance_sum(column: Any, public_values: bytes, challenges: dict[str, int]) -> int:
    """sum over runs and words j of chi^(e+j) psi^f word_j."""
    total = 0
    for run in column.runs:
        values = []
        for i in range(run.count):
            at = run.offset + i * run.width
            values.append(int.from_bytes(public_values[at : at + run.width], "big", signed=True))
        power = pow(challenges.get("psi", 1), run.power, R)
        for j in range(0, (run.count + run.per_word - 1) // run.per_word):
            word = 0
            for i, value in enumerate(values[j * run.per_word : (j + 1) * run.per_word]):
                word += value * 256 ** (run.width * (run.per_word - 1 - i))
            total += pow(challenges["chi"], run.exponent + j, R) * power * word
    return total % R


# --- the verifier ---------------------------------------------------------------------------------------------------


class Transcript:
    def __init__(self, vk: Any, public_values: bytes, context: bytes) -> None:
        self.state = keccak256(b"plonnx proof v1" + keccak256(vk.encode()) + context + keccak256(public_values))

    def absorb(self, message: bytes) -> bytes:
        self.state = keccak256(self.state + message)
        return message

    def challenge(self, j: int = 0) -> int:
        return int.from_bytes(keccak256(self.state + bytes([j])), "big") % R


class _Messages:
    """A proof cut into its messages, and the challenges drawn between them (section 4)."""

    def __init__(self, vk: Any, proof: bytes, public_values: bytes, context: bytes) -> None:
        phases = [[o for o in vk.opened if o.kind == "advice" and p.first <= o.members[0] < p.stop] for p in vk.phases]
        point_count = sum(len(phase) for phase in phases) + vk.pieces + len(vk.masked) + 2
        evaluation_count = sum(len(o.members) * len(o.rotations) for o in vk.opened if o.kind != "quotient")
        if len(proof) != 96 * point_count + 32 * (evaluation_count + 1):
            raise RejectedError("length of the proof")
        if len(public_values) != vk.public_bytes:
            raise RejectedError("length of the public values")
        reader, transcript = _Reader(proof), Transcript(vk, public_values, context)
        self.challenges: dict[str, int] = {}
        self.value = 0  # of the quotient at zeta: `check` derives it
        commitments = b""
        for phase, polynomials in zip(vk.phases, phases, strict=True):
            commitments += transcript.absorb(reader.take(96 * len(polynomials)))
            self.challenges.update({name: transcript.challenge(j) for j, name in enumerate(phase.challenges)})
        last = transcript.absorb(reader.take(96 * (vk.pieces + len(vk.masked))))
        self.zeta = transcript.challenge()
        evaluations = transcript.absorb(reader.take(32 * evaluation_count))
        self.v = transcript.challenge()
        w = transcript.absorb(reader.take(96))
        self.u = transcript.challenge()
        w_prime = reader.take(96)
        self.evaluations = _scalars(evaluations)
        (self.inverse,) = _scalars(reader.take(32))
        self.advice = _points(commitments)
        self.quotient, self.masks = _points(last[: 96 * vk.pieces]), _points(last[96 * vk.pieces :])
        self.w, self.w_prime = read_point(w), read_point(w_prime)
        self.value = 0  # the quotient's at zeta, once it is known


Value = tuple[str, int, int]  # kind, number of the column, rotation


def values_at_zeta(vk: Any, evaluations: list[int]) -> dict[Value, int]:
    """The evaluations by what they are of: polynomial by polynomial, member by member, rotation by rotation."""
    sent = [o for o in vk.opened if o.kind != "quotient"]
    names = [(o.kind, member, rotation) for o in sent for member in o.members for rotation in o.rotations]
    return dict(zip(names, evaluations, strict=True))


def quotient_at_zeta(
    vk: Any, zeta: int, challenges: dict[str, int], evaluations: list[int], public_values: bytes
) -> int:
    """Section 5: the gates' weighted sum at zeta over Z_H."""
    n = 2**vk.k
    omega = pow(7, (R - 1) // n, R)
    vanishing = (pow(zeta, n, R) - 1) % R

    def lagrange(i: int) -> int:
        root = pow(omega, i, R)
        return int(root * vanishing * pow(n * (zeta - root), -1, R) % R)

    active = 1
    for i in range(vk.last_row, n):
        active = active * (zeta - pow(omega, i, R)) % R
    selectors = [zeta, lagrange(0), lagrange(vk.last_row), active]
    at_point = values_at_zeta(vk, evaluations)
    scalars = dict(challenges)
    for column in vk.instances:
        scalars[column.name] = instance_sum(column, public_values, challenges)

    program = vk.program
    values = [selectors[x.index] if x.kind == "selector" else at_point[tuple(x)] for x in program.slots]
    values += list(program.constants) + [scalars[name] for name in program.scalars]
    for code, left, right in [[int(part) for part in op] for op in program.ops]:
        x, y = values[left], values[right]
        values.append((x + y if code == 0 else x - y if code == 1 else x * y) % R)
    (output,) = program.outputs
    return int(values[output] * pow(vanishing, -1, R) % R)


def inverse(vk: Any, zeta: int, challenges: dict[str, int], divisor: int) -> int:
    """What the proof's last scalar must be (section 4); `challenges` come to know 1/psi where the key uses it."""
    n = 2**vk.k
    last = pow(7, (R - 1) // n * vk.last_row, R)
    base = zeta * (zeta - 1) * (zeta - last) * (pow(zeta, n, R) - 1) * divisor % R
    powers = {name for combination in vk.combinations for _, monomial in combination.terms for name, _ in monomial}
    if "1/psi" in powers or "1/psi" in vk.program.scalars:
        challenges["1/psi"] = pow(challenges["psi"], -1, R)
        base *= challenges["psi"]
    return pow(base, -1, R)


class OpenedPolynomial(NamedTuple):
    """Its commitment as (factor, point) pairs, t, the points a, and each member's values there."""

    commitment: list[tuple[int, Point]]
    t: int
    points: list[int]
    members: list[list[int]]


def opened_polynomials(vk: Any, messages: Any, fixed: list[Point]) -> list[OpenedPolynomial]:
    """The opened polynomials of a proof; `fixed` are the points of the fixed commitments, `value` is the quotient's."""
    n, zeta = 2**vk.k, messages.zeta
    omega = pow(7, (R - 1) // n, R)
    at_point = values_at_zeta(vk, messages.evaluations)
    advice, masks = list(messages.advice), list(messages.masks)
    opened = []
    for o in vk.opened:
        if o.kind == "combination":
            commitment = []
            (number,) = o.members
            for column, monomial in vk.combinations[number].terms:
                factor = 1
                for name, exponent in monomial:
                    factor = factor * pow(messages.challenges[name], exponent, R) % R
                commitment.append((factor, fixed[vk.fixed_members.index((column,))]))
            if number in vk.masked:
                commitment.append((pow(zeta, n, R) - 1, masks[list(vk.masked).index(number)]))
        elif o.kind == "fixed":
            commitment = [(1, fixed[vk.fixed_members.index(o.members)])]
        elif o.kind == "quotient":
            commitment = [(pow(zeta, i * (vk.packing * n - 2), R), piece) for i, piece in enumerate(messages.quotient)]
        else:
            commitment = [(1, advice.pop(0))]
        points = [pow(omega, rotation % n, R) * zeta % R for rotation in o.rotations]
        if o.kind == "quotient":
            members = [[messages.value]]
        else:
            members = [[at_point[o.kind, i, rotation] for rotation in o.rotations] for i in o.members]
        opened.append(OpenedPolynomial(commitment, o.packing, points, members))
    return opened


def _interpolate(points: list[int], values: list[int], x: int) -> int:
    total = 0
    for i, (a, value) in enumerate(zip(points, values, strict=True)):
        basis = 1
        for other in points[:i] + points[i + 1 :]:
            basis = basis * (x - other) * pow(a - other, -1, R) % R
        total += value * basis
    return total % R


Atoms = set[tuple[int, int]]  # (t, a) for X^t - a


def _atoms(opened: list[OpenedPolynomial]) -> tuple[int, list[Atoms]]:
    """The pivot's number, and the atoms of each polynomial."""
    atoms = [{(o.t, a) for a in o.points} for o in opened]
    counts = [len(each) for each in atoms]
    return counts.index(max(counts)), atoms


def _at(atoms: Atoms, u: int) -> int:
    value = 1
    for t, a in atoms:
        value = value * (pow(u, t, R) - a) % R
    return value


def divisor(opened: list[OpenedPolynomial], u: int) -> int:
    """Z_D(u)."""
    pivot, atoms = _atoms(opened)
    return _at(set().union(*atoms) - atoms[pivot], u)


def combine(opened: list[OpenedPolynomial], v: int, u: int) -> tuple[list[tuple[int, Point]], int, int]:
    """Section 7: sum_j v^e(j) c_j C_j as (factor, point) pairs, the factors of [1] and of W."""
    pivot, atoms = _atoms(opened)
    union: Atoms = set().union(*atoms)
    terms: list[tuple[int, Point]] = []
    constant = 0
    order = list(range(len(opened)))
    order.insert(0, order.pop(pivot))
    for j, o in enumerate(opened):
        weight = pow(v, order.index(j), R) * _at(union - atoms[j], u) * pow(divisor(opened, u), -1, R)
        terms += [(factor * weight % R, commitment) for factor, commitment in o.commitment]
        for i, values in enumerate(o.members):
            constant += weight * pow(u, i, R) * _interpolate(o.points, values, pow(u, o.t, R))
    return terms, -constant % R, -_at(atoms[pivot], u) % R


def check(vk: Any, proof: bytes, public_values: bytes, context: bytes = bytes(32)) -> None:
    """Raise RejectedError unless `proof` proves `public_values` for `context` under `vk`."""
    m = _Messages(vk, proof, public_values, context)
    at_u = divisor(opened_polynomials(vk, m, [None] * len(vk.fixed_commitments)), m.u)
    if m.inverse != inverse(vk, m.zeta, m.challenges, at_u):
        raise RejectedError("inverse")
    m.value = quotient_at_zeta(vk, m.zeta, m.challenges, m.evaluations, public_values)
    terms, constant, w_factor = combine(opened_polynomials(vk, m, _points(b"".join(vk.fixed_commitments))), m.v, m.u)
    terms += [(constant, G1), (w_factor, m.w), (m.u, m.w_prime)]
    total: Point = Z1
    for factor, point in terms:
        total = add(total, multiply(point, factor))
    if pairing(G2, total) != pairing(read_g2(vk.tau_g2), m.w_prime):
        raise RejectedError("the pairing")


def verify(vk: Any, proof: bytes, public_values: bytes, context: bytes = bytes(32)) -> bool:
    """Whether `proof` proves `public_values` for `context` under `vk`."""
    try:
        check(vk, proof, public_values, context)
    except RejectedError:
        return False
    return True
