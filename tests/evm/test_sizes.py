"""Whether contracts fit the chain: code below 24 KB, in either form, for the layouts of small models."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import pytest

import plonnx
from plonnx.kzg.prices import CODE_LIMIT
from plonnx.kzg.srs import SRS
from plonnx.solidity.generator import INLINE_POINT, code_estimate, contract_parts, stored_counts
from plonnx.solidity.layout import Layout
from plonnx.solidity.shared import KeyContract

CIRCUITS = Path(__file__).resolve().parents[2] / "circuits"


@pytest.mark.parametrize("optimize", ["gas", "balanced"])
@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_contracts_fit(name: str, optimize: Literal["gas", "balanced"]) -> None:
    """The estimate is no less than what solc makes: test_verifier.py, test_keys_of_any_shape."""
    folder = CIRCUITS / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        circuit = plonnx.compile(folder / "model.onnx", data=folder / "calibration.npz", optimize=optimize)
    vk = circuit.keygen(SRS.development(circuit.srs_k)).vk
    layout = Layout(vk)
    parts = contract_parts(vk, layout)
    stored = sum(stored_counts(parts, len(layout.fixed)))
    code = code_estimate(parts) + INLINE_POINT * (len(layout.fixed) - stored)
    assert len(KeyContract(vk).code) < code / 3 < CODE_LIMIT / 3
