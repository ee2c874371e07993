"""The commands. Each loads files, calls the function of the same name in `plonnx.api`, writes files and prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plonnx.cli.console import Report, outline
from plonnx.cli.worker import interruptible

if TYPE_CHECKING:
    from plonnx.api import Prover
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.plonk.keys import VerifyingKey
    from plonnx.solidity.evm import Deployment

HELP = {"help_option_names": ["-h", "--help"]}
INPUT_SUFFIXES = (".json", ".csv", ".npy", ".npz")

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
    help="Compile an ONNX model to a PLONK circuit, prove its inference, verify it here or on Ethereum.",
)
srs_app = typer.Typer(context_settings=HELP, help="Structured reference strings: fetch one, import one, look at one.")
app.add_typer(srs_app, name="srs")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Circuit = Annotated[Path, typer.Argument(metavar="MODEL.circuit")]
Input = Annotated[Path, typer.Argument(metavar="INPUT", help="A .json, .csv, .npy or .npz file.")]
Vk = Annotated[Path, typer.Argument(metavar="MODEL.vk")]
ProofFile = Annotated[Path, typer.Argument(metavar="MODEL.proof")]
Srs = Annotated[Path | None, typer.Option("--srs", metavar="FILE", help="The SRS to use.")]
RpcUrl = Annotated[str, typer.Option(metavar="URL", help="A node's JSON-RPC.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Estimate, and send nothing.")]
KeyAddress = Annotated[
    str | None,
    typer.Option(metavar="0x..", help="Where the key's contract is (key-contract), for the shared verifier."),
]
Context = Annotated[
    str | None,
    typer.Option("--context", metavar="HEX", help="32 bytes that the proof is bound to (plonnx context makes them)."),
]


def _version(wanted: bool) -> None:
    if wanted:
        import plonnx

        typer.echo(f"plonnx {plonnx.__version__}")
        raise typer.Exit


@app.callback()
def _plonnx(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command("compile")
def compile_(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FILE", help="Samples of the inputs, for calibration; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Default: MODEL.circuit.")] = None,
    margin: Annotated[float, typer.Option(help="Widen the calibrated ranges by this factor.")] = 2.0,
    dim: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SIZE", help="Fix a symbolic dimension, e.g. batch_size=1; repeatable."),
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(metavar="INPUT=1,3", help="Fix the shape of an input; repeatable.")
    ] = None,
    outputs: Annotated[
        str | None, typer.Option(metavar="NAME,..", help="Take these of the graph's outputs, and what they need.")
    ] = None,
    table_bits: Annotated[int | None, typer.Option(min=2, max=24, help="Bits of the lookup tables.")] = None,
    error_target: Annotated[
        float | None,
        typer.Option(min=0, help="Largest error, as a part of the output's range; ten times that for a channel."),
    ] = None,
    input: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="[NAME=]public|private", help="What the proof shows; repeatable."),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="[NAME=]public|private", help="What the proof shows; repeatable."),
    ] = None,
    visibility: Annotated[
        str,
        typer.Option("--model", metavar="public|private", help="private: the keys commit to the weights, unseen."),
    ] = "public",
    weight_bits: Annotated[int | None, typer.Option(help="Declared width of a private model's weights. [16]")] = None,
    bias_bits: Annotated[
        int | None, typer.Option(help="Declared width of its biases, at the scale of sums. [2 * table bits + 2]")
    ] = None,
    optimize: Annotated[str, typer.Option(metavar="prover|gas|balanced", help="What to make cheap.")] = "prover",
    srs: Annotated[
        Path | None,
        typer.Option("--srs", metavar="FILE", help="The setup that there will be: lay out for it."),
    ] = None,
    srs_size: Annotated[int | None, typer.Option(metavar="K", help="The same without its file: 2^K powers.")] = None,
    json: Json = False,
) -> None:
    """Compile an ONNX model to a circuit; a private one also to MODEL.architecture, the circuit without its secrets."""
    from plonnx import api

    _one_of("--optimize", optimize, ("prover", "gas", "balanced"))
    _one_of("--model", visibility, ("public", "private"))
    if srs is not None and srs_size is not None:
        raise typer.BadParameter("--srs and --srs-size: give one of them")
    target = out or model.with_suffix(".circuit")
    report = Report("compile", json, target)
    with report.stage("compile", f"compiling {model}") as ticker:
        options: dict[str, Any] = {
            "margin": margin,
            "dims": {name: _size(text, "--dim") for name, text in _pairs(dim, "--dim")},
            "shapes": {
                name: tuple(_size(s, "--shape") for s in text.split(",")) for name, text in _pairs(shape, "--shape")
            },
            "outputs": outputs.split(",") if outputs is not None else None,
            "table_bits": table_bits,
            "error_target": error_target,
            "input": _visibility(input, "--input"),
            "output": _visibility(output, "--output"),
            "model": visibility,
            "weight_bits": weight_bits,
            "bias_bits": bias_bits,
            "optimize": optimize,
            "srs": srs,
            "srs_size": srs_size,
        }
        circuit = interruptible(lambda: api.compile(model, data or None, **options, progress=ticker))
    paths = {"circuit": target}
    with report.stage("write", f"writing {target}"):
        circuit.save(target)
        if circuit.hidden:
            paths["architecture"] = target.with_suffix(".architecture")
            circuit.architecture.save(paths["architecture"])
    _describe(report, circuit)
    _written(report, **paths)
    report.finish()


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
    with report.stage("setup", "making the keys"):
        key = interruptible(lambda: api.setup(model, reference_string, blinding_seed=seed))
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
    _written(report, **paths)
    report.finish()


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
def mock(circuit: Circuit, input: Input, json: Json = False) -> None:
    """Check every constraint on an input, without keys; names what fails."""
    from plonnx.layout.circuit import ModelCircuit

    report = Report("mock", json)
    with report.stage("load", f"reading {circuit}"):
        model = ModelCircuit.load(circuit)
    with report.stage("mock", "checking every constraint"):
        failures = interruptible(lambda: model.mock(model.read_inputs(input)))
    report.fields["failures"] = failures
    for failure in failures:
        report.say(failure)
    if failures:
        report.refuse(f"{len(failures)} failures; the first: {failures[0]}")
    report.say("every constraint holds")
    report.finish()


@app.command()
def run(
    circuit: Circuit,
    input: Input,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="An .npz file for the outputs, by name.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the circuit's outputs for an input, or for every sample of a file, without a proof."""
    from plonnx.layout.circuit import ModelCircuit

    report = Report("run", json)
    with report.stage("load", f"reading {circuit}"):
        model = ModelCircuit.load(circuit)
    with report.stage("run", "running the circuit"):
        outputs = interruptible(lambda: model.predict(input))
    report.fields["outputs"] = {name: values.tolist() for name, values in outputs.items()}
    report.fields["samples"] = len(next(iter(outputs.values())))
    report.tensors("output", outputs)
    if out is not None:
        _save_arrays(out, outputs)
        _written(report, outputs=out)
    report.finish()


