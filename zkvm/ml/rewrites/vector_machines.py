"""ai.onnx.ml: support vector machines, with probabilities as onnxruntime computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites
from zkvm.ml.rewrites.classical import ML, as_real, label_of_position, labels_of, largest_label, post_transform, two_columns

FEW_STEPS = 8
"""Of the iteration for probabilities, which onnxruntime ends when it is near enough: random decisions of ten classes need four."""
LEAST = 1e-7


def kernel(builder: Builder, node: Node, vectors: NDArray[Any]) -> str:
    """(rows, support vectors): the kernel of each row with each support vector."""
    source = as_real(builder, node.inputs[0])
    gamma, offset, degree = (float(value) for value in node.attributes.get("kernel_params") or [0.0, 0.0, 0.0])
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
    if kind != "POLY":
        raise UsageError(f"{node.operator} {node.name!r}: kernel {kind} is not known")
    return builder.node("Pow", [affine, builder.constant(degree)])


@rewrites("SVMRegressor", domain=ML)
def rewrite_regressor(builder: Builder, node: Node) -> bool:
    """Kernel with the support vectors, then a dense layer."""
    attributes = node.attributes
    count = int(attributes.get("n_supports", 0))
    bias = builder.constant(attributes["rho"][:1])
    weights = builder.constant(np.array(attributes["coefficients"]).reshape(1, -1))
    # Without support vectors the coefficients are the weights.
    source = (
        kernel(builder, node, np.array(attributes["support_vectors"]).reshape(count, -1)) if count else as_real(builder, node.inputs[0])
    )
    scores = builder.node("Gemm", [source, weights, bias], transB=1)
    if attributes.get("one_class", 0):
        above = builder.node("Greater", [scores, builder.constant(0.0)])
        builder.node("Where", [above, builder.constant(1.0), builder.constant(-1.0)], node.outputs[0])
    else:
        post_transform(builder, node, scores, node.outputs[0])
    return True


@rewrites("SVMClassifier", domain=ML)
def rewrite_classifier(builder: Builder, node: Node) -> bool:
    """One decision per pair of classes, each a vote; the class with most votes, and of equals the first, is the label."""
    attributes = node.attributes
    if not attributes.get("vectors_per_class"):
        return _linear_classifier(builder, node)
    per_class = list(attributes["vectors_per_class"])
    classes, count = len(per_class), sum(per_class)
    values = kernel(builder, node, np.array(attributes["support_vectors"]).reshape(count, -1))
    coefficients = np.array(attributes["coefficients"]).reshape(classes - 1, count)
    first = np.concatenate([[0], np.cumsum(per_class)])
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    weights = np.zeros((len(pairs), count))
    for row, (i, j) in enumerate(pairs):
        weights[row, first[i] : first[i + 1]] = coefficients[j - 1, first[i] : first[i + 1]]
        weights[row, first[j] : first[j + 1]] = coefficients[i, first[j] : first[j + 1]]
    decisions = builder.node("Gemm", [values, builder.constant(weights), builder.constant(attributes["rho"])], transB=1)
    best = _most_votes(builder, decisions, classes, pairs)
    label_of_position(builder, labels_of(node) or list(range(classes)), best, node.outputs[0])
    if attributes.get("prob_a"):
        post_transform(builder, node, _probabilities(builder, node, decisions, classes, pairs), node.outputs[1])
    elif len(pairs) == 1:
        two_columns(builder, node, decisions, attributes.get("post_transform", "NONE") in ("NONE", "LOGISTIC"), node.outputs[1])
    else:
        post_transform(builder, node, decisions, node.outputs[1])
    return True


def _most_votes(builder: Builder, decisions: str, classes: int, pairs: list[tuple[int, int]]) -> str:
    """A vote for the first class of a pair where the decision is positive, else for the second."""
    won = builder.node("Cast", [builder.node("Greater", [decisions, builder.constant(0.0)])], to=1)
    votes, fixed = np.zeros((classes, len(pairs))), np.zeros(classes)
    for row, (i, j) in enumerate(pairs):
        votes[i, row], votes[j, row] = 1, -1
        fixed[j] += 1
    totals = builder.node("Gemm", [won, builder.constant(votes), builder.constant(fixed)], transB=1)
    return builder.node("ArgMax", [totals], axis=1, keepdims=0)


def _linear_classifier(builder: Builder, node: Node) -> bool:
    """A dense layer with one offset for all classes."""
    attributes = node.attributes
    classes = max(1, len(labels_of(node)))
    weights = np.array(attributes["coefficients"]).reshape(classes, -1)
    offset = builder.constant(np.full(classes, attributes["rho"][0]))
    scores = builder.node("Gemm", [as_real(builder, node.inputs[0]), builder.constant(weights), offset], transB=1)
    if classes == 2 and (weights < 0).any():  # as onnxruntime does it: the second class if any score is positive
        positive = builder.node("Greater", [builder.reduce("ReduceMax", scores, [1], 0), builder.constant(0.0)])
        best = builder.node("ArgMax", [scores], axis=1, keepdims=0)
        chosen = builder.node("Where", [positive, builder.constant(1, np.int64), best])
        label_of_position(builder, labels_of(node), chosen, node.outputs[0])
    elif classes <= 2:
        raise UsageError(f"SVMClassifier {node.name!r}: this linear machine is not supported; export it as LinearClassifier")
    else:
        largest_label(builder, node, scores, classes)
    post_transform(builder, node, scores, node.outputs[1])
    return True


def _probabilities(builder: Builder, node: Node, decisions: str, classes: int, pairs: list[tuple[int, int]]) -> str:
    """Platt's sigmoid of every pair's decision, then the probabilities of the classes that fit these best."""
    slopes, offsets = (builder.constant(node.attributes[name]) for name in ("prob_a", "prob_b"))
    steep = builder.node("Add", [builder.node("Mul", [decisions, slopes]), offsets])
    chance = builder.node("Sub", [builder.constant(1.0), builder.node("Sigmoid", [steep])])
    chance = builder.node("Clip", [chance, builder.constant(LEAST), builder.constant(1 - LEAST)])
    other = builder.node("Sub", [builder.constant(1.0), chance])
    both = builder.node("Concat", [chance, other], axis=1)  # r_ij of all pairs, then r_ji
    place = {pair: number for number, pair in enumerate(pairs)} | {(j, i): len(pairs) + number for number, (i, j) in enumerate(pairs)}
    powers = builder.node("Mul", [both, both])
    diagonal = []  # sums of their own, because some are far smaller than others
    for i in range(classes):
        own = builder.node("Gather", [powers, builder.integers(*(place[j, i] for j in range(classes) if j != i))], axis=1)
        diagonal.append(own if classes == 2 else builder.reduce("ReduceSum", own, [1]))
    squares = builder.node("Concat", diagonal, axis=1)  # (rows, classes)
    crossed = builder.node("Neg", [builder.node("Mul", [chance, other])])
    everything = builder.node("Concat", [squares, crossed], axis=1)
    rows = []
    for i in range(classes):
        columns = [i if i == j else classes + place[min(i, j), max(i, j)] for j in range(classes)]
        rows.append(builder.node("Gather", [everything, builder.integers(*columns)], axis=1))
    start = builder.node("Mul", [builder.node("Sub", [squares, squares]), builder.constant(0.0)])
    return _coupled(builder, rows, builder.node("Add", [start, builder.constant(1.0 / classes)]), classes)


def _coupled(builder: Builder, rows: list[str], start: str, classes: int) -> str:
    """The iteration of libsvm for p that minimizes p Q p, with Q given by rows; a row of samples that is done stays as it is."""
    limit, one, two = builder.constant(0.005 / classes), builder.constant(1.0), builder.constant(2.0)
    columns = [builder.integers(i) for i in range(classes)]
    units = [builder.constant(np.eye(classes)[i : i + 1]) for i in range(classes)]
    diagonal = [builder.node("Gather", [row, columns[i]], axis=1) for i, row in enumerate(rows)]
    p, running = start, ""
    for _ in range(FEW_STEPS):
        slopes = [builder.reduce("ReduceSum", builder.node("Mul", [row, p]), [1]) for row in rows]
        slope = builder.node("Concat", slopes, axis=1)
        value = builder.reduce("ReduceSum", builder.node("Mul", [p, slope]), [1])
        error = builder.reduce("ReduceMax", builder.node("Abs", [builder.node("Sub", [slope, value])]), [1])
        wrong = builder.node("Not", [builder.node("Less", [error, limit])])
        running = builder.node("And", [running, wrong]) if running else wrong
        new = p
        for i in range(classes):
            here = builder.node("Gather", [slope, columns[i]], axis=1)
            change = builder.node("Div", [builder.node("Sub", [value, here]), diagonal[i]])
            scale = builder.node("Add", [one, change])
            bend = builder.node("Add", [builder.node("Mul", [change, diagonal[i]]), builder.node("Mul", [two, here])])
            value = builder.node("Add", [value, builder.node("Mul", [change, bend])])
            value = builder.node("Div", [builder.node("Div", [value, scale]), scale])
            slope = builder.node("Div", [builder.node("Add", [slope, builder.node("Mul", [change, rows[i]])]), scale])
            new = builder.node("Div", [builder.node("Add", [new, builder.node("Mul", [change, units[i]])]), scale])
        p = builder.node("Where", [running, new, p])
    return p
