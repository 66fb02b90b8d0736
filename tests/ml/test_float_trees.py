"""Trees compare as the float model does: neighbouring floats, missing values, all modes, integers; their sums are its sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.ml.floats import FLOATS, answers, check_floats
from tests.ml.models import Array, compiled, model_of, normal, positive
from zkvm.errors import UsageError
from zkvm.ml.compilation import Arithmetic
from zkvm.ml.compiler import Options, Privacy, float_outputs
from zkvm.ml.ir import Kind

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TENTH = float(np.float32(0.1))
NEAR = (TENTH, *(float(np.nextafter(np.float32(0.1), np.float32(side))) for side in (0, 1)), 0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf, 1.0)


def stumps(
    modes: Sequence[str], thresholds: Sequence[float], missing: Sequence[int], shape: tuple[int, ...] = (4, 3), **other: Any
) -> onnx.ModelProto:
    """One comparison per tree, each with leaves that tell from the sum which ones were reached."""
    columns: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "modes": [], "featureids": [], "values": [], "truenodeids": []}
    columns |= {"falsenodeids": [], "missing_value_tracks_true": []}
    leaves: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for tree, (mode, threshold, tracks) in enumerate(zip(modes, thresholds, missing, strict=True)):
        rows = [(mode, tree % shape[-1], float(threshold), 1, 2, tracks), ("LEAF", 0, 0.0, 0, 0, 0), ("LEAF", 0, 0.0, 0, 0, 0)]
        for number, row in enumerate(rows):
            for name, value in zip(columns, (tree, number, *row), strict=True):
                columns[name].append(value)
        for number in (1, 2):
            for name, value in zip(leaves, (tree, number, tree % 2, float((number * 2 - 3) * 2.0**tree)), strict=True):
                leaves[name].append(value)
    attributes = {f"nodes_{name}": values for name, values in columns.items()} | {
        f"target_{name}": values for name, values in leaves.items()
    }
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=2,
        name="trees",
        **(attributes | {"base_values": [0.5, -1.0]} | other),
    )
    return model_of([node], {"x": np.zeros(shape, np.float32)}, ["y"], domains=["ai.onnx.ml"])


def drawn(numbers: Sequence[float], count: int = 12, shape: tuple[int, ...] = (4, 3)) -> list[dict[str, Array]]:
    """Samples of these numbers; the first one, which calibrates, is another."""
    random = np.random.default_rng(0)
    return [{"x": normal(*shape)}, *({"x": random.choice(np.array(numbers, np.float32), shape)} for _ in range(count))]


@pytest.mark.parametrize("missing", [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 1)])
@pytest.mark.parametrize("mode", MODES)
def test_comparisons_are_exact(mode: str, missing: tuple[int, ...]) -> None:
    thresholds = (TENTH, 0.0, -0.0, np.inf)
    check_floats(stumps([mode] * 4, thresholds, missing), drawn((*NEAR, np.nan)), 0.0)


@pytest.mark.parametrize("missing", [0, 1])
def test_modes_in_one_ensemble(missing: int) -> None:
    check_floats(stumps(MODES, [TENTH] * 6, [missing] * 6), drawn((*NEAR, np.nan)), 0.0)


def test_missing_values_of_private_trees() -> None:
    """Where NaN goes is one of the weights, and so are modes but for equality, which takes two nodes."""
    options = Options(arithmetic=Arithmetic.FLOAT, privacy=Privacy(private_weights=True))
    sources = []
    for mode, missing, threshold in (("BRANCH_LEQ", 0, 0.1), ("BRANCH_LEQ", 1, 30.0), ("BRANCH_GT", 1, -1e9), ("BRANCH_LT", 0, 0.0)):
        made = check_floats(stumps([mode] * 3, [threshold] * 3, [missing, 0, missing]), drawn((*NEAR, np.nan), 2), 0.0, options)
        sources.append(made.code.source)
    assert len(set(sources)) == 1


def test_trees_are_in_floats_whatever_the_rest_is() -> None:
    """Fixed point would round the features, so that one beside a threshold takes the other branch."""
    samples = drawn(NEAR[:7], 4)
    made = compiled(stumps(["BRANCH_LEQ"] * 3, [TENTH] * 3, [0] * 3), samples[:1], Options(arithmetic=Arithmetic.FIXED))
    assert made.graph.inputs[0].kind is Kind.FLOAT
    for sample, expected in zip(samples, float_outputs(made.imported, samples), strict=True):
        np.testing.assert_array_equal(answers(made, sample)[0][0], expected[0])


def test_sums_of_large_and_small_leaves() -> None:
    """Many trees of one leaf size, and one tree that is a million times as important."""
    count = 60
    weights = [float(np.float32(weight)) for pair in range(count) for weight in (0.1 + pair / 1000, -0.3)]
    weights[:2] = [1e6, -1e6]
    model = stumps(["BRANCH_LEQ"] * count, normal(count).tolist(), [0] * count, target_weights=weights, base_values=[1e-3, 7.0])
    check_floats(model, [{"x": normal(4, 3, seed=seed)} for seed in range(3)], 1e-6)


def test_classifier_reads_integers() -> None:
    """With thresholds between integers, at them, and beyond all."""
    leaves: dict[str, Any] = {"class_treeids": [0, 0], "class_nodeids": [1, 2], "class_ids": [0, 1], "class_weights": [1.0, 1.0]}
    for mode in ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"):
        for threshold in (2.0, 2.5, -2.5, 3e9, -3e9):
            node = helper.make_node(
                "TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", classlabels_int64s=[4, 9, 5],
                nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_modes=[mode, "LEAF", "LEAF"], nodes_featureids=[1, 0, 0],
                nodes_values=[threshold, 0.0, 0.0], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], **leaves,
            )  # fmt: skip
            samples = [{"x": np.array([[other, value]], np.int64)} for other, value in ((-3, 3), *((0, value) for value in range(-3, 4)))]
            check_floats(model_of([node], samples[0], ["label", "scores"], domains=["ai.onnx.ml"]), samples, 0.0)


def test_thresholds_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="a threshold is NaN"):
        compiled(stumps(["BRANCH_LEQ"], [np.nan], [0]), [{"x": positive(4, 3)}], FLOATS)
