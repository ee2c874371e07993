"""The parts of the contract that follow from the vk, as lines of Yul: one function a part, in the order they run.

Every part is the body of a Yul function that has r (the field's order) on its stack; what passes between parts lies in
named words of the layout. See docs/protocol.md sections 4 to 7, whose notation this follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, Combination, Monomial, Run, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.solidity.layout import PAIR, Layout, coordinates, g2_words
from plonnx.solidity.straight_line import CHUNK, literal

G1_GENERATOR = bytes.fromhex(
    "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
)


def omega(vk: VerifyingKey, exponent: int) -> int:
    """omega^exponent."""
    return pow(pow(7, (MODULUS - 1) // vk.n, MODULUS), exponent % vk.n, MODULUS)


def minus(constant: int, variable: str) -> str:
    """variable - constant, below 2r."""
    return f"add({variable}, {literal(-constant % MODULUS)})"


class Monomials:
    """Products of challenge powers, each computed once by the shortest chain at hand and kept in a word."""

    def __init__(self, layout: Layout, lines: list[str]) -> None:
        self.layout, self.lines = layout, lines
        self.known: set[Monomial] = set()

    def read(self, monomial: Iterable[tuple[str, int]]) -> str:
        """An expression for the monomial."""
        factors = tuple(sorted((name, exponent) for name, exponent in monomial if exponent))
        if not factors:
            return "1"
        name = " * ".join(f"{c}^{e}" for c, e in factors)
        if factors == ((factors[0][0], 1),):
            return self.layout.read(factors[0][0])
        if factors not in self.known:
            self.known.add(factors)
            left, right = self._split(factors)
            product = f"mulmod({self.read(left)}, {self.read(right)}, r)"
            self.lines.append(f"mstore({self.layout.word(name)}, {product})")
        return self.layout.read(name)

    def _split(self, factors: Monomial) -> tuple[Monomial, Monomial]:
        """Two shorter monomials with this product: many challenges into one and the rest, powers by what is known."""
        if len(factors) > 1:
            return factors[:1], factors[1:]
        ((challenge, exponent),) = factors
        if ((challenge, exponent - 1),) in self.known:
            return ((challenge, exponent - 1),), ((challenge, 1),)
        high = 1 << (exponent.bit_length() - 1)
        if high == exponent:
            high //= 2
        return ((challenge, high),), ((challenge, exponent - high),)


def transcript(vk: VerifyingKey, layout: Layout) -> list[str]:
    """Section 4: state and messages lie side by side in the buffer; the evaluations are absorbed where they stay."""
    state, message = hex(layout.buffer), hex(layout.buffer + 32)
    evaluation_state = hex(layout.evaluations - 32)
    opening = b"plonnx proof v1" + vk.digest
    words = [opening[i : i + 32].ljust(32, b"\0").hex() for i in range(0, len(opening), 32)]
    lines = [
        f"calldatacopy({message}, publicValues, {vk.public_bytes})",
        f"let hash := keccak256({message}, {vk.public_bytes})",
        *(f"mstore({hex(layout.buffer + 32 * i)}, 0x{word})" for i, word in enumerate(words)),
        f"mstore({hex(layout.buffer + len(opening))}, hash)",
        f"mstore({state}, keccak256({state}, {len(opening) + 32}))",
    ]
    at = 0

    def absorb(length: int, names: Iterable[str]) -> None:
        nonlocal at
        lines.append(f"calldatacopy({message}, add(proof, {at}), {length})")
        lines.append(f"mstore({state}, keccak256({state}, {length + 32}))")
        at += length
        for j, name in enumerate(names):
            lines.append(f"mstore8({message}, {j})")
            lines.append(f"mstore({layout.word(name)}, mod(keccak256({state}, 33), r))")

    for phase in vk.phases:
        absorb(G1_BYTES * (phase.stop - phase.first), phase.challenges)
    absorb(G1_BYTES * vk.pieces, ["zeta"])
    length = SCALAR_BYTES * vk.evaluation_count
    lines.append(f"calldatacopy({layout.evaluation(0)}, add(proof, {at}), {length})")
    lines.append(f"mstore({evaluation_state}, mload({state}))")
    lines.append(f"mstore({state}, keccak256({evaluation_state}, {length + 32}))")
    at += length
    lines.append(f"mstore8({message}, 0)")
    lines.append(f"mstore({layout.word('v')}, mod(keccak256({state}, 33), r))")
    absorb(G1_BYTES, ["u"])
    return lines


def canonical(vk: VerifyingKey, layout: Layout) -> list[str]:
    """ok = every evaluation and the inverse are below r. Four a turn; what follows the evaluations is still zero."""
    four = [f"lt(mload(add(at, {32 * i})), r)" for i in range(1, 4)]
    return [
        f"ok := lt(calldataload(add(proof, {vk.proof_bytes - SCALAR_BYTES})), r)",
        f"for {{ let at := {layout.evaluation(0)} }} lt(at, {layout.evaluation(vk.evaluation_count)})"
        " { at := add(at, 128) } {",
        f"    ok := and(and(and(and(ok, lt(mload(at), r)), {four[0]}), {four[1]}), {four[2]})",
        "}",
    ]


def selectors(vk: VerifyingKey, layout: Layout) -> list[str]:
    """ok = the inverse fits; then 1/zeta, zeta^n - 1 and the row selectors at zeta."""
    n_inverse = pow(vk.n, -1, MODULUS)
    last = omega(vk, vk.last_row)
    return [
        f"let zeta := {layout.read('zeta')}",
        f"let inverse := calldataload(add(proof, {vk.proof_bytes - SCALAR_BYTES}))",
        f"let fromFirst := {minus(1, 'zeta')}",
        f"let fromLast := {minus(last, 'zeta')}",
        "ok := eq(mulmod(inverse, mulmod(zeta, mulmod(fromFirst, fromLast, r), r), r), 1)",
        f"mstore({layout.word('1/zeta')}, mulmod(inverse, mulmod(fromFirst, fromLast, r), r))",
        f"mstore({layout.word('selector 0')}, zeta)",
        "let power := mod(fromLast, r)",
        *(f"power := mulmod(power, {minus(omega(vk, i), 'zeta')}, r)" for i in range(vk.last_row + 1, vk.n)),
        f"mstore({layout.word('selector 3')}, power)",
        "power := zeta",
        *(["power := mulmod(power, power, r)"] * vk.k),
        f"mstore({layout.word('zeta^n')}, power)",
        "power := mulmod(add(power, sub(r, 1)), mulmod(inverse, zeta, r), r)",
        f"power := mulmod(power, {hex(n_inverse)}, r)",
        f"mstore({layout.word('selector 1')}, mulmod(power, fromLast, r))",
        f"mstore({layout.word('selector 2')}, mulmod(power, mulmod(fromFirst, {hex(last)}, r), r))",
    ]


def instances(vk: VerifyingKey, layout: Layout) -> list[str]:
    """Section 6: the instance sums, Horner over the words of each run from its last to its first."""
    lines: list[str] = []
    monomials = Monomials(layout, lines)
    drawn = {name for phase in vk.phases for name in phase.challenges}
    for column in vk.instances:
        lines.append("sum := 0")
        for run in column.runs:
            lines += _run(run, layout)
            weight = _lanes(run, monomials) if "psi" in drawn else str(run.replicas)
            factors = [x for x in (monomials.read([("chi", run.exponent)]), weight) if x != "1"]
            for factor in factors:
                lines.append(f"acc := mulmod(acc, {factor}, r)")
            lines.append("sum := addmod(sum, acc, r)")
        lines.append(f"mstore({layout.word(column.name)}, sum)")
    return lines


def _lanes(run: Run, monomials: Monomials) -> str:
    """psi^lane + psi^(lane + 1) + .. for the run's replicas."""
    lanes = [monomials.read([("psi", run.lane + i)]) for i in range(run.replicas)]
    weight = lanes[0]
    for lane in lanes[1:]:
        weight = f"addmod({lane}, {weight}, r)"
    return weight


