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
Make = Callable[["Library"], Any]


class Library:
    """Classes of scikit-learn, XGBoost and LightGBM by their names; `pipe` makes a pipeline."""

    PACKAGES = ("xgboost", "lightgbm")
    MODULES = (
        *("calibration", "cluster", "compose", "cross_decomposition", "decomposition", "discriminant_analysis"),
        *("ensemble", "feature_selection", "gaussian_process", "gaussian_process.kernels", "impute", "linear_model"),
        *("mixture", "multiclass", "multioutput", "naive_bayes", "neighbors", "neural_network", "preprocessing"),
        *("random_projection", "svm", "tree"),
    )

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("XGB", "LGBM")):
            return getattr(import_module(self.PACKAGES[name.startswith("LGBM")]), name)
        modules = (import_module(f"sklearn.{module}") for module in self.MODULES)
        return next(getattr(module, name) for module in modules if hasattr(module, name))

    def pipe(self, *steps: Any) -> Any:
        """All in turn."""
        return import_module("sklearn.pipeline").make_pipeline(*steps)

    def scaled(self, last: Any) -> Any:
        """Behind a StandardScaler."""
        return self.pipe(self.StandardScaler(), last)

    def logistic(self) -> Any:
        """A logistic regression that converges."""
        return self.LogisticRegression(max_iter=3000)

    def three(self) -> Any:
        """Classifiers to be combined."""
        return [
            ("linear", self.logistic()),
            ("bayes", self.GaussianNB()),
            ("tree", self.DecisionTreeClassifier(max_depth=4, random_state=0)),
        ]

    def two(self) -> Any:
        """Regressors to be combined."""
        return [("linear", self.Ridge()), ("tree", self.DecisionTreeRegressor(max_depth=4, random_state=0))]

    def columns(self) -> Any:
        """Transformers of columns of their own, the last ones as they are."""
        parts = [
            ("scaled", self.StandardScaler(), [0, 1, 2, 3]),
            ("powers", self.PowerTransformer(), [4, 5, 6]),
            ("unit", self.MinMaxScaler(), [7, 8]),
            ("bins", self.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), [9, 10]),
        ]
        return self.ColumnTransformer(parts, remainder="passthrough")


