"""The parts of the contract that follow from the vk, as lines of Yul: one function a part, in the order they run.

Every part is the body of a Yul function that has r (the field's order) on its stack; what passes between parts lies in
named words of the layout. See docs/protocol.md sections 4 to 7, whose notation this follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, Combination, Monomial, Opened, Run, VerifyingKey
from plonnx.plonk.program import INVERSE_PSI, MODULUS, PSI
from plonnx.solidity.arithmetic import power_below
from plonnx.solidity.layout import PAIR, Layout, coordinates, fixed_places, g2_words, of_circuit
from plonnx.solidity.straight_line import CHUNK, DEPTH, chunks, literal

G1_GENERATOR = bytes.fromhex(
    "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
)
G2_GENERATOR = bytes.fromhex(  # x.c1 || x.c0 || y.c1 || y.c0
    "13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    "0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be"
    "0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
)

UNROLLED = 24  # points that are copied without a loop
UNROLLED_WORDS = 8  # of public values, in one turn of their loop
DIVISOR_INVERSE = "1/divisor"  # the word with 1/Z_D(u)
NESTED = 4  # terms of Horner in one expression: each takes a word of stack


def omega(vk: VerifyingKey, exponent: int) -> int:
    """omega^exponent."""
    return pow(pow(7, (MODULUS - 1) // vk.n, MODULUS), exponent % vk.n, MODULUS)


def minus(constant: int, variable: str) -> str:
    """variable - constant, below 2r."""
    return f"add({variable}, {literal(-constant % MODULUS)})"


class Monomials:
    """Products of challenge powers, each computed once by the shortest chain at hand and kept in a word."""

    def __init__(self, layout: Layout, lines: list[str], known: set[Monomial] | None = None) -> None:
        self.layout, self.lines = layout, lines
        self.known: set[Monomial] = set() if known is None else known

    def read(self, monomial: Iterable[tuple[str, int]]) -> str:
        """An expression for the monomial."""
        factors = tuple(sorted((name, exponent) for name, exponent in monomial if exponent))
        if not factors:
            return "1"
        if factors == ((factors[0][0], 1),):
            return self.layout.read(factors[0][0])
        # A word of its own: a circuit may call its instance columns and challenges "chi^2".
        names = f"product {factors!r}", " * ".join(f"{c}^{e}" for c, e in factors)
        if factors not in self.known:
            self.known.add(factors)
            left, right = self._split(factors)
            product = f"mulmod({self.read(left)}, {self.read(right)}, r)"
            self.lines.append(f"mstore({self.layout.word(*names)}, {product})")
        return f"mload({self.layout.word(*names)})"

    def _split(self, factors: Monomial) -> tuple[Monomial, Monomial]:
        """Two shorter monomials with this product: many challenges into one and the rest, powers by what is known."""
        if len(factors) > 1:
            return factors[:1], factors[1:]
        ((challenge, exponent),) = factors
        if ((challenge, exponent - 1),) in self.known:
            return ((challenge, exponent - 1),), ((challenge, 1),)
        high = power_below(exponent)
        return ((challenge, high),), ((challenge, exponent - high),)


def transcript(vk: VerifyingKey, layout: Layout) -> list[str]:
    """Section 4: state and messages lie side by side in the buffer; the evaluations are absorbed where they stay."""
    state, message, evaluation_state = map(layout.name, (layout.buffer, layout.buffer + 32, layout.evaluations - 32))
    hashed = layout.name(layout.hashed)
    opening = b"plonnx proof v1" + vk.digest
    words = [opening[i : i + 32].ljust(32, b"\0").hex() for i in range(0, len(opening), 32)]
    lines = [
        f"calldatacopy({hashed}, publicValues, {vk.public_bytes})",
        f"let hash := keccak256({hashed}, {vk.public_bytes})",
        *(f"mstore({layout.name(layout.buffer + 32 * i)}, 0x{word})" for i, word in enumerate(words)),
        f"mstore(add({state}, {len(opening)}), context)",
        f"mstore(add({state}, {len(opening) + 32}), hash)",
        f"mstore({state}, keccak256({state}, {len(opening) + 64}))",
    ]
    at = 0

    def absorb(length: int, names: Iterable[str], what: str) -> None:
        nonlocal at
        lines.append(f"// {what}")
        lines.append(f"calldatacopy({message}, add(proof, {at}), {length})")
        lines.append(f"mstore({state}, keccak256({state}, {length + 32}))")
        at += length
        for j, name in enumerate(names):
            lines.append(f"mstore8({message}, {j})")
            lines.append(f"mstore({layout.word(name)}, mod(keccak256({state}, 33), r))")

    for number, phase in enumerate(vk.phases):
        absorb(G1_BYTES * len(vk.opened_in_phase(phase)), map(of_circuit, phase.challenges), f"Phase {number}.")
    absorb(G1_BYTES * (vk.pieces + len(vk.masked)), ["zeta"], "The quotient's pieces, masks.")
    length = SCALAR_BYTES * vk.evaluation_count
    lines.append("// Evaluations.")
    lines.append(f"calldatacopy({layout.evaluation(0)}, add(proof, {at}), {length})")
    lines.append(f"mstore({evaluation_state}, mload({state}))")
    lines.append(f"mstore({state}, keccak256({evaluation_state}, {length + 32}))")
    at += length
    lines.append(f"mstore8({message}, 0)")
    lines.append(f"mstore({layout.word('v')}, mod(keccak256({state}, 33), r))")
    absorb(G1_BYTES, ["u"], "W.")
    return lines


def canonical(vk: VerifyingKey, layout: Layout) -> list[str]:
    """ok = every evaluation and the inverse are below r."""
    lines = [f"ok := lt(calldataload(add(proof, {vk.proof_bytes - SCALAR_BYTES})), r)"]
    for start in range(0, vk.evaluation_count, DEPTH):
        text = "ok"
        for number in range(start, min(start + DEPTH, vk.evaluation_count)):
            text = f"and(lt(mload({layout.evaluation(number)}), r), {text})"
        lines.append(f"ok := {text}")
    return lines


def selectors(vk: VerifyingKey, layout: Layout, opening: Opening) -> list[str]:
    """ok = the inverse fits; then what else it gives, zeta^n - 1 and the row selectors at zeta."""
    n_inverse = pow(vk.n, -1, MODULUS)
    last = omega(vk, vk.last_row)
    lines = [
        f"let zeta := {layout.read('zeta')}",
        f"let inverse := calldataload(add(proof, {vk.proof_bytes - SCALAR_BYTES}))",
        f"let fromFirst := {minus(1, 'zeta')}",
        f"let fromLast := {minus(last, 'zeta')}",
        f"mstore({layout.word('selector 0')}, zeta)",
        f"// zeta^n, n = 2^{vk.k}.",
        "let power := zeta",
        *(["power := mulmod(power, power, r)"] * vk.k),
        f"mstore({layout.word('zeta^n')}, power)",
        "let vanishing := add(power, sub(r, 1))",
        f"mstore({layout.word('zeta^n - 1')}, vanishing)",
        "// The inverse of zeta (zeta - 1) (zeta - omega^u) (zeta^n - 1), and of what else is a factor.",
        "let both := mulmod(fromFirst, fromLast, r)",
        "let whole := mulmod(zeta, vanishing, r)",
        *_other_inverses(vk, layout, opening),
        "ok := eq(mulmod(inverse, mulmod(whole, both, r), r), 1)",
        "both := mulmod(inverse, both, r)",
        f"mstore({layout.word('1/zeta')}, mulmod(both, vanishing, r))",
        f"mstore({layout.word('1/(zeta^n - 1)')}, mulmod(both, zeta, r))",
        "// L_0 = (zeta^n - 1) / (n (zeta - 1)), L_u = omega^u (zeta^n - 1) / (n (zeta - omega^u)).",
        f"whole := mulmod(mulmod(inverse, whole, r), mulmod(vanishing, {hex(n_inverse)}, r), r)",
        f"mstore({layout.word('selector 1')}, mulmod(whole, fromLast, r))",
        f"mstore({layout.word('selector 2')}, mulmod(whole, mulmod(fromFirst, {hex(last)}, r), r))",
        "// (zeta - omega^u) .. (zeta - omega^(n - 1)).",
        "power := mod(fromLast, r)",
        *(f"power := mulmod(power, {minus(omega(vk, i), 'zeta')}, r)" for i in range(vk.last_row + 1, vk.n)),
        f"mstore({layout.word('selector 3')}, power)",
    ]
    return opening.atoms() + lines


def _other_inverses(vk: VerifyingKey, layout: Layout, opening: Opening) -> list[str]:
    """1/psi and 1/Z_D(u), where they are factors of the proof's inverse; then the inverse without them."""
    factors = []
    if vk.inverts_psi:
        factors.append((of_circuit(INVERSE_PSI), layout.read(of_circuit(PSI))))
    if opening.lacking:
        factors.append((DIVISOR_INVERSE, opening.read(opening.lacking)))
    if not factors:
        return []
    lines = ["let rest := mulmod(inverse, mulmod(whole, both, r), r)"]
    for at, (name, _) in enumerate(factors):
        others = [value for i, (_, value) in enumerate(factors) if i != at]
        lines.append(f"mstore({layout.word(name)}, {f'mulmod(rest, {others[0]}, r)' if others else 'rest'})")
    return lines + [f"inverse := mulmod(inverse, {value}, r)" for _, value in factors]


