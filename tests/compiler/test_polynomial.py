"""Functions that are polynomials: which are found, gates in place of their tables, and the same integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import compile_model
from plonnx.compiler.options import Options
from plonnx.compiler.polynomial import as_polynomial, with_polynomials
from plonnx.gadgets import Builder, Cells, Function
from plonnx.gadgets.function import apply
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.quadratic import Quadratic
from plonnx.kzg.container import FileError
from plonnx.layout.architecture import Architecture
from plonnx.layout.circuit import ModelCircuit
from tests.compiler.small import compiled, onnx_model

T = 256
Real = Callable[[Any], Any]


def function(real: Real, low: int, high: int) -> Function:
    """Values at scale 2^4 of arguments at scale 2^6."""

    def reals(x: Any) -> Any:
        return np.asarray(real(x / 64), np.float64) * 16

    values = np.clip(np.floor(reals(np.arange(low, high + 1)) + 0.5), 1 - T, T - 1).astype(np.int64)
    return as_polynomial(Function("f", low, values), reals, T)


@pytest.mark.parametrize(
    ("real", "coefficients"),
    [
        (lambda x: x * x, (1, 0, 0)),
        (lambda x: x * x + x, (1, 64, 0)),
        (lambda x: 3 * x * x - 1.25 * x + 1, (3, -80, 4096)),
        (lambda x: -2 * x * x, (-2, 0, 0)),
    ],
)
def test_a_polynomial_is_found(real: Real, coefficients: tuple[int, int, int]) -> None:
    found = function(real, -50, 60)
    assert found.polynomial is not None
    assert found.polynomial.coefficients == coefficients
    assert (found.polynomial.low, found.polynomial.high) == (-50, 60)
    assert np.array_equal(found.polynomial(np.arange(-50, 61), T), found.values)


@pytest.mark.parametrize(
    "real",
    [
        lambda x: x,  # by a line no table is replaced: one may end where a type does
        np.abs,
        lambda x: np.maximum(x, 0) ** 2,  # x^2 where its table is, not below
        lambda x: np.where(x < 3.9, x * x, x),  # something else far above its table
        lambda x: np.where(x == 1, 0, x * x),
        lambda x: x * x / 2,  # half an integer over T
        lambda x: 0.3 * x * x,
        lambda x: x**3,
        np.sqrt,
        lambda x: 1 / x,
    ],
)
def test_what_differs_anywhere_keeps_its_table(real: Real) -> None:
    with np.errstate(all="ignore"):
        assert function(real, 1, 50).polynomial is None


def test_where_the_polynomial_leaves_the_units_the_function_may_be_anything() -> None:
    """x^2 T reaches T at x = T: beyond, nothing can be proved of it."""
    found = function(lambda x: np.where(np.abs(x) < 4, x * x, np.nan), -50, 50)
    assert found.polynomial is not None
    assert function(lambda x: np.where(np.abs(x) < 3.98, x * x, np.nan), -50, 50).polynomial is None


def test_values_that_a_table_cuts_off_keep_it() -> None:
    """At 255.6 a table says 255; the gate would say nothing."""
    assert function(lambda x: x * x, -255, 255).polynomial is not None
    assert function(lambda x: x * x, -256, 255).polynomial is None


# Circuits ------------------------------------------------------------------------------------------------------------

X = "float[1,12] x) => (float[1,4] y)"
BODY = "h = MatMul(x, w) q = Mul(h, h) s = Add(q, h) y = MatMul(s, v)"
CONSTANTS = {"w": np.linspace(-0.5, 0.4, 72).reshape(12, 6), "v": np.linspace(0.3, -0.6, 24).reshape(6, 4)}


def circuit_of(model: str = "public") -> tuple[ModelCircuit, dict[str, Any]]:
    samples = {"x": np.random.default_rng(1).uniform(-1, 1, (4, 1, 12))}
    made = compile_model(onnx_model(X, BODY, CONSTANTS), samples, Options(table_bits=9, model=model))
    return made, samples


def test_a_circuit_takes_the_gate_where_it_costs_less(tmp_path: Path) -> None:
    """One function, joined to its layer; the file holds no table."""
    circuit, samples = circuit_of()
    (applied,) = circuit.builder.applied
    assert isinstance(applied, Quadratic) and not circuit.builder.functions
    inputs = circuit.read_inputs({"x": samples["x"][0]})
    assert circuit.mock(inputs) == []
    path = tmp_path / "model.circuit"
    circuit.save(path)
    again = ModelCircuit.load(path)
    assert again.encode() == circuit.encode() and again.builder.applied == [applied]
    assert again.mock(inputs) == []


def test_a_strangers_polynomial_is_seen(tmp_path: Path) -> None:
    """One that takes fractions to values, and an output whose range is its table's: no compiler writes them."""
    circuit, _ = circuit_of()
    (applied,), builder = circuit.builder.applied, circuit.builder
    assert isinstance(applied, Quadratic)
    other = replace(applied, square=4 * applied.square, low=0, high=0)
    blocks = [b if b.applies is None else replace(b, function=other) for b in builder.blocks]  # type: ignore[call-arg]
    (output,) = builder.outputs
    narrow = replace(output, cells=Cells(output.cells.refs, 0, 1))
    for wrong, reason in (
        (replace(builder, blocks=blocks), "has a value for fractions, too"),
        (replace(builder, outputs=[narrow]), "declares another range than it has"),
    ):
        path = tmp_path / "wrong.circuit"
        replace(circuit, builder=wrong).save(path)
        with pytest.raises(FileError, match=reason):
            ModelCircuit.load(path)