def _run(run: Run, layout: Layout) -> list[str]:
    """acc = sum_j chi^j word_j. A short last word is read, completed with zeros, before the loop over the full ones."""
    stride = run.width * run.per_word
    if stride > 31:
        raise ValueError(f"{run.per_word} values of {run.width} bytes do not fit a word of 31 bytes")
    full, rest = divmod(run.count, run.per_word)
    lines = ["acc := 0"]
    if rest:
        length = run.width * rest
        word = _word(f"calldataload(add(publicValues, {run.offset + full * stride}))", length, run.width)
        lines = [f"acc := mulmod({word}, {literal(256 ** (stride - length))}, r)"]
    if full:
        first, stop = (f"add(publicValues, {run.offset + at})" for at in (0, full * stride))
        sign = literal(_signs(stride, run.width))
        chi = layout.read("chi")
        lines.append(f"acc := words(acc, {first}, {stop}, {stride}, {256 - 8 * stride}, {sign}, {chi}, r)")
    return lines


def _signs(length: int, width: int) -> int:
    """The sign bits of the values in a word: w two's complement bytes are the integer (bytes XOR 0x80..) - 0x80..."""
    return int.from_bytes((b"\x80" + bytes(width - 1)) * (length // width), "big")


def _word(load: str, length: int, width: int) -> str:
    sign = _signs(length, width)
    return f"add(xor(shr({256 - 8 * length}, {load}), {literal(sign)}), {hex(MODULUS - sign)})"


class Opening:
    """Section 7: the scalars of the MSM, from the rotation sets and the opened objects."""

    def __init__(self, vk: VerifyingKey, layout: Layout) -> None:
        self.vk, self.layout = vk, layout
        self.sets = list(dict.fromkeys([o.rotations for o in vk.opened] + [(0,)]))
        self.union = sorted({rotation for rotations in self.sets for rotation in rotations})

    def points(self) -> list[str]:
        """u - omega^t zeta for all t of T, and the products of them that the objects need."""
        layout = self.layout
        lines = [f"let zeta := {layout.read('zeta')}", f"let u := {layout.read('u')}"]
        for t in self.union:
            x = "zeta" if t == 0 else f"mulmod(zeta, {hex(omega(self.vk, t))}, r)"
            lines.append(f"mstore({layout.word(f'u - x {t}')}, add(u, sub(r, {x})))")
        for name, factors in self._products().items():
            product = layout.read(f"u - x {factors[0]}") if factors else "1"
            for t in factors[1:]:
                product = f"mulmod({layout.read(f'u - x {t}')}, {product}, r)"
            lines.append(f"mstore({layout.word(name)}, {product})")
        for rotations in self.sets:
            if len(rotations) > 1:
                lines += self._weights(rotations)
        last = layout.sent
        lines.append(f"mstore({layout.scalar(last)}, sub(r, mod({layout.read('Z all')}, r)))")
        lines.append(f"mstore({layout.scalar(last + 1)}, u)")
        return lines

    def _products(self) -> dict[str, list[int]]:
        """By name: the rotations t whose u - x_t are multiplied."""
        products = {"Z all": self.union}
        for rotations in self.sets:
            products[f"Z {rotations}"] = [t for t in self.union if t not in rotations]
            if len(rotations) > 1:
                products.update({f"P {t}": [s for s in self.union if s != t] for t in rotations})
        return products

    def _weights(self, rotations: tuple[int, ...]) -> list[str]:
        """Z_{T-S}(u) times the Lagrange basis of S at u: a constant times zeta^-(|S|-1) times prod over T but t."""
        lines = []
        for t in rotations:
            x = omega(self.vk, t)
            constant = pow(prod(x - omega(self.vk, s) for s in rotations if s != t), -1, MODULUS)
            weight = f"mulmod({hex(constant)}, {self.layout.read(f'P {t}')}, r)"
            for _ in rotations[1:]:
                weight = f"mulmod({self.layout.read('1/zeta')}, {weight}, r)"
            lines.append(f"mstore({self.layout.word(f'weight {rotations} {t}')}, {weight})")
        return lines

    def objects(self) -> list[list[str]]:
        """Function bodies over (power = v^j, constant): each object's scalar and its share of [1]'s scalar."""
        vk, layout = self.vk, self.layout
        lines: list[str] = []
        monomials = Monomials(layout, lines)
        chunks: list[list[str]] = []
        self.set: set[int] = set()
        evaluation = 0
        for o in vk.opened:
            lines.append(f"scalar := {self._scalar(o.rotations)}")
            lines.append(f"constant := {self._constant(o.rotations, evaluation)}")
            evaluation += len(o.rotations)
            if o.kind == "advice":
                lines.append(f"mstore({layout.scalar(o.index)}, scalar)")
            elif o.kind == "fixed":
                lines.append(self._accumulate(o.index, "scalar"))
            else:
                self._combination(vk.combinations[o.index], monomials)
            lines.append("power := mulmod(power, v, r)")
        lines.append(f"scalar := {self._scalar((0,))}")
        lines.append(f"constant := {self._constant((0,), evaluation)}")
        lines += self._quotient()
        chunks += [lines[i : i + 2 * CHUNK] for i in range(0, len(lines), 2 * CHUNK)]
        return chunks

    def _scalar(self, rotations: tuple[int, ...]) -> str:
        if rotations == tuple(self.union):
            return "power"
        return f"mulmod(power, {self.layout.read(f'Z {rotations}')}, r)"

    def _constant(self, rotations: tuple[int, ...], evaluation: int) -> str:
        layout = self.layout
        if len(rotations) == 1:
            return f"addmod(constant, mulmod(scalar, mload({layout.evaluation(evaluation)}), r), r)"
        terms = [
            f"mulmod(mload({layout.evaluation(evaluation + i)}), {layout.read(f'weight {rotations} {t}')}, r)"
            for i, t in enumerate(rotations)
        ]
        total = terms[0]
        for term in terms[1:]:
            total = f"addmod({term}, {total}, r)"
        return f"addmod(constant, mulmod(power, {total}, r), r)"

    def _accumulate(self, column: int, value: str) -> str:
        at = self.layout.scalar(self.layout.fixed_point(column))
        if column in self.set:
            return f"mstore({at}, addmod(mload({at}), {value}, r))"
        self.set.add(column)
        return f"mstore({at}, {value})"

    def _combination(self, combination: Combination, monomials: Monomials) -> None:
        for column, monomial in combination.terms:
            factor = monomials.read(monomial)
            value = "scalar" if factor == "1" else f"mulmod(scalar, {factor}, r)"
            monomials.lines.append(self._accumulate(column, value))

    def _quotient(self) -> list[str]:
        """Piece i has zeta^(i (n - 1)) times the quotient's scalar; then the generator's scalar."""
        layout, vk = self.layout, self.vk
        lines = [f"mstore({layout.scalar(vk.advice_count)}, scalar)"]
        if vk.pieces > 1:
            lines.append(f"power := mulmod({layout.read('zeta^n')}, {layout.read('1/zeta')}, r)")
        for i in range(1, vk.pieces):
            lines.append("scalar := mulmod(scalar, power, r)")
            lines.append(f"mstore({layout.scalar(vk.advice_count + i)}, scalar)")
        return [*lines, f"mstore({layout.scalar(layout.points - 1)}, sub(r, constant))"]


def sent_points(vk: VerifyingKey, layout: Layout) -> list[str]:
    """The proof's points into the MSM's input, W' also into the pairing's."""
    w = layout.sent * G1_BYTES + vk.evaluation_count * SCALAR_BYTES
    lines = [
        f"copy(proof, {hex(layout.msm)}, {layout.sent})",
        f"copy(add(proof, {w}), {hex(layout.point(layout.sent))}, 2)",
    ]
    for half in range(2):
        target = layout.pairing + 384 + 64 * half + 16
        lines.append(f"calldatacopy({hex(target)}, add(proof, {w + G1_BYTES + 48 * half}), 48)")
    return lines


def constants(vk: VerifyingKey, layout: Layout, inline: Iterable[int]) -> list[str]:
    """Fixed commitments that stand in the code, the generator, [1]_2 and -[tau]_2; zero words are there already."""
    words: list[tuple[int, int]] = []

    def place(address: int, values: list[int]) -> None:
        words.extend((address + 32 * i, value) for i, value in enumerate(values) if value)

    for column in inline:
        place(layout.point(layout.fixed_point(column)), coordinates(vk.fixed_commitments[column]))
    place(layout.point(layout.points - 1), coordinates(G1_GENERATOR))
    place(layout.pairing + 128, g2_words(vk.g2))
    place(layout.pairing + 512, g2_words(vk.tau_g2, negate=True))
    return [f"mstore({hex(address)}, {hex(value)})" for address, value in words]


def stored_points(layout: Layout, count: int) -> list[str]:
    """The first `count` fixed commitments from the data contract (whose first byte is STOP) into the MSM's input."""
    return [
        f"extcodecopy(source, {hex(layout.buffer)}, 1, {count * G1_BYTES})",
        f"let to := {hex(layout.point(layout.sent + 2))}",
        f"for {{ let from := {hex(layout.buffer)} }} lt(from, {hex(layout.buffer + count * G1_BYTES)})"
        f" {{ from := add(from, {G1_BYTES}) }} {{",
        "    mcopy(add(to, 16), from, 48)",
        "    mcopy(add(to, 80), add(from, 48), 48)",
        f"    to := add(to, {PAIR})",
        "}",
    ]
