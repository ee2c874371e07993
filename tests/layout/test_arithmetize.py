"""The fixed columns of a layout against the matrix that they stand for."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from plonnx.gadgets import Builder
from plonnx.gadgets.lanes import of_lane
from plonnx.gadgets.linear.contribution import Weights
from plonnx.gadgets.linear.equation import Equation
from plonnx.gadgets.quadratic import FUSED
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.fixed import Fixed
from plonnx.layout.planner import Layout
from plonnx.layout.shape import BLINDING_ROWS, Shape
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.program import INVERSE_PSI, MODULUS, PSI, monomial
from plonnx.plonk.structure import blinding_rows
from tests.properties.models import LaidOut, laid_out

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=15)


def fixed(circuit: Circuit, name: str, rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A column by name; equal ones are one column, which is known by the names of all."""
    known = {each: i for i, each in enumerate(circuit.fixed_names)}
    index = circuit.aliases[name].index if name in circuit.aliases else known[name]
    values = circuit.fixed_columns[index].values
    return np.pad(values.astype(np.int64), (0, max(0, rows - len(values))))


@slow
@given(laid_out)
def test_the_weights_come_to_the_inputs(case: LaidOut) -> None:
    """Horner over a run's last rows: sum_(o, t) chi^o psi^(lin(d_t) - least) W[c, t, o] on channel c's last one."""
    made, circuit = case.layout, case.circuit()
    scalars, count = {"chi": 1 << 100, PSI: MODULUS // 7}, case.layout.shape.weight_columns
    scalars[INVERSE_PSI] = pow(scalars[PSI], -1, MODULUS)
    held_by = [p for p in made.places if p.reader is not None and not p.reader.alone]
    read = [p for p in held_by if p.reader is not None and isinstance(p.reader.contribution.factor, Weights)]
    if not read:
        assert not any(name.startswith("weights") for name in circuit.fixed_names)
        return
    columns = [fixed(circuit, f"weights {c}", made.rows).tolist() for c in range(count)]
    held = {m: fixed(circuit, f"hold {m}", made.rows) for m in Fixed(made).holds}
    whole, accumulated = [], 0
    for row in range(made.rows):
        here = sum(pow(scalars["chi"], c, MODULUS) * columns[c][row] for c in range(count))
        whole.append((accumulated + here) % MODULUS)
        hold = sum(monomial(m, scalars) * int(on[row]) for m, on in held.items())
        accumulated = hold * whole[row]
    for place in read:
        assert place.reader is not None
        weights = place.reader.contribution.factor
        assert isinstance(weights, Weights)
        assert not place.sharing  # of small models; tests/properties/test_equations.py has others
        shifts = made.positions.taps(place.reader.contribution)
        powers = [pow(scalars["psi"], int(shift - shifts.min()), MODULUS) for shift in shifts]
        for c, row in enumerate(place.last_rows.tolist()):
            expected = sum(
                power * pow(scalars["chi"], o, MODULUS) * int(weights.values[c, t, o])
                for t, power in enumerate(powers)
                for o in range(weights.outputs)
            )
            assert whole[row] == expected % MODULUS


@slow
@given(laid_out)
def test_the_layout_knows_keygens_blinding_rows(case: LaidOut) -> None:
    circuit = case.circuit()
    circuit.finish()
    assert blinding_rows(circuit) == BLINDING_ROWS
    assert circuit.n - BLINDING_ROWS == case.layout.shape.active_rows


@slow
@given(laid_out)
def test_powers_step_once_for_each_equation_and_word(case: LaidOut) -> None:
    """In a convolution whose equations are gathered, once for each channel."""
    made, circuit = case.layout, case.circuit()
    if "step" not in circuit.aliases:
        assert not any(place.equations or place.claims for place in made.places)
        return
    power = np.concatenate([[0], np.cumsum(fixed(circuit, "step", made.rows))])  # of chi, on each row
    for place in made.places:
        if place.gathered:
            assert power[place.last_rows].tolist() == [place.exponent + o for o in range(place.runs)]
            assert (power[place.value_rows] == power[place.last_rows][:, None]).all()
        elif place.equations:
            rows = place.value_rows.reshape(-1)
            assert power[rows].tolist() == [place.exponent + i for i in range(len(rows))]
            for operand in place.operands:
                assert (power[place.rows_at(operand.take.row)] == power[place.value_rows]).all()
    for place, run, _, across in made.runs:
        rows = place.value_rows.reshape(-1)
        first = rows.tolist().index(int(rows[np.searchsorted(power[rows], run.exponent)]))
        held = rows[first::1][: -(-run.count // run.per_word) if across else run.count]
        words = [i if across else i // run.per_word for i in range(len(held))]
        assert power[held].tolist() == [run.exponent + word for word in words]


@slow
@given(laid_out)
def test_lookups_and_columns_do_not_depend_on_the_values(case: LaidOut) -> None:
    """Two lookups a lane, one more with functions and one for what polynomials leave of sums, and what lanes ask of
    other tables; the witness has all of phase 0.
    """
    circuit, witness = case.circuit(), case.witness()
    held, lanes = Fixed(case.layout), case.layout.shape.lanes
    own = [of_lane(name, lane) for name in ("shelf asked", "path asked", "keyed asked") for lane in range(lanes)]
    asked = sum(bool(np.any(held.column(name))) for name in own)
    further = bool(case.model.builder.functions) + bool(np.any(held.column(FUSED)))
    assert len(circuit.lookups) == (2 + further) * lanes + asked
    first = [name for name, at in zip(circuit.advice_names, circuit.advice_phases, strict=True) if at == 0]
    assert sorted(first) == sorted(witness.advice)
    assert len(witness.public_values) == circuit.public_bytes


def test_no_weights_where_there_is_no_dense_layer() -> None:
    builder = Builder(5)
    x = builder.input("x", (4,))
    builder.output("y", builder.sum([(x, 3)], None, "y"))
    layout = Layout(builder, Shape(6, 2, 4, 3))
    circuit = arithmetize(layout, "", layout.tensors)
    named = [*circuit.fixed_names, *circuit.aliases, *circuit.combination_names]
    assert not any(name.startswith(("weights", "inputs", "hold", "bias")) for name in named)
    assert "weight sums" not in circuit.advice_names


def test_a_bias_stands_on_the_output_rows_of_its_layer() -> None:
    builder = Builder(5)
    builder.output("y", builder.linear(builder.input("x", (2, 3)), np.ones((3, 2), np.int64), np.array([7, -8]), "y"))
    layout = Layout(builder, Shape(6, 2, 2, 3))
    circuit = arithmetize(layout, "", layout.tensors)
    (place,) = (p for p in layout.places if isinstance(p.block, Equation))
    expected = np.zeros(layout.rows, np.int64)
    expected[place.value_rows[:, 0]] = [7, -8]
    assert fixed(circuit, "bias", layout.rows).tolist() == expected.tolist()


def test_weights_and_biases_of_a_hidden_model_are_hidden_and_nothing_else() -> None:
    def made(hidden: bool, weights: np.ndarray[tuple[int, int], np.dtype[np.int64]], packing: int) -> Circuit:
        builder = Builder(5, hidden, 6, 10)
        x = builder.input("x", (2, 3))
        y = builder.linear(x, weights, None, "y")
        builder.output("z", builder.sum([(y, 3)], np.full((2, 2), int(weights[0, 0])), "z"))
        layout = Layout(builder, Shape(6, 2, 1, 2, packing))
        circuit = arithmetize(layout, "", layout.tensors)
        circuit.finish()
        return circuit

    ones, others = np.ones((3, 2), np.int64), np.arange(6).reshape(3, 2) - 3
    for packing in (1, 3):
        shown = made(False, ones, packing)
        assert shown.hidden == {} and shown.packing == packing
        one, other = made(True, ones, packing), made(True, others, packing)
        assert sorted(one.fixed_names[i] for i in one.hidden) == ["bias", "weights 0"]
        assert one.fixed_names == other.fixed_names and one.hidden == other.hidden
        assert [str(gate) for gate in one.gates] == [str(gate) for gate in other.gates]
        for i, (left, right) in enumerate(zip(one.fixed_columns, other.fixed_columns, strict=True)):
            assert np.array_equal(left.values, right.values) == (i not in one.hidden), one.fixed_names[i]
        for name, combination in zip(one.combination_names, one.combinations, strict=True):
            assert ({i for i, _ in combination.terms} <= one.hidden.keys()) == (name in ("weights", "bias"))
        assert blinding_rows(one) == BLINDING_ROWS
