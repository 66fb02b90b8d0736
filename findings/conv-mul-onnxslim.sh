#!/bin/sh
# Software:   onnxslim 0.1.98, onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      the simplifier merges a product behind a Conv into its weights only if it is one factor for each channel, of shape (C, 1, 1); a constant of
#             shape (C,) is broadcast along the last dimension, the image's columns, and stays (the same with a sum is left as it is).
# Behaviour:  any constant that has C elements in one dimension is taken for one factor a channel, wherever that dimension is. If the image
#             has C columns or rows the model was valid, and the result is a valid model of another function, without a word.
# Seen:       6 channels of 6 x 6, factors of shape (6, 1, 1): 0.00; (6,): 0.88; (6, 1): 1.52 (largest error over the largest
#             result); sum of shape (6,): 0.00
# Here:       zkvm/ml/importer.py runs the model before and after the simplifier, and goes on without it where answers differ; a test has
#             this model. Before, the gate refused it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet 'onnxslim==0.1.98' 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/slim.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxruntime
import onnxslim
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)
image = random.standard_normal((1, 4, 8, 8)).astype(np.float32)
weights = random.standard_normal((6, 4, 3, 3)).astype(np.float32)


def run(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": image})[0]


def error(operator, shape):
    """How far the simplified model's result is off, over the largest result."""
    constant = random.standard_normal(shape).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node(operator, ["c", "k"], ["y"])], "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6, 6, 6])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(constant, "k")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    expected = run(model)
    return float(np.abs(run(onnxslim.slim(model)) - expected).max() / np.abs(expected).max())


right, row, column, total = error("Mul", (6, 1, 1)), error("Mul", (6,)), error("Mul", (6, 1)), error("Add", (6,))
print(f"6 channels of 6 x 6, factors of shape (6, 1, 1): {right:.2f}; (6,): {row:.2f}; (6, 1): {column:.2f} (largest error over the largest result)", end="; ")
print(f"sum of shape (6,): {total:.2f}")
sys.exit(0 if max(right, total) < 1e-5 and min(row, column) > 0.1 else 1)
SOURCE
"$folder/venv/bin/python" "$folder/slim.py"
