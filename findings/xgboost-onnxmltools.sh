#!/bin/sh
# Software:   onnxmltools 1.16.0 (with skl2onnx 1.20.0), xgboost 3.2.0, onnxruntime 1.32.0, onnx 1.22.0, Python 3.11, Linux x86-64
# Guess:      convert_xgboost gives a model with XGBoost's predictions, but for roundings, or an error for what it cannot write down; as it
#             refuses a DART booster, a linear one, and a number that stands for missing values.
# Behaviour:  of regressors with a logistic objective the model gives the sums, not their sigmoid. With several trees a round (num_parallel_tree,
#             XGBRFClassifier) and three classes, a tree's class is its number modulo 3: half of the labels are others. With several targets or
#             quantiles all trees count for the first, and the others' columns are 0. Each is a valid model, without a word.
# Seen:       largest error, over the range of the predictions: squarederror 0.00, poisson 0.00, logistic 5.71, two targets
#             0.67, two quantiles 1.04; labels that differ, of 600: 3 classes 0, forest of 2 classes 0, forest of 3 classes 334
# Here:       nothing: the ONNX file is the model. docs/ml.md says to compare it with what it was made from.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet 'onnxmltools==1.16.0' 'skl2onnx==1.20.0' 'onnxruntime==1.32.0' 'onnx==1.22.0' \
    'scikit-learn==1.9.1' 'scipy==1.17.1' 'numpy==2.4.6' || exit 2
"$folder/venv/bin/python" -m pip install --quiet --no-deps 'xgboost==3.2.0' || exit 2  # without its packages for GPUs
cat > "$folder/compare.py" <<'SOURCE'
import sys
import warnings

import numpy as np
import onnxruntime
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

warnings.filterwarnings("ignore")
onnxruntime.set_default_logger_severity(3)
random = np.random.default_rng(0)
x = random.integers(0, 12, (600, 6)).astype(np.float32)
y = x[:, 0] * 0.7 + x[:, 1] * x[:, 2] * 0.1 + random.random(600)
two, three = (y > np.median(y)).astype(int), np.digitize(y, np.quantile(y, [0.33, 0.66]))


def converted(model, target):
    """Predictions of XGBoost, and the first output of the converted model."""
    model.fit(x, target)
    proto = convert_xgboost(model, initial_types=[("x", FloatTensorType([None, 6]))], target_opset=15)
    found = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
    return model.predict(x).reshape(found.shape), found


def error(target, **options):
    expected, found = converted(xgboost.XGBRegressor(n_estimators=20, max_depth=3, **options), target)
    return float(np.abs(expected - found).max() / np.ptp(expected))


def labels(kind, target):
    expected, found = converted(kind(n_estimators=20), target)
    return int((expected != found).sum())


errors = {
    "squarederror": error(y),
    "poisson": error(y, objective="count:poisson"),
    "logistic": error(two, objective="reg:logistic"),
    "two targets": error(np.stack([y, -2 * y], axis=1)),
    "two quantiles": error(y, objective="reg:quantileerror", quantile_alpha=[0.3, 0.6]),
}
differ = {
    "3 classes": labels(xgboost.XGBClassifier, three),
    "forest of 2 classes": labels(xgboost.XGBRFClassifier, two),
    "forest of 3 classes": labels(xgboost.XGBRFClassifier, three),
}
print("largest error, over the range of the predictions:", ", ".join(f"{name} {value:.2f}" for name, value in errors.items()), end="; ")
print("labels that differ, of 600:", ", ".join(f"{name} {count}" for name, count in differ.items()))
right = {"squarederror", "poisson"}
holds = all((value < 0.001) if name in right else (value > 0.1) for name, value in errors.items())
sys.exit(0 if holds and list(differ.values())[:2] == [0, 0] and differ["forest of 3 classes"] > 100 else 1)
SOURCE
"$folder/venv/bin/python" "$folder/compare.py"
