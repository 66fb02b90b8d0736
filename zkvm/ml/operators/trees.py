"""Tree ensembles of ai.onnx.ml: sums of leaf weights, reached by comparing features with thresholds, exactly as floats compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor, frexp, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from zkvm.errors import UsageError
from zkvm.ml import float32
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray
from zkvm.ml.ir import Kind
from zkvm.ml.lowering import Context, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.trees import Trees

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
LEAF_BITS = 31
"""Of the largest weight of a leaf; sums have 64."""


@dataclass
class _Table:
    """Nodes under construction; ``missing`` says whether NaN may go where no key does, for which features are there twice.

    Attributes:
        features: how many there are.
        floats: whether they are floats, which have keys.
        rows: see :class:`Trees`.
        leaves: numbers of the nodes that are leaves.
    """

    features: int
    floats: bool
    missing: bool
    rows: list[tuple[int, int, int, int]]
    leaves: list[int] = field(default_factory=list)

    def bounds(self, threshold: float) -> tuple[int, int]:
        """The largest integers that are not above the threshold, and below it."""
        if not self.floats:
            low, high = (ceil(threshold) - 1, floor(threshold)) if isfinite(threshold) else (int(np.sign(threshold)) << 40,) * 2
            return high, low
        with np.errstate(over="ignore"):
            nearest = np.float32(threshold)
        key = int(float32.key(float32.to_bits(np.asarray(nearest))))
        return key - (float(nearest) > threshold), key - (float(nearest) >= threshold)

    def compare(self, place: int, feature: int, threshold: int, branches: tuple[int, int], missing: int) -> None:
        """Make a node: the first branch if x <= threshold, else the second one; that of these where NaN goes is said by its number."""
        yes, no = branches
        if threshold < INT32_MIN:  # below all integers
            yes, threshold = no, 0
        if not self.floats or not self.missing:
            assert not self.floats or missing == 1
            self.rows[place] = feature, min(threshold, INT32_MAX), yes, no
        elif missing:
            self.rows[place] = feature, threshold, yes, no
        else:
            self.rows[place] = feature + self.features, threshold + 1, yes, no

    def node(self, place: int, mode: str, feature: int, threshold: float, branches: tuple[int, int], missing: bool) -> None:
        """Make an inner node, or two for a comparison with one number.

        Args:
            place: number of the node.
            mode: how it compares.
            feature: what.
            threshold: with what.
            branches: next nodes if the comparison is true, and if not.
            missing: whether it is true of NaN.
        """
        at, below = self.bounds(threshold)
        yes, no = branches
        if mode in ("BRANCH_LEQ", "BRANCH_LT"):
            self.compare(place, feature, at if mode == "BRANCH_LEQ" else below, (yes, no), 0 if missing else 1)
        elif mode in ("BRANCH_GT", "BRANCH_GTE"):
            self.compare(place, feature, at if mode == "BRANCH_GT" else below, (no, yes), 1 if missing else 0)
        else:
            # x <= t, then x < t. A NaN is not equal, unless it is told to be where that is asked for.
            equal, other = (yes, no) if mode == "BRANCH_EQ" else (no, yes)
            as_equal = missing and mode == "BRANCH_EQ"
            second = len(self.rows)
            self.rows.append((0, 0, 0, 0))
            self.compare(place, feature, at, (second, other), 0 if as_equal else 1)
            self.compare(second, feature, below, (other, equal), 1)


def _numbers(node: Node, name: str) -> NDArray[np.float64]:
    """An attribute of real numbers, as a list or as a tensor of any type."""
    tensor = node.attributes.get(f"{name}_as_tensor")
    values: Any = node.attributes.get(name, []) if tensor is None else numpy_helper.to_array(tensor)
    return np.asarray(values, np.float64).reshape(-1)


@lowers_float("TreeEnsembleRegressor", domain="ai.onnx.ml")
def lower_trees(context: Context, node: Node) -> None:
    """A regressor whose result is the sum of the trees; classifiers were rewritten into one."""
    attributes = node.attributes
    if attributes.get("aggregate_function", "SUM") not in ("SUM", b"SUM"):
        raise UsageError(f"{node.operator} {node.name!r}: aggregate {attributes['aggregate_function']!r}; SUM is supported")
    source = context.operand(node.inputs[0])
    keys = list(zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True))
    place = {key: number for number, key in enumerate(keys)}
    weights = _numbers(node, "target_weights").astype(np.float32).astype(np.float64)
    owners = zip(attributes["target_treeids"], attributes["target_nodeids"], strict=True)
    rows_of: dict[int, list[int]] = {}
    for row, owner in enumerate(owners):
        rows_of.setdefault(place[owner], []).append(row)
    per_leaf = max(map(len, rows_of.values()), default=1)
    table, ends, missing = _nodes(context, node, source.shape[-1], keys, place, source.kind is Kind.FLOAT)
    table[ends, 1] = np.arange(len(ends)) * per_leaf
    exponent = frexp(float(np.abs(weights).max(initial=0.0)))[1] - LEAF_BITS
    units = np.clip(np.rint(np.ldexp(weights, -exponent)), -INT32_MAX, INT32_MAX).astype(np.int64)
    leaves = np.zeros((len(ends), per_leaf, 2), np.int64)
    for leaf, number in enumerate(ends):
        for slot, row in enumerate(rows_of.get(number, [])):
            leaves[leaf, slot] = attributes["target_ids"][row], units[row]
    base = np.zeros(int(attributes["n_targets"]), np.float32)
    given = _numbers(node, "base_values").astype(np.float32)
    base[: len(given)] = given
    roots, depth = _walks(node, table)
    output = context.float_value(context.info(node.outputs[0]).shape, node.name)
    words = float32.to_bits(base)
    operation = Trees(node.name, (source,), output, table, roots, depth, leaves.reshape(-1, 2), per_leaf, exponent, words, missing)
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
    context: Context, node: Node, features: int, keys: list[tuple[int, int]], place: dict[tuple[int, int], int], floats: bool
) -> tuple[IntArray, list[int], bool]:
    """The table of nodes, which of them are leaves, whose first rows are not in it, and whether features are there twice."""
    attributes = node.attributes
    modes = [mode.decode() if isinstance(mode, bytes) else mode for mode in attributes["nodes_modes"]]
    strange = set(modes) - {"LEAF", *MODES}
    if strange:
        raise UsageError(f"{node.operator} {node.name!r}: node mode {min(strange)}; supported: LEAF, {', '.join(MODES)}")
    tracked = attributes.get("nodes_missing_value_tracks_true") or [0] * len(keys)
    # A NaN takes the second branch by itself, which is right for these modes, unless a node says otherwise.
    alone = not any(tracked) and set(modes) <= {"LEAF", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_EQ", "BRANCH_NEQ"}
    table = _Table(features, floats, floats and (context.private or not alone), [(0, 0, 0, 0)] * len(keys))
    thresholds = _numbers(node, "nodes_values").tolist()
    columns = ("nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_treeids")
    for number, (feature, yes, no, tree) in enumerate(zip(*(attributes[name] for name in columns), strict=True)):
        if modes[number] == "LEAF":
            table.leaves.append(number)
            table.rows[number] = 0, 0, number, number
            continue
        if not 0 <= feature < features:
            raise UsageError(f"{node.operator} {node.name!r}: a node reads feature {feature} of {features}")
        if np.isnan(thresholds[number]):
            raise UsageError(f"{node.operator} {node.name!r}: a threshold is NaN")
        branches = place[(tree, yes)], place[(tree, no)]
        table.node(number, modes[number], feature, thresholds[number], branches, bool(tracked[number]))
    return np.array(table.rows, np.int64), table.leaves, table.missing
