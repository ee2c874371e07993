"""Setups on the command line and in Python: real ones by default, larger ones by fetching, unsafe ones on demand.

What comes with plonnx is cut to 2^4 powers for some of these commands: so small models need more, and the files that
`srs fetch` brings are real ones of Midnight's catalogue, small too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import plonnx as api
from plonnx.kzg.container import decode, encode
from plonnx.kzg.origin import DEVELOPMENT_TAU
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.srs_choice import for_key, for_setup
from tests.cli.conftest import PUBLIC, Plonnx
from tests.command import Ran
from tests.conftest import ROOT
from tests.kzg.test_fetch import Mirror, served
from tests.kzg.test_srs import CATALOGUE, catalogue_file

UNSAFE = "warning: UNSAFE development SRS: anyone can forge proofs; for tests only"
WARNED = ("setup", "prove", "verify", "solidity", "verify-evm", "calldata", "key-contract")
_CUT = f"""
import sys
from plonnx import srs_choice
from plonnx.kzg import fetch
fetch.SHA256 = {CATALOGUE!r}
fetch.PUBLISHER = "http://127.0.0.1:1/midnight-srs-2p{{k}}"
for name in ("ETHEREUM", "MIDNIGHT"):
    setattr(srs_choice, name, getattr(srs_choice, name)._replace(size=16))
from plonnx.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "PLONNX_CACHE": str(cache), "PYTHONPATH": str(ROOT), "no_proxy": "*"}


@pytest.fixture
def cut(tmp_path: Path) -> Callable[..., Ran]:
    """The command, where 2^4 powers come with plonnx; with an empty cache."""

    def run(*arguments: str | Path) -> Ran:
        command = [sys.executable, "-c", _CUT, *map(str, arguments)]
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(tmp_path / "cache"),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def circuit(proved: Path, tmp_path: Path) -> api.ModelCircuit:
    """The small model of 2^9 rows, saved as model.circuit."""
    for name in ("model.circuit", "input.json"):
        (tmp_path / name).write_bytes((proved / name).read_bytes())
    return api.ModelCircuit.load(tmp_path / "model.circuit")


@pytest.fixture
def published() -> Iterator[Mirror]:
    with served(Mirror(catalogue_file(9))) as mirror:
        yield mirror


def test_a_model_that_needs_more_than_is_here(
    cut: Callable[..., Ran],
    circuit: api.ModelCircuit,
    published: Mirror,
    tmp_path: Path,
    traceback_free: Callable[[Ran], str],
) -> None:
    """Refused in one line; after the fetch that it names, set up, proved and verified without a word."""
    assert circuit.srs_k == 9
    said = traceback_free(cut("setup", "model.circuit"))
    assert "plonnx srs fetch 9" in said and "--unsafe-srs" in said and "unsafe_srs=True" in said
    assert not (tmp_path / "model.pk").exists()
    said = traceback_free(cut("srs", "fetch", "9"))
    assert "no answer" in said and "by hand" in said and "plonnx srs fetch 9 --from FILE" in said
    record = cut("srs", "fetch", "9", "--from", published.url, "--json").json
    assert (record["name"], record["unsafe"], record["powers"]) == ("Midnight ceremony (2025)", False, 512)
    assert record["already"] is False and Path(record["path"]).stat().st_size == record["bytes"]["srs"]
    again = cut("srs", "fetch", "9")
    assert again.code == 0 and "is here already" in again.out
    for command in (
        ["setup", "model.circuit"],
        ["prove", "model.circuit", "input.json"],
        ["verify", "model.vk", "model.proof"],
    ):
        ran = cut(*command, "--json")
        assert ran.code == 0 and "warning" not in ran.err, ran.err
        assert ran.json["unsafe"] is False
    vk = api.VerifyingKey.load(tmp_path / "model.vk")
    assert vk.srs == "Midnight ceremony (2025)" and vk.tau_g2 == SRS.midnight().tau_g2
    for path in (tmp_path / "cache").glob("midnight-*"):
        path.unlink()
    assert "plonnx srs fetch 9" in traceback_free(cut("prove", "model.circuit", "input.json"))