SEED = {"random_state": 0}
# Name: data set and estimator. `codes` are iris' centimetres, cut off; `pair` wine of two kinds; `labels` wine with
# two labels each, `targets` diabetes with two targets; of `gaps`, wine, one value in twelve is missing.
ESTIMATORS: dict[str, tuple[str, Make]] = {
    "logistic regression": ("breast_cancer", lambda sk: sk.scaled(sk.LogisticRegression())),
    "logistic regression, raw": ("iris", lambda sk: sk.logistic()),
    "logistic regression, cross-validated": ("wine", lambda sk: sk.scaled(sk.LogisticRegressionCV())),
    "linear regression": ("diabetes", lambda sk: sk.LinearRegression()),
    "linear regression, two targets": ("targets", lambda sk: sk.LinearRegression()),
    "ridge": ("diabetes", lambda sk: sk.Ridge()),
    "ridge classifier": ("wine", lambda sk: sk.scaled(sk.RidgeClassifier())),
    "lasso": ("diabetes", lambda sk: sk.Lasso(alpha=0.1)),
    "elastic net": ("diabetes", lambda sk: sk.ElasticNet(alpha=0.001)),
    "Bayesian ridge": ("diabetes", lambda sk: sk.BayesianRidge()),
    "Huber": ("diabetes", lambda sk: sk.HuberRegressor()),
    "RANSAC": ("diabetes", lambda sk: sk.RANSACRegressor(**SEED)),
    "Poisson": ("diabetes", lambda sk: sk.scaled(sk.PoissonRegressor())),
    "gamma": ("diabetes", lambda sk: sk.scaled(sk.GammaRegressor())),
    "Tweedie": ("diabetes", lambda sk: sk.scaled(sk.TweedieRegressor(power=1.5))),
    "PLS": ("diabetes", lambda sk: sk.PLSRegression(3)),
    "perceptron": ("wine", lambda sk: sk.scaled(sk.Perceptron())),
    "SGD": ("wine", lambda sk: sk.scaled(sk.SGDClassifier(**SEED))),
    "svm, linear": ("breast_cancer", lambda sk: sk.scaled(sk.SVC(kernel="linear"))),
    "svm, rbf": ("iris", lambda sk: sk.scaled(sk.SVC())),
    "svm, polynomial": ("wine", lambda sk: sk.scaled(sk.SVC(kernel="poly"))),
    "svm, sigmoid": ("wine", lambda sk: sk.scaled(sk.SVC(kernel="sigmoid"))),
    "svm, nu": ("wine", lambda sk: sk.scaled(sk.NuSVC())),
    "svm, one class": ("iris", lambda sk: sk.scaled(sk.OneClassSVM())),
    "svm regression": ("diabetes", lambda sk: sk.SVR(C=10.0)),
    "svm regression, nu": ("diabetes", lambda sk: sk.scaled(sk.NuSVR(C=100))),
    "one against one": ("iris", lambda sk: sk.OneVsOneClassifier(sk.logistic())),
    "one against the rest": ("wine", lambda sk: sk.scaled(sk.OneVsRestClassifier(sk.logistic()))),
    "two labels, linear": ("labels", lambda sk: sk.MultiOutputClassifier(sk.logistic())),
    "two labels, one against the rest": ("labels", lambda sk: sk.scaled(sk.OneVsRestClassifier(sk.logistic()))),
    "two labels, forest": ("labels", lambda sk: sk.RandomForestClassifier(5, max_depth=4, **SEED)),
    "two labels, MLP": ("labels", lambda sk: sk.scaled(sk.MLPClassifier(hidden_layer_sizes=(8,), **SEED))),
    "two targets, ridges": ("targets", lambda sk: sk.MultiOutputRegressor(sk.Ridge())),
    "two targets, forest": ("targets", lambda sk: sk.RandomForestRegressor(5, max_depth=5, **SEED)),
    "decision tree": ("wine", lambda sk: sk.DecisionTreeClassifier(**SEED)),
    "random forest": ("breast_cancer", lambda sk: sk.RandomForestClassifier(20, **SEED)),
    "random forest regression": ("diabetes", lambda sk: sk.RandomForestRegressor(15, max_depth=6, **SEED)),
    "extra trees": ("wine", lambda sk: sk.ExtraTreesClassifier(10, **SEED)),
    "gradient boosting": ("breast_cancer", lambda sk: sk.GradientBoostingClassifier(n_estimators=15, **SEED)),
    "gradient boosting, three classes": ("wine", lambda sk: sk.GradientBoostingClassifier(n_estimators=10, **SEED)),
    "gradient boosting regression": ("diabetes", lambda sk: sk.GradientBoostingRegressor(n_estimators=40, **SEED)),
    "histogram boosting": ("breast_cancer", lambda sk: sk.HistGradientBoostingClassifier(max_iter=15)),
    "histogram boosting, three classes": ("wine", lambda sk: sk.HistGradientBoostingClassifier(max_iter=10)),
    "histogram boosting regression": ("diabetes", lambda sk: sk.HistGradientBoostingRegressor(max_iter=15)),
    "AdaBoost": ("breast_cancer", lambda sk: sk.AdaBoostClassifier(n_estimators=15, **SEED)),
    "AdaBoost regression": ("diabetes", lambda sk: sk.AdaBoostRegressor(n_estimators=15, **SEED)),
    "isolation forest": ("iris", lambda sk: sk.IsolationForest(n_estimators=10, **SEED)),
    "bagging": ("wine", lambda sk: sk.scaled(sk.BaggingClassifier(sk.logistic(), **SEED))),
    "bagging regression": ("diabetes", lambda sk: sk.BaggingRegressor(**SEED)),
    "voting, soft": (
        "wine",
        lambda sk: sk.scaled(sk.VotingClassifier(sk.three(), voting="soft", flatten_transform=False)),
    ),
    "voting, hard": ("wine", lambda sk: sk.scaled(sk.VotingClassifier(sk.three(), flatten_transform=False))),
    "voting regression": ("diabetes", lambda sk: sk.scaled(sk.VotingRegressor(sk.two()))),
    "stacking": ("wine", lambda sk: sk.scaled(sk.StackingClassifier(sk.three()))),
    "stacking regression": ("diabetes", lambda sk: sk.scaled(sk.StackingRegressor(sk.two()))),
    "calibrated": ("breast_cancer", lambda sk: sk.scaled(sk.CalibratedClassifierCV(sk.LinearSVC(), cv=3))),
    "calibrated, isotonic": (
        "breast_cancer",
        lambda sk: sk.scaled(sk.CalibratedClassifierCV(sk.logistic(), method="isotonic", cv=3)),
    ),
    "nearest neighbours": ("iris", lambda sk: sk.scaled(sk.KNeighborsClassifier())),
    "nearest neighbours, by distance": ("iris", lambda sk: sk.scaled(sk.KNeighborsClassifier(weights="distance"))),
    "nearest neighbours, Manhattan": ("iris", lambda sk: sk.scaled(sk.KNeighborsClassifier(metric="manhattan"))),
    "neighbourhood components": (
        "iris",
        lambda sk: sk.pipe(
            sk.StandardScaler(), sk.NeighborhoodComponentsAnalysis(2, **SEED), sk.KNeighborsClassifier()
        ),
    ),
    "local outlier factor": ("iris", lambda sk: sk.scaled(sk.LocalOutlierFactor(novelty=True))),
    "k-means": ("iris", lambda sk: sk.KMeans(3, n_init=3, **SEED)),
    "Gaussian mixture": ("iris", lambda sk: sk.GaussianMixture(3, **SEED)),
    "naive Bayes": ("wine", lambda sk: sk.GaussianNB()),
    "naive Bayes, multinomial": ("iris", lambda sk: sk.MultinomialNB()),
    "naive Bayes, Bernoulli": ("digits", lambda sk: sk.pipe(sk.Binarizer(threshold=8), sk.BernoulliNB())),
    "naive Bayes, complement": ("iris", lambda sk: sk.ComplementNB()),
    "naive Bayes, categorical": ("codes", lambda sk: sk.CategoricalNB(min_categories=10)),
    "LDA": ("wine", lambda sk: sk.LinearDiscriminantAnalysis()),
    "QDA": ("wine", lambda sk: sk.QuadraticDiscriminantAnalysis()),
    "Gaussian process": ("diabetes", lambda sk: sk.GaussianProcessRegressor(alpha=1.0, normalize_y=True)),
    "Gaussian process classifier": (
        "pair",
        lambda sk: sk.scaled(sk.GaussianProcessClassifier(2.0 * sk.RBF(5.0), optimizer=None)),
    ),
    "MLP": ("wine", lambda sk: sk.scaled(sk.MLPClassifier(hidden_layer_sizes=(16,), **SEED))),
    "MLP regression": (
        "diabetes",
        lambda sk: sk.scaled(sk.MLPRegressor(hidden_layer_sizes=(16,), max_iter=2000, **SEED)),
    ),
    "PCA": ("breast_cancer", lambda sk: sk.pipe(sk.StandardScaler(), sk.PCA(), sk.LogisticRegression())),
    "SVD": ("wine", lambda sk: sk.pipe(sk.StandardScaler(), sk.TruncatedSVD(4), sk.logistic())),
    "imputer and scaler": ("wine", lambda sk: sk.pipe(sk.SimpleImputer(), sk.StandardScaler(), sk.logistic())),
    "one-hot encoder": (
        "codes",
        lambda sk: sk.pipe(sk.OneHotEncoder(handle_unknown="ignore"), sk.LogisticRegression()),
    ),
    "robust scaler": ("wine", lambda sk: sk.pipe(sk.RobustScaler(), sk.logistic())),
    "normalizer": ("iris", lambda sk: sk.pipe(sk.Normalizer(), sk.logistic())),
    "powers": ("wine", lambda sk: sk.pipe(sk.PowerTransformer(), sk.logistic())),
    "powers of Box and Cox": ("iris", lambda sk: sk.pipe(sk.PowerTransformer("box-cox"), sk.logistic())),
    "quantiles": ("wine", lambda sk: sk.pipe(sk.QuantileTransformer(n_quantiles=50), sk.logistic())),
    "bins": (
        "wine",
        lambda sk: sk.pipe(
            sk.KBinsDiscretizer(5, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), sk.logistic()
        ),
    ),
    "polynomial features": ("diabetes", lambda sk: sk.pipe(sk.StandardScaler(), sk.PolynomialFeatures(2), sk.Ridge())),
    "columns": ("wine", lambda sk: sk.pipe(sk.columns(), sk.logistic())),
    "chosen columns": ("breast_cancer", lambda sk: sk.pipe(sk.SelectKBest(k=10), sk.StandardScaler(), sk.logistic())),
    "XGBoost with missing values": ("gaps", lambda sk: sk.XGBClassifier(n_estimators=10, max_depth=4)),
    "LightGBM with missing values": ("gaps", lambda sk: sk.LGBMClassifier(n_estimators=10, verbose=-1)),
    "histogram boosting with missing values": ("gaps", lambda sk: sk.HistGradientBoostingClassifier(max_iter=10)),
    "imputer of missing values": ("gaps", lambda sk: sk.pipe(sk.SimpleImputer(), sk.StandardScaler(), sk.logistic())),
    "XGBoost": ("breast_cancer", lambda sk: sk.XGBClassifier(n_estimators=10, max_depth=4)),
    "XGBoost regression": ("diabetes", lambda sk: sk.XGBRegressor(n_estimators=20, max_depth=4)),
    "LightGBM": ("breast_cancer", lambda sk: sk.LGBMClassifier(n_estimators=10, verbose=-1)),
    "LightGBM regression": ("diabetes", lambda sk: sk.LGBMRegressor(n_estimators=20, verbose=-1)),
}
OUTPUTS = {"Gaussian process classifier": ["label"]}
"""Where not all are asked for: its probabilities are differences of numbers that are a thousand times larger."""
_EXPORTERS = {"xgboost": "convert_xgboost", "lightgbm": "convert_lightgbm"}


