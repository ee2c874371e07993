"""Missing values: NaN in the data, a Boolean input in the circuit, and what onnxruntime makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.random import RandomState

from plonnx.compiler.compile import compile_model, float_outputs, quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import CompileError
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.ops import ml_paths
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.layout.inputs import InputError, read_samples
from tests.compiler.forests import FEATURES, MODES, Grown, grid
from tests.compiler.learned import Array, compiled, one_node
from tests.compiler.small import onnx_model


def lacking(values: Array, r: RandomState, share: float = 0.3) -> Array:
    """Samples of which some values are missing."""
    return np.where(r.rand(*values.shape) < share, np.nan, values)


def evaluated(made: Quantized, x: Array) -> dict[str, Array]:
    return made.evaluate(read_samples({"x": x}, {port.name: port.shape for port in made.facts.inputs}))


def check(file: onnx.ModelProto, x: Array, fresh: Array, tolerance: float = 0.004, **options: Any) -> Quantized:
    """Compiled from x, it gives on fresh samples what onnxruntime does, whatever x is where it is missing."""
    made = quantized(file, [{"x": x}], Options(**{"table_bits": 12, **options}))
    assert [port.name for port in made.facts.inputs] == ["x", "x_missing"]
    oracle = FloatModel(read_model(file).fixed({"x": made.facts.inputs[0].shape}))
    expected, got = oracle.run_all([{"x": sample.astype(np.float32)} for sample in fresh]), evaluated(made, fresh)
    for name, value in expected.items():
        if value.dtype.kind in "iub":
            np.testing.assert_array_equal(got[name], value)
        else:
            assert np.abs(got[name] - value).max() <= tolerance * (float(np.ptp(value)) or 1.0), name
    lost = np.isnan(fresh)
    for other in (np.nanmin(x), np.nanmax(x)):
        anything = made.evaluate({"x": np.where(lost, other, fresh), "x_missing": lost.astype(float)})
        for name, value in got.items():
            np.testing.assert_array_equal(anything[name], value)
    return made


def tracks(attributes: dict[str, Any], r: RandomState) -> dict[str, Any]:
    count = len(attributes["nodes_featureids"])
    return {**attributes, "nodes_missing_value_tracks_true": r.randint(0, 2, count).tolist()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tracked", [False, True])
def test_a_forest_of_each_mode(mode: str, tracked: bool) -> None:
    """Nodes say where missing values go; where they do not, NaN is neither less nor greater nor equal."""
    r = RandomState(3)
    grown = Grown(r, 1, [mode], 4).grow(3).by_number("target", n_targets=1)
    model = one_node("TreeEnsembleRegressor", {"x": (2, FEATURES)}, **(tracks(grown, r) if tracked else grown))
    check(model, lacking(grid(r, 40, 2), r), lacking(grid(r, 40, 2), r))


@pytest.mark.parametrize("table_bits", [9, 12])
def test_a_forest_of_all_modes_and_sets(table_bits: int) -> None:
    """TreeEnsemble; at the smaller table the differences of features and thresholds are halved."""
    r = RandomState(5)
    attributes = tracks(Grown(r, 1, [*MODES, "BRANCH_MEMBER"], 3).grow(3).apart(), r)
    model = one_node("TreeEnsemble", {"x": (1, FEATURES)}, opset=22, version=5, **attributes)
    x, fresh = (lacking(grid(r, 60), r) for _ in range(2))
    check(model, x, fresh, 0.004 if table_bits == 12 else 0.03, table_bits=table_bits)


def test_a_classifier_by_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large forests walk: a feature stands on the shelf below all others or above, where it is missing."""
    monkeypatch.setattr(ml_paths, "_SMALL", 8)
    r = RandomState(6)
    grown = Grown(r, 3, ["BRANCH_LEQ", "BRANCH_GT", "BRANCH_LT", "BRANCH_GTE"], 4).grow(3)
    attributes = tracks(grown.by_number("class", classlabels_int64s=[4, 5, 9]), r)
    model = one_node("TreeEnsembleClassifier", {"x": (1, FEATURES)}, ("label", "scores"), **attributes)
    made = check(model, lacking(grid(r, 40), r), lacking(grid(r, 40), r))
    assert any(block.kind == "path" for block in made.builder.blocks)