def test_a_download_that_is_interrupted(published: Mirror, tmp_path: Path, cut: Callable[..., Ran]) -> None:
    """Ctrl-C while the server is silent: what has come is kept, and the next run asks for the rest."""
    published.most, published.silence = 1000, 60.0
    command = [sys.executable, "-c", _CUT, "srs", "fetch", "9", "--from", published.url]
    part = tmp_path / "cache" / "midnight-9.part"
    process = subprocess.Popen(
        command, env=environment(tmp_path / "cache"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.perf_counter() + 60
    while not part.exists() or part.stat().st_size < 1000:
        assert process.poll() is None and time.perf_counter() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    published.most, published.silence = 1 << 30, 0.0
    assert cut("srs", "fetch", "9", "--from", published.url).code == 0
    assert published.asked == ["", "bytes=1000-"]
    assert not part.exists()


def test_python_refuses_too(
    circuit: api.ModelCircuit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: Mirror
) -> None:
    from plonnx import srs_choice
    from plonnx.kzg import fetch

    monkeypatch.setenv("PLONNX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "SHA256", CATALOGUE)
    for name in ("ETHEREUM", "MIDNIGHT"):
        monkeypatch.setattr(srs_choice, name, getattr(srs_choice, name)._replace(size=16))
    with pytest.raises(ValueError, match=r"plonnx srs fetch 9.*unsafe_srs=True"):
        api.setup(circuit)
    with pytest.raises(ValueError, match="give one of them"):
        api.setup(circuit, SRS.ethereum(), unsafe_srs=True)
    with pytest.warns(api.UnsafeSetupWarning, match="anyone can forge"):
        assert api.setup(circuit, unsafe_srs=True).vk.unsafe
    (tmp_path / "file").write_bytes(published.content)
    fetch.fetch(9, tmp_path / "file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert api.setup(circuit).vk.srs == "Midnight ceremony (2025)"


@pytest.mark.parametrize(("k", "name"), [(12, "Ethereum KZG ceremony (2023)"), (13, "Midnight ceremony (2025)")])
def test_the_ceremony_follows_from_the_size(k: int, name: str) -> None:
    assert for_setup(k).name == name
    assert for_setup(14).size == 1 << 14


# Unsafe ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unsafe(plonnx: Plonnx, proved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model over the development SRS."""
    folder = tmp_path_factory.mktemp("unsafe")
    for name in ("model.circuit", "input.json"):
        (folder / name).write_bytes((proved / name).read_bytes())
    assert plonnx("setup", "model.circuit", "--unsafe-srs", cwd=folder).code == 0
    assert plonnx("prove", "model.circuit", "input.json", cwd=folder).code == 0
    return folder


COMMANDS = {
    "setup": ["setup", "model.circuit", "--pk", "again.pk", "--vk", "again.vk"],
    "prove": ["prove", "model.circuit", "input.json", "-o", "again.proof"],
    "prove --batch": ["prove", "model.circuit", "--batch", "input.json", "-o", "proofs"],
    "verify": ["verify", "model.vk", "model.proof"],
    "solidity": ["solidity", "model.vk", "-o", "Verifier.sol"],
    "gas report": ["solidity", "model.vk", "--gas-report"],
    "verify-evm": ["verify-evm", "model.vk", "model.proof"],
    "calldata": ["calldata", "model.proof"],
    "key-contract": ["key-contract", "model.vk"],
    "inspect key": ["inspect", "model.vk"],
    "inspect proving key": ["inspect", "model.pk"],
    "inspect proof": ["inspect", "model.proof"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_whether_a_setup_is_unsafe(
    plonnx: Plonnx, unsafe: Path, proved: Path, tmp_path: Path, name: str
) -> None:
    if name == "verify-evm":
        pytest.importorskip("plonnx.solidity.node")
        _needs_a_node()
    command = COMMANDS[name]
    for folder, expected in ((unsafe, True), (proved, False)):
        for path in folder.glob("model.*"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / "input.json").write_bytes((folder / "input.json").read_bytes())
        ran = plonnx(*command, *(["--unsafe-srs"] if expected and name == "setup" else []), "--json", cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert ran.json["unsafe"] is expected
        warned = [line for line in ran.err.splitlines() if line.startswith("warning:")]
        assert warned == ([UNSAFE] if expected and command[0] in WARNED else [])


def _needs_a_node() -> None:
    from plonnx.solidity.node import ToolError, find_anvil, find_solc

    try:
        find_anvil(), find_solc()
    except ToolError as error:
        pytest.skip(str(error))


def test_a_proof_alone_does_not_say(plonnx: Plonnx, unsafe: Path, proved: Path, tmp_path: Path) -> None:
    """Without its key, or with another's, beside it."""
    (tmp_path / "model.proof").write_bytes((unsafe / "model.proof").read_bytes())
    for key in (None, proved / "model.vk"):
        if key is not None:
            (tmp_path / "model.vk").write_bytes(key.read_bytes())
        for command in ("calldata", "inspect"):
            ran = plonnx(command, "model.proof", "--json", cwd=tmp_path)
            assert ran.json["unsafe"] is None and ran.err == ""
    assert "unsafe        unknown" in plonnx("inspect", "model.proof", cwd=tmp_path).out


def test_python_warns(unsafe: Path, proved: Path) -> None:
    circuit = api.ModelCircuit.load(unsafe / "model.circuit")
    for folder, expected in ((unsafe, True), (proved, False)):
        pk, proof = api.ProvingKey.load(folder / "model.pk"), api.Proof.load(folder / "model.proof")
        uses: dict[str, Callable[[], object]] = {
            "Prover": lambda pk=pk: api.Prover(circuit, pk),
            "prove": lambda pk=pk: api.prove(circuit, {"x": PUBLIC}, pk),
            "verify": lambda pk=pk, proof=proof: api.verify(pk.vk, proof),
            "emit_solidity": lambda pk=pk: api.emit_solidity(pk.vk),
            "key_contract": lambda pk=pk: api.key_contract(pk.vk),
        }
        for name, use in uses.items():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                use()
            assert [w.category for w in caught] == [api.UnsafeSetupWarning] * expected, name
            assert all(w.filename == __file__ for w in caught) or name == "prove"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert api.verify(pk.vk, proof).unsafe is expected


def test_the_published_tau_is_unsafe_under_any_label(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    """An SRS file that leaves its tau out and calls itself a ceremony's; then a key made with it."""
    known = SRS.development(9)
    SRS(known.powers, known.tau_g2).save(tmp_path / "some.srs")
    content = (tmp_path / "some.srs").read_bytes()
    meta, arrays = decode(content, "srs", "some.srs")
    assert meta["tau"] is None
    label = {**meta, "name": "Ethereum KZG ceremony (2023)", "unsafe": False}
    (tmp_path / "labelled.srs").write_bytes(encode("srs", label, arrays))
    assert plonnx("srs", "info", "labelled.srs", cwd=tmp_path).code == 1, "a label is no field of an SRS file"
    assert plonnx("srs", "info", "some.srs", "--json", cwd=tmp_path).json["unsafe"] is True
    keys = ["--srs", tmp_path / "some.srs", "--pk", tmp_path / "m.pk", "--vk", tmp_path / "m.vk"]
    ran = plonnx("setup", "model.circuit", *keys, "--json", cwd=proved)
    assert ran.json["unsafe"] is True and UNSAFE in ran.err
    vk = api.VerifyingKey.load(tmp_path / "m.vk")
    assert (vk.srs, vk.unsafe) == ("UNSAFE development SRS", True)
    assert for_key(vk).tau == DEVELOPMENT_TAU, "it is found again without the file"


def test_an_unknown_setup_is_named_as_one(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    """Not called unsafe, and not passed over in silence."""
    known = SRS.development(9, 12345)
    SRS(known.powers, known.tau_g2).save(tmp_path / "some.srs")
    keys = ["--pk", tmp_path / "m.pk", "--vk", tmp_path / "m.vk"]
    ran = plonnx("setup", "model.circuit", "--srs", tmp_path / "some.srs", *keys, "--json", cwd=proved)
    assert ran.json["srs"].startswith("unknown setup (tau ") and ran.json["unsafe"] is False
    assert "no ceremony that plonnx knows" in ran.err and "compare" in ran.err
    prove = ["prove", "model.circuit", "input.json", "--pk", tmp_path / "m.pk", "-o", tmp_path / "m.proof"]
    ran = plonnx(*prove, cwd=proved)
    assert ran.code == 1 and "unknown setup" in ran.err and "as --srs" in ran.err
    assert plonnx(*prove, "--srs", tmp_path / "some.srs", cwd=proved).code == 0
    ran = plonnx("verify", "m.vk", "m.proof", "--json", cwd=tmp_path)
    assert ran.json["unsafe"] is False and "no ceremony that plonnx knows" in ran.err
    with pytest.warns(api.UnknownSetupWarning):
        api.emit_solidity(api.VerifyingKey.load(tmp_path / "m.vk"))


def test_a_key_says_nothing_about_its_setup(circuit: api.ModelCircuit) -> None:
    """Neither name nor safety is in its bytes: they follow from [tau]_2, and changing it changes the digest."""
    one, other = (keygen(circuit.arithmetize(), srs).vk for srs in (SRS.ethereum(), SRS.development(9)))
    held, _ = decode(one.encode(), "verifying key", "key")
    assert "tau_g2" in held and not {"srs", "unsafe_srs", "unsafe", "name"} & set(held)
    assert (one.unsafe, other.unsafe) == (False, True)
    assert replace(one, tau_g2=other.tau_g2).unsafe and replace(one, tau_g2=other.tau_g2).digest != one.digest


def test_generate_makes_the_published_srs(plonnx: Plonnx, tmp_path: Path) -> None:
    record = plonnx("srs", "generate", "--k", "6", "-o", tmp_path / "dev.srs", "--json").json
    assert record["unsafe"] is True and record["name"] == "UNSAFE development SRS"
    assert SRS.load(tmp_path / "dev.srs").digest == SRS.development(6).digest
