"""Attacks of a private model's owner, who makes the key: values where the architecture has no weight.

Each attack changes nothing but what the hidden commitments hold. The key's public part stays as it is, the proof
verifies, and the widths hold: the registration alone refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plonnx.gadgets import Builder, Function, OutOfRange
from plonnx.gadgets.builder import Execution
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.function import apply
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.sum import Sum
from plonnx.gadgets.select import select
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.layout.architecture import Architecture
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.fixed import Fixed
from plonnx.layout.known import Pattern, known_columns, shared
from plonnx.layout.planner import Layout
from plonnx.layout.registration import (
    Declared,
    register,
    registration_circuit,
    verify_registration,
    verify_widths,
)
from plonnx.layout.shape import Shape
from plonnx.layout.witness import Filler
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import ProvingKey
from plonnx.plonk.mock import MockProver
from plonnx.plonk.prover import Witness, prove
from plonnx.plonk.public_values import pack, unpack
from plonnx.plonk.verifier import VerificationError, verify
from tests.adversarial.files import circuit_of
from tests.plonk.registering import anywhere, forged_registration

Integers = NDArray[np.int64]
T, WEIGHT_BITS, BIAS_BITS = 32, 6, 12


@dataclass(frozen=True)
class Model:
    """A private model that is laid out, and an input."""

    builder: Builder
    shape: Shape
    inputs: dict[str, Integers]

    @property
    def layout(self) -> Layout:
        return Layout(self.builder, self.shape)

    def key(self, srs: SRS, weights: Integers | None = None, bias: Integers | None = None) -> ProvingKey:
        """The owner's key, with the hidden columns that the owner likes."""
        layout = self.layout
        circuit = arithmetize(layout, "", layout.tensors)
        columns = list(circuit.fixed_columns)
        for index, name in enumerate(circuit.fixed_names):
            column = None
            if name.startswith("weights ") and weights is not None:
                column = weights[int(name.split()[1])]
            if name == "bias" and bias is not None:
                column = bias
            if column is not None:
                columns[index] = replace(columns[index], values=column)
        circuit.fixed_columns = tuple(columns)
        return keygen(circuit, srs)

    def witness(self, done: Execution, filler: Filler | None = None) -> Witness:
        """Of whatever was executed; `filler` knows the weights that were really used."""
        filler = filler or Filler(self.layout)
        values = {f"input {name}": array for name, array in self.inputs.items()}
        values |= {f"output {o.name}": self.builder.read(done, o.cells) for o in self.builder.outputs}
        public = pack(self.layout.tensors, values)
        return Witness(filler.advice(done), public, later=lambda *at: filler.later(done, *at))


@pytest.fixture(scope="module")
def srs() -> SRS:
    return SRS.development(8, tau=5)


def builder() -> Builder:
    return Builder(5, True, WEIGHT_BITS, BIAS_BITS)


def relu_layer() -> Model:
    """Two outputs in four weight columns, ReLU, a second layer."""
    b = builder()
    x = b.input("x", (1, 3))
    h = b.linear(x, np.array([[9, -7], [4, 5], [-3, 8]]), np.array([30, -20]), "h")
    b.output("y", b.linear(b.relu(h, "r"), np.array([[12, -5], [6, 11]]), np.array([3, 4]), "y"))
    return Model(b, Shape(6, 1, 4, 2), {"x": np.array([[[7, -11, 20]]])})


GROUPS = 2


def grouped(groups: int = GROUPS, kernel: Integers | None = None) -> Model:
    """A convolution of two channels in two groups of one output, three taps, in two weight columns."""
    b = builder()
    x = b.input("x", (2, 5))
    kernel = np.array([[[5], [-9], [4]], [[7], [3], [-6]]]) if kernel is None else kernel
    taps, bias = np.array([[-1], [0], [1]]), np.array([10, -12])
    h = b.convolution(x, kernel, taps, bias, (5,), "h", groups)
    b.output("y", b.linear(b.relu(h, "r").reshape(1, 10), np.arange(20).reshape(10, 2) - 9, None, "y"))
    return Model(b, Shape(7, 1, 2, 2), {"x": np.array([[[7, -11, 20, 3, 9], [1, 14, -16, 8, -2]]])})


