#!/bin/sh
# Software:   onnxscript 0.7.2 with onnx-ir 1.1.0, onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      onnxscript.optimizer.optimize (PyTorch's exporter calls optimize_ir of it) keeps every answer: two Clips become one of their common interval
#             if they have one, a Relu behind a Clip raises its lower end, and constants are folded to what a runtime would compute.
# Behaviour:  where there is no common interval the one Clip has a lower end above its upper one, which gives the upper one: Relu of
#             Clip(-1, -0.5) is -0.5 and not 0, Clip(0.5, 1) of it -0.5 and not 0.5. The other orders are right. Constants are folded by onnx's
#             reference evaluator, with its errors in pools: a mean of ones is 0.44. No word.
# Seen:       Relu of Clip(-1, -0.5): 0.00, optimized -0.50; Clip(0.5, 1) of it: 0.50, optimized -0.50; Clip(-1, -0.5) of
#             Relu: -0.50, optimized -0.50; folded AveragePool of ones: 1.00, optimized 0.44
# Here:       nothing: zkvm does not use it. docs/ml.md says that the file is the model.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet 'onnxscript==0.7.2' 'onnx-ir==1.1.0' 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/optimize.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxruntime
import onnxscript.optimizer
from onnx import helper, numpy_helper

BOUNDS = {name: np.float32(value) for name, value in (("a", -1), ("b", -0.5), ("c", 0.5), ("d", 1))}
IMAGE = {"image": np.ones((1, 1, 10, 10), np.float32)}
CLIP, RELU = helper.make_node("Clip", ["x", "a", "b"], ["t"]), helper.make_node("Relu", ["t"], ["y"])
POOL = helper.make_node("AveragePool", ["image"], ["t"], kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1, count_include_pad=1)


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def least(nodes, constants, x, shape):
    """The least answer of the model, and of the optimized one."""
    used = {name for node in nodes for name in node.input}
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items() if name in used]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, of) for name, of in (("x", x.shape), ("y", shape))]
    model = helper.make_model(helper.make_graph(nodes, "model", ends[:1], ends[1:], arrays), opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return float(run(model, x).min()), float(run(onnxscript.optimizer.optimize(model), x).min())


line, zero = np.linspace(-2, 2, 9).astype(np.float32), np.zeros(1, np.float32)
found = {
    "Relu of Clip(-1, -0.5)": least([CLIP, RELU], BOUNDS, line, [9]),
    "Clip(0.5, 1) of it": least([CLIP, helper.make_node("Clip", ["t", "c", "d"], ["y"])], BOUNDS, line, [9]),
    "Clip(-1, -0.5) of Relu": least([helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Clip", ["t", "a", "b"], ["y"])], BOUNDS, line, [9]),
    "folded AveragePool of ones": least([POOL, helper.make_node("Add", ["t", "x"], ["y"])], IMAGE, zero, [1, 1, 4, 4]),
}
print("; ".join(f"{name}: {plain:.2f}, optimized {optimized:.2f}" for name, (plain, optimized) in found.items()))
expected = [(0, -0.5), (0.5, -0.5), (-0.5, -0.5), (1, 4 / 9)]
sys.exit(0 if np.allclose(list(found.values()), expected, atol=1e-3) else 1)
SOURCE
"$folder/venv/bin/python" "$folder/optimize.py"
