#!/bin/sh
# Software:   onnxoptimizer 0.4.2, onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      optimize takes a Pad of zeros into the pads of what follows where these mean zeros, as for a Conv, and leaves a Reshape whose 0 stands for a
#             dimension of the Reshape before it.
# Behaviour:  a Pad of zeros goes into a MaxPool, where padding is nothing: borders of negative numbers are no longer 0. It goes into an AveragePool that
#             has pads of its own and does not count these, and is not counted any more either. Of two Reshapes the first goes away also if the
#             second copies a dimension of it: the answer has another shape. By default, without a word.
# Seen:       off by: Pad, Conv 0.0; Pad, MaxPool 1.0; Pad, AveragePool without pads 0.0, with pads 0.2; shapes: Reshape 3 8, optimized
#             2 12
# Here:       nothing: zkvm does not use it. docs/ml.md says that the file is the model.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet 'onnxoptimizer==0.4.2' 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/pads.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
from onnx import helper, numpy_helper

image = np.full((1, 1, 4, 4), -1, np.float32)
CONSTANTS = {
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "w": np.ones((1, 1, 3, 3), np.float32), "first": np.array([3, 2, 4]), "second": np.array([0, -1]),
}
PAD = helper.make_node("Pad", ["x", "pads"], ["t"])


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def answers(nodes, x, dimensions):
    """Of the model, and of the optimized one."""
    used = {name for node in nodes for name in node.input}
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, of) for name, of in (("x", x.shape), ("y", ["?"] * dimensions))]
    arrays = [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items() if name in used]
    model = helper.make_model(helper.make_graph(nodes, "model", ends[:1], ends[1:], arrays), opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return run(model, x), run(onnxoptimizer.optimize(model), x)


def off(*nodes):
    expected, found = answers(nodes, image, 4)
    return float(np.abs(found - expected).max())


pool = {"kernel_shape": [3, 3]}
convolution = off(PAD, helper.make_node("Conv", ["t", "w"], ["y"]))
largest = off(PAD, helper.make_node("MaxPool", ["t"], ["y"], **pool))
mean = off(PAD, helper.make_node("AveragePool", ["t"], ["y"], **pool))
padded = off(PAD, helper.make_node("AveragePool", ["t"], ["y"], pads=[1, 1, 1, 1], **pool))
reshapes = [helper.make_node("Reshape", ["x", "first"], ["t"]), helper.make_node("Reshape", ["t", "second"], ["y"])]
shapes = [array.shape for array in answers(reshapes, np.zeros((2, 3, 4), np.float32), 2)]
print(f"off by: Pad, Conv {convolution:.1f}; Pad, MaxPool {largest:.1f}; Pad, AveragePool without pads {mean:.1f}, with pads {padded:.1f}", end="; ")
print("shapes: Reshape {} {}, optimized {} {}".format(*shapes[0], *shapes[1]))
sys.exit(0 if max(convolution, mean) < 1e-6 and min(largest, padded) > 0.1 and shapes == [(3, 8), (2, 12)] else 1)
SOURCE
"$folder/venv/bin/python" "$folder/pads.py"
