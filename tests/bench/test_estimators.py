"""Estimators of scikit-learn against their circuits, where skl2onnx is; the list names classes that there are."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from bench.estimators import ESTIMATORS, Library, agreement, loaded


@pytest.mark.parametrize("name", ESTIMATORS)
def test_it_can_be_made(name: str) -> None:
    package = name.partition(" ")[0].lower()
    if package in Library.PACKAGES and find_spec(package) is None:
        pytest.skip(f"{package} not installed")
    data, make = ESTIMATORS[name]
    x, y = loaded(data)
    assert len(x) == len(y) and hasattr(make(Library()), "fit")


@pytest.mark.parametrize("name", ["decision tree", "histogram boosting regression"])
def test_circuits_predict_what_the_library_does(name: str) -> None:
    """Every sample is held out once, in two parts."""
    pytest.importorskip("skl2onnx")
    share, bits = agreement(name, 2)
    assert share >= 0.99
    assert all(bits)
