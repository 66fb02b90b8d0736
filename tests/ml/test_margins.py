"""Labels that are expected to differ: the estimate against what happens on inputs that it did not see."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.ml.margins import Margins, Source


def scores(seed: int, inputs: int, rows: int, columns: int) -> np.ndarray:
    """Scores of a float model."""
    return np.random.default_rng(seed).standard_normal((inputs, rows, columns)).astype(np.float32)


def seen(real: np.ndarray, noise: float, seed: int) -> tuple[Margins, float]:
    """The estimate, and the labels that did differ in an input, on average."""
    ours = real + noise * np.random.default_rng(seed).standard_normal(real.shape)
    margins = Margins()
    for result, expected in zip(ours, real, strict=True):
        margins.add(result, expected)
    return margins, float((ours.argmax(-1) != real.argmax(-1)).sum() / len(real))


@pytest.mark.parametrize(("rows", "columns", "noise"), [(1, 10, 0.01), (8, 24, 0.003), (16, 2, 0.02)])
def test_the_estimate_is_what_happens(rows: int, columns: int, noise: float) -> None:
    estimate = seen(scores(1, 300, rows, columns), noise, 2)[0].expected()
    happened = seen(scores(3, 20_000, rows, columns), noise, 4)[1]
    assert 0.6 * happened < estimate < 1.6 * happened


def test_ties_and_exact_scores_expect_nothing() -> None:
    real = scores(1, 50, 4, 5)
    assert seen(real, 0.0, 1)[0].expected() == 0.0
    tied = np.zeros((3, 2, 4), np.float32)
    assert seen(tied, 0.1, 1)[0].expected() == 0.0
    assert Margins().expected() == 0.0


def test_numbers_that_are_none_are_left_out() -> None:
    real = scores(1, 50, 4, 5)
    real[:, 0, 0], real[:, 1, 2] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        assert 0 < seen(real, 0.01, 1)[0].expected() < 1


def margins_of(counts: dict[Source, int], leads: dict[Source, float]) -> Margins:
    """So many inputs of each kind, whose score leads by so much and is off by 0.01."""
    margins = Margins()
    for source, count in counts.items():
        for _ in range(count):
            real = np.array([[leads[source], 0.0]])
            margins.add(real + [[0.01, 0.0]], real, source)
    return margins


def test_many_samples_count_alone_and_of_few_the_kind_that_differs_most() -> None:
    leads = {Source.SAMPLE: 1.0, Source.NEAR: 0.5, Source.DRAWN: 0.1}
    expected = {source: margins_of({source: 20}, leads).expected() for source in Source}
    assert expected[Source.SAMPLE] < expected[Source.NEAR] < expected[Source.DRAWN]
    assert margins_of({Source.SAMPLE: 100, Source.NEAR: 50, Source.DRAWN: 50}, leads).expected() == pytest.approx(expected[Source.SAMPLE])
    assert margins_of({Source.SAMPLE: 99, Source.NEAR: 50, Source.DRAWN: 50}, leads).expected() == pytest.approx(expected[Source.DRAWN])
