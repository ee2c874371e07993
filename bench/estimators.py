"""`make estimators`: how often circuits predict what scikit-learn's own estimators do, on data that they have not seen.

    pip install skl2onnx onnxmltools xgboost lightgbm
    make estimators ARGS="forest svm"           those with one of these words in their name

Each is fitted to a part of a data set that scikit-learn ships, exported, compiled from that part, and asked for the
rest; every sample is held out once. A class agrees where it is the library's own; a number, where it is within 0.5 % of
the range of the library's.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from onnx import helper

import plonnx

FOLDS, TOLERANCE, WANTED = 3, 0.005, 0.99
_MOST = 600
"""Samples of a data set."""
Array = NDArray[Any]
_SCALED = "preprocessing.StandardScaler"
# Name: data set, steps of a pipeline as module.Class, and the arguments of the last one.
ESTIMATORS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "logistic regression": ("breast_cancer", [_SCALED, "linear_model.LogisticRegression"], {}),
    "logistic regression, raw": ("iris", ["linear_model.LogisticRegression"], {"max_iter": 3000}),
    "linear regression": ("diabetes", ["linear_model.LinearRegression"], {}),
    "ridge": ("diabetes", ["linear_model.Ridge"], {}),
    "lasso": ("diabetes", ["linear_model.Lasso"], {"alpha": 0.1}),
    "svm, linear": ("breast_cancer", [_SCALED, "svm.SVC"], {"kernel": "linear"}),
    "svm, rbf": ("iris", [_SCALED, "svm.SVC"], {}),
    "svm regression": ("diabetes", ["svm.SVR"], {"C": 10.0}),
    "one against one": ("iris", ["multiclass.OneVsOneClassifier"], {}),
    "decision tree": ("wine", ["tree.DecisionTreeClassifier"], {"random_state": 0}),
    "random forest": ("breast_cancer", ["ensemble.RandomForestClassifier"], {"n_estimators": 20, "random_state": 0}),
    "random forest regression": (
        "diabetes",
        ["ensemble.RandomForestRegressor"],
        {"n_estimators": 15, "max_depth": 6, "random_state": 0},
    ),
    "extra trees": ("wine", ["ensemble.ExtraTreesClassifier"], {"n_estimators": 10, "random_state": 0}),
    "gradient boosting": (
        "breast_cancer",
        ["ensemble.GradientBoostingClassifier"],
        {"n_estimators": 15, "random_state": 0},
    ),
    "gradient boosting regression": (
        "diabetes",
        ["ensemble.GradientBoostingRegressor"],
        {"n_estimators": 40, "random_state": 0},
    ),
    "histogram boosting": ("breast_cancer", ["ensemble.HistGradientBoostingClassifier"], {"max_iter": 15}),
    "histogram boosting regression": ("diabetes", ["ensemble.HistGradientBoostingRegressor"], {"max_iter": 15}),
    "isolation forest": ("iris", ["ensemble.IsolationForest"], {"n_estimators": 10, "random_state": 0}),
    "nearest neighbours": ("iris", [_SCALED, "neighbors.KNeighborsClassifier"], {}),
    "k-means": ("iris", ["cluster.KMeans"], {"n_clusters": 3, "n_init": 3, "random_state": 0}),
    "naive Bayes": ("wine", ["naive_bayes.GaussianNB"], {}),
    "naive Bayes, multinomial": ("iris", ["naive_bayes.MultinomialNB"], {}),
    "LDA": ("wine", ["discriminant_analysis.LinearDiscriminantAnalysis"], {}),
    "QDA": ("wine", ["discriminant_analysis.QuadraticDiscriminantAnalysis"], {}),
    "Gaussian process": (
        "diabetes",
        ["gaussian_process.GaussianProcessRegressor"],
        {"alpha": 1.0, "normalize_y": True},
    ),
    "MLP": ("wine", [_SCALED, "neural_network.MLPClassifier"], {"hidden_layer_sizes": (16,), "random_state": 0}),
    "PCA": ("breast_cancer", [_SCALED, "decomposition.PCA", "linear_model.LogisticRegression"], {}),
    "imputer and scaler": ("wine", ["impute.SimpleImputer", _SCALED, "linear_model.LogisticRegression"], {}),
    "one-hot encoder": ("codes", ["preprocessing.OneHotEncoder", "linear_model.LogisticRegression"], {}),
    "XGBoost": ("breast_cancer", ["xgboost.XGBClassifier"], {"n_estimators": 10, "max_depth": 4}),
    "XGBoost regression": ("diabetes", ["xgboost.XGBRegressor"], {"n_estimators": 20, "max_depth": 4}),
    "LightGBM": ("breast_cancer", ["lightgbm.LGBMClassifier"], {"n_estimators": 10, "verbose": -1}),
    "LightGBM regression": ("diabetes", ["lightgbm.LGBMRegressor"], {"n_estimators": 20, "verbose": -1}),
}
_EXPORTERS = {"xgboost": "convert_xgboost", "lightgbm": "convert_lightgbm"}


def loaded(name: str) -> tuple[Array, Array]:
    """A data set in an order of its own: features [n, ..] and targets. `codes` are iris' centimetres, cut off."""
    found = getattr(import_module("sklearn.datasets"), f"load_{'iris' if name == 'codes' else name}")()
    order = np.random.RandomState(0).permutation(len(found.data))[:_MOST]
    x, y = found.data[order], found.target[order]
    return (np.floor(x).astype(np.int64) if name == "codes" else x.astype(np.float32)), y


