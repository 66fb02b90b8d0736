"""Rescaling: against exact rational arithmetic, and the fast path of the guest against the definition."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import FAST_SHIFT, power_of_two_at_least, rescale

BIG = (1 << 31) - 1


@given(st.floats(1e-9, 1e4), st.lists(st.integers(-BIG, BIG), min_size=1, max_size=20))
def test_rounds_half_up_and_saturates(ratio: float, values: list[int]) -> None:
    factor = rescale(ratio, BIG, -32767, 32767, "layer")
    result = factor.apply(np.array(values, np.int64))
    for value, rounded in zip(values, result, strict=True):
        exact = Fraction(value) * factor.multipliers[0] / 2**factor.shift
        assert rounded == min(max(floor(exact + Fraction(1, 2)), -32767), 32767)
    assert abs(factor.multipliers[0] / 2**factor.shift - ratio) <= ratio * 2**-29


@given(st.floats(1e-9, 0.2), st.integers(-BIG, BIG))
def test_upper_word_alone_gives_the_same(ratio: float, value: int) -> None:
    """What the guest does from shift 33 on: round after dropping the lower 32 bits of the product."""
    factor = rescale(ratio, BIG, -BIG, BIG, "layer")
    assert factor.shift >= FAST_SHIFT
    high = (value * factor.multipliers[0]) >> 32
    assert -(1 << 31) <= high + (1 << (factor.shift - 33)) < 1 << 31
    assert (high + (1 << (factor.shift - 33))) >> (factor.shift - 32) == factor.apply(np.array([value]))[0]


def test_one_shift_for_all_channels() -> None:
    factor = rescale(np.array([0.5, 0.001, 0.0]), 1000, -100, 100, "layer")
    result = factor.apply(np.array([[10, 1000, 1000], [1000, -1000, 5]], np.int64), 1)
    assert result.tolist() == [[5, 1, 0], [100, -1, 0]]


def test_ratio_beyond_the_bounds_saturates() -> None:
    assert rescale(1e12, 1000, -5, 5, "layer").apply(np.array([-1, 0, 1])).tolist() == [-5, 0, 5]


@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3)], ids=str)
def test_shapes_are_kept(shape: tuple[int, ...], secret: bool) -> None:
    result = rescale(0.5, 1000, -500, 500, "layer", secret=secret).apply(np.full(shape, 7))
    assert result.shape == shape
    assert np.all(result == 4)


def test_overflow_names_the_layer() -> None:
    with pytest.raises(UsageError, match="dense7"):
        rescale(0.1, 1 << 31, -5, 5, "dense7")


@pytest.mark.parametrize(("value", "power"), [(1.0, 1.0), (1.01, 2.0), (0.3, 0.5), (0.25, 0.25), (5.0, 8.0)])
def test_power_of_two(value: float, power: float) -> None:
    assert power_of_two_at_least(value) == power
