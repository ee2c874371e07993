"""The shared form: one verifier for all models, and a key as the code of a contract (docs/protocol.md section 12).

The code starts with STOP, so that nothing runs there. The rest is what the shared verifier reads: numbers, points and
the tapes of equations.py. The **key hash**, keccak256 of the code, stands for the key: it follows from model.vk alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from plonnx._native import keccak256
from plonnx.kzg import prices
from plonnx.kzg.origin import unsafe_points
from plonnx.kzg.wording import option
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.plonk.public_values import CHI
from plonnx.solidity.abi import KeyReference, checked_address
from plonnx.solidity.equations import challenges, equations
from plonnx.solidity.generator import CODE_LIMIT, DEVELOPMENT_CHAINS, circuit_words, error_selector, template
from plonnx.solidity.layout import Layout, coordinates, g2_words
from plonnx.solidity.sections import G1_GENERATOR, G2_GENERATOR
from plonnx.solidity.tape import ZERO, Instruction, Place, Tape, assemble

SHARED_VERIFIER = "PlonnxSharedVerifier"
VERSION = 2  # of the key contracts' format
START = 0x400  # where the shared verifier puts the code from its second byte on
WORD = 32
PREFIX = 2 * WORD + 192  # bytes before the constants: digest, numbers, [tau]_2
BLOCK = 6  # instructions in one turn of the loop that runs a tape
OPERAND_BITS = 12
BLOCK_BYTES = BLOCK * 3 * OPERAND_BITS // 8
WORDS = 1 << OPERAND_BITS  # of memory that an instruction can name
NO_PIVOT = 0xFFFF
NOTHING = Instruction(ZERO, ZERO, ZERO)


def emit_shared_verifier() -> str:
    """The source of contract `PlonnxSharedVerifier`: the same for all models."""
    return _render(split=False)


def emit_split(vk: VerifyingKey) -> str:
    """The source of contract `Verifier` for one key: the shared form, told of that key alone.

    The constructor puts the key into a contract. ValueError for a key that no contract holds.
    """
    key = KeyContract(vk)
    return _render(split=True, key=key.code.hex(), key_hash=key.hash.hex(), **circuit_words(vk, Layout(vk)))


def _render(**words: Any) -> str:
    words.setdefault("development_chains", DEVELOPMENT_CHAINS)
    return template("SharedVerifier.sol.j2").render(
        words,
        modulus=MODULUS,
        generator=b"".join(_numbers(WORD, word) for word in coordinates(G1_GENERATOR)).hex(),
        one=coordinates(G1_GENERATOR),
        one_g2=g2_words(G2_GENERATOR),
        unsafe=[keccak256(_negated(point)).hex() for point in unsafe_points()],
        version=VERSION,
        block=BLOCK,
        pairing_gas=prices.PAIRING,
        add_gas=prices.ADDITION,
        single_gas=prices.g1_msm(1),
        wrong_key=error_selector("WrongKey"),
        unsafe_setup=error_selector("UnsafeSetup"),
        insufficient_gas=error_selector("InsufficientGas"),
    )


@dataclass(frozen=True)
class KeyContract:
    """The contract that holds a key. `code` raises ValueError for one that the shared verifier cannot take."""

    vk: VerifyingKey

    @cached_property
    def code(self) -> bytes:
        """What lies on the chain."""
        return _encode(self.vk, self.tape)

    @cached_property
    def tape(self) -> Tape:
        """The arithmetic that the code holds."""
        made = equations(self.vk)
        return assemble(made.arithmetic, [made.inverse, *made.scalars])

    @cached_property
    def hash(self) -> bytes:
        """What a caller of the shared verifier must know: keccak256 of the code, its EXTCODEHASH."""
        return keccak256(self.code)

    @property
    def creation(self) -> bytes:
        """What creates it: PUSH2 length, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN; then the code."""
        return bytes.fromhex(f"61{len(self.code):04x}80600a5f395ff3") + self.code


def reference(vk: VerifyingKey, address: str, proofs: Sequence[Proof] = ()) -> KeyReference:
    """What the shared verifier is told of a key whose contract is at an address; the proofs must be the key's."""
    if any(proof.vk_digest != vk.digest for proof in proofs):
        raise ValueError("the proof was made for another verifying key")
    return KeyReference(checked_address(address), KeyContract(vk).hash)