def test_a_node_that_asks_for_missing_alone_takes_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """LightGBM's x <= 1e300, which only what is missing can fail: no feature that is there is above any other."""
    monkeypatch.setattr(ml_paths, "_SMALL", 1)
    leaves = {"target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [1.0, -1.0]}
    attributes = {
        **{"nodes_treeids": [0] * 3, "nodes_nodeids": [0, 1, 2], "nodes_featureids": [1, 0, 0]},
        **{"nodes_values": [1e30, 0.0, 0.0], "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"]},
        **{"nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0], "n_targets": 1, **leaves},
    }
    r = RandomState(7)
    model = one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes)
    made = check(model, lacking(grid(r, 40), r), lacking(grid(r, 40), r))
    assert not any(block.kind == "path" for block in made.builder.blocks)


BODIES = {
    "imputed": "y = ai.onnx.ml.Imputer<imputed_value_floats = [0.5, 0.0, -0.25], replaced_value_float = 9.0>(x)",
    "scaled first": "s = ai.onnx.ml.Scaler<offset = [0.5, 0.0, 1.0], scale = [0.5, 2.0, 1.0]>(x)"
    " y = ai.onnx.ml.Imputer<imputed_value_floats = [0.125], replaced_value_float = 9.0>(s)",
    "joined": "a = Gather<axis = 1>(x, i) b = ai.onnx.ml.ArrayFeatureExtractor(x, i) c = Neg(b)"
    " v = ai.onnx.ml.FeatureVectorizer<inputdimensions = [2, 2]>(a, c)"
    " y = ai.onnx.ml.Imputer<imputed_value_floats = [0.25], replaced_value_float = 9.0>(v)",
    "chosen": "m = IsNaN(x) y = Where(m, h, x)",
    "otherwise chosen": "m = IsNaN(x) k = Not(m) p = Abs(x) l = Log(p) w = Where(k, l, h) y = Mul(w, h)",
    "marked": "m = IsNaN(x) f = Cast<to = 1>(m) z = Where(m, h, x) y = Concat<axis = 1>(z, f)",
    "compared": "a = Less(x, h) b = LessOrEqual(h, x) c = Greater(x, h) f = Cast<to = 1>(a) g = Cast<to = 1>(b)"
    " e = Cast<to = 1>(c) u = Add(f, g) y = Sub(u, e)",
    "selected": "c = Less(x, h) p = Where(c, x, h)"
    " y = ai.onnx.ml.Imputer<imputed_value_floats = [0.25], replaced_value_float = 9.0>(p)",
    "decided": "a = Less(x, h) b = Greater(x, h) e = Or(a, b) n = Not(e) y = Cast<to = 1>(n)",
    "added": "s = Add(x, x) t = Mul(s, x) a = Less(t, h) y = Cast<to = 1>(a)",
}


@pytest.mark.parametrize("name", BODIES)
def test_what_becomes_of_them(name: str) -> None:
    r = RandomState(8)
    constants = {"h": np.array(0.5), "i": np.array([2, 0])}
    model = onnx_model("float[1,3] x) => (float y)", BODIES[name], constants)
    for attribute in (a for node in model.graph.node for a in node.attribute if a.name == "replaced_value_float"):
        attribute.f = np.nan  # onnx's text has none
    x, fresh = (lacking(r.choice([-1, 1], (60, 1, 3)) * r.uniform(0.6, 2.0, (60, 1, 3)), r) for _ in range(2))
    check(model, x, fresh, 0.006)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("y = MatMul(x, h)", r"\(MatMul\): it would make NaN of them; impute them before it"),
        ("a = Gather<axis = 1>(x, i) b = Abs(a) y = Pow(b, x)", r"\(Pow\): it would make NaN of them"),
        ("y = Neg(x)", r"^the given arrays: some values are missing \(NaN\), but output 'y' would be NaN, too"),
        ("y = Cast<to = 7>(x)", r"\(Cast\): it would make NaN"),
        ("y = ai.onnx.ml.Normalizer(x)", r"\(ai.onnx.ml.Normalizer\): it would make NaN"),
    ],
)
def test_what_nobody_imputes_is_refused(body: str, message: str) -> None:
    model = onnx_model("float[1,3] x) => (float y)", body, {"h": np.ones((3, 1)), "i": np.array([2, 1, 0])})
    with pytest.raises(CompileError, match=message) as caught:
        compiled(model, {"x": lacking(np.ones((20, 1, 3)), RandomState(0))})
    assert "\n" not in str(caught.value)


def imputing() -> onnx.ModelProto:
    return one_node("Imputer", {"x": (1, 3)}, replaced_value_float=float("nan"), imputed_value_floats=[0.5])