def _save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """An .npz file, written atomically."""
    import io

    import numpy as np

    from plonnx.kzg.container import atomic_write

    if path.suffix != ".npz":
        raise typer.BadParameter(f"--out {path}: the outputs are written as .npz, one array for each name")
    stream = io.BytesIO()
    np.savez(stream, **dict(arrays))
    atomic_write(path, stream.getvalue())


@app.command()
def evaluate(
    circuit: Circuit,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A .json, .csv, .npy or .npz file of samples.")],
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A class or a value for each sample: an .npy or .csv file.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="MODEL.onnx", help="The float model. Default: the one beside the circuit."),
    ] = None,
    output: Annotated[str | None, typer.Option(metavar="NAME", help="Which output the labels are about.")] = None,
    threshold: Annotated[float, typer.Option(help="Above it a single score means class 1.")] = 0.5,
    json: Json = False,
) -> None:
    """Compare a circuit with labels, and with the float model that it was compiled from."""
    from plonnx import api
    from plonnx.layout.circuit import ModelCircuit

    beside = circuit.with_suffix(".onnx")
    source = model if model is not None else beside if beside.exists() else None
    if labels is None and source is None:
        raise typer.BadParameter("give --labels FILE, or the float model with --model MODEL.onnx, or both")
    report = Report("evaluate", json)
    with report.stage("load", f"reading {circuit}"):
        made = ModelCircuit.load(circuit)
    with report.stage("evaluate", "running the circuit on the data"):
        found = interruptible(
            lambda: api.evaluate(made, data, labels, model=source, output=output, threshold=threshold)
        )
    if source is not None:
        found["model"] = str(source)
    _show(report, found)


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
    bound_to = _context(context) or NO_CONTEXT
    target = out or circuit.with_suffix(".proof" if batch is None else ".proofs")
    report = Report("prove", json, target)
    with report.stage("load", "reading the circuit and its key"):
        model = ModelCircuit.load(circuit)
        key = ProvingKey.load(pk or circuit.with_suffix(".pk"))
        api.check_key(model, key)
        reference_string = interruptible(lambda: for_key(key.vk, srs))
    if batch is not None:
        prover = interruptible(lambda: api.Prover(model, key, reference_string))
        _prove_batch(report, prover, batch, target, bound_to)
        return
    assert input is not None
    warn(key.vk)
    with report.stage("witness", "computing the witness"):
        witness = interruptible(lambda: model.witness(model.read_inputs(input)))
    with report.stage("prove", "proving"):
        proof = interruptible(lambda: Prover(key, reference_string, keep=0).prove(witness, context=bound_to))
    with report.stage("write", f"writing {target}"):
        proof.save(target)
    report.statement(read_statement(key.vk, proof))
    report.fields["rows"] = key.vk.n
    report.fields["columns"] = _columns(key.vk)
    _written(report, proof=target)
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


