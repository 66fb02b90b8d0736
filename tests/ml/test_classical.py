"""Models that scikit-learn, XGBoost and LightGBM exporters really wrote: labels, probabilities and values agree with theirs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.ml.models import check, run_guest
from zkvm.ml.compiler import Options, float_outputs, import_file, integer_model
from zkvm.ml.ir import evaluate

pytest.importorskip("skl2onnx", reason="the dev extra has the exporters")

from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes, load_iris
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, MinMaxScaler, Normalizer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

IRIS, SPECIES = load_iris(return_X_y=True)
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
SAMPLES = 12

CLASSIFIERS = {
    "logistic": LogisticRegression(max_iter=500),
    "tree": DecisionTreeClassifier(max_depth=4, random_state=0),
    "forest": RandomForestClassifier(n_estimators=8, max_depth=4, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=5, random_state=0),
    "scaled svm": make_pipeline(StandardScaler(), SVC(C=1.0)),
    "linear svm": LinearSVC(),
    "perceptron": make_pipeline(MinMaxScaler(), MLPClassifier(hidden_layer_sizes=(12,), max_iter=300, random_state=0)),
    "normalized": make_pipeline(Normalizer(), LogisticRegression(max_iter=500)),
}
REGRESSORS = {
    "linear": LinearRegression(),
    "ridge": make_pipeline(StandardScaler(), Ridge()),
    "tree": DecisionTreeRegressor(max_depth=5, random_state=0),
    "forest": RandomForestRegressor(n_estimators=6, max_depth=5, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=8, random_state=0),
    "svr": make_pipeline(StandardScaler(), SVR(C=100.0)),
    "perceptron": make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(16,), max_iter=500, random_state=0)),
}


def samples_of(data: NDArray[Any], name: str) -> list[dict[str, NDArray[Any]]]:
    chosen = np.random.default_rng(0).choice(len(data), SAMPLES, replace=False)
    return [{name: data[index : index + 1].astype(np.float32)} for index in chosen]


def exported(model: Any, data: NDArray[Any], target: NDArray[Any], **options: Any) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(data, target)
        proto: onnx.ModelProto = to_onnx(model, data[:1].astype(np.float32), target_opset={"": 18, "ai.onnx.ml": 3}, **options)
    return proto


def agree(proto: onnx.ModelProto, data: NDArray[Any], tolerance: float) -> None:
    """All outputs of all samples: labels equal, numbers within the tolerance; the guest gives the same bits (on the first)."""
    samples = samples_of(data, proto.graph.input[0].name)
    made = check(proto, samples[:1], 1.0)
    calibrated = check_calibrated(proto, samples)
    assert made.model.inputs[0].name == calibrated.model.inputs[0].name
    for sample, expected in zip(samples, float_outputs(calibrated.imported, samples), strict=True):
        integers, _ = calibrated.model.quantize([sample[port.name] for port in calibrated.imported.inputs])
        results = evaluate(calibrated.graph, integers)
        for value, result, real in zip(calibrated.graph.outputs, results, expected, strict=True):
            numbers = value.dequantize(result).astype(np.float64)
            if real.dtype.kind == "i":
                assert numbers.reshape(-1).tolist() == real.reshape(-1).tolist()
            else:
                np.testing.assert_allclose(numbers.reshape(-1), real.astype(np.float64).reshape(-1), atol=tolerance)
    integers, _ = calibrated.model.quantize([samples[0][port.name] for port in calibrated.imported.inputs])
    journal, _ = run_guest(calibrated, integers)
    assert journal == calibrated.journal(evaluate(calibrated.graph, integers))


def check_calibrated(proto: onnx.ModelProto, samples: list[dict[str, NDArray[Any]]]) -> Any:
    from tests.ml.models import compiled

    return compiled(proto, samples)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name: str) -> None:
    agree(exported(CLASSIFIERS[name], IRIS, SPECIES), IRIS, 0.01)


def test_two_classes() -> None:
    for model in (LogisticRegression(max_iter=500), GradientBoostingClassifier(n_estimators=4), RandomForestClassifier(5, random_state=0)):
        agree(exported(model, IRIS, SPECIES == 2), IRIS, 0.01)


def test_naive_bayes() -> None:
    agree(exported(GaussianNB(), IRIS, SPECIES), IRIS, 0.02)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor(name: str) -> None:
    agree(exported(REGRESSORS[name], DIABETES, PROGRESS), DIABETES, 0.01 * float(np.ptp(PROGRESS)))


def test_encoders() -> None:
    categories = np.array([[0, 3], [1, 5], [2, 3], [1, 7]], np.int64)
    proto = exported(OneHotEncoder(sparse_output=False), categories, np.zeros(4))
    name = proto.graph.input[0].name
    check(
        to_onnx(OneHotEncoder(sparse_output=False).fit(categories), categories[:1], target_opset={"": 18, "ai.onnx.ml": 3}),
        [{name: categories[1:2]}],
    )
    agree(exported(Binarizer(threshold=0.01), DIABETES, PROGRESS), DIABETES, 0.0)


def boosted(library: str, classes: bool) -> onnx.ModelProto:
    """Six small trees per class, or in all, as XGBoost or LightGBM exports them."""
    module = pytest.importorskip(library)
    converters = pytest.importorskip("onnxmltools")
    from onnxmltools.convert.common.data_types import FloatTensorType

    data, target = (IRIS, SPECIES) if classes else (DIABETES, PROGRESS)
    kind = {"xgboost": "XGB", "lightgbm": "LGBM"}[library] + ("Classifier" if classes else "Regressor")
    options: dict[str, Any] = {"n_estimators": 6, "max_depth": 3} | ({"verbose": -1} if library == "lightgbm" else {})
    model = getattr(module, kind)(**options).fit(data, target)
    convert = getattr(converters, f"convert_{library}")
    proto: onnx.ModelProto = convert(model, initial_types=[("x", FloatTensorType([None, data.shape[1]]))], target_opset=15)
    return proto


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("task", ["classes", "values"])
def test_boosted_trees(library: str, task: str) -> None:
    if task == "classes":
        agree(boosted(library, True), IRIS, 0.01)
    else:
        agree(boosted(library, False), DIABETES, 0.01 * float(np.ptp(PROGRESS)))


def test_outputs_have_the_shapes_of_the_float_model() -> None:
    """An ArrayFeatureExtractor of a list of classes makes a row of labels."""
    proto = exported(QuadraticDiscriminantAnalysis(), IRIS, SPECIES)
    assert "ArrayFeatureExtractor" in {node.op_type for node in proto.graph.node}
    samples = samples_of(IRIS, proto.graph.input[0].name)
    options = Options()
    imported = import_file(proto, options)
    graph = integer_model(imported, samples, options)[0].graph
    (expected,) = float_outputs(imported, samples[:1])
    assert [value.shape for value in graph.outputs] == [real.shape for real in expected] == [(1, 1), (1, 3)]