def test_an_older_opset() -> None:
    """LightGBM's regressors say opset 1 of nothing but Identity."""
    r, model = RandomState(1), imputing()
    model.opset_import[0].version = 8
    check(model, lacking(grid(r, 30)[:, :, :3], r), lacking(grid(r, 30)[:, :, :3], r))
    model.graph.node.append(onnx.helper.make_node("Upsample", ["y"], ["z"], scales=[1.0, 1.0]))
    model.graph.output[0].name = "z"
    model.opset_import[0].version = 7
    with pytest.raises(CompileError, match="takes opset 9: export the model again"):
        compiled(model, {"x": np.full((20, 1, 3), np.nan)})


def test_files_with_missing_values(tmp_path: Path) -> None:
    """null in JSON, empty cells of a CSV, NaN in arrays; the mark may be given; a circuit says which are missing."""
    r = RandomState(2)
    x = lacking(r.uniform(-1, 1, (40, 3)), r)
    circuit = compile_model(imputing(), [{"x": x}], Options(input={"x": "private"}))
    assert [(port.name, port.dtype, port.public) for port in circuit.inputs] == [
        ("x", "float32", False),
        ("x_missing", "bool", False),
    ]
    (tmp_path / "x.json").write_text('{"input_data": [[0.25, null, 0.75]]}')
    (tmp_path / "x.csv").write_text("0.25,,0.75\n")
    (tmp_path / "names.csv").write_text("a,b,c\n0.25,NA,0.75\n")
    given = [tmp_path / "x.json", tmp_path / "x.csv", tmp_path / "names.csv", [[0.25, np.nan, 0.75]]]
    marked = {"x": [[0.25, 0.125, 0.75]], "x_missing": [[0, 1, 0]]}
    for source in (*given, marked):
        np.testing.assert_allclose(circuit.predict(source)["y"], [[0.25, 0.5, 0.75]], atol=0.002)
    integers = circuit.read_inputs(given[0])
    assert integers["x_missing"].tolist() == [[0, 1, 0]] and integers["x"][0, 1] == 0
    assert circuit.mock(integers) == []
    with pytest.raises(InputError, match=r"input 'x' is inf at \[0, 1\]"):
        circuit.predict([[0.25, np.inf, 0.75]])
    with pytest.raises(InputError, match="not made of numbers"):
        circuit.predict([["a", None, 0.75]])


def test_a_mark_is_not_hidden_beside_a_public_input() -> None:
    """Nobody could tell which of the public values count."""
    data = {"x": np.array([[0.25, np.nan, 0.75], [0.5, 0.25, 0.0]])}
    said = r"^input={'x_missing': private}: it says which values of the public x count: make x private"
    with pytest.raises(CompileError, match=said):
        compiled(imputing(), data, input={"x_missing": "private"})


def test_beside_the_float_model() -> None:
    """evaluate runs the model as it was exported: on NaN, and where the mark is given on NaN as well."""
    r = RandomState(2)
    circuit = compile_model(imputing(), [{"x": lacking(r.uniform(-1, 1, (40, 3)), r)}])
    for data in ({"x": [[0.25, np.nan, 0.75]]}, {"x": [[0.25, 0.125, 0.75]], "x_missing": [[0, 1, 0]]}):
        made = float_outputs(imputing(), data, circuit.inputs, ["y"])["y"]
        np.testing.assert_array_equal(made, [[0.25, 0.5, 0.75]])


def test_without_missing_values_nothing_is_added() -> None:
    """And NaN is refused, with the mend."""
    circuit = compile_model(imputing(), [{"x": RandomState(2).uniform(-1, 1, (40, 3))}])
    assert [port.name for port in circuit.inputs] == ["x"]
    with pytest.raises(InputError, match=r"nan at .*must be finite; put a number .* data in which some are missing"):
        circuit.predict([[0.25, np.nan, 0.75]])


def test_a_batch_of_hidden_trees() -> None:
    """Of a private model, too: where missing values go is part of the trees' shapes, which everybody knows."""
    r = RandomState(9)
    attributes = tracks(Grown(r, 1, ["BRANCH_LEQ", "BRANCH_GT"], 3).grow(2).by_number("target", n_targets=1), r)
    model = one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes)
    x, fresh = (lacking(grid(r, 40), r) for _ in range(2))
    made = check(model, x, fresh, 0.01, model="private", weight_bits=24)
    assert made.builder.hidden
