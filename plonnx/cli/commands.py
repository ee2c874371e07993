"""The commands. Each loads files, calls the function of the same name in `plonnx.api`, writes files and prints."""

from __future__ import annotations

from collections.abc import Sequence
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

HELP = {"help_option_names": ["-h", "--help"]}
INPUT_SUFFIXES = (".json", ".npy", ".npz")

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
    help="Compile an ONNX model to a PLONK circuit, prove its inference, verify it here or on Ethereum.",
)
srs_app = typer.Typer(context_settings=HELP, help="Structured reference strings: make one for tests, look at one.")
app.add_typer(srs_app, name="srs")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Circuit = Annotated[Path, typer.Argument(metavar="MODEL.circuit")]
Input = Annotated[Path, typer.Argument(metavar="INPUT", help="A .json, .npy or .npz file.")]
Vk = Annotated[Path, typer.Argument(metavar="MODEL.vk")]
ProofFile = Annotated[Path, typer.Argument(metavar="MODEL.proof")]
Srs = Annotated[Path | None, typer.Option("--srs", metavar="FILE", help="The SRS to use.")]


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
    table_bits: Annotated[int | None, typer.Option(min=2, max=24, help="Bits of the lookup tables.")] = None,
    error_target: Annotated[
        float | None, typer.Option(min=0, help="Largest error wanted, as a part of the output's range.")
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
    json: Json = False,
) -> None:
    """Compile an ONNX model to a circuit."""
    from plonnx import api

    if optimize not in ("prover", "gas", "balanced"):
        raise typer.BadParameter("--optimize is prover, gas or balanced")
    if visibility not in ("public", "private"):
        raise typer.BadParameter("--model is public or private")
    target = out or model.with_suffix(".circuit")
    report = Report("compile", json)
    with report.stage("compile", f"compiling {model}") as ticker:
        options: dict[str, Any] = {
            "margin": margin,
            "dims": {name: _size(text, "--dim") for name, text in _pairs(dim, "--dim")},
            "shapes": {
                name: tuple(_size(s, "--shape") for s in text.split(",")) for name, text in _pairs(shape, "--shape")
            },
            "table_bits": table_bits,
            "error_target": error_target,
            "input": _visibility(input, "--input"),
            "output": _visibility(output, "--output"),
            "model": visibility,
            "weight_bits": weight_bits,
            "bias_bits": bias_bits,
            "optimize": optimize,
        }
        circuit = interruptible(lambda: api.compile(model, data or None, **options, progress=ticker))
    with report.stage("write", f"writing {target}"):
        circuit.save(target)
    _describe(report, circuit)
    _written(report, circuit=target)
    report.finish()


@app.command()
def setup(
    circuit: Circuit,
    srs: Srs = None,
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

    pk_path, vk_path = pk or circuit.with_suffix(".pk"), vk or circuit.with_suffix(".vk")
    report = Report("setup", json)
    with report.stage("load", f"reading {circuit}"):
        model = ModelCircuit.load(circuit)
    seed = None if blinding_seed is None else _seed(blinding_seed)
    with report.stage("srs", f"preparing the SRS for 2^{model.srs_k} rows"):
        reference_string = interruptible(lambda: for_setup(model.srs_k, srs))
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
    report.say(f"SRS {key.vk.srs}")
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
    srs: Srs = None,
    json: Json = False,
) -> None:
    """Check that every weight behind a private model's key is in its declared range."""
    from plonnx import api
    from plonnx.layout.registration import Registration
    from plonnx.plonk.keys import VerifyingKey
    from plonnx.srs_choice import for_key, warn_unsafe

    report = Report("verify-registration", json)
    with report.stage("load", "reading the key and the registration"):
        key, candidate = VerifyingKey.load(vk), Registration.load(registration)
        reference_string = interruptible(lambda: for_key(key, srs))
    with report.stage("verify", "verifying"):
        bits = interruptible(lambda: api.verify_registration(key, candidate, reference_string))
    if key.unsafe_srs:
        warn_unsafe(key.srs)
    report.fields["bits"] = list(bits)
    widths = ", ".join(f"{bits.count(width)} of {width} bits" for width in sorted(set(bits)))
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
def prove(
    circuit: Circuit,
    input: Annotated[Path | None, typer.Argument(metavar="INPUT", help="A .json, .npy or .npz file.")] = None,
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
    json: Json = False,
) -> None:
    """Prove one inference, or with --batch many."""
    from plonnx import api
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.plonk.keys import ProvingKey
    from plonnx.plonk.prover import Prover
    from plonnx.srs_choice import for_key
    from plonnx.statement import read_statement

    if (input is None) == (batch is None):
        raise typer.BadParameter("give one INPUT, or --batch FILE|FOLDER")
    report = Report("prove", json)
    with report.stage("load", "reading the circuit and its key"):
        model = ModelCircuit.load(circuit)
        key = ProvingKey.load(pk or circuit.with_suffix(".pk"))
        api.check_key(model, key)
        reference_string = interruptible(lambda: for_key(key.vk, srs))
    if batch is not None:
        prover = interruptible(lambda: api.Prover(model, key, reference_string))
        _prove_batch(report, prover, batch, out or circuit.with_suffix(".proofs"))
        return
    assert input is not None
    target = out or circuit.with_suffix(".proof")
    with report.stage("witness", "computing the witness"):
        witness = interruptible(lambda: model.witness(model.read_inputs(input)))
    with report.stage("prove", "proving"):
        proof = interruptible(lambda: Prover(key, reference_string, keep=0).prove(witness))
    with report.stage("write", f"writing {target}"):
        proof.save(target)
    report.statement(read_statement(key.vk, proof.public_values))
    report.fields["rows"] = key.vk.n
    report.fields["columns"] = _columns(key.vk)
    _written(report, proof=target)
    report.say(f"proved in {report.seconds['prove']:.2f} s")
    report.finish()


