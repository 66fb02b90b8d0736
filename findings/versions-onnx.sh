#!/bin/sh
# Software:   onnx 1.22.0 (onnx.version_converter), onnxruntime 1.32.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      convert_version writes the same model for another opset, as it does for a Softmax of opset 11, whose axis means all dimensions from there on: it
#             reshapes. What it cannot convert it refuses, as most ways down.
# Behaviour:  a Hardmax of opset 11 goes up as it is, and its axis means another thing then. A Softmax or LogSoftmax of opset 13 goes down as it
#             is, and is normalized over all dimensions behind its axis. Resize of opset 10 and Upsample of opset 9 go up without the attributes that say where
#             pixels lie, so that linear images are those of half pixels, and nearest ones take other pixels where the scale is no integer.
#             All of these are valid files, without a word.
# Seen:       off by, over the largest answer: Softmax 11 to 13 0.00; Upsample 9 to 11, nearest, by 2 0.00; Hardmax 11 to 13 1.00;
#             Softmax 13 to 11 0.76; LogSoftmax 13 to 11 0.79; Upsample 9 to 11, nearest, by 1.7 1.41; Upsample 9 to 11, linear
#             0.51; Resize 10 to 11, linear 0.51
# Here:       zkvm/ml/rewrites/versions.py converts files by rewritings of our own.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/versions.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper, version_converter

random = np.random.default_rng(0)
rows = random.standard_normal((2, 3, 4)).astype(np.float32)
image = random.standard_normal((1, 1, 5, 5)).astype(np.float32)


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def off(operator, x, before, after, scale=None, **attributes):
    """How far the converted model is off, over the largest answer."""
    shape = x.shape if scale is None else [int(size * factor) for size, factor in zip(x.shape, (1, 1, scale, scale), strict=True)]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, of) for name, of in (("x", x.shape), ("y", shape))]
    constants = [] if scale is None else [numpy_helper.from_array(np.array([1, 1, scale, scale], np.float32), "scales")]
    node = helper.make_node(operator, ["x", *(constant.name for constant in constants)], ["y"], **attributes)
    graph = helper.make_graph([node], "operator", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", before)], ir_version=7)
    expected, found = run(model, x), run(version_converter.convert_version(model, after), x)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


same = {"Softmax 11 to 13": off("Softmax", rows, 11, 13, axis=1), "Upsample 9 to 11, nearest, by 2": off("Upsample", image, 9, 11, 2, mode="nearest")}
other = {
    "Hardmax 11 to 13": off("Hardmax", rows, 11, 13, axis=1), "Softmax 13 to 11": off("Softmax", rows, 13, 11, axis=1),
    "LogSoftmax 13 to 11": off("LogSoftmax", rows, 13, 11, axis=1), "Upsample 9 to 11, nearest, by 1.7": off("Upsample", image, 9, 11, 1.7, mode="nearest"),
    "Upsample 9 to 11, linear": off("Upsample", image, 9, 11, 2, mode="linear"), "Resize 10 to 11, linear": off("Resize", image, 10, 11, 2, mode="linear"),
}
print("off by, over the largest answer: " + "; ".join(f"{name} {error:.2f}" for name, error in (same | other).items()))
sys.exit(0 if max(same.values()) < 1e-5 and min(other.values()) > 0.1 else 1)
SOURCE
"$folder/venv/bin/python" "$folder/versions.py"
