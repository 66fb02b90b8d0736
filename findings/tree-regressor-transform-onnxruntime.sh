#!/bin/sh
# Software:   onnxruntime 1.32.0, onnx 1.22.0, Python 3.11, Linux x86-64
# Guess:      post_transform=LOGISTIC of a TreeEnsembleRegressor turns every score into its logistic function.
# Behaviour:  it does so for two targets or more. Of a single target the score comes out as it is, without an error or a warning.
# Seen:       one target: [-2.0, 2.0]; two targets: [[0.119, 0.731], [0.881, 0.269]]
# Here:       zkvm/ml/rewrites/trees.py drops the transformation of a single target too; a test compares the answers.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' || exit 2
cat > "$folder/trees.py" <<'SOURCE'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def results(weights):
    """What a tree with two leaves gives with a logistic transformation; ``weights``: of each leaf, one for each target."""
    count = len(weights[0])
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", post_transform="LOGISTIC", n_targets=count,
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[0.0, 0.0, 0.0], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0] * (2 * count), target_nodeids=[1] * count + [2] * count, target_ids=list(range(count)) * 2,
        target_weights=[weight for leaf in weights for weight in leaf],
    )
    graph = helper.make_graph(
        [node], "tree", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, count])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.round(session.run(None, {"x": np.array([[-1.0], [1.0]], np.float32)})[0].astype(float), 3).tolist()


one = [row[0] for row in results([[-2.0], [2.0]])]
two = results([[-2.0, 1.0], [2.0, -1.0]])
print(f"one target: {one}; two targets: {two}")
sys.exit(0 if one == [-2.0, 2.0] and two == [[0.119, 0.731], [0.881, 0.269]] else 1)
SOURCE
"$folder/venv/bin/python" "$folder/trees.py"
