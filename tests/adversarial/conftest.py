"""The circuits under attack, and the MockProver with its programs compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import sympy

from plonnx.plonk import expression, keygen, mock
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.program import Program
from tests.adversarial.models import channels, copied, curves, everything, idle, picture, views
from tests.adversarial.subject import Subject


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Thousands of witnesses of a few circuits: the same expressions always give the same program."""
    programs: dict[tuple[sympy.Expr, ...], Program] = {}
    levels: dict[int, tuple[Circuit, Any]] = {}
    compile_program, compile_levels = expression.compile_program, keygen.compile_levels

    def program(expressions: Sequence[sympy.Expr]) -> Program:
        key = tuple(expressions)
        if key not in programs:
            programs[key] = compile_program(expressions)
        return programs[key]

    def of_circuit(circuit: Circuit) -> Any:
        if id(circuit) not in levels:
            levels[id(circuit)] = circuit, compile_levels(circuit)
        return levels[id(circuit)][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mock, "compile_program", program)
        patch.setattr(mock, "compile_levels", of_circuit)
        yield


def _subject(make: Callable[[], Any], lanes: int, weight_columns: int) -> Any:
    @pytest.fixture(scope="session")
    def fixture() -> Subject:
        return Subject(make(), lanes, weight_columns)

    return fixture


subject = _subject(everything, 4, 2)
copying = _subject(copied, 2, 1)
idling = _subject(idle, 3, 1)
drawing = _subject(picture, 2, 2)
wide_drawing = _subject(picture, 4, 3)
grouped = _subject(channels, 2, 2)
viewing = _subject(views, 2, 1)
curved = _subject(curves, 2, 2)
