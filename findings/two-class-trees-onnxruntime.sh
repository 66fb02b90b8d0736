#!/bin/sh
# Software:   onnxruntime 1.32.0, onnx 1.22.0, Python 3.11, Linux x86-64
# Guess:      a TreeEnsembleClassifier of two classes whose leaves hold a weight for each of them gives the label of the larger score: 3 for the
#             scores 0.9 and 0.1 of the classes 3 and 7.
# Behaviour:  of two classes it looks at the second score alone: the label is 1 if that is above 0, else 0. Neither the first score nor the classes'
#             own labels matter; the scores that it gives beside it are the expected ones. With weights for one class only, or for three
#             classes, labels are the model's.
# Seen:       two classes: labels [1, 1], scores [[0.9, 0.1], [0.2, 0.8]]; three classes: labels [3, 7]
# Here:       zkvm/ml/rewrites/trees.py gives the label that onnxruntime gives, because that is the model that its users compare with; a test
#             compares them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'onnxruntime==1.32.0' 'onnx==1.22.0' || exit 2
cat > "$folder/trees.py" <<'SOURCE'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def labels(classes, weights):
    """Labels and scores of a tree with two leaves, of which the first is taken for numbers up to 0."""
    count = len(classes)
    node = helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", post_transform="NONE",
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[0.0, 0.0, 0.0], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], classlabels_int64s=classes,
        class_treeids=[0] * (2 * count), class_nodeids=[1] * count + [2] * count, class_ids=list(range(count)) * 2,
        class_weights=[weight for leaf in weights for weight in leaf],
    )
    graph = helper.make_graph(
        [node], "tree", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 1])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, [2]), helper.make_tensor_value_info("scores", TensorProto.FLOAT, [2, count])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    label, scores = session.run(None, {"x": np.array([[-1.0], [1.0]], np.float32)})
    return label.tolist(), np.round(scores.astype(float), 3).tolist()


two, scores = labels([3, 7], [[0.9, 0.1], [0.2, 0.8]])
three, _ = labels([3, 7, 9], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
print(f"two classes: labels {two}, scores {scores}; three classes: labels {three}")
sys.exit(0 if two == [1, 1] and scores == [[0.9, 0.1], [0.2, 0.8]] and three == [3, 7] else 1)
SOURCE
"$folder/venv/bin/python" "$folder/trees.py"
