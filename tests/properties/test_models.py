"""Random models in random layouts: the honest witness satisfies the circuit, proofs say what the Builder computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from plonnx.gadgets import Builder, Cells
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.sum import Sum
from plonnx.kzg.srs import SRS
from plonnx.layout.fixed import Fixed
from plonnx.layout.known import known_columns
from plonnx.layout.place import Placed, Reader
from plonnx.layout.registration import register, verify_registration
from plonnx.layout.shape import Shape
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import prove
from plonnx.plonk.public_values import unpack
from plonnx.plonk.verifier import verify
from tests.properties.equations import reading
from tests.properties.models import LaidOut, Model, laid_out, lay_out, random_case

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(slow, max_examples=150)
@given(laid_out)
def test_the_honest_witness_satisfies_the_circuit(case: LaidOut) -> None:
    assert [str(failure) for failure in case.failures(case.witness())] == []


@settings(slow, max_examples=40)
@given(laid_out)
def test_a_proof_states_the_outputs_that_the_builder_computes(case: LaidOut) -> None:
    """Packed or not, hidden or not; and of hidden models the widths are registered."""
    circuit, builder = case.circuit(), case.model.builder
    srs = SRS.development(circuit.k + 2, tau=5)
    pk = keygen(circuit, srs)
    proof = prove(pk, case.witness(), srs)
    verify(pk.vk, proof)
    hidden = pk.vk.hidden_columns
    if hidden:
        assert pk.vk.hidden_bits == (*[builder.weight_bits] * (len(hidden) - 1), builder.bias_bits)
        known = known_columns(Fixed(case.layout))
        verify_registration(pk.vk, register(pk, known, srs), known, srs)
    assert bool(hidden) == (builder.hidden and any(place.equations for place in case.layout.places))
    outputs = builder.evaluate(case.model.inputs)
    stated = {f"{t.role} {t.name}": unpack(t, proof.public_values) for t in pk.vk.tensors}
    expected = {f"input {b.name}": case.model.inputs[b.name] for b in builder.inputs if b.public}
    expected |= {f"output {o.name}": outputs[o.name] for o in builder.outputs if o.public}
    assert stated.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(stated[name], values[0])


def paths(case: LaidOut) -> set[str]:
    """Which of the layout's ways a case takes."""
    shape, places = case.layout.shape, case.layout.places
    taken = {f"packing {shape.packing}", "a hidden model" if case.model.builder.hidden else "a public model"}
    taken |= {f"public {'positive parts' if view else 'values'}" for _, _, view, _ in case.layout.runs}
    taken |= {f"words {'across' if across else 'down'} lanes" for _, _, _, across in case.layout.runs}
    if any(place.reader for place in places):
        taken.add(f"inputs {reading(case.layout)}")
    for place in places:
        kind = "copy" if place.block is None else type(place.block).__name__.lower()
        taken |= {f"{kind} with idle lanes"} if place.used_lanes < shape.lanes else set()
        taken |= {f"{kind} that ends early"} if np.any(place.units < 0) else set()
        taken |= {f"{kind} in several runs"} if place.runs > 1 else set()
        taken |= {f"{kind} with words"} if place.per_word > 1 else set()
        taken |= {"shared weights"} if getattr(place.block, "steps", None) else set()
        taken |= {"a Boolean input"} if getattr(place.block, "boolean", False) else set()
        taken |= {"two views of one place public"} if len(place.claims) == 2 else set()
        taken |= {f"{kind} with a function"} if getattr(place.block, "function", None) is not None else set()
        if place.reader:
            taken |= {f"{kind} read in place", *ways_of_reading(place.reader, place, shape)}
        if place.border is not None:
            taken.add(
                f"a border of {place.border.reached[0][0].shape[1]} axes" if place.has_terms else "a window alone"
            )
        if isinstance(place.block, Convolution):
            taken.add("outputs gathered" if place.gathered else "outputs on one row")
            taken |= {"bias"} if place.block.bias is not None else set()
            taken |= {f"{'one group' if place.block.groups == 1 else 'groups'}"}
        if isinstance(place.block, Sum):
            mixed = any(len({*(term & 1).tolist()}) > 1 for term in place.block.terms)
            varied = place.block.constant is not None and len(set(place.block.constant.tolist())) > 1
            taken |= {"a sum of values and positive parts"} if mixed else set()
            taken |= {"a sum with a varied constant"} if varied else set()
    return taken


