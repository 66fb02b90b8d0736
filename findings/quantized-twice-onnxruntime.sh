#!/bin/sh
# Software:   onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      of two pairs of QuantizeLinear and DequantizeLinear behind each other one goes away only if that changes nothing, as when both have the same
#             scale. Rounding to steps of 1 and then to steps of 1/8 gives whole numbers, where nothing is cut.
# Behaviour:  by default one pair of the two remains, with the finer of both scales and the narrower of both ranges: a coarse rounding goes away, whether
#             it is the first or the second. With zero points the scale that remains is one of neither: range by 255, rounded
#             anew. An output then holds numbers that its own DequantizeLinear cannot give. No word.
# Seen:       of -1.3 -0.3 0.1 0.3 0.7 1.2 5: steps of 1, then 1/8: plain -1 0 0 0 1 1 5, optimized -1.25 -0.25 0.125 0.25 0.75 1.25 5
#             1/8, then 1: plain -1 0 0 0 1 1 5, optimized -1.25 -0.25 0.125 0.25 0.75 1.25 5
#             with zero points: plain -1 0 0 0 1 1 5, optimized -1.316 -0.359 0.12 0.359 0.718 1.196 5.024
#             twice 1/8: plain -1.25 -0.25 0.125 0.25 0.75 1.25 5, optimized -1.25 -0.25 0.125 0.25 0.75 1.25 5
# Here:       a model with a DequantizeLinear is run without optimizations (zkvm/ml/onnx_runtime.py), and compiled to what the file says.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/twice.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.array([-1.3, -0.3, 0.1, 0.3, 0.7, 1.2, 5], np.float32)
LEVELS = onnxruntime.GraphOptimizationLevel


def answers(*pairs):
    """x through pairs of QuantizeLinear and DequantizeLinear (scale, zero point), without optimizations and with the default ones."""
    nodes, constants, name = [], [], "x"
    for number, (scale, zero) in enumerate(pairs):
        names = [f"scale{number}", f"zero{number}"]
        constants += [numpy_helper.from_array(np.array(value), key) for key, value in zip(names, (np.float32(scale), np.int8(zero)), strict=True)]
        result = "y" if number == len(pairs) - 1 else f"real{number}"
        nodes += [helper.make_node("QuantizeLinear", [name, *names], [f"q{number}"]), helper.make_node("DequantizeLinear", [f"q{number}", *names], [result])]
        name = result
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, x.shape) for end in "xy"]
    model = helper.make_model(helper.make_graph(nodes, "pairs", ends[:1], ends[1:], constants), opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    results = []
    for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results.append(" ".join(f"{number + 0.0:.4g}" for number in np.round(session.run(None, {"x": x})[0].astype(float), 3)))
    return tuple(results)


found = {
    "steps of 1, then 1/8": answers((1, 0), (1 / 8, 0)), "1/8, then 1": answers((1 / 8, 0), (1, 0)),
    "with zero points": answers((1, 100), (1 / 8, -100)), "twice 1/8": answers((1 / 8, 0), (1 / 8, 0)),
}
for name, (plain, optimized) in found.items():
    print(f"{name}: plain {plain}, optimized {optimized}")
whole, eighths, neither = "-1 0 0 0 1 1 5", "-1.25 -0.25 0.125 0.25 0.75 1.25 5", "-1.316 -0.359 0.12 0.359 0.718 1.196 5.024"
sys.exit(0 if list(found.values()) == [(whole, eighths), (whole, eighths), (whole, neither), (eighths, eighths)] else 1)
SOURCE
"$folder/venv/bin/python" "$folder/twice.py"