def _encode(vk: VerifyingKey, tape: Tape) -> bytes:
    layout = Layout(vk)
    first, second = _padded(tape.first), _padded(tape.second)
    runs = [run for column in vk.instances for run in column.runs]
    messages = [(len(vk.opened_in_phase(phase)), len(phase.challenges)) for phase in vk.phases]
    messages.append((vk.pieces + len(vk.masked), 1))
    counts = {
        "constants": 3,
        "drawn": 4,
        "state": 1,
        "evaluations": vk.evaluation_count,
        "challenges": sum(drawn for _, drawn in messages),
        "words": len(runs),
        "small": len(tape.small),
        "first": len(first),
        "runs": len(tape.runs),
        "second": len(second),
    }
    before = [
        vk.digest,
        _numbers(1, VERSION, vk.k, len(messages), challenges(vk).index(CHI) if runs else 0),
        _numbers(4, vk.public_bytes, prices.g1_msm(layout.points)),
        _numbers(2, vk.evaluation_count, len(tape.wide), len(layout.fixed), len(runs), len(tape.small)),
        _numbers(2, len(first) // BLOCK, len(tape.runs), len(second) // BLOCK),
        _numbers(2, NO_PIVOT if layout.pivot is None else layout.pivot, 0),
        _negated(vk.tau_g2),
        _numbers(WORD, *tape.wide),
        *(vk.fixed_commitments[number] for number in layout.fixed),
        *(_numbers(2, points) + _numbers(1, drawn) for points, drawn in messages),
        *(_numbers(4, run.offset, run.count) + _numbers(1, run.width, run.per_word) for run in runs),
        _numbers(4, *tape.small),
    ]
    size = 1 + sum(map(len, before)) + 8 * len(tape.runs) + 2 * len(tape.outputs)
    size += BLOCK_BYTES * (len(first) + len(second)) // BLOCK
    number, words = _numbering(counts, -(-(START + size - 1) // WORD))
    if size > CODE_LIMIT or words > WORDS:
        raise ValueError(
            f"the key's contract would have {size:,} bytes and need {words:,} words of memory, of at most"
            f" {CODE_LIMIT:,} and {WORDS:,}: compile with {option('optimize', 'gas')} or balanced, for a larger"
            f" setup ({option('srs_size')}), or use a verifier of its own"
        )
    after = [
        *(_numbers(2, number(run.first), run.terms, run.stride, number(run.x)) for run in tape.runs),
        _numbers(2, *map(number, tape.outputs)),
        *(_block(part[at : at + BLOCK], number) for part in (first, second) for at in range(0, len(part), BLOCK)),
    ]
    return b"".join([b"\0", *before, *after])


def _numbering(counts: Mapping[str, int], start: int) -> tuple[Callable[[Place], int], int]:
    """Where each space begins, one behind the other, as a function to the number of a word; and the first that is free.

    Constants of a whole word stay where the code has them.
    """
    begins = {"wide": (START + PREFIX) // WORD}
    for space, count in counts.items():
        begins[space] = start
        start += count
    return lambda place: begins[place.space] + place.index, start


def _padded(part: Sequence[Instruction]) -> list[Instruction]:
    return [*part, *[NOTHING] * (-len(part) % BLOCK)]


def _block(instructions: Iterable[Instruction], number: Callable[[Place], int]) -> bytes:
    """The numbers of three operands each, 12 bits a number."""
    held = 0
    for operand in (operand for instruction in instructions for operand in instruction):
        held = held << OPERAND_BITS | number(operand)
    return held.to_bytes(BLOCK_BYTES, "big")


def _numbers(width: int, *values: int) -> bytes:
    return b"".join(value.to_bytes(width, "big") for value in values)


def _negated(tau_g2: bytes) -> bytes:
    """-[tau]_2, its coordinates in the order of EIP-2537, 48 bytes each."""
    words = g2_words(tau_g2, negate=True)
    return b"".join(_numbers(48, words[at] << 256 | words[at + 1]) for at in range(0, len(words), 2))
