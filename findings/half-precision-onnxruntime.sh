#!/bin/sh
# Software:   onnxruntime 1.32.0, onnx 1.22.0 (with its reference evaluator), numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      a float16 model gives numbers of float16: each result is rounded to 11 bits, and what exceeds 65504 is infinite, as on a GPU. At least
#             a Cast to float16 that the file has does so, and without optimizations every node does what it says.
# Behaviour:  a processor's kernels for most operators take float32 alone, so casts are put around them; of a cast to float16 and one back nothing is left,
#             be they the runtime's or the file's, at any level of optimization. Whole models are computed in float32 and rounded at their
#             end. Two casts beside each other do round, and so do operators that only move numbers. The reference evaluator rounds all.
# Seen:       reference, without optimizations, with: (x + 1) - x of 2048 in float16: 0 1 1; x * x / 100 of 300: inf 900 900; Cast to float16, Relu, Cast of
#             1.2345: 1.234375 1.2345 1.2345; of 70000: inf 70000 70000; Cast, Cast of 70000: inf inf inf; Cast, Transpose, Cast: inf inf inf
# Here:       guests compute such models in float32 throughout (zkvm/ml/number_types.py), which is what the runtime does but where it only
#             moves numbers between two casts; docs/ml.md says so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/half.py" <<'SOURCE'
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

warnings.simplefilter("ignore")
Level = onnxruntime.GraphOptimizationLevel
HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT


def answers(nodes, x, kind, **constants):
    """Of one number: the reference evaluator's, the runtime's without optimizations and with all."""
    ends = [helper.make_tensor_value_info(name, kind, [1]) for name in "xy"]
    arrays = [numpy_helper.from_array(np.array(value, np.float16), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "half", ends[:1], ends[1:], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    inputs = {"x": np.array([x], np.float16 if kind == HALF else np.float32)}
    found = [ReferenceEvaluator(model).run(None, inputs)[0]]
    for level in (Level.ORT_DISABLE_ALL, Level.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        found.append(onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, inputs)[0])
    return [float(np.float32(array[0])) for array in found]


def between_casts(operator, x):
    """The number cast to float16, through an operator or none, and cast back."""
    inner = [helper.make_node(operator, ["half"], ["result"])] if operator else []
    last = helper.make_node("Cast", ["result" if operator else "half"], ["y"], to=FLOAT)
    return answers([helper.make_node("Cast", ["x"], ["half"], to=HALF), *inner, last], x, FLOAT)


plus = [helper.make_node("Add", ["x", "one"], ["more"]), helper.make_node("Sub", ["more", "x"], ["y"])]
square = [helper.make_node("Mul", ["x", "x"], ["square"]), helper.make_node("Div", ["square", "hundred"], ["y"])]
found = {"(x + 1) - x of 2048 in float16": answers(plus, 2048, HALF, one=1)}
found["x * x / 100 of 300"] = answers(square, 300, HALF, hundred=100)
found["Cast to float16, Relu, Cast of 1.2345"] = between_casts("Relu", 1.2345)
found["of 70000"] = between_casts("Relu", 70000)
found["Cast, Cast of 70000"] = between_casts("", 70000)
found["Cast, Transpose, Cast"] = between_casts("Transpose", 70000)
print("reference, without optimizations, with: " + "; ".join(f"{name}: " + " ".join(f"{number:.7g}" for number in row) for name, row in found.items()))
*lost, pair, moved = found.values()
as_seen = all(first != second == third for first, second, third in lost) and {*pair, *moved} == {np.inf}
sys.exit(0 if as_seen and lost[2][1] == np.float32(1.2345) and lost[0][0] == 0 else 1)
SOURCE
"$folder/venv/bin/python" "$folder/half.py"
