"""From a verifying key to the source of its verifier contract.

The contract is one function of inline assembly with every address, constant and loop bound computed here (layout.py,
sections.py, public_words.py, opening.py, straight_line.py); templates/Verifier.sol.j2 is its frame. Fixed commitments
stand in the code, two words a coordinate, as long as it stays below EIP-170's limit; otherwise data contracts hold the
first of them, created by the constructor. What is too long even so becomes a verifier of the shared form (source.py).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

from plonnx._native import keccak256
from plonnx.kzg import prices
from plonnx.kzg.prices import CODE_LIMIT, CREATION_LIMIT
from plonnx.kzg.wording import option
from plonnx.plonk.keys import G1_BYTES, Monomial, PublicTensor, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.solidity import public_words, sections
from plonnx.solidity.layout import PAIR, START, START_VIA_IR, Layout, coordinates
from plonnx.solidity.opening import Opening
from plonnx.solidity.simplified import simplified
from plonnx.solidity.straight_line import StraightLine

INLINE_POINT = 114  # bytes of code for a fixed commitment
DEVELOPMENT_CHAINS = (1337, 31337)  # ganache, and anvil and hardhat: where the contract of an unsafe setup may be
Parts = Mapping[str, Any]  # name -> lines, or -> function bodies (lists of lines)
DATA_LIMIT = (CODE_LIMIT - 1) // PAIR  # points in one data contract
INDENT, WIDTH = 16, 120  # of the Yul in the source
DATA_CREATION = 350  # bytes of a data contract's creation code besides its points


class TooLongError(ValueError):
    """A key whose verifier, written out, would be longer than a contract may be."""


def emit_written_out(vk: VerifyingKey, via_ir: bool = False) -> str:
    """The source of contract `Verifier` with its key in the code; TooLongError where that does not fit.

    Compiled by the IR, functions need more stack than there is: the contract for it leaves memory to the compiler.
    """
    layout = Layout(vk, START_VIA_IR if via_ir else START)
    parts = contract_parts(vk, layout)
    stored = stored_counts(parts, len(layout.fixed))
    return template("Verifier.sol.j2").render(
        parts,
        **circuit_words(vk, layout),
        constants=sections.constants(vk, layout, layout.fixed[sum(stored) :]),
        stored_points=sections.stored_points(layout, stored),
        split=False,
        places=[place._replace(meaning=plain(place.meaning)) for place in layout.places],
        via_ir=via_ir,
        safe=' ("memory-safe")' if via_ir else "",
        stored=[
            b"".join(vk.fixed_commitments[i] for i in layout.fixed[sum(stored[:at]) :][:count]).hex()
            for at, count in enumerate(stored)
        ],
        modulus=MODULUS,
        generator="".join(f"{word:064x}" for word in coordinates(sections.G1_GENERATOR)),
        msm_gas=prices.g1_msm(layout.points),
        pairing_gas=prices.PAIRING,
        add_gas=prices.ADDITION,
        batch={
            "seed": keccak256(b"plonnx batch v1" + vk.digest).hex(),
            "scalars": 32 * (len(layout.fixed) + 1),
            "block": PAIR * (layout.sent + 2 + (layout.pivot is not None)),
            "point_gas": -(-prices.g1_msm(layout.points) // layout.points),
            "single_gas": prices.g1_msm(1),
        },
        insufficient_gas=error_selector("InsufficientGas"),
    )


def circuit_words(vk: VerifyingKey, layout: Layout) -> dict[str, Any]:
    """What a verifier of one circuit says of it: circuit.sol.j2."""
    return {
        "vk": vk,
        "layout": layout,
        "model": plain(vk.model) or "(unnamed)",
        "srs": plain(vk.srs),
        "tensors": _table(vk.tensors),
        "development_chains": DEVELOPMENT_CHAINS,
    }


def contract_parts(vk: VerifyingKey, layout: Layout) -> Parts:
    """The lines of all that does not depend on where the fixed commitments are; "output" is the program's address."""
    numbers = {slot: at for at, slot in enumerate(slot for o in vk.opened for slot in o.slots)}
    program = simplified(vk)
    functions, output = StraightLine(program, layout, numbers).functions()
    opening = Opening(vk, layout)
    known: set[Monomial] = set()
    return {
        "transcript": sections.transcript(vk, layout),
        "canonical": sections.canonical(vk, layout),
        "selectors": sections.selectors(vk, layout, opening),
        "instances": public_words.instances(vk, layout),
        "word_loops": public_words.word_loops(vk),
        "program": functions,
        "output": output,
        "opening_points": opening.points(),
        "objects": opening.objects(known),
        "sent_points": sections.sent_points(vk, layout),
    }


