"""What is done with a model and its circuit, without keys."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from plonnx.api.given import Inputs, Progress, loaded, the_circuit
from plonnx.kzg.wording import option

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from plonnx.inspection import Inspectable
    from plonnx.kzg.srs import SRS
    from plonnx.layout.circuit import ModelCircuit

Visibility = Literal["public", "private"]


def compile(
    source: str | Path | bytes | onnx.ModelProto,
    /,
    data: Inputs | Sequence[Inputs] | None = None,
    *,
    outputs: Sequence[str] | None = None,
    margin: float = 2.0,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    table_bits: int | None = None,
    error_target: float | None = None,
    input: Visibility | Mapping[str, Visibility] = "public",
    output: Visibility | Mapping[str, Visibility] = "public",
    model: Visibility = "public",
    weight_bits: int | None = None,
    bias_bits: int | None = None,
    optimize: Literal["prover", "gas", "balanced"] = "prover",
    srs: SRS | str | Path | None = None,
    srs_size: int | None = None,
    max_memory: float | None = None,
    progress: Progress | None = None,
) -> ModelCircuit:
    """Compile an ONNX model (a file, its bytes, or a ModelProto) to a circuit.

    `data` are samples of the inputs: the ranges of all tensors are measured on them and widened by `margin`; an input
    that leaves its range cannot be proved. Outputs are within `error_target` (0.003) of their range from the float
    model, channels within ten times that of their own; a model that misses this by more than three times is refused,
    unless `table_bits` says how fine it shall be (docs/scales.md).
    `outputs` are those of the graph's outputs that the circuit has, by default all. `dims` fixes symbolic dimensions by
    name, `shapes` whole inputs; of a file that is written for one sample the leading 1 may be more (a batch: each
    sample gets what it gets alone, or the model is refused). `input` and `output` say what the proof shows,
    for all tensors or by name. With a private `model` the keys commit to its weights without showing them; nothing
    public then depends on a weight but the scales and the table's size, and every weight must fit `weight_bits` (16 by
    default), every bias `bias_bits` (by default what twice the output's range needs). All that is public is
    `circuit.architecture`: whoever relies on the key rebuilds the key's public part from it.
    `optimize` says what to make cheap. The layout is made for the setup that there will be: `srs`, or one of 2^srs_size
    powers; otherwise "gas" stays inside those that come with plonnx, and the circuit's `facts` say what others save.
    `max_memory` are the gigabytes that a proof may take, by the cost model: a model of which every layout takes more is
    refused. Without it, layouts that take more than 8 GB count as dearer.
    An OutlookWarning says what will hurt later.

    >>> circuit = plonnx.compile("model.onnx", data="calibration.json", output={"logits": "public"})
    >>> circuit.save("model.circuit")
    """
    from plonnx.compiler.compile import compile_model
    from plonnx.compiler.options import DEFAULT_ERROR_TARGET, Options
    from plonnx.outlook import OutlookWarning, outlook

    if srs is not None:
        from plonnx.kzg.srs import SRS

        if srs_size is not None:
            raise ValueError("give srs or srs_size: the size of a setup follows from it")
        srs_size = loaded(SRS, srs).size.bit_length() - 1
    options = Options(
        outputs=None if outputs is None else tuple([outputs] if isinstance(outputs, str) else outputs),
        margin=margin,
        dims=dict(dims or {}),
        shapes={name: tuple(shape) for name, shape in (shapes or {}).items()},
        table_bits=table_bits,
        error_target=DEFAULT_ERROR_TARGET if error_target is None else error_target,
        input=input if isinstance(input, str) else dict(input),
        output=output if isinstance(output, str) else dict(output),
        model=model,
        weight_bits=weight_bits,
        bias_bits=bias_bits,
        optimize=optimize,
        srs_size=srs_size,
        max_memory=max_memory,
    )
    circuit = compile_model(source, data, options, progress)
    for line in outlook(circuit):
        warnings.warn(line, OutlookWarning, stacklevel=2)
    return circuit


def evaluate(
    circuit: ModelCircuit | str | Path,
    data: Inputs,
    labels: Any = None,
    *,
    model: str | Path | bytes | onnx.ModelProto | None = None,
    output: str | None = None,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """The circuit's accuracy on data, beside that of the float model that it was compiled from.

    `labels` are classes or values, an array or the path of an .npy file. `output` names the output that they are about
    (by default the first with several scores); a single score means class 1 above `threshold`. `model` is the ONNX
    model, run by onnxruntime: a circuit does not hold it. Without labels the result says how far the two agree.

    >>> plonnx.evaluate("model.circuit", "test.npz", "labels.npy", model="model.onnx")["float"]
    {'accuracy': 0.98}
    """
    made = the_circuit(circuit)
    reference = None
    if model is not None:
        from plonnx.compiler.compile import float_outputs

        reference = float_outputs(model, data, made.inputs, [port.name for port in made.outputs])
    return made.evaluate(
        data, None if labels is None else _labels(labels), reference=reference, output=output, threshold=threshold
    )


def _labels(given: Any) -> NDArray[Any]:
    import numpy as np

    if not isinstance(given, (str, Path)):
        return np.asarray(given)
    from plonnx.layout.inputs import InputError, MissingError, read_arrays

    try:
        return read_arrays(given, ["labels"])["labels"]
    except MissingError as error:
        raise InputError(f"{given}: it holds no labels: give an .npy file, or name the array labels") from error


def run(circuit: ModelCircuit | str | Path, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """The circuit's outputs by name, (samples, ..), without a proof: what proofs of these inputs would show.

    >>> plonnx.run("model.circuit", "input.json")["logits"].shape
    (1, 10)
    """
    return the_circuit(circuit).predict(inputs)


def mock(circuit: ModelCircuit | str | Path, inputs: Inputs) -> list[str]:
    """Check every constraint on an input without keys; one line for each that fails, naming gate, row and cells.

    >>> plonnx.mock(circuit, "input.json")
    []
    """
    made = the_circuit(circuit)
    return made.mock(made.read_inputs(inputs))


def inspect(subject: Inspectable | str | Path, *, plot: str | Path | None = None) -> dict[str, Any]:
    """What a circuit, architecture, key, proof, registration or SRS (or its file) consists of: rows, columns, layers.

    `plot` is where to draw a circuit's errors: each tensor's against its range, along the network (.png, .svg, .pdf).

    >>> plonnx.inspect("model.circuit", plot="errors.png")["rows"]
    1024
    """
    from plonnx.inspection import describe

    if plot is not None:
        from plonnx.error_plot import plot_errors
        from plonnx.layout.circuit import ModelCircuit

        held = ModelCircuit.load(subject) if isinstance(subject, (str, Path)) else subject
        if not isinstance(held, ModelCircuit):
            raise ValueError(f"{option('plot')}: only a circuit knows its errors")
        plot_errors(held, plot)
    return describe(subject)
