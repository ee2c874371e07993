"""Bad input ends in one clear line and exit code 1: no traceback, no half-written file, nothing on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import plonnx as api
from plonnx.kzg.srs import SRS
from tests.cli.conftest import Plonnx, write_input, write_mlp
from tests.command import Ran

Check = Callable[[Ran], str]


def compile_error(plonnx: Plonnx, check: Check, model: Path, *options: str | Path) -> str:
    """The line that compiling ends with; nothing must have been written."""
    before = sorted(model.parent.iterdir())
    line = check(plonnx("compile", model, *options, "-o", model.parent / "out.circuit"))
    assert sorted(model.parent.iterdir()) == before
    return line


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x09\xff\xff\xff", b'{"ir_version": 9}'])
def test_not_an_onnx_file(plonnx: Plonnx, traceback_free: Check, tmp_path: Path, content: bytes) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(content)
    assert "model.onnx" in compile_error(plonnx, traceback_free, model)


def test_no_such_file(plonnx: Plonnx, traceback_free: Check, tmp_path: Path) -> None:
    assert "absent.onnx" in compile_error(plonnx, traceback_free, tmp_path / "absent.onnx")
    for command in (["setup"], ["mock"], ["prove"]):
        assert "absent.circuit" in traceback_free(
            plonnx(*command, "absent.circuit", *(["absent.json"] if command != ["setup"] else []))
        )
    assert "absent.vk" in traceback_free(plonnx("verify", "absent.vk", "absent.proof"))
    assert "absent.vk" in traceback_free(plonnx("inspect", "absent.vk"))


def test_no_room_for_the_result(plonnx: Plonnx, traceback_free: Check, proved: Path, tmp_path: Path) -> None:
    """It is said before the work."""
    (tmp_path / "folder").mkdir()
    for out, why in ((tmp_path / "folder", "Is a directory"), (tmp_path / "none" / "x", "No such file or directory")):
        for command in (["compile", "absent.onnx"], ["prove", "absent.circuit", "absent.json"]):
            assert f"{out}: cannot write here ({why})" in traceback_free(plonnx(*command, "-o", out))


def test_a_circuit_without_its_key(plonnx: Plonnx, traceback_free: Check, proved: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.circuit"
    alone.write_bytes((proved / "model.circuit").read_bytes())
    said = traceback_free(plonnx("prove", alone, proved / "input.json", cwd=tmp_path))
    assert f"alone.pk: there is no such key; plonnx setup {alone} makes it" in said


def test_external_data_missing(plonnx: Plonnx, traceback_free: Check, tmp_path: Path) -> None:
    model = onnx.load(write_mlp(tmp_path / "whole.onnx"))
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    assert "weights.bin" in compile_error(plonnx, traceback_free, tmp_path / "model.onnx")


@pytest.mark.parametrize("opset", [1, 6, 1000])
def test_opset_out_of_range(plonnx: Plonnx, traceback_free: Check, tmp_path: Path, opset: int) -> None:
    model = onnx.load(write_mlp(tmp_path / "model.onnx"))
    model.opset_import[0].version = opset
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    line = compile_error(plonnx, traceback_free, tmp_path / "model.onnx")
    assert "opset" in line and str(opset) in line


@pytest.mark.parametrize(("dimension", "flag"), [("length", "--dim length="), (None, "--shape x=")])
def test_open_dimension(
    plonnx: Plonnx, traceback_free: Check, tmp_path: Path, dimension: str | None, flag: str
) -> None:
    """Flat data leave two dimensions open: the message names the flag that fixes one, and the flag does."""
    shape = ["batch", dimension, dimension and "width"]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "open",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), model)
    data = write_input(tmp_path / "data.json", [[0.5, 1.0, -1.0, 0.0, 0.25, 2.0]])
    assert flag in compile_error(plonnx, traceback_free, model, "--data", data)
    option = ["--dim", "length=2", "--dim", "width=3"] if dimension else ["--shape", "x=1,2,3"]
    ran = plonnx("compile", model, "--data", data, *option, "-o", tmp_path / "model.circuit")
    assert ran.code == 0, ran.err


def test_unknown_operator(plonnx: Plonnx, traceback_free: Check, tmp_path: Path) -> None:
    """Names the node, its operator and where the supported ones are listed."""
    graph = helper.make_graph(
        [helper.make_node("OptionalHasElement", ["x"], ["y"], name="the_node")],
        "unknown",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, [])],
    )
    model = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), model)
    line = compile_error(plonnx, traceback_free, model, "--data", write_input(tmp_path / "d.json", [[0.0] * 9]))
    assert "the_node" in line and "OptionalHasElement" in line and "plonnx operators" in line


BAD_INPUTS = {
    "nan": '{"input_data": [[0.5, NaN, 1.0]]}',
    "infinity": '{"input_data": [[0.5, Infinity, 1.0]]}',
    "too few values": '{"input_data": [[0.5, 1.0]]}',
    "too many values": '{"input_data": [[0.5, 1.0, 0.5, 1.0]]}',
    "too few inputs": '{"input_data": []}',
    "another name": '{"z": [[0.5, 1.0, 0.5]]}',
    "ragged": '{"x": [[0.5, 1.0], [0.5]]}',
    "words": '{"input_data": [["a", "b", "c"]]}',
    "null": '{"input_data": [[0.5, null, 1.0]]}',
    "a list": "[0.5, 1.0, 0.5]",
    "not JSON": "0.5 1.0",
    "empty": "",
    "out of range": '{"input_data": [[0.5, 1e6, 1.0]]}',
    "huge": '{"input_data": [[0.5, 1e300, 1.0]]}',
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_file(plonnx: Plonnx, traceback_free: Check, proved: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "input.json"
    path.write_text(BAD_INPUTS[name])
    proof = tmp_path / "model.proof"
    line = traceback_free(plonnx("prove", "model.circuit", path, "-o", proof, cwd=proved))
    assert line and not proof.exists()
    if name in ("out of range", "huge"):
        assert "x" in line.split() or "'x'" in line or '"x"' in line
        assert "range" in line
    else:
        assert "input.json" in line
    assert traceback_free(plonnx("mock", "model.circuit", path, cwd=proved))


@pytest.mark.parametrize("name", ["nan", "too few values", "words", "not JSON"])
def test_bad_calibration_file(plonnx: Plonnx, traceback_free: Check, tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(BAD_INPUTS[name])
    assert "data.json" in compile_error(plonnx, traceback_free, write_mlp(tmp_path / "model.onnx"), "--data", path)


@pytest.mark.parametrize("values", [np.array([[np.nan, 0, 0]]), np.zeros((1, 4)), np.array([["a", "b", "c"]])])
def test_bad_npy(plonnx: Plonnx, traceback_free: Check, proved: Path, tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "input.npy", values)
    assert "input.npy" in traceback_free(plonnx("mock", "model.circuit", tmp_path / "input.npy", cwd=proved))


@pytest.mark.parametrize("suffix", ["npy", "npz", "txt"])
def test_foreign_input_file(plonnx: Plonnx, traceback_free: Check, proved: Path, tmp_path: Path, suffix: str) -> None:
    """An .npy of Python objects holds a pickle: it is refused, not run."""
    path = tmp_path / f"input.{suffix}"
    if suffix == "npy":
        np.save(path, np.array([[os.getpid, None, 1.0]], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(b"nothing of the kind")
    assert path.name in traceback_free(plonnx("mock", "model.circuit", path, cwd=proved))


# What reads each file, and with what beside it.
READERS = {
    "model.circuit": ["prove", "model.circuit", "input.json", "-o", "new.proof"],
    "model.pk": ["prove", "model.circuit", "input.json", "-o", "new.proof"],
    "model.vk": ["verify", "model.vk", "model.proof"],
    "model.proof": ["verify", "model.vk", "model.proof"],
}


def spoil_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def spoil_end(content: bytes) -> bytes:
    return content[:-1]


def spoil_head(content: bytes) -> bytes:
    return content[:10]


def spoil_tail(content: bytes) -> bytes:
    return content + b"\0"


def spoil_byte(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


def spoil_version(content: bytes) -> bytes:
    return content[:6] + b"\x63\x00" + content[8:]


def spoil_all(_content: bytes) -> bytes:
    return b""


SPOILERS = (spoil_half, spoil_end, spoil_head, spoil_tail, spoil_byte, spoil_version, spoil_all)


@pytest.fixture
def copy(proved: Path, tmp_path: Path) -> Path:
    """A copy of the proved model, to spoil."""
    for name in ("input.json", *READERS):
        (tmp_path / name).write_bytes((proved / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("spoil", SPOILERS)
def test_damaged_file(
    plonnx: Plonnx, traceback_free: Check, copy: Path, name: str, spoil: Callable[[bytes], bytes]
) -> None:
    (copy / name).write_bytes(spoil((copy / name).read_bytes()))
    before = sorted(copy.iterdir())
    line = traceback_free(plonnx(*READERS[name], cwd=copy))
    assert name in line
    if spoil is spoil_version:
        assert "version 99" in line
    assert sorted(copy.iterdir()) == before
    traceback_free(plonnx("inspect", name, cwd=copy))


@pytest.mark.parametrize("name", READERS)
def test_file_of_another_kind(plonnx: Plonnx, traceback_free: Check, copy: Path, name: str) -> None:
    other = "model.proof" if name != "model.proof" else "model.vk"
    (copy / name).write_bytes((copy / other).read_bytes())
    assert name in traceback_free(plonnx(*READERS[name], cwd=copy))


@pytest.fixture(scope="module")
def other(plonnx: Plonnx, proved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of another circuit: same shapes, other weights."""
    folder = tmp_path_factory.mktemp("other")
    write_mlp(folder / "model.onnx", seed=2)
    arguments = ["compile", folder / "model.onnx", "--data", proved / "input.json", "-o", folder / "model.circuit"]
    assert plonnx(*arguments).code == 0
    assert plonnx("setup", folder / "model.circuit").code == 0
    assert plonnx("prove", folder / "model.circuit", proved / "input.json").code == 0
    return folder


