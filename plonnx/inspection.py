"""`inspect`: what a file or an object of plonnx consists of, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plonnx import _native
from plonnx.kzg.container import MAGIC, FileError, read_bytes
from plonnx.kzg.srs import SRS
from plonnx.plonk.keys import Proof, ProvingKey, PublicTensor, VerifyingKey

if TYPE_CHECKING:
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.registration import Registration

    Inspectable = ModelCircuit | Architecture | ProvingKey | VerifyingKey | Proof | Registration | SRS


def load(path: str | Path) -> Inspectable:
    """The object in a file, whatever it is."""
    kind = _kind(path)
    if kind == "circuit":
        from plonnx.layout.circuit import ModelCircuit

        return ModelCircuit.load(path)
    if kind == "architecture":
        from plonnx.layout.architecture import Architecture

        return Architecture.load(path)
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
    raise FileError(f"{path}: not a circuit, architecture, key, proof, registration or SRS of plonnx")


def describe(subject: Inspectable | str | Path) -> dict[str, Any]:
    """Plain data about a subject or its file; of a proof also whether the key beside it is unsafe, None without one."""
    if isinstance(subject, (str, Path)):
        found = load(subject)
        description = {**describe(found), "bytes": Path(subject).stat().st_size}
        if isinstance(found, Proof) and (key := key_beside(subject, found)):
            description["unsafe"] = key.unsafe
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
            "unsafe": None,
        }
    if isinstance(subject, SRS):
        return {"kind": "srs", **_srs(subject)}
    return _of_model(subject)


def _of_model(subject: ModelCircuit | Architecture | Registration) -> dict[str, Any]:
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.circuit import ModelCircuit

    if isinstance(subject, ModelCircuit):
        return {"kind": "circuit", **_circuit(subject)}
    if isinstance(subject, Architecture):
        return {"kind": "architecture", **subject.describe()}
    return _registration(subject)


def accuracy_lines(accuracy: Mapping[str, Any]) -> Iterator[str]:
    """What a circuit's report says of each output, for people."""
    samples = f"on {accuracy['samples']} calibration samples"
    for output in accuracy["outputs"]:
        if output["agreement"] is None:
            top = "" if output["top1"] is None else f", the same top-1 on {output['top1']:.2%}"
            if output.get("next_tokens") is not None:
                top = f", the same next token at {output['next_tokens']:.2%} of the positions"
            if output.get("perplexity") is not None:
                top += ", perplexity {1:.4g} where the float model's is {0:.4g}".format(*output["perplexity"])
            said = f"at most {output['max_relative']:.2%} of its range from the float model {samples}{top}"
        else:
            said = f"{output['agreement']:.2%} of its values are the float model's {samples}"
        jumps = "; thresholds decide it: inputs close to one may agree less often" if output["stepped"] else ""
        yield f"{output['name']}: {said}{jumps}"


def key_beside(path: str | Path, proof: Proof) -> VerifyingKey | None:
    """The verifying key MODEL.vk beside a proof's file, where there is one and it is the proof's."""
    try:
        key = VerifyingKey.load(Path(path).with_suffix(".vk"))
    except FileError:
        return None
    return key if key.digest == proof.vk_digest else None


def circuit_beside(path: str | Path, key: VerifyingKey) -> ModelCircuit | None:
    """The circuit MODEL.circuit beside a key's file, where there is one and it looks like the key's."""
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.levers import is_of

    try:
        circuit = ModelCircuit.load(Path(path).with_suffix(".circuit"))
    except FileError:
        return None
    return circuit if is_of(circuit, key) else None


def _registration(registration: Registration) -> dict[str, Any]:
    return {
        "kind": "registration",
        "weights": f"hidden, {len(registration.pattern.secret)} columns (plonnx verify-registration checks them)",
        "proof_bytes": len(registration.proof),
    }


def _weights(vk: VerifyingKey) -> str:
    """What a key says of its weights; nothing of it is checked here."""
    if not vk.masked:
        return "public"
    declared = ", ".join(f"{vk.hidden_bits.count(bits)} of {bits} bits" for bits in sorted(set(vk.hidden_bits)))
    return f"hidden, {len(vk.hidden_columns)} columns, declared: {declared} (plonnx verify-registration checks it)"


def _circuit(circuit: ModelCircuit) -> dict[str, Any]:
    """The circuit's own description; rows are all of them, as for a key, and the inputs and outputs are tensors."""
    description = circuit.describe()
    used = description.pop("rows")
    tensors = [
        {"name": port["name"], "role": role, **port}
        for role in ("input", "output")
        for port in description.pop(f"{role}s")
    ]
    powers = 1 << circuit.srs_k
    return {**description, "rows": 1 << circuit.k, "used_rows": used, "powers": powers, "tensors": tensors}


def _verifying_key(vk: VerifyingKey) -> dict[str, Any]:
    return {
        "model": vk.model,
        "weights": _weights(vk),
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
        **_setup(vk),
    }


def _tensor(tensor: PublicTensor) -> dict[str, Any]:
    record = {field.name: getattr(tensor, field.name) for field in fields(tensor)}
    return {**record, "shape": list(tensor.shape)}


def _srs(srs: SRS) -> dict[str, Any]:
    return {"name": srs.name, "powers": srs.size, **_setup(srs), "digest": srs.digest.hex()}


def _setup(subject: SRS | VerifyingKey) -> dict[str, Any]:
    """Whether a setup is unsafe, and its [tau]_2, compressed as ceremonies publish it."""
    return {"unsafe": subject.unsafe, "tau_g2": _native.g2_to_compressed(subject.tau_g2).hex()}


def _kind(path: str | Path) -> str:
    """The kind that a container's header names (kzg/container.py), "" for other files."""
    header = read_bytes(path)[:24]
    return header[8:].rstrip(b"\0").decode("ascii", "replace") if header.startswith(MAGIC) else ""
