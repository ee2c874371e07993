"""The commands on keys and proofs: load, call the function of the same name in `plonnx.api`, write, print."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plonnx.cli.app import app
from plonnx.cli.console import Report
from plonnx.cli.options import Circuit, Context, Json, ProofFile, Srs, Vk, context_bytes
from plonnx.cli.worker import interruptible

if TYPE_CHECKING:
    from plonnx.api import Prover
    from plonnx.plonk.keys import VerifyingKey

INPUT_SUFFIXES = (".json", ".csv", ".npy", ".npz")


@app.command()
def setup(
    circuit: Circuit,
    srs: Srs = None,
    unsafe_srs: Annotated[
        bool, typer.Option("--unsafe-srs", help="Use a development SRS: anyone can forge proofs. For tests only.")
    ] = False,
    pk: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: MODEL.pk.")] = None,
    vk: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: MODEL.vk.")] = None,
    registration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a private model. Default: MODEL.registration.")
    ] = None,
    blinding_seed: Annotated[
        str | None,
        typer.Option(metavar="FILE|HEX", help="Blind a private model's commitments from this secret, reproducibly."),
    ] = None,
    json: Json = False,
) -> None:
    """Make the keys of a circuit, MODEL.pk and MODEL.vk beside it, and MODEL.registration of a private model."""
    from plonnx import api
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.srs_choice import for_setup

    if unsafe_srs and srs is not None:
        raise typer.BadParameter("give --srs or --unsafe-srs")
    pk_path, vk_path = pk or circuit.with_suffix(".pk"), vk or circuit.with_suffix(".vk")
    report = Report("setup", json, pk_path, vk_path, registration)
    with report.stage("load", f"reading {circuit}"):
        model = ModelCircuit.load(circuit)
    seed = None if blinding_seed is None else _seed(blinding_seed)
    with report.stage("srs", f"preparing an SRS of 2^{model.srs_k} powers"):
        reference_string = interruptible(lambda: for_setup(model.srs_k, srs, unsafe_srs))
    with report.stage("setup", "making the keys") as ticker:
        key = interruptible(lambda: api.setup(model, reference_string, blinding_seed=seed, share=ticker.share))
    registered = None
    if model.hidden:
        with report.stage("register", "proving that the weights are in their declared range"):
            registered = interruptible(lambda: api.register(model, key, reference_string))
    paths = {"pk": pk_path, "vk": vk_path}
    with report.stage("write", "writing the keys"):
        key.save(pk_path)
        key.vk.save(vk_path)
        if registered is not None:
            paths["registration"] = registration or circuit.with_suffix(".registration")
            registered.save(paths["registration"])
    _key_size(report, key.vk)
    report.fields["srs"], report.fields["unsafe"] = reference_string.name, reference_string.unsafe
    report.say(f"SRS {reference_string.name}")
    report.written(**paths)
    report.finish()


def _made(circuit: Path) -> Path:
    """The proving key beside a circuit, which setup makes."""
    from plonnx.kzg.container import FileError

    pk = circuit.with_suffix(".pk")
    if not pk.exists():
        raise FileError(f"{pk}: there is no such key; plonnx setup {circuit} makes it, or name another with --pk")
    return pk


def _seed(given: str) -> bytes:
    """The bytes of a file, or of hexadecimal digits; at least 16."""
    path = Path(given)
    try:
        seed = path.read_bytes() if path.is_file() else bytes.fromhex(given.removeprefix("0x"))
    except ValueError:
        raise typer.BadParameter("--blinding-seed is neither a file nor hexadecimal") from None
    if len(seed) < 16:
        raise typer.BadParameter(f"--blinding-seed has {len(seed)} bytes; a secret needs at least 16")
    return seed


def _key_size(report: Report, vk: VerifyingKey) -> None:
    report.fields["rows"] = vk.n
    report.fields["columns"] = columns_of(vk)
    report.say(f"{vk.n} rows, {vk.advice_count} advice and {len(vk.fixed_commitments)} fixed columns")


def columns_of(vk: VerifyingKey) -> dict[str, int]:
    return {"fixed": len(vk.fixed_commitments), "advice": vk.advice_count}


@app.command("verify-registration")
def verify_registration(
    vk: Vk,
    registration: Annotated[Path, typer.Argument(metavar="MODEL.registration")],
    architecture: Annotated[
        Path | None, typer.Option(metavar="MODEL.architecture", help="What the key is rebuilt from, and compared with.")
    ] = None,
    srs: Srs = None,
    json: Json = False,
) -> None:
    """Check a private model's key: it follows from the architecture, and hides weights of the declared widths alone."""
    from plonnx import api
    from plonnx.layout.architecture import Architecture
    from plonnx.layout.registration import Registration, verify_widths
    from plonnx.plonk.keys import VerifyingKey
    from plonnx.srs_choice import for_key, warn

    report = Report("verify-registration", json)
    with report.stage("load", "reading the key and the registration"):
        key, candidate = VerifyingKey.load(vk), Registration.load(registration)
        layers = None if architecture is None else Architecture.load(architecture)
        reference_string = interruptible(lambda: for_key(key, srs))
    with report.stage("verify", "verifying"):
        if layers is not None:
            interruptible(lambda: api.verify_registration(key, candidate, layers, reference_string))
        else:
            interruptible(lambda: verify_widths(key, candidate, reference_string))
    report.fields["unsafe"] = key.unsafe
    warn(key)
    bits = key.hidden_bits
    report.fields["bits"] = list(bits)
    widths = ", ".join(f"{bits.count(width)} of {width} bits" for width in sorted(set(bits)))
    if layers is None:
        report.refuse(
            f"only the widths were checked, and hold ({len(bits)} hidden columns, {widths}): that the key has no hidden"
            " layer takes --architecture MODEL.architecture, which compile writes"
        )
    report.fields["architecture"] = layers.digest.hex()
    report.say(f"the key is of this architecture, {layers.digest.hex()}")
    report.say(f"the registration is valid: {len(bits)} hidden columns, {widths}")
    report.finish()


