"""Padding that no cell holds: channels of zeros have weights and rows of their own, but nothing there is read.

Where every value of a channel is a zero of the padding, its cells are idle and the prover may fill them. A layer that
read such a row would take what the prover wrote there for an input: any output within reach of its weights could be
proved.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import compile_model
from plonnx.gadgets import Builder
from plonnx.gadgets.gadget import view
from plonnx.gadgets.linear.contribution import Weights
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.kzg.srs import SRS
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.planner import Layout
from plonnx.plonk import prover
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import Prover, UnsatisfiedError, Witness
from plonnx.plonk.verifier import VerificationError, verify
from tests.adversarial.subject import Integers, Subject
from tests.compiler.small import onnx_model, saved
from tests.properties.equations import check, reading
from tests.properties.models import Model


def dense(rows: int) -> Model:
    """A dense layer over three inputs and a zero: where lanes hold all its rows, no run is longer than one."""
    b = Builder(6)
    x = b.input("x", (rows, 3)).pad([(0, 0), (0, 1)])
    b.output("y", b.linear(x, np.array([[10, 0], [0, 10], [5, 5], [64, 32]]), None, "y"))
    return Model(b, {"x": np.array([[[20, -7, 3], [-4, 11, 2]]])[:, :rows]})


def spread() -> Model:
    """Two lone inputs and a zero, each spread over four positions: more than a row, so outputs are gathered."""
    b = Builder(6)
    x = b.input("x", (2, 1)).pad([(0, 1), (0, 0)])
    weights = 5 * np.arange(1, 13).reshape(3, 4, 1)
    b.output("y", b.convolution(x, weights, np.array([[0], [-1], [-2], [-3]]), None, (4,), "y"))
    return Model(b, {"x": np.array([[[20], [-7]]])})


def long() -> Model:
    """Two inputs of three positions and zeros: runs of more than a row, whose sums are accumulated."""
    b = Builder(6)
    x = b.input("x", (2, 3)).pad([(0, 1), (0, 0)])
    weights = 5 * np.arange(1, 7).reshape(3, 2, 1)
    b.output("y", b.convolution(x, weights, np.array([[0], [-1]]), None, (4,), "y"))
    return Model(b, {"x": np.array([[[20, 3, -9], [-7, 1, 14]]])})


PADDED = {  # how the padded input is read (tests/properties/equations.py), and whether outputs are gathered
    "all lanes of a row": (partial(dense, 1), 1, "at once", False),
    "all of two lanes": (partial(dense, 2), 2, "at once", False),
    "all lanes, outputs over several rows": (spread, 1, "at once", True),
    "an idle lane, outputs over several rows": (spread, 2, "at once", True),
    "an idle lane": (partial(dense, 1), 2, "at once", False),
    "runs of several rows": (long, 1, "accumulated", True),
    "runs of several rows, two lanes": (long, 2, "accumulated", True),
}


@pytest.fixture(params=PADDED)
def padded(request: pytest.FixtureRequest) -> Subject:
    given: Any = PADDED[request.param]
    model, lanes, way, gathered = given
    subject = Subject(model(), lanes, 2)
    assert reading(subject.layout) == way
    assert any(place.gathered for place in subject.layout.places) == gathered
    assert unread(subject.layout) == 1
    return subject


def unread(layout: Layout) -> int:
    """The runs without a value that stand before weights other than zero."""
    found = 0
    for place in layout.places:
        if place.reader is not None:
            factor = place.reader.contribution.factor
            assert isinstance(factor, Weights)
            found += int(np.any(factor.values[np.all(place.units < 0, axis=(1, 2))], axis=(1, 2)).sum())
    return found


def filled(subject: Subject, lane: int, value: int) -> Witness:
    """An idle unit of the padding holds a value, and all else is what the model makes of it as an input."""
    layout, cells = subject.layout, subject.cells(subject.honest)
    (source,) = (place for place in layout.places if place.reader is not None)
    row = source.value_rows[np.all(source.units < 0, axis=(1, 2))].reshape(-1)[0]
    cells[row, lane, :2] = max(value, 0), max(-value, 0)
    block = subject.builder.blocks[-1]
    assert isinstance(block, Convolution)
    done = subject.builder.run(subject.case.model.inputs)
    operands = view(done.values, block.operands).copy()
    operands[0, np.flatnonzero(block.operands < 0)[lane]] = value
    sums = block.sums(operands)[0]
    half, size = subject.size // 2, subject.size
    outputs: Integers = (sums + half) // size
    rows, lanes = (of_units[block.units] for of_units in layout.unit_cells)
    cells[rows, lanes] = np.stack([np.maximum(outputs, 0), np.maximum(-outputs, 0), sums + half - size * outputs], 1)
    copied = layout.copied
    for at, to, ref in zip(copied.rows, copied.lanes, copied.refs, strict=True):
        if ref >> 1 >= block.first:
            cells[at, to, :2] = cells[rows[(ref >> 1) - block.first], lanes[(ref >> 1) - block.first], :2]
    (output,) = subject.builder.outputs
    done.values[0, block.units] = outputs
    return subject.witness(cells, subject.public(y=subject.builder.read(done, output.cells)[0]))


def test_the_padding_is_worth_a_forgery(padded: Subject) -> None:
    """With zeros in the idle cells the forger's witness is the honest one; with others it states other outputs."""
    assert padded.failures(filled(padded, 0, 0)) == []
    assert filled(padded, 0, 0).public_values == padded.honest.public_values
    assert not padded.is_true(filled(padded, 0, 9))