@pytest.mark.parametrize("name", READERS)
def test_file_of_another_circuit(plonnx: Plonnx, traceback_free: Check, copy: Path, other: Path, name: str) -> None:
    """Refused before anything is proved, and never accepted."""
    (copy / name).write_bytes((other / name).read_bytes())
    assert "another" in traceback_free(plonnx(*READERS[name], cwd=copy))
    assert not (copy / "new.proof").exists()


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (["compile", "model.onnx", "--data", "input.json", "-o", "out/new.circuit"], "new.circuit"),
        (["setup", "model.circuit", "--pk", "out/new.pk", "--vk", "out/new.vk"], "new.pk"),
        (["prove", "model.circuit", "input.json", "-o", "out/new.proof"], "new.proof"),
        (["solidity", "model.vk", "-o", "out/new.sol"], "new.sol"),
        (["srs", "generate", "--k", "6", "-o", "out/new.srs"], "new.srs"),
    ],
)
@pytest.mark.parametrize("trouble", ["full", "interrupted", "no folder"])
def test_nothing_half_written_stays(
    proved: Path, tmp_path: Path, cache: Path, arguments: list[str], target: str, trouble: str
) -> None:
    """A file-size limit stands in for a full disk; the interrupt falls between the last byte and the renaming."""
    out = tmp_path / "out"
    if trouble != "no folder":
        out.mkdir()
        (out / target).write_bytes(b"the old one")
    placed = [word.replace("out/", f"{out}/") for word in arguments]
    code = _LIMITED.format(trouble=trouble, arguments=placed)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=proved,
        env={**os.environ, "PLONNX_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == (130 if trouble == "interrupted" else 1), ran.stderr
    assert "Traceback" not in ran.stderr and "internal error" not in ran.stderr
    if trouble == "no folder":
        assert not out.exists()
    else:
        assert [path.name for path in out.iterdir()] == [target]
        assert (out / target).read_bytes() == b"the old one"


_LIMITED = """
import os, resource, signal, sys
if {trouble!r} == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
if {trouble!r} == "interrupted":
    os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGTERM)
sys.dont_write_bytecode = True
from plonnx.cli.main import main
sys.exit(main({arguments!r}))
"""


def test_json_errors_are_one_object(plonnx: Plonnx, tmp_path: Path) -> None:
    ran = plonnx("verify", tmp_path / "absent.vk", tmp_path / "absent.proof", "--json")
    assert ran.code == 1
    assert ran.json["command"] == "verify" and ran.json["ok"] is False and "absent.vk" in ran.json["error"]
    assert json.loads(ran.out) and ran.err == ""


@pytest.fixture(scope="module")
def private_circuit(plonnx: Plonnx, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("private")
    write_mlp(folder / "model.onnx")
    write_input(folder / "input.json")
    arguments = ["--data", "input.json", "--model", "private", "-o", "model.circuit"]
    assert plonnx("compile", "model.onnx", *arguments, cwd=folder).code == 0
    return folder / "model.circuit"


@pytest.mark.parametrize("command", ["compile", "setup", "prove", "solidity", "srs generate", "srs import"])
def test_every_command_writes_through_links_and_into_fifos(
    plonnx: Plonnx, proved: Path, private_circuit: Path, tmp_path: Path, command: str
) -> None:
    """A rename over a link or a FIFO would put a file in its place."""
    (tmp_path / "there").mkdir()
    made = SRS.development(2, 12345)
    points = made.powers.to_bytes(compressed=True)
    g2 = [api._native.g2_to_compressed(point).hex() for point in (api._native.g2_generator(), made.tau_g2)]
    held = {"g1_monomial": [points[i : i + 48].hex() for i in range(0, len(points), 48)], "g2_monomial": g2}
    (tmp_path / "setup.json").write_text(json.dumps(held))
    arguments: list[str | Path] = {
        "compile": ["compile", proved / "model.onnx", "--data", proved / "input.json", "-o"],
        "setup": ["setup", private_circuit, "--pk", "pk", "--vk", "vk", "--registration"],
        "prove": ["prove", proved / "model.circuit", proved / "input.json", "-o"],
        "solidity": ["solidity", proved / "model.vk", "-o"],
        "srs generate": ["srs", "generate", "--k", "2", "-o"],
        "srs import": ["srs", "import", "setup.json", "-o"],
    }[command]
    for name in ["link", *(["pk", "vk"] if command == "setup" else [])]:
        (tmp_path / name).symlink_to(Path("there") / name)
    ran = plonnx(*arguments, "link", cwd=tmp_path)
    assert ran.code == 0, ran.err
    links = [path for path in tmp_path.iterdir() if path.is_symlink()]
    assert {path.name for path in links} == {path.name for path in (tmp_path / "there").iterdir()}
    assert all((tmp_path / "there" / path.name).stat().st_size for path in links)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ThreadPoolExecutor() as threads:
        read = threads.submit(fifo.read_bytes)
        ran = plonnx(*arguments, fifo, cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert len(read.result(60)) > 500
    assert f"wrote {fifo}\n" in ran.out and fifo.is_fifo()


def test_a_file_on_standard_output_is_alone_there(proved: Path) -> None:
    """What the command says goes to stderr then."""
    ran = subprocess.run(
        [sys.executable, "-m", "plonnx", "prove", "model.circuit", "input.json", "-o", "/dev/fd/1"],
        cwd=proved,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (proved / "again.proof").write_bytes(ran.stdout)
    api.verify(api.VerifyingKey.load(proved / "model.vk"), api.Proof.load(proved / "again.proof"))
    assert b"proved in" in ran.stderr