@app.command()
def prove(
    circuit: Circuit,
    input: Annotated[Path | None, typer.Argument(metavar="INPUT", help="A .json, .csv, .npy or .npz file.")] = None,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="FILE|FOLDER", help="Prove every sample of a file, or of a folder's files, instead."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Default: MODEL.proof; of a batch the folder MODEL.proofs."),
    ] = None,
    pk: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: MODEL.pk beside the circuit.")] = None,
    srs: Srs = None,
    context: Context = None,
    json: Json = False,
) -> None:
    """Prove one inference, or with --batch many."""
    from plonnx import api
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.plonk.keys import NO_CONTEXT, ProvingKey
    from plonnx.plonk.prover import Prover
    from plonnx.srs_choice import for_key, warn
    from plonnx.statement import read_statement

    if (input is None) == (batch is None):
        raise typer.BadParameter("give one INPUT, or --batch FILE|FOLDER")
    bound_to = context_bytes(context) or NO_CONTEXT
    target = out or circuit.with_suffix(".proof" if batch is None else ".proofs")
    report = Report("prove", json, target if batch is None else None)
    with report.stage("load", "reading the circuit and its key"):
        model = ModelCircuit.load(circuit)
        key = ProvingKey.load(pk or _made(circuit))
        api.check_key(model, key)
        reference_string = interruptible(lambda: for_key(key.vk, srs))
    if batch is not None:
        several = interruptible(lambda: api.Prover(model, key, reference_string))
        _prove_batch(report, several, batch, target, bound_to)
        return
    assert input is not None
    warn(key.vk)
    single = Prover(key, reference_string, keep=0)
    single.prepare()
    with report.stage("witness", "computing the witness"):
        witness = interruptible(lambda: model.witness(model.read_inputs(input)))
    with report.stage("prove", "proving") as ticker:
        proof = interruptible(lambda: single.prove(witness, context=bound_to, share=ticker.share))
    with report.stage("write", f"writing {target}"):
        proof.save(target)
    report.statement(read_statement(key.vk, proof))
    report.fields["rows"] = key.vk.n
    report.fields["columns"] = columns_of(key.vk)
    report.written(proof=target)
    report.say(f"proved in {report.seconds['prove']:.2f} s")
    report.finish()


