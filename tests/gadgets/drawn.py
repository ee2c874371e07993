"""What tests of gadgets draw, and plain Python's rounding."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells

BITS = st.integers(3, 12)
FEW = settings(max_examples=25)


def evaluated(builder: Builder, made: Cells, **inputs: list[int]) -> list[int]:
    """The integers of one execution, flat."""
    values = {name: np.array([value]) for name, value in inputs.items()}
    return [int(v) for v in builder.read(builder.run(values), made).reshape(-1)]


def rounded(y: int, size: int) -> int:
    """y / size to the nearest integer, halves up."""
    return floor(Fraction(y, size) + Fraction(1, 2))


def matrices(rows: int, columns: int, reach: int) -> st.SearchStrategy[list[list[int]]]:
    """Rows of integers of a reach."""
    row = st.lists(st.integers(-reach, reach), min_size=columns, max_size=columns)
    return st.lists(row, min_size=rows, max_size=rows)