def ways_of_reading(reader: Reader, place: Placed, shape: Shape) -> set[str]:
    weights = reader.contribution.factor
    views = set(reader.positive[place.units >= 0].tolist())
    return {
        "weights in several rows" if weights.outputs > shape.weight_columns else "weights in one row",
        "both views read" if len(views) == 2 else "positive parts read" if True in views else "values read",
        "several taps" if len(weights.offsets) > 1 else "one tap",
        "read in a run of one row" if place.run_rows == 1 else "read in a run of several rows",
        "multiples alone" if reader.alone else "by weights",
        "factors from P" if reader.channelwise else "factors of their own",
    }


def test_random_models_take_every_way_through_the_layout() -> None:
    gadgets = {"lookup", "maximum", "product", "comparison", "select"}
    kinds = gadgets | {"input", "convolution", "matmul", "combination", "residual", "windowsum", "sum", "copy"}
    expected = {f"{kind} {how}" for kind in kinds for how in ("read in place", "with idle lanes", "that ends early")}
    expected |= {f"{kind} in several runs" for kind in kinds - {"sum"}} | {"shared weights", "a Boolean input"}
    expected |= {
        "matmul with a function",
        "combination with a function",
        "windowsum with a function",
        "residual with a function",
        "sum with a function",
        "convolution with a function",
        "input with words",
        "copy with words",
    }
    expected |= {"words across lanes", "words down lanes"}
    expected |= {f"a border of {axes} axes" for axes in (1, 2, 3)} | {"a window alone"}
    expected |= {"outputs gathered", "outputs on one row", "bias", "one group", "groups"}
    expected |= {"weights in several rows", "weights in one row", "one tap", "several taps"}
    expected |= {"inputs accumulated", "inputs at once"}
    expected |= {"read in a run of one row", "read in a run of several rows"} | {
        "factors from P",
        "factors of their own",
    }
    expected |= {"multiples alone", "by weights"}
    expected |= {"positive parts read", "values read", "both views read"}
    expected |= {"a sum of values and positive parts", "a sum with a varied constant", "two views of one place public"}
    expected |= {"public values", "public positive parts"}
    expected |= {"packing 1", "packing 2", "packing 3", "packing 4", "a hidden model", "a public model"}
    missing = expected
    for seed in range(1500):
        missing = missing - paths(random_case(seed))
        if not missing:
            break
    assert not missing


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 6])
def test_a_sum_with_a_constant_whose_lanes_do_not_divide_it(lanes: int) -> None:
    builder = Builder(4)
    x = builder.input("x", (5,))
    builder.output("y", builder.sum([(x, 16)], np.full(5, 20), "y"))
    case = lay_out(Model(builder, {"x": np.array([[1, 2, -3, 4, 5]])}), lanes, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_a_tensor_twice_in_one_output(lanes: int) -> None:
    """Stated once and copied once: one place for both would prove but the sum of the two."""
    builder = Builder(4)
    x, z = builder.input("x", (3,), public=False), builder.input("z", (2,), public=False)
    builder.output("y", Cells.concatenate([x, builder.relu(z, "r"), x], 0))
    case = lay_out(Model(builder, {"x": np.array([[1, 2, -3]]), "z": np.array([[4, -5]])}), lanes, 1)
    honest = case.witness()
    assert case.failures(honest) == []
    assert honest.public_values == bytes([1, 2, 253, 4, 0, 1, 2, 253])
    assert case.failures(replace(honest, public_values=bytes([0, 2, 253, 4, 0, 2, 2, 253]))) != []