def test_no_equation_reads_the_padding(padded: Subject) -> None:
    counted = check(padded.layout)
    assert counted.equations == padded.builder.blocks[-1].count


@pytest.mark.parametrize("value", [1, 9, -9])
def test_a_value_in_the_padding_makes_no_other_output(padded: Subject, value: int) -> None:
    """Only the linear check can see it: every cell is a unit, the public values are those of the outputs."""
    for lane in range(min(padded.lanes, int(np.count_nonzero(padded.builder.blocks[-1].operands < 0)))):
        assert padded.constraints(filled(padded, lane, value)) == {"gate 'running sum ends'"}


def test_a_value_in_the_padding_proves_no_other_output(padded: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    srs = SRS.development(padded.layout.shape.k, tau=5)
    made = Prover(keygen(padded.case.circuit(), srs), srs)
    verify(made.vk, made.prove(padded.honest))
    with pytest.raises(UnsatisfiedError, match="plonnx mock"):
        made.prove(filled(padded, 0, 9))
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    with pytest.raises(VerificationError, match="pairing"):
        verify(made.vk, made.prove(filled(padded, 0, 9)))


# Models in which the padding comes from an operator -----------------------------------------------------------------

STRIDED = "strides = [2, 2], pads = [1, 1, 1, 1]"
NETWORKS: dict[str, tuple[str, str, dict[str, tuple[int, ...]], list[int]]] = {
    "a strided convolution of one pixel": (
        "float[1,3,1,1] x) => (float[1,4,1,1] y)",
        f"y = Conv<{STRIDED}>(x, W)",
        {"W": (4, 3, 3, 3)},
        [],
    ),
    "a padded dense layer": (
        "float[1,3] x) => (float[1,2] y)",
        "z = Pad(x, p) y = Gemm(z, W)",
        {"W": (5, 2)},
        [0, 0, 0, 2],
    ),
    "a padded picture, flattened": (
        "float[1,3,3,3] x) => (float[1,2] y)",
        "a = Relu(x) z = Pad(a, p) q = Flatten(z) y = Gemm(q, W)",
        {"W": (75, 2)},
        [0, 0, 1, 1, 0, 0, 1, 1],
    ),
    "convolutions that stride down to one pixel": (
        "float[1,2,4,4] x) => (float[1,2,1,1] y)",
        f"a = Conv<{STRIDED}>(x, U) b = Relu(a) c = Conv<{STRIDED}>(b, V) d = Relu(c) y = Conv<{STRIDED}>(d, W)",
        dict.fromkeys("UVW", (2, 2, 3, 3)),
        [],
    ),
}


def network(folder: Path, name: str) -> tuple[ModelCircuit, dict[str, np.ndarray]]:
    """The network compiled on random inputs, and one of them."""
    signature, body, weights, pads = NETWORKS[name]
    random = np.random.default_rng(1)
    constants = {weight: random.normal(size=shape) for weight, shape in weights.items()}
    path = saved(folder, onnx_model(signature, body, constants | ({"p": np.array(pads)} if pads else {})))
    shape = [int(size) for size in signature[len("float[") : signature.index("]")].split(",")]
    samples = [{"x": random.normal(size=shape).astype(np.float32)} for _ in range(20)]
    return compile_model(path, samples), samples[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_read_no_padding(name: str, tmp_path: Path) -> None:
    circuit, sample = network(tmp_path, name)
    assert unread(circuit.layout) > 0
    assert check(circuit.layout).equations > 0
    assert circuit.mock(circuit.read_inputs(sample)) == []