def _prove_batch(report: Report, prover: Prover, source: Path, folder: Path, context: bytes) -> None:
    """Every sample of every file, each written when it is proved: NAME.proof, or NAME-1.proof .. for several."""
    files = sorted(path for path in source.iterdir() if path.suffix in INPUT_SUFFIXES) if source.is_dir() else [source]
    if not files:
        raise ValueError(f"{source}: no {', '.join(INPUT_SUFFIXES)} file in this folder")
    twice = {path.stem for path in files if sum(path.stem == other.stem for other in files) > 1}
    if twice:
        raise ValueError(f"{source}: several files named {min(twice)}, whose proofs would have one name")
    with report.stage("read", "reading the inputs"):
        samples = [
            (path.stem if len(held) == 1 else f"{path.stem}-{number:0{len(str(len(held)))}}", sample)
            for path in files
            for held in [prover.circuit.read_batch(path)]
            for number, sample in enumerate(held, start=1)
        ]
    folder.mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    with report.stage("prove", f"proving {len(samples)} inferences") as ticker:
        for name, sample in samples:
            ticker(f"proving {name}, {len(written)} of {len(samples)} are done")
            interruptible(partial(prover.prove_integers, sample, context)).save(folder / f"{name}.proof")
            written.append(str(folder / f"{name}.proof"))
    seconds = report.seconds["prove"]
    report.fields["unsafe"] = prover.unsafe
    report.fields["proofs"] = written
    report.fields["seconds_per_proof"] = round(seconds / len(written), 4)
    report.say(f"wrote {len(written)} proofs to {folder}")
    report.say(f"{seconds:.2f} s, {seconds / len(written):.3f} s a proof, {len(written) / seconds:.1f} proofs a second")
    report.finish()


@app.command()
def context(
    chain: Annotated[int, typer.Option(metavar="ID", min=0, help="The chain's id: 1 is Ethereum.")],
    contract: Annotated[str, typer.Option(metavar="0x..", help="The contract that calls the verifier.")],
    sender: Annotated[str, typer.Option(metavar="0x..", help="Who sends the proof to it.")],
    nonce: Annotated[int, typer.Option(min=0, help="How many the contract has taken from this sender.")],
    json: Json = False,
) -> None:
    """Print the context of PlonnxContext.once(sender, nonce): a proof bound to it is of no use to anybody else."""
    from plonnx import api

    report = Report("context", json)
    report.fields["context"] = "0x" + api.context(chain, contract, sender, nonce).hex()
    report.say(report.fields["context"])
    report.finish()


@app.command()
def verify(vk: Vk, proof: ProofFile, context: Context = None, json: Json = False) -> None:
    """Check a proof; prints its public inputs and outputs as numbers."""
    from plonnx import api
    from plonnx.plonk.keys import Proof, VerifyingKey

    report = Report("verify", json)
    with report.stage("load", "reading the key and the proof"):
        key, candidate = VerifyingKey.load(vk), Proof.load(proof)
    with report.stage("verify", "verifying"):
        statement = api.verify(key, candidate, context=context_bytes(context))
    report.statement(statement)
    report.fields["bytes"] = {"proof": len(candidate.proof), "public_values": len(candidate.public_values)}
    report.say(f"the proof is valid ({report.seconds['verify'] * 1000:.0f} ms)")
    report.finish()
