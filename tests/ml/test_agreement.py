"""The agreement bench: what counts as a differing label, a tie and an error; one model from recipe to row; goals that can be missed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.ml import agreement
from bench.ml.adapter import Compiled, Run, Sample
from bench.ml.agreement import Settings, measured, missed, summary
from bench.ml.comparison import NOISE, Row, measure, relative_errors
from bench.ml.corpus.entry import Entry, Made, generator, more_rows
from bench.ml.corpus.store import Case, float_session, run_float, samples_of

WEIGHTS = np.array([[1.0, -1.0], [0.5, 0.25]], np.float32)


def classifier(label: bool = True) -> onnx.ModelProto:
    """Two scores of two numbers, and which is larger."""
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2])]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["scores"])]
    if label:
        nodes.append(helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0))
        outputs.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [1]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(WEIGHTS, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


class Changed(Compiled):
    """The float model with one label changed in every row, or with one row refused or flagged."""

    def __init__(self, case: Case, flagged: bool = False, refused: int = -1, cut: bool = False) -> None:
        self.case, self.flagged, self.refused, self.cut, self.number = case, flagged, refused, cut, -1

    def run(self, sample: Sample) -> Run:
        self.number += 1
        if self.number == self.refused:
            return Run(refused="outside")
        label, scores = run_float(float_session(self.case.path.read_bytes()), sample)
        return Run([1 - label, scores], flagged=self.flagged, cut=self.cut)


def case_of(folder: Path, rows: np.ndarray, model: onnx.ModelProto, scores: str = "") -> Case:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    made = Made(b"", {"x": rows[:1]}, {"x": rows}, scores)
    results = [run_float(float_session(path.read_bytes()), sample) for sample in samples_of(made.inputs)]
    names = [output.name for output in model.graph.output]
    return Case(Entry("test", "case", lambda count: made), path, made, names, [np.stack(column) for column in zip(*results, strict=True)])


ROWS = np.array([[[1, 0]], [[0, 1]], [[2, -1]]], np.float32)


def test_a_changed_label_counts_for_every_input(tmp_path: Path) -> None:
    case = case_of(tmp_path, ROWS, classifier())
    row = measure(case, Changed(case), 1, 60)
    assert (row.inputs, row.flips, row.ties, row.wrong, row.error) == (3, 3, 0, 3, 0.0)


def test_a_label_that_scores_do_not_decide_is_a_tie(tmp_path: Path) -> None:
    """The scores are equal where 2 a = -b / 4; the second row is one unit in the last place away from that."""
    rows = np.array([[[1, -8]], [[1, np.nextafter(np.float32(-8), np.float32(0))]], [[1, -7.9]]], np.float32)
    case = case_of(tmp_path, rows, classifier())
    row = measure(case, Changed(case), 1, 60)
    assert (row.flips, row.ties) == (1, 2)


def test_a_label_that_the_last_bits_of_the_input_change_is_a_tie(tmp_path: Path) -> None:
    """Large terms cancel: the scores differ by more than the noise of their own size."""
    rows = np.array([[[1e6, -8e6 + 4]], [[1e6, -6e6]]], np.float32) / np.float32(1e6)
    model = classifier()
    case = case_of(tmp_path, rows, model)
    margin = np.abs(np.diff(case.expected[1][0]))
    assert margin.max() > NOISE * np.abs(case.expected[1]).max() / 8
    row = measure(case, Changed(case), 1, 60)
    assert (row.flips, row.ties) == (1, 1)


def test_flagged_and_refused_runs_are_nobodys_surprise(tmp_path: Path) -> None:
    case = case_of(tmp_path, ROWS, classifier())
    flagged = measure(case, Changed(case, flagged=True, cut=True), 1, 60)
    assert (flagged.flagged, flagged.saturated, flagged.wrong, flagged.flips) == (3, 0, 0, 3)
    silent = measure(case, Changed(case, cut=True), 1, 60)
    assert (silent.saturated, silent.causes) == (3, {"input cut": 3})
    refused = measure(case, Changed(case, refused=1), 1, 60)
    assert (refused.refused, refused.flips, refused.refusals) == (1, 2, {"outside": 1})


def test_outputs_of_another_shape_are_no_answer(tmp_path: Path) -> None:
    case = case_of(tmp_path, ROWS, classifier(label=False), "scores")
    row = measure(case, Changed(case_of(tmp_path, ROWS, classifier())), 1, 60)
    assert row.status == "failed"


def test_errors_are_relative_to_the_range_over_all_inputs() -> None:
    full = np.array([[0.0, 0.0], [10.0, 1000.0]])
    assert relative_errors(full + 1, full, full, by_column=False) == pytest.approx([0.001, 0.001])
    assert relative_errors(full + 1, full, full, by_column=True) == pytest.approx([0.1, 0.1])


def test_a_range_of_nearly_nothing_is_no_measure() -> None:
    full = np.array([[4096.0], [4096.001]])
    assert relative_errors(full + 0.01, full, full, by_column=True) == pytest.approx([0.01, 0.01], rel=1e-3)
    same = np.array([[8.0], [8.0]])
    assert relative_errors(same + 4, same, same, by_column=True).tolist() == [0.5, 0.5]


def test_numbers_that_are_not_finite_must_be_the_same() -> None:
    full = np.array([[np.nan], [np.inf], [-np.inf], [3.0]])
    assert relative_errors(full.copy(), full, full, by_column=False).tolist() == [0, 0, 0, 0]
    got = np.array([[1.0], [-np.inf], [1e30], [np.nan]])
    assert relative_errors(got, full, full, by_column=False).tolist() == [np.inf] * 4


def test_more_rows_stay_within_the_columns() -> None:
    rows = np.column_stack([np.arange(20.0), np.linspace(0, 1, 20) ** 2, np.where(np.arange(20) % 3, 5.5, np.nan)])
    drawn = more_rows(rows, 200, generator("test"))
    assert drawn.shape == (200, 3)
    assert (drawn[:20, :2] == rows[:, :2]).all()
    assert set(drawn[:, 0]) <= set(rows[:, 0])
    assert drawn[:, 1].min() >= 0
    assert drawn[:, 1].max() <= 1
    assert 0 < np.isnan(drawn[:, 2]).sum() < 200


def test_one_model_from_recipe_to_row(tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    pytest.importorskip("sklearn")
    entry = next(entry for entry in agreement.entries(tmp_path, ["tabular"]) if entry.name == "LinearRegression-scaled")
    settings = Settings(tmp_path, tmp_path / "cache", 20, (200,), 60.0)
    first = list(measured(entry, settings))
    assert [(row.status, row.inputs, row.flips) for row in first] == [("measured", 20, 0)]
    stored = (tmp_path / "cache" / "tabular" / entry.name / "model.onnx").stat().st_mtime_ns
    assert [row.error for row in measured(entry, settings)] == [row.error for row in first]
    assert (tmp_path / "cache" / "tabular" / entry.name / "model.onnx").stat().st_mtime_ns == stored


def test_an_absent_folder_of_models_is_named(tmp_path: Path) -> None:
    rows = [
        row
        for entry in agreement.entries(tmp_path / "none", ["public"])
        for row in measured(entry, Settings(tmp_path, tmp_path, 1, (1,), 1.0))
    ]
    assert [row.status for row in rows] == ["absent"]
    assert "--models" in rows[0].reason


def test_each_goal_can_be_missed() -> None:
    good = Row("a", 1, inputs=10, error=0.0005)
    assert not list(missed([good, Row("b", 1, "refused", "no such operator")]))
    for bad in (
        Row("b", 1, inputs=10, flips=1),
        Row("b", 1, inputs=10, error=0.02),
        Row("b", 1, inputs=10, error=0.003),
        Row("b", 1, inputs=10, saturated=1),
        Row("b", 1, "failed"),
    ):
        assert len(list(missed([good, bad]))) >= 1
    assert "1 in 1 models" in "\n".join(summary([good, Row("b", 1, inputs=10, flips=1)]))
