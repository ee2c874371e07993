"""A machine that runs the code of a key contract, written from docs/protocol.md section 12 alone.

It shares no code with what writes keys (solidity/shared.py, arithmetic.py, tape.py, schedule.py) or with the shared
verifier. From the code, a proof and its public values it comes to what is left to check: the reason to refuse, or the
scalars of the MSM.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference_verifier import R, keccak256

START = 0x400


class _Reader:
    def __init__(self, code: bytes, at: int) -> None:
        self.code, self.at = code, at

    def take(self, size: int) -> bytes:
        self.at += size
        assert self.at <= len(self.code), "the code ends too early"
        return self.code[self.at - size : self.at]

    def numbers(self, *sizes: int) -> list[int]:
        return [int.from_bytes(self.take(size), "big") for size in sizes]


@dataclass(frozen=True)
class Outcome:
    """The check, and the scalars; all that the key says of points."""

    inverse: int
    scalars: list[int]
    pivot: int | None
    fixed: bytes
    price: int


def run(code: bytes, proof: bytes, public_values: bytes, context: bytes) -> Outcome:
    """Run the code of a key contract on a proof of the right length."""
    assert code[:1] == b"\0"
    key = _Reader(code, 1)
    digest = key.take(32)
    version, k, message_count, chi = key.numbers(1, 1, 1, 1)
    public_bytes, price = key.numbers(4, 4)
    evaluation_count, wide, fixed_count, lists, run_count, small, blocks, results, pivot, zero = key.numbers(*[2] * 10)
    assert (version, zero, len(public_values)) == (3, 0, public_bytes)
    key.take(192)
    assert START + key.at - 1 == 40 * 32
    words = dict(enumerate((x for x in key.numbers(*[32] * wide)), start=40))
    messages = [key.numbers(2, 1) for _ in range(message_count)]
    runs = [run for _ in range(lists) for run in _repeated(*key.numbers(4, 4, 1, 1, 2))]
    assert len(runs) == run_count
    smalls = key.numbers(*[4] * small)
    sent = sum(points for points, _ in messages)
    scalar_count = sent - (pivot < sent) + 2 + fixed_count + 1
    outputs = key.numbers(*[2] * (1 + scalar_count))
    tape = [_block(key.take(28)) for _ in range(blocks)]
    at = -(-(START + key.at - 1) // 32)
    fixed = key.take(96 * fixed_count)
    assert key.at == len(code), "something is left"

    assert len(proof) == 96 * (sent + 2) + 32 * (evaluation_count + 1)
    message, challenges = _Reader(proof, 0), []
    state = keccak256(b"plonnx proof v1" + digest + context + keccak256(public_values))

    def draw(j: int = 0) -> int:
        return int.from_bytes(keccak256(state + bytes([j])), "big") % R

    for points, drawn in messages:
        state = keccak256(state + message.take(96 * points))
        challenges += [draw(j) for j in range(drawn)]
    absorbed = message.take(32 * evaluation_count)
    state = keccak256(state + absorbed)
    v = draw()
    state = keccak256(state + message.take(96))
    u = draw()
    message.take(96)
    (inverse,) = message.numbers(32)
    evaluations = [int.from_bytes(absorbed[at : at + 32], "big") for at in range(0, len(absorbed), 32)]
    assert max(*evaluations, inverse) < R

    zeta_n = pow(challenges[-1], 2**k, R)
    sums = [_sum(public_values, challenges[chi], *each) for each in runs]
    for value in (0, 1, R - 1, inverse, u, v, zeta_n, 0, *evaluations, *challenges, *sums, *smalls):
        words[at] = value
        at += 1
    begin = at
    for kind, numbers in tape:
        size = (3, 2, 2, 2, 6)[kind]
        for start in range(0, 18, size):
            for value in _step(kind, numbers[start : start + size], words):
                words[at] = value % R
                at += 1
    assert at - begin == results
    values = [words[number] for number in outputs]
    return Outcome(values[0], values[1:], pivot if pivot < sent else None, fixed, price)


def _block(content: bytes) -> tuple[int, list[int]]:
    bits = f"{int.from_bytes(content, 'big'):0224b}"
    return int(bits[:8], 2), [int(bits[at : at + 12], 2) for at in range(8, 224, 12)]


def _step(kind: int, numbers: list[int], words: dict[int, int]) -> list[int]:
    """What the next words become."""
    if kind == 4:
        first, terms, stride, x, count, apart = numbers
        starts = [first + j * apart for j in range(count)]
        return [sum(pow(words[x], i, R) * words[start + i * stride] for i in range(terms)) for start in starts]
    a, b, *c = (words[number] for number in numbers)
    return [a * b + c[0] if kind == 0 else a * b if kind == 1 else a + b if kind == 2 else b - a]


def _repeated(offset: int, count: int, width: int, each: int, times: int) -> list[tuple[int, int, int, int]]:
    return [(offset + i * count * width, count, width, each) for i in range(times)]


def _sum(public_values: bytes, chi: int, offset: int, count: int, width: int, each: int) -> int:
    """sum_j chi^j word_j."""
    values = [
        int.from_bytes(public_values[offset + i * width : offset + (i + 1) * width], "big", signed=True)
        for i in range(count)
    ]
    total = 0
    for j in range(0, count, each):
        word = sum(value * 256 ** (width * (each - 1 - i)) for i, value in enumerate(values[j : j + each]))
        total += pow(chi, j // each, R) * word
    return total % R
