"""Private models: nothing public depends on a weight, proofs are masked, widths are declared, proved and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler import compile as compiling
from plonnx.compiler.calibration import Calibration, calibrate
from plonnx.compiler.compile import compile_model
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.gadgets.unit import count_parts, range_name
from plonnx.inspection import describe
from plonnx.kzg.srs import SRS
from plonnx.layout.architecture import Architecture
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.known import Known, known_columns, shared
from plonnx.layout.registration import (
    Declared,
    Registration,
    register,
    registration_circuit,
    verify_registration,
    verify_widths,
)
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, Proof, ProvingKey, VerifyingKey
from plonnx.plonk.multiplicities import column_name
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Prover
from plonnx.plonk.verifier import VerificationError, verify
from tests.compiler.small import onnx_model, saved

SIGNATURE = "float[1,6] x) => (float[1,4] y)"
BODY = """
    h = Gemm(x, w1, b1)
    r = Relu(h)
    m = MatMul(r, w2)
    k = Mul(m, factor)
    t = Relu(k)
    u = MatMul(t, w3)
    o = Sub(u, t)
    e = Relu(o)
    f = Add(e, c)
    g = Mul(f, scalar)
    y = Relu(g)
"""
CHOSEN = np.random.default_rng(7)


def ordinary() -> dict[str, Any]:
    return {
        "w1": CHOSEN.uniform(-1, 1, (6, 4)),
        "b1": CHOSEN.uniform(-1, 1, 4),
        "w2": CHOSEN.uniform(-1, 1, (4, 4)),
        "factor": CHOSEN.uniform(0.5, 1, 4),
        "w3": CHOSEN.uniform(-1, 1, (4, 4)),
        "c": CHOSEN.uniform(-1, 1, (1, 4)),
        "scalar": np.asarray(0.7),
    }


def peculiar() -> dict[str, Any]:
    """Zeros, ones, powers of two and equal constants: everything that a compiler likes to see."""
    return {
        "w1": np.zeros((6, 4)),
        "b1": np.zeros(4),
        "w2": np.eye(4),
        "factor": np.ones(4),
        "w3": np.eye(4),
        "c": np.full((1, 4), 0.5),
        "scalar": np.asarray(0.5),
    }


@pytest.fixture
def same_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration finds the same range in every inner tensor, whatever the weights."""

    def flat(*arguments: Any) -> Calibration:
        found = calibrate(*arguments)
        reach = {name: np.full_like(largest, 16.0) for name, largest in found.reach.items()}
        return replace(found, limits=dict.fromkeys(found.limits, 16.0), reach=reach)

    monkeypatch.setattr(compiling, "calibrate", flat)


def compiled(folder: Path, constants: Mapping[str, Any], **options: Any) -> ModelCircuit:
    folder.mkdir(parents=True, exist_ok=True)
    path = saved(folder, onnx_model(SIGNATURE, BODY, constants))
    data = {"x": np.random.default_rng(1).uniform(-1, 1, (40, 6))}
    given = {"model": "private", "table_bits": 8, **options}
    return compile_model(path, [data], Options(**given))


def registered(circuit: ModelCircuit, pk: ProvingKey, srs: SRS) -> Registration:
    return register(pk, known_columns(circuit.filler.fixed), srs)


@pytest.mark.parametrize("optimize", ["prover", "gas"])
def test_nothing_public_depends_on_a_weight(tmp_path: Path, same_ranges: None, optimize: str) -> None:
    circuits = [
        compiled(tmp_path / name, constants(), optimize=optimize)
        for name, constants in (("a", ordinary), ("b", peculiar))
    ]
    srs = SRS.development(circuits[0].srs_k, 5)
    one, other = (circuit.keygen(srs, b"the same seed, 16").vk for circuit in circuits)
    assert circuits[0].shape == circuits[1].shape
    assert one.public_part.encode() == other.public_part.encode()
    assert circuits[0].architecture.encode() == circuits[1].architecture.encode()
    assert len(one.hidden_columns) == circuits[0].shape.weight_columns + 1
    assert one.hidden_bits == (16,) * circuits[0].shape.weight_columns + (18,)
    changed = [a != b for a, b in zip(one.fixed_commitments, other.fixed_commitments, strict=True)]
    assert sum(changed) == len(one.hidden_columns)
    said = [circuit.describe() for circuit in circuits]
    for description in said:
        del description["accuracy"]  # what the prover is told about the float model
    assert said[0] == said[1]


