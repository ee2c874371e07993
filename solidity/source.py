"""The source of a key's own verifier, in one of two forms: written out for the key, or split into code and key.

Written out (generator.py) it is cheapest to call. What would be longer than a contract may be, or too long for solc's
IR, is split (shared.py): the code that runs any key, and the key in a contract that the constructor creates. Interface,
proofs and verdicts are the same.
"""

from __future__ import annotations

from plonnx.plonk.keys import VerifyingKey
from plonnx.solidity.generator import TooLongError, code_estimate, contract_parts, emit_written_out, stored_counts
from plonnx.solidity.layout import START_VIA_IR, Layout
from plonnx.solidity.shared import emit_split

LONGEST_VIA_IR = 8_100  # bytes of code, estimated: solc-js has taken 8,074, and ran out of memory at 9,914


def is_split(vk: VerifyingKey, via_ir: bool = False) -> bool:
    """Whether a key's own verifier has its key in a contract beside it."""
    layout = Layout(vk, START_VIA_IR) if via_ir else Layout(vk)
    parts = contract_parts(vk, layout)
    try:
        stored_counts(parts, len(layout.fixed))
    except TooLongError:
        return True
    return via_ir and code_estimate(parts) > LONGEST_VIA_IR


def emit_solidity(vk: VerifyingKey, via_ir: bool = False) -> str:
    """The source of contract `Verifier` with `verify(bytes,bytes,bytes32)` and `requireValid(..)`.

    With `via_ir` it is one that solc's IR compiles. ValueError for a key that is too long in either form.
    """
    return emit_split(vk) if is_split(vk, via_ir) else emit_written_out(vk, via_ir)
