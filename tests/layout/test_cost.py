"""The cost model's counts against real circuits and keys, exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plonnx.compiler.compile import compile_model
from plonnx.compiler.options import Options
from plonnx.gadgets import Builder, Cells, Function
from plonnx.gadgets.function import apply
from plonnx.gadgets.product import multiply
from plonnx.kzg.srs import SRS
from plonnx.layout import cost, counts, search
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape, smallest_k
from plonnx.plonk import expression as ex
from plonnx.plonk.circuit import Circuit, Definition
from plonnx.plonk.expression import Gate
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import VerifyingKey
from plonnx.plonk.program import Slot
from plonnx.plonk.structure import of as structure_of
from plonnx.plonk.tally import Tally
from tests.adversarial.models import channels, copied, everything, idle, picture, views
from tests.properties.models import LaidOut, Model, laid_out, lay_out, random_model

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
FOLDER = Path(__file__).parents[2] / "circuits" / "digits_mlp"
CHOSEN = np.random.default_rng(5)


@pytest.fixture(scope="module")
def srs() -> SRS:
    return SRS.development(13, tau=5)


def dense(hidden: bool = False, outputs: int = 5) -> Builder:
    b = Builder(5, hidden, 5, 12)
    x = b.input("x", (2, 3))
    b.output("y", b.linear(b.relu(b.linear(x, integers(3, 4), None, "h"), "r"), integers(4, outputs), None, "y"))
    return b


def integers(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return CHOSEN.integers(1, 4, shape)


def sums_only(hidden: bool = False) -> Builder:
    b = Builder(4, hidden, 5, 8)
    x = b.input("x", (4,))
    b.output("y", b.sum([(x, 3), (b.relu(x, "r"), 2)], np.arange(4), "y"), public=False)
    return b


def nothing() -> Builder:
    """No equation, no public value: no powers of chi."""
    b = Builder(4)
    b.output("y", b.input("x", (4,), public=False), public=False)
    return b


def passed_through() -> Builder:
    b = Builder(4)
    b.output("y", b.relu(b.input("x", (4,)), "y"))
    return b


def mixed() -> Builder:
    """One layer reads values and positive parts, another positive parts alone."""
    b = Builder(5)
    x = b.input("x", (2, 2))
    both = b.linear(Cells.concatenate([x, b.relu(x, "r")], 1), integers(4, 3), np.array([1, 2, 3]), "both")
    b.output("y", b.linear(b.relu(both, "s"), integers(3, 1), None, "y"))
    return b


def unbiased() -> Builder:
    b = Builder(5)
    b.output("y", b.linear(b.input("x", (1, 3)), integers(3, 2), None, "y"))
    return b


def image(hidden: bool) -> Builder:
    """A bordered convolution through a function, a depthwise one of many groups, a dense layer; hidden or not."""
    b = Builder(5, hidden, 5, 12)
    x = b.input("x", (2, 3, 3))
    taps = np.array([[0, 0], [-1, 1]])
    y = b.convolution(x, integers(2, 2, 2), taps, None, (3, 2), "y")
    y = apply(b, Function("f", y.low, np.arange(y.low, y.high + 1) // 2), y, "f", fuse=True)
    z = b.convolution(y.reshape(6, 2), integers(6, 2, 1), np.array([[0], [1]]), np.arange(6), (1,), "z", 6)
    b.output("out", b.linear(b.relu(z, "r").reshape(1, 6), integers(6, 1), None, "out"))
    return b


def unequal_views(outputs: int = 2) -> Builder:
    """Values and positive parts in lanes of one row."""
    b = Builder(5)
    x = b.input("x", (1, 2))
    b.output("y", b.linear(Cells.concatenate([x, b.relu(x, "r")], 0), integers(2, outputs), None, "y"))
    return b


def product_alone() -> Builder:
    """No equation: the product's gate is the largest where lookups are not grouped."""
    b = Builder(3)
    x = b.input("x", (1,), public=False)
    b.output("y", multiply(b, x, x, 1, "y"), public=False)
    return b


def masked_groups() -> Builder:
    """Many groups on one row each, with an idle lane, beside a layer of one group: masks and P without accumulators."""
    b = Builder(5)
    x = b.input("x", (6, 1), public=False)
    offset = np.zeros((1, 1), np.int64)
    y = b.convolution(x, integers(6, 1, 1), offset, None, (1,), "y", 6)
    b.output("z", b.convolution(y, integers(6, 1, 2), offset, None, (1,), "z"), public=False)
    return b


