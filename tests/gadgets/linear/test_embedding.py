"""Rows of matrices: against numpy, proved, and as forgeries: other values, other rows, numbers without a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, OutOfRange
from plonnx.gadgets.linear.embedding import Embedding, embedded
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.fixed import Fixed
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from tests.adversarial.files import circuit_of
from tests.adversarial.subject import Subject
from tests.properties.models import Model, lay_out

FAILS = {"lookup 'a row of a matrix'", "gate 'running sum ends'"}


def rows_of(shapes: list[tuple[int, int]], count: int, seed: int, read: bool = False) -> Model:
    """Rows of matrices of these shapes; read: by a dense layer."""
    random, builder, inputs = np.random.default_rng(seed), Builder(6), {}
    for place, (rows, columns) in enumerate(shapes):
        x = builder.input(f"x{place}", (count,), public=False)
        made = embedded(builder, x, random.integers(-20, 21, (rows, columns)), f"m{place}")
        if read:
            made = builder.linear(made, random.integers(-9, 10, (columns, 3)), None, f"d{place}")
        builder.output(f"y{place}", made)
        inputs[f"x{place}"] = random.integers(0, rows, (1, count))
    return Model(builder, inputs)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 7)), min_size=1, max_size=2),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 999),
)
def test_rows(shapes: list[tuple[int, int]], count: int, lanes: int, columns: int, read: bool, seed: int) -> None:
    model = rows_of(shapes, count, seed, read)
    made = model.builder.evaluate(model.inputs)
    matrices = [block.matrix for block in model.builder.blocks if isinstance(block, Embedding)]
    for place, matrix in enumerate(matrices if not read else ()):
        np.testing.assert_array_equal(made[f"y{place}"][0], matrix[model.inputs[f"x{place}"][0]])
    case = lay_out(model, lanes, columns)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize(("columns", "weight_columns"), [(6, 8), (6, 4), (7, 2)])
def test_a_matrix_stands_where_others_have_no_weights(columns: int, weight_columns: int) -> None:
    """Beside layers it takes no rows of its own; never two weights on a row; what finds no place stands below."""

    def placed(rows: int) -> Layout:
        model = rows_of([(rows, columns), (3, columns)], 9, 1, read=True)
        return Layout(model.builder, Shape(8, 2, weight_columns, 3))

    few, many, most = (placed(rows) for rows in (2, 8, 400))
    assert few.rows == many.rows < most.rows
    for layout in (few, many, most):
        taken = np.concatenate([weighted.rows.reshape(-1) for weighted in Fixed(layout).weighted])
        assert len(np.unique(taken)) == len(taken) and taken.max() < layout.rows
        assert [rows.shape for _, rows in layout.loose][1] == (3, -(-columns // weight_columns))
    assert most.rows - few.rows <= -(-columns // weight_columns) * 400


def test_a_proof() -> None:
    case = lay_out(rows_of([(5, 6), (3, 2)], 3, 1, read=True), 2, 4)
    circuit = case.circuit()
    srs = SRS.development(circuit.k, tau=5)
    pk = keygen(circuit, srs)
    verify(pk.vk, prove(pk, case.witness(), srs))


def test_no_other_value_passes() -> None:
    """Each value by one, with whatever else of its unit; the copies as they are, or changed with it."""
    subject = Subject(rows_of([(4, 3), (2, 3)], 2, 2), 2, 2)
    for block in (block for block in subject.builder.blocks if isinstance(block, Embedding)):
        done = subject.builder.run(subject.case.model.inputs)
        for unit in block.units.tolist():
            for step in (1, -1):
                values = done.values.copy()
                values[0, unit] += step
                assert subject.constraints(subject.stating(replace(done, values=values))) == FAILS
    for at in subject.units[0]:
        for step in (1, -1):
            witness = subject.changed(at, step)
            assert subject.failures(witness) or subject.is_true(witness), at


def test_no_other_row_passes() -> None:
    """Of the same matrix, of another one, rotated, or for another number."""
    subject = Subject(rows_of([(4, 3), (4, 3)], 3, 3), 2, 2)
    first, second = (block for block in subject.builder.blocks if isinstance(block, Embedding))
    others = [{"matrix": second.matrix}, {"matrix": first.matrix[::-1]}, {"matrix": first.matrix[:, ::-1]}]
    for changes in (*others, {"x": first.x[::-1].copy()}):
        assert {failure.constraint for failure in subject.failures(subject.forged("m0", **changes))} == FAILS


def test_numbers_without_a_row() -> None:
    """Refused; and whatever |x| < T a prover takes, it reaches no key of another matrix, nor the key of no row."""
    model = rows_of([(4, 3), (4, 2), (1, 1)], 2, 4)
    with pytest.raises(OutOfRange, match="tensor m0: the value 4 is outside"):
        model.builder.run(model.inputs | {"x0": np.array([[1, 4]])})
    size = model.builder.table_size
    blocks = [block for block in model.builder.blocks if isinstance(block, Embedding)]
    keys = [{block.start + row for row in range(len(block.matrix))} for block in blocks]
    for block, own in zip(blocks, keys, strict=True):
        reached = {block.start + x for x in range(1 - size, size)}
        assert 0 not in reached
        assert [bool(reached & other) for other in keys] == [other is own for other in keys]


@pytest.mark.parametrize("starts", [(128, 128), (128, 131), (1, 260), (128, 259), (128, 1 << 39)])
def test_a_file_with_other_keys_is_refused(tmp_path: Path, starts: tuple[int, int]) -> None:
    """Keys that two matrices share, that a number of another matrix could make, or that rows without a key have.

    With (128, 128) the second matrix's rows pass for the first one's: the circuit accepts them as its own.
    """
    builder = rows_of([(4, 3), (2, 3)], 2, 2).builder
    circuit_of(builder).save(tmp_path / "circuit")
    ModelCircuit.load(tmp_path / "circuit")
    own = iter(starts)
    builder.blocks[:] = [
        replace(block, start=next(own)) if isinstance(block, Embedding) else block for block in builder.blocks
    ]
    circuit_of(builder).save(tmp_path / "circuit")
    with pytest.raises(FileError, match=r"its keys do not start at (128|260)"):
        ModelCircuit.load(tmp_path / "circuit")


def test_a_private_model_has_none(tmp_path: Path) -> None:
    """The matrix would stand among the hidden weights, of which an architecture says nothing."""
    builder = Builder(6, True)
    x = builder.input("x", (2,))
    with pytest.raises(ValueError, match="rows of a private model's matrices are not looked up"):
        embedded(builder, x, np.ones((3, 2), np.int64), "m")
    builder.hidden = False
    builder.output("y", embedded(builder, x, np.ones((3, 2), np.int64), "m"))
    builder.hidden = True
    circuit_of(builder, Shape(7, 2, 2, 3)).save(tmp_path / "circuit")
    with pytest.raises(FileError, match="rows of a private model's matrices are not looked up"):
        ModelCircuit.load(tmp_path / "circuit")