def instances(vk: VerifyingKey, layout: Layout) -> list[str]:
    """Section 6: of each run sum_j chi^j word_j, Horner from its last word to its first. The program does the rest."""
    lines: list[str] = []
    for name, run in run_words(vk):
        lines += _run(run, layout)
        lines.append(f"mstore({layout.word(of_circuit(name))}, mod(acc, r))")
    return lines


def run_words(vk: VerifyingKey) -> list[tuple[str, Run]]:
    """The runs of public values, column by column, with a name for the sum of each one's words; no challenge has it."""
    drawn = [name for phase in vk.phases for name in phase.challenges]
    name = "run"
    while any(each.startswith(name) for each in drawn):
        name += "_"
    return [(f"{name} {i}", run) for i, run in enumerate(run for column in vk.instances for run in column.runs)]


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
        lines.append(f"acc := {_loop(stride, run.width)}(acc, {first}, {stop}, {layout.read(of_circuit('chi'))}, r)")
    return lines


def _loop(stride: int, width: int) -> str:
    """The name of the loop over words of `stride` bytes in values of `width`."""
    return f"words{stride}by{width}"


def word_loops(vk: VerifyingKey) -> list[tuple[str, list[str]]]:
    """For each kind of full words a function (acc, first, end, chi, r) -> sum, by name: Horner's rule, backwards.

    The word that ends at `end` is the calldata word that begins 32 bytes before it, without what stands above.
    """
    loops: dict[str, list[str]] = {}
    for run in (run for column in vk.instances for run in column.runs if run.count >= run.per_word):
        stride = run.width * run.per_word
        mask, signs = (1 << 8 * stride) - 1, _signs(stride, run.width)

        def steps(count: int, stride: int = stride, mask: int = mask) -> list[str]:
            ends = [f"sub(end, {32 + stride * i})" for i in range(count)]
            word = "xor(and(calldataload({}), {}), signs)"
            return [f"sum := add(mulmod(sum, chi, r), add({word.format(at, hex(mask))}, base))" for at in ends]

        loops[_loop(stride, run.width)] = [
            "sum := acc",
            f"let signs := {hex(signs)}",
            "let base := sub(r, signs)",
            f"for {{ let all := add(first, {UNROLLED_WORDS * stride - 1}) }} gt(end, all) {{ end := sub(end, "
            f"{UNROLLED_WORDS * stride}) }} {{",
            *(f"    {line}" for line in steps(UNROLLED_WORDS)),
            "}",
            f"for {{}} gt(end, first) {{ end := sub(end, {stride}) }} {{",
            *(f"    {line}" for line in steps(1)),
            "}",
        ]
    return sorted(loops.items())


