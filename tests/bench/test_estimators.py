"""Estimators of scikit-learn against their circuits, where skl2onnx is; the list names classes that there are."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from bench.estimators import ESTIMATORS, agreement, made


@pytest.mark.parametrize("name", ESTIMATORS)
def test_it_can_be_made(name: str) -> None:
    _, steps, arguments = ESTIMATORS[name]
    package = steps[-1].partition(".")[0]
    if package in ("xgboost", "lightgbm") and find_spec(package) is None:
        pytest.skip(f"{package} not installed")
    assert hasattr(made(steps, arguments), "fit")


@pytest.mark.parametrize("name", ["decision tree", "histogram boosting regression"])
def test_circuits_predict_what_the_library_does(name: str) -> None:
    """Every sample is held out once, in two parts."""
    pytest.importorskip("skl2onnx")
    share, bits = agreement(name, 2)
    assert share >= 0.99
    assert all(bits)
