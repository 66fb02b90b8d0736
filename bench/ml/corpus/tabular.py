"""scikit-learn: every classifier and regressor that skl2onnx takes, on raw and on standardised columns; and pipelines."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.ml.adapter import Array
from bench.ml.corpus.entry import Absent, Entry, Made, table

FAMILY = "tabular"
FORESTS = ("AdaBoost", "Bagging", "ExtraTrees", "GradientBoosting", "RandomForest")
CHOSEN: dict[str, dict[str, Any]] = {
    "MLP": {"max_iter": 300, "hidden_layer_sizes": (16, 8)},
    "HistGradientBoosting": {"max_iter": 10},
    "RadiusNeighborsClassifier": {"radius": 1e4},
    "RadiusNeighborsRegressor": {"radius": 1e3},
    "QuadraticDiscriminantAnalysis": {"reg_param": 0.1},
    "CategoricalNB": {"min_categories": 4},
}
"""Arguments of estimators whose names begin so, where the usual ones make too large a model, or none."""
STAMP = 1_700_000_000.0
"""A time in seconds, as data bases store it."""


def entries() -> Iterator[Entry]:
    """All models of this family."""
    try:
        from skl2onnx._supported_operators import sklearn_operator_name_map
        from sklearn.utils import all_estimators
    except ImportError as error:
        yield Entry(FAMILY, "all", partial(_absent, f"{error.name} is not installed"))
        return
    taken = {kind.__name__ for kind in sklearn_operator_name_map if hasattr(kind, "__name__")}
    for kind in ("classifier", "regressor"):
        for name, _ in all_estimators(kind):
            if name in taken:
                yield Entry(FAMILY, f"{name}-raw", partial(_estimator, name, kind, False))
                yield Entry(FAMILY, f"{name}-scaled", partial(_estimator, name, kind, True))
    for name, make in PIPELINES.items():
        yield Entry(FAMILY, f"pipeline-{name}", partial(_pipeline, name, make))


def _absent(reason: str, count: int) -> Made:
    raise Absent(reason)


def dataset(name: str) -> tuple[NDArray[np.float64], Array]:
    """Rows and targets of one of scikit-learn's own data sets, shuffled."""
    from sklearn import datasets

    arguments = {"scaled": False} if name == "diabetes" else {}
    loaded = getattr(datasets, f"load_{name}")(**arguments)
    order = np.random.default_rng(0).permutation(len(loaded.data))
    return np.asarray(loaded.data, np.float64)[order], np.asarray(loaded.target)[order]


