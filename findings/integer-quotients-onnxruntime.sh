#!/bin/sh
# Software:   onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      an optimization that makes k / x of (1 / x) * k is for floats, where it saves a rounding: of integers 1 / x is 0 for every x above 1, and so
#             is the product.
# Behaviour:  it is done for int64 and int32 too, by default, without a word: 6 * (1 / x) is 6 / x. Divisions by other numbers than 1 stay.
# Seen:       x 1 2 3 4 -1 7: plain 6 0 0 0 -6 0, optimized 6 3 2 1 -6 0; int32: plain 6 0 0 0 -6 0, optimized 6 3 2 1 -6 0; 2 / x: plain
#             12 6 0 0 -12 0, optimized 12 6 0 0 -12 0
# Here:       the reference of zkvm/ml/gate.py runs without this optimization (zkvm/ml/onnx_runtime.py), and a test has the model; before, it was
#             refused because its right answers were not the reference's.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/quotients.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

LEVELS = onnxruntime.GraphOptimizationLevel


def answers(dtype, numerator):
    """6 * (numerator / x) without optimizations, and with those that are the default."""
    x = np.array([1, 2, 3, 4, -1, 7], dtype)
    ends = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for name in "xy"]
    nodes = [helper.make_node("Div", ["numerator", "x"], ["quotient"]), helper.make_node("Mul", ["quotient", "six"], ["y"])]
    constants = [numpy_helper.from_array(np.array(number, dtype), name) for name, number in (("numerator", numerator), ("six", 6))]
    model = helper.make_model(helper.make_graph(nodes, "quotients", ends[:1], ends[1:], constants), opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    results = []
    for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        results.append(onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0].tolist())
    return results


found = {"x 1 2 3 4 -1 7": answers(np.int64, 1), "int32": answers(np.int32, 1), "2 / x": answers(np.int64, 2)}
print("; ".join(f"{name}: plain {' '.join(map(str, plain))}, optimized {' '.join(map(str, optimized))}" for name, (plain, optimized) in found.items()))
ones, twos = ([6, 0, 0, 0, -6, 0], [6, 3, 2, 1, -6, 0]), ([12, 6, 0, 0, -12, 0],) * 2
sys.exit(0 if [tuple(pair) for pair in found.values()] == [ones, ones, twos] else 1)
SOURCE
"$folder/venv/bin/python" "$folder/quotients.py"