def test_a_private_model_has_gates_too() -> None:
    """Its architecture says the coefficients; whoever records it again has the same circuit."""
    circuit, _ = circuit_of("private")
    (applied,) = circuit.builder.applied
    assert isinstance(applied, Quadratic)
    architecture = Architecture.of(circuit)
    assert architecture.describe()["functions"][0]["coefficients"] == list(applied.coefficients)


def squares(before_a_maximum: bool) -> Builder:
    builder = Builder(8)
    x = builder.input("x", (4,))
    half = builder.sum([(x, 128)], None, "half")
    y = apply(builder, function(lambda x: x * x + x, -100, 100), half, "y", fuse=True)
    if before_a_maximum:
        y = maximum(builder, [y[:2], y[2:]], "m")
    builder.output("y", y)
    return builder


def test_gates_are_refused_where_their_interval_is_too_wide() -> None:
    """Two values of the table are less than T apart; two that the gate admits may not be."""
    made = with_polynomials(squares(before_a_maximum=False))
    assert made is not None and made.outputs[0].cells.high == T - 1 > squares(False).outputs[0].cells.high
    assert made.outputs[0].cells.low == squares(False).outputs[0].cells.low
    assert with_polynomials(squares(before_a_maximum=True)) is None


def test_the_same_integers() -> None:
    tables = squares(before_a_maximum=False)
    gates = with_polynomials(tables)
    assert gates is not None
    x = {"x": np.arange(-200, 200).reshape(-1, 4)}
    assert np.array_equal(tables.evaluate(x)["y"], gates.evaluate(x)["y"])


def test_what_takes_fractions_joins_no_sum() -> None:
    """4 x^2 of a sum keeps its table, of a copy it does not; one table for both is kept for both."""
    for fused, copied in ((True, False), (False, True), (True, True)):
        builder = Builder(8)
        f = function(lambda x: 4 * x * x, -20, 20)
        x = builder.input("x", (4,))
        if fused:
            apply(builder, f, builder.sum([(x, 16)], None, "s"), "y", fuse=True)
        if copied:
            apply(builder, f, builder.sum([(x, 16)], None, "z"), "w")
        assert (with_polynomials(builder) is None) == fused


def test_functions_that_agree_where_they_are_tabled_may_be_two(tmp_path: Path) -> None:
    """Of positive parts x^2 and x LeakyRelu(x) have one table, but one polynomial."""
    body = "a = Relu(x) q = Mul(a, a) b = LeakyRelu(a) p = Mul(a, b)"
    made = compiled(tmp_path, "float[3] x) => (float[3] p, float[3] q)", body)
    one, other = made.builder.functions
    assert np.array_equal(one.values, other.values)
    assert (one.polynomial is None) != (other.polynomial is None)


@pytest.mark.parametrize("kind", ["float", "int32"])
def test_tables_of_integers_stay(tmp_path: Path, kind: str) -> None:
    """They may end where the type does."""
    made = compiled(tmp_path, f"{kind}[3] x) => ({kind}[3] y)", "y = Mul(x, x)")
    assert {f.polynomial is None for f in made.builder.functions} == {kind == "int32"}
