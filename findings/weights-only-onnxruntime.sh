#!/bin/sh
# Software:   onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      a file with int8 weights, a DequantizeLinear for them and a float32 MatMul gives the product of floats: nothing in it quantizes x. What the
#             runtime does to be faster changes last digits. A feature whose weights are 0 does not matter, however large it is.
# Behaviour:  by default such a MatMul or Gemm is run with x rounded to 8 bits as well, a scale for 32 elements each. Answers are off by one
#             percent where elements are alike; beside one large element the other 31 are lost, also if its weights are 0. No word.
#             The setting session.qdq_matmulnbits_accuracy_level (0 or 1; it is 4 if nothing is said) gives the file's answers.
# Seen:       off by, over the largest answer: ignored feature 0: 0.0084; 10: 0.0207; 100: 0.1732; 1000: 0.7190; 1000, Gemm: 0.7190; 1000,
#             weights as floats: 0.0000; 1000, accuracy level 0: 0.0000
# Here:       a model with a DequantizeLinear is run without optimizations (zkvm/ml/onnx_runtime.py), and compiled to what the file says.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/weights.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)
SCALE = np.full(4, 2**-7, np.float32)
weights = random.integers(-100, 100, (64, 4)).astype(np.int8)
weights[0] = 0
others = random.standard_normal((3, 64)).astype(np.float32)


def off(feature, operator="MatMul", quantized=True, level=None):
    """How far the answers are from the product in double precision, over the largest one; the first feature has weights of 0."""
    x = others.copy()
    x[:, 0] = feature
    real = weights * SCALE
    nodes = [helper.make_node("DequantizeLinear", ["w", "s"], ["real"], axis=1), helper.make_node(operator, ["x", "real"], ["y"])]
    constants = {"w": weights, "s": SCALE} if quantized else {"real": real}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [3, 64]), ("y", [3, 4]))]
    arrays = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes[0 if quantized else 1 :], "layer", ends[:1], ends[1:], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    if level is not None:
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", level)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = x.astype(np.float64) @ real
    return float(np.abs(session.run(None, {"x": x})[0] - expected).max() / np.abs(expected).max())


found = {f"ignored feature {size}" if size == 0 else str(size): off(size) for size in (0, 10, 100, 1000)}
found["1000, Gemm"] = off(1000, "Gemm")
exact = {"1000, weights as floats": off(1000, quantized=False), "1000, accuracy level 0": off(1000, level="0")}
print("off by, over the largest answer: " + "; ".join(f"{name}: {error:.4f}" for name, error in (found | exact).items()))
grows = 1e-3 < found["ignored feature 0"] < 0.05 < found["100"] < found["1000"]
sys.exit(0 if grows and found["1000, Gemm"] > 0.3 and max(exact.values()) < 1e-4 else 1)
SOURCE
"$folder/venv/bin/python" "$folder/weights.py"
