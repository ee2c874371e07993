"""The contract on an Ethereum node: what it accepts, what it rejects and why; and that three verifiers agree."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from plonnx.compiler.compile import compile_model
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import VerificationError, verify
from plonnx.solidity import calldata, evm, gas_report, node
from plonnx.solidity.abi import selector
from plonnx.solidity.generator import INLINE_POINT, code_estimate, contract_parts, stored_counts
from plonnx.solidity.layout import Layout
from plonnx.solidity.shared import KeyContract
from tests import reference_verifier
from tests.evm import trapdoor
from tests.evm.conftest import FORMS, SHARED, Deployed, Statement
from tests.gadgets.linear.test_check import squared
from tests.reference_verifier import R

CIRCUITS = Path(__file__).resolve().parents[2] / "circuits"
FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


def fast_accepts(vk: VerifyingKey, statement: Statement) -> bool:
    """The verdict of plonk/verifier.py."""
    try:
        verify(vk, Proof(vk.digest, *statement))
    except VerificationError:
        return False
    return True


def replaced(content: bytes, at: int, new: bytes) -> bytes:
    """`content` with `new` from byte `at`; a negative `at` counts from the end."""
    at %= len(content)
    return content[:at] + new + content[at + len(new) :]


def outside_subgroup() -> bytes:
    """A point on the curve whose order is not r: nearly every point is one."""
    for x in range(1, 100):
        square = (x**3 + 4) % FIELD
        y = pow(square, (FIELD + 1) // 4, FIELD)
        if y * y % FIELD == square:
            encoded = x.to_bytes(48, "big") + y.to_bytes(48, "big")
            with pytest.raises(reference_verifier.RejectedError, match="subgroup"):
                reference_verifier.read_point(encoded)
            return encoded
    raise AssertionError("no point found")


def bad_points() -> dict[str, bytes]:
    """Encodings of a point that every verifier must refuse."""
    good = trapdoor.point(5)
    x, y = int.from_bytes(good[:48], "big"), int.from_bytes(good[48:], "big")
    return {
        "off the curve": replaced(good, -1, bytes([good[-1] ^ 1])),
        "outside the subgroup": outside_subgroup(),
        "x + p": (x + FIELD).to_bytes(48, "big") + good[48:],
        "y + p": good[:48] + (y + FIELD).to_bytes(48, "big"),
        "coordinate of all ones": b"\xff" * 48 + good[48:],
        "half infinity": bytes(48) + good[48:],
    }


def test_accepts_and_says_why_it_rejects(either: tuple[Deployed, Proof]) -> None:
    verifier, good = either
    vk = verifier.vk
    proof, public = good.proof, good.public_values
    first = 96 * vk.commitment_count  # the evaluations
    value = int.from_bytes(proof[first : first + 32], "big")
    inverse = int.from_bytes(proof[-32:], "big")
    w_prime = -32 - 96
    cases: dict[str, list[Statement]] = {
        "": [(proof, public)],
        "WrongProofLength": [(b"", public), (proof[:-1], public), (proof + b"\0", public), (proof[32:], public)],
        "WrongPublicValuesLength": [(proof, b""), (proof, public[:-1]), (proof, public + b"\0"), (proof, public * 2)],
        "ScalarNotCanonical": [
            (replaced(proof, first, x.to_bytes(32, "big")), public) for x in (R, value + R, 2**256 - 1)
        ]
        + [(replaced(proof, -32, x.to_bytes(32, "big")), public) for x in (R, inverse + R)],
        "InverseMismatch": [
            (replaced(proof, -32, ((inverse + 1) % R).to_bytes(32, "big")), public),
            (proof, replaced(public, 0, b"\x01\x2c")),  # 300, where the circuit's interval ends at 255
            (proof, replaced(public, 2, b"\xff\xff")),
            (replaced(proof, 0, bytes(96)), public),
        ],
        "InvalidPoint": [(replaced(proof, w_prime, bad), public) for bad in bad_points().values()],
        "PairingFailed": [
            (replaced(proof, w_prime, other), public) for other in (bytes(96), trapdoor.point(1), trapdoor.point(R - 3))
        ],
    }
    for reason, statements in cases.items():
        assert verifier.reasons(statements) == [reason] * len(statements)
        accepted = [reason == ""] * len(statements)
        assert verifier.accepts(statements) == accepted
        assert [fast_accepts(vk, statement) for statement in statements] == accepted
        assert [reference_verifier.verify(vk, *statement) for statement in statements[:3]] == accepted[:3]


def test_every_byte_counts(either: tuple[Deployed, Proof]) -> None:
    verifier, good = either
    rng = random.Random(1)

    def changed(content: bytes) -> list[bytes]:
        return [replaced(content, i, bytes([byte ^ rng.randrange(1, 256)])) for i, byte in enumerate(content)]

    statements = [(proof, good.public_values) for proof in changed(good.proof)]
    statements += [(good.proof, public) for public in changed(good.public_values)]
    assert not any(verifier.accepts(statements))


def test_three_verifiers_agree(either: tuple[Deployed, Proof]) -> None:
    verifier, good = either
    vk = verifier.vk
    rng = random.Random(2)
    statements = [(good.proof, good.public_values)]
    for _ in range(5):
        proof, public = good.proof, good.public_values
        match rng.randrange(4):
            case 0:
                at = rng.randrange(len(proof))
                proof = replaced(proof, at, bytes([proof[at] ^ 1 << rng.randrange(8)]))
            case 1:
                at = rng.randrange(len(public))
                public = replaced(public, at, bytes([public[at] ^ 1 << rng.randrange(8)]))
            case 2:
                proof = replaced(proof, -128, trapdoor.point(rng.randrange(R)))
            case 3:
                proof = proof[: rng.randrange(len(proof))]
        statements.append((proof, public))
    verdicts = verifier.accepts(statements)
    assert verdicts == [fast_accepts(vk, statement) for statement in statements]
    assert verdicts == [reference_verifier.verify(vk, *statement) for statement in statements]


SHAPES: dict[str, dict[str, int]] = {
    "small": {"advice": 3, "fixed": 2, "ops": 12, "combined": 1, "values": 1, "masked": 1},
    "middle": {"advice": 7, "fixed": 9, "ops": 80, "combined": 6, "values": 40},
    "packed": {"advice": 23, "fixed": 14, "ops": 120, "combined": 3, "packing": 3, "masked": 1, "pieces": 7},
    "packed by 16": {"advice": 70, "fixed": 40, "ops": 200, "packing": 16, "pieces": 11},
    "data contract": {"advice": 60, "fixed": 200, "ops": 600, "combined": 128, "values": 300},
    "two data contracts": {"advice": 9, "fixed": 340, "ops": 30, "combined": 300, "packing": 4, "masked": 1},
}


@pytest.mark.parametrize("name", SHAPES)
def test_keys_of_any_shape(rpc: node.Rpc, name: str) -> None:
    vk, logarithms = trapdoor.random_key(len(name), **SHAPES[name])
    contracts = [form.deploy(rpc, vk) for form in FORMS]
    assert len(KeyContract(vk).parts) == 1 + (name == "two data contracts")
    good = [trapdoor.forge(vk, logarithms, seed=i) for i in range(3)]
    # The only fault of each of these is one point, or the quotient's value.
    count = vk.commitment_count + 1
    bad = bad_points()
    invalid = [trapdoor.forge(vk, logarithms, 9, bad={i % count: point}) for i, point in enumerate(bad.values())]
    invalid.append(trapdoor.forge(vk, logarithms, 9, bad={count - 1: bad["outside the subgroup"]}))
    masks = range(count - 1 - len(vk.masked), count)
    sampled = {*masks, *random.Random(3).sample(range(count), min(count, 8))}
    others = [trapdoor.forge(vk, logarithms, 9, bad={i: trapdoor.point(77)}) for i in sampled]
    wrong = trapdoor.forge(vk, logarithms, 9, error=1)
    statements = [(proof.proof, proof.public_values) for proof in [*good, *invalid, *others, wrong]]

    reasons = [""] * len(good) + ["InvalidPoint"] * len(invalid) + ["PairingFailed"] * (len(others) + 1)
    verdicts = [reason == "" for reason in reasons]
    for contract in contracts:
        assert contract.reasons(statements) == reasons
        assert contract.accepts(statements) == verdicts
    assert [fast_accepts(vk, statement) for statement in statements] == verdicts
    if len(vk.fixed_commitments) < 50:
        sample = [2, -2]
        assert [reference_verifier.verify(vk, *statements[i]) for i in sample] == [verdicts[i] for i in sample]
    expected = gas_report(vk).total
    for contract, least, most in zip(contracts, (0.95, 1), (1.05, 1.2), strict=False):
        used = [evm.simulated_gas(rpc, transaction(contract, proof)) for proof in good]
        assert all(least * expected < gas < most * expected for gas in used)
    # The key's own is as long as estimated; its fixed commitments are in data contracts where it would be too long.
    layout = Layout(vk)
    parts = contract_parts(vk, layout)
    stored = stored_counts(parts, len(layout.fixed))
    assert len(stored) == {"data contract": 1, "two data contracts": 2}.get(name, 0)
    code = len(rpc.call("eth_getCode", contracts[0].address, "latest")) // 2 - 1
    assert code <= code_estimate(parts) + INLINE_POINT * (len(layout.fixed) - sum(stored)) <= 1.3 * code


def test_the_commitment_that_is_added_is_checked_as_all_others(rpc: node.Rpc) -> None:
    """G1ADD knows no subgroup: the pairing check refuses what it let pass."""
    vk, logarithms = trapdoor.random_key(6, **SHAPES["middle"])
    contracts = [form.deploy(rpc, vk) for form in FORMS]
    pivot = Layout(vk).pivot
    assert pivot is not None
    proofs = [trapdoor.forge(vk, logarithms, 9, bad={pivot: point}) for point in bad_points().values()]
    proofs += [trapdoor.forge(vk, logarithms, 9, bad={pivot: point}) for point in (bytes(96), trapdoor.point(3))]
    proofs.append(trapdoor.forge(vk, logarithms, 9))
    statements = [(proof.proof, proof.public_values) for proof in proofs]
    reasons = ["InvalidPoint"] * len(bad_points()) + ["PairingFailed"] * 2 + [""]
    assert [contract.reasons(statements) for contract in contracts] == [reasons, reasons]
    assert [fast_accepts(vk, statement) for statement in statements] == [False] * (len(proofs) - 1) + [True]
    assert [reference_verifier.verify(vk, *statements[i]) for i in (1, -1)] == [False, True]


def transaction(contract: Deployed, proof: Proof) -> dict[str, str]:
    """The transaction that has a proof verified."""
    return {"to": contract.address, "data": "0x" + calldata(proof, contract.key).hex()}


@pytest.mark.parametrize("hidden", [False, True], ids=["public", "hidden"])
@pytest.mark.parametrize(
    ("name", "packing"), [("digits_mlp", t) for t in (1, 4, 8)] + [("digits_cnn", 1), ("digits_cnn", 4)]
)
def test_models(rpc: node.Rpc, name: str, packing: int, hidden: bool) -> None:
    """A dense and a convolutional model, plain and packed, public and hidden."""
    folder = CIRCUITS / name
    model = compile_model(folder / "model.onnx", [folder / "calibration.npz"])
    model.builder.hidden = hidden
    circuit = model.arithmetize()
    circuit.packing = packing
    srs = SRS.development(13)
    pk = keygen(circuit, srs)
    assert bool(pk.vk.masked) == hidden
    good = prove(pk, model.witness(model.read_inputs(folder / "input.json")), srs)
    mask = 96 * (pk.vk.commitment_count - 1)  # the last mask, of a hidden model
    bad = [(replaced(good.proof, at, trapdoor.point(6)), good.public_values) for at in (0, mask, -128)]
    for form in FORMS:
        contract = form.deploy(rpc, pk.vk)
        result = evm.call_verifier(rpc, pk.vk, good, contract.address, mine=True, key=contract.key)
        assert result.accepted
        assert form is SHARED or abs(gas_report(pk.vk).total - result.gas_used) < 0.05 * result.gas_used
        assert contract.accepts(bad) == [False] * 3


@pytest.mark.parametrize("packing", [1, 4])
def test_a_model_whose_gates_have_a_degree_of_three(rpc: node.Rpc, packing: int) -> None:
    """The permutation's product in parts, and columns that take a factor out of the linear check."""
    case = squared(2, lanes=5)
    circuit = case.circuit()
    circuit.packing = packing
    circuit.finish()
    behind = [name for name in circuit.advice_names if name.startswith("permutation product behind")]
    assert len(behind) == 2
    assert {"squares", "read by powers"} < set(circuit.advice_names)
    srs = SRS.development(circuit.k + 2)
    pk = keygen(circuit, srs)
    good = prove(pk, case.witness(), srs)
    bad = [(replaced(good.proof, at, trapdoor.point(6)), good.public_values) for at in (0, 480, -128)]
    for form in FORMS:
        contract = form.deploy(rpc, pk.vk)
        assert evm.call_verifier(rpc, pk.vk, good, contract.address, mine=True, key=contract.key).accepted
        assert contract.accepts(bad) == [False] * 3


def test_too_little_gas_is_no_verdict(either: tuple[Deployed, Proof]) -> None:
    """A caller cannot make a good proof look bad by handing on too little gas: the call reverts."""
    verifier, good = either
    vk = verifier.vk
    result = evm.call_verifier(verifier.rpc, vk, good, verifier.address, mine=True, key=verifier.key)
    call = "0x" + calldata(good, verifier.key).hex()
    enough = result.gas_used + max(result.gas.msm, result.gas.pairing) + 40_000
    limits = range(30_000, enough, 2_500)
    answers = verifier.rpc.batch(
        [("eth_call", ({"to": verifier.address, "data": call, "gas": hex(gas)}, "latest")) for gas in limits]
    )
    verdicts = [None if isinstance(answer, node.RpcError) else int(answer, 16) for answer in answers]
    assert set(verdicts) == {None, 1}
    assert verdicts == sorted(verdicts, key=lambda verdict: verdict is not None)
    why = {answer.data[:4] for answer in answers if isinstance(answer, node.RpcError)}
    assert why == {b"", selector("InsufficientGas()")}
