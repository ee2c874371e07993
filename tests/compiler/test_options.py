"""What a user chooses is checked in one place, and a wrong word is answered with the right ones."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from plonnx.compiler.graph import CompileError
from plonnx.compiler.lower import Hidden
from plonnx.compiler.options import Options
from plonnx.layout.search import Aim


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"margin": 0.5}, "margin=0.5: ranges can only be widened; it must be 1 to"),
        ({"margin": float("nan")}, "margin=nan: ranges can only be widened"),
        ({"margin": float("inf")}, "margin=inf: ranges can only be widened"),
        ({"error_target": -1.0}, "error_target=-1: an error is 0 or more"),
        ({"error_target": float("nan")}, "error_target=nan: an error is 0 or more"),
        ({"table_bits": 3}, "table_bits=3: choose 4 to 20"),
        ({"srs_size": 29}, "srs_size=29: choose 1 to 28"),
        ({"max_memory": 0.0}, "max_memory=0: give the gigabytes that a proof may take"),
        ({"max_memory": float("nan")}, "max_memory=nan: give the gigabytes"),
        ({"max_memory": float("inf")}, "max_memory=inf: give the gigabytes"),
        ({"max_memory": 1e308}, "max_memory=1e\\+308: give the gigabytes"),
        ({"optimize": "speed"}, "optimize=speed: choose prover, gas or balanced"),
        ({"model": "hidden"}, "model=hidden: choose public or private"),
        ({"input": "secret"}, "input=secret: choose public or private"),
        ({"output": {"y": "shown"}}, r"output=\{'y': shown\}: choose public or private"),
        ({"model": "private", "weight_bits": 1}, "weight_bits=1: choose 2 to 60"),
        ({"bias_bits": 12}, "bias_bits declares a width of a private model: give model=private with it"),
    ],
)
def test_wrong_values(given: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        Options(**given)


def test_options_do_not_change() -> None:
    options = Options(margin=3.0)
    with pytest.raises(FrozenInstanceError):
        options.margin = 2.0


def test_what_a_layout_is_for() -> None:
    assert Options().aim == Aim("prover")
    assert Options(optimize="gas", srs_size=18, max_memory=1.5).aim == Aim("gas", 18, 1_500_000_000)


def test_widths_of_a_private_model() -> None:
    assert Options().hidden is None
    assert Options(model="private").hidden == Hidden(16, None)
    assert Options(model="private", weight_bits=12, bias_bits=30).hidden == Hidden(12, 30)