def test_a_public_model_does_depend_on_them(tmp_path: Path, same_ranges: None) -> None:
    """The two models above are different enough for the test to mean something."""
    one, other = (
        compiled(tmp_path / name, constants(), model="public") for name, constants in (("a", ordinary), ("b", peculiar))
    )
    assert [type(block) for block in one.builder.blocks] != [type(block) for block in other.builder.blocks]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelCircuit, ProvingKey, SRS]:
    circuit = compiled(tmp_path_factory.mktemp("tiny"), ordinary())
    srs = SRS.development(circuit.srs_k, 5)
    return circuit, circuit.keygen(srs), srs


INPUT = {"x": [[0.5, -0.25, 1.0, 0.0, -1.0, 0.75]]}


def masked_places(vk: VerifyingKey) -> tuple[list[int], list[int]]:
    """Where in a proof the masks' commitments and the masked evaluations start."""
    first = (vk.commitment_count - len(vk.masked)) * G1_BYTES
    commitments = [first + i * G1_BYTES for i in range(len(vk.masked))]
    at, evaluations = vk.commitment_count * G1_BYTES, []
    for opened in vk.opened:
        if opened.kind == "combination" and opened.members[0] in vk.masked:
            evaluations.append(at)
        at += len(opened.members) * len(opened.rotations) * SCALAR_BYTES
    assert len(evaluations) == len(commitments) > 0
    return commitments, evaluations


