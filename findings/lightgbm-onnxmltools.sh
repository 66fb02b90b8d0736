#!/bin/sh
# Software:   onnxmltools 1.16.0 (with skl2onnx 1.20.0), lightgbm 4.7.0, onnxruntime 1.32.0, onnx 1.22.0, Python 3.11, Linux x86-64
# Guess:      convert_lightgbm gives a model with LightGBM's predictions, but for roundings to float32, or an error for what it cannot write
#             down; as it refuses the objective cross_entropy.
# Behaviour:  of several options it takes no notice, and gives a valid model with other predictions, without a word: linear_tree (the leaves'
#             linear functions are dropped, constants remain); reg_sqrt (results are not squared); sigmoid (the factor is taken for 1);
#             multiclassova (a softmax in place of a sigmoid for each class); and random forests (boosting_type rf) are the sum of
#             the trees divided by 100, whatever number of trees there are.
# Seen:       largest error, over the range of the predictions: plain 0.000, linear_tree 0.153, reg_sqrt 0.807, sigmoid=2 0.167,
#             multiclassova 0.402, rf of 100 trees 0.000, rf of 20 trees 0.875
# Here:       nothing: the ONNX file is the model. docs/ml.md says to compare it with what it was made from.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet 'onnxmltools==1.16.0' 'skl2onnx==1.20.0' 'lightgbm==4.7.0' 'onnxruntime==1.32.0' 'onnx==1.22.0' \
    'scikit-learn==1.9.1' 'numpy==2.4.6' || exit 2
cat > "$folder/compare.py" <<'SOURCE'
import sys
import warnings

import lightgbm
import numpy as np
import onnx
import onnxruntime
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

warnings.filterwarnings("ignore")
random = np.random.default_rng(0)
x = random.integers(0, 12, (600, 6)).astype(np.float32)  # small integers: no roundings of thresholds
y = x[:, 0] * 0.7 + x[:, 1] * x[:, 2] * 0.1 + random.random(600)
three = np.digitize(y, np.quantile(y, [0.33, 0.66]))


def error(kind, target, trees=20, **options):
    """The largest difference of predictions between LightGBM and the converted model, over their range."""
    model = kind(n_estimators=trees, min_child_samples=5, verbose=-1, **options).fit(x, target)
    converted = convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 6]))], target_opset=15, zipmap=False)
    onnx.checker.check_model(converted, full_check=True)
    found = onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": x})[-1]
    expected = model.predict_proba(x) if kind is lightgbm.LGBMClassifier else model.predict(x).reshape(-1, 1)
    return round(float(np.abs(found - expected).max() / np.ptp(expected)), 3)


regressor, classifier = lightgbm.LGBMRegressor, lightgbm.LGBMClassifier
forest = {"boosting_type": "rf", "subsample": 0.6, "subsample_freq": 1}
errors = {
    "plain": error(regressor, y),
    "linear_tree": error(regressor, y, linear_tree=True),
    "reg_sqrt": error(regressor, y, reg_sqrt=True),
    "sigmoid=2": error(classifier, (y > np.median(y)).astype(int), sigmoid=2.0),
    "multiclassova": error(classifier, three, objective="multiclassova"),
    "rf of 100 trees": error(regressor, y, 100, **forest),
    "rf of 20 trees": error(regressor, y, **forest),
}
print("largest error, over the range of the predictions:", ", ".join(f"{name} {value:.3f}" for name, value in errors.items()))
right = {"plain", "rf of 100 trees"}
sys.exit(0 if all((value < 0.001) if name in right else (value > 0.05) for name, value in errors.items()) else 1)
SOURCE
"$folder/venv/bin/python" "$folder/compare.py"
