"""The command forms, the flags, the exit codes and the JSON, on the smallest of models."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

from plonnx.cli.commands import run
from plonnx.kzg.srs import SRS
from tests.cli.conftest import PUBLIC, Plonnx


def test_help_lists_the_commands(plonnx: Plonnx) -> None:
    start = time.perf_counter()
    ran = plonnx("--help")
    seconds = time.perf_counter() - start
    assert ran.code == 0
    for command in (
        "compile",
        "setup",
        "mock",
        "prove",
        "verify",
        "solidity",
        "calldata",
        "key-contract",
        "verify-evm",
        "inspect",
        "operators",
        "srs",
    ):
        assert command in ran.out
    assert seconds < 3, "0.3 s on an idle machine; the bound allows for a busy one"


def test_of_all_commands_the_named_one_is_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    ready: list[str | None] = []
    make = typer.main.get_command_from_info

    def noted(**given: Any) -> Any:
        info = given["command_info"]
        ready.append(info.name or info.callback.__name__)
        return make(**given)

    monkeypatch.setattr(typer.main, "get_command_from_info", noted)
    for asked, expected in ((["prove", "--help"], ["prove"]), (["verify-evm", "-h"], ["verify-evm"])):
        ready.clear()
        assert run(asked) == 0
        assert ready == expected
    ready.clear()
    assert run(["srs", "--help"]) == 0
    assert {"prove", "fetch"} <= set(ready)


def test_operators_are_listed_with_their_versions(plonnx: Plonnx) -> None:
    listed = plonnx("operators").out.split()
    assert {"Conv-1", "Gemm-7", "Relu-6"} <= set(listed)
    assert listed == sorted(listed, key=lambda entry: entry.rsplit("-", 1)[0])
    assert plonnx("operators", "--json").json["operators"]["Conv"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["compil"],
        ["compile"],
        ["compile", "model.onnx", "--margin", "wide"],
        ["compile", "model.onnx", "--optimize", "speed"],
        ["compile", "model.onnx", "--input", "secret"],
        ["compile", "model.onnx", "--dim", "batch_size"],
        ["compile", "model.onnx", "--dim", "batch_size=0"],
        ["compile", "model.onnx", "--shape", "x=1,three"],
        ["prove", "model.circuit"],
        ["verify-evm", "model.vk", "model.proof", "--address", "0x00"],
        ["srs", "generate", "--k", "14"],
    ],
)
def test_misuse_is_2(plonnx: Plonnx, arguments: list[str]) -> None:
    ran = plonnx(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1 and ran.err.startswith("plonnx: ")
    command = {"compil": "plonnx", "srs": "plonnx srs generate"}.get(arguments[0], f"plonnx {arguments[0]}")
    assert ran.err.endswith(f"(see {command} --help)\n")
    record = plonnx(*arguments, "--json")
    assert record.code == 2
    assert record.json["command"] == arguments[0] and record.json["ok"] is False and record.json["error"]


def test_verify_prints_the_numbers(plonnx: Plonnx, proved: Path) -> None:
    ran = plonnx("verify", "model.vk", "model.proof", cwd=proved)
    assert ran.code == 0, ran.err
    assert "input x [1, 3]:" in ran.out and "output y [1, 2]:" in ran.out and "valid" in ran.out


def test_json_of_every_step(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    steps = {
        "compile": ["compile", "model.onnx", "--data", "input.json", "-o", tmp_path / "model.circuit"],
        "setup": ["setup", tmp_path / "model.circuit"],
        "mock": ["mock", tmp_path / "model.circuit", "input.json"],
        "prove": ["prove", tmp_path / "model.circuit", "input.json"],
        "verify": ["verify", tmp_path / "model.vk", tmp_path / "model.proof"],
    }
    for command, arguments in steps.items():
        ran = plonnx(*arguments, "--json", cwd=proved)
        assert ran.code == 0, ran.err
        record = ran.json
        assert record["command"] == command and record["ok"] is True
        assert all(seconds >= 0 for seconds in record["seconds"].values())
        if command in ("compile", "setup", "prove"):
            assert record["rows"] > 0 and sum(record["columns"].values()) > 0
            assert all(size > 0 for size in record["bytes"].values())
        if command in ("prove", "verify"):
            np.testing.assert_allclose(record["inputs"]["x"], PUBLIC, atol=0.02)
            assert np.shape(record["outputs"]["y"]) == (1, 2)


def test_compile_and_setup_are_deterministic(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    """Other hash seeds, another number of threads: the same bytes."""
    for seed, threads in (("1", "1"), ("2", "2")):
        environment = {"PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads}
        circuit = tmp_path / f"{seed}.circuit"
        assert (
            plonnx("compile", "model.onnx", "--data", "input.json", "-o", circuit, cwd=proved, **environment).code == 0
        )
        assert plonnx("setup", circuit, **environment).code == 0
    for suffix in ("circuit", "vk", "pk"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


@pytest.mark.parametrize(("flag", "shown"), [("--input", "outputs"), ("--output", "inputs")])
def test_private_tensors_are_not_shown(plonnx: Plonnx, proved: Path, tmp_path: Path, flag: str, shown: str) -> None:
    circuit = tmp_path / "model.circuit"
    arguments = ["compile", "model.onnx", "--data", "input.json", flag, "private", "-o", circuit]
    assert plonnx(*arguments, cwd=proved).code == 0
    assert plonnx("setup", circuit).code == 0
    ran = plonnx("prove", circuit, proved / "input.json", "--json")
    assert ran.code == 0, ran.err
    assert {side for side in ("inputs", "outputs") if ran.json[side]} == {shown}
    assert plonnx("verify", tmp_path / "model.vk", tmp_path / "model.proof").code == 0


@pytest.mark.parametrize("suffix", ["npy", "npz", "json"])
def test_input_files(plonnx: Plonnx, proved: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"input.{suffix}"
    if suffix == "npy":
        np.save(path, np.array(PUBLIC, np.float32))
    elif suffix == "npz":
        np.savez(path, x=np.array(PUBLIC, np.float32))
    else:
        path.write_text(json.dumps({"x": PUBLIC}))
    ran = plonnx("mock", "model.circuit", path, cwd=proved)
    assert ran.code == 0, ran.err


def test_several_data_files(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", x=np.random.default_rng(0).uniform(-1, 1, (20, 1, 3)).astype(np.float32))
    circuit = tmp_path / "model.circuit"
    ran = plonnx(
        "compile", "model.onnx", "--data", "input.json", "--data", tmp_path / "samples.npz", "-o", circuit, cwd=proved
    )
    assert ran.code == 0, ran.err
    assert plonnx("mock", circuit, proved / "input.json").code == 0


@pytest.mark.parametrize("name", ["model.circuit", "model.pk", "model.vk", "model.proof"])
def test_inspect(plonnx: Plonnx, proved: Path, name: str) -> None:
    text = plonnx("inspect", name, cwd=proved)
    assert text.code == 0, text.err
    record = plonnx("inspect", name, "--json", cwd=proved).json
    assert record["command"] == "inspect" and record["bytes"] == (proved / name).stat().st_size
    if name != "model.proof":
        assert record["rows"] > 0 and record["columns"]


def test_inspect_measures_beside_what_it_predicts(plonnx: Plonnx, proved: Path) -> None:
    """The proof's size is known exactly, its gas closely; time and memory are the machine's matter."""
    record = plonnx("inspect", "model.circuit", "--measure", "input.json", "--json", cwd=proved).json
    predicted, measured = record["predicted"], record["measured"]
    assert measured["proof_bytes"] == predicted["proof_bytes"]
    assert abs(measured["gas"] - predicted["gas"]) < 0.25 * measured["gas"]
    assert measured["prove_seconds"] > 0 and measured["peak_bytes"] > 0
    refused = plonnx("inspect", "model.circuit", "--measure", "missing.json", cwd=proved)
    assert refused.code == 1 and "missing.json" in refused.err and "Traceback" not in refused.err


def test_inspect_draws_where_precision_goes(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "errors.svg"
    ran = plonnx("inspect", "model.circuit", "--plot", picture, cwd=proved)
    assert ran.code == 0 and f"wrote {picture}" in ran.out
    drawn = picture.read_text()
    for word in ("<!-- y", "<!-- target of outputs, 0.30%", "<!-- of their channels, 3.00%", "<!-- output -->"):
        assert word in drawn
    key = plonnx("inspect", "model.vk", "--plot", picture, cwd=proved)
    assert key.code == 1 and "a circuit file is needed" in key.err
    odd = plonnx("inspect", "model.circuit", "--plot", tmp_path / "errors.xyz", cwd=proved)
    assert odd.code == 1 and "errors.xyz" in odd.err and "Traceback" not in odd.err


def test_srs(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    """A circuit set up with a file proves with that file, and not with another."""
    made = plonnx("srs", "generate", "--k", "12", "-o", tmp_path / "generated.srs")
    assert made.code == 0 and "UNSAFE" in made.err
    for tau, name in ((7, "dev.srs"), (8, "other.srs")):
        SRS.development(12, tau).save(tmp_path / name)
    described = plonnx("srs", "info", tmp_path / "dev.srs", "--json").json
    assert described["powers"] >= 4096 and described["unsafe"] is True
    keys = ["--pk", tmp_path / "m.pk"]
    ran = plonnx("setup", "model.circuit", "--srs", tmp_path / "dev.srs", *keys, "--vk", tmp_path / "m.vk", cwd=proved)
    assert ran.code == 0 and "UNSAFE" in ran.err
    proof = tmp_path / "m.proof"
    prove = ["prove", "model.circuit", "input.json", *keys, "-o", proof]
    assert plonnx(*prove, cwd=proved).code == 1
    assert plonnx(*prove, "--srs", tmp_path / "other.srs", cwd=proved).code == 1
    assert plonnx(*prove, "--srs", tmp_path / "dev.srs", cwd=proved).code == 0
    ran = plonnx("verify", tmp_path / "m.vk", proof)
    assert ran.code == 0 and "unknown setup" in ran.err


def test_solidity_and_calldata(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    assert plonnx("solidity", "model.vk", "-o", tmp_path / "Verifier.sol", cwd=proved).code == 0
    assert "contract Verifier" in (tmp_path / "Verifier.sol").read_text()
    assert plonnx("solidity", "model.vk", cwd=proved).out.strip() == (tmp_path / "Verifier.sol").read_text().strip()
    call = plonnx("calldata", "model.proof", cwd=proved)
    assert call.code == 0 and bytes.fromhex(call.out.strip().removeprefix("0x"))


def test_the_shared_form(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    """One source for all models; a key by its hash, and what creates its contract."""
    from plonnx import api

    folder = tmp_path / "dapp"
    ran = plonnx("solidity", "--shared", "-o", tmp_path / "Shared.sol", "--dapp", folder, cwd=proved)
    assert {"IPlonnxSharedVerifier.sol", "PlonnxRegistry.sol"} < {path.name for path in folder.iterdir()}
    assert ran.code == 0 and (tmp_path / "Shared.sol").read_text() == api.emit_shared_verifier()
    held = api.key_contract(proved / "model.vk")
    record = plonnx("key-contract", "model.vk", "-o", tmp_path / "model.key", "--json", cwd=proved).json
    assert record["key_hash"] == "0x" + held.hash.hex() and record["runtime_bytes"] == len(held.code)
    assert (tmp_path / "model.key").read_text() == f"0x{held.creations[0].hex()}\n"
    assert record["key_hash"] in plonnx("key-contract", "model.vk", cwd=proved).out
    address = "0x" + "ab" * 20
    call = plonnx("calldata", "model.proof", "--vk", "model.vk", "--key-address", address, cwd=proved).out.strip()
    assert bytes.fromhex(call[2:]) == api.calldata(proved / "model.proof", vk=proved / "model.vk", key_address=address)
    assert call[2 + 8 + 24 :].startswith(address[2:] + held.hash.hex())
    for wrong in (
        ["solidity"],
        ["solidity", "model.vk", "--shared"],
        ["deploy", "--rpc-url", "http://127.0.0.1:1"],
    ):
        assert plonnx(*wrong, cwd=proved).code == 2, wrong
    for wrong, why in (
        (["calldata", "model.proof", "--vk", "model.vk"], "--key-address"),
        (["calldata", "model.proof", "--vk", "model.vk", "--key-address", "0x12"], "not an address"),
        (["verify-evm", "model.vk", "model.proof", "--shared", "--key-address", address], "needs --rpc-url"),
        (["key-contract", "model.vk", "--rpc-url", "http://127.0.0.1:1"], "PLONNX_PRIVATE_KEY"),
    ):
        ran = plonnx(*wrong, cwd=proved)
        assert ran.code == 1 and why in ran.err and "Traceback" not in ran.err, ran.err


def test_context(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    """A proof is made for a context and refused for another; the file remembers it."""
    address = "0x" + "1a" * 20
    where = ["--chain", "1", "--contract", address, "--sender", address]
    context = plonnx("context", *where, "--nonce", "3", cwd=proved).out.strip()
    proof = tmp_path / "bound.proof"
    assert plonnx("prove", "model.circuit", "input.json", "--context", context, "-o", proof, cwd=proved).code == 0
    ran = plonnx("verify", "model.vk", proof, cwd=proved)
    assert ran.code == 0 and context in ran.out
    assert plonnx("verify", "model.vk", proof, "--context", context, cwd=proved).code == 0
    for other in (plonnx("context", *where, "--nonce", "4", cwd=proved).out.strip(), "0" * 64):
        ran = plonnx("verify", "model.vk", proof, "--context", other, cwd=proved)
        assert ran.code == 1 and "made for the context" in ran.err
    assert context[2:] in plonnx("calldata", proof, cwd=proved).out
    assert plonnx("inspect", proof, "--json", cwd=proved).json["context"] == context[2:]
    ran = plonnx("prove", "model.circuit", "input.json", "--context", "0x12", cwd=proved)
    assert ran.code == 2 and "64 hexadecimal digits" in ran.err


def test_dapp_and_deploy(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    from plonnx.solidity.node import ToolError, find_solc

    try:
        find_solc()
    except ToolError as error:
        pytest.skip(str(error))
    record = plonnx("solidity", "model.vk", "--dapp", tmp_path / "dapp", "--json", cwd=proved).json
    assert record["files"] == sorted(path.name for path in (tmp_path / "dapp").iterdir())
    assert "verifyBatch" in (tmp_path / "dapp" / "Verifier.abi.json").read_text()
    ran = plonnx("deploy", "model.vk", "--rpc-url", "http://127.0.0.1:1", "--dry-run", cwd=proved)
    assert ran.code == 1 and "PLONNX_PRIVATE_KEY" in ran.err and "Traceback" not in ran.err


def test_verify_evm(plonnx: Plonnx, proved: Path) -> None:
    """On a node that the command starts, and refused on one that is not there."""
    from plonnx.solidity.node import ToolError, find_anvil, find_solc

    try:
        find_anvil(), find_solc()
    except ToolError as error:
        pytest.skip(str(error))
    ran = plonnx("verify-evm", "model.vk", "model.proof", cwd=proved)
    assert ran.code == 0 and "accepts the proof" in ran.out, ran.err
    record = plonnx("verify-evm", "model.vk", "model.proof", "--json", cwd=proved).json
    assert record["ok"] is True and record["gas"]["used"] > 100_000 and record["address"].startswith("0x")
    nowhere = ["--rpc-url", "http://127.0.0.1:1", "--address", record["address"]]
    ran = plonnx("verify-evm", "model.vk", "model.proof", *nowhere, cwd=proved)
    assert ran.code == 1 and "127.0.0.1" in ran.err and "Traceback" not in ran.err


def test_python_api(proved: Path) -> None:
    """The same words, the same files."""
    import plonnx

    circuit = plonnx.compile(proved / "model.onnx", data=proved / "input.json")
    assert plonnx.mock(circuit, {"x": np.array(PUBLIC)}) == []
    pk = plonnx.setup(circuit)
    assert pk.vk.encode() == (proved / "model.vk").read_bytes()
    proof = plonnx.prove(circuit, proved / "input.json", pk)
    statement = plonnx.verify(pk.vk, proof)
    np.testing.assert_allclose(statement.inputs["x"], PUBLIC, atol=0.02)
    assert "contract Verifier" in plonnx.emit_solidity(pk.vk)
    assert plonnx.inspect(pk.vk)["rows"] == plonnx.inspect(proved / "model.circuit")["rows"]


def test_interrupt_is_130(tmp_path: Path) -> None:
    """One line, no traceback, wherever the interrupt falls."""
    for delay in (0.3, 1.0):
        arguments = [sys.executable, "-m", "plonnx", "srs", "generate", "--k", "20", "-o", str(tmp_path / "big.srs")]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        assert out == "" and "Traceback" not in err and err.splitlines()[-1].startswith("plonnx: interrupted")
        assert not list(tmp_path.iterdir())