def _context(given: str | None) -> bytes | None:
    """64 hexadecimal digits as bytes."""
    if given is None:
        return None
    digits = given.removeprefix("0x")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
        raise typer.BadParameter("--context takes 32 bytes, 64 hexadecimal digits")
    return bytes.fromhex(digits)


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
        statement = api.verify(key, candidate, context=_context(context))
    report.statement(statement)
    report.fields["bytes"] = {"proof": len(candidate.proof), "public_values": len(candidate.public_values)}
    report.say(f"the proof is valid ({report.seconds['verify'] * 1000:.0f} ms)")
    report.finish()


@app.command()
def solidity(
    vk: Annotated[Path | None, typer.Argument(metavar="MODEL.vk")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Default: stdout.")] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="The one verifier of all models, which takes no key: see key-contract.")
    ] = False,
    via_ir: Annotated[
        bool,
        typer.Option("--via-ir", help="For projects that are compiled with viaIR, of small models; 1 to 2 % more gas."),
    ] = False,
    gas_report: Annotated[
        bool,
        typer.Option(
            "--gas-report", help="Show what a verification costs, part by part, and what would make it cheaper."
        ),
    ] = False,
    dapp: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write all that a dapp needs: interface, public values as numbers, ABI, types, mock."
        ),
    ] = None,
    foundry: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a foundry project: the sources and a test.")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A proof of this key, which the foundry project's test checks.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the contract Verifier, which checks proofs for this key on Ethereum."""
    from plonnx import api
    from plonnx.plonk.keys import Proof, VerifyingKey

    report = Report("solidity", json, out)
    if proof is not None and foundry is None:
        raise ValueError("--proof is for the test of --foundry DIR")
    if vk is None or shared:
        if not shared:
            raise typer.BadParameter("MODEL.vk is missing (only --shared takes none)")
        if vk is not None or via_ir or gas_report or foundry is not None:
            raise typer.BadParameter("--shared writes one contract for all models: it takes no key, only -o and --dapp")
        if dapp is not None:
            from plonnx.solidity.dapp import shared_files

            _all_written(report, dapp, shared_files(), "files")
        if out is not None or dapp is None:
            _source_written(report, api.emit_shared_verifier(), out)
        report.finish()
        return
    with report.stage("load", f"reading {vk}"):
        key = VerifyingKey.load(vk)
        fixture = None if proof is None else Proof.load(proof)
    with report.stage("solidity", "writing the contract"):
        source = api.emit_solidity(key, via_ir=via_ir)
    report.fields["unsafe"] = key.unsafe
    if gas_report:
        _report_gas(report, key, vk)
    if dapp is not None:
        from plonnx.solidity.dapp import dapp_files

        with report.stage("dapp", "compiling the contract"):
            files = dapp_files(key)
        _all_written(report, dapp, files, "files")
    if foundry is not None:
        from plonnx.solidity.dapp import foundry_files

        _all_written(report, foundry, foundry_files(key, fixture), "foundry")
    if out is not None or not (gas_report or dapp or foundry):
        _source_written(report, source, out)
    report.finish()


