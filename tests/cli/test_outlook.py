"""What compile says of a setup and a contract that will be too large, and whether that is so."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import plonnx
from plonnx.layout.contract import contract, gas
from plonnx.outlook import OutlookWarning, outlook
from plonnx.solidity.gas import gas_report
from plonnx.solidity.generator import code_estimate, contract_parts
from plonnx.solidity.layout import Layout
from plonnx.solidity.shared import KeyContract
from tests.compiler.small import onnx_model

CIRCUITS = Path(__file__).parents[2] / "circuits"


def wide(rows: int, error_target: float = 0.1) -> plonnx.ModelCircuit:
    signature = f"float[{rows},8] x) => (float[{rows},8] y)"
    model = onnx_model(
        signature, "a = Relu(x) g = MatMul(a, w) y = Relu(g)", {"w": np.random.RandomState(0).randn(8, 8)}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutlookWarning)
        return plonnx.compile(
            model, data=np.random.RandomState(1).uniform(-1, 1, (20, rows, 8)), table_bits=9, error_target=error_target
        )


def test_a_small_circuit_has_no_trouble_ahead() -> None:
    assert list(outlook(wide(2))) == []


def test_an_error_beyond_its_target() -> None:
    (line,) = outlook(wide(2, error_target=1e-4))
    assert line.startswith("output 'y'") and "the target is 0.01%; precision is lost in 'a'" in line


def test_a_setup_that_does_not_come_with_plonnx(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = wide(64)
    monkeypatch.setattr("plonnx.outlook.SHIPPED_POWERS", (1 << circuit.srs_k) // 2)
    (line,) = [line for line in outlook(circuit) if "setup" in line]
    assert f"takes 2^{circuit.srs_k} powers of tau" in line and f"srs_size={circuit.srs_k - 1}" in line


def test_the_size_of_a_setup_is_kept() -> None:
    data = np.random.RandomState(1).uniform(-1, 1, (20, 64, 8))
    model = onnx_model("float[64,8] x) => (float[64,8] y)", "y = Sigmoid(x)")
    free = plonnx.compile(model, data=data, table_bits=12)
    held = plonnx.compile(model, data=data, table_bits=12, srs_size=8)
    assert 1 << held.srs_k <= 256 < 1 << free.srs_k or free.srs_k <= 8
    with pytest.raises(ValueError, match=r"needs more than 2\^4 rows, and the setup has 2\^4 powers"):
        plonnx.compile(model, data=data, table_bits=12, srs_size=4)


@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_the_contract_is_about_as_large_and_as_dear_as_predicted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        circuit = plonnx.compile(CIRCUITS / name / "model.onnx", data=CIRCUITS / name / "calibration.npz")
        vk = plonnx.setup(circuit).vk
    layout = Layout(vk)
    code, fixed, key = contract(circuit.layout, circuit.cost)
    assert len(KeyContract(vk).code) == pytest.approx(key, rel=0.35)
    assert code == pytest.approx(code_estimate(contract_parts(vk, layout)), rel=0.25)
    assert fixed == 114 * len(layout.fixed)
    assert gas(circuit.layout, circuit.cost) == circuit.cost.gas == pytest.approx(gas_report(vk).total, rel=0.02)
    monkeypatch.setattr("plonnx.layout.contract.CODE_LIMIT", 0)  # split
    of_loops = pytest.approx(gas_report(vk, shared=True).total, rel=0.04)
    assert circuit.cost.gas < gas(circuit.layout, circuit.cost) == circuit.describe()["predicted"]["gas"] == of_loops


def test_a_contract_that_is_too_large_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where its key is too long, too: else the contract is split."""
    circuit = wide(2)
    monkeypatch.setattr("plonnx.layout.contract._FRAME", 30_000)
    assert not list(outlook(circuit))
    monkeypatch.setattr("plonnx.layout.contract._KEY", 41_000)
    (line,) = outlook(circuit)
    assert "its key would take about 4" in line and "optimize=gas" in line and line.endswith("(plonnx key-contract)")
    monkeypatch.setattr("plonnx.layout.contract._KEY", 300_000)
    (line,) = outlook(circuit)
    assert "its key would take about 30" in line and line.endswith("(srs_size)")


def test_python_warns_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plonnx.outlook.SHIPPED_POWERS", 8)
    model = onnx_model("float[64,8] x) => (float[64,8] y)", "y = Relu(x)")
    with pytest.warns(OutlookWarning, match="its setup takes"):
        plonnx.compile(model, data=np.random.RandomState(1).uniform(-1, 1, (17, 64, 8)), table_bits=8)
