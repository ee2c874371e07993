"""A hand-written circuit that uses every part of plonk/: x_0 = 3, x_{i+1} = x_i^2 mod 256, with every x public.

Columns: x and its successor's high part h, both looked up in a table of bytes; the gate x[+1] + 256 h = x^2 on the
rows of `step`; a copy constraint that ties a second column y to x reversed (to show the permutation argument); an
instance column of all x and y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keys import PublicTensor, Run
from plonnx.plonk.multiplicities import column_name, multiplicities
from plonnx.plonk.prover import Witness
from plonnx.plonk.public_values import pack

WIDTH, PER_WORD = 2, 5


def circuit(k: int = 9, count: int = 12, group: int = 3, instance: str = "values") -> Circuit:
    """The circuit for `count` values; k >= 9 holds the table of bytes; `instance` names the instance column."""
    c = Circuit(k, group=group, name="squares")
    rows = np.arange(count)
    step = c.fixed("step", (rows < count - 1).astype(np.int64))
    word = c.fixed("word", 1 + (PER_WORD - 1 - rows % PER_WORD), (0, *(256 ** (WIDTH * i) for i in range(PER_WORD))))
    word_end = c.fixed("word end", (rows % PER_WORD == PER_WORD - 1).astype(np.int64))
    byte = c.fixed("bytes", np.arange(256))
    x, h, y = c.advice("x"), c.advice("h"), c.advice("y")
    table = c.table("bytes", [byte()])
    for column in (x, h):
        c.lookup(f"{column.name} is a byte", table, [column()])
    c.gate("square", step() * (x(1) + 256 * h() - x() ** 2))
    c.copy(x, rows, y, rows[::-1])

    chi, psi = c.challenge("chi"), c.challenge("psi")
    power = c.recurrence("powers of chi", 1, 1, 1 + word_end() * (chi - 1), 0)
    runs = [Run(WIDTH * count * lane, count, WIDTH, PER_WORD, 0, lane) for lane in range(2)]
    c.sum("public values", word() * power() * (x() + psi * y()), c.instance(instance, runs))
    c.tensors = tuple(
        PublicTensor(t, "output", (count,), 0, i * WIDTH * count, WIDTH, 0, 255) for i, t in enumerate("xy")
    )
    c.public_bytes = 2 * WIDTH * count
    return c


def witness(circuit: Circuit, start: int = 3) -> Witness:
    """The witness that starts at `start` (a byte)."""
    count, rows = circuit.tensors[0].count, circuit.n - 8
    x: NDArray[np.int64] = np.zeros(rows, np.int64)
    h, y = np.zeros_like(x), np.zeros_like(x)
    x[0] = start
    for i in range(count - 1):
        h[i], x[i + 1] = divmod(int(x[i]) ** 2, 256)
    y[:count] = x[:count][::-1]
    looked_up = [np.concatenate([v, np.zeros(usable_rows(circuit) - rows, np.int64)]) for v in (x, h)]
    counts = multiplicities(np.arange(256), looked_up, rows)
    public = pack(circuit.tensors, {"output x": x[:count], "output y": y[:count]})
    return Witness({"x": x, "h": h, "y": y, column_name("bytes", 0): counts}, public)


def usable_rows(circuit: Circuit) -> int:
    """The number of active rows."""
    from plonnx.plonk.structure import blinding_rows

    circuit.finish()
    return circuit.n - blinding_rows(circuit)
