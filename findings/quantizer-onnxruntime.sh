#!/bin/sh
# Software:   onnxruntime 1.32.0 (onnxruntime.quantization), onnx 1.22.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      quantize_static gives a file that is off by some steps of 8 bits, or leaves an operator as it is: of a Gemm with alpha and beta, which it takes,
#             beta goes into the bias or stays an attribute; Clip stays unless the range of the quantized numbers does what it did.
# Behaviour:  beta is replaced by 1 and the bias left as it is, whatever beta was (but 0), in both formats; in operator form alpha multiplies the bias
#             too. A Clip behind a Conv is taken away also if its interval lies beside 0: ranges always hold 0, so 0 comes out of
#             Clip(1, 6). In operator form a Pad takes the scale of its input, and its constant is cut to that range. No
#             warning; the only sample is the one that is compared, and 16 bits do not help either.
# Seen:       off by, over the largest answer (QDQ, operators): plain Gemm 0.01 0.01; beta 3 0.57 0.77; alpha 1/4 0.00 0.69; Clip(-6, 6) 0.01
#             0.01; Clip(1, 6) 0.17 0.17; Pad of 0 0.01 0.01; Pad of 20 0.01 0.58; least of Clip(1, 6): 0.0 0.0
# Here:       a quantized file is compiled to what it says, so compare it with the float model before: zkvm compile knows only the file.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/quantize.py" <<'SOURCE'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

logging.disable(logging.ERROR)
random = np.random.default_rng(0)
FOLDER = sys.argv[1]


class Samples(CalibrationDataReader):
    """The sample that is compared, and nothing else: no number is outside of what was seen."""

    def __init__(self, sample):
        self.left = [{"x": sample}]

    def get_next(self):
        return self.left.pop() if self.left else None


def run(path, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def off(nodes, x, shape, constants):
    """How far each format is off, over the largest answer, and its least answer."""
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, of) for name, of in (("x", x.shape), ("y", shape))]
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, "model", ends[:1], ends[1:], arrays), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{FOLDER}/float.onnx")
    expected, found = run(f"{FOLDER}/float.onnx", x), []
    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        quantize_static(
            f"{FOLDER}/float.onnx", f"{FOLDER}/integers.onnx", Samples(x), quant_format=form, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )
        answer = run(f"{FOLDER}/integers.onnx", x)
        found.append((float(np.abs(answer - expected).max() / np.abs(expected).max()), float(answer.min())))
    return found


def gemm(**attributes):
    constants = {"w": random.standard_normal((16, 8)).astype(np.float32) / 4, "b": random.standard_normal(8).astype(np.float32)}
    return off([helper.make_node("Gemm", ["x", "w", "b"], ["y"], **attributes)], random.standard_normal((4, 16)).astype(np.float32), (4, 8), constants)


def convolution(operator, *numbers):
    """A convolution of 3 by 3, and one operator with constants behind it."""
    size = 6 if operator == "Pad" else 4
    constants = {"w": random.standard_normal((6, 4, 3, 3)).astype(np.float32) / 2}
    constants |= {f"k{index}": number for index, number in enumerate(numbers)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node(operator, ["c", *list(constants)[1:]], ["y"])]
    return off(nodes, random.standard_normal((1, 4, 6, 6)).astype(np.float32), (1, 6, size, size), constants)


border = np.array([0, 0, 1, 1] * 2)
found = {
    "plain Gemm": gemm(), "beta 3": gemm(beta=3.0), "alpha 1/4": gemm(alpha=0.25), "Clip(-6, 6)": convolution("Clip", np.float32(-6), np.float32(6)),
    "Clip(1, 6)": convolution("Clip", np.float32(1), np.float32(6)), "Pad of 0": convolution("Pad", border, np.float32(0)),
    "Pad of 20": convolution("Pad", border, np.float32(20)),
}
errors = {name: [error for error, _ in pair] for name, pair in found.items()}
least = [least for _, least in found["Clip(1, 6)"]]
print("off by, over the largest answer (QDQ, operators): " + "; ".join(f"{name} {a:.2f} {b:.2f}" for name, (a, b) in errors.items()), end="; ")
print(f"least of Clip(1, 6): {least[0]:.1f} {least[1]:.1f}")
right = [*errors["plain Gemm"], *errors["Clip(-6, 6)"], *errors["Pad of 0"], errors["alpha 1/4"][0], errors["Pad of 20"][0]]
wrong = [*errors["beta 3"], *errors["Clip(1, 6)"], errors["alpha 1/4"][1], errors["Pad of 20"][1]]
sys.exit(0 if max(right) < 0.05 and min(wrong) > 0.1 and least == [0, 0] else 1)
SOURCE
"$folder/venv/bin/python" "$folder/quantize.py" "$folder" 2>/dev/null
