"""RNN, LSTM and GRU against onnxruntime, with the time first where the model has the batch first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import CompileError
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.layout.circuit import ModelCircuit
from tests.compiler.small import assert_as_onnxruntime, assert_proves, in_some_layout, onnx_model

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
TIME, BATCH, INPUT, HIDDEN = 3, 2, 3, 4


def reals(*shape: int, seed: int = 0, count: int = 20) -> np.ndarray[Any, Any]:
    """Uniform in [-1, 1]."""
    return np.random.RandomState(seed).uniform(-1, 1, (count, *shape)).astype(np.float32)


def recurrent(
    op: str, attributes: str = "", *, directions: int = 1, more: str = "B", constants: Any = (), inputs: Any = ()
) -> tuple[Any, dict[str, Any]]:
    """A model of one node with all its outputs, and samples; `more` are the operands after W and R."""
    r = np.random.RandomState(5)
    rows = GATES[op] * HIDDEN
    given = {
        "W": r.uniform(-1, 1, (directions, rows, INPUT)),
        "R": r.uniform(-1, 1, (directions, rows, HIDDEN)),
        "B": r.uniform(-0.5, 0.5, (directions, 2 * rows)),
        **dict(constants),
    }
    shape = (BATCH, TIME, INPUT) if "layout" in attributes else (TIME, BATCH, INPUT)
    samples = {"X": reals(*shape), **dict(inputs)}
    ports = [f"float[{','.join(map(str, x.shape[1:]))}] {name}" for name, x in samples.items()]
    outputs = ["float[a,b,c,d] Y", "float[e,f,g] Yh", *(["float[i,j,k] Yc"] if op == "LSTM" else [])]
    signature = f"{', '.join(ports)}) => ({', '.join(outputs)})"
    body = f"{', '.join(o.split()[1] for o in outputs)} = {op}<hidden_size = {HIDDEN}{attributes}>(X, W, R, {more})"
    read = {
        name: value for name, value in given.items() if name in ("W", "R") or name in more.replace(",", " ").split()
    }
    return onnx_model(signature, body, read, 14), samples


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        ("", "B"),
        ("", ""),
        (', direction = "reverse"', "B"),
        (', direction = "bidirectional"', "B"),
        (', direction = "bidirectional"', "B, L"),
        (', direction = "reverse"', "B, L, h"),
        (", clip = 0.5", "B"),
        (", layout = 1", "B"),
        (', layout = 1, direction = "bidirectional", clip = 0.5', ", L"),
    ],
)
def test_forms(op: str, attributes: str, more: str) -> None:
    """Directions, lengths of sequences, initial states, clip, the order of axes."""
    directions = 2 if "bidirectional" in attributes else 1
    inputs = {"h": reals(1, BATCH, HIDDEN, seed=1)} if "h" in more else {}
    lengths = {"L": np.array([3, 1], np.int32)}
    model, samples = recurrent(op, attributes, directions=directions, more=more, constants=lengths, inputs=inputs)
    assert_as_onnxruntime(read_model(model).proto, samples, 0.005)


def test_what_has_the_batch_first_is_another_order_of_axes() -> None:
    """As the one with the time first, transposed here."""
    batch, samples = recurrent(
        "LSTM", ", layout = 1", more="B, , c, c", constants={"c": reals(BATCH, 1, HIDDEN, count=1)[0]}
    )
    time, _ = recurrent(
        "LSTM", "", more="B, , c, c", constants={"c": reals(BATCH, 1, HIDDEN, count=1)[0].swapaxes(0, 1)}
    )
    found = FloatModel(read_model(batch).proto).run_all([{"X": x} for x in samples["X"]])
    expected = FloatModel(time).run_all([{"X": x.swapaxes(0, 1)} for x in samples["X"]])
    np.testing.assert_array_equal(found["Y"], np.moveaxis(expected["Y"], 3, 1))
    for state in ("Yh", "Yc"):
        np.testing.assert_array_equal(found[state], expected[state].swapaxes(1, 2))


@pytest.mark.parametrize(
    ("op", "attributes", "more"),
    [
        ("GRU", ", linear_before_reset = 1", "B"),
        ("GRU", ", linear_before_reset = 1", "B, , c"),
        ("LSTM", ", input_forget = 1", "B"),
        ("LSTM", "", "B, , h, c"),
        ("LSTM", "", "B, , , , P"),
        ("LSTM", "", "B, , h, c, P"),
        (
            "LSTM",
            ', activations = ["HardSigmoid", "ScaledTanh", "Softsign"], activation_alpha = [0.3, 0.9],'
            " activation_beta = [0.4, 0.8]",
            "B",
        ),
        ("RNN", ', activations = ["Affine"], activation_alpha = [0.3], activation_beta = [0.4]', "B"),
        ("RNN", ', activations = ["LeakyRelu"], activation_alpha = [0.3]', "B"),
        ("RNN", ', activations = ["Relu"]', "B"),
    ],
)
def test_what_one_of_them_has(op: str, attributes: str, more: str) -> None:
    inputs = {"h": reals(1, BATCH, HIDDEN, seed=1)} if "h" in more else {}
    constants = {"P": np.random.RandomState(1).uniform(-1, 1, (1, 3 * HIDDEN)), "c": reals(BATCH, HIDDEN, count=1)}
    model, samples = recurrent(op, attributes, more=more, constants=constants, inputs=inputs)
    assert_as_onnxruntime(model, samples, 0.005)


@pytest.mark.parametrize(("op", "layers"), [("RNN", 1), ("GRU", 2), ("LSTM", 2)])
def test_weights_stand_once(op: str, layers: int) -> None:
    """A layer for the gates of each activation, whatever the number of steps."""
    model, samples = recurrent(op)
    made = quantized(model, samples, Options(table_bits=12))
    assert [b.steps for b in made.builder.blocks if isinstance(b, Convolution)] == [TIME] * layers


def test_only_the_last_state_is_shown() -> None:
    model = onnx_model(
        "float[3,1,2] x) => (float[1,1,2] h)",
        ", h = GRU<hidden_size = 2>(x, W, R)",
        {"W": reals(1, 6, 2)[0], "R": reals(1, 6, 2)[1]},
    )
    assert_as_onnxruntime(model, {"x": reals(3, 1, 2)}, 0.005)


def test_computed_lengths_are_refused() -> None:
    model = onnx_model(
        "float[3,1,2] x, int32[1] n) => (float[1,1,2] h)",
        ", h = GRU<hidden_size = 2>(x, W, R, , n)",
        {"W": reals(1, 6, 2)[0], "R": reals(1, 6, 2)[1]},
    )
    with pytest.raises(CompileError, match=r"\(GRU\): the lengths of its sequences must be a constant"):
        quantized(model, None)


def test_an_unknown_activation_is_named() -> None:
    model, _ = recurrent("RNN", ', activations = ["Erf"]')
    with pytest.raises(CompileError, match=r"\(RNN\): its activation 'Erf' is not supported"):
        quantized(model, None)


@pytest.mark.parametrize("options", [{}, {"model": "private", "weight_bits": 20}], ids=["public", "private"])
def test_it_holds_in_the_circuit(options: dict[str, Any]) -> None:
    model, samples = recurrent("LSTM", more="B, L", constants={"L": np.array([3, 2], np.int32)})
    assert_proves(model, samples, **options)


def test_files_hold_the_steps(tmp_path: Path) -> None:
    """A step may be taken as soon as its layer is there."""
    model, samples = recurrent("LSTM")
    circuit = in_some_layout(model, samples, table_bits=8)
    circuit.save(tmp_path / "m.circuit")
    assert ModelCircuit.load(tmp_path / "m.circuit").encode() == circuit.encode()
