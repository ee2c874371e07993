"""Rows of matrices that stand where they are looked up: against numpy, proved, and as forgeries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, OutOfRange
from plonnx.gadgets.linear.embedding import embedded
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.linear.standing_rows import StandingRows, standing_rows
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.layout.circuit import ModelCircuit
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from tests.adversarial.files import circuit_of
from tests.adversarial.subject import Subject
from tests.properties.models import Model, lay_out

FAILS = {"lookup 'a row of a matrix'", "gate 'running sum ends'"}
READERS = ("nobody", "a layer", "a normalization", "positive parts")


def read(builder: Builder, made: Cells, reader: str, random: np.random.Generator) -> Cells:
    """What a reader makes of rows [N, columns]."""
    x = made.transpose((1, 0))
    if reader == "a layer":
        return builder.linear(made, random.integers(-9, 10, (made.shape[1], 3)), None, "layer")
    if reader == "nobody":
        return made
    if reader == "positive parts":
        x = builder.relu(x, "relu")
    factors = builder.input("s", (1, made.shape[0]), public=False)
    squares = square_sum(builder, x, 1, "squares")
    term = [(made.transpose((1, 0)), 64)]
    added = builder.convolution(
        row_product(builder, x, factors, 1, "product"),
        random.integers(-5, 6, (x.shape[0], 1, x.shape[0])),
        np.zeros((1, 1), np.int64),
        None,
        (made.shape[0],),
        "stream",
        terms=term,
    )
    return Cells.concatenate([squares, added], 0)


def rows_of(shapes: list[tuple[int, int]], count: int, seed: int, reader: str = "nobody", adding: bool = True) -> Model:
    """Rows of matrices of these shapes, and constants beside them."""
    random, builder, inputs = np.random.default_rng(seed), Builder(6), {}
    for place, (rows, columns) in enumerate(shapes):
        x = builder.input(f"x{place}", (count,), public=False)
        matrix, added = random.integers(-20, 21, (rows, columns)), random.integers(-9, 10, (count, columns))
        made = standing_rows(builder, x, matrix, added if adding else None, f"m{place}")
        builder.output(f"y{place}", made)
        inputs[f"x{place}"] = random.integers(0, rows, (1, count))
        if not place:
            builder.output("z", read(builder, made, reader, random))
    if "s" in (block.name for block in builder.inputs):
        inputs["s"] = random.integers(-5, 6, (1, 1, count))
    return Model(builder, inputs)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 7)), min_size=1, max_size=2),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(READERS),
    st.booleans(),
    st.integers(0, 999),
)
def test_rows(
    shapes: list[tuple[int, int]], count: int, lanes: int, columns: int, reader: str, adding: bool, seed: int
) -> None:
    model = rows_of(shapes, count, seed, reader, adding)
    made = model.builder.evaluate(model.inputs)
    for place, block in enumerate(block for block in model.builder.blocks if isinstance(block, StandingRows)):
        added = 0 if block.added is None else block.added
        expected = block.matrix[model.inputs[f"x{place}"][0]] + added
        np.testing.assert_array_equal(made[f"y{place}"][0], expected)
    case = lay_out(model, lanes, columns)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("reader", ["nobody", "a normalization"])
def test_a_proof(reader: str) -> None:
    case = lay_out(rows_of([(5, 6), (3, 2)], 3, 1, reader), 2, 4)
    circuit = case.circuit()
    srs = SRS.development(circuit.k, tau=5)
    pk = keygen(circuit, srs)
    verify(pk.vk, prove(pk, case.witness(), srs))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("weight_columns", [1, 4])
def test_no_other_value_passes(reader: str, weight_columns: int) -> None:
    """Each value by one, with whatever else of its unit and of what reads it; each cell by one."""
    subject = Subject(rows_of([(4, 3), (2, 3)], 2, 2, reader), 2, weight_columns)
    for block in (block for block in subject.builder.blocks if isinstance(block, StandingRows)):
        done = subject.builder.run(subject.case.model.inputs)
        for unit in block.units.tolist():
            for step in (1, -1):
                values = done.values.copy()
                values[0, unit] += step
                assert subject.constraints(subject.stating(replace(done, values=values))) >= FAILS
    for at in subject.units[0]:
        for step in (1, -1):
            witness = subject.changed(at, step)
            assert subject.failures(witness) or subject.is_true(witness), at


def test_no_other_row_passes() -> None:
    """Of the same matrix, of another one, rotated, for another number, or with another position's constants."""
    subject = Subject(rows_of([(4, 3), (4, 3)], 3, 3), 2, 2)
    first, second = (block for block in subject.builder.blocks if isinstance(block, StandingRows))
    assert first.added is not None
    others = [{"matrix": second.matrix}, {"matrix": first.matrix[::-1]}, {"matrix": first.matrix[:, ::-1]}]
    moved = {"x": first.x[::-1].copy()}, {"added": first.added[::-1]}, {"added": 0 * first.added}, {"added": None}
    for changes in (*others, *moved):
        assert {failure.constraint for failure in subject.failures(subject.forged("m0", **changes))} == FAILS