def _report_gas(report: Report, key: VerifyingKey, path: Path) -> None:
    """What a verification costs; with MODEL.circuit beside the key also what another layout would."""
    from plonnx.inspection import circuit_beside
    from plonnx.levers import levers
    from plonnx.solidity import gas_report

    predicted = gas_report(key)
    with report.stage("levers", "looking at other layouts"):
        circuit = circuit_beside(path, key)
        changes = levers(key, circuit)
    report.fields["gas"] = predicted.as_dict()
    report.fields["drafts"] = predicted.drafts
    report.fields["levers"] = [lever.as_dict() for lever in changes]
    for line in predicted.lines():
        report.say(line)
    report.say("what would save most, each by itself, predicted:" if changes else "nothing here would save 1 %")
    for lever in changes:
        report.say(f"  {lever.gas:>9,} ({-lever.saves:+,})  {lever.change}")
    if circuit is None:
        report.say(f"  (other layouts: with {path.with_suffix('.circuit').name} beside the key)")


def _source_written(report: Report, source: str, out: Path | None) -> None:
    """A contract's source to a file or to stdout."""
    from plonnx.kzg.container import atomic_write

    if out is None:
        report.fields["source"] = source
        report.say(source.rstrip("\n"))
    else:
        atomic_write(out, source.encode())
        _written(report, solidity=out)


def _all_written(report: Report, folder: Path, files: Mapping[str, str], field: str) -> None:
    """Texts by their name below a folder, which is made; the report names them."""
    from plonnx.kzg.container import atomic_write

    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / name, text.encode())
    report.fields[field] = sorted(files)
    report.say(f"wrote {', '.join(sorted(files))} to {folder}")


@app.command()
def calldata(
    proof: ProofFile,
    vk: Annotated[
        Path | None, typer.Option("--vk", metavar="FILE", help="The key, for the shared verifier's call.")
    ] = None,
    key_address: KeyAddress = None,
    json: Json = False,
) -> None:
    """Print the call of verify(bytes proof, bytes publicValues, bytes32 context) in hex."""
    from plonnx import api
    from plonnx.inspection import key_beside
    from plonnx.plonk.keys import Proof
    from plonnx.srs_choice import warn

    report = Report("calldata", json)
    with report.stage("load", f"reading {proof}"):
        held = Proof.load(proof)
        call, key = api.calldata(held, vk=vk, key_address=key_address), key_beside(proof, held)
    if key is not None:
        warn(key)
    report.fields["unsafe"] = None if key is None else key.unsafe  # the proof alone does not say
    report.fields["calldata"] = "0x" + call.hex()
    report.fields["bytes"] = {"calldata": len(call)}
    report.say(report.fields["calldata"])
    report.finish()


