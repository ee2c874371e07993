"""`inspect`: what a file or an object of plonnx consists of, as plain data."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plonnx.kzg.container import MAGIC, FileError, read_bytes
from plonnx.kzg.srs import SRS
from plonnx.plonk.keys import Proof, ProvingKey, PublicTensor, VerifyingKey

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.registration import Registration

    Inspectable = ModelCircuit | ProvingKey | VerifyingKey | Proof | Registration | SRS


def load(path: str | Path) -> Inspectable:
    """The object in a file, whatever it is."""
    kind = _kind(path)
    if kind == "circuit":
        from plonnx.layout.circuit import ModelCircuit

        return ModelCircuit.load(path)
    if kind == "registration":
        from plonnx.layout.registration import Registration

        return Registration.load(path)
    for name, loader in (
        ("proving key", ProvingKey.load),
        ("verifying key", VerifyingKey.load),
        ("proof", Proof.load),
        ("srs", SRS.load),
    ):
        if kind == name:
            return loader(path)
    raise FileError(f"{path}: not a circuit, key, proof, registration or SRS of plonnx")


def describe(subject: Inspectable | str | Path) -> dict[str, Any]:
    """Plain data about a subject or its file; of a private model's key also what the registration beside it says."""
    if isinstance(subject, (str, Path)):
        found = load(subject)
        description = {**describe(found), "bytes": Path(subject).stat().st_size}
        if isinstance(found, VerifyingKey) and found.masked:
            description["weights"] += _registered(found, Path(subject).with_suffix(".registration"))
        return description
    if isinstance(subject, VerifyingKey):
        from plonnx.solidity import gas_report

        return {"kind": "verifying key", **_verifying_key(subject), "predicted_gas": gas_report(subject).as_dict()}
    if isinstance(subject, ProvingKey):
        return {"kind": "proving key", **_verifying_key(subject.vk), "circuit": subject.circuit_digest.hex()}
    if isinstance(subject, Proof):
        return {
            "kind": "proof",
            "vk_digest": subject.vk_digest.hex(),
            "context": subject.context.hex(),
            "proof_bytes": len(subject.proof),
            "public_bytes": len(subject.public_values),
        }
    if isinstance(subject, SRS):
        return {"kind": "srs", **_srs(subject)}
    from plonnx.layout.circuit import ModelCircuit

    return _registration(subject) if not isinstance(subject, ModelCircuit) else {"kind": "circuit", **_circuit(subject)}


def _registration(registration: Registration) -> dict[str, Any]:
    bits = registration.declared.bits
    return {
        "kind": "registration",
        "rows": 1 << registration.declared.k,
        "weights": f"hidden, {len(bits)} columns, {_widths(bits)} (plonnx verify-registration checks it)",
        "bits": list(bits),
        "proof_bytes": len(registration.proof),
    }


def _registered(vk: VerifyingKey, path: Path) -> str:
    from plonnx.layout.registration import Registration

    if not path.exists():
        return f"; its registration is not here ({path})"
    registration = Registration.load(path)
    if not registration.is_about(vk):
        return f"; {path} is about other columns"
    return f", {_widths(registration.declared.bits)} ({path})"


def _widths(bits: tuple[int, ...]) -> str:
    weights = sorted(set(bits[:-1]))
    said = f"{', '.join(map(str, weights))} bits, biases at " if weights else ""
    return f"range registered at {said}{bits[-1]} bits"


def _circuit(circuit: ModelCircuit) -> dict[str, Any]:
    """The circuit's own description; rows are all of them, as for a key, and the inputs and outputs are tensors."""
    description = circuit.describe()
    used = description.pop("rows")
    tensors = [
        {"name": port["name"], "role": role, **port}
        for role in ("input", "output")
        for port in description.pop(f"{role}s")
    ]
    return {**description, "rows": 1 << circuit.k, "used_rows": used, "tensors": tensors}


def _verifying_key(vk: VerifyingKey) -> dict[str, Any]:
    return {
        "model": vk.model,
        "weights": f"hidden, {len(_hidden_columns(vk))} columns" if vk.masked else "public",
        "digest": vk.digest.hex(),
        "rows": vk.n,
        "usable_rows": vk.last_row,
        "columns": {
            "fixed": len(vk.fixed_commitments),
            "advice": vk.advice_count,
            "combinations": len(vk.combinations),
            "instance": len(vk.instances),
        },
        "phases": [{"columns": phase.stop - phase.first, "challenges": list(phase.challenges)} for phase in vk.phases],
        "quotient_pieces": vk.pieces,
        "evaluations": vk.evaluation_count,
        "operations": len(vk.program.ops),
        "proof_bytes": vk.proof_bytes,
        "public_bytes": vk.public_bytes,
        "tensors": [_tensor(tensor) for tensor in vk.tensors],
        "srs": vk.srs,
        "unsafe_srs": vk.unsafe_srs,
    }


def _hidden_columns(vk: VerifyingKey) -> set[int]:
    return {column for index in vk.masked for column, _ in vk.combinations[index].terms}


def _tensor(tensor: PublicTensor) -> dict[str, Any]:
    record = {field.name: getattr(tensor, field.name) for field in fields(tensor)}
    return {**record, "shape": list(tensor.shape)}


def _srs(srs: SRS) -> dict[str, Any]:
    return {"name": srs.name, "powers": srs.size, "unsafe": srs.unsafe, "digest": srs.digest.hex()}


def _kind(path: str | Path) -> str:
    """The kind that a container's header names (kzg/container.py), "" for other files."""
    header = read_bytes(path)[:24]
    return header[8:].rstrip(b"\0").decode("ascii", "replace") if header.startswith(MAGIC) else ""
