#!/bin/sh
# Software:   onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64 with AVX-512 VNNI
# Guess:      a quantized Gemm gives the same steps with and without onnxruntime's optimizations, but for one where a rounding falls otherwise. Its bias is
#             an int32 tensor with a DequantizeLinear of its own, which has its own scale; the fused operator adds the bias in units
#             of the product of the other two scales, so where the scale is another one it has to be converted, or nothing is fused.
# Behaviour:  Gemm, and MatMul with Add, are fused, and the bias' scale is not looked at: its integers are added as they are, and the answer is that of
#             another bias. No warning. Without optimizations (and in onnx's reference evaluator) it is the file's. A Conv is right.
# Seen:       steps off, of 256: bias in the product's scale: Conv 0, Gemm 0, MatMul 0; in a scale 16 times as large: Conv 0,
#             Gemm 13, MatMul 13
# Here:       models with a DequantizeLinear are run without optimizations (zkvm/ml/onnx_runtime.py), and compiled to what the file says: the
#             answers of a service that runs the file with the defaults can be others than a receipt's.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/bias.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)
x = random.uniform(-1, 1, (4, 36)).astype(np.float32)
weights = random.integers(-127, 128, (36, 5)).astype(np.int8)
bias = random.integers(-1000, 1000, 5).astype(np.int32)
LEVELS = onnxruntime.GraphOptimizationLevel


def steps(operator, bias_scale):
    """The largest difference between the model with and without optimizations, in steps of the result's scale."""
    shape, kernel, result = ((4, 36), weights, [4, 5]) if operator != "Conv" else ((4, 36, 1), weights.T.reshape(5, 36, 1), [4, 5, 1])
    constants = {
        "w": kernel, "b": bias, "ws": np.float32(2**-7), "xs": np.float32(2**-7), "bs": np.float32(bias_scale), "ys": np.float32(2**-4),
        "zero": np.int8(0), "zero32": np.int32(0),
    }
    layer = [helper.make_node(operator, ["xd", "wd", "bd"], ["c"])]
    if operator == "MatMul":
        layer = [helper.make_node("MatMul", ["xd", "wd"], ["product"]), helper.make_node("Add", ["product", "bd"], ["c"])]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "zero"], ["xq"]), helper.make_node("DequantizeLinear", ["xq", "xs", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "zero"], ["wd"]), helper.make_node("DequantizeLinear", ["b", "bs", "zero32"], ["bd"]),
        *layer,
        helper.make_node("QuantizeLinear", ["c", "ys", "zero"], ["cq"]), helper.make_node("DequantizeLinear", ["cq", "ys", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "layer", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    results = []
    for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"x": x.reshape(shape)})[0])
    return round(float(np.abs(results[0] - results[1]).max()) * 16)


same, other = ([(operator, steps(operator, scale)) for operator in ("Conv", "Gemm", "MatMul")] for scale in (2**-14, 2**-10))
text = [", ".join(f"{operator} {count}" for operator, count in found) for found in (same, other)]
print(f"steps off, of 256: bias in the product's scale: {text[0]}; in a scale 16 times as large: {text[1]}")
sys.exit(0 if max(count for _, count in same) <= 1 and other[0][1] <= 1 and min(other[1][1], other[2][1]) > 5 else 1)
SOURCE
"$folder/venv/bin/python" "$folder/bias.py"