def padded() -> Model:
    """A layer whose output stands beside a zero that no cell holds: a cell is made for it, zero by an equation."""
    b = builder()
    x = b.input("x", (1, 2))
    h = b.linear(x, np.array([[9, -7], [4, 5]]), np.array([30, -20]), "h")
    b.output("y", h.pad([(0, 0), (0, 1)]))
    return Model(b, Shape(6, 1, 2, 2), {"x": np.array([[[7, -11]]])})


def pooled() -> Model:
    """A layer, and the mean of its outputs, whose weights everybody knows."""
    b = builder()
    x = b.input("x", (1, 2))
    h = b.linear(x, np.array([[9, -7, 5, 6], [4, 5, -3, 2]]), None, "h")
    b.output("y", b.linear(h, np.full((4, 1), T // 4), None, "y", hides=np.zeros((1, 1, 1), np.int64)))
    return Model(b, Shape(6, 1, 4, 2), {"x": np.array([[[7, -11]]])})


def strided() -> Model:
    """A kernel of three taps, stride 2, as two phases of two taps: one of the four is no tap of the kernel."""
    b = builder()
    x = b.input("x", (2, 4))
    hides = np.array([[[1], [1]], [[1], [0]]])
    kernel, taps = np.array([[[5], [-9]], [[4], [0]]]), np.array([[0], [1]])
    b.output("y", b.convolution(x, kernel, taps, None, (3,), "y", hides=hides))
    return Model(b, Shape(6, 1, 2, 2), {"x": np.array([[[7, -11, 20, 3], [1, 14, -16, 8]]])})


def biased() -> Model:
    """A channel of four positions, one a row: its bias is stated on four rows."""
    b = builder()
    x = b.input("x", (1, 4))
    b.output("y", b.convolution(x, np.array([[[20]]]), np.array([[0]]), np.array([40]), (4,), "y"))
    return Model(b, Shape(6, 1, 1, 2), {"x": np.array([[[7, -11, 20, 3]]])})


def constants() -> Model:
    """A sum with a secret constant, and one whose constant everybody knows."""
    b = builder()
    x = b.input("x", (3,))
    s = b.sum([(x, 16)], np.array([100, -50, 3]), "s")
    b.output("y", b.sum([(s, T)], np.array([64, 64, 32]), "y", hides=False))
    return Model(b, Shape(6, 1, 1, 2), {"x": np.array([[7, -11, 20]])})


def pole() -> Model:
    """A table of both sides of a pole, where T stands for no value."""
    b = builder()
    x = b.input("x", (1, 2))
    y = apply(b, Function("reciprocal", -2, np.array([-16, -31, T, 31, 16])), x, "y")
    b.output("z", b.linear(y, np.array([[9, -7], [4, 5]]), np.array([30, -20]), "z"))
    return Model(b, Shape(6, 1, 2, 2), {"x": np.array([[[1, -2]]])})


def product(multiplier: int = 3) -> Model:
    """A product of computed matrices with a function in its own units, and a layer."""
    b = builder()
    x = b.input("x", (1, 2, 2))
    y = apply(b, Function("negative", -31, -np.arange(-31, 32)), matmul(b, x, x, multiplier, "y"), "f", fuse=True)
    b.output("z", b.linear(y.reshape(2, 2), np.array([[9, -7], [4, 5]]), np.array([30, -20]), "z"))
    return Model(b, Shape(6, 1, 2, 2), {"x": np.array([[[[3, -4], [5, 6]]]])})


def decided() -> Model:
    """A Boolean input and a comparison of a layer choose between layers."""
    b = builder()
    x, m = b.input("x", (1, 2)), b.input("m", (1, 2), boolean=True)
    h = b.linear(x, np.array([[9, -7], [4, 5]]), np.array([30, -20]), "h")
    s = b.sum([(x, 8)], np.array([[90, -60]]), "s")
    g = compare(b, b.relu(h, "r"), b.relu(s, "p"), "g")
    y = select(b, m, select(b, g, h, x, "first"), x, "second")
    b.output("z", b.linear(y, np.array([[9, -7], [4, 5]]), np.array([30, -20]), "z"))
    return Model(b, Shape(6, 2, 2, 2), {"x": np.array([[[7, -11]]]), "m": np.array([[[1, 0]]])})


MODELS: dict[str, Callable[[], Model]] = {
    made.__name__: made
    for made in (relu_layer, grouped, padded, pooled, strided, biased, constants, pole, product, decided)
}


def refused(model: Model, pk: ProvingKey, srs: SRS) -> None:
    """The owner's key is refused though its public part is right and all its values have their widths."""
    assert pk.vk.public_part.encode() == model.key(srs).vk.public_part.encode()
    known, nothing = known_columns(Fixed(model.layout)), anywhere(len(pk.vk.hidden_columns), pk.vk.k)
    verify_widths(pk.vk, forged_registration(pk, nothing, srs), srs)
    with pytest.raises(ValueError, match="not those of this circuit"):
        register(pk, known, srs)
    with pytest.raises(VerificationError, match="does not hold: the pairing check"):
        verify_registration(pk.vk, forged_registration(pk, known, srs), known, srs)
    with pytest.raises(VerificationError, match="does not hold"):  # of another pattern, all secret
        verify_registration(pk.vk, forged_registration(pk, nothing, srs), known, srs)


def stated(model: Model, pk: ProvingKey, witness: Witness, srs: SRS) -> Integers:
    """What a proof of the owner's says, and is accepted for."""
    proof = prove(pk, witness, srs)
    verify(pk.vk, proof)
    (output,) = (tensor for tensor in pk.vk.tensors if tensor.role == "output")
    return unpack(output, proof.public_values)


def rescaled(sums: Integers) -> Integers:
    return (sums + T // 2) >> 5


@pytest.mark.parametrize("name", MODELS)
def test_an_honest_key_is_registered(name: str, srs: SRS) -> None:
    model = MODELS[name]()
    pk, known = model.key(srs), known_columns(Fixed(model.layout))
    verify_registration(pk.vk, register(pk, known, srs), known, srs)
    (expected,) = (values[0] for values in model.builder.evaluate(model.inputs).values())
    done = model.builder.run(model.inputs)
    np.testing.assert_array_equal(stated(model, pk, model.witness(done), srs), expected)


def test_a_hidden_connection_past_a_relu_layer(srs: SRS) -> None:
    """The input's first element, times a hidden weight, goes into the second layer's first output."""
    model, weight = relu_layer(), 25
    layout = model.layout
    fixed, done = Fixed(layout), model.builder.run(model.inputs)
    x, y = layout.places[0], layout.places[2]
    assert (x.block, y.block) == (model.builder.blocks[0], model.builder.blocks[2]) and y.block is not None
    weights = fixed.weights.copy()
    assert not weights[2:].any()
    weights[2, x.last_rows[0]] = weight  # chi^2 beyond the layer's two equations
    unit = y.block.first
    done.sums[0, unit] += weight * done.values[0, 0]
    done.values[0, unit] = rescaled(done.sums[0, unit])
    pk = model.key(srs, weights=weights)
    found = stated(model, pk, model.witness(done), srs)
    assert not np.array_equal(found, model.builder.evaluate(model.inputs)["y"][0])
    refused(model, pk, srs)


def test_a_hidden_connection_between_the_groups_of_a_convolution(srs: SRS) -> None:
    """The first group's channel, under a hidden kernel, goes into the second group's output."""
    model = grouped()
    layer, secret = model.builder.blocks[1], np.array([13, -11, 8])
    assert isinstance(layer, Convolution)
    honest = layer.weights
    both = np.zeros((2, 3, 2), np.int64)
    both[0, :, 0], both[1, :, 1] = honest[0, :, 0], honest[1, :, 0]
    both[0, :, 1] = secret
    other = grouped(1, both)
    weights, forged = Fixed(model.layout).weights.copy(), Fixed(other.layout)
    place = model.layout.places[0]
    rows = place.row + np.arange(place.run_rows)  # of the first channel's run
    assert not weights[1, rows].any()
    weights[:, rows] = forged.weights[:, rows]
    assert np.array_equal(np.sort(weights[1, rows])[[0, -2, -1]], np.sort(secret))
    done = other.builder.run(model.inputs)
    pk = model.key(srs, weights=weights)
    found = stated(model, pk, model.witness(done, Filler(other.layout)), srs)
    np.testing.assert_array_equal(found, other.builder.evaluate(model.inputs)["y"][0])
    assert not np.array_equal(found, model.builder.evaluate(model.inputs)["y"][0])
    refused(model, pk, srs)


def test_a_padding_that_is_not_zero(srs: SRS) -> None:
    model, layout = padded(), padded().layout
    fixed, done = Fixed(layout), model.builder.run(model.inputs)
    (zero,) = (place for place in layout.places if place.name == "zero")
    assert zero.block is not None
    bias = fixed.column("bias").copy()
    bias[zero.value_rows] = 5 * T
    done.sums[0, zero.block.first], done.values[0, zero.block.first] = 5 * T, 5
    pk = model.key(srs, bias=bias)
    assert stated(model, pk, model.witness(done), srs)[0, -1] == 5
    refused(model, pk, srs)


def test_a_pool_that_takes_no_mean(srs: SRS) -> None:
    model, layout = pooled(), pooled().layout
    fixed, done = Fixed(layout), model.builder.run(model.inputs)
    h, y = (place for place in layout.places if place.name in ("h", "y"))
    weights = fixed.weights.copy()
    at = h.last_rows[0]
    assert weights[0, at] == T // 4
    weights[0, at] += 9
    assert h.block is not None and y.block is not None
    done.sums[0, y.block.first] += 9 * done.values[0, h.block.first]
    done.values[0, y.block.first] = rescaled(done.sums[0, y.block.first])
    pk = model.key(srs, weights=weights)
    assert stated(model, pk, model.witness(done), srs)[0, 0] != model.builder.evaluate(model.inputs)["y"][0, 0, 0]
    refused(model, pk, srs)


def test_a_bias_that_is_another_on_every_row(srs: SRS) -> None:
    model, layout = biased(), biased().layout
    fixed, done = Fixed(layout), model.builder.run(model.inputs)
    (place,) = (place for place in layout.places if place.name == "y")
    bias, added = fixed.column("bias").copy(), np.array([0, 64, 0, -96])
    bias[place.value_rows[0]] += added
    done.sums[0, 4:] += added
    done.values[0, 4:] = rescaled(done.sums[0, 4:])
    pk = model.key(srs, bias=bias)
    found = stated(model, pk, model.witness(done), srs)
    np.testing.assert_array_equal(found - model.builder.evaluate(model.inputs)["y"][0], [[0, 2, 0, -3]])
    refused(model, pk, srs)


def test_a_kernel_of_more_taps(srs: SRS) -> None:
    model = strided()
    weights = Fixed(model.layout).weights.copy()
    place = model.layout.places[0]
    rows = place.row + place.run_rows + np.arange(place.run_rows)  # of the second phase
    (none,) = rows[(weights[0, rows] == 0) & (rows > rows[-1] - 2)]
    weights[0, none] = 11
    refused(model, model.key(srs, weights=weights), srs)


@pytest.mark.parametrize("name", MODELS)
def test_every_cell_that_holds_no_secret_is_fixed(name: str, srs: SRS) -> None:
    """Where each weight and bias stands follows from changing them; every other cell is refused when it changes."""
    model = MODELS[name]()
    layout = model.layout
    pk, known = model.key(srs), known_columns(Fixed(layout))
    declared, (pattern, facts) = Declared.by(pk.vk), shared(known)
    columns = [np.zeros(declared.active_rows, np.int64) for _ in known]
    for column, index in zip(columns, pk.vk.hidden_columns, strict=True):
        column[: len(pk.fixed[index].values)] = pk.fixed[index].values
    free = [np.zeros(declared.active_rows, bool) for _ in known]
    for column, moved in zip(free, _moved(model), strict=True):
        column[: len(moved)] = moved
    for column, each in zip(free, known, strict=True):
        marked = np.zeros(declared.active_rows, bool)
        marked[: len(each.secret)] = each.secret
        np.testing.assert_array_equal(column, marked)
    assert _wrong_rows(declared, pattern, facts, columns) == [set()] * len(columns)
    raised = [np.where(at, column, column + 1) for at, column in zip(free, columns, strict=True)]
    assert _wrong_rows(declared, pattern, facts, raised) == [set(np.flatnonzero(~at).tolist()) for at in free]


def _moved(model: Model) -> list[NDArray[np.bool_]]:
    """The hidden cells that change with the model's secrets."""
    found: list[list[Integers]] = []
    for add in (0, 1):
        blocks = [_raised(block, add) for block in model.builder.blocks]
        fixed = Fixed(Layout(replace(model.builder, blocks=blocks), model.shape))
        found.append([*fixed.weights, fixed.column("bias")])
    return [one != other for one, other in zip(*found, strict=True)]


def _raised(block: Gadget, add: int) -> Gadget:
    """The block with larger secrets."""
    if isinstance(block, Convolution):
        bias = None if block.bias is None else block.bias + add
        return replace(block, weights=block.weights + add * block.kernel.secret, bias=bias)
    if isinstance(block, Sum) and block.hides and block.constant is not None:
        return replace(block, constant=block.constant + add)
    return block


def _wrong_rows(declared: Declared, pattern: Pattern, facts: list[Integers], columns: list[Integers]) -> list[set[int]]:
    """For each hidden column, the rows on which the gate of what is known fails."""
    circuit = registration_circuit(declared, pattern, facts)
    advice = {
        name: np.zeros(1, np.int64)  # limbs and counts: other gates
        for name, phase in zip(circuit.advice_names, circuit.advice_phases, strict=True)
        if phase == 0
    }
    advice |= {f"hidden {i}": column for i, column in enumerate(columns)}
    failures = MockProver(circuit).failures(Witness(advice, b""), most=1 << 20)
    return [
        {f.row for f in failures if f.constraint == f"gate 'hidden {i} holds secrets nowhere else'"}
        for i in range(len(columns))
    ]


def test_an_argument_without_a_value_is_not_proved() -> None:
    """A function of both signs has a hole: whatever the prover says that it is there, no row of the table says so."""
    b = builder()
    x = b.input("x", (2,))
    y = apply(b, Function("reciprocal", -2, np.array([-16, -31, T, 31, 16])), x, "y")
    assert (y.low, y.high) == (-31, 31)
    b.output("y", b.sum([(y, T)], np.zeros(2, np.int64), "z"))
    layout = Layout(b, Shape(6, 1, 1, 2))
    mock = MockProver(arithmetize(layout, "", layout.tensors))

    def failures(argument: int, value: int) -> list[str]:
        model = Model(b, Shape(6, 1, 1, 2), {"x": np.array([[argument, 1]])})
        cells = np.array([[argument, 1, value, 31, value, 31]])
        done = Execution(cells, np.where(np.arange(6) < 4, 0, T * cells))
        witness = model.witness(done)
        return [str(failure) for failure in mock.failures(witness, most=1)]

    assert not failures(-1, -31) and not failures(2, 16)
    assert failures(-1, 31) and failures(2, 15)
    assert all(failures(0, value) for value in range(-T + 1, T)), "and T itself is in no unit: its range check"
    with pytest.raises(OutOfRange, match="tensor y: the value 32 is outside"):
        b.run({"x": np.array([[0, 1]])})


@pytest.mark.parametrize("name", MODELS)
def test_files_of_an_honest_model_are_read(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    circuit = circuit_of(model.builder, model.shape)
    circuit.save(tmp_path / "circuit")
    assert ModelCircuit.load(tmp_path / "circuit").encode() == circuit.encode()
    architecture = circuit.architecture.encode()
    assert Architecture.decode(architecture, "a file").encode() == architecture


def test_a_function_without_any_value_is_refused() -> None:
    model = pole()
    model.builder.functions[0].values[:] = T
    with pytest.raises(FileError, match="has no value anywhere"):
        Architecture.decode(circuit_of(model.builder, model.shape).architecture.encode(), "a file")


def test_a_product_that_an_architecture_takes_zero_times_is_zero() -> None:
    """Its interval is then [0, 0], on which other gadgets rely: what selects must be 0 or 1."""
    model = product(0)
    matrices = model.builder.blocks[1]
    mock = MockProver(arithmetize(model.layout, "", model.layout.tensors))

    def failures(change: int) -> list[str]:
        done = model.builder.run(model.inputs)
        done.sums[0, matrices.first] += change * T
        done.values[0, matrices.first] -= change
        z = model.builder.blocks[2]
        assert isinstance(z, Convolution)
        done.sums[:, z.units] = z.sums(done.values[:, z.operands >> 1])
        done.values[:, z.units] = rescaled(done.sums[:, z.units])
        return [str(failure) for failure in mock.failures(model.witness(done), most=1)]

    assert not failures(0)
    assert failures(1)
