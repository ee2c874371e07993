"""Private models on the command line, batches, imports, and Ctrl-C while a kernel runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import plonnx as api
from plonnx.kzg.srs import SRS
from tests.cli.conftest import Plonnx, write_input, write_mlp
from tests.command import Ran

SEED = "00112233445566778899aabbccddeeff"
INTERRUPT_SECONDS = 3.0  # 0.1 to 0.6 s measured; the bound allows for a busy machine


@pytest.fixture(scope="module")
def private(plonnx: Plonnx, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("private")
    write_mlp(folder / "model.onnx")
    write_input(folder / "input.json")
    arguments = ["--data", "input.json", "--model", "private", "-o", "model.circuit"]
    assert plonnx("compile", "model.onnx", *arguments, cwd=folder).code == 0
    ran = plonnx("setup", "model.circuit", "--blinding-seed", SEED, cwd=folder)
    assert ran.code == 0, ran.err
    assert "wrote model.registration" in ran.out
    return folder


CHECK = ("verify-registration", "model.vk", "model.registration")


def test_a_private_model(plonnx: Plonnx, private: Path, traceback_free: Callable[[Ran], str]) -> None:
    ran = plonnx(*CHECK, "--architecture", "model.architecture", cwd=private)
    assert ran.code == 0, ran.err
    assert "the key is of this architecture" in ran.out
    assert "the registration is valid" in ran.out
    record = plonnx(*CHECK, "--architecture", "model.architecture", "--json", cwd=private).json
    assert set(record["bits"][:-1]) == {16} and record["ok"]
    said = plonnx("inspect", "model.vk", "--json", cwd=private).json["weights"]
    assert said.startswith("hidden, ") and "declared: " in said and " of 16 bits" in said
    shown = plonnx("inspect", "model.architecture", "--json", cwd=private).json
    assert record["architecture"] == shown["digest"]
    assert {layer["kind"] for layer in shown["layers"]} == {"input", "convolution"}
    assert sum(layer["secrets"] for layer in shown["layers"]) == shown["secrets"] > 0
    assert "layers" in plonnx("inspect", "model.architecture", cwd=private).out
    assert plonnx("prove", "model.circuit", "input.json", cwd=private).code == 0
    assert plonnx("verify", "model.vk", "model.proof", cwd=private).code == 0
    damaged = bytearray((private / "model.registration").read_bytes())
    damaged[-40] ^= 1
    (private / "damaged").write_bytes(damaged)
    assert "damaged" in traceback_free(plonnx("verify-registration", "model.vk", "damaged", cwd=private))
    assert "is needed here" in traceback_free(plonnx("verify-registration", "model.vk", "model.proof", cwd=private))


def test_without_the_architecture_the_widths_alone_are_checked(
    plonnx: Plonnx, private: Path, traceback_free: Callable[[Ran], str]
) -> None:
    said = traceback_free(plonnx(*CHECK, cwd=private))
    assert "only the widths were checked, and hold" in said and "--architecture MODEL.architecture" in said
    ran = plonnx(*CHECK, "--json", cwd=private)
    assert ran.code == 1
    record = json.loads(ran.out)
    assert not record["ok"] and record["error"].startswith("only the widths were checked")


def test_another_architecture_is_refused(
    plonnx: Plonnx, private: Path, tmp_path: Path, traceback_free: Callable[[Ran], str]
) -> None:
    """Of a model that has one layer more, which the key does not show; and of a file that is none."""
    write_mlp(tmp_path / "model.onnx")
    arguments = ["--data", private / "input.json", "--model", "private", "--weight-bits", "17"]
    assert plonnx("compile", "model.onnx", *arguments, cwd=tmp_path).code == 0
    given = ["--architecture", tmp_path / "model.architecture"]
    said = traceback_free(plonnx(*CHECK, *given, cwd=private))
    assert "the verifying key is not of this architecture: its hidden_bits" in said
    said = traceback_free(plonnx(*CHECK, "--architecture", "model.circuit", cwd=private))
    assert "this is a plonnx circuit file, a architecture file is needed here" in said
    damaged = bytearray((private / "model.architecture").read_bytes())
    damaged[-9] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    assert "damaged" in traceback_free(plonnx(*CHECK, "--architecture", tmp_path / "damaged", cwd=private))


def test_the_blinding_seed(plonnx: Plonnx, private: Path, tmp_path: Path) -> None:
    (tmp_path / "seed").write_bytes(bytes.fromhex(SEED))
    targets = ["--pk", "a.pk", "--vk", "a.vk", "--registration", "a.registration"]
    ran = plonnx("setup", private / "model.circuit", *targets, "--blinding-seed", "seed", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert (tmp_path / "a.vk").read_bytes() == (private / "model.vk").read_bytes()
    for path in tmp_path.iterdir():
        assert path.name == "seed" or bytes.fromhex(SEED) not in path.read_bytes()
    for seed in ("0011", "neither hex nor file"):
        assert plonnx("setup", private / "model.circuit", "--blinding-seed", seed, cwd=tmp_path).code == 2


def test_another_registration_is_refused(
    plonnx: Plonnx, private: Path, tmp_path: Path, proved: Path, traceback_free: Callable[[Ran], str]
) -> None:
    circuit = api.ModelCircuit.load(private / "model.circuit")
    other = api.setup(circuit)
    api.register(circuit, other).save(tmp_path / "other.registration")
    architecture = api.Architecture.load(private / "model.architecture")
    registration = api.Registration.load(tmp_path / "other.registration")
    assert api.verify_registration(other.vk, registration, architecture)[0] == 16
    said = traceback_free(plonnx("verify-registration", private / "model.vk", tmp_path / "other.registration"))
    assert "other columns" in said
    said = traceback_free(plonnx("verify-registration", proved / "model.vk", tmp_path / "other.registration"))
    assert "is public" in said
    small = tmp_path / "small.srs"
    SRS.development(circuit.k - 1, 7).save(small)
    assert "powers" in traceback_free(plonnx("setup", private / "model.circuit", "--srs", small))


def test_batches(plonnx: Plonnx, proved: Path, tmp_path: Path, traceback_free: Callable[[Ran], str]) -> None:
    samples = np.linspace(-0.4, 0.4, 33).reshape(11, 3)
    np.savez(tmp_path / "many.npz", x=samples)
    ran = plonnx("prove", "model.circuit", "--batch", tmp_path / "many.npz", "-o", tmp_path / "proofs", cwd=proved)
    assert ran.code == 0, ran.err
    assert "proofs a second" in ran.out
    names = sorted(path.name for path in (tmp_path / "proofs").iterdir())
    assert names == [f"many-{i:02}.proof" for i in range(1, 12)]
    vk = api.VerifyingKey.load(proved / "model.vk")
    for name, sample in zip(names, samples, strict=True):
        statement = api.verify(vk, api.Proof.load(tmp_path / "proofs" / name))
        np.testing.assert_allclose(statement.inputs["x"], [sample], atol=0.02)
    folder = tmp_path / "inputs"
    folder.mkdir()
    write_input(folder / "one.json")
    np.savez(folder / "two.npz", x=samples[:2])
    record = plonnx("prove", "model.circuit", "--batch", folder, "-o", tmp_path / "more", "--json", cwd=proved).json
    assert [Path(path).name for path in record["proofs"]] == ["one.proof", "two-1.proof", "two-2.proof"]
    assert record["seconds_per_proof"] > 0
    write_input(folder / "two.json")
    said = traceback_free(plonnx("prove", "model.circuit", "--batch", folder, cwd=proved))
    assert "several files named two" in said
    (tmp_path / "empty").mkdir()
    assert "no .json" in traceback_free(plonnx("prove", "model.circuit", "--batch", tmp_path / "empty", cwd=proved))
    assert plonnx("prove", "model.circuit", "input.json", "--batch", folder, cwd=proved).code == 2


def test_the_prover_object(proved: Path) -> None:
    circuit, pk = api.ModelCircuit.load(proved / "model.circuit"), api.ProvingKey.load(proved / "model.pk")
    prover = api.Prover(circuit, pk)
    proofs = [prover.prove(proved / "input.json"), *prover.prove_all({"x": [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]})]
    shown = [api.verify(pk.vk, proof).inputs["x"][0, 0] for proof in proofs]
    np.testing.assert_allclose(shown, [0.5, 0.1, 0.3], atol=0.02)
    with pytest.raises(api.FileError, match="another circuit"):
        api.Prover(circuit, api.ProvingKey(pk.vk, pk.programs, pk.fixed, pk.levels, pk.chosen, b"x"))


def test_gas_report(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    ran = plonnx("solidity", "model.vk", "--gas-report", cwd=proved)
    assert ran.code == 0 and "pairing" in ran.out and "contract" not in ran.out
    record = plonnx("solidity", "model.vk", "--gas-report", "-o", tmp_path / "V.sol", "--json", cwd=proved).json
    assert record["shared"] > record["gas"]["total"] > 200_000 and not record["split"]
    assert set(record["drafts"]) == {"EIP-7976", "EIP-7904 of January 2026"}
    assert {lever["gas"] + lever["saves"] for lever in record["levers"]} == {record["gas"]["total"]}
    assert "compile --optimize gas" in ran.out and "verifyBatch" in ran.out
    (tmp_path / "model.vk").write_bytes((proved / "model.vk").read_bytes())
    assert "with model.circuit beside the key" in plonnx("solidity", "model.vk", "--gas-report", cwd=tmp_path).out
    assert "contract Verifier" in (tmp_path / "V.sol").read_text()


def test_import(plonnx: Plonnx, tmp_path: Path, traceback_free: Callable[[Ran], str]) -> None:
    made = SRS.development(4, 12345)
    points = made.powers.to_bytes(compressed=True)
    g2 = [api._native.g2_to_compressed(point).hex() for point in (api._native.g2_generator(), made.tau_g2)]
    held = {"g1_monomial": [points[i : i + 48].hex() for i in range(0, len(points), 48)], "g2_monomial": g2}
    (tmp_path / "setup.json").write_text(json.dumps(held))
    ran = plonnx("srs", "import", "setup.json", "-o", "my.srs", "--powers", "8", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "8 of 16 powers, from a trusted setup of Ethereum's consensus specifications (JSON)" in ran.out
    assert "no check can see" in ran.out
    assert SRS.load(tmp_path / "my.srs").size == 8
    said = traceback_free(plonnx("srs", "import", "setup.json", "-o", "my.srs", "--powers", "32", cwd=tmp_path))
    assert "setup.json: --powers 32: it has 16" in said


def interrupted_after(
    arguments: list[str], ready: Callable[[], bool], cwd: Path, cache: Path
) -> tuple[float, subprocess.CompletedProcess[str]]:
    """How long a command runs on after Ctrl-C, sent when `ready` says so."""
    process = subprocess.Popen(
        [sys.executable, "-m", "plonnx", *arguments],
        cwd=cwd,
        env={**os.environ, "PLONNX_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.perf_counter() + 60
    while not ready():
        assert process.poll() is None and time.perf_counter() < deadline, process.communicate()
        time.sleep(0.05)
    time.sleep(1.0)
    assert process.poll() is None, "it ended before it was interrupted"
    start = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    seconds = time.perf_counter() - start
    return seconds, subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_an_interrupt_is_heard_while_a_kernel_runs(plonnx: Plonnx, tmp_path: Path) -> None:
    """The Lagrange form of 2^15 points of a real ceremony takes many seconds in one call of a kernel."""
    write_mlp(tmp_path / "model.onnx")
    write_input(tmp_path / "input.json")
    arguments = ["--data", "input.json", "--table-bits", "8", "-o", "model.circuit"]
    assert plonnx("compile", "model.onnx", *arguments, cwd=tmp_path).code == 0
    known = SRS.development(15, 12345)
    SRS(known.powers, known.tau_g2).save(tmp_path / "my.srs")
    cache = tmp_path / "cache"
    circuit = api.ModelCircuit.load(tmp_path / "model.circuit")
    large = replace(circuit, shape=replace(circuit.shape, k=15))
    large.save(tmp_path / "large.circuit")
    before = {path.name for path in tmp_path.iterdir()}

    def checked() -> bool:
        """The SRS has been checked: keygen begins, with the Lagrange form."""
        return any(cache.glob("verified-*")) if cache.exists() else False

    seconds, ran = interrupted_after(["setup", "large.circuit", "--srs", "my.srs"], checked, tmp_path, cache)
    assert ran.returncode == 130, ran.stderr
    assert ran.stdout == "" and "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1] == "plonnx: interrupted; no file was left half-written"
    assert seconds < INTERRUPT_SECONDS
    assert {path.name for path in tmp_path.iterdir()} == before | {"cache"}
    assert [path.name.partition("-")[0] for path in cache.iterdir()] == ["verified"]