def stored_counts(parts: Parts, fixed: int) -> list[int]:
    """How many fixed commitments go into each data contract: none where all fit in the code."""
    code = code_estimate(parts)
    if code + INLINE_POINT * fixed <= CODE_LIMIT:
        return []
    room = max(0, CODE_LIMIT - code) // INLINE_POINT  # a data contract is cheaper than the code once it is there
    count = -(-max(fixed - room, 0) // DATA_LIMIT)
    stored = min(fixed, count * DATA_LIMIT)
    size = code + INLINE_POINT * (fixed - stored)
    creation = size + stored * G1_BYTES * 37 // 32 + DATA_CREATION * count
    if size > CODE_LIMIT or creation > CREATION_LIMIT:
        raise TooLongError(
            f"the verifier contract would take about {size} bytes ({creation} to create); Ethereum allows {CODE_LIMIT} "
            f"({CREATION_LIMIT}): compile with {option('optimize', 'gas')} or balanced, or for a larger setup"
            f" ({option('srs_size')})"
        )
    return [min(DATA_LIMIT, stored - DATA_LIMIT * i) for i in range(count)]


def code_estimate(parts: Parts) -> int:
    """Bytes of code that the lines compile to: 1 an operation or a variable, 2 an assignment, a literal's bytes + 1."""
    text = "\n".join(lines_of(parts))
    addresses = len(re.findall(r"\b[A-Z]\w*", text))
    names = len(re.findall(r"\b[a-z]\w*", text)) + 2 * text.count(":=")
    numbers = sum((len(number) - 1) // 2 + 1 for number in re.findall(r"\b0x[0-9a-f]+", text))
    return 4_500 + names + 3 * addresses + numbers + 2 * len(re.findall(r"\b\d+\b", text))


def lines_of(part: Any) -> list[str]:
    """All lines of nested parts but comments."""
    if isinstance(part, str):
        return [] if part.startswith("//") else [part]
    return [line for inner in (part.values() if isinstance(part, Mapping) else part) for line in lines_of(inner)]


def template(name: str) -> jinja2.Template:
    """A template of this package."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("plonnx.solidity"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yul"] = lambda lines: "\n".join(
        short for line in lines for short in shortened(line, " " * INDENT)
    )
    return environment.get_template(name)


def shortened(line: str, indent: str) -> list[str]:
    """A statement or a comment in lines of at most WIDTH letters: a long call has a line for each argument."""
    indent, line = indent + line[: len(line) - len(line.lstrip())], line.lstrip()
    if len(indent + line) <= WIDTH:
        return [indent + line]
    if line.startswith("//"):
        return textwrap.wrap(
            line, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}// ", break_long_words=False
        )
    match = re.fullmatch(r"([^()]*\()(.*)(\)[^()]*)", line)
    if match is None:
        return [indent + line]
    head, inside, tail = match.groups()
    arguments, depth, start = [], 0, 0
    for at, letter in enumerate(inside):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            arguments.append(inside[start : at + 1])
            start = at + 2
    arguments.append(inside[start:])
    return [
        indent + head,
        *(short for argument in arguments for short in shortened(argument, indent + "    ")),
        indent + tail,
    ]


def plain(name: str) -> str:
    """A name from a user's file as it may stand in a comment and in a string.

    Printable ASCII that ends neither: no quote, backslash, line end or turned text. No tag of NatSpec either, and no
    licence, of which solc takes only one in a file.
    """
    return re.sub(r"[^ !#-?A-\[\]-~]|\*/|/\*|(?i:SPDX)", "_", name)[:80]


def error_selector(name: str) -> str:
    """The first four bytes of what a contract reverts with, in hexadecimal."""
    return keccak256(f"{name}()".encode())[:4].hex()


def _table(tensors: Sequence[PublicTensor]) -> list[str]:
    """One aligned line for every public tensor."""
    rows = [("role", "name", "shape", "scale", "width", "offset")]
    for t in tensors:
        several = isinstance(t.scale, tuple)
        scale = f"{np.min(t.scale)} to {np.max(t.scale)}, by channel" if several else str(t.scale)
        rows.append((plain(t.role), plain(t.name), str(list(t.shape)), scale, str(t.width), str(t.offset)))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
