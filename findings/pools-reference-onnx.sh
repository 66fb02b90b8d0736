#!/bin/sh
# Software:   onnx 1.22.0 (onnx.reference), onnxruntime 1.32.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      onnx.reference says what an operator's definition means, slowly; where a runtime differs, the runtime is wrong.
# Behaviour:  a MaxPool with strides of 1 whose padding is not the same on all four sides of the image gets its pads in another order: pads (0, 0, 1, 1) of
#             (6, 6) make it (5, 7). LpPool with ceil_mode takes numbers from beyond the image into its last windows that are no zeros, and
#             AveragePool with ceil_mode and count_include_pad divides by too much in some windows inside of the image. No
#             error. onnxruntime gives what the definitions say, in all of these.
# Seen:       MaxPool of (6, 6): definition (6, 6), onnxruntime (6, 6), reference (5, 7); ones, LpPool: last window 1.000, 1.000, 3.000;
#             ones, AveragePool: last row 1.00 1.00 1.00 1.00, 1.00 1.00 1.00 1.00, 0.67 1.00 1.00 1.00
# Here:       operators are tested against onnxruntime and numpy, not against the reference evaluator.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/pools.py" <<'SOURCE'
import sys
from math import ceil

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def defined(image, operator, kernel, stride, pads, up):
    """The definition: each window's numbers are those of its elements inside of the image. Padding is nothing, or counts where padding is."""
    size, (top, left, bottom, right) = len(image), pads
    count = [(ceil if up else int)((size + before + after - kernel) / stride) + 1 for before, after in ((top, bottom), (left, right))]
    result = np.zeros(count, np.float32)
    for row, column in np.ndindex(*count):
        rows, columns = (range(at * stride - before, at * stride - before + kernel) for at, before in ((row, top), (column, left)))
        inside = np.array([image[r, c] for r in rows for c in columns if 0 <= r < size and 0 <= c < size])
        padded = sum(r < size + bottom and c < size + right for r in rows for c in columns)
        result[row, column] = {"MaxPool": inside.max, "LpPool": lambda: np.sqrt((inside**2).sum()), "AveragePool": lambda: inside.sum() / padded}[operator]()
    return result


def pooled(image, operator, kernel, stride=1, pads=(0, 0, 0, 0), up=0, **attributes):
    """By the definition, by onnxruntime, and by the reference evaluator."""
    expected = defined(image, operator, kernel, stride, pads, up)
    node = helper.make_node(operator, ["x"], ["y"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, ceil_mode=up, **attributes)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, *shape]) for name, shape in (("x", image.shape), ("y", expected.shape))]
    graph = helper.make_graph([node], "pool", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    inputs = {"x": image[None, None]}
    return expected, onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0][0, 0], ReferenceEvaluator(model).run(None, inputs)[0][0, 0]


def line(numbers):
    return " ".join(f"{number:.2f}" for number in numbers)


largest = pooled(np.arange(36, dtype=np.float32).reshape(6, 6), "MaxPool", 2, pads=(0, 0, 1, 1))
norms = pooled(np.ones((10, 10), np.float32), "LpPool", 3, 3, up=1, p=2)
means = pooled(np.ones((10, 10), np.float32), "AveragePool", 3, 3, up=1, count_include_pad=1)
print("MaxPool of (6, 6): definition {}, onnxruntime {}, reference {}".format(*(result.shape for result in largest)), end="; ")
print("ones, LpPool: last window " + ", ".join(f"{result[-1, -1]:.3f}" for result in norms), end="; ")
print("ones, AveragePool: last row " + ", ".join(line(result[-1]) for result in means))
right = all(result[0].shape == result[1].shape and np.allclose(result[0], result[1]) for result in (largest, norms, means))
wrong = largest[2].shape == (5, 7) and not np.allclose(norms[0], norms[2]) and not np.allclose(means[0], means[2])
sys.exit(0 if right and wrong else 1)
SOURCE
"$folder/venv/bin/python" "$folder/pools.py"
