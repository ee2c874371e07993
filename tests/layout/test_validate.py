"""What is refused when a circuit is read: each by a circuit that differs from an accepted one in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.gadgets.function import Lookup
from plonnx.gadgets.input import Input
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.maximum import Maximum
from plonnx.gadgets.product import Product
from plonnx.kzg import container
from plonnx.kzg.container import FileError
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.shape import LayoutError
from tests.adversarial.files import hidden_circuit, picture_circuit

Change = Callable[[ModelCircuit], ModelCircuit]


def block(kind: type, **changes: Callable[[Any], Any]) -> Change:
    """Change fields of the last block of a kind."""

    def changed(circuit: ModelCircuit) -> ModelCircuit:
        blocks = circuit.builder.blocks
        at = max(i for i, held in enumerate(blocks) if isinstance(held, kind))
        blocks[at] = replace(blocks[at], **{name: change(blocks[at]) for name, change in changes.items()})
        return circuit

    return changed


def output(**changes: Callable[[Any], Any]) -> Change:
    """Change fields of the cells of the first output."""

    def changed(circuit: ModelCircuit) -> ModelCircuit:
        first = circuit.builder.outputs[0]
        cells = replace(first.cells, **{name: change(first.cells) for name, change in changes.items()})
        circuit.builder.outputs[0] = replace(first, cells=cells)
        return circuit

    return changed


def shape(**changes: int) -> Change:
    return lambda c: replace(c, shape=replace(c.shape, **changes))


def port(side: str, **changes: Any) -> Change:
    return lambda c: replace(c, **{side: (replace(getattr(c, side)[0], **changes), *getattr(c, side)[1:])})


def builder(**changes: Any) -> Change:
    return lambda c: replace(c, builder=replace(c.builder, **changes))


def function(**changes: Callable[[Any], Any]) -> Change:
    return block(Lookup, function=lambda b: replace(b.function, **{n: c(b.function) for n, c in changes.items()}))


def larger_setup(**changes: Any) -> Change:
    """Change what is said of the first setup that would be better."""
    return lambda c: replace(c, facts={**c.facts, "larger_setups": [{**c.facts["larger_setups"][0], **changes}]})


def report(**changes: Any) -> Change:
    """Change what is said of the accuracy."""
    return lambda c: replace(c, report={**c.report, **changes})


def at(index: Any, value: int) -> Callable[[np.ndarray], np.ndarray]:
    def changed(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[index] = value
        return array

    return changed


def coprime_strides(circuit: ModelCircuit) -> ModelCircuit:
    """Of two layers: lines of both are a multiple of both apart, more than 64-bit numbers count."""
    blocks = circuit.builder.blocks
    layers = [(at, block) for at, block in enumerate(blocks) if isinstance(block, Convolution)]
    for (at, layer), prime in zip(layers, (1048573, 1048571), strict=True):
        blocks[at] = replace(layer, strides=(1, prime))
    return circuit


REFUSED: list[tuple[str, Change, str]] = [
    ("plain", builder(table_bits=1), r"table_bits is not in 2\.\.24"),
    ("plain", builder(table_bits=25), r"table_bits is not in 2\.\.24"),
    ("hidden", builder(weight_bits=61), r"a declared width is not in 2\.\.60 bits"),
    ("hidden", builder(bias_bits=1), r"is no integer in 2"),
    ("hidden", builder(weight_bits=4), "block 2: a weight is wider than declared|block 1: a weight is wider"),
    ("hidden", builder(bias_bits=3), "a bias is wider than declared"),
    ("plain", block(Convolution, name=lambda b: "a\nb"), "name is no printable text"),
    ("plain", block(Convolution, name=lambda b: "\u202eb"), "name is no printable text"),
    ("plain", block(Convolution, first=lambda b: b.first + 1), "its units do not follow those before"),
    ("plain", block(Convolution, count=lambda b: b.count + 1), "its units are not as many as its operands give"),
    ("plain", block(Input, count=lambda b: 0, shape=lambda b: (0,)), "its shape has an empty axis"),
    ("plain", block(Input, shape=lambda b: (-1, -b.count)), "its shape has an empty axis"),
    ("plain", block(Input, narrow=lambda b: 3), "no input takes such values"),  # whose words hold another value
    ("plain", block(Input, narrow=lambda b: 1 << 40), "no input takes such values"),
    ("plain", block(Input, step=lambda b: 1 << 40), "no input takes such values"),
    ("plain", block(Input, narrow=lambda b: 2, step=lambda b: 2), "no input takes such values"),
    ("plain", block(Input, narrow=lambda b: 2, boolean=lambda b: True), "no input takes such values"),
    ("plain", block(Input, step=lambda b: -1), "it has no values"),
    ("plain", block(Input, natural=lambda b: 1), r"natural is neither true nor false"),
    ("plain", port("inputs", wide=3), "the inputs are not those of the blocks"),
    ("plain", port("inputs", wide=-1), "wide is no integer in"),
    ("plain", block(Input, shape=lambda b: (1 << 40, 1 << 40)), "its units are not as many as its operands give"),
    ("plain", block(Convolution, x=lambda b: at(0, 1 << 20)(b.x)), "reads units not made before it"),
    ("plain", block(Convolution, x=lambda b: at(0, 2 * b.first)(b.x)), "reads units not made before it"),
    ("plain", block(Convolution, x=lambda b: at(0, -2)(b.x)), "reads units not made before it"),
    ("plain", block(Convolution, x=lambda b: b.x[:, 0]), "its input does not fit its shape"),
    ("plain", block(Convolution, shape=lambda b: ()), "its input does not fit its shape"),
    ("plain", block(Convolution, weights=lambda b: b.weights[:1]), "its weights do not fit its input and taps"),
    ("plain", block(Convolution, weights=lambda b: b.weights[:, :, :0]), "its weights do not fit its input and taps"),
    ("plain", block(Convolution, offsets=lambda b: b.offsets[:, :1]), "its offsets do not fit its taps"),
    ("plain", block(Convolution, offsets=lambda b: at(0, 1 << 21)(b.offsets)), "a tap lies too far out"),
    ("plain", block(Convolution, offsets=lambda b: at((0, 0), -1 << 63)(b.offsets)), "a tap lies too far out"),
    ("plain", block(Convolution, offsets=lambda b: np.array(5)), "its offsets do not fit its taps"),
    ("plain", block(Convolution, offsets=lambda b: at(0, 1 << 20)(b.offsets)), "span too many positions"),
    ("plain", coprime_strides, "the strides of the convolutions span too many positions"),
    ("plain", block(Convolution, groups=lambda b: 0), "its groups do not fit its channels"),
    ("plain", block(Convolution, groups=lambda b: 3), "its groups do not fit its channels"),
    ("plain", block(Convolution, bias=lambda b: np.zeros(5, np.int64)), "its bias does not fit its outputs"),
    ("plain", block(Convolution, shape=lambda b: (0, 2)), "its shape has an empty axis"),
    ("plain", block(Maximum, candidates=lambda b: b.candidates[:1]), "has no two candidates"),
    ("plain", block(Maximum, candidates=lambda b: at((0, 0), -1)(b.candidates)), "reads units not made before it"),
    ("plain", block(Product, factors=lambda b: b.factors[:1]), "has not two factors"),
    ("plain", block(Product, multiplier=lambda b: 1 << 70), "is no integer in"),
    ("plain", block(Lookup, x=lambda b: b.x[None]), "its operand is no list"),
    ("plain", function(values=lambda f: f.values[:0]), "has no table"),
    ("plain", function(values=lambda f: at(0, 33)(f.values)), "has a value beyond the table"),
    ("plain", function(values=lambda f: f.values[None]), "has no table"),
    ("plain", function(low=lambda f: 1 << 50), "is defined too far out"),
    ("plain", function(name=lambda f: "f\x1b[2J"), "is no printable text"),
    ("plain", output(refs=lambda c: c.refs - c.refs - 1), "output y is of no units"),
    ("plain", output(refs=lambda c: c.refs + 1000), "output y is of no units"),
    ("plain", output(low=lambda c: -32), "output y: its interval is not inside the table's"),
    ("plain", output(high=lambda c: c.low - 1), "output y: its interval is not inside the table's"),
    ("plain", shape(k=33), r"shape\.k is no integer in"),
    ("plain", shape(lanes=0), r"shape\.lanes is no integer in"),
    ("plain", shape(lanes=1 << 20), r"shape\.lanes is no integer in"),
    ("plain", shape(packing=1 << 20), r"shape\.packing is no integer in"),
    ("plain", shape(k=4, lanes=1), "units are more than 2.4 rows hold"),
    ("plain", port("inputs", name="z"), "the inputs are not those of the blocks"),
    ("plain", port("inputs", shape=(3,)), "the inputs are not those of the blocks"),
    ("plain", port("inputs", public=False), "the inputs are not those of the blocks"),
    ("plain", port("outputs", name="z"), "the outputs are not those of the blocks"),
    ("plain", port("outputs", dtype="object"), r"ports\[1\]\[0\]\.dtype is none of"),
    ("plain", port("inputs", limit=33), "a limit lies beyond the range table"),
    ("plain", port("inputs", limit=0), r"limit is no integer in 1"),
    ("plain", port("inputs", scale=2000), r"scale is no integer in"),
    ("plain", port("inputs", scale=(1, 2000)), r"scale\[1\] is no integer in"),
    ("plain", port("inputs", scale=(1, True)), r"scale\[1\] is no integer in"),
    ("plain", port("inputs", scale=((1, 2), (3,))), "are no scales of the tensor's channels"),
    ("plain", port("inputs", scale=tuple(range(1000))), "are no scales of the tensor's channels"),
    ("plain", port("inputs", scale=(3, 3)), "are no scales of the tensor's channels"),
    ("plain", port("inputs", scale=()), r"scale is no list of at least 1"),
    ("plain", lambda c: replace(c, outputs=c.outputs[1:]), "the outputs are not those of the blocks"),
    ("plain", lambda c: replace(c, facts={**c.facts, "visibility": "private"}), r"field facts\.visibility is unknown"),
    ("plain", lambda c: replace(c, facts={**c.facts, "digest": "ab"}), r"field facts\.digest is unknown"),
    ("plain", larger_setup(powers=0), r"facts\.larger_setups\[0\]\.powers is no integer in"),
    ("plain", larger_setup(gas=-1), r"facts\.larger_setups\[0\]\.gas is no integer in"),
    ("plain", larger_setup(prove_seconds=-1.0), r"facts\.larger_setups\[0\]\.prove_seconds is no number in"),
    ("plain", larger_setup(prove_seconds="1"), r"facts\.larger_setups\[0\]\.prove_seconds is no number in"),
    ("plain", larger_setup(prove_seconds=True), r"facts\.larger_setups\[0\]\.prove_seconds is no number in"),
    ("plain", larger_setup(more=1), r"field facts\.larger_setups\[0\]\.more is unknown"),
    ("plain", lambda c: replace(c, report={"a": "\x07"}), r"report\.a is no printable text"),
    ("plain", lambda c: replace(c, report=_nested(20)), "is nested too deep"),
    ("plain", lambda c: replace(c, report=None), "report is no object"),
    ("plain", lambda c: replace(c, report=[]), "report is no object"),
    ("plain", report(scales=None), r"report\.scales is no object"),
    ("plain", report(scales={"y": 0.5}), r"report\.scales\.y is no integer in"),
    ("plain", report(missed=["x"]), r"report\.missed is no printable text"),
    ("plain", report(error_target=-1.0), r"report\.error_target is no number in"),
    ("plain", report(error_target=10**400), r"report\.error_target is no number in"),
    ("plain", report(table_bits="12"), r"report\.table_bits is no integer in"),
    ("plain", report(samples=True), r"report\.samples is no integer in"),
    ("plain", report(outputs={}), r"report\.outputs is no list"),
    ("plain", report(inner=[1]), r"report\.inner\[0\] is no object"),
    ("plain", report(inner=[{"name": 1}]), r"report\.inner\[0\]\.name is no printable text"),
    ("plain", report(inner=[{"max_relative": 10**400}]), r"report\.inner\[0\]\.max_relative is no number in"),
    ("plain", report(inner=[{"channel": [10**12, 0]}]), r"report\.inner\[0\]\.channel\[0\] is no integer in"),
    ("plain", report(inner=[{"channel": 3}]), r"report\.inner\[0\]\.channel is no list of 2"),
    ("plain", lambda c: replace(c, name="\u2028"), "name is no printable text"),
]


def _nested(depth: int) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for _ in range(depth):
        held = {"a": held}
    return held


def circuits() -> dict[str, ModelCircuit]:
    return {"plain": picture_circuit(), "hidden": hidden_circuit()}


@pytest.mark.parametrize("name", circuits())
def test_the_circuits_without_a_fault_are_accepted(tmp_path: Path, name: str) -> None:
    circuit = circuits()[name]
    circuit.save(tmp_path / "circuit")
    loaded = ModelCircuit.load(tmp_path / "circuit")
    assert loaded.encode() == circuit.encode() and loaded.digest == circuit.digest


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(tmp_path: Path, number: int) -> None:
    name, change, message = REFUSED[number]
    change(circuits()[name]).save(tmp_path / "circuit")
    with pytest.raises(FileError, match=rf"/circuit: .*(?:{message})"):
        ModelCircuit.load(tmp_path / "circuit")


@pytest.mark.parametrize(
    "change", ["a wider array", "an unused function", "a surplus array", "an unknown kind", "shape"]
)
def test_other_encodings_are_refused(tmp_path: Path, change: str) -> None:
    """Equal circuits have equal bytes, whoever writes them: the digest in a proving key is that of the file."""
    circuit = picture_circuit()
    meta, arrays = container.decode(circuit.encode(), "circuit", "circuit")
    arrays, name = dict(arrays), next(name for name in arrays if name.endswith("weights"))
    if change == "a wider array":
        arrays[name] = arrays[name].astype(np.int64)
    elif change == "a surplus array":
        arrays["more"] = arrays[name]
    elif change == "an unused function":
        meta["builder"]["functions"].append(["unused", 0])
        arrays[f"function.{len(meta['builder']['functions']) - 1}"] = np.ones(3, np.int8)
    elif change == "an unknown kind":
        meta["builder"]["blocks"][0]["kind"] = "gate"
    else:
        meta["shape"]["more"] = 1
    (tmp_path / "circuit").write_bytes(container.encode("circuit", meta, arrays))
    with pytest.raises(FileError, match=r"/circuit: the circuit file does not hold what it should \("):
        ModelCircuit.load(tmp_path / "circuit")


def test_a_shape_with_too_few_rows(tmp_path: Path) -> None:
    """The rows follow from the layout, which loading does not make: the first use of the circuit says it."""
    circuit = shape(k=6)(picture_circuit())
    circuit.save(tmp_path / "circuit")
    loaded = ModelCircuit.load(tmp_path / "circuit")
    with pytest.raises(LayoutError, match="102 rows do not fit the 59 there are"):
        loaded.witness({"x": np.zeros((2, 3, 3), np.int64), "h": np.zeros((2, 2, 2), np.int64)})