def made(steps: list[str], arguments: dict[str, Any]) -> Any:
    """The estimator, in a pipeline where there are several steps."""
    pipeline = []
    for place, step in enumerate(steps):
        module, _, name = step.rpartition(".")
        package = module if module in _EXPORTERS else f"sklearn.{module}"
        given = arguments if place == len(steps) - 1 else {}
        if name == "OneVsOneClassifier":
            given = {"estimator": import_module("sklearn.linear_model").LogisticRegression(max_iter=3000)}
        if name == "OneHotEncoder":
            given = {"handle_unknown": "ignore"}
        pipeline.append(getattr(import_module(package), name)(**given))
    return pipeline[0] if len(pipeline) == 1 else import_module("sklearn.pipeline").make_pipeline(*pipeline)


def exported(model: Any, x: Array) -> Any:
    """As its own exporter writes it; the input is X."""
    package = type(model).__module__.partition(".")[0]
    if package in _EXPORTERS:
        kind = import_module("onnxmltools.convert.common.data_types").FloatTensorType([None, x.shape[1]])
        plain = {"zipmap": False} if package == "lightgbm" else {}
        convert: Callable[..., Any] = getattr(import_module("onnxmltools"), _EXPORTERS[package])
        return convert(model, initial_types=[("X", kind)], target_opset=15, **plain)
    types = import_module("skl2onnx.common.data_types")
    kind = (types.Int64TensorType if x.dtype.kind == "i" else types.FloatTensorType)([None, x.shape[1]])
    plain = {"zipmap": False} if hasattr(model, "predict_proba") else {}
    convert = import_module("skl2onnx").to_onnx
    opsets = {"": 18, "ai.onnx.ml": 3}
    return convert(
        model, initial_types=[("X", kind)], options={id(model): plain} if plain else None, target_opset=opsets
    )


@contextmanager
def arrays_as_attributes() -> Iterator[None]:
    """Exporters write numpy's values into attributes, which onnx takes no longer (1.23 with skl2onnx 1.20)."""
    plainly = helper.make_attribute

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return plain(value.tolist())
        if isinstance(value, bool):
            return int(value)
        return [plain(entry) for entry in value] if isinstance(value, list) else value

    def make(key: str, value: Any, *rest: Any, **more: Any) -> Any:
        return plainly(key, plain(value), *rest, **more)

    with patch.object(helper, "make_attribute", make):
        yield


def agreement(name: str, folds: int) -> tuple[float, list[int]]:
    """The share of held-out samples on which the circuit says what the library says, and the table bits."""
    data, steps, arguments = ESTIMATORS[name]
    x, y = loaded(data)
    fold, agreed, bits = np.arange(len(x)) % folds, np.zeros(len(x), bool), []
    for out in range(folds):
        seen, held = fold != out, fold == out
        model = made(steps, arguments).fit(x[seen], y[seen])
        with arrays_as_attributes():
            proto = exported(model, x)
        circuit = plonnx.compile(proto, data={"X": x[seen][:, None]})
        got = np.asarray(next(iter(plonnx.run(circuit, {"X": x[held][:, None]}).values()))).reshape(held.sum(), -1)[
            :, 0
        ]
        wanted = np.asarray(model.predict(x[held])).reshape(-1)
        most = TOLERANCE * float(np.ptp(wanted)) if data == "diabetes" else 0.0
        agreed[held] = np.abs(got - wanted) <= most
        bits.append(int(circuit.report["table_bits"]))
    return float(agreed.mean()), bits


def main() -> int:
    """0 where all agree on 99 %."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="of names; all estimators without")
    parser.add_argument("--folds", type=int, default=FOLDS, help="parts, each of which is held out once")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    missed = 0
    for name in ESTIMATORS:
        if given.words and not any(word.lower() in name.lower() for word in given.words):
            continue
        try:
            share, bits = agreement(name, given.folds)
            missed += share < WANTED
            print(f"{name:32} {share:7.2%}   table bits {min(bits)} to {max(bits)}", flush=True)
        except (ImportError, ValueError) as error:
            missed += 1
            print(f"{name:32}       -   {' '.join(str(error).split())[:160]}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