def loaded(name: str) -> tuple[Array, Array]:
    """A data set in an order of its own: features [n, ..] and targets."""
    others = {"codes": "iris", "pair": "wine", "labels": "wine", "targets": "diabetes", "gaps": "wine"}
    kept = others.get(name, name)
    found = getattr(import_module("sklearn.datasets"), f"load_{kept}")()
    order = np.random.RandomState(0).permutation(len(found.data))[:_MOST]
    x, y = found.data[order], found.target[order]
    if name == "pair":
        x, y = x[y < 2], y[y < 2]
    if name == "gaps":
        x = np.where(np.random.RandomState(1).rand(*x.shape) < 1 / 12, np.nan, x)
    if name == "labels":
        y = np.stack([y == 0, y == 1], axis=1).astype(np.int64)
    if name == "targets":
        x, y = x[:, :8], np.stack([y, 1000 * x[:, 8] + y], axis=1)
    return (np.floor(x).astype(np.int64) if name == "codes" else x.astype(np.float32)), y


def exported(model: Any, x: Array, y: Array) -> Any:
    """As its own exporter writes it; the input is X."""
    package = type(model).__module__.partition(".")[0]
    if package in _EXPORTERS:
        kind = import_module("onnxmltools.convert.common.data_types").FloatTensorType([None, x.shape[1]])
        plain = {"zipmap": False} if package == "lightgbm" else {}
        convert: Callable[..., Any] = getattr(import_module("onnxmltools"), _EXPORTERS[package])
        return convert(model, initial_types=[("X", kind)], target_opset=15, **plain)
    types = import_module("skl2onnx.common.data_types")
    kind = (types.Int64TensorType if x.dtype.kind == "i" else types.FloatTensorType)([None, x.shape[1]])
    names = hasattr(model, "predict_proba") and import_module("sklearn.base").is_classifier(model)
    plain = {"zipmap": False} if names and y.ndim == 1 else {}
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
    data, make = ESTIMATORS[name]
    x, y = loaded(data)
    fold, agreed, bits = np.arange(len(x)) % folds, np.zeros(len(x), bool), []
    for out in range(folds):
        seen, held = fold != out, fold == out
        model = make(Library()).fit(x[seen], y[seen])
        with arrays_as_attributes():
            proto = exported(model, x, y)
        circuit = plonnx.compile(proto, data={"X": x[seen][:, None]}, outputs=OUTPUTS.get(name))
        wanted = np.asarray(model.predict(x[held])).reshape(held.sum(), -1)
        first = next(iter(plonnx.run(circuit, {"X": x[held][:, None]}).values()))
        got = np.asarray(first).reshape(held.sum(), -1)[:, : wanted.shape[1]]
        most = TOLERANCE * np.ptp(wanted, axis=0) if data in ("diabetes", "targets") else 0.0
        agreed[held] = np.all(np.abs(got - wanted) <= most, axis=1)
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
            print(f"{name:36} {share:7.2%}   table bits {min(bits)} to {max(bits)}", flush=True)
        except (ImportError, ValueError) as error:
            missed += 1
            print(f"{name:36}       -   {' '.join(str(error).split())[:160]}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
