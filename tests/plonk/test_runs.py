"""Columns as runs of values: what they hold, their one form, and what is refused in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plonnx import _native
from plonnx.kzg import container
from plonnx.kzg.container import Arrays, FileError
from plonnx.kzg.record import Record
from plonnx.plonk import runs
from plonnx.plonk.program import MODULUS
from plonnx.plonk.runs import Runs

# Zeros, and values on both sides of every width's limits.
VALUES = [0, 0, 0, 0, 1, -1, *(s * v for b in (7, 15, 31) for v in (1 << b, (1 << b) - 1) for s in (1, -1))]
VALUES += [-(1 << 63), (1 << 63) - 1]
columns = st.lists(
    arrays.arrays(np.int64, st.integers(0, 40), elements=st.one_of(st.sampled_from(VALUES), st.just(0))), max_size=4
)


def held(content: Arrays, tmp_path: Path) -> Record:
    container.write_container(tmp_path / "file", "test", {}, content)
    return Record(container.read_bytes(tmp_path / "file"), "test", "file")


@given(columns)
def test_columns_come_back(made: list[np.ndarray]) -> None:
    content = runs.encode([Runs.of(column) for column in made], "c")
    with Record(container.encode("test", {}, content), "test", "file") as record:
        read = runs.decode(record, "c", len(made))
    assert [np.asarray(column).tolist() for column in read] == [column.tolist() for column in made]
    assert [len(column) for column in read] == [len(column) for column in made]
    again = runs.encode(read, "c")
    assert all(
        np.array_equal(again[name], content[name]) and again[name].dtype == content[name].dtype for name in content
    )
    for column, dense in zip(read, made, strict=True):
        rows, values = column.cells()
        assert not np.any(np.delete(dense, rows)) and np.array_equal(dense[rows], values)
        for part, width in zip(column.parts, runs.WIDTHS, strict=True):
            assert part.values.dtype == width


@given(columns, st.integers(0, MODULUS - 1))
def test_they_are_combined_as_they_are(made: list[np.ndarray], factor: int) -> None:
    factors = [pow(factor, i + 1, MODULUS) for i in range(len(made))]
    combined = runs.combine([Runs.of(column) for column in made], factors, 50)
    padded = [np.pad(column, (0, 50 - len(column))).tolist() for column in made]
    expected = [sum(f * c[row] for c, f in zip(padded, factors, strict=True)) % MODULUS for row in range(50)]
    assert [combined[row] for row in range(50)] == expected


def test_a_run_has_the_width_of_its_widest_value_and_goes_on_over_one_zero() -> None:
    made = Runs.of(np.array([0, 5, 0, 6, 0, 0, 7, 300, 0, 0, 0]))
    (bytes_, halves, words, longs) = made.parts
    assert (bytes_.starts.tolist(), bytes_.lengths.tolist(), bytes_.values.tolist()) == ([1], [3], [5, 0, 6])
    assert (halves.starts.tolist(), halves.lengths.tolist(), halves.values.tolist()) == ([6], [2], [7, 300])
    assert not len(words.starts) and not len(longs.starts) and len(made) == 11


def test_bad_runs_are_refused_by_the_kernel() -> None:
    starts, lengths, values = np.array([0, 4], np.int32), np.array([3, 3], np.int32), np.arange(6, dtype=np.int8)
    with pytest.raises(ValueError, match="outside of 6 rows"):
        _native.combine_runs([(starts, lengths, values)], [1], 6)
    with pytest.raises(ValueError, match="lack values"):
        _native.combine_runs([(starts, lengths, values[:5].copy())], [1], 7)
    with pytest.raises(ValueError, match="overlap"):
        _native.combine_runs([(starts[::-1].copy(), lengths, values)], [1], 9)
    with pytest.raises(ValueError, match="2 factors"):
        _native.combine_runs([(starts, lengths, values)], [1, 2], 7)


def change(name: str, make: Callable[[np.ndarray], Any]) -> Callable[[Arrays], Arrays]:
    def changed(content: Arrays) -> Arrays:
        made = np.array(make(content[f"c.{name}"]))
        return content | {f"c.{name}": made if name.startswith("int") else container.narrow(made)}

    return changed


# What stands there: columns of 9 and of 3 rows; runs [1, 2] on rows 0 and 1, [300, 0, 3] from row 4 on; [7] on row 1.
REFUSED: list[tuple[Callable[[Arrays], Arrays], str]] = [
    (change("rows", lambda a: [6, 3]), "beyond its column"),
    (change("rows", lambda a: [-1, 3]), "a column of no length"),
    (change("rows", lambda a: [1 << 40, 3]), "a column of no length"),
    (change("rows", lambda a: a[:1]), "shape"),
    (change("runs", lambda a: [1, 1]), "runs are missing"),
    (change("runs", lambda a: [3, 0]), "one, or none|beyond"),
    (change("runs", lambda a: [4, -1]), "a column of no length"),
    (change("gaps", lambda a: [0, 1, 1]), "runs that are one"),
    (change("gaps", lambda a: [-1, 2, 1]), "runs that are one"),
    (change("gaps", lambda a: [0, 2, (1 << 62)]), "runs that are one"),
    (change("gaps", lambda a: [0, 2, 5]), "beyond its column"),
    (change("lengths", lambda a: [3, 2, 1]), "values are missing"),
    (change("lengths", lambda a: [3, 3, 0]), "one, or none"),
    (change("widths", lambda a: [0, 0, 0]), "values are missing"),
    (change("widths", lambda a: [0, 4, 0]), "one, or none"),
    (change("widths", lambda a: [0, -1, 0]), "one, or none"),
    (change("int8", lambda a: np.array([1, 0, 7], np.int8)), "ends on a zero"),
    (change("int8", lambda a: np.array([1, 2], np.int8)), "values are missing"),
    (change("int8", lambda a: np.array([1, 2, 7], np.int16)), "type int16"),
    (change("int16", lambda a: np.array([100, 0, 3], np.int16)), "wider than its values"),
    (change("int16", lambda a: np.array([0, 300, 3], np.int16)), "ends on a zero"),
]


@pytest.mark.parametrize(("changed", "message"), REFUSED)
def test_other_forms_are_refused(changed: Callable[[Arrays], Arrays], message: str, tmp_path: Path) -> None:
    made = [np.array([1, 2, 0, 0, 300, 0, 3, 0, 0]), np.array([0, 7, 0])]
    content = runs.encode([Runs.of(column) for column in made], "c")
    with held(content, tmp_path) as record:
        assert np.asarray(runs.decode(record, "c", 2)[0]).tolist() == made[0].tolist()
    with pytest.raises(FileError, match=message), held(changed(content), tmp_path) as record:
        runs.decode(record, "c", 2)


def test_two_zeros_in_a_row_are_refused(tmp_path: Path) -> None:
    content = runs.encode([Runs.of(np.array([1, 0, 2, 3]))], "c")
    content["c.int8"] = np.array([1, 0, 0, 3], np.int8)
    with pytest.raises(FileError, match="two in a row"), held(content, tmp_path) as record:
        runs.decode(record, "c", 1)