def test_it_is_read_where_it_stands() -> None:
    """By a normalization and a stream: no copy but of numbers and factors; a layer has copies of its own."""
    model = rows_of([(4, 6)], 3, 1, "a normalization")
    names = [place.name for place in lay_out(model, 2, 4).layout.places if place.block is None and place.operands]
    assert names == ["public y0", "public z"]
    layer = lay_out(rows_of([(4, 6)], 3, 1, "a layer"), 2, 4)
    assert "copy for layer" in [place.name for place in layer.layout.places]


def test_numbers_without_a_row_and_sums_that_no_unit_holds() -> None:
    model = rows_of([(4, 3)], 2, 4)
    with pytest.raises(OutOfRange, match="tensor m0: the value 4 is outside"):
        model.builder.run({"x0": np.array([[1, 4]])})
    builder = Builder(4)
    x = builder.input("x", (1,))
    made = standing_rows(builder, x, np.array([[9], [-9]]), np.array([[8]]), "m")
    assert (made.low, made.high) == (-1, 15)
    builder.output("y", made)
    assert builder.evaluate({"x": np.array([[1]])})["y"].tolist() == [[[-1]]]
    with pytest.raises(OutOfRange, match="tensor m: the value 17 is outside"):
        builder.run({"x": np.array([[0]])})


@pytest.mark.parametrize("standing_first", [True, False])
def test_its_keys_follow_those_of_other_matrices(tmp_path: Path, standing_first: bool) -> None:
    """Of either kind: a file in which two share them is refused."""
    builder = Builder(6)
    x, matrix = builder.input("x", (2,)), np.ones((3, 2), np.int64)
    for number, standing in enumerate((standing_first, not standing_first)):
        name = f"m{number}"
        made = standing_rows(builder, x, matrix, None, name) if standing else embedded(builder, x, matrix, name)
        builder.output(f"y{number}", made)
    circuit_of(builder).save(tmp_path / "circuit")
    ModelCircuit.load(tmp_path / "circuit")
    builder.blocks[2] = replace(builder.blocks[2], start=128)  # type: ignore[call-arg]
    circuit_of(builder).save(tmp_path / "circuit")
    with pytest.raises(FileError, match="its keys do not start at 259"):
        ModelCircuit.load(tmp_path / "circuit")


def test_files(tmp_path: Path) -> None:
    """What is added is a row for each number; and no private model has one."""
    builder = rows_of([(4, 3)], 2, 2).builder
    circuit_of(builder).save(tmp_path / "circuit")
    loaded = ModelCircuit.load(tmp_path / "circuit")
    assert loaded.encode() == circuit_of(builder).encode()
    block = builder.blocks[1]
    builder.blocks[1] = replace(block, added=np.zeros((1, 3), np.int64))  # type: ignore[call-arg]
    circuit_of(builder).save(tmp_path / "circuit")
    with pytest.raises(FileError, match="what is added is not a row for each number"):
        ModelCircuit.load(tmp_path / "circuit")
    hidden = Builder(6, True)
    with pytest.raises(ValueError, match="rows of a private model's matrices are not looked up"):
        standing_rows(hidden, hidden.input("x", (2,)), np.ones((3, 2), np.int64), None, "m")
