"""Small files that ask for a lot: refused before memory or time is spent on what they only name, or name repeatedly."""

from __future__ import annotations

import io
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.kzg import container
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.layout.architecture import Architecture
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.inputs import InputError, read_arrays
from plonnx.plonk.keys import VerifyingKey
from plonnx.srs_choice import for_key
from tests.adversarial.files import hidden_circuit

SECONDS, BYTES = 3.0, 1 << 25  # 0.1 s and some MB in fact
LOADERS: dict[str, Callable[[Path], Any]] = {"circuit": ModelCircuit.load, "architecture": Architecture.load}


def asking(kind: str, blocks: list[dict[str, Any]], arrays: container.Arrays, **shape: int) -> bytes:
    """A file whose input has one cell, and whose further blocks are these; its output is the second cell."""
    circuit = hidden_circuit()
    honest = circuit.encode() if kind == "circuit" else circuit.architecture.encode()
    meta, _ = container.decode(honest, kind, "a file")
    given = meta["builder"]["blocks"]
    meta["builder"]["blocks"] = [{**given[0], "count": 1, "shape": [1]}]
    first = 1
    for block in blocks:
        like = next(one for one in given if one["kind"] == block["kind"])
        meta["builder"]["blocks"].append({**like, "name": f"b{first}", "first": first, **block})
        first += block["count"]
    meta["builder"]["outputs"] = [["z", -31, 31, True]]
    for side in meta["ports"]:
        side[0]["shape"] = [1]
    meta["shape"].update(shape)
    return container.encode(kind, meta, {**arrays, "output.0": np.array([2 if blocks else 0], np.int8)})


def wide(channels: int, outputs: int, number: int = 1) -> tuple[list[dict[str, Any]], container.Arrays]:
    """Dense layers, each of the input's one cell, again and again."""
    block = {"kind": "convolution", "count": outputs, "weights": [channels, 1, outputs], "bias": None, "shape": [1]}
    arrays: container.Arrays = {}
    for i in range(1, number + 1):
        arrays[f"block.{i}.x"], arrays[f"block.{i}.offsets"] = (
            np.zeros((channels, 1), np.int8),
            np.zeros((1, 1), np.int8),
        )
    return [block] * number, arrays


def long(length: int) -> tuple[list[dict[str, Any]], container.Arrays]:
    """A kernel of so many taps on a line of so many cells."""
    arrays: container.Arrays = {
        "block.1.x": np.zeros((1, length), np.int8),
        "block.1.offsets": np.zeros((length, 1), np.int8),
        "block.1.weights": np.zeros((1, length, 1), np.int8),
    }
    return [{"kind": "convolution", "count": 1, "bias": None, "shape": [1], "weights": None}], arrays


def files() -> dict[str, bytes]:
    units = [{"kind": "input", "count": 1 << 31, "shape": [1 << 31], "name": "many"}]
    blocks, arrays = long(1 << 16)
    del blocks[0]["weights"]
    return {
        "an input of 2^31 cells": asking("circuit", units, {}),
        "a kernel of 2^16 taps on 2^16 cells": asking("circuit", blocks, arrays, k=18),
        "2^30 rows": asking("circuit", [], {}, k=30),
        "2^30 rows of a private model": asking("architecture", [], {}, k=30),
        "rows of which one lane is used": asking("architecture", *wide(64, 1 << 18), k=18, lanes=256),
        "100 layers of 2^28 weights": asking("architecture", *wide(255, 1 << 20, 100), k=12, lanes=256),
        "2^28 weights that fit the rows": asking(
            "architecture", *wide(500, 1 << 19), k=20, lanes=1, weight_columns=256
        ),
    }


@pytest.mark.parametrize("name", files())
def test_a_small_file_cannot_ask_for_much(tmp_path: Path, name: str) -> None:
    content = files()[name]
    kind = content[8:24].rstrip(b"\0").decode()
    (tmp_path / "file").write_bytes(content)
    assert len(content) < 1 << 18
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=r"/file: .*of this size\)") as refused:
            LOADERS[kind](tmp_path / "file")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value)
    assert time.process_time() - start < SECONDS
    assert peak < BYTES


def test_inputs_cannot_unpack_to_much(tmp_path: Path) -> None:
    """Zeros pack a thousandfold, and a header may name a shape of which nothing follows."""
    path = tmp_path / "input.npz"
    np.savez_compressed(path, x=np.zeros(1 << 24))
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f8", "fortran_order": False, "shape": (1 << 45,)})
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"input\.npz: this file would unpack to 128 MB, .* numpy\.savez"):
            read_arrays(path, ["x"])
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", huge.getvalue())
    with pytest.raises(InputError, match=r"input\.npz: not a readable \.npz file"):
        read_arrays(path, ["x"])
    few = np.arange(1 << 10) % 7
    np.savez_compressed(path, x=few)
    np.testing.assert_array_equal(read_arrays(path, ["x"])["x"], few)


def test_there_are_no_more_weight_columns_than_a_compiler_would_take() -> None:
    """65,536 columns take minutes to rebuild a key of, whatever they hold."""
    content = asking("architecture", [], {}, weight_columns=1 << 16)
    with pytest.raises(FileError, match=r"shape\.weight_columns is no integer in 1\.\."):
        Architecture.decode(content, "a file")


def test_a_key_cannot_have_public_values_read_again_and_again() -> None:
    """45,000 runs over the same megabyte, of a key as long, would keep a verifier for hours."""
    vk = hidden_circuit().keygen(SRS.development(8, 5)).vk
    VerifyingKey.decode(vk.encode(), "a file")
    column = vk.instances[0]
    repeated = replace(vk, instances=(replace(column, runs=column.runs * 1000), *vk.instances[1:]))
    with pytest.raises(FileError, match="public byte 0 is in two"):
        VerifyingKey.decode(repeated.encode(), "a file")


def test_a_key_cannot_have_a_huge_development_srs_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 GB in the cache folder, for whoever checks a registration."""
    monkeypatch.setenv("PLONNX_CACHE", str(tmp_path))
    vk = hidden_circuit().keygen(SRS.development(8)).vk
    assert for_key(vk).size == 1 << vk.k
    monkeypatch.setattr(SRS, "development", lambda *given: pytest.fail("it is made"))
    huge = VerifyingKey.decode(replace(vk, k=30, last_row=(1 << 30) - 5).encode(), "a file")
    with pytest.raises(FileError, match=r"needs a development SRS of 2\^30 powers"):
        for_key(huge)
    assert len(list(tmp_path.glob("development-*"))) == 1


def test_many_steps_of_many_blocks_are_read_in_time(tmp_path: Path) -> None:
    """2,000 inputs and 100,000 steps: each step is looked at once, not for each block."""
    inputs = [{"kind": "input", "count": 1, "shape": [1], "name": f"i{i}"} for i in range(2000)]
    meta, arrays = container.decode(asking("circuit", inputs, {}), "circuit", "a file")
    meta["builder"]["parts"] = [[1999, 0, 2000]] * 100_000
    (tmp_path / "file").write_bytes(container.encode("circuit", meta, dict(arrays)))
    start = time.process_time()
    with pytest.raises(FileError, match="its steps are not taken in order"):
        ModelCircuit.load(tmp_path / "file")
    assert time.process_time() - start < 8.0  # 1 s in fact, 20 and more for each block
