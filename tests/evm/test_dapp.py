"""What is written for a dapp compiles, and says the same as Python."""

from __future__ import annotations

import json
import subprocess
import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plonnx
from plonnx.kzg.srs import SRS
from plonnx.plonk.keys import Proof, PublicTensor, VerifyingKey
from plonnx.plonk.prover import prove
from plonnx.plonk.public_values import pack, unpack
from plonnx.plonk.verifier import verify
from plonnx.solidity import evm, node
from plonnx.solidity.abi import ERRORS, encode, selector
from plonnx.solidity.dapp import _javascript, _named, dapp_files, emit_values, foundry_files
from plonnx.solidity.source import emit_solidity
from plonnx.statement import read_statement
from tests.compiler.test_missing import imputing
from tests.evm import trapdoor

HARNESS = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.25;
import {ModelValues} from "./ModelValues.sol";
import {PlonnxValues} from "./PlonnxValues.sol";
contract Harness {
    function one(bytes calldata v) external pure returns (int256[] memory) { return ModelValues.inputInPut(v); }
    function two(bytes calldata v) external pure returns (int256[] memory) { return ModelValues.outputScores0(v); }
    function three(bytes calldata v) external pure returns (int256[] memory) { return ModelValues.outputNumber2(v); }
    function four(bytes calldata v) external pure returns (int256[] memory) {
        return ModelValues.outputScores0Number3(v);
    }
    function five(bytes calldata v) external pure returns (int256[] memory) { return ModelValues.outputRows(v); }
    function six(bytes calldata v) external pure returns (int256[] memory) { return ModelValues.outputColumns(v); }
    function seven(bytes calldata v) external pure returns (int256[] memory) { return ModelValues.outputCountHigh(v); }
    function eight(bytes calldata v) external pure returns (int256[] memory) { return ModelValues.outputCountLow(v); }
    function both(bytes calldata v) external pure returns (int256[] memory) { return ModelValues.outputCount(v); }
    function best(bytes calldata v) external pure returns (uint256) {
        return PlonnxValues.argMax(ModelValues.outputScores0(v));
    }
    function wad(int256 value, int256 scale) external pure returns (int256) { return PlonnxValues.toWad(value, scale); }
    function scales() external pure returns (int256, int256, int256) {
        return (ModelValues.INPUT_IN_PUT_SCALE, ModelValues.OUTPUT_SCORES_0_SCALE, ModelValues.OUTPUT_ROWS_SCALE);
    }
}
"""


@pytest.fixture(scope="module")
def vk() -> VerifyingKey:
    """A key with tensors of many widths, names that are no identifiers, and scales by channel."""
    made, _ = trapdoor.random_key(3, advice=3, fixed=2, ops=4)
    shapes = [("in-put", "input", (2, 3), 5, 1), ("scores/0", "output", (4,), -2, 3), ("*/", "output", (1,), 0, 8)]
    tensors, offset = [], 0
    by_channel = [("rows", "output", (2, 3), ((4,), (-2,)), 2), ("columns", "output", (1, 2, 3), (9, 40, -3), 2)]
    in_two = [("count.high", "output", (2, 2), -16, 3), ("count.low", "output", (2, 2), 0, 3)]
    for name, role, shape, scale, width in [*shapes, ("scores 0", "output", (2,), 0, 2), *by_channel, *in_two]:
        tensors.append(PublicTensor(name, role, shape, scale, offset, width, -5, 5))
        offset += int(np.prod(shape)) * width
    return replace(made, tensors=tuple(tensors), public_bytes=offset)


@pytest.fixture(scope="module")
def files(vk: VerifyingKey) -> dict[str, str]:
    try:
        return dapp_files(vk)
    except node.ToolError as error:
        pytest.skip(str(error))


def signatures(abi: Any) -> set[tuple[str, ...]]:
    """Functions and errors of an interface, with what they take and return."""
    return {
        (
            entry["type"],
            entry["name"],
            entry.get("stateMutability", ""),
            *(x["type"] for x in entry["inputs"]),
            "->",
            *(x["type"] for x in entry.get("outputs", ())),
        )
        for entry in abi
        if entry["type"] in ("function", "error")
    }


def test_the_interface_is_the_contracts(files: dict[str, str]) -> None:
    stated = signatures(node.compile_contracts(files["IPlonnxVerifier.sol"])["IPlonnxVerifier"].abi)
    assert stated == signatures(json.loads(files["Verifier.abi.json"]))
    assert {name for kind, name, *_ in stated if kind == "error"} == set(ERRORS) - {"WrongKey"}  # the shared one's
    mock = signatures(node.compile_contracts(files["MockVerifier.sol"])["MockVerifier"].abi)
    asked = {entry for entry in stated if entry[1].startswith(("verify", "requireValid"))}
    assert len(asked) == 4 and asked <= mock


def test_javascript_reads_public_values_as_python_does(vk: VerifyingKey, files: dict[str, str], tmp_path: Path) -> None:
    for name in ("verifier.mjs", "verifier.d.mts"):
        (tmp_path / name).write_text(files[name])
    rng = np.random.default_rng(2)
    drawn = {}
    for t in vk.tensors:
        limit = 1 << (8 * t.width - 1)
        drawn[f"{t.role} {t.name}"] = rng.integers(-limit, limit - 1, t.shape, endpoint=True)
    public = pack(vk.tensors, drawn)
    (tmp_path / "read.mjs").write_text(
        f"""import * as v from "./verifier.mjs";
        const read = v.publicTensors.map((t) => v.integers(t, "0x{public.hex()}").map(String));
        let refused = false;
        try {{ v.integers(v.publicTensors[0], "0x00"); }} catch {{ refused = true; }}
        const reals = v.values(v.publicTensors[0], "0x{public.hex()}");
        const apart = v.values({{ ...v.publicTensors[1], scale: [1, -2, 3, 0] }}, "0x{public.hex()}");
        console.log(JSON.stringify({{ read, refused, reals, apart, abi: v.verifierAbi, key: v.VK_DIGEST }}));"""
    )
    ran = subprocess.run(["node", tmp_path / "read.mjs"], capture_output=True, text=True, check=True)
    said = json.loads(ran.stdout)
    for tensor, read in zip(vk.tensors, said["read"], strict=True):
        assert [int(x) for x in read] == unpack(tensor, public).reshape(-1).tolist()
    np.testing.assert_allclose(said["reals"], unpack(vk.tensors[0], public).reshape(-1) / 2.0**5)
    np.testing.assert_allclose(
        said["apart"], unpack(vk.tensors[1], public).reshape(-1) / 2.0 ** np.array([1, -2, 3, 0])
    )
    assert said["refused"] and said["key"] == "0x" + vk.digest.hex()
    assert said["abi"] == json.loads(files["Verifier.abi.json"])
    assert all(f"declare function {name}(" in files["verifier.d.mts"] for name in ("integers", "values"))


def test_the_standard_input_makes_the_same_code(files: dict[str, str]) -> None:
    """What a block explorer is given."""
    made = node.ask_solc(json.loads(files["Verifier.input.json"]))["contracts"]["Verifier.sol"]["Verifier"]
    assert made["evm"]["bytecode"]["object"] == node.compile_contract(files["Verifier.sol"]).creation.hex()


def test_the_pinned_tools_are_those_of_the_messages() -> None:
    pinned = json.loads((Path(__file__).parents[2] / "solidity" / "npm" / "package.json").read_text())["dependencies"]
    assert pinned == {"solc": node.SOLC, "@foundry-rs/anvil": node.ANVIL}


def test_a_foundry_project(rpc: node.Rpc, squares_proof: tuple[VerifyingKey, Proof]) -> None:
    """Its test, run as forge runs it: deployed, set up, and every test_ called."""
    key, proof = squares_proof
    files = foundry_files(key, proof)
    settings = tomllib.loads(files["foundry.toml"])["profile"]["default"]
    assert (settings["solc"], settings["evm_version"], settings["optimizer_runs"]) == (node.SOLC, "prague", 200)
    passed = _forge(rpc, files)
    assert len(passed) == 4 and all(passed.values()), passed
    alone = _forge(rpc, foundry_files(key))
    assert list(alone.values()) == [True]
    broken = replace(proof, proof=bytes(len(proof.proof)))
    assert not _forge(rpc, foundry_files(key, broken))["test_the_proof_holds"]
    with pytest.raises(ValueError, match="another verifying key"):
        foundry_files(replace(key, model="another"), proof)


def test_a_foundry_project_with_via_ir(rpc: node.Rpc, squares_proof: tuple[VerifyingKey, Proof]) -> None:
    """The contract is the one that compiles so, and the project's settings say that it is compiled so."""
    key, proof = squares_proof
    files = foundry_files(key, proof, via_ir=True)
    assert tomllib.loads(files["foundry.toml"])["profile"]["default"]["via_ir"] is True
    assert "via_ir" not in foundry_files(key, proof)["foundry.toml"]
    assert files["src/Verifier.sol"] == emit_solidity(key, via_ir=True) != emit_solidity(key)
    passed = _forge(rpc, files)
    assert len(passed) == 4 and all(passed.values()), passed


