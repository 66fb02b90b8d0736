"""ai.onnx.ml: linear models, SVMs, scalers, encoders and tree classifiers as standard operators and tree sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites

ML = "ai.onnx.ml"


def _as_real(builder: Builder, name: str) -> str:
    return builder.node("Cast", [name], to=1)


def _post_transform(builder: Builder, node: Node, scores: str, output: str | None) -> str:
    """Scores to probabilities, as the node says."""
    kind = node.attributes.get("post_transform", "NONE")
    if kind == "NONE":
        return builder.node("Identity", [scores], output)
    if kind == "LOGISTIC":
        return builder.node("Sigmoid", [scores], output)
    if kind == "SOFTMAX":
        return builder.node("Softmax", [scores], output, axis=-1)
    raise UsageError(f"{node.operator} {node.name!r}: post_transform {kind}; NONE, LOGISTIC and SOFTMAX are supported")


def _labels(builder: Builder, node: Node, scores: str, classes: int, output: str) -> None:
    """The class of the largest score; class names that are not integers become their numbers."""
    best = builder.node("ArgMax", [scores], axis=1, keepdims=0)
    labels: Any = node.attributes.get("classlabels_ints", node.attributes.get("classlabels_int64s"))
    if labels is None:  # texts: their numbers
        labels = list(range(classes))
    if list(labels) == list(range(classes)):
        builder.node("Identity", [best], output)
    else:
        builder.node("Gather", [builder.constant(labels, np.int64), best], output, axis=0)


def _two_columns(builder: Builder, score: str, complement: bool) -> str:
    """A single column as two: 1 - p and p, or -s and s."""
    other = builder.node("Sub", [builder.constant(1.0), score]) if complement else builder.node("Mul", [score, builder.constant(-1.0)])
    return builder.node("Concat", [other, score], axis=1)


@rewrites("ZipMap", domain=ML)
def rewrite_zip_map(builder: Builder, node: Node) -> bool:
    """A dictionary of the columns is the columns."""
    builder.node("Identity", [node.inputs[0]], node.outputs[0])
    return True


@rewrites("Scaler", domain=ML)
def rewrite_scaler(builder: Builder, node: Node) -> bool:
    """(x - offset) * scale."""
    centred = builder.node("Sub", [_as_real(builder, node.inputs[0]), builder.constant(node.attributes["offset"])])
    builder.node("Mul", [centred, builder.constant(node.attributes["scale"])], node.outputs[0])
    return True


@rewrites("Normalizer", domain=ML)
def rewrite_normalizer(builder: Builder, node: Node) -> bool:
    """Division of rows by their norm."""
    kind = node.attributes.get("norm", "MAX")
    operator = {"L1": "ReduceL1", "L2": "ReduceL2", "MAX": "ReduceMax"}[kind]
    source = _as_real(builder, node.inputs[0])
    builder.node("Div", [source, builder.reduce(operator, source, [1])], node.outputs[0])
    return True


@rewrites("Binarizer", domain=ML)
def rewrite_binarizer(builder: Builder, node: Node) -> bool:
    """1 above the threshold, else 0."""
    above = builder.node("Greater", [_as_real(builder, node.inputs[0]), builder.constant(node.attributes.get("threshold", 0.0))])
    builder.node("Cast", [above], node.outputs[0], to=1)
    return True


@rewrites("ArrayFeatureExtractor", domain=ML)
def rewrite_extractor(builder: Builder, node: Node) -> bool:
    """Columns by number."""
    positions = builder.node("Reshape", [builder.node("Cast", [node.inputs[1]], to=7), builder.constant([-1], np.int64)])
    builder.node("Gather", [node.inputs[0], positions], node.outputs[0], axis=-1)
    return True


@rewrites("OneHotEncoder", domain=ML)
def rewrite_one_hot(builder: Builder, node: Node) -> bool:
    """Comparison with every category."""
    categories = node.attributes.get("cats_int64s")
    if not categories:
        raise UsageError(f"OneHotEncoder {node.name!r}: categories that are texts are not supported")
    rank = len(builder.shapes[node.inputs[0]])
    column = builder.node("Unsqueeze", [builder.node("Cast", [node.inputs[0]], to=7), builder.constant([rank], np.int64)])
    hit = builder.node("Equal", [column, builder.constant(categories, np.int64)])
    builder.node("Cast", [hit], node.outputs[0], to=1)
    return True


@rewrites("LabelEncoder", domain=ML)
def rewrite_label_encoder(builder: Builder, node: Node) -> bool:
    """Integer (or real) keys to integers or reals: one choice per key."""
    attributes = node.attributes
    keys = attributes.get("keys_int64s", attributes.get("keys_floats"))
    values = attributes.get("values_int64s", attributes.get("values_floats"))
    if keys is None or values is None:
        raise UsageError(f"LabelEncoder {node.name!r}: texts are not supported")
    key_type = np.int64 if "keys_int64s" in attributes else np.float32
    value_type = np.int64 if "values_int64s" in attributes else np.float32
    default = attributes.get("default_int64", -1) if value_type is np.int64 else attributes.get("default_float", 0.0)
    result = builder.constant(default, value_type)
    for key, value in reversed(list(zip(keys, values, strict=True))):
        hit = builder.node("Equal", [node.inputs[0], builder.constant(key, key_type)])
        result = builder.node("Where", [hit, builder.constant(value, value_type), result])
    builder.node("Identity", [result], node.outputs[0])
    return True


@rewrites("Imputer", domain=ML)
def rewrite_imputer(builder: Builder, node: Node) -> bool:
    """Integers have no missing values: nothing to replace. A value that stands for a missing one is compared."""
    attributes = node.attributes
    values: Any = attributes.get("imputed_value_floats", attributes.get("imputed_value_int64s"))
    missing = attributes.get("replaced_value_float", attributes.get("replaced_value_int64", float("nan")))
    if np.isnan(missing):
        builder.node("Identity", [node.inputs[0]], node.outputs[0])
        return True
    kind: Any = np.float32 if "imputed_value_floats" in attributes else np.int64
    hit = builder.node("Equal", [node.inputs[0], builder.constant(missing, kind)])
    builder.node("Where", [hit, builder.constant(values, kind), node.inputs[0]], node.outputs[0])
    return True


@rewrites("LinearRegressor", domain=ML)
def rewrite_linear_regressor(builder: Builder, node: Node) -> bool:
    """A dense layer."""
    targets = int(node.attributes.get("targets", 1))
    weights = np.array(node.attributes["coefficients"]).reshape(targets, -1)
    bias = np.array(node.attributes.get("intercepts", [0.0] * targets))
    scores = builder.node("Gemm", [_as_real(builder, node.inputs[0]), builder.constant(weights), builder.constant(bias)], transB=1)
    _post_transform(builder, node, scores, node.outputs[0])
    return True


@rewrites("LinearClassifier", domain=ML)
def rewrite_linear_classifier(builder: Builder, node: Node) -> bool:
    """A dense layer, the label of the largest score, and scores or probabilities."""
    labels = node.attributes.get("classlabels_ints", node.attributes.get("classlabels_strings"))
    rows = len(node.attributes["intercepts"])
    weights = np.array(node.attributes["coefficients"]).reshape(rows, -1)
    bias = builder.constant(node.attributes["intercepts"])
    scores = builder.node("Gemm", [_as_real(builder, node.inputs[0]), builder.constant(weights), bias], transB=1)
    if rows == 1 and labels is not None and len(labels) == 2:
        logistic = node.attributes.get("post_transform", "NONE") == "LOGISTIC"
        results = _two_columns(builder, builder.node("Sigmoid", [scores]) if logistic else scores, logistic)
        _labels(builder, node, results, 2, node.outputs[0])
        builder.node("Identity", [results], node.outputs[1])
        return True
    _labels(builder, node, scores, rows, node.outputs[0])
    _post_transform(builder, node, scores, node.outputs[1])
    return True


def _kernel(builder: Builder, node: Node, vectors: NDArray[Any]) -> str:
    """(rows, support vectors): the kernel of each row with each support vector."""
    source = _as_real(builder, node.inputs[0])
    gamma, offset, degree = (float(value) for value in node.attributes.get("kernel_params", [0.0, 0.0, 0.0]))
    kind = node.attributes.get("kernel_type", "LINEAR")
    products = builder.node("Gemm", [source, builder.constant(vectors)], transB=1)
    if kind == "LINEAR":
        return products
    if kind == "RBF":
        # |x - v|^2 = |x|^2 - 2 x v + |v|^2, with the smallest terms possible: vectors and rows are centred first.
        centre = vectors.mean(axis=0)
        moved = builder.node("Sub", [source, builder.constant(centre)])
        around = vectors - centre
        inner = builder.node("Gemm", [moved, builder.constant(-2 * around), builder.constant((around**2).sum(axis=1))], transB=1)
        squares = builder.reduce("ReduceSumSquare", moved, [1])
        return builder.node("Exp", [builder.node("Mul", [builder.node("Add", [inner, squares]), builder.constant(-gamma)])])
    affine = builder.node("Add", [builder.node("Mul", [products, builder.constant(gamma)]), builder.constant(offset)])
    if kind == "SIGMOID":
        return builder.node("Tanh", [affine])
    return builder.node("Pow", [affine, builder.constant(degree)])


@rewrites("SVMRegressor", domain=ML)
def rewrite_svm_regressor(builder: Builder, node: Node) -> bool:
    """Kernel with the support vectors, then a dense layer."""
    attributes = node.attributes
    count = int(attributes.get("n_supports", 0))
    if count == 0:  # a linear machine: the coefficients are the weights
        weights = np.array(attributes["coefficients"]).reshape(1, -1)
        scores = builder.node(
            "Gemm", [_as_real(builder, node.inputs[0]), builder.constant(weights), builder.constant(attributes["rho"])], transB=1
        )
    else:
        kernel = _kernel(builder, node, np.array(attributes["support_vectors"]).reshape(count, -1))
        weights = np.array(attributes["coefficients"]).reshape(1, -1)
        scores = builder.node("Gemm", [kernel, builder.constant(weights), builder.constant(attributes["rho"])], transB=1)
    if attributes.get("one_class", 0):
        builder.node("Sign", [scores], node.outputs[0])
    else:
        _post_transform(builder, node, scores, node.outputs[0])
    return True


@rewrites("SVMClassifier", domain=ML)
def rewrite_svm_classifier(builder: Builder, node: Node) -> bool:
    """One decision per pair of classes, each a vote; the class with most votes, and of equals the first, is the label."""
    attributes = node.attributes
    labels: Any = attributes.get("classlabels_ints", attributes.get("classlabels_strings"))
    if "vectors_per_class" not in attributes or attributes.get("prob_a"):
        raise UsageError(f"SVMClassifier {node.name!r}: linear machines and probabilities are not supported; export without probabilities")
    per_class = list(attributes["vectors_per_class"])
    classes, count = len(per_class), sum(per_class)
    kernel = _kernel(builder, node, np.array(attributes["support_vectors"]).reshape(count, -1))
    coefficients = np.array(attributes["coefficients"]).reshape(classes - 1, count)
    first = np.concatenate([[0], np.cumsum(per_class)])
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    weights = np.zeros((len(pairs), count))
    for row, (i, j) in enumerate(pairs):
        weights[row, first[i] : first[i + 1]] = coefficients[j - 1, first[i] : first[i + 1]]
        weights[row, first[j] : first[j + 1]] = coefficients[i, first[j] : first[j + 1]]
    decisions = builder.node("Gemm", [kernel, builder.constant(weights), builder.constant(attributes["rho"])], transB=1)
    won = builder.node("Cast", [builder.node("Greater", [decisions, builder.constant(0.0)])], to=1)
    # A vote for the first class of a pair where the decision is positive, else for the second.
    votes, fixed = np.zeros((classes, len(pairs))), np.zeros(classes)
    for row, (i, j) in enumerate(pairs):
        votes[i, row], votes[j, row] = 1, -1
        fixed[j] += 1
    totals = builder.node("Gemm", [won, builder.constant(votes), builder.constant(fixed)], transB=1)
    best = builder.node("ArgMax", [totals], axis=1, keepdims=0)
    if attributes.get("classlabels_ints") is None or list(labels) == list(range(classes)):
        builder.node("Identity", [best], node.outputs[0])
    else:
        builder.node("Gather", [builder.constant(labels, np.int64), best], node.outputs[0], axis=0)
    builder.node("Identity", [decisions], node.outputs[1])
    return True


@rewrites("TreeEnsembleRegressor", domain=ML)
def rewrite_tree_regressor(builder: Builder, node: Node) -> bool:
    """Mean is a sum of divided weights; a transformation comes after."""
    attributes = dict(node.attributes)
    transform = attributes.pop("post_transform", "NONE")
    average = attributes.get("aggregate_function", "SUM") == "AVERAGE"
    if transform == "NONE" and not average:
        return False
    if average:
        trees = len(set(attributes["nodes_treeids"]))
        attributes["target_weights"] = [float(weight) / trees for weight in attributes["target_weights"]]
        attributes["aggregate_function"] = "SUM"
    last = node.outputs[0] if transform == "NONE" else None
    scores = builder.node("TreeEnsembleRegressor", node.inputs, last, domain=ML, **attributes)
    if last is None:
        _post_transform(builder, node, scores, node.outputs[0])
    return True


@rewrites("TreeEnsembleClassifier", domain=ML)
def rewrite_tree_classifier(builder: Builder, node: Node) -> bool:
    """A regressor with one output per class; two classes may share one column of weights."""
    attributes = dict(node.attributes)
    labels = attributes.get("classlabels_int64s", attributes.get("classlabels_strings"))
    assert labels is not None
    classes = len(labels)
    used = sorted(set(attributes["class_ids"]))
    single = classes == 2 and len(used) == 1
    kept = {key: value for key, value in attributes.items() if key.startswith("nodes_")}
    for part in ("treeids", "nodeids", "weights"):
        kept[f"target_{part}"] = attributes[f"class_{part}"]
    kept["target_ids"] = [0] * len(attributes["class_ids"]) if single else attributes["class_ids"]
    if attributes.get("base_values"):
        kept["base_values"] = attributes["base_values"][-1:] if single else attributes["base_values"]
    source = node.inputs[0]
    if builder.dtype_of(source).kind != "f":
        source = _as_real(builder, source)  # onnxruntime has regressors of real numbers only, and compares integers as such
    scores = builder.node("TreeEnsembleRegressor", [source], domain=ML, n_targets=1 if single else classes, **kept)
    if single:
        logistic = attributes.get("post_transform", "NONE") == "LOGISTIC"
        # Without a transformation the weights of random forests are probabilities of the second class.
        results = _two_columns(builder, builder.node("Sigmoid", [scores]) if logistic else scores, True)
        _labels(builder, node, results, 2, node.outputs[0])
        builder.node("Identity", [results], node.outputs[1])
        return True
    _labels(builder, node, scores, classes, node.outputs[0])
    _post_transform(builder, node, scores, node.outputs[1])
    return True