def _estimator(name: str, kind: str, scaled: bool, count: int) -> Made:
    """One estimator of the catalogue: classifiers on raw breast cancer data and on wines with names, regressors on diabetes data."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    binary = name in ("TunedThresholdClassifierCV", "GaussianProcessClassifier") or not scaled
    rows, target = dataset("diabetes" if kind == "regressor" else "breast_cancer" if binary else "wine")
    if kind == "classifier" and not binary and name != "OneVsOneClassifier":  # of names the exporter makes a file that no runtime takes
        target = np.array(["barolo", "grignolino", "barbera"])[target]
    if name.startswith("MultiTask") or name in ("MultiOutputRegressor", "PLSRegression"):
        target = np.column_stack([target, 1000 * target + rows[:, 2], rows[:, 3] / 1000])
    if name == "MultiOutputClassifier":
        target = np.column_stack([target, np.roll(target, 1)])
    if name == "CategoricalNB":
        rows = np.clip(np.floor(rows / rows.max(axis=0) * 4), 0, 3)
    if kind == "regressor" and name in ("GammaRegressor", "PoissonRegressor", "TweedieRegressor"):
        target = target / 100
    model = _configured(name, kind)
    chosen = make_pipeline(StandardScaler(), model) if scaled and name not in NOT_SCALED else model
    return exported(f"{name}-{scaled}", chosen, rows, target, count, plain=scaled)


NO_DICTIONARY = ("LinearSVC",)
"""Classifiers for which the exporter knows no dictionaries, and in a pipeline stumbles over its own default."""
NOT_SCALED = ("CategoricalNB", "ComplementNB", "MultinomialNB")
"""They count, and take no negative numbers."""


def _configured(name: str, kind: str) -> Any:
    """An estimator small enough for a guest, always the same."""
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
    from sklearn.utils import all_estimators

    classes = kind == "classifier"
    simple: Any = LogisticRegression(max_iter=300) if classes else LinearRegression()
    tree: Any = DecisionTreeClassifier(max_depth=4, random_state=0) if classes else DecisionTreeRegressor(max_depth=4, random_state=0)
    estimator: Any = dict(all_estimators(kind))[name]
    if name.startswith(("Stacking", "Voting")):
        parts = [("linear", simple), ("tree", tree)]
        return estimator(parts, flatten_transform=False) if name == "VotingClassifier" else estimator(parts)
    if name.startswith(("OneVs", "MultiOutput", "CalibratedClassifier", "TunedThreshold")):
        return estimator(simple if classes else Ridge())
    model = estimator()
    known = model.get_params()
    wanted: dict[str, Any] = {"random_state": 0, "max_depth": 5}
    if name.startswith(FORESTS):
        wanted |= {"n_estimators": 10}
    for start, chosen in CHOSEN.items():
        if name.startswith(start):
            wanted |= chosen
    return model.set_params(**{key: value for key, value in wanted.items() if key in known})


def exported(name: str, model: Any, rows: NDArray[np.float64], target: Array, count: int, *, plain: bool = False) -> Made:
    """Fit to two thirds, export with float32 input, and draw inputs from the last third.

    Args:
        name: of the model, for the random numbers.
        model: an estimator or a pipeline.
        rows: of the table.
        target: of each row.
        count: of inputs.
        plain: classifiers give probabilities as an array, not as a dictionary by class, which is the default of the exporter.
    """
    from skl2onnx import to_onnx
    from sklearn.base import is_classifier

    first = len(rows) * 2 // 3
    train, others = rows[:first], rows[first:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train, target[:first])
        last = model[-1] if hasattr(model, "steps") else model
        options: Any = {"zipmap": False} if plain and is_classifier(model) else None
        if type(last).__name__ in NO_DICTIONARY:
            options = {id(last): {"raw_scores": False}}
        proto = to_onnx(model, train[:1].astype(np.float32), options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    port = proto.graph.input[0].name
    calibration, inputs = table(name, train, others, count)
    return Made(proto.SerializeToString(), {port: calibration}, {port: inputs}, by_column=not is_classifier(model))


def _pipeline(name: str, make: Callable[[], tuple[str, Any]], count: int) -> Made:
    data, model = make()
    rows, target = dataset(data.removesuffix("+nan").removesuffix("+time"))
    if data.endswith("+nan"):
        rows = np.where(np.random.default_rng(1).random(rows.shape) < 0.1, np.nan, rows)
    if data.endswith("+time"):
        rows = np.column_stack([STAMP + 86_400 * np.arange(len(rows)), rows])
    return exported(name, model, rows, target, count, plain=True)


def _made(data: str, *steps: tuple[str, dict[str, Any]]) -> tuple[str, Any]:
    """A pipeline of steps, each the name of a class and its arguments."""
    from sklearn.pipeline import make_pipeline
    from sklearn.utils import all_estimators

    known: dict[str, Any] = dict(all_estimators())
    return data, make_pipeline(*(known[name](**arguments) for name, arguments in steps))


LOGISTIC: tuple[str, dict[str, Any]] = ("LogisticRegression", {"max_iter": 300})
RIDGE: tuple[str, dict[str, Any]] = ("Ridge", {})
TREE: tuple[str, dict[str, Any]] = ("DecisionTreeClassifier", {"max_depth": 5, "random_state": 0})
SCALER: tuple[str, dict[str, Any]] = ("StandardScaler", {})

PIPELINES: dict[str, Callable[[], tuple[str, Any]]] = {
    "newcomer": partial(_made, "breast_cancer", SCALER, LOGISTIC),
    "digits-logistic": partial(_made, "digits", SCALER, LOGISTIC),
    "digits-mlp": partial(_made, "digits", ("MLPClassifier", {"hidden_layer_sizes": (32,), "max_iter": 60, "random_state": 0})),
    "digits-forest": partial(_made, "digits", ("RandomForestClassifier", {"n_estimators": 10, "max_depth": 8, "random_state": 0})),
    "iris-svc-probability": partial(_made, "iris", SCALER, ("SVC", {"probability": True, "random_state": 0})),
    "time-stamp-tree": partial(_made, "wine+time", TREE),
    "time-stamp-logistic": partial(_made, "wine+time", SCALER, LOGISTIC),
    "time-stamp-forest": partial(_made, "breast_cancer+time", ("RandomForestClassifier", {"n_estimators": 10, "random_state": 0})),
    "minmax": partial(_made, "wine", ("MinMaxScaler", {}), LOGISTIC),
    "maxabs": partial(_made, "wine", ("MaxAbsScaler", {}), LOGISTIC),
    "robust": partial(_made, "breast_cancer", ("RobustScaler", {}), LOGISTIC),
    "normalizer": partial(_made, "iris", ("Normalizer", {}), LOGISTIC),
    "power": partial(_made, "wine", ("PowerTransformer", {}), LOGISTIC),
    "power-ridge": partial(_made, "diabetes", ("PowerTransformer", {}), RIDGE),
    "quantiles": partial(_made, "wine", ("QuantileTransformer", {"n_quantiles": 20}), LOGISTIC),
    "polynomial": partial(_made, "iris", ("PolynomialFeatures", {"degree": 2}), SCALER, LOGISTIC),
    "polynomial-raw": partial(_made, "diabetes", ("PolynomialFeatures", {"degree": 2}), RIDGE),
    "pca": partial(_made, "breast_cancer", SCALER, ("PCA", {"n_components": 5}), LOGISTIC),
    "pca-raw": partial(_made, "digits", ("PCA", {"n_components": 16}), LOGISTIC),
    "svd": partial(_made, "wine", ("TruncatedSVD", {"n_components": 3}), LOGISTIC),
    "kbest": partial(_made, "breast_cancer", ("SelectKBest", {"k": 8}), SCALER, LOGISTIC),
    "variance": partial(_made, "digits", ("VarianceThreshold", {}), LOGISTIC),
    "binarizer": partial(_made, "digits", ("Binarizer", {"threshold": 7.5}), ("BernoulliNB", {})),
    "bins": partial(_made, "iris", ("KBinsDiscretizer", {"n_bins": 4, "encode": "onehot-dense"}), LOGISTIC),
    "imputer-mean": partial(_made, "wine+nan", ("SimpleImputer", {}), SCALER, LOGISTIC),
    "imputer-tree": partial(_made, "breast_cancer+nan", ("SimpleImputer", {"strategy": "median"}), TREE),
    "missing-boosting": partial(_made, "breast_cancer+nan", ("HistGradientBoostingClassifier", {"max_iter": 10})),
    "missing-regression": partial(_made, "diabetes+nan", ("HistGradientBoostingRegressor", {"max_iter": 10})),
    "kmeans": partial(_made, "iris", ("KMeans", {"n_clusters": 3, "random_state": 0})),
    "isolation": partial(_made, "wine", ("IsolationForest", {"n_estimators": 10, "random_state": 0})),
    "one-class": partial(_made, "wine", SCALER, ("OneClassSVM", {})),
    "outlier-factor": partial(_made, "iris", SCALER, ("LocalOutlierFactor", {"novelty": True})),
    "mixture": partial(_made, "iris", ("GaussianMixture", {"n_components": 3, "random_state": 0})),
    "multi-target": partial(_made, "linnerud", ("LinearRegression", {})),
    "multi-target-mlp": partial(_made, "linnerud", SCALER, ("MLPRegressor", {"hidden_layer_sizes": (8,), "random_state": 0})),
}
