#!/bin/sh
# Software:   torch 2.15.0 (torch.onnx.export with dynamo=False, and with dynamo=True, onnxscript 0.7.2), onnxruntime 1.32.0, onnx 1.22.0, numpy 2.4.6,
#             Python 3.11, Linux x86-64
# Guess:      an exporter gives PyTorch's answers, or says that it cannot, as the tracing one does for torch.trunc or a GELU of another kind.
# Behaviour:  the tracing one exports some as something else, with no word but that it is the old exporter: x // y is cut toward zero, while torch.div with
#             rounding_mode="floor" is right; index_put with accumulate=True adds only the last of equal positions (of index_add it warns);
#             AvgPool2d's divisor_override and Softplus's threshold are left out; cdist with p=1 is NaN where a difference is negative. The new exporter is
#             right in these, but for the divisor, and refuses cdist. In both atan2(0, -1) is -pi, not pi, and LogSigmoid is the logarithm of a Sigmoid.
# Seen:       PyTorch, tracing, new: -5 // 4: -2 -1 -2; div floor: -2 -2 -2; -1.0 // 1.5: -1 0 -1; index_put twice: 5 3 5; AvgPool2d: 4 1 1; Softplus:
#             2 2.127 2; cdist: 5 nan refused; atan2: 3.142 -3.142 -3.142; LogSigmoid of -120: -120 -inf -inf
# Here:       nothing: the ONNX file is the model. docs/ml.md says to compare it with what it was made from.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet 'torch==2.15.0' 'onnxscript==0.7.2' 'onnxruntime==1.32.0' 'onnx==1.22.0' 'numpy==2.4.6' || exit 2
cat > "$folder/exports.py" <<'SOURCE'
import contextlib
import io
import sys
import warnings

import onnxruntime
import torch
from torch import nn

warnings.simplefilter("ignore")


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *x):
        return self.function(*x)


def answers(module, *x):
    """The first number of PyTorch's answer, of the tracing exporter's and of the new one's."""
    found = [float(module(*x).reshape(-1)[0])]
    for new in (False, True):
        file = io.BytesIO()
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                program = torch.onnx.export(module, x, None if new else file, dynamo=new, **({} if new else {"opset_version": 17}))
            content = program.model_proto.SerializeToString() if new else file.getvalue()
        except Exception:
            found.append("refused")
            continue
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        arrays = {entry.name: array.numpy() for entry, array in zip(session.get_inputs(), x)}
        found.append(float(session.run(None, arrays)[0].reshape(-1)[0]))
    return [value if value == "refused" else f"{value:.4g}" for value in found]


def doubled(values):
    return torch.zeros(3).index_put((torch.tensor([0, 0, 1]),), values, accumulate=True)


def distance(points):
    return torch.cdist(points, points.flip(0), p=1.0)


found = {
    "-5 // 4": answers(Function(lambda x: x // 4), torch.tensor([-5])),
    "div floor": answers(Function(lambda x: torch.div(x, 4, rounding_mode="floor")), torch.tensor([-5])),
    "-1.0 // 1.5": answers(Function(lambda x: x // 1.5), torch.tensor([-1.0])),
    "index_put twice": answers(Function(doubled), torch.tensor([2.0, 3.0, 4.0])),
    "AvgPool2d": answers(nn.AvgPool2d(2, divisor_override=1), torch.ones(1, 1, 2, 2)),
    "Softplus": answers(nn.Softplus(threshold=0), torch.tensor([2.0])),
    "cdist": answers(Function(distance), torch.tensor([[1.0, 2.0], [3.0, 5.0]])),
    "atan2": answers(Function(torch.atan2), torch.tensor([0.0]), torch.tensor([-1.0])),
    "LogSigmoid of -120": answers(nn.LogSigmoid(), torch.tensor([-120.0])),
}
print("PyTorch, tracing, new: " + "; ".join(f"{name}: " + " ".join(row) for name, row in found.items()))
expected = "-2 -1 -2 -2 -2 -2 -1 0 -1 5 3 5 4 1 1 2 2.127 2 5 nan refused 3.142 -3.142 -3.142 -120 -inf -inf"
sys.exit(0 if " ".join(" ".join(row) for row in found.values()).replace("-0 ", "0 ") == expected else 1)
SOURCE
"$folder/venv/bin/python" "$folder/exports.py"