def test_what_a_dapp_with_via_ir_gets(squares_proof: tuple[VerifyingKey, Proof]) -> None:
    key, _ = squares_proof
    made = dapp_files(key, via_ir=True)
    standard = json.loads(made["Verifier.input.json"])
    assert standard["settings"]["viaIR"] is True
    assert made["Verifier.sol"] == standard["sources"]["Verifier.sol"]["content"] == emit_solidity(key, via_ir=True)


def _forge(rpc: node.Rpc, files: dict[str, str]) -> dict[str, bool]:
    name = "test/Verifier.t.sol"
    imported = {at: text for at, text in files.items() if at.endswith(".sol") and at != name}
    via_ir = tomllib.loads(files["foundry.toml"])["profile"]["default"].get("via_ir", False)
    test = node.compile_contracts(files[name], imported, name, via_ir)["VerifierTest"]
    at = evm._receipt(rpc, evm._send(rpc, {"data": "0x" + test.creation.hex()}))["contractAddress"]
    evm._receipt(rpc, evm._send(rpc, {"to": at, "data": "0x" + selector("setUp()").hex(), "gas": hex(14_000_000)}))
    passed = {}
    for entry in test.abi:
        if entry.get("name", "").startswith("test_"):
            try:
                evm._call(rpc, at, selector(f"{entry['name']}()"))
                passed[entry["name"]] = True
            except node.RpcError:
                passed[entry["name"]] = False
    return passed


