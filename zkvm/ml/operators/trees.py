"""Tree ensembles of ai.onnx.ml: sums of leaf weights, reached by comparing features with thresholds."""

from __future__ import annotations

from math import ceil, floor

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, IntArray, rescale
from zkvm.ml.ir import Kind
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.trees import LEAF, Trees

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
    order = sorted(range(len(owners)), key=lambda item: place[owners[item]])
    first: dict[tuple[int, int], list[int]] = {}
    for row, item in enumerate(order):
        first.setdefault(owners[item], []).append(row)
    table = _nodes(node, source.scale, keys, place, first, source.kind)
    base = np.array(attributes.get("base_values", [0.0] * int(attributes["n_targets"])), np.float64)
    outputs = int(attributes["n_targets"])
    # The sum of every tree's largest leaf, and the base, must fit.
    largest: dict[int, float] = {}
    for (tree, _), weight in zip(owners, weights, strict=True):
        largest[tree] = max(largest.get(tree, 0.0), abs(float(weight)))
    total = sum(largest.values()) + float(np.abs(base).max(initial=0.0))
    unit = max(total / (INT32_MAX // 2), 1e-30)
    leaves = np.stack([targets[order], np.round(weights[order] / unit).astype(np.int64)], axis=1)
    base_units = np.zeros(outputs, np.int64)
    base_units[: len(base)] = np.round(base / unit).astype(np.int64)
    children = {int(number) for row in table if row[0] != LEAF for number in row[2:4]}
    roots = np.array([number for number in range(len(keys)) if number not in children], np.int64)
    bound = min(INT32_MAX, int(total / unit) + len(largest) + 2)
    rescaling = rescale(unit / output.scale, bound, output.lo, output.hi, node.name)
    context.bind(node.outputs[0], context.add(Trees(node.name, (source,), output, table, roots, leaves, base_units, rescaling)))


def _nodes(
    node: Node,
    scale: float,
    keys: list[tuple[int, int]],
    place: dict[tuple[int, int], int],
    first: dict[tuple[int, int], list[int]],
    kind: Kind,
) -> IntArray:
    """The table of nodes, every comparison as x <= threshold on integers."""
    attributes = node.attributes
    table = np.zeros((len(keys), 4), np.int64)
    columns = ("nodes_modes", "nodes_featureids", "nodes_values", "nodes_truenodeids", "nodes_falsenodeids")
    for number, (mode, feature, value, yes, no) in enumerate(zip(*(attributes[name] for name in columns), strict=True)):
        mode = mode.decode() if isinstance(mode, bytes) else mode
        tree = keys[number][0]
        if mode == "LEAF":
            rows = first.get(keys[number], [])
            table[number] = LEAF, rows[0] if rows else 0, 0, len(rows)
            continue
        if mode not in MODES:
            raise UsageError(f"{node.operator} {node.name!r}: node mode {mode}; supported: LEAF, {', '.join(MODES)}")
        # Rounded as inputs are, so that a feature equal to the threshold stays equal. Integers are compared as they are.
        below = mode in ("BRANCH_LT", "BRANCH_GTE")
        exact = floor(float(value) / scale + 0.5) - below if kind is Kind.REAL else ceil(value) - 1 if below else floor(value)
        threshold = int(np.clip(exact, -INT32_MAX, INT32_MAX))
        branches = place[(tree, yes)], place[(tree, no)]
        table[number] = feature, threshold, *(branches if mode in ("BRANCH_LEQ", "BRANCH_LT") else branches[::-1])
    return table
