"""The commands on models and circuits: load, call the function of the same name in `plonnx.api`, write, print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plonnx.cli.app import app
from plonnx.cli.console import Report
from plonnx.cli.options import Circuit, Input, Json, one_of, pairs, size, visibility_of
from plonnx.cli.worker import interruptible

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit


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
        list[str] | None,
        typer.Option(metavar="INPUT=1,3", help="Fix the shape of an input; a batch of 1 may be more; repeatable."),
    ] = None,
    outputs: Annotated[
        str | None, typer.Option(metavar="NAME,..", help="Take these of the graph's outputs, and what they need.")
    ] = None,
    table_bits: Annotated[int | None, typer.Option(min=4, max=20, help="Bits of the lookup tables.")] = None,
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
    max_memory: Annotated[float | None, typer.Option(metavar="GB", help="What a proof may take of memory.")] = None,
    json: Json = False,
) -> None:
    """Compile an ONNX model to a circuit; a private one also to MODEL.architecture, the circuit without its secrets."""
    from plonnx import api

    one_of("--optimize", optimize, ("prover", "gas", "balanced"))
    one_of("--model", visibility, ("public", "private"))
    if srs is not None and srs_size is not None:
        raise typer.BadParameter("--srs and --srs-size: give one of them")
    target = out or model.with_suffix(".circuit")
    report = Report("compile", json, target)
    with report.stage("compile", f"compiling {model}") as ticker:
        options: dict[str, Any] = {
            "margin": margin,
            "dims": {name: size(text, "--dim") for name, text in pairs(dim, "--dim")},
            "shapes": {
                name: tuple(size(s, "--shape") for s in text.split(",")) for name, text in pairs(shape, "--shape")
            },
            "outputs": outputs.split(",") if outputs is not None else None,
            "table_bits": table_bits,
            "error_target": error_target,
            "input": visibility_of(input, "--input"),
            "output": visibility_of(output, "--output"),
            "model": visibility,
            "weight_bits": weight_bits,
            "bias_bits": bias_bits,
            "optimize": optimize,
            "srs": srs,
            "srs_size": srs_size,
            "max_memory": max_memory,
        }
        circuit = interruptible(lambda: api.compile(model, data or None, **options, progress=ticker))
    paths = {"circuit": target}
    with report.stage("write", f"writing {target}"):
        circuit.save(target)
        if circuit.hidden:
            paths["architecture"] = target.with_suffix(".architecture")
            circuit.architecture.save(paths["architecture"])
    _describe(report, circuit)
    report.written(**paths)
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

    report = Report("inspect", json, plot)
    found = api.inspect(file, plot=plot)
    if plot is not None:
        report.written(plot=plot)
    if measure is not None:
        from plonnx.layout.circuit import ModelCircuit
        from plonnx.measurement import measure as measured

        with report.stage("measure", "measuring"):
            found["measured"] = measured(ModelCircuit.load(file), measure)
    report.show(found)


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
        report.written(outputs=out)
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
    report.show(found)


@app.command()
def operators(json: Json = False) -> None:
    """List the ONNX operators that can be compiled, with the version from which each is understood."""
    from plonnx.compiler.ops import versions

    report = Report("operators", json)
    report.fields["operators"] = versions()
    for name, since in versions().items():
        report.say(f"{name}-{since}")
    report.finish()