def test_public_values_are_read_as_python_reads_them(rpc: node.Rpc, vk: VerifyingKey, files: dict[str, str]) -> None:
    creation = node.compile_contracts(HARNESS, {n: s for n, s in files.items() if n.endswith(".sol")})[
        "Harness"
    ].creation
    harness = evm._receipt(rpc, evm._send(rpc, {"data": "0x" + creation.hex()}))["contractAddress"]

    def ask(signature: str, *words: int, content: bytes | None = None) -> list[int]:
        data = selector(signature) + b"".join((w % 2**256).to_bytes(32, "big") for w in words)
        if content is not None:
            data += (32).to_bytes(32, "big") + len(content).to_bytes(32, "big") + content + bytes(-len(content) % 32)
        answer = evm._call(rpc, harness, data)
        return [int.from_bytes(answer[i : i + 32], "big", signed=True) for i in range(0, len(answer), 32)]

    rng = np.random.default_rng(1)
    for _ in range(5):
        values = {}
        for t in vk.tensors:
            limit = 1 << (8 * t.width - 1)
            drawn = rng.integers(-limit, limit - 1, t.shape, endpoint=True)
            drawn.reshape(-1)[0] = rng.choice([-limit, limit - 1, -1, 0])
            values[f"{t.role} {t.name}"] = drawn
        public = pack(vk.tensors, values)
        names = ("one", "two", "three", "four", "five", "six", "seven", "eight")
        for tensor, name in zip(vk.tensors, names, strict=True):
            finer = np.max(tensor.scale) - np.asarray(tensor.scale)
            expected = (unpack(tensor, public) << finer).reshape(-1).tolist()
            assert ask(f"{name}(bytes)", content=public) == [32, len(expected), *expected]
        counts = ((values["output count.high"] << 16) + values["output count.low"]).reshape(-1).tolist()
        assert ask("both(bytes)", content=public) == [32, len(counts), *counts]
        assert ask("best(bytes)", content=public) == [int(np.argmax(values["output scores/0"]))]
        for wrong in (public[:-1], public + b"\0"):
            with pytest.raises(node.RpcError) as reverted:
                ask("one(bytes)", content=wrong)
            assert reverted.value.data == selector("WrongPublicValuesLength()")
    assert ask("scales()") == [5, -2, 4]
    assert ask("wad(int256,int256)", 3, 1) == [15 * 10**17]
    assert ask("wad(int256,int256)", -3, -2) == [-12 * 10**18]
    assert ask("wad(int256,int256)", -1, 60) == [0]
    assert ask("wad(int256,int256)", 1 << 190, 254) == [0] and ask("wad(int256,int256)", 0, -254) == [0]
    for value, scale in ((1 << 190, 255), (3, -255), (3, -256), (3, 256), (3, -1023), (3, 1 << 200)):
        with pytest.raises(node.RpcError):  # 2^255 is no int256, and a longer shift leaves zero
            ask("wad(int256,int256)", value, scale)