MODELS = {
    "dense": dense,
    "one output": lambda: dense(outputs=1),
    "hidden dense": lambda: dense(True),
    "sums": sums_only,
    "hidden sums": lambda: sums_only(True),
    "nothing": nothing,
    "passed through": passed_through,
    "mixed": mixed,
    "unbiased": unbiased,
    "everything": lambda: everything().builder,
    "copied": lambda: copied().builder,
    "idle": lambda: idle().builder,
    "picture": lambda: picture().builder,
    "channels": lambda: channels().builder,
    "views": lambda: views().builder,
    "unequal views": unequal_views,
    "hidden picture": lambda: image(True),
    "fused": lambda: image(False),
    "one lane": lambda: unequal_views(1),
    "product alone": product_alone,
    "masked groups": masked_groups,
}


SUBJECTS: dict[str, tuple[Callable[[], Model], int, int]] = {  # as in tests/adversarial/conftest.py
    "everything": (everything, 4, 2),
    "copied": (copied, 2, 1),
    "idle": (idle, 3, 1),
    "picture": (picture, 2, 2),
    "wide picture": (picture, 4, 3),
    "channels": (channels, 2, 2),
    "views": (views, 2, 1),
}


def compare(layout: Layout, vk: VerifyingKey, columns: int) -> None:
    """Every count of the prediction is the key's."""
    facts = counts.Facts(layout)
    predicted, structure = (
        cost.predict(layout.shape, facts),
        structure_of(facts.tally(layout.shape), layout.shape.packing),
    )
    assert structure.opened == vk.opened
    assert structure.fixed_members == vk.fixed_members
    assert (structure.masked, vk.n - structure.blinding) == (vk.masked, vk.last_row)
    assert structure.pieces == vk.pieces
    phase = vk.phases[0]
    found = {
        "narrow_columns": phase.stop - phase.first,
        "full_columns": vk.advice_count - (phase.stop - phase.first) + structure.cosets + 2,
        "fixed_columns": columns,
        "fixed_commitments": len(vk.fixed_commitments),
        "commitments": vk.commitment_count,
        "evaluations": vk.evaluation_count,
        "proof_bytes": vk.proof_bytes,
    }
    assert {name: getattr(predicted, name) for name in found} == found


def same_counts(circuit: Circuit, tally: Tally) -> None:
    """A dry run declares what the circuit declares, column by column and gate by gate: structure, degrees, queries.

    Of the permutation's columns it knows the number: sigma has the name of no view, and the order of views is free.
    """
    structure = structure_of(circuit)
    assert structure_of(tally, circuit.packing) == structure
    for name in ("k", "group", "advice_names", "advice_phases", "free_columns", "hidden", "combinations"):
        assert getattr(tally, name) == getattr(circuit, name), name
    assert [named(one) for one in tally.fixed_names] == [named(one) for one in circuit.fixed_names]
    assert tally.instances == circuit.instances
    for scalars, others in zip(tally.challenges, circuit.challenges, strict=True):
        assert [scalar.name for scalar in scalars] == [scalar.name for scalar in others]
    assert [defined(one) for one in tally.definitions] == [defined(one) for one in circuit.definitions]
    assert (len(tally.lookups), len(tally.tables)) == (len(circuit.lookups), len(circuit.tables))
    for counted, gate in zip(tally.gates, circuit.gates, strict=True):
        assert (counted.name, counted.selector) == (gate.name, gate.selector)
        degrees = [ex.gate_degree(one, circuit.n, structure.blinding, structure.masked) for one in (counted, gate)]
        assert degrees[0] == degrees[1], gate.name
        assert gate.name.startswith("permutation") or queried([counted]) == queried([gate]), gate.name
    assert queried(tally.gates) == queried(circuit.gates)


def defined(one: Definition) -> tuple[int, int, str]:
    """What a definition is for."""
    return one.column.index, one.phase, one.kind


def queried(gates: Sequence[Gate]) -> list[Slot]:
    """The columns that gates query; of selectors nothing is opened."""
    return [slot for slot in ex.slots(gate.expression for gate in gates) if slot.kind != "selector"]


def named(one: object) -> object:
    """A name, for comparison: a sigma column's is that of its view."""
    return "sigma" if str(one).startswith("sigma of ") else one


def laid(builder: Builder, shape: Shape) -> Layout:
    """In this shape, with as many weight columns and rows as it needs."""
    shape = replace(shape, weight_columns=max(shape.weight_columns, next(iter(search.weight_choices(builder)))))
    layout = Layout(builder, shape)
    if layout.rows > shape.active_rows:
        layout = Layout(builder, replace(shape, k=smallest_k(layout.rows)))
    return layout


