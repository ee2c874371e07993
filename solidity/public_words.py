"""The words of public values as Yul: each run's sum_j chi^j word_j (docs/protocol.md section 6)."""

from __future__ import annotations

from plonnx.plonk.keys import Run, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.solidity.layout import Layout, of_circuit
from plonnx.solidity.straight_line import literal

UNROLLED_WORDS = 8  # in one turn of their loop


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