def test_names_that_would_be_one_are_several(vk: VerifyingKey) -> None:
    """Also where a name is what another one is given."""
    names = ["+", "number 0", "number 6", "-", "Number3", "a b", "ab", "aB", "a_b"]
    tensors = tuple(PublicTensor(name, "output", (1,), 0, i, 1, 0, 1) for i, name in enumerate(names))
    for given in (tensors, tensors[::-1], tensors[3:] + tensors[:3]):
        named = _named(given)
        for field in ("function", "constant"):
            assert len({getattr(one, field) for one in named}) == len(names)
        source = emit_values(replace(vk, tensors=given, public_bytes=len(names)))
        assert all(source.count(f"function {one.function}(") == 1 for one in named)


def test_scales_too_far_apart_for_one_word(vk: VerifyingKey) -> None:
    """A channel that is shifted out of an int256 would be another number."""
    for far, fits in ((240, True), (241, False), (300, False), (1023, False)):
        tensor = PublicTensor("rows", "output", (2, 1), ((far - 100,), (-100,)), 0, 2, -5, 5)
        key = replace(vk, tensors=(tensor,), public_bytes=4)
        if fits:
            assert f'hex"00{far:02x}"' in emit_values(key)
            continue
        with pytest.raises(ValueError, match=f"rows: its channels have scales from -100 to {far - 100}, too far apart"):
            emit_values(key)


def test_a_number_that_is_missing_is_the_provers(rpc: node.Rpc) -> None:
    """Two proofs of one statement about what is there, with other numbers where the mark is 1; the library says so."""
    r = np.random.default_rng(2)
    x = np.where(r.random((40, 3)) < 0.3, np.nan, r.uniform(-1, 1, (40, 3)))
    circuit = plonnx.compile(imputing(), {"x": x}, table_bits=8)
    srs = SRS.development(circuit.srs_k, tau=5)
    pk = circuit.keygen(srs)
    integers = circuit.read_inputs([[0.25, np.nan, 0.75]])
    chosen = {**integers, "x": np.where(integers["x_missing"], 7, integers["x"])}
    proofs = [prove(pk, circuit.witness(each), srs) for each in (integers, chosen)]
    for proof in proofs:
        verify(pk.vk, proof)
    shown = [read_statement(pk.vk, proof) for proof in proofs]
    assert [s.inputs["x"][0, 1] == 0 for s in shown] == [True, False] and shown[0].outputs["y"][0, 1] == 0.5
    np.testing.assert_array_equal(shown[0].outputs["y"], shown[1].outputs["y"])

    library = emit_values(pk.vk)
    warning = "/// @dev Where inputXMissing is 1 the value is missing"
    before, after = library.split(warning)
    assert "@notice The input x of" in before.splitlines()[-2] and "function inputX(" in after.splitlines()[1]
    assert warning not in after and warning not in emit_values(
        replace(pk.vk, tensors=tuple(t for t in pk.vk.tensors if t.name != "x_missing"))
    )
    assert "Where x_missing is 1 a value of x is missing" in _javascript(pk.vk, [])["verifier.d.mts"]
    reader = "contract Reader { function read(bytes calldata v) external pure returns (int256[] memory) {" + (
        " int256[] memory x = ModelValues.inputX(v); int256[] memory lost = ModelValues.inputXMissing(v);"
        " for (uint256 i; i < x.length; ++i) if (lost[i] != 0) x[i] = type(int256).min; return x; } }"
    )
    values = (resources.files("plonnx.solidity") / "contracts" / "PlonnxValues.sol").read_text()
    imported = {"ModelValues.sol": library, "PlonnxValues.sol": values}
    head = 'pragma solidity ^0.8.25;\nimport {ModelValues} from "./ModelValues.sol";\n'
    creation = node.compile_contracts(head + reader, imported)["Reader"].creation
    at = evm._receipt(rpc, evm._send(rpc, {"data": "0x" + creation.hex()}))["contractAddress"]
    calls = [evm._call(rpc, at, encode("read(bytes)", proof.public_values)) for proof in proofs]
    expected = integers["x"].reshape(-1).tolist()
    words = [int.from_bytes(calls[0][i : i + 32], "big", signed=True) for i in range(64, len(calls[0]), 32)]
    assert calls[0] == calls[1] and words == [expected[0], -(1 << 255), expected[2]]
