"""ai.onnx.ml: linear models, SVMs, scalers, encoders and tree classifiers as standard operators and tree sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites

ML = "ai.onnx.ml"


def as_real(builder: Builder, name: str) -> str:
    """The tensor as float32."""
    return builder.node("Cast", [name], to=1)


def post_transform(builder: Builder, node: Node, scores: str, output: str | None = None) -> str:
    """Scores to what the node says, each column for itself or all of a row."""
    kind = node.attributes.get("post_transform", "NONE")
    if kind == "NONE":
        return builder.node("Identity", [scores], output)
    if kind == "LOGISTIC":
        return builder.node("Sigmoid", [scores], output)
    if kind == "SOFTMAX":
        return builder.node("Softmax", [scores], output, axis=-1)
    if kind == "SOFTMAX_ZERO":  # zeros stay what they are, but for the common factor
        largest = builder.reduce("ReduceMax", scores, [1])
        powers = builder.node("Exp", [builder.node("Sub", [scores, largest])])
        some = builder.node("Greater", [builder.node("Abs", [scores]), builder.constant(1e-7)])
        total = builder.reduce("ReduceSum", builder.node("Where", [some, powers, builder.constant(0.0)]), [1])
        scaled = builder.node("Mul", [scores, builder.node("Exp", [builder.node("Neg", [largest])])])
        return builder.node("Div", [builder.node("Where", [some, powers, scaled]), total], output)
    if kind == "PROBIT":
        return _probit(builder, scores, output)
    raise UsageError(f"{node.operator} {node.name!r}: post_transform {kind} is not known")


def _probit(builder: Builder, scores: str, output: str | None) -> str:
    """The inverse of the normal distribution, by onnxruntime's formula."""
    doubled = builder.node("Sub", [builder.node("Mul", [scores, builder.constant(2.0)]), builder.constant(1.0)])
    product = builder.node(
        "Mul", [builder.node("Sub", [builder.constant(1.0), doubled]), builder.node("Add", [builder.constant(1.0), doubled])]
    )
    log = builder.node("Log", [product])
    half = builder.node("Mul", [log, builder.constant(0.5)])
    first = builder.node("Add", [half, builder.constant(2 / (np.pi * 0.147))])
    second = builder.node("Mul", [log, builder.constant(1 / 0.147)])
    root = builder.node("Sqrt", [builder.node("Sub", [builder.node("Mul", [first, first]), second])])
    size = builder.node("Mul", [builder.node("Sqrt", [builder.node("Sub", [root, first])]), builder.constant(1.41421356)])
    negative = builder.node("Less", [doubled, builder.constant(0.0)])
    return builder.node("Where", [negative, builder.node("Neg", [size]), size], output)


def labels_of(node: Node) -> list[int]:
    """A classifier's labels; texts were replaced by their numbers before."""
    return [int(label) for label in node.attributes.get("classlabels_ints") or node.attributes.get("classlabels_int64s") or []]


def label_of_position(builder: Builder, labels: list[int], position: str, output: str) -> None:
    """The label at a computed position."""
    if labels == list(range(len(labels))):
        builder.node("Identity", [position], output)
    else:
        builder.node("Gather", [builder.constant(labels, np.int64), position], output, axis=0)


def largest_label(builder: Builder, node: Node, scores: str, classes: int) -> None:
    """The class of the largest score, of equals the first."""
    best = builder.node("ArgMax", [scores], axis=1, keepdims=0)
    label_of_position(builder, labels_of(node) or list(range(classes)), best, node.outputs[0])


def label_above(builder: Builder, node: Node, score: str, threshold: float) -> None:
    """The second label if the single score is above the threshold, else the first."""
    above = builder.node("Greater", [builder.node("Squeeze", [score, builder.integers(1)]), builder.constant(threshold)])
    labels = labels_of(node) if len(labels_of(node)) == 2 else [0, 1]
    if labels == [0, 1]:
        builder.node("Cast", [above], node.outputs[0], to=7)
    else:
        builder.node("Where", [above, builder.constant(labels[1], np.int64), builder.constant(labels[0], np.int64)], node.outputs[0])


