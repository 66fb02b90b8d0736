#!/bin/sh
# Software:   onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      Sigmoid of float32 has some 24 bits of its result, as exp has: a relative error of about 1e-7 also where results are small, say
#             6.1e-6 for -12 and 1.1e-7 for -16.
# Behaviour:  its error is absolute: for arguments below 0 results are multiples of 2^-25 and off by up to 4.7 of these. So a probability
#             around 1e-5 is off by up to some 2 %, between -14 and -12 by 14 %, below -16 by several times itself; below -18 it is 0. Who
#             takes the logarithm of such a score, or compares small scores, gets other answers than from 1 / (1 + exp(-x)).
# Seen:       -18 to -16: off by up to 4.63 x 2^-25, 679 % of the result; -14 to -12: 4.64 x 2^-25, 14.1 %; -12 to -8: 4.43 x 2^-25, 1.98 %;
#             all multiples of 2^-25: True; below -18: 0.0
# Here:       the gate of zkvm/ml/gate.py does not count so much of a difference in results of a Sigmoid (a text detector with no text to see
#             was refused for it); guests compute the sigmoid itself.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/sigmoid.py" <<'SOURCE'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

graph = helper.make_graph(
    [helper.make_node("Sigmoid", ["x"], ["y"])], "sigmoid",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
x = np.linspace(-20, 0, 2000001).astype(np.float32)
y = session.run(None, {"x": x})[0].astype(np.float64)
true = 1 / (1 + np.exp(-x.astype(np.float64)))
holds = True
for low, high, least in ((-18, -16, 1.0), (-14, -12, 0.1), (-12, -8, 0.01)):
    part = (x >= low) & (x < high)
    units, relative = np.abs(y - true)[part].max() * 2.0**25, (np.abs(y - true) / true)[part].max()
    print(f"{low} to {high}: off by up to {units:.2f} x 2^-25, {100 * relative:.3g} % of the result")
    holds &= bool(3 < units < 5 and relative > least)
multiples, lowest = bool((y * 2.0**25 == np.round(y * 2.0**25)).all()), float(y[x < -18].max())
print(f"all multiples of 2^-25: {multiples}; below -18: {lowest}")
sys.exit(0 if holds and multiples and lowest == 0 else 1)
SOURCE
"$folder/venv/bin/python" "$folder/sigmoid.py"
