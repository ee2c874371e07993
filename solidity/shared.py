"""The shared form: one verifier for all models, and a key as the code of a contract (docs/protocol.md section 12).

The code starts with STOP, so that nothing runs there. The rest is what the shared verifier reads: numbers, points and
the tapes of equations.py. The **key hash**, keccak256 of the code, stands for the key: it follows from model.vk alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from plonnx._native import keccak256
from plonnx.kzg import prices
from plonnx.kzg.origin import unsafe_points
from plonnx.kzg.prices import CODE_LIMIT, LONGEST_AT_ONCE, LONGEST_KEY, LONGEST_SPLIT_KEY
from plonnx.kzg.wording import option
from plonnx.plonk.keys import Proof, Run, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.plonk.public_values import CHI
from plonnx.solidity.abi import KeyReference, checked_address
from plonnx.solidity.arithmetic import Place
from plonnx.solidity.equations import challenges, equations
from plonnx.solidity.generator import DEVELOPMENT_CHAINS, circuit_words, error_selector, template
from plonnx.solidity.layout import Layout, coordinates, g2_words
from plonnx.solidity.schedule import MOST, RESULTS, Block
from plonnx.solidity.sections import G1_GENERATOR, G2_GENERATOR
from plonnx.solidity.tape import Tape, assemble

SHARED_VERIFIER = "PlonnxSharedVerifier"
VERSION = 3  # of the key contracts' format
START = 0x400  # where the shared verifier puts the code from its second byte on
WORD = 32
PREFIX = 2 * WORD + 192  # bytes before the constants: digest, numbers, [tau]_2
NUMBER_BITS = 12  # in a block
BLOCK_BYTES = 28
NO_PIVOT = 0xFFFF
SHORTEST = 256  # bytes of a key's code: what is shorter is a list of the contracts that hold it


def emit_shared_verifier() -> str:
    """The source of contract `PlonnxSharedVerifier`: the same for all models."""
    return _render(split=False)


def emit_split(vk: VerifyingKey) -> str:
    """The source of contract `Verifier` for one key: the shared form, told of that key alone.

    The constructor puts the key into a contract. ValueError for a key that no contract holds.
    """
    key = KeyContract(vk)
    if len(key.code) > LONGEST_SPLIT_KEY:
        raise ValueError(
            f"the key would take {len(key.code):,} bytes of the contract, of at most {LONGEST_SPLIT_KEY:,}:"
            f" compile with {option('optimize', 'gas')}, for a larger setup ({option('srs_size')}), or use the shared"
            " verifier (plonnx key-contract)"
        )
    parts = [part.hex() for part in key.parts]
    return _render(split=True, parts=parts, key_hash=key.hash.hex(), **circuit_words(vk, Layout(vk)))


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
        try:
            return _encode(self.vk, self.tape)
        except OverflowError as error:  # a count that its bytes do not hold
            raise ValueError(
                f"the key has more parts than a contract can hold: compile with {option('optimize', 'gas')} or for a"
                f" larger setup ({option('srs_size')})"
            ) from error

    @cached_property
    def tape(self) -> Tape:
        """The arithmetic that the code holds."""
        made = equations(self.vk)
        return assemble(made.arithmetic, [made.inverse, *made.scalars])

    @cached_property
    def hash(self) -> bytes:
        """What a caller of the shared verifier must know: keccak256 of the code, its EXTCODEHASH."""
        return keccak256(self.code)

    @cached_property
    def parts(self) -> list[bytes]:
        """The code of the contracts that hold it: itself, or pieces of what is behind its first byte, each with one."""
        room = CODE_LIMIT - 1
        return [b"\0" + self.code[at : at + room] for at in range(1, len(self.code), room)]

    @property
    def creations(self) -> list[bytes]:
        """What creates it: one, or where a transaction cannot, one for each part; then comes their `listing`.

        One that makes several parts becomes the list of them.
        """
        made = [_returning(part) for part in self.parts]
        at_once = len(made) > 1 and len(self.code) <= LONGEST_AT_ONCE
        return [_creating(made)] if at_once else made


def _returning(code: bytes) -> bytes:
    """PUSH2 length, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN; then the code."""
    return bytes.fromhex(f"61{len(code):04x}80600a5f395ff3") + code


def listing(addresses: Sequence[str]) -> bytes:
    """What creates the list of contracts that hold the parts of a key, where they are there."""
    return _returning(b"\0" + b"".join(bytes.fromhex(address[2:]) for address in addresses))


def _creating(creations: Sequence[bytes]) -> bytes:
    """Creates contracts and returns a zero byte and their addresses; reverts where one is not created.

    For each CODECOPY its code to 0, CREATE, and JUMPI where that gives zero. The addresses are stored from the last to
    the first, so that no one's leading zeros fall on another; the first one's are the zero byte, at 32.
    """
    count = len(creations)
    place = size = 20 * count + 3 * count + 5 + 4  # of the program: the creations stand behind it
    program = b""
    for creation in creations:
        program += bytes.fromhex(
            f"61{len(creation):04x}61{place:04x}5f39 61{len(creation):04x}5f5ff0 801561{size - 4:04x}57"
        )
        place += len(creation)
    program += b"".join(bytes.fromhex(f"60{21 + 20 * i:02x}52") for i in range(count - 1, -1, -1))
    program += bytes.fromhex(f"60{1 + 20 * count:02x}6020f3 5b5f5ffd")
    assert len(program) == size
    return program + b"".join(creations)


def reference(vk: VerifyingKey, address: str, proofs: Sequence[Proof] = ()) -> KeyReference:
    """What the shared verifier is told of a key whose contract is at an address; the proofs must be the key's."""
    if any(proof.vk_digest != vk.digest for proof in proofs):
        raise ValueError("the proof was made for another verifying key")
    return KeyReference(checked_address(address), KeyContract(vk).hash)