def _prove_batch(report: Report, prover: Prover, source: Path, folder: Path) -> None:
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
            interruptible(partial(prover.prove_integers, sample)).save(folder / f"{name}.proof")
            written.append(str(folder / f"{name}.proof"))
    seconds = report.seconds["prove"]
    report.fields["proofs"] = written
    report.fields["seconds_per_proof"] = round(seconds / len(written), 4)
    report.say(f"wrote {len(written)} proofs to {folder}")
    report.say(f"{seconds:.2f} s, {seconds / len(written):.3f} s a proof, {len(written) / seconds:.1f} proofs a second")
    report.finish()


@app.command()
def verify(vk: Vk, proof: ProofFile, json: Json = False) -> None:
    """Check a proof; prints its public inputs and outputs as numbers."""
    from plonnx import api
    from plonnx.plonk.keys import Proof, VerifyingKey
    from plonnx.srs_choice import warn_unsafe

    report = Report("verify", json)
    with report.stage("load", "reading the key and the proof"):
        key, candidate = VerifyingKey.load(vk), Proof.load(proof)
    with report.stage("verify", "verifying"):
        statement = api.verify(key, candidate)
    if key.unsafe_srs:
        warn_unsafe(key.srs)
    report.statement(statement)
    report.fields["bytes"] = {"proof": len(candidate.proof), "public_values": len(candidate.public_values)}
    report.say(f"the proof is valid ({report.seconds['verify'] * 1000:.0f} ms)")
    report.finish()


@app.command()
def solidity(
    vk: Vk,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Default: stdout.")] = None,
    gas_report: Annotated[
        bool, typer.Option("--gas-report", help="Show what a verification costs, part by part (predicted).")
    ] = False,
    json: Json = False,
) -> None:
    """Write the contract Verifier, which checks proofs for this key on Ethereum."""
    from plonnx import api
    from plonnx.kzg.container import atomic_write
    from plonnx.plonk.keys import VerifyingKey

    report = Report("solidity", json)
    with report.stage("load", f"reading {vk}"):
        key = VerifyingKey.load(vk)
    with report.stage("solidity", "writing the contract"):
        source = api.emit_solidity(key)
    if gas_report:
        from plonnx.solidity import gas_report as predict

        report.fields["gas"] = predict(key).as_dict()
    if out is not None:
        atomic_write(out, source.encode())
        _written(report, solidity=out)
    elif not gas_report:
        report.fields["source"] = source
        report.say(source.rstrip("\n"))
    for line in outline({"gas": report.fields["gas"]}) if gas_report else ():
        report.say(line)
    report.finish()


