"""Tree ensembles of ai.onnx.ml: sums of leaf weights, reached by comparing features with thresholds."""

from __future__ import annotations

from math import ceil, floor

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, IntArray
from zkvm.ml.ir import Kind
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.trees import Trees

MODES = {"BRANCH_LEQ": ("<=", 0), "BRANCH_LT": ("<", 0), "BRANCH_GTE": (">=", 0), "BRANCH_GT": (">", 0)}


@lowers("TreeEnsembleRegressor", domain="ai.onnx.ml")
def lower_trees(context: Context, node: Node) -> None:
    """A regressor whose result is the sum of the trees; classifiers were rewritten into one."""
    attributes = node.attributes
    if attributes.get("aggregate_function", "SUM") not in ("SUM", b"SUM"):
        raise UsageError(f"{node.operator} {node.name!r}: aggregate {attributes['aggregate_function']!r}; SUM is supported")
    source = context.operand(node.inputs[0])
    output = context.target(node.outputs[0])
    keys = list(zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True))
    place = {key: number for number, key in enumerate(keys)}
    weights = np.array(attributes["target_weights"], np.float64)
    targets = np.array(attributes["target_ids"], np.int64)
    owners = list(zip(attributes["target_treeids"], attributes["target_nodeids"], strict=True))
    rows_of: dict[int, list[int]] = {}
    for row, owner in enumerate(owners):
        rows_of.setdefault(place[owner], []).append(row)
    per_leaf = max(map(len, rows_of.values()), default=1)
    table, ends = _nodes(node, source.scale, keys, place, source.kind)
    table[ends, 1] = np.arange(len(ends)) * per_leaf
    base = np.array(attributes.get("base_values", [0.0] * int(attributes["n_targets"])), np.float64)
    outputs = int(attributes["n_targets"])
    # The sum of every tree's largest leaf, and the base, must fit.
    largest: dict[int, float] = {}
    for (tree, _), weight in zip(owners, weights, strict=True):
        largest[tree] = max(largest.get(tree, 0.0), abs(float(weight)))
    total = sum(largest.values()) + float(np.abs(base).max(initial=0.0))
    unit = max(total / (INT32_MAX // 2), 1e-30)
    leaves = np.zeros((len(ends), per_leaf, 2), np.int64)
    for leaf, number in enumerate(ends):
        for slot, row in enumerate(rows_of.get(number, [])):
            leaves[leaf, slot] = targets[row], round(weights[row] / unit)
    base_units = np.zeros(outputs, np.int64)
    base_units[: len(base)] = np.round(base / unit).astype(np.int64)
    roots, depth = _walks(node, table)
    bound = min(INT32_MAX, int(total / unit) + len(largest) + 2)
    rescaling = context.rescale(unit / output.scale, bound, output, node.name)
    operation = Trees(node.name, (source,), output, table, roots, depth, leaves.reshape(-1, 2), per_leaf, base_units, rescaling)
    context.bind(node.outputs[0], context.add(operation))


def _walks(node: Node, table: IntArray) -> tuple[IntArray, int]:
    """The root of every tree, and the number of steps from a root to the furthest leaf.

    Raises:
        UsageError: the nodes lead in a circle.
    """
    inner = [number for number, row in enumerate(table) if row[2] != number]
    children = {int(child) for number in inner for child in table[number, 2:4]}
    roots = np.array([number for number in range(len(table)) if number not in children], np.int64)
    level, depth = {int(root) for root in roots}, 0
    while level := {int(child) for number in level if table[number, 2] != number for child in table[number, 2:4]}:
        depth += 1
        if depth > len(table):
            raise UsageError(f"{node.operator} {node.name!r}: its nodes lead in a circle")
    return roots, depth


def _nodes(
    node: Node,
    scale: float,
    keys: list[tuple[int, int]],
    place: dict[tuple[int, int], int],
    kind: Kind,
) -> tuple[IntArray, list[int]]:
    """The table of nodes, every comparison as x <= threshold on integers, and which of them are leaves; their first rows are not in it."""
    attributes = node.attributes
    ends: list[int] = []
    table = np.zeros((len(keys), 4), np.int64)
    columns = ("nodes_modes", "nodes_featureids", "nodes_values", "nodes_truenodeids", "nodes_falsenodeids")
    for number, (mode, feature, value, yes, no) in enumerate(zip(*(attributes[name] for name in columns), strict=True)):
        mode = mode.decode() if isinstance(mode, bytes) else mode
        tree = keys[number][0]
        if mode == "LEAF":
            ends.append(number)
            table[number] = 0, 0, number, number
            continue
        if mode not in MODES:
            raise UsageError(f"{node.operator} {node.name!r}: node mode {mode}; supported: LEAF, {', '.join(MODES)}")
        # Rounded as inputs are, so that a feature equal to the threshold stays equal. Integers are compared as they are.
        below = mode in ("BRANCH_LT", "BRANCH_GTE")
        exact = floor(float(value) / scale + 0.5) - below if kind is Kind.REAL else ceil(value) - 1 if below else floor(value)
        threshold = int(np.clip(exact, -INT32_MAX, INT32_MAX))
        branches = place[(tree, yes)], place[(tree, no)]
        table[number] = feature, threshold, *(branches if mode in ("BRANCH_LEQ", "BRANCH_LT") else branches[::-1])
    return table, ends
