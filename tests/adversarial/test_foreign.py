"""Files in other programs' formats that somebody made on purpose: models, inputs, ceremonies; one line refuses each."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from plonnx.compiler import control_flow
from plonnx.compiler.compile import compile_model
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.kzg.ceremonies import import_srs
from plonnx.kzg.container import FileError
from plonnx.layout.inputs import InputError, read_arrays
from tests.compiler.small import onnx_model, saved


def archive(local: int = 0, central: int = 0, value: int = 0, damaged: bool = False) -> bytes:
    """An .npz of four numbers with another byte in both headers of its member, or damaged in the data."""
    stream = io.BytesIO()
    (np.savez_compressed if damaged else np.savez)(stream, x=np.arange(4.0))
    content = bytearray(stream.getvalue())
    if damaged:
        at = content.find(b"x.npy") + 40
        content[at : at + 4] = bytes(byte ^ 0xFF for byte in content[at : at + 4])
    else:
        content[content.find(b"PK\3\4") + local] = content[content.find(b"PK\1\2") + central] = value
    return bytes(content)


def array(header: bytes) -> bytes:
    """An .npy with this header."""
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(64)


INPUTS = {
    "a field of a megabyte.csv": b"1" * 1_000_000 + b",2,3,4\n",
    "damaged.npz": archive(damaged=True),
    "encrypted.npz": archive(6, 8, 1),
    "compressed otherwise.npz": archive(8, 10, 99),
    "open brackets.npy": array(b"{'descr': '<f8', " + b"(" * 200),
}
SETUPS = {
    "a size without end": b'{"transcripts": [{"numG1Powers": Infinity, "powersOfTau": {}}]}',
    "too large a size": b'{"transcripts": [{"numG1Powers": 1e400, "powersOfTau": {}}]}',
    "a number for points": b'{"g2_monomial": 5, "g1_monomial": 5}',
    "an object for points": b'{"g2_monomial": {"a": 1, "b": 2}, "g1_monomial": {"a": 1}}',
    "null for points": b'{"g2_monomial": null, "g1_monomial": []}',
}


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(INPUTS[name])
    with pytest.raises(InputError, match=f"{name}: not a readable") as refused:
        read_arrays(tmp_path / name, ["x"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", SETUPS)
def test_a_ceremony_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "srs.json").write_bytes(SETUPS[name])
    with pytest.raises(FileError, match=r"srs\.json: ") as refused:
        import_srs(tmp_path / "srs.json")
    assert "\n" not in str(refused.value)


NESTED = """y = Loop(m, c, x) <body = outer (int64 i, bool go, float[1,4] a) => (bool on, float[1,4] b) {
    on = Identity(go)
    b = Loop(m, go, a) <body = inner (int64 j, bool keep, float[1,4] d) => (bool kept, float[1,4] e) {
        kept = Identity(keep)
        e = Add(d, x)
    }>
}>"""


def test_loops_in_loops_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4096 rounds of 4096 rounds would take hours, and are a file of 400 bytes."""
    monkeypatch.setattr(control_flow, "_MOST_BODIES", 20)
    data = [{"x": np.random.default_rng(1).uniform(-1, 1, (5, 1, 4))}]
    for rounds, refused in ((3, False), (5, True)):
        constants = {"m": np.array(rounds), "c": np.array(True)}
        path = saved(tmp_path, onnx_model("float[1,4] x) => (float[1,4] y)", NESTED, constants))
        if not refused:
            compile_model(path, data, Options(table_bits=8, error_target=0.5))
            continue
        with pytest.raises(CompileError, match=r"its loops run for more than 20 rounds altogether"):
            compile_model(path, data, Options(table_bits=8, error_target=0.5))
