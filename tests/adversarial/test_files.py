"""Keys, proofs, circuits, registrations and SRS files that somebody made on purpose, with digests that fit.

A file is refused in one line, or gives an object with which everything ends as with an honest one: it verifies or not,
it proves or not, and nothing but a ValueError of one line comes out.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plonnx import _native, inspection
from plonnx.kzg import container, opening
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.registration import Registration, verify_registration
from plonnx.plonk import verifier
from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Prover
from plonnx.plonk.verifier import VerificationError, verify
from plonnx.solidity import emit_solidity
from plonnx.statement import read_statement
from tests.adversarial.files import HEADER, changed, text_of, with_body, with_text, write_all
from tests.plonk import forge

KINDS = [
    *(f"{which}{kind}" for kind in ("vk", "pk", "proof", "circuit") for which in ("", "packed ", "hidden ")),
    *("registration", "srs"),
]
LOADERS: dict[str, Callable[[Path], Any]] = {
    "vk": VerifyingKey.load,
    "pk": ProvingKey.load,
    "proof": Proof.load,
    "circuit": ModelCircuit.load,
    "registration": Registration.load,
    "srs": SRS.load,
}
SECONDS = 5.0  # 0.01 in fact; the bound allows for a busy machine
SETTINGS = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_all(tmp_path_factory.mktemp("files"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLONNX_CACHE", str(tmp_path / "cache"))


def load(path: Path, kind: str) -> Any:
    return LOADERS[kind.rsplit(maxsplit=1)[-1]](path)


def forged(vk: VerifyingKey, secret: int) -> tuple[Proof, bytes, bytes]:
    """A proof of false public values where [1]_2 is secret [tau]_2, with the points F and W' of its pairing check.

    e(F, [1]_2) = e(W', [tau]_2) is then W' = secret F, and F = A + u W' for a known A: one multiplication. All other
    points are at infinity; the quotient's value is what satisfies the gates.
    """
    public = bytes(range(vk.public_bytes % 256)) + bytes(vk.public_bytes - vk.public_bytes % 256)
    start = forge.at_infinity(vk, public)
    transcript, scalars, zeta = start.transcript, start.scalars, start.zeta
    v = transcript.challenge()
    transcript.absorb(bytes(96))
    u = transcript.challenge()
    factors, constant, _ = opening.verification_terms(start.claims, v, u)
    fixed = verifier._commitment_factors(vk, scalars, zeta, factors)[-len(vk.fixed_commitments) :]
    known = _native.g1_sum_of_products(b"".join(vk.fixed_commitments) + _native.g1_generator(), [*fixed, constant])
    last = _native.g1_mul(known, secret * pow(1 - secret * u, -1, MODULUS) % MODULUS)
    folded = _native.g1_add(known, _native.g1_mul(last, u))
    made = Proof(vk.digest, start.proof + bytes(96) + last + start.inverse(vk, u), public)
    return made, folded, last


def use(held: Any, files: dict[str, Path], which: str) -> None:
    """What a user does with a file that was accepted."""
    inspection.describe(held)
    if isinstance(held, VerifyingKey):
        emit_solidity(held)
        if held.public_bytes > 1 << 20:
            return
        proof, *_ = forged(held, 35)
        read_statement(held, proof)
        verify(held, proof)
    elif isinstance(held, ProvingKey):
        circuit = ModelCircuit.load(files[f"{which}circuit"])
        inputs = {block.name: np.ones(block.shape, np.int64) for block in circuit.builder.inputs}
        Prover(held, SRS.development(8, tau=5)).prove(circuit.witness(inputs))
    elif isinstance(held, Proof):
        verify(VerifyingKey.load(files[f"{which}vk"]), held)
    elif isinstance(held, ModelCircuit):
        held.witness({block.name: np.ones(block.shape, np.int64) for block in held.builder.inputs})
    elif isinstance(held, Registration):
        known = ModelCircuit.load(files["hidden circuit"]).architecture.known
        verify_registration(VerifyingKey.load(files["hidden vk"]), held, known, SRS.development(8, tau=5))
    elif isinstance(held, SRS):
        held.commit(_native.Vec.from_scalars([1, 2]))


def one_line(error: ValueError) -> bool:
    return "\n" not in str(error) and 0 < len(str(error)) < 1000


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_file_is_accepted(files: dict[str, Path], kind: str) -> None:
    held = load(files[kind], kind)
    if kind.endswith("vk"):
        with pytest.raises(VerificationError):
            use(held, files, kind[: -len("vk")])
    else:
        use(held, files, kind[: -len(kind.rsplit(maxsplit=1)[-1])])


def refused_or_harmless(path: Path, kind: str, files: dict[str, Path]) -> None:
    """One line refuses the file, or nothing but one line comes out of its use."""
    try:
        held = load(path, kind)
    except FileError as error:
        assert str(error).startswith(f"{path}: ") and one_line(error)
        return
    try:
        use(held, files, kind[: -len(kind.rsplit(maxsplit=1)[-1])])
    except ValueError as error:
        assert one_line(error)


@pytest.mark.parametrize("kind", KINDS)
@SETTINGS
@given(data=st.data())
def test_a_changed_file_is_refused_or_harmless(files: dict[str, Path], tmp_path: Path, kind: str, data: Any) -> None:
    path = tmp_path / "changed"
    path.write_bytes(data.draw(changed(files[kind].read_bytes())))
    refused_or_harmless(path, kind, files)


@pytest.mark.parametrize("kind", KINDS)
@SETTINGS
@given(data=st.data())
def test_changed_bytes_are_refused_or_harmless(files: dict[str, Path], tmp_path: Path, kind: str, data: Any) -> None:
    """Any byte behind the header."""
    content = files[kind].read_bytes()
    body = bytearray(content[HEADER:])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, min(len(body), 4000) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed"
    path.write_bytes(with_body(content, bytes(body)))
    refused_or_harmless(path, kind, files)


# Encodings ----------------------------------------------------------------------------------------------------------


def body_of(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    record = text_of(content)
    change(record)
    return with_text(content, json.dumps(record, sort_keys=True, separators=(",", ":")).encode())


DEEP = b"[" * 200_000 + b"]" * 200_000
NOT_CANONICAL: dict[str, Callable[[bytes], bytes]] = {
    "a space": lambda c: with_text(c, json.dumps(text_of(c), sort_keys=True).encode()),
    "another order": lambda c: with_text(c, json.dumps(dict(reversed(text_of(c).items()))).encode()),
    "a field twice": lambda c: with_text(c, json.dumps(text_of(c), sort_keys=True)[:-1].encode() + b',"meta":{}}'),
    "a surplus field": lambda c: body_of(c, lambda r: r.update(more=1)),
    "deep lists": lambda c: with_text(c, b'{"arrays":[],"meta":' + DEEP + b"}"),
    "deep objects": lambda c: with_text(c, b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "a number of a million digits": lambda c: with_text(c, b'{"arrays":[],"meta":' + b"9" * 1_000_000 + b"}"),
    "NaN": lambda c: with_text(c, b'{"arrays":[],"meta":NaN}'),
    "infinity": lambda c: with_text(c, b'{"arrays":[],"meta":1e999}'),
    "minus infinity": lambda c: with_text(c, b'{"arrays":[],"meta":-Infinity}'),
    "no object": lambda c: with_text(c, b"[1,2]"),
    "no JSON": lambda c: with_text(c, b"{"),
    "no UTF-8": lambda c: with_text(c, b'{"arrays":[],"meta":"\xff"}'),
    "a length beyond the file": lambda c: with_body(c, b"\xff" * 8 + c[HEADER + 8 :]),
    "no body": lambda c: with_body(c, b""),
    "bytes behind the last array": lambda c: with_body(c, c[HEADER:] + bytes(8)),
    "an array that ends early": lambda c: with_body(c, c[HEADER:-8]),
}


@pytest.mark.parametrize("kind", ["vk", "pk", "proof", "circuit", "registration", "srs"])
@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_other_encodings_are_refused_at_once(files: dict[str, Path], tmp_path: Path, kind: str, name: str) -> None:
    """Within a second and within memory in proportion to the file."""
    content = NOT_CANONICAL[name](files[kind].read_bytes())
    path = tmp_path / "changed"
    path.write_bytes(content)
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(FileError, match=str(path)) as refused:
            load(path, kind)
        assert time.perf_counter() - start < SECONDS
        assert tracemalloc.get_traced_memory()[1] < 200 * len(content) + (1 << 20)
    finally:
        tracemalloc.stop()
    assert one_line(refused.value)


def arrays_changed(content: bytes, change: Callable[[list[Any]], object]) -> bytes:
    return body_of(content, lambda record: change(record["arrays"][0]))


ARRAYS: dict[str, Callable[[list[Any]], object]] = {
    "a negative size": lambda array: array[2].__setitem__(0, -1),
    "a size that is too large": lambda array: array[2].__setitem__(0, 1 << 62),
    "sizes whose product overflows": lambda array: array.__setitem__(2, [1 << 32, 1 << 32, 1 << 32]),
    "many axes": lambda array: array.__setitem__(2, [1] * 100_000),
    "an empty array of huge sizes": lambda array: array.__setitem__(2, [0, 1 << 60]),
    "a size that is no integer": lambda array: array[2].__setitem__(0, True),
    "objects": lambda array: array.__setitem__(1, "|O"),
    "floats": lambda array: array.__setitem__(1, "<f8"),
    "big-endian": lambda array: array.__setitem__(1, ">i8"),
    "a structured type": lambda array: array.__setitem__(1, "i4,i4"),
    "a name that is no text": lambda array: array.__setitem__(0, 5),
    "a name after the next": lambda array: array.__setitem__(0, "~"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_the_file_cannot_hold(files: dict[str, Path], tmp_path: Path, name: str) -> None:
    path = tmp_path / "changed"
    path.write_bytes(arrays_changed(files["proof"].read_bytes(), ARRAYS[name]))
    start = time.perf_counter()
    with pytest.raises(FileError, match="does not hold what it should"):
        Proof.load(path)
    assert time.perf_counter() - start < SECONDS


def test_padding_is_of_zeros(files: dict[str, Path], tmp_path: Path) -> None:
    """The vk of a pk that was padded otherwise would have another digest."""
    proof = Proof(bytes(32), b"12345", b"123")
    proof.save(tmp_path / "proof")
    content = bytearray((tmp_path / "proof").read_bytes())
    for at in range(1, 4):
        body = content[HEADER:]
        body[-at] = 1
        (tmp_path / "proof").write_bytes(with_body(bytes(content), bytes(body)))
        with pytest.raises(FileError, match="do not fit"):
            Proof.load(tmp_path / "proof")


# The generator of G2 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [_native.g2_generator().hex(), _native.g2_mul(_native.g2_generator(), 35).hex()])
def test_no_key_says_what_the_generator_is(files: dict[str, Path], tmp_path: Path, value: str) -> None:
    meta, arrays = container.decode(files["vk"].read_bytes(), "verifying key", "vk")
    (tmp_path / "vk").write_bytes(container.encode("verifying key", {**meta, "g2": value}, arrays))
    with pytest.raises(FileError, match="field g2 is unknown"):
        VerifyingKey.load(tmp_path / "vk")
    meta, arrays = container.decode(files["srs"].read_bytes(), "srs", "srs")
    point = np.frombuffer(bytes.fromhex(value), np.uint8)
    (tmp_path / "srs").write_bytes(container.encode("srs", meta, {**arrays, "g2": point}))
    with pytest.raises(FileError, match="array g2 is unknown"):
        SRS.load(tmp_path / "srs")


def test_the_forgery_by_another_generator_is_refused(files: dict[str, Path]) -> None:
    vk = VerifyingKey.load(files["vk"])
    proof, folded, last = forged(vk, 35)
    other = _native.g2_mul(vk.tau_g2, 35)
    assert _native.pairing_check([(folded, other), (_native.g1_mul(last, MODULUS - 1), vk.tau_g2)]), "it was accepted"
    with pytest.raises(VerificationError, match="the pairing check failed"):
        verify(vk, proof)
