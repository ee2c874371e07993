"""The parts of the contract that follow from the vk, as lines of Yul: one function a part, in the order they run.

Every part is the body of a Yul function that has r (the field's order) on its stack; what passes between parts lies in
named words of the layout. See docs/protocol.md sections 4 to 7, whose notation this follows. The public values' words
have a file of their own (public_words.py), and so has the opening (opening.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, VerifyingKey
from plonnx.plonk.program import INVERSE_PSI, MODULUS, PSI
from plonnx.solidity.layout import PAIR, Layout, coordinates, g2_words, of_circuit
from plonnx.solidity.opening import DIVISOR_INVERSE, Opening, omega
from plonnx.solidity.straight_line import DEPTH, literal

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


def minus(constant: int, variable: str) -> str:
    """variable - constant, below 2r."""
    return f"add({variable}, {literal(-constant % MODULUS)})"


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
        "// zeta - 1 and zeta - omega^u.",
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
