"""Files with changed numbers that are accepted all the same: their circuits say what their blocks do, exactly.

tests/adversarial/test_files.py asks that no file breaks anything. Here it is asked what one may mean: of every file
that is accepted each coefficient of the check, of the public sums and of the gadgets' operands is read off the circuit
(equations.py, operands.py) and compared with the blocks, whose sums are those that `run` computes. Of an architecture
the secrets are drawn: whatever they are, they stand where the blocks have them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.gadgets import Builder
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.equation import Equation
from plonnx.kzg import container
from plonnx.layout.architecture import Architecture
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.planner import Layout
from tests.adversarial.files import circuit_of, places
from tests.properties.equations import constant, operands
from tests.properties.models import random_case
from tests.properties.test_equations import check_all

FAR = (-(1 << 63), (1 << 63) - 1, -(1 << 62), 1 << 62, 1 << 40, -(1 << 32))
CASES = 24


def written(seed: int, kind: str) -> bytes | None:
    """The file of a random model; None of a public one's architecture."""
    case = random_case(seed)
    if kind == "architecture" and not case.model.builder.hidden:
        return None
    circuit = circuit_of(case.model.builder, case.layout.shape)
    return circuit.encode() if kind == "circuit" else circuit.architecture.encode()


def changed(content: bytes, kind: str, random: np.random.Generator) -> bytes:
    """The file with one number or two of its blocks, functions, outputs or shape changed."""
    meta, arrays = container.decode(content, kind, "a file")
    meta, arrays = copy.deepcopy(meta), {name: array.copy() for name, array in arrays.items()}
    for _ in range(int(random.integers(1, 3))):
        if random.random() < 0.6:
            name = str(random.choice([name for name, array in sorted(arrays.items()) if array.size]))
            array = arrays[name].astype(np.int64)
            at = int(random.integers(array.size))
            array.flat[at] = another(int(array.flat[at]), array.reshape(-1).tolist(), random)
            arrays[name] = container.narrow(array)
            continue
        held = {key: meta["builder"][key] for key in ("blocks", "functions", "outputs")} | {"shape": meta["shape"]}
        numbers = [at for at in places(held) if at and type(inside(held, at)) is int]
        *way, last = numbers[int(random.integers(len(numbers)))]
        parent = inside(held, way)
        parent[last] = another(parent[last], [], random)
    return container.encode(kind, meta, arrays)


def inside(held: Any, way: Sequence[Any]) -> Any:
    """What lies in nested plain data."""
    for key in way:
        held = held[key]
    return held


def another(number: int, others: list[int], random: np.random.Generator) -> int:
    """Another number of 64 bits: near it, a neighbour's, or a far one."""
    near = [number + by for by in (-2, -1, 1, 2, 64)] + [-number, 2 * number, number ^ 1, 0, *others]
    chosen = FAR if random.random() < 0.1 else near
    return min(max(chosen[int(random.integers(len(chosen)))], FAR[0]), FAR[1])


def accepted(content: bytes, kind: str, path: Path) -> Layout | None:
    """The layout of a file that is accepted."""
    path.write_bytes(content)
    try:
        circuit = ModelCircuit.load(path) if kind == "circuit" else Architecture.load(path).circuit
        return circuit.layout
    except ValueError as error:
        assert "\n" not in str(error)
        return None


def with_secrets(builder: Builder, random: np.random.Generator) -> Builder:
    """A private model's builder with random secrets of its widths in the place of zeros."""

    def drawn(block: Gadget, name: str) -> np.ndarray:
        known: np.ndarray = getattr(block, name)
        bits = builder.weight_bits if name == "weights" else builder.bias_bits
        secret = random.integers(-(1 << bits - 1), 1 << bits - 1, known.shape)
        hides = getattr(block, "hides", None) if name == "weights" else None
        return known + (secret if hides is None else secret * np.broadcast_to(hides, known.shape))

    blocks = [replace(block, **{name: drawn(block, name) for name in block.blank}) for block in builder.blocks]
    return replace(builder, blocks=blocks)


def check_sums(builder: Builder, random: np.random.Generator) -> int:
    """What `run` computes is what the blocks say, number by number; how many equations were compared."""
    ends = {block.name: (block.interval(builder.table_size), block) for block in builder.inputs}
    inputs = {
        name: random.integers(low, high, (1, *block.shape), endpoint=True) // (block.step or 1) * (block.step or 1)
        for name, ((low, high), block) in ends.items()
    }
    try:
        done = builder.run(inputs)
    except ValueError:
        return 0  # out of range: it has no proof
    values, compared = done.values[0].tolist(), 0
    for block in builder.blocks:
        for number, unit in enumerate(block.units.tolist() if isinstance(block, Equation) else ()):
            exact = constant(block, number)
            for refs, coefficient in operands(block, number):
                seen = [0 if r < 0 else max(values[r >> 1], 0) if r & 1 else values[r >> 1] for r in refs]
                exact += coefficient * int(np.prod(seen, dtype=object))
            if abs(exact) < 1 << 62:
                assert int(done.sums[0, unit]) == exact, f"unit {unit} of {block.name}"
                compared += 1
    return compared


@pytest.mark.parametrize("kind", ["circuit", "architecture"])
def test_an_accepted_file_says_what_its_blocks_do(kind: str, tmp_path: Path) -> None:
    found = compared = 0
    for seed in range(CASES):
        random = np.random.default_rng([seed, 7])
        content = written(seed, kind)
        layout = None if content is None else accepted(changed(content, kind, random), kind, tmp_path / "file")
        if layout is None:
            continue
        if kind == "architecture":
            layout = Layout(with_secrets(layout.builder, random), layout.shape)
        check_all(layout)
        compared += check_sums(layout.builder, random)
        found += 1
    assert found > CASES // 10 and compared > CASES // 2, (found, compared)
