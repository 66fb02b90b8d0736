#!/bin/sh
# Software:   ezkl 23.0.5, onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      what EZKL makes a circuit of computes the ONNX model, but for quantization, or is refused, as are Pad with another mode than zeros, Resize by
#             interpolation, dilations and others.
# Behaviour:  some operators are others: padding of a MaxPool is 0, not nothing, so a border of negative numbers becomes 0; an AveragePool divides by
#             all of the window also where padding is left out, which is ONNX's default; a Cast to an integer rounds down, not towards 0;
#             Trilu keeps numbers outside of the triangle; a Celu lacks its factor alpha below 0, and a recurrent layer of direction "reverse" runs
#             forward (tract reads the files: attributes-tract.sh has more). Settings, calibration, circuit and witness are made without an error; the witness, of which
#             a proof is made, holds the answer of another model. Pools whose numbers are all positive hide the first.
# Seen:       wrong: MaxPool AveragePool Cast Trilu Celu RNN
#             MaxPool 0.0 0.0 0.0 0.0, not -2.0 -2.0 -2.0 -2.0; AveragePool -0.9 -0.9 -0.9 -0.9, not -2.0 -2.0 -2.0 -2.0;
#             Cast -2.0 -1.0 0.0 1.0, not -1.0 -0.0 0.0 1.0; Trilu 1.0 0.0 0.0 4.0 5.0 6.0 7.0 8.0 9.0, not 1.0 0.0 0.0 4.0 5.0 0.0 7.0 8.0 9.0;
#             Celu -1.0 -0.6 0.5 1.5, not -0.5 -0.3 0.5 1.5; RNN -0.9 -0.7 0.1 0.9, not -0.9 -0.1 0.7 0.9
# Here:       such models are compiled to what ONNX says; docs/from-ezkl.md says whose answers can differ.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'ezkl==23.0.5' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/operators.py" <<'SOURCE'
import json
import sys

import ezkl
import numpy as np
import onnx
from onnx import TensorProto, helper

image = np.full((1, 1, 4, 4), -2, np.float32)
square = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
pool = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [3, 3]}
row = np.array([[-1.5, -0.5, 0.5, 1.5]], np.float32)
after = [np.tanh(1.5)]  # what a recurrent layer that begins at the end makes of row, with weights of 1 and 1/2
for number in row[0, -2::-1]:
    after.insert(0, np.tanh(number + after[0] / 2))
weights = [helper.make_tensor(name, TensorProto.FLOAT, [1, 1, 1], [number]) for name, number in (("w", 1.0), ("r", 0.5))]
recurrent = helper.make_node("RNN", ["x", "w", "r"], ["y"], hidden_size=1, direction="reverse")
cases = {  # nodes, input, and what ONNX defines
    "MaxPool": ([helper.make_node("MaxPool", ["x"], ["y"], **pool)], image, np.full((1, 1, 2, 2), -2)),
    "AveragePool": ([helper.make_node("AveragePool", ["x"], ["y"], **pool)], image, np.full((1, 1, 2, 2), -2)),
    "Cast": ([helper.make_node("Cast", ["x"], ["i"], to=6), helper.make_node("Cast", ["i"], ["y"], to=1)], row, np.trunc(row)),
    "Trilu": ([helper.make_node("Trilu", ["x"], ["y"], upper=0)], square, np.tril(square)),
    "Celu": ([helper.make_node("Celu", ["x"], ["y"], alpha=0.5)], row, np.maximum(row, 0) + np.minimum(0, np.expm1(row * 2) / 2)),
    "RNN": ([recurrent], row.reshape(4, 1, 1), np.reshape(after, (4, 1, 1, 1))),
    "Round": ([helper.make_node("Round", ["x"], ["y"])], row, np.round(row)),
    "Relu": ([helper.make_node("Relu", ["x"], ["y"])], row, np.maximum(row, 0)),
}
wrong, text = [], []
for name, (nodes, x, expected) in cases.items():
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, array.shape) for end, array in (("x", x), ("y", expected))]
    graph = helper.make_graph(nodes, name, ends[:1], ends[1:], weights if name == "RNN" else [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    with open("input.json", "w") as file:
        json.dump({"input_data": [x.reshape(-1).tolist()]}, file)
    options = ezkl.PyRunArgs()
    options.input_scale = options.param_scale = 10
    ezkl.gen_settings("model.onnx", "settings.json", py_run_args=options)
    ezkl.calibrate_settings("input.json", "model.onnx", "settings.json", "accuracy", scales=[10])
    ezkl.compile_circuit("model.onnx", "circuit", "settings.json")
    ezkl.gen_witness("input.json", "circuit", "witness.json")
    with open("witness.json") as file:
        found = np.array([float(number) for number in json.load(file)["pretty_elements"]["rescaled_outputs"][0]])
    if np.abs(found - expected.reshape(-1)).max() > 0.1:
        wrong.append(name)
    text.append(f"{name} {' '.join(f'{number:.1f}' for number in found)}, not {' '.join(f'{number:.1f}' for number in expected.reshape(-1))}")
print("wrong:", *wrong)
print("; ".join(line for line, name in zip(text, cases, strict=True) if name in wrong))
sys.exit(0 if wrong == ["MaxPool", "AveragePool", "Cast", "Trilu", "Celu", "RNN"] else 1)
SOURCE
cd "$folder" && venv/bin/python operators.py 2> log