@app.command()
def deploy(
    rpc_url: RpcUrl,
    vk: Annotated[Path | None, typer.Argument(metavar="MODEL.vk")] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="The one verifier of all models, which takes no key: see key-contract.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Create the contract Verifier on a network, with the key in PLONNX_PRIVATE_KEY."""
    from plonnx import api
    from plonnx.plonk.keys import VerifyingKey
    from plonnx.srs_choice import warn

    if (vk is None) != shared:
        raise typer.BadParameter("deploy MODEL.vk or --shared: give one of them")
    report = Report("deploy", json)
    doing = "compiling the contract" if dry_run else "creating the contract"
    if vk is None:
        with report.stage("deploy", doing):
            made = api.deploy_shared_verifier(rpc_url, dry_run=dry_run)
    else:
        with report.stage("load", f"reading {vk}"):
            key = VerifyingKey.load(vk)
        warn(key)
        with report.stage("deploy", doing):
            made = api.deploy(key, rpc_url, dry_run=dry_run)
    _deployment(report, made, dry_run)
    report.finish()


def _deployment(report: Report, made: Deployment, dry_run: bool) -> None:
    """What was created, or would be."""
    from dataclasses import asdict

    report.fields.update(asdict(made))
    ether = made.gas * made.fee / 1e18
    paid = f"{made.gas:,} gas, at most {ether:.6f} of the chain's coin"
    if dry_run:
        report.say(f"would create {made.address} on chain {made.chain} from {made.sender}: about {paid}")
    else:
        report.say(f"created {made.address} on chain {made.chain} in {made.transaction}: {paid}")


@app.command("key-contract")
def key_contract(
    vk: Vk,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write what creates the contract, in hex.")
    ] = None,
    rpc_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Create it, with the key in PLONNX_PRIVATE_KEY.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Put this key into a contract, for the shared verifier (solidity --shared): print its hash, write it, create it.

    The hash says which key it is: whoever relies on the shared verifier states it.
    """
    from plonnx import api
    from plonnx.kzg.container import atomic_write
    from plonnx.plonk.keys import VerifyingKey

    if dry_run and rpc_url is None:
        raise typer.BadParameter("--dry-run estimates what --rpc-url URL would create")
    report = Report("key-contract", json, out)
    with report.stage("load", f"reading {vk}"):
        key = VerifyingKey.load(vk)
    held = api.key_contract(key)
    with report.stage("key-contract", "writing the key"):
        code, creation = held.code, held.creation
    report.fields["unsafe"] = key.unsafe
    report.fields["key_hash"] = "0x" + held.hash.hex()
    report.fields["runtime_bytes"] = len(code)
    report.say(f"key hash 0x{held.hash.hex()} ({len(code):,} bytes of code)")
    if out is not None:
        atomic_write(out, b"0x" + creation.hex().encode() + b"\n")
        _written(report, creation=out)
    if rpc_url is not None:
        with report.stage("deploy", "creating the contract"):
            made = api.deploy_key(key, rpc_url, dry_run=dry_run)
        _deployment(report, made, dry_run)
    report.finish()


@app.command("verify-evm")
def verify_evm(
    vk: Vk,
    proof: ProofFile,
    rpc_url: Annotated[
        str | None, typer.Option(metavar="URL", help="A node's JSON-RPC; without it a node is started.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="0x..", help="Call this contract; without it one is deployed with PLONNX_PRIVATE_KEY."),
    ] = None,
    any_code: Annotated[
        bool,
        typer.Option("--any-code", help="Trust the key that the contract reports, though solc here makes other code."),
    ] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="With the shared verifier, and the key in a contract of its own.")
    ] = False,
    key_address: KeyAddress = None,
    json: Json = False,
) -> None:
    """Check a proof with the contract, on an Ethereum node."""
    from plonnx import api
    from plonnx.plonk.keys import Proof, VerifyingKey
    from plonnx.statement import read_statement

    if address is not None and rpc_url is None:
        raise typer.BadParameter("--address needs --rpc-url: the node that has the contract")
    report = Report("verify-evm", json)
    with report.stage("load", "reading the key and the proof"):
        key, candidate = VerifyingKey.load(vk), Proof.load(proof)
        statement = read_statement(key, candidate)
    report.fields["unsafe"] = key.unsafe
    with report.stage("verify-evm", "calling the contract"):
        result = api.verify_evm(
            key, candidate, rpc_url=rpc_url, address=address, any_code=any_code, shared=shared, key_address=key_address
        )
    report.fields["address"] = result.address
    if result.key is not None:
        report.fields["key"] = {"address": result.key.address, "hash": "0x" + result.key.hash.hex()}
    report.fields["gas"] = {"used": result.gas_used, **result.gas.as_dict()}
    report.fields["bytes"] = {"contract": result.runtime_bytes, "proof": len(candidate.proof)}
    if not result.accepted:
        reason = f" ({result.reason})" if result.reason else ""
        report.refuse(f"the contract at {result.address} refuses the proof{reason}")
    report.statement(statement)
    report.say(
        f"the contract at {result.address} accepts the proof:"
        f" {result.gas_used:,} gas, {result.runtime_bytes:,} bytes of code"
    )
    report.finish()


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A circuit, architecture, key, proof or SRS.")],
    measure: Annotated[
        Path | None,
        typer.Option(metavar="INPUT", help="Prove this input with a circuit: measured cost beside the predicted one."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="PICTURE", help="Draw where a circuit loses precision, tensor by tensor (.png, .svg)."),
    ] = None,
    json: Json = False,
) -> None:
    """Show what a file consists of: rows, columns, lookups, where they come from, predicted cost."""
    from plonnx import api

    report = Report("inspect", json)
    found = api.inspect(file, plot=plot)
    if measure is not None:
        from plonnx.layout.circuit import ModelCircuit
        from plonnx.measurement import measure as measured

        with report.stage("measure", "measuring"):
            found["measured"] = measured(ModelCircuit.load(file), measure)
    _show(report, found)


@app.command()
def operators(json: Json = False) -> None:
    """List the ONNX operators that can be compiled, with the version from which each is understood."""
    from plonnx.compiler.ops import versions

    report = Report("operators", json)
    report.fields["operators"] = versions()
    for name, since in versions().items():
        report.say(f"{name}-{since}")
    report.finish()


@srs_app.command("generate")
def srs_generate(
    k: Annotated[int, typer.Option("--k", min=1, max=24, help="2^k powers, for circuits of up to 2^k rows.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE")],
    json: Json = False,
) -> None:
    """Make a development SRS, whose secret is published. UNSAFE: for tests only."""
    from plonnx.inspection import describe
    from plonnx.kzg.srs import SRS
    from plonnx.srs_choice import warn

    report = Report("srs generate", json, out)
    with report.stage("generate", f"making an SRS of 2^{k} powers"):
        made = interruptible(lambda: SRS.development(k))
    with report.stage("write", f"writing {out}"):
        made.save(out)
    warn(made)
    report.fields.update(describe(made))
    _written(report, srs=out)
    report.finish()


@srs_app.command("import")
def srs_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As the ceremony published it.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE")],
    powers: Annotated[int | None, typer.Option(help="How many to take: rows times columns per commitment.")] = None,
    json: Json = False,
) -> None:
    """Import a ceremony's file: Ethereum's, c-kzg's, Midnight's, or powers of tau (Zcash, Filecoin)."""
    from plonnx.inspection import describe
    from plonnx.kzg.ceremonies import import_srs
    from plonnx.srs_choice import warn

    report = Report("srs import", json, out)
    with report.stage("import", f"reading {file} and checking its points"):
        found = interruptible(lambda: import_srs(file, powers))
    with report.stage("write", f"writing {out}"):
        found.srs.save(out)
    report.fields.update(describe(found.srs))
    report.fields["layout"] = found.layout
    report.fields["available"] = found.available
    report.fields[found.hash_name] = found.hash
    report.say(f"{found.srs.name}: {found.srs.size} of {found.available} powers, from a {found.layout}")
    report.say("every point is in its subgroup, and the pairings hold: these are the powers of one tau")
    report.say(f"{found.hash_name} of the file: {found.hash or 'not computed, the file is huge (b2sum does it)'}")
    if not found.srs.origin.known:
        report.say("compare it with what the ceremony published: no check can see whether somebody knows tau")
    warn(found.srs)
    _written(report, srs=out)
    report.finish()


@srs_app.command("fetch")
def srs_fetch(
    k: Annotated[int, typer.Argument(metavar="K", help="2^K powers, 15 to 25.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL|FILE", help="A mirror, or a file that is here.")
    ] = None,
    json: Json = False,
) -> None:
    """Fetch a larger SRS of Midnight's ceremony, check it, and keep it where setup and prove find it."""
    from plonnx.inspection import describe
    from plonnx.kzg.fetch import fetch

    report = Report("srs fetch", json)
    with report.stage("fetch", f"fetching 2^{k} powers") as ticker:
        found = interruptible(lambda: fetch(k, source, ticker))
    report.fields.update(describe(found.srs))
    report.fields["already"] = found.already
    report.fields["path"] = str(found.path)
    report.say(f"{found.srs.name}: {found.srs.size} powers")
    if found.already:
        report.say(f"{found.path} is here already")
    else:
        report.say("its sha256 is the published one, every point is in its subgroup, and the pairings hold")
        _written(report, srs=found.path)
    report.finish()


@srs_app.command("info")
def srs_info(file: Annotated[Path, typer.Argument(metavar="FILE")], json: Json = False) -> None:
    """Show where an SRS comes from and how large it is."""
    from plonnx.inspection import describe
    from plonnx.kzg.srs import SRS

    _show(Report("srs info", json), {**describe(SRS.load(file)), "bytes": file.stat().st_size})


def _show(report: Report, description: dict[str, Any]) -> None:
    report.fields.update(description)
    for line in outline(description):
        report.say(line)
    report.finish()


def _describe(report: Report, circuit: ModelCircuit) -> None:
    """What compiling came to; `inspect` shows the rest."""
    from plonnx.inspection import accuracy_lines, describe

    found = describe(circuit)
    report.fields.update(found)
    report.say(f"{found['rows']} rows, {found['used_rows']} of them used, a table of {found['table']} entries")
    predicted = found["predicted"]
    report.say(
        f"predicted: prove in {predicted['prove_seconds']:.2f} s, verify on Ethereum for {predicted['gas']:,} gas"
    )
    if found["larger_setups"]:
        best = found["larger_setups"][-1]
        k, saved = best["powers"].bit_length() - 1, predicted["gas"] - best["gas"]
        report.say(
            f"a setup of 2^{k} powers would save {saved:,} gas, a proof taking {best['prove_seconds']:.2f} s:"
            f" --srs-size {k} (plonnx inspect lists those between)"
        )
    for note in found["notes"]:
        report.say(note)
    for line in accuracy_lines(found["accuracy"]):
        report.say(line)


def _key_size(report: Report, vk: VerifyingKey) -> None:
    report.fields["rows"] = vk.n
    report.fields["columns"] = _columns(vk)
    report.say(f"{vk.n} rows, {vk.advice_count} advice and {len(vk.fixed_commitments)} fixed columns")


def _columns(vk: VerifyingKey) -> dict[str, int]:
    return {"fixed": len(vk.fixed_commitments), "advice": vk.advice_count}


def _written(report: Report, **paths: Path) -> None:
    """What was written; a device or a pipe has no size."""
    sizes = {name: path.stat().st_size for name, path in paths.items() if path.is_file()}
    report.fields["bytes"] = sizes
    for name, path in paths.items():
        report.say(f"wrote {path} ({sizes[name]} bytes)" if name in sizes else f"wrote {path}")


def _pairs(options: Sequence[str] | None, flag: str) -> list[tuple[str, str]]:
    """NAME=VALUE options; the name may hold "=" or ":" as ONNX names do."""
    pairs = [option.rpartition("=") for option in options or ()]
    for name, sign, given in pairs:
        if not sign or not name:
            raise typer.BadParameter(f"{flag} {name}{sign}{given}: it takes NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _size(text: str, flag: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise typer.BadParameter(f"{flag}: {text!r} is not a size")
    return int(text)


def _visibility(options: Sequence[str] | None, flag: str) -> Any:
    """ "public" or "private" for all, or by name."""
    words = ("public", "private")
    right = f"say {flag} private for all, or {flag} NAME=private for each"
    named = [option for option in options or () if option not in words]
    general = [option for option in options or () if option in words]
    pairs = {}
    for given in named:
        name, sign, word = given.rpartition("=")
        if not sign or not name or word not in words:
            raise typer.BadParameter(f"{flag} {given}: {right} (public is the default)")
        pairs[name] = word
    if len(general) > 1 or (general and named):
        raise typer.BadParameter(f"{flag} {' '.join(options or ())}: {right}, not both")
    return general[0] if general else pairs or "public"


def _one_of(flag: str, word: str, choices: Sequence[str]) -> None:
    if word not in choices:
        raise typer.BadParameter(f"{flag} {word}: choose {', '.join(choices[:-1])} or {choices[-1]}")
