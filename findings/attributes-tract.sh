#!/bin/sh
# Software:   tract 0.23.9, onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      tract, which reads ONNX for EZKL and others, refuses an attribute that it does not implement, as it refuses sequences of several lengths in one batch.
# Behaviour:  of recurrent layers it takes no notice of several, and computes the layer with their default values: direction "reverse" runs forward
#             ("bidirectional" is right), activations are Sigmoid and Tanh, clip and input_forget are nothing. The factor alpha of
#             Celu is missing for negative numbers. No word.
# Seen:       off by, over the largest answer: RNN forward 0.00, RNN bidirectional 0.00, GRU forward 0.00, GRU bidirectional 0.00, LSTM forward
#             0.00, LSTM bidirectional 0.00, RNN reverse, from the forward one 0.00, Celu of alpha 1 0.00; RNN reverse 0.55, GRU
#             reverse 0.75, LSTM reverse 0.71, RNN, activation Relu 0.50, LSTM, clip 3.57, LSTM, input_forget 0.41, Celu of
#             alpha 1/2 0.25, LSTM, HardSigmoid 0.08
# Here:       such models are compiled to what ONNX says; docs/from-ezkl.md says whose answers can differ.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet 'tract==0.23.9' 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/attributes.py" <<'SOURCE'
import sys

import numpy as np
import onnx
import onnxruntime
import tract
from onnx import helper, numpy_helper

random = np.random.default_rng(0)
steps = random.standard_normal((5, 1, 4)).astype(np.float32)
line = np.linspace(-2, 2, 9).astype(np.float32)
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
WEIGHTS = random.standard_normal((2, 8, 6)).astype(np.float32)


def answers(operator, x, shape, constants, **attributes):
    """By onnxruntime, and by tract."""
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, of) for name, of in (("x", x.shape), ("y", shape))]
    arrays = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    node = helper.make_node(operator, ["x", *constants], ["y"], **attributes)
    model = helper.make_model(helper.make_graph([node], "model", ends[:1], ends[1:], arrays), opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{sys.argv[1]}/model.onnx")
    expected = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    return expected, tract.onnx().load(f"{sys.argv[1]}/model.onnx").into_model().into_runnable().run([x])[0].to_numpy()


def recurrent(operator, direction="forward", **attributes):
    """A layer of two numbers over five steps; its weights do not depend on the direction."""
    directions, rows = 1 + (direction == "bidirectional"), 2 * GATES[operator]
    constants = {"w": WEIGHTS[:directions, :rows, :4], "r": WEIGHTS[:directions, :rows, 4:]}
    return answers(operator, steps, (5, directions, 1, 2), constants, hidden_size=2, direction=direction, **attributes)


def off(pair):
    expected, found = pair
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def celu(alpha):
    return off(answers("Celu", line, line.shape, {}, alpha=alpha))


right = {f"{operator} {direction}": off(recurrent(operator, direction)) for operator in GATES for direction in ("forward", "bidirectional")}
right["RNN reverse, from the forward one"] = off((recurrent("RNN")[0], recurrent("RNN", "reverse")[1]))
right["Celu of alpha 1"] = celu(1.0)
wrong = {f"{operator} reverse": off(recurrent(operator, "reverse")) for operator in GATES}
wrong |= {
    "RNN, activation Relu": off(recurrent("RNN", activations=["Relu"])), "LSTM, clip": off(recurrent("LSTM", clip=0.2)),
    "LSTM, input_forget": off(recurrent("LSTM", input_forget=1)), "Celu of alpha 1/2": celu(0.5),
    "LSTM, HardSigmoid": off(recurrent("LSTM", activations=["HardSigmoid", "Tanh", "Tanh"])),
}
print("off by, over the largest answer: " + ", ".join(f"{name} {error:.2f}" for name, error in right.items()), end="; ")
print(", ".join(f"{name} {error:.2f}" for name, error in wrong.items()))
sys.exit(0 if max(right.values()) < 1e-3 and min(wrong.values()) > 0.02 else 1)
SOURCE
"$folder/venv/bin/python" "$folder/attributes.py" "$folder"
