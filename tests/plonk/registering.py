"""Registrations by a prover who checks nothing, and registrations of columns of which nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.unit import count_parts, range_name
from plonnx.kzg.srs import SRS
from plonnx.layout.known import Known, shared
from plonnx.layout.registration import Declared, Registration, registration_circuit
from plonnx.plonk import prover
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import ProvingKey
from plonnx.plonk.multiplicities import column_name
from plonnx.plonk.prover import Witness, prove

Integers = NDArray[np.int64]


def anywhere(columns: int, k: int) -> tuple[Known, ...]:
    """Nothing is known: every active row of every column may hold a secret."""
    none = np.zeros(0, np.int64)
    return (Known(np.ones((1 << k) - 5, np.int64), none, none),) * columns


def forged_registration(key: ProvingKey, known: Sequence[Known], srs: SRS, wrap: bool = False) -> Registration:
    """Of whatever the key's columns hold.

    Where a value is too wide, its highest limb is too wide for its table; with `wrap` it wraps, and the sum is off.
    """
    declared, (pattern, facts) = Declared.by(key.vk), shared(known)
    hidden = key.vk.hidden_columns
    columns = [np.pad(key.fixed[i].values, (0, declared.active_rows - len(key.fixed[i].values))) for i in hidden]
    advice = {f"hidden {i}": values for i, values in enumerate(columns)}
    looked_up: dict[int, list[Integers]] = {}
    for i, (values, bits) in enumerate(zip(columns, declared.bits, strict=True)):
        shifted = values.astype(np.int64) + (1 << (bits - 1))
        widths = declared.limb_widths(bits)
        for j, width in enumerate(widths):
            limb = shifted >> (declared.limb_bits * j)
            limb = limb & ((1 << width) - 1) if wrap or j < len(widths) - 1 else limb
            if width < bits:  # one limb is the value itself
                advice[f"hidden {i} limb {j}"] = limb
            looked_up.setdefault(width, []).append(limb)
    for width in sorted(looked_up):
        held = np.concatenate(looked_up[width])
        count = np.bincount(held[(held >= 0) & (held < 1 << width)], minlength=1 << width)
        for part, counts in enumerate(count_parts(count, declared.active_rows)):
            advice[column_name(range_name(1 << width), part)] = counts
    advice |= {f"hidden {i} once more": columns[i] for i, again in enumerate(pattern.again) if again >= 0}
    blinding = {f"hidden {i}": key.fixed[index].blinding for i, index in enumerate(hidden)}
    own = keygen(registration_circuit(declared, pattern, facts), srs)
    with patch.object(prover, "check_evaluations", lambda *arguments: None):
        made = prove(own, Witness(advice, b"", blinding), srs)
    return Registration(pattern, own.vk.fixed_commitments[: len(facts)], made.proof)