def two_columns(builder: Builder, node: Node, score: str, opposite: bool, output: str) -> None:
    """A single column as two: 1 - s and s, or -s and s, or for logistic ones the sigmoids of these."""
    if node.attributes.get("post_transform", "NONE") == "PROBIT":
        raise UsageError(f"{node.operator} {node.name!r}: PROBIT of one column for two classes is not supported")
    if not opposite:
        other = builder.node("Sub", [builder.constant(1.0), score])
    else:
        other = builder.node("Neg", [score])
        if node.attributes.get("post_transform", "NONE") == "LOGISTIC":
            score, other = (builder.node("Sigmoid", [part]) for part in (score, other))
    builder.node("Concat", [other, score], output, axis=1)


@rewrites("ZipMap", domain=ML)
def rewrite_zip_map(builder: Builder, node: Node) -> bool:
    """A dictionary of the columns is the columns."""
    builder.node("Identity", [node.inputs[0]], node.outputs[0])
    return True


@rewrites("Scaler", domain=ML)
def rewrite_scaler(builder: Builder, node: Node) -> bool:
    """(x - offset) * scale."""
    centred = builder.node("Sub", [as_real(builder, node.inputs[0]), builder.constant(node.attributes["offset"])])
    builder.node("Mul", [centred, builder.constant(node.attributes["scale"])], node.outputs[0])
    return True


@rewrites("Normalizer", domain=ML)
def rewrite_normalizer(builder: Builder, node: Node) -> bool:
    """Division of rows by their norm; a row whose norm is 0 stays."""
    kind = node.attributes.get("norm", "MAX")
    source = as_real(builder, node.inputs[0])
    axis = len(builder.shapes[node.inputs[0]]) - 1
    operator = {"L1": "ReduceL1", "L2": "ReduceL2", "MAX": "ReduceMax"}[kind]
    norm = builder.reduce(operator, source, [axis])
    empty = builder.node("Equal", [norm, builder.constant(0.0)])
    builder.node("Div", [source, builder.node("Where", [empty, builder.constant(1.0), norm])], node.outputs[0])
    return True


@rewrites("Binarizer", domain=ML)
def rewrite_binarizer(builder: Builder, node: Node) -> bool:
    """1 above the threshold, else 0."""
    above = builder.node("Greater", [as_real(builder, node.inputs[0]), builder.constant(node.attributes.get("threshold", 0.0))])
    builder.node("Cast", [above], node.outputs[0], to=1)
    return True


@rewrites("ArrayFeatureExtractor", domain=ML)
def rewrite_extractor(builder: Builder, node: Node) -> bool:
    """Columns by number; those of a list are a row, as onnxruntime has it."""
    positions = builder.node("Reshape", [builder.node("Cast", [node.inputs[1]], to=7), builder.constant([-1], np.int64)])
    if len(builder.shapes[node.inputs[0]]) > 1:
        builder.node("Gather", [node.inputs[0], positions], node.outputs[0], axis=-1)
    else:
        builder.node("Unsqueeze", [builder.node("Gather", [node.inputs[0], positions], axis=-1), builder.integers(0)], node.outputs[0])
    return True


@rewrites("OneHotEncoder", domain=ML)
def rewrite_one_hot(builder: Builder, node: Node) -> bool:
    """Comparison with every category."""
    categories = node.attributes.get("cats_int64s")
    if not categories:
        raise UsageError(f"OneHotEncoder {node.name!r}: categories that are texts are not supported")
    rank = len(builder.shapes[node.inputs[0]])
    column = builder.node("Unsqueeze", [builder.node("Cast", [node.inputs[0]], to=7), builder.integers(rank)])
    hit = builder.node("Equal", [column, builder.constant(categories, np.int64)])
    builder.node("Cast", [hit], node.outputs[0], to=1)
    return True


def _table(attributes: dict[str, Any], part: str) -> NDArray[Any] | None:
    """Keys or values of a LabelEncoder, as whatever numbers they are."""
    if f"{part}_tensor" in attributes:
        return np.asarray(numpy_helper.to_array(attributes[f"{part}_tensor"])).reshape(-1)
    for suffix, dtype in (("int64s", np.int64), ("floats", np.float32)):
        if f"{part}_{suffix}" in attributes:
            return np.array(attributes[f"{part}_{suffix}"], dtype)
    return None