def check(builder: Builder, shape: Shape, srs: SRS) -> None:
    layout = laid(builder, shape)
    circuit = arithmetize(layout, "", layout.tensors)
    same_counts(circuit, counts.Facts(layout).tally(layout.shape))
    compare(layout, keygen(circuit, srs).vk, len(circuit.fixed_columns))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("lanes", [1, 3])
def test_the_counts_are_the_keys(srs: SRS, name: str, lanes: int) -> None:
    for columns, group, packing in [(1, 1, 1), (2, 3, 1), (4, 7, 1), (2, 2, 2), (1, 4, 3), (8, 1, 8), (4, 5, 16)]:
        check(MODELS[name](), Shape(5, lanes, columns, group, packing), srs)


@pytest.mark.parametrize("k", [4, 5, 6, 7])
def test_the_range_tables_parts_follow_the_rows(srs: SRS, k: int) -> None:
    """T below, equal to and above the active rows, with and without a last part that is short."""
    for bits, packing in product((3, 5, 7), (1, 4)):
        b = Builder(bits)
        b.output("y", b.sum([(b.input("x", (2,)), 1)], None, "y"))
        check(b, Shape(k, 1, 1, 3, packing), srs)


@settings(slow, max_examples=60)
@given(case=laid_out)
def test_the_counts_of_random_models(srs: SRS, case: LaidOut) -> None:
    check(case.model.builder, case.layout.shape, srs)


NOTHING_CARRIED = lay_out(random_model(627, 5), lanes=3, weight_columns=1, group=1)
"""No run has a second row, so nothing is carried: the recurrence of the output sums has the factor 0."""


@settings(slow, max_examples=90)
@given(case=laid_out, seed=st.integers(0, 2**32 - 1))
@example(case=NOTHING_CARRIED, seed=0)
def test_a_dry_run_counts_what_the_circuit_declares(case: LaidOut, seed: int) -> None:
    """Of a public and of a hidden model, in several shapes, one after another of the same facts."""
    random, shape = np.random.default_rng(seed), case.layout.shape
    facts = counts.Facts(case.layout)
    for _ in range(3):
        k, group, packing = shape.k + random.integers(0, 3), random.integers(1, 8), random.choice(search.PACKINGS)
        other = replace(shape, k=int(k), group=int(group), packing=int(packing))
        layout = Layout(case.model.builder, other, like=case.layout)
        circuit = arithmetize(layout, "", layout.tensors)
        circuit.finish()
        same_counts(circuit, facts.tally(other))


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_dry_run_of_the_circuits_under_attack(name: str) -> None:
    """In every group and packing, from one declaration of each k."""
    make, lanes, columns = SUBJECTS[name]
    layout = laid(make().builder, Shape(6, lanes, columns, 1))
    facts = counts.Facts(layout)
    for group, packing in product(search.GROUPS, search.PACKINGS):
        shape = replace(layout.shape, group=group, packing=packing)
        same_counts(arithmetize(Layout(layout.builder, shape), "", layout.tensors), facts.tally(shape))


def test_the_facts_of_a_finished_shape_are_not_declared_into_another() -> None:
    """`shaped` copies what is declared: finishing one group leaves the next one without its helper columns."""
    layout = laid(dense(), Shape(6, 2, 2, 1))
    facts = counts.Facts(layout)
    first = facts.tally(layout.shape)
    names, gates = first.advice_names, len(first.gates)
    facts.tally(replace(layout.shape, group=4))
    assert (first.advice_names, len(first.gates)) == (names, gates)
    assert facts.tally(layout.shape).advice_names == names


@pytest.mark.parametrize("optimize", ["prover", "balanced", "gas"])
@pytest.mark.parametrize("visibility", ["public", "private"])
def test_a_compiled_model(optimize: str, visibility: str) -> None:
    circuit = compile_model(
        FOLDER / "model.onnx", [FOLDER / "calibration.npz"], Options(optimize=optimize, model=visibility)
    )
    vk = circuit.keygen(SRS.development(circuit.srs_k, tau=5)).vk
    compare(circuit.layout, vk, len(circuit.arithmetize().fixed_columns))
    said = circuit.describe()
    assert said["predicted"]["proof_bytes"] == vk.proof_bytes
    assert said["columns"]["weights"] == circuit.shape.weight_columns
