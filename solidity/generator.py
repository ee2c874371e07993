"""From a verifying key to the source of its verifier contract.

The contract is one function of inline assembly with every address, constant and loop bound computed here (layout.py,
sections.py, straight_line.py); templates/Verifier.sol.j2 is its frame. Fixed commitments stand in the code, two words a
coordinate, as long as it stays below EIP-170's limit; otherwise data contracts hold the first of them, created by the
constructor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from plonnx._native import keccak256
from plonnx.kzg.wording import option
from plonnx.plonk.keys import G1_BYTES, Monomial, PublicTensor, VerifyingKey
from plonnx.plonk.program import MODULUS, Slot
from plonnx.solidity import prices, sections
from plonnx.solidity.layout import PAIR, Layout
from plonnx.solidity.straight_line import StraightLine

CODE_LIMIT = 24_576  # EIP-170
CREATION_LIMIT = 2 * CODE_LIMIT  # EIP-3860
INLINE_POINT = 114  # bytes of code for a fixed commitment
Parts = Mapping[str, Any]  # name -> lines, or -> function bodies (lists of lines)
DATA_LIMIT = (CODE_LIMIT - 1) // PAIR  # points in one data contract
DATA_CREATION = 350  # bytes of a data contract's creation code besides its points


def emit_solidity(vk: VerifyingKey) -> str:
    """The source of contract `Verifier` with `verify(bytes,bytes)` and `requireValid(bytes,bytes)`."""
    layout = Layout(vk)
    parts = contract_parts(vk, layout)
    stored = stored_counts(parts, len(layout.fixed))
    price = prices.g1_msm(layout.points)
    return _template().render(
        parts,
        constants=sections.constants(vk, layout, layout.fixed[sum(stored) :]),
        stored_points=sections.stored_points(layout, stored),
        vk=vk,
        layout=layout,
        model=_plain(vk.model) or "(unnamed)",
        srs=_plain(vk.srs),
        tensors=_table(vk.tensors),
        stored=[
            b"".join(vk.fixed_commitments[i] for i in layout.fixed[sum(stored[:at]) :][:count]).hex()
            for at, count in enumerate(stored)
        ],
        modulus=MODULUS,
        msm_gas=price,
        pairing_gas=prices.PAIRING,
        # A call hands on at most 63/64 of what is left.
        gas_needed=max(price * 64 // 63, price + prices.PAIRING * 64 // 63) + 2_000,
        insufficient_gas=keccak256(b"InsufficientGas()")[:4].hex(),
    )


def contract_parts(vk: VerifyingKey, layout: Layout) -> Parts:
    """The lines of all that does not depend on where the fixed commitments are; "output" is the program's address."""
    numbers: dict[Slot, int] = {}
    at = 0
    for o in vk.opened:
        for member in o.members:
            for rotation in o.rotations:
                if o.kind != "quotient":
                    numbers[Slot(o.kind, member, rotation)] = at
                at += 1
    program, output = StraightLine(vk.program, layout, numbers).functions()
    opening = sections.Opening(vk, layout)
    known: set[Monomial] = set()
    return {
        "transcript": sections.transcript(vk, layout),
        "canonical": sections.canonical(vk, layout),
        "selectors": sections.selectors(vk, layout),
        "instances": sections.instances(vk, layout, known),
        "program": program,
        "output": output,
        "quotient": sections.quotient(vk, layout),
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
        raise ValueError(
            f"the verifier contract would take about {size} bytes ({creation} to create); Ethereum allows {CODE_LIMIT} "
            f"({CREATION_LIMIT}): compile with {option('optimize', 'gas')} or balanced"
        )
    return [min(DATA_LIMIT, stored - DATA_LIMIT * i) for i in range(count)]


def code_estimate(parts: Parts) -> int:
    """Bytes of code that the lines compile to: 1 an operation or a variable, 2 an assignment, a literal's bytes + 1."""
    text = "\n".join(lines_of(parts))
    names = len(re.findall(r"\b[a-z]\w*", text)) + 2 * text.count(":=")
    numbers = sum((len(number) - 1) // 2 + 1 for number in re.findall(r"\b0x[0-9a-f]+", text))
    return 2_300 + names + numbers + 2 * len(re.findall(r"\b\d+\b", text))


def lines_of(part: Any) -> list[str]:
    """All lines of nested parts."""
    if isinstance(part, str):
        return [part]
    return [line for inner in (part.values() if isinstance(part, Mapping) else part) for line in lines_of(inner)]


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("plonnx.solidity"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yul"] = lambda lines: "\n".join(" " * 16 + line for line in lines)
    return environment.get_template("Verifier.sol.j2")


def _plain(name: str) -> str:
    """A name from a user's file as it may stand in a comment and in a string: printable, closing neither."""
    return re.sub(r"[^ !#-?A-\[\]-~]|\*/|/\*", "_", name)[:80]


def _table(tensors: Sequence[PublicTensor]) -> list[str]:
    """One aligned line for every public tensor."""
    rows = [("role", "name", "shape", "scale", "width", "offset")]
    rows += [(t.role, _plain(t.name), str(list(t.shape)), str(t.scale), str(t.width), str(t.offset)) for t in tensors]
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