@rewrites("LabelEncoder", domain=ML)
def rewrite_label_encoder(builder: Builder, node: Node) -> bool:
    """Numbers to numbers: one choice per key; a NaN can be a key."""
    attributes = node.attributes
    keys, values = _table(attributes, "keys"), _table(attributes, "values")
    if keys is None or values is None:
        raise UsageError(f"LabelEncoder {node.name!r}: texts are not supported")
    default: Any = attributes.get("default_int64", -1) if values.dtype.kind != "f" else attributes.get("default_float", 0.0)
    if "default_tensor" in attributes:
        default = numpy_helper.to_array(attributes["default_tensor"]).reshape(-1)[0]
    result = builder.constant(np.full(builder.shapes[node.inputs[0]], default), values.dtype)
    source = node.inputs[0]
    if builder.dtype_of(source) != keys.dtype:
        source = builder.node("Cast", [source], to=int(helper.np_dtype_to_tensor_dtype(keys.dtype)))
    for key, value in reversed(list(zip(keys, values, strict=True))):
        missing = keys.dtype.kind == "f" and np.isnan(key)
        hit = builder.node("IsNaN", [source]) if missing else builder.node("Equal", [source, builder.constant(key, keys.dtype)])
        result = builder.node("Where", [hit, builder.constant(value, values.dtype), result])
    builder.node("Identity", [result], node.outputs[0])
    return True


@rewrites("Imputer", domain=ML)
def rewrite_imputer(builder: Builder, node: Node) -> bool:
    """A value, or a NaN, that stands for a missing one is replaced, by one number for all columns or by one for each."""
    attributes, source = node.attributes, node.inputs[0]
    whole = builder.dtype_of(source).kind != "f"
    values: Any = attributes.get("imputed_value_int64s" if whole else "imputed_value_floats")
    missing = attributes.get("replaced_value_int64", 0) if whole else attributes.get("replaced_value_float", 0.0)
    kind: Any = np.int64 if whole else np.float32
    if np.isnan(missing):
        hit = builder.node("IsNaN", [source])
    else:
        hit = builder.node("Equal", [source, builder.constant(missing, kind)])
    builder.node("Where", [hit, builder.constant(values, kind), source], node.outputs[0])
    return True


@rewrites("FeatureVectorizer", domain=ML)
def rewrite_vectorizer(builder: Builder, node: Node) -> bool:
    """Columns side by side, cut or filled with zeros to the widths that are said."""
    parts = []
    widths = node.attributes.get("inputdimensions") or [builder.shapes[name][-1] for name in node.inputs]
    for name, width in zip(node.inputs, widths, strict=True):
        rows = builder.reshape(as_real(builder, name), [builder.shapes[name][0] if len(builder.shapes[name]) > 1 else 1, -1])
        size = int(np.prod(builder.shapes[name][1:] if len(builder.shapes[name]) > 1 else builder.shapes[name]))
        if size != width:
            rows = builder.node("Pad", [rows, builder.integers(0, 0, 0, int(width) - size), builder.constant(0.0)])
        parts.append(rows)
    builder.node("Concat", parts, node.outputs[0], axis=1)
    return True


@rewrites("LinearRegressor", domain=ML)
def rewrite_linear_regressor(builder: Builder, node: Node) -> bool:
    """A dense layer."""
    targets = int(node.attributes.get("targets", 1))
    weights = np.array(node.attributes["coefficients"]).reshape(targets, -1)
    bias = np.array(node.attributes.get("intercepts", [0.0] * targets))
    scores = builder.node("Gemm", [as_real(builder, node.inputs[0]), builder.constant(weights), builder.constant(bias)], transB=1)
    post_transform(builder, node, scores, node.outputs[0])
    return True


@rewrites("LinearClassifier", domain=ML)
def rewrite_linear_classifier(builder: Builder, node: Node) -> bool:
    """A dense layer, the label of the largest score, and scores or probabilities."""
    attributes = node.attributes
    features = builder.shapes[node.inputs[0]][-1]
    rows = len(attributes["coefficients"]) // features
    weights = np.array(attributes["coefficients"]).reshape(rows, -1)
    bias = builder.constant(attributes.get("intercepts") or [0.0] * rows)
    source = builder.node("Reshape", [as_real(builder, node.inputs[0]), builder.integers(-1, features)])
    scores = builder.node("Gemm", [source, builder.constant(weights), bias], transB=1)
    if rows > 1:
        largest_label(builder, node, scores, rows)
        post_transform(builder, node, scores, node.outputs[1])
        return True
    label_above(builder, node, scores, 0.0)
    if len(labels_of(node)) == 2:
        two_columns(builder, node, scores, node.attributes.get("post_transform", "NONE") == "LOGISTIC", node.outputs[1])
    else:
        post_transform(builder, node, scores, node.outputs[1])
    return True
