"""ai.onnx.ml: tree ensembles of all versions as sums of trees (TreeEnsembleRegressor), which are lowered."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites
from zkvm.ml.rewrites.classical import ML, as_real, label_above, labels_of, largest_label, post_transform, two_columns

AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
MAX_NODES = 1 << 20
"""Of the trees that a graph of nodes becomes."""


def _without_tensors(attributes: dict[str, Any]) -> dict[str, Any]:
    """Numbers that are given as tensors (for float64) as lists."""
    return {
        key.removesuffix("_as_tensor"): numpy_helper.to_array(value).reshape(-1).tolist() if key.endswith("_as_tensor") else value
        for key, value in attributes.items()
    }


@rewrites("TreeEnsembleRegressor", domain=ML)
def rewrite_regressor(builder: Builder, node: Node) -> bool:
    """Mean is a sum of divided weights; the least or largest is taken of trees apart; a transformation comes after."""
    attributes = _without_tensors(node.attributes)
    transform = attributes.pop("post_transform", "NONE")
    aggregate = attributes.pop("aggregate_function", "SUM")
    if int(attributes.get("n_targets", 1)) == 1 and transform != "PROBIT":
        transform = "NONE"  # onnxruntime transforms only the scores of several targets
    if (
        transform == "NONE"
        and aggregate == "SUM"
        and attributes.keys() >= node.attributes.keys() - {"post_transform", "aggregate_function"}
    ):
        return False
    last = node.outputs[0] if transform == "NONE" else None
    if aggregate == "AVERAGE":
        trees = len(set(attributes["nodes_treeids"]))
        attributes["target_weights"] = [float(weight) / trees for weight in attributes["target_weights"]]
    if aggregate in ("MIN", "MAX"):
        scores = _extreme(builder, node, attributes, aggregate, last)
    else:
        scores = builder.node("TreeEnsembleRegressor", node.inputs, last, domain=ML, **attributes)
    if last is None:
        post_transform(builder, node, scores, node.outputs[0])
    return True


def _extreme(builder: Builder, node: Node, attributes: dict[str, Any], aggregate: str, output: str | None) -> str:
    """The least or largest of the trees, by target."""
    targets = int(attributes.get("n_targets", 1))
    results: list[list[str]] = [[] for _ in range(targets)]
    for tree in sorted(set(attributes["nodes_treeids"])):
        chosen = [index for index, number in enumerate(attributes["nodes_treeids"]) if number == tree]
        leaves = [index for index, number in enumerate(attributes["target_treeids"]) if number == tree]
        own = {attributes["target_ids"][index] for index in leaves}
        if len(own) != 1:
            raise UsageError(f"{node.operator} {node.name!r}: {aggregate} of trees with several targets is not supported")
        part: dict[str, Any] = {key: [value[index] for index in chosen] for key, value in attributes.items() if key.startswith("nodes_")}
        part |= {key: [attributes[key][index] for index in leaves] for key in ("target_treeids", "target_nodeids", "target_weights")}
        part["target_ids"] = [0] * len(leaves)
        results[own.pop()].append(builder.node("TreeEnsembleRegressor", node.inputs, domain=ML, n_targets=1, **part))
    if not all(results):
        raise UsageError(f"{node.operator} {node.name!r}: a target without trees")
    columns = [builder.node("Max" if aggregate == "MAX" else "Min", parts) for parts in results]
    joined = builder.node("Concat", columns, axis=1)
    base = attributes.get("base_values") or [0.0]
    return builder.node("Add", [joined, builder.constant(base)], output)


@rewrites("TreeEnsembleClassifier", domain=ML)
def rewrite_classifier(builder: Builder, node: Node) -> bool:
    """A regressor with one output per class; two classes may share one column of weights."""
    attributes = _without_tensors(node.attributes)
    classes = len(labels_of(node))
    used = sorted(set(attributes["class_ids"]))
    single = classes == 2 and used == [0]
    base = list(attributes.get("base_values") or [])
    if classes == 2 and any(base) and used != [0]:
        if used == [0, 1] or len(base) > 1:
            raise UsageError(f"{node.operator} {node.name!r}: base values of two classes are not supported")
        base = []  # onnxruntime adds it to the first class, which has no weights, and forgets that
    elif classes == 2 and any(base) and len(base) > 1:
        raise UsageError(f"{node.operator} {node.name!r}: base values of a class without weights are not supported")
    positive = all(weight >= 0 for weight in attributes["class_weights"])
    kept = {key: value for key, value in attributes.items() if key.startswith("nodes_")}
    for part in ("treeids", "nodeids", "weights"):
        kept[f"target_{part}"] = attributes[f"class_{part}"]
    kept["target_ids"] = [0] * len(attributes["class_ids"]) if single else attributes["class_ids"]
    if any(base):
        kept["base_values"] = base
    source = node.inputs[0]
    if builder.dtype_of(source).kind != "f":
        source = as_real(builder, source)  # onnxruntime has regressors of real numbers only, and compares integers as such
    scores = builder.node("TreeEnsembleRegressor", [source], domain=ML, n_targets=1 if single else classes, **kept)
    if single:
        # Weights without a negative one (random forests) are probabilities of the second class, others are decisions.
        label_above(builder, node, scores, 0.5 if positive else 0.0)
        two_columns(builder, node, scores, not positive, node.outputs[1])
        return True
    if classes == 2:
        second = builder.node("Gather", [scores, builder.integers(1)], axis=1)
        if used == [1]:
            label_above(builder, node, second, 0.5 if positive else 0.0)
        else:  # onnxruntime asks only whether the second score is positive, and gives 1 or 0 whatever the labels are
            above = builder.node("Greater", [builder.node("Squeeze", [second, builder.integers(1)]), builder.constant(0.0)])
            builder.node("Cast", [above], node.outputs[0], to=7)
    else:
        largest_label(builder, node, scores, classes)
    post_transform(builder, node, scores, node.outputs[1])
    return True


def older_form(builder: Builder, node: Node) -> None:
    """A TreeEnsemble of version 5 as TreeEnsembleRegressor: nodes of trees instead of a graph, leaves among them."""
    attributes = {
        key: numpy_helper.to_array(value).reshape(-1) if hasattr(value, "data_type") else value for key, value in node.attributes.items()
    }
    count = len(attributes["nodes_featureids"])
    members = iter(_member_sets(attributes.get("membership_values", np.zeros(0))))
    sets = [next(members) if MODES[int(attributes["nodes_modes"][index])] == "BRANCH_MEMBER" else [] for index in range(count)]
    grown = _Grown(attributes, sets)
    for tree, root in enumerate(attributes["tree_roots"]):
        # A root whose branches are one leaf is a tree that is only a leaf.
        grown.begin(tree)
        grown.grow(int(root))
    targets = int(attributes.get("n_targets", 1))
    result = grown.columns | {"n_targets": targets}
    if "base_values" in attributes:
        result["base_values"] = [float(value) for value in attributes["base_values"]]
    builder.node(
        "TreeEnsembleRegressor", node.inputs, node.outputs[0], domain=ML,
        aggregate_function=AGGREGATES[int(attributes.get("aggregate_function", 1))],
        post_transform=TRANSFORMS[int(attributes.get("post_transform", 0))], **result,
    )  # fmt: skip


def _member_sets(values: Any) -> list[list[float]]:
    """Sets of numbers, each ended by a NaN."""
    sets: list[list[float]] = [[]]
    for value in values:
        if np.isnan(value):
            sets.append([])
        else:
            sets[-1].append(float(value))
    return sets


class _Grown:
    """The columns of a TreeEnsembleRegressor while trees are written."""

    def __init__(self, attributes: dict[str, Any], sets: list[list[float]]) -> None:
        """Nothing grown yet.

        Args:
            attributes: of the TreeEnsemble.
            sets: the members of every node.
        """
        self.given, self.sets = attributes, sets
        names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true")
        self.columns: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names}
        self.columns |= {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
        self.tree = self.count = 0

    def begin(self, tree: int) -> None:
        """The next nodes belong to another tree."""
        self.tree, self.count = tree, 0

    def _add(self, mode: str, feature: int = 0, value: float = 0.0, missing: int = 0) -> int:
        if len(self.columns["nodes_modes"]) > MAX_NODES:
            raise UsageError(f"a TreeEnsemble becomes more than {MAX_NODES} nodes of trees")
        row = (self.tree, self.count, feature, value, mode, 0, 0, missing)
        for column, entry in zip(list(self.columns.values())[:8], row, strict=True):
            column.append(entry)
        self.count += 1
        return len(self.columns["nodes_modes"]) - 1

    def leaf(self, number: int) -> int:
        """Append a leaf; returns its number within the tree."""
        row = self._add("LEAF")
        own = int(self.columns["nodes_nodeids"][row])
        entries = (self.tree, own, int(self.given["leaf_targetids"][number]), float(self.given["leaf_weights"][number]))
        for name, entry in zip(("treeids", "nodeids", "ids", "weights"), entries, strict=True):
            self.columns[f"target_{name}"].append(entry)
        return own

    def grow(self, number: int) -> int:
        """Append a node and all below it; returns its number within the tree."""
        given = self.given
        mode = MODES[int(given["nodes_modes"][number])]
        missing = given.get("nodes_missing_value_tracks_true")
        tests = (
            [("BRANCH_EQ", value) for value in self.sets[number]] if mode == "BRANCH_MEMBER" else [(mode, given["nodes_splits"][number])]
        )
        rows = [
            self._add(kind, int(given["nodes_featureids"][number]), float(value), int(missing[number]) if missing is not None else 0)
            for kind, value in tests
        ]
        for place, row in enumerate(rows):
            self.columns["nodes_truenodeids"][row] = self._branch(number, "true")
            more = place + 1 < len(rows)
            following = self.columns["nodes_nodeids"][rows[place + 1]] if more else self._branch(number, "false")
            self.columns["nodes_falsenodeids"][row] = following
        return int(self.columns["nodes_nodeids"][rows[0]])

    def _branch(self, number: int, side: str) -> int:
        target = int(self.given[f"nodes_{side}nodeids"][number])
        return self.leaf(target) if int(self.given[f"nodes_{side}leafs"][number]) else self.grow(target)