def test_every_proof_is_masked_anew(tiny: tuple[ModelCircuit, ProvingKey, SRS]) -> None:
    """The opened weights of 200 proofs of one input are all different and spread evenly."""
    circuit, pk, srs = tiny
    witness, prover = circuit.witness(circuit.read_inputs(INPUT)), Prover(pk, srs)
    proofs = [prover.prove(witness).proof for _ in range(200)]
    commitments, evaluations = masked_places(pk.vk)
    for at in commitments:
        assert len({proof[at : at + G1_BYTES] for proof in proofs}) == len(proofs)
    for at in evaluations:
        values = [int.from_bytes(proof[at : at + SCALAR_BYTES], "big") for proof in proofs]
        assert len(set(values)) == len(proofs)
        counts = np.bincount([16 * value // MODULUS for value in values], minlength=16)
        expected = len(proofs) / 16
        assert ((counts - expected) ** 2 / expected).sum() < 60, "15 degrees of freedom: exceeded once in 10^6 runs"


@pytest.mark.parametrize("part", ["commitment", "evaluation"])
def test_a_tampered_mask_is_rejected(tiny: tuple[ModelCircuit, ProvingKey, SRS], part: str) -> None:
    circuit, pk, srs = tiny
    witness, prover = circuit.witness(circuit.read_inputs(INPUT)), Prover(pk, srs)
    proof, other = prover.prove(witness), prover.prove(witness)
    verify(pk.vk, proof)
    for number in range(len(pk.vk.masked)):
        at = masked_places(pk.vk)[part == "evaluation"][number]
        size = G1_BYTES if part == "commitment" else SCALAR_BYTES
        changed = bytearray(proof.proof)
        changed[at : at + size] = other.proof[at : at + size]
        with pytest.raises(VerificationError):
            verify(pk.vk, replace(proof, proof=bytes(changed)))


def test_blinding(tiny: tuple[ModelCircuit, ProvingKey, SRS], tmp_path: Path) -> None:
    circuit, pk, srs = tiny
    seeded = circuit.keygen(srs, b"a secret seed...").vk
    assert seeded.digest == circuit.keygen(srs, b"a secret seed...").vk.digest
    assert seeded.digest not in (circuit.keygen(srs, b"another seed....").vk.digest, pk.vk.digest)
    assert circuit.keygen(srs).vk.digest != circuit.keygen(srs).vk.digest
    of_two_setups = [
        circuit.keygen(setup, b"a secret seed...").fixed for setup in (srs, SRS.development(circuit.srs_k, 6))
    ]
    blinded = [[column.blinding for column in fixed if column.blinding] for fixed in of_two_setups]
    assert blinded[0] and not set(blinded[0]) & set(blinded[1]), "each registration opens the columns once more"
    public = compiled(tmp_path, ordinary(), model="public")
    with pytest.raises(ValueError, match="for a private model"):
        public.keygen(SRS.development(public.srs_k, 5), b"a secret seed...")


def test_files(tiny: tuple[ModelCircuit, ProvingKey, SRS], tmp_path: Path) -> None:
    circuit, pk, srs = tiny
    circuit.save(tmp_path / "m.circuit")
    again = ModelCircuit.load(tmp_path / "m.circuit")
    assert again.digest == circuit.digest and again.hidden
    assert again.keygen(srs, bytes(16)).vk.digest == circuit.keygen(srs, bytes(16)).vk.digest
    assert "digest" not in again.describe()
    pk.save(tmp_path / "m.pk")
    pk.vk.save(tmp_path / "m.vk")
    made = registered(circuit, pk, srs)
    columns = len(pk.vk.hidden_columns)
    made.save(tmp_path / "m.registration")
    loaded = Registration.load(tmp_path / "m.registration")
    assert loaded == made
    circuit.architecture.save(tmp_path / "m.architecture")
    architecture = Architecture.load(tmp_path / "m.architecture")
    key = ProvingKey.load(tmp_path / "m.pk").vk
    architecture.check_key(key, srs)
    verify_registration(key, loaded, architecture.known, srs)
    declared = f"declared: {columns - 1} of 16 bits, 1 of 18 bits (plonnx verify-registration checks it)"
    assert describe(tmp_path / "m.vk")["weights"] == f"hidden, {columns} columns, {declared}"
    assert describe(tmp_path / "m.registration")["weights"].startswith(f"hidden, {columns} columns")


def test_inspecting_a_key_says_nothing_of_a_registration_beside_it(
    tiny: tuple[ModelCircuit, ProvingKey, SRS], tmp_path: Path
) -> None:
    """Whatever lies there: it is not checked, so it is not told."""
    circuit, pk, srs = tiny
    pk.vk.save(tmp_path / "m.vk")
    alone = describe(tmp_path / "m.vk")
    registered(circuit, pk, srs).save(tmp_path / "m.registration")
    assert describe(tmp_path / "m.vk") == alone
    (tmp_path / "m.registration").write_bytes(b"nonsense")
    assert describe(tmp_path / "m.vk") == alone


def test_registrations_that_are_refused(tiny: tuple[ModelCircuit, ProvingKey, SRS], tmp_path: Path) -> None:
    circuit, pk, srs = tiny
    made, known = registered(circuit, pk, srs), circuit.architecture.known
    verify_registration(pk.vk, made, known, srs)
    public = compiled(tmp_path, ordinary(), model="public")
    public_key = public.keygen(SRS.development(public.srs_k, 5))

    def changed(at: int) -> bytes:
        return made.proof[:at] + bytes([made.proof[at] ^ 1]) + made.proof[at + 1 :]

    def declaring(bits: tuple[int, ...]) -> VerifyingKey:
        return replace(pk.vk, hidden_bits=bits)

    bits = pk.vk.hidden_bits
    refusals: list[tuple[VerifyingKey, Registration, str]] = [
        (circuit.keygen(srs).vk, made, "other columns"),
        (public_key.vk, made, "is public"),
        (pk.vk, replace(made, proof=changed(10)), "other columns"),
        (pk.vk, replace(made, proof=changed(len(made.proof) - 5)), "does not hold"),
        (pk.vk, replace(made, proof=made.proof[:-1]), "does not hold"),
        (declaring(bits[1:]), made, "does not declare a width for each"),
        (declaring((*bits[:-1], 17)), made, "does not hold"),
        (declaring((*bits[:-1], 200)), made, r"widths outside 2\.\.60 bits"),
    ]
    for vk, registration, reason in refusals:
        with pytest.raises(VerificationError, match=reason):
            verify_registration(vk, registration, known, srs)
        with pytest.raises(VerificationError, match=reason):
            verify_widths(vk, registration, srs)
    with pytest.raises(VerificationError, match="another SRS"):
        verify_registration(pk.vk, made, known, SRS.development(circuit.srs_k, 6))
    with pytest.raises(ValueError, match="is public"):
        register(public_key, known, srs)
    with pytest.raises(ValueError, match="more than the declared 3 bits"):
        register(replace(pk, vk=declaring((3,) * len(bits))), known, srs)
    with pytest.raises(ValueError, match="powers"):
        register(pk, known, SRS.development(circuit.k - 1, 5))


@pytest.mark.parametrize("bits", [2, 8, 12, 16, 33])
def test_the_edges_of_a_range(bits: int) -> None:
    """Both ends of a width are registered; one beyond is not, even where the prover does not look."""
    from plonnx.plonk.circuit import Circuit
    from plonnx.plonk.mock import MockProver
    from plonnx.plonk.prover import Witness

    declared = Declared(5, (bits,))
    none = np.zeros(0, np.int64)
    pattern, facts = shared([Known(np.ones(declared.active_rows, np.int64), none, none)])
    circuit = registration_circuit(declared, pattern, facts)
    assert isinstance(circuit, Circuit)
    widths = declared.limb_widths(bits)
    assert sum(widths) == bits

    mock = MockProver(registration_circuit(declared, pattern, facts))

    def failures(value: int) -> int:
        rows = declared.active_rows
        values = np.zeros(rows, np.int64)
        values[3] = value
        shifted = values + (1 << (bits - 1))
        at = declared.limb_bits * np.arange(len(widths))
        limbs = [(shifted >> shift) & ((1 << width) - 1) for shift, width in zip(at[:-1], widths[:-1], strict=True)]
        limbs.append(shifted >> at[-1])
        advice = {"hidden 0": values}
        if len(widths) > 1:  # one limb is the value itself
            advice |= {f"hidden 0 limb {j}": limb for j, limb in enumerate(limbs)}
        for width in sorted(set(widths)):
            held = np.concatenate([limb for limb, w in zip(limbs, widths, strict=True) if w == width])
            count = np.bincount(held[(held >= 0) & (held < 1 << width)], minlength=1 << width)
            for part, counts in enumerate(count_parts(count, rows)):
                advice[column_name(range_name(1 << width), part)] = counts
        witness = Witness(advice, b"")
        return len(mock.failures(witness))

    half = 1 << (bits - 1)
    assert failures(-half) == failures(half - 1) == failures(0) == 0
    assert failures(half) and failures(-half - 1)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda c: c["w1"].__setitem__((0, 0), 900.0), {}, r"a weight of h.* needs 1[0-9] bits.*weight_bits=1"),
        (lambda c: c["b1"].__setitem__(0, 9e3), {}, r"the bias of h.* needs .*bias_bits="),
        (lambda c: None, {"weight_bits": 4}, r"declares 4: give weight_bits="),
        (lambda c: None, {"bias_bits": 4}, r"declares 4: give bias_bits="),
        (lambda c: None, {"weight_bits": 61}, r"weight_bits=61: choose 2 to 60"),
        (
            lambda c: None,
            {"weight_bits": 60},
            r"its exact sum can reach 70 bits, more than 62: fewer table bits or smaller weight_bits",
        ),
        (lambda c: None, {"weight_bits": 8, "model": "public"}, r"give model=private"),
        (lambda c: None, {"model": "secret"}, r"model=secret: choose public or private"),
    ],
)
def test_widths_that_are_refused(
    tmp_path: Path, same_ranges: None, change: Callable[[dict[str, Any]], None], options: dict[str, Any], said: str
) -> None:
    constants = ordinary()
    change(constants)
    with pytest.raises(CompileError, match=said) as raised:
        compiled(tmp_path, constants, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "constants", "said"),
    [
        ("y = Relu(x)", {}, "no weights to hide"),
        ("i = NonZero(c) j = Squeeze(i) y = Reshape(x, j)", {"c": np.ones(6)}, "no shape and no index"),
        ("i = Cast<to: int = 7>(c) y = Reshape(x, i)", {"c": np.asarray([1.0, 6.0])}, "no shape and no index"),
    ],
)
def test_what_would_show_values_is_refused(tmp_path: Path, body: str, constants: Any, said: str) -> None:
    path = saved(tmp_path, onnx_model("float[1,6] x) => (float[1,6] y)", body, constants))
    data = {"x": np.random.default_rng(1).uniform(-1, 1, (8, 6))}
    with pytest.raises(ValueError, match=said):
        compile_model(path, [data], Options(model="private"))


def test_the_arithmetic_is_the_public_models(tmp_path: Path) -> None:
    """Hidden or not, the same numbers come out."""
    hidden, shown = (
        compiled(tmp_path / word, ordinary_again, model=word, error_target=0.01)
        for word in ("private", "public")
        for ordinary_again in [{**peculiar(), "w1": np.full((6, 4), 0.3), "scalar": np.asarray(0.7)}]
    )
    read = shown.read_inputs(INPUT)
    srs = SRS.development(max(hidden.srs_k, shown.srs_k), 5)
    for circuit in (hidden, shown):
        assert circuit.mock(circuit.read_inputs(INPUT)) == []
        pk = keygen(circuit.arithmetize(), srs)
        proof: Proof = Prover(pk, srs).prove(circuit.witness(circuit.read_inputs(INPUT)))
        verify(pk.vk, proof)
    values = [circuit.builder.evaluate({k: v[None] for k, v in read.items()})["y"] for circuit in (hidden, shown)]
    assert np.abs(values[0] - values[1]).max() <= 4