def _encode(vk: VerifyingKey, tape: Tape) -> bytes:
    layout = Layout(vk)
    sums = [run for column in vk.instances for run in column.runs]
    runs = _repeated(sums)
    messages = [(len(vk.opened_in_phase(phase)), len(phase.challenges)) for phase in vk.phases]
    messages.append((vk.pieces + len(vk.masked), 1))
    counts = {
        "constants": 3,
        "drawn": 4,
        "state": 1,
        "evaluations": vk.evaluation_count,
        "challenges": sum(drawn for _, drawn in messages),
        "words": len(sums),
        "small": len(tape.small),
        RESULTS: tape.words,
    }
    before = [
        vk.digest,
        _numbers(1, VERSION, vk.k, len(messages), challenges(vk).index(CHI) if sums else 0),
        _numbers(4, vk.public_bytes, prices.g1_msm(layout.points)),
        _numbers(2, vk.evaluation_count, len(tape.wide), len(layout.fixed), len(runs), len(sums), len(tape.small)),
        _numbers(2, len(tape.blocks), tape.words, NO_PIVOT if layout.pivot is None else layout.pivot, 0),
        _negated(vk.tau_g2),
        _numbers(WORD, *tape.wide),
        *(_numbers(2, points) + _numbers(1, drawn) for points, drawn in messages),
        *(
            _numbers(4, run.offset, run.count) + _numbers(1, run.width, run.per_word) + _numbers(2, n)
            for run, n in runs
        ),
        _numbers(4, *tape.small),
    ]
    points = [vk.fixed_commitments[number] for number in layout.fixed]
    size = 1 + sum(map(len, before)) + 2 * len(tape.outputs) + BLOCK_BYTES * len(tape.blocks)
    number, words = _numbering(counts, -(-(START + size - 1) // WORD))
    size += sum(map(len, points))
    if size > LONGEST_KEY or words > MOST + 1:
        raise ValueError(
            f"the key's contract would have {size:,} bytes and need {words:,} words of memory, of at most"
            f" {LONGEST_KEY:,} and {MOST + 1:,}: compile with {option('optimize', 'gas')} or for a larger"
            f" setup ({option('srs_size')})"
        )
    after = [_numbers(2, *map(number, tape.outputs)), *(_block(block, number) for block in tape.blocks)]
    return b"".join([b"\0", *before, *after, *points])


def _repeated(runs: Sequence[Run]) -> list[tuple[Run, int]]:
    """Runs, and how often each comes: again where the last one ends."""
    found: list[tuple[Run, int]] = []
    for run in runs:
        if found:
            first, times = found[-1]
            again = first.offset + times * first.count * first.width
            if (run.offset, run.count, run.width, run.per_word) == (again, first.count, first.width, first.per_word):
                found[-1] = first, times + 1
                continue
        found.append((run, 1))
    return found


def _numbering(counts: Mapping[str, int], start: int) -> tuple[Callable[[Place], int], int]:
    """Where each space begins, one behind the other, as a function to the number of a word; and the first that is free.

    Constants of a whole word stay where the code has them.
    """
    begins = {"wide": (START + PREFIX) // WORD}
    for space, count in counts.items():
        begins[space] = start
        start += count
    return lambda place: begins[place.space] + place.index, start


def _block(block: Block, number: Callable[[Place], int]) -> bytes:
    """What it holds, and its numbers."""
    held = block.kind
    for one in block.numbers:
        held = held << NUMBER_BITS | (number(one) if isinstance(one, Place) else one)
    return held.to_bytes(BLOCK_BYTES, "big")


def _numbers(width: int, *values: int) -> bytes:
    return b"".join(value.to_bytes(width, "big") for value in values)


def _negated(tau_g2: bytes) -> bytes:
    """-[tau]_2, its coordinates in the order of EIP-2537, 48 bytes each."""
    words = g2_words(tau_g2, negate=True)
    return b"".join(_numbers(48, words[at] << 256 | words[at + 1]) for at in range(0, len(words), 2))