def _signs(length: int, width: int) -> int:
    """The sign bits of the values in a word: w two's complement bytes are the integer (bytes XOR 0x80..) - 0x80..."""
    return int.from_bytes((b"\x80" + bytes(width - 1)) * (length // width), "big")


def _word(load: str, length: int, width: int) -> str:
    sign = _signs(length, width)
    return f"add(xor(shr({256 - 8 * length}, {load}), {literal(sign)}), {hex(MODULUS - sign)})"


def horner(evaluations: Sequence[str], x: str, high: str = "") -> str:
    """sum_i x^i e_i, with `high` for what lies above them: one mulmod and one add each, below 2r."""
    text = high
    for at in reversed(evaluations):
        text = f"add(mload({at}), mulmod({x}, {text}, r))" if text else f"mload({at})"
    return text


Atom = tuple[int, int]  # (t, rotation): X^t - omega^rotation zeta


class Opening:
    """Section 7: the scalars of the MSM. Polynomials with the same atoms are taken together.

    With c_S = Z_P(u) / Z_S(u) for a set S of atoms, P the pivot's, and the Lagrange basis b_a of S at u^t,

        the scalar of C_j is   v^e(j) c_S
        that of [1] is         - sum_S sum_a (c_S b_a) sum_{j in S} v^e(j) sum_i u^i f_{j,i}(a)

    whose inner sums are Horner's: an evaluation costs one mulmod and one add.
    """

    def __init__(self, vk: VerifyingKey, layout: Layout) -> None:
        self.vk, self.layout = vk, layout
        self.places = fixed_places(vk)
        self.sets: dict[tuple[Atom, ...], list[int]] = {}
        self.first: list[int] = []  # number of the first evaluation of each polynomial
        evaluation = 0
        for j, o in enumerate(vk.opened):
            self.sets.setdefault(tuple((o.packing, rotation) for rotation in o.rotations), []).append(j)
            self.first.append(evaluation)
            evaluation += o.evaluations
        self.union = sorted({atom for atoms in self.sets for atom in atoms})
        pivot = vk.opened[vk.pivot]
        self.most = tuple(atom for atom in self.union if atom[0] == pivot.packing and atom[1] in pivot.rotations)
        self.lacking = tuple(atom for atom in self.union if atom not in self.most)  # D: atoms that the pivot lacks
        self.products: set[tuple[Atom, ...]] = set()
        self.written: set[str] = set()
        # e(j); the pivot comes first in its set.
        order = list(range(len(vk.opened)))
        order.insert(0, order.pop(vk.pivot))
        self.exponent = {j: e for e, j in enumerate(order)}
        self.sets = {atoms: sorted(numbers, key=self.exponent.__getitem__) for atoms, numbers in self.sets.items()}

    def share(self, atoms: Sequence[Atom]) -> tuple[tuple[Atom, ...], bool]:
        """c_S as the product of some atoms, and whether that is divided by Z_D(u)."""
        divided = any(atom in self.lacking for atom in atoms)
        return tuple(atom for atom in (self.union if divided else self.most) if atom not in atoms), divided

    def atoms(self) -> list[str]:
        """The atoms at u, and Z_D(u)."""
        layout = self.layout
        lines: list[str] = []
        powers = Monomials(layout, lines)
        shifted = {0: layout.read("zeta")}
        for t, rotation in self.union:
            if rotation not in shifted:
                lines.append(f"let zeta{len(shifted)} := mulmod({shifted[0]}, {hex(omega(self.vk, rotation))}, r)")
                shifted[rotation] = f"zeta{len(shifted)}"
            power = powers.read([("u", t)])
            at = layout.word(_product_name([(t, rotation)]))
            lines.append(f"// u^{t} - omega^{rotation} zeta")
            lines.append(f"mstore({at}, add({power}, sub(r, {shifted[rotation]})))")
        self.products |= {(atom,) for atom in self.union}
        self._product(self.lacking, lines)
        return lines

    def read(self, atoms: Sequence[Atom]) -> str:
        """An expression for a product of atoms that is there."""
        return self.layout.read(_product_name(atoms))

    def points(self) -> list[str]:
        """c_S of every set, its Lagrange basis; the scalars of W and W'."""
        layout = self.layout
        lines: list[str] = []
        for atoms in self.sets:
            made: list[str] = []
            self._write_share(atoms, made)
            if len(atoms) > 1:
                made += self._weights(atoms)
            lines += [f"// c_S and its Lagrange basis, S = {_written(atoms)}.", *made] if made else []
        self._product(self.most, lines)
        last = layout.sent
        lines.append(f"mstore({layout.scalar(last)}, sub(r, mod({self.read(self.most)}, r)))")
        lines.append(f"mstore({layout.scalar(last + 1)}, {layout.read('u')})")
        return lines

    def _product(self, atoms: tuple[Atom, ...], lines: list[str]) -> str:
        """An expression for the product of atoms at u, kept in a word; empty for no atoms."""
        if not atoms:
            return ""
        if atoms not in self.products:
            known = [at for at in range(len(atoms)) if atoms[:at] + atoms[at + 1 :] in self.products]
            at = known[0] if known else len(atoms) - 1
            rest = self._product(atoms[:at] + atoms[at + 1 :], lines)
            value = f"mulmod({self._product((atoms[at],), lines)}, {rest}, r)"
            lines.append(f"mstore({self.layout.word(_product_name(atoms))}, {value})")
            self.products.add(atoms)
        return self.read(atoms)

    def _write_share(self, atoms: Sequence[Atom], lines: list[str]) -> str:
        """An expression for c_S, kept in a word; empty for 1."""
        factors, divided = self.share(atoms)
        product = self._product(factors, lines)
        if not divided:
            return product
        inverse = self.layout.read(DIVISOR_INVERSE)
        if not product:
            return inverse
        name = _share_name(atoms)
        if name not in self.written:
            lines.append(f"mstore({self.layout.word(name)}, mulmod({product}, {inverse}, r))")
            self.written.add(name)
        return self.layout.read(name)

    def _weights(self, atoms: tuple[Atom, ...]) -> list[str]:
        """c_S times the Lagrange basis of S at u^t: a constant times zeta^-(|S|-1) times c of the atom alone."""
        lines: list[str] = []
        for atom in atoms:
            x = omega(self.vk, atom[1])
            constant = pow(prod(x - omega(self.vk, s) for _, s in atoms if s != atom[1]), -1, MODULUS)
            weight = f"mulmod({hex(constant)}, {self.layout.read('1/zeta')}, r)"
            for _ in atoms[2:]:
                weight = f"mulmod({self.layout.read('1/zeta')}, {weight}, r)"
            if share := self._write_share([atom], lines):
                weight = f"mulmod({share}, {weight}, r)"
            lines.append(f"mstore({self.layout.word(_weight_name(atoms, atom))}, {weight})")
        return lines

    def objects(self, known: set[Monomial]) -> list[list[str]]:
        """Function bodies over (scalar, sum, constant): each polynomial's scalar and all shares of [1]'s."""
        lines: list[str] = []
        monomials = Monomials(self.layout, lines, known)
        for atoms, numbers in self.sets.items():
            lines.append(f"// v^e(j) c_S, S = {_written(atoms)}.")
            self._scalars(atoms, numbers, monomials)
        for atoms, numbers in self.sets.items():
            for at, atom in enumerate(atoms):
                lines.append(
                    f"// c_S b_a sum_j v^e(j) sum_i u^i f_ji(a), S = {_written(atoms)}, a = {_written([atom])}."
                )
                self._sum(at, numbers, monomials)
                several = len(atoms) > 1
                weight = self.layout.read(_weight_name(atoms, atom)) if several else self._write_share(atoms, lines)
                share = f"mulmod(sum, {weight}, r)" if weight else "sum"
                lines.append(f"constant := addmod(constant, {share}, r)")
        lines.append(f"mstore({self.layout.scalar(self.layout.points - 1)}, sub(r, constant))")
        return chunks(lines, 2 * CHUNK)

    def _power(self, exponent: int, monomials: Monomials) -> str:
        return "v" if exponent == 1 else monomials.read([("v", exponent)])

    def _scalars(self, atoms: tuple[Atom, ...], numbers: list[int], monomials: Monomials) -> None:
        """v^e(j) c_S for the polynomials of a set, each from the one before."""
        lines = monomials.lines
        value = self._write_share(atoms, lines) or "1"
        before, reduced = 0, value == "1"
        for j in numbers:
            if j == self.vk.pivot and self.layout.pivot is not None:
                continue
            if self.exponent[j] > before:
                power = self._power(self.exponent[j] - before, monomials)
                value = power if value == "1" else f"mulmod({value}, {power}, r)"
                reduced = True
            lines.append(f"scalar := {value if reduced else f'mod({value}, r)'}")
            value, before, reduced = "scalar", self.exponent[j], True
            self._place(self.vk.opened[j], j, monomials)

    def _place(self, o: Opened, number: int, monomials: Monomials) -> None:
        """Write a polynomial's scalar to its commitment, or to those of the columns that it combines."""
        layout, lines = self.layout, monomials.lines
        if o.kind == "combination":
            index = o.members[0]
            self._combination(self.vk.combinations[index], monomials)
            if index in self.vk.masked:
                at = layout.scalar(layout.masks + self.vk.masked.index(index))
                lines.append(f"mstore({at}, mulmod(scalar, {layout.read('zeta^n - 1')}, r))")
        elif o.kind == "fixed":
            self._add(o.members[0], "scalar", lines)
        elif o.kind == "quotient":
            self._pieces(monomials)
        else:
            before = layout.pivot is not None and layout.pivot < number
            lines.append(f"mstore({layout.scalar(number - before)}, scalar)")

    def _pieces(self, monomials: Monomials) -> None:
        """The scalars of the quotient's pieces: times powers of zeta^(t n - 2)."""
        layout, lines = self.layout, monomials.lines
        lines.append(f"mstore({layout.scalar(layout.pieces)}, scalar)")
        if self.vk.pieces > 1:
            power, inverse = monomials.read([("zeta^n", self.vk.packing)]), layout.read("1/zeta")
            lines.append(f"sum := mulmod({power}, mulmod({inverse}, {inverse}, r), r)")
        for i in range(1, self.vk.pieces):
            lines.append("scalar := mulmod(scalar, sum, r)")
            lines.append(f"mstore({layout.scalar(layout.pieces + i)}, scalar)")

    def _add(self, column: int, value: str, lines: list[str]) -> None:
        at = self.layout.scalar(self.layout.fixed_point(self.places[column]))
        lines.append(f"mstore({at}, {f'addmod(mload({at}), {value}, r)' if at in self.written else value})")
        self.written.add(at)

    def _combination(self, combination: Combination, monomials: Monomials) -> None:
        """The columns' factors, by degree, each from the one before where that is a multiplication by one monomial."""
        before: dict[str, int] = {}
        running = "scalar"
        for column, monomial in sorted(combination.terms, key=lambda term: sum(e for _, e in term[1])):
            powers = {name: exponent for name, exponent in monomial if exponent}
            if any(powers.get(name, 0) < exponent for name, exponent in before.items()):
                before, running = {}, "scalar"
            step = monomials.read((of_circuit(name), e - before.get(name, 0)) for name, e in powers.items())
            if step != "1":
                monomials.lines.append(f"sum := mulmod({running}, {step}, r)")
                before, running = powers, "sum"
            self._add(column, running, monomials.lines)

    def _sum(self, at: int, numbers: list[int], monomials: Monomials) -> None:
        """sum = sum_j v^e(j) sum_i u^i (value of member i at the set's atom number `at`)."""
        lines = monomials.lines
        after = 0
        for j in reversed(numbers):
            o = self.vk.opened[j]
            first, width = self.first[j] + at, len(o.rotations)
            values = [self.layout.evaluation(first + width * i) for i in range(len(o.members))]
            if o.kind == "quotient":
                values = [self.layout.word("quotient")]
            *blocks, lowest = [values[i : i + NESTED] for i in range(0, len(values), NESTED)][::-1]
            high = ""
            for block in blocks:
                lines.append(f"scalar := {horner(block, 'u', high)}")
                high = "scalar"
            text = horner(lowest, "u", high)
            power = "" if j == numbers[-1] else self._power(after - self.exponent[j], monomials)
            if j == numbers[-1]:
                lines.append(f"sum := {text}")
            elif len(values) == 1:
                lines.append(f"sum := add({text}, mulmod(sum, {power}, r))")
            else:
                lines.append(f"sum := addmod({text}, mulmod(sum, {power}, r), r)")
            after = self.exponent[j]
        if after:
            lines.append(f"sum := mulmod(sum, {self._power(after, monomials)}, r)")


def _product_name(atoms: Iterable[Atom]) -> str:
    held = [f"{t} {rotation}" for t, rotation in atoms]
    return f"atom{'s' * (len(held) > 1)} {', '.join(held)}"


def _written(atoms: Iterable[Atom]) -> str:
    """A set of atoms for a comment: the packing and the rotation of each."""
    return "{" + ", ".join(f"u^{t} - omega^{rotation} zeta" for t, rotation in atoms) + "}"


def _share_name(atoms: Iterable[Atom]) -> str:
    return f"share of {_product_name(atoms)}"


def _weight_name(atoms: tuple[Atom, ...], atom: Atom) -> str:
    return f"weight of {_product_name([atom])} in {_product_name(atoms)}"


def sent_points(vk: VerifyingKey, layout: Layout) -> list[str]:
    """The proof's points into the MSM's input, the pivot into G1ADD's, W' also into the pairing's."""
    w = vk.commitment_count * G1_BYTES + vk.evaluation_count * SCALAR_BYTES
    places = list(range(vk.commitment_count))
    lines = []
    if layout.pivot is not None:
        places.remove(layout.pivot)
        lines += _copy(layout, G1_BYTES * layout.pivot, layout.addition + 128)
    if layout.sent <= UNROLLED:
        for at, i in enumerate(places):
            lines += _copy(layout, G1_BYTES * i, layout.point(at))
    else:
        before = layout.sent if layout.pivot is None else layout.pivot
        if before:
            lines.append(f"copy(proof, {layout.name(layout.msm)}, {before})")
        if before < layout.sent:
            rest = f"add(proof, {G1_BYTES * (before + 1)})"
            lines.append(f"copy({rest}, {layout.name(layout.point(before))}, {layout.sent - before})")
    for i in range(2):
        lines += _copy(layout, w + G1_BYTES * i, layout.point(layout.sent + i))
    return lines + _copy(layout, w + G1_BYTES, layout.pairing + 384)


def _copy(layout: Layout, offset: int, target: int) -> list[str]:
    """A point of the proof, each coordinate padded to 64 bytes."""
    places = [layout.name(target + 64 * half + 16) for half in range(2)]
    return [f"calldatacopy({place}, add(proof, {offset + 48 * half}), 48)" for half, place in enumerate(places)]


def constants(vk: VerifyingKey, layout: Layout, inline: Iterable[int]) -> list[str]:
    """Fixed commitments that stand in the code, the generator, [1]_2 and -[tau]_2; zero words are there already."""
    words: list[tuple[int, int]] = []

    def place(address: int, values: list[int]) -> None:
        words.extend((address + 32 * i, value) for i, value in enumerate(values) if value)

    for number in inline:
        place(layout.point(layout.fixed_point(number)), coordinates(vk.fixed_commitments[number]))
    place(layout.point(layout.points - 1), coordinates(G1_GENERATOR))
    place(layout.pairing + 128, g2_words(G2_GENERATOR))
    place(layout.pairing + 512, g2_words(vk.tau_g2, negate=True))
    return [f"mstore({layout.name(address)}, {hex(value)})" for address, value in words]


def stored_points(layout: Layout, counts: Sequence[int]) -> list[str]:
    """The first fixed commitments from the data contracts (a STOP, then records of 160 bytes) into the MSM's input."""
    lines, at = [], layout.sent + 2
    for number, count in enumerate(counts):
        lines.append(f"extcodecopy(source{number}, {layout.name(layout.point(at))}, 1, {count * PAIR})")
        at += count
    return lines