@app.command()
def calldata(proof: ProofFile, json: Json = False) -> None:
    """Print the call of verify(bytes proof, bytes publicValues) in hex."""
    from plonnx import api
    from plonnx.plonk.keys import Proof

    report = Report("calldata", json)
    with report.stage("load", f"reading {proof}"):
        call = api.calldata(Proof.load(proof))
    report.fields["calldata"] = "0x" + call.hex()
    report.fields["bytes"] = {"calldata": len(call)}
    report.say(report.fields["calldata"])
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
        statement = read_statement(key, candidate.public_values)
    with report.stage("verify-evm", "calling the contract"):
        result = api.verify_evm(key, candidate, rpc_url=rpc_url, address=address, any_code=any_code)
    report.fields["address"] = result.address
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
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A circuit, key, proof or SRS.")],
    measure: Annotated[
        Path | None,
        typer.Option(metavar="INPUT", help="Prove this input with a circuit: measured cost beside the predicted one."),
    ] = None,
    json: Json = False,
) -> None:
    """Show what a file consists of: rows, columns, lookups, where they come from, predicted cost."""
    from plonnx import api

    report = Report("inspect", json)
    found = api.inspect(file)
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
    """Make a development SRS. UNSAFE: for tests only."""
    from plonnx.kzg.srs import SRS
    from plonnx.srs_choice import warn_unsafe

    report = Report("srs generate", json)
    with report.stage("generate", f"making an SRS of 2^{k} powers"):
        made = interruptible(lambda: SRS.development(k))
    with report.stage("write", f"writing {out}"):
        made.save(out)
    warn_unsafe(made.name)
    _written(report, srs=out)
    report.finish()


@srs_app.command("import")
def srs_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As the ceremony published it.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE")],
    powers: Annotated[int | None, typer.Option(help="How many to take: rows times columns per commitment.")] = None,
    json: Json = False,
) -> None:
    """Import a ceremony's file: Ethereum's KZG ceremony, c-kzg, or powers of tau (Zcash, Filecoin)."""
    from plonnx.inspection import describe
    from plonnx.kzg.ceremonies import import_srs

    report = Report("srs import", json)
    with report.stage("import", f"reading {file} and checking its points"):
        found = interruptible(lambda: import_srs(file, powers))
    with report.stage("write", f"writing {out}"):
        found.srs.save(out)
    report.fields.update(describe(found.srs))
    report.fields["layout"] = found.layout
    report.fields["available"] = found.available
    report.fields["blake2b"] = found.hash
    report.say(f"{found.srs.name}: {found.srs.size} of {found.available} powers, from a {found.layout}")
    report.say("every point is in its subgroup, and the pairings hold: these are the powers of one tau")
    report.say(f"BLAKE2b of the file: {found.hash or 'not computed, the file is huge (b2sum does it)'}")
    report.say("compare it with what the ceremony published: no check can see whether somebody knows tau")
    _written(report, srs=out)
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
    from plonnx.inspection import describe

    found = describe(circuit)
    report.fields.update(found)
    report.say(f"{found['rows']} rows, {found['used_rows']} of them used, a table of {found['table']} entries")
    predicted = found["predicted"]
    report.say(
        f"predicted: prove in {predicted['prove_seconds']:.2f} s, verify on Ethereum for {predicted['gas']:,} gas"
    )
    accuracy = found["accuracy"]
    for output in accuracy["outputs"]:
        top = "" if output["top1"] is None else f", the same top-1 on {output['top1']:.2%}"
        report.say(
            f"{output['name']}: at most {output['max_relative']:.2%} of its range from the float model on"
            f" {accuracy['samples']} calibration samples{top}"
        )
    if not accuracy["reached"]:
        report.warn(f"the error target of {accuracy['error_target']:.2%} is not reached: see plonnx inspect")


def _key_size(report: Report, vk: VerifyingKey) -> None:
    report.fields["rows"] = vk.n
    report.fields["columns"] = _columns(vk)
    report.say(f"{vk.n} rows, {vk.advice_count} advice and {len(vk.fixed_commitments)} fixed columns")


def _columns(vk: VerifyingKey) -> dict[str, int]:
    return {"fixed": len(vk.fixed_commitments), "advice": vk.advice_count}


def _written(report: Report, **paths: Path) -> None:
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    report.fields["bytes"] = sizes
    for name, path in paths.items():
        report.say(f"wrote {path} ({sizes[name]} bytes)")


def _pairs(options: Sequence[str] | None, flag: str) -> list[tuple[str, str]]:
    """NAME=VALUE options; the name may hold "=" or ":" as ONNX names do."""
    pairs = [option.rpartition("=") for option in options or ()]
    for name, sign, _ in pairs:
        if not sign or not name:
            raise typer.BadParameter(f"{flag} takes NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _size(text: str, flag: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise typer.BadParameter(f"{flag}: {text!r} is not a size")
    return int(text)


def _visibility(options: Sequence[str] | None, flag: str) -> Any:
    """ "public" or "private" for all, or by name."""
    words = ("public", "private")
    named = [option for option in options or () if option not in words]
    general = [option for option in options or () if option in words]
    pairs = dict(_pairs(named, flag))
    if any(value not in words for value in pairs.values()):
        raise typer.BadParameter(f"{flag} is public or private")
    if len(general) > 1 or (general and named):
        raise typer.BadParameter(f"{flag} takes one word for all tensors, or NAME=public|private for each")
    return general[0] if general else pairs or "public"
