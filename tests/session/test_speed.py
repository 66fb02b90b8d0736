"""Measurements of the machine are plausible numbers (no test asserts a time), and what is not tried costs as the last of what was."""

from __future__ import annotations

import pytest

from zkvm.session import memory, speed
from zkvm.session.speed import TOUCH_BYTES, TOUCH_STEP, FirstTouch


def test_the_speed_of_this_machine_is_a_plausible_number() -> None:
    assert 0.01 < speed.kernel_slowness() < 1000
    assert 0.01 < speed.python_slowness() < 1000


def test_the_first_use_of_memory_is_tried_in_bounds() -> None:
    steps = speed.first_touch.__wrapped__().steps
    assert 1 <= len(steps) <= TOUCH_BYTES // TOUCH_STEP
    assert all(0 < seconds < 60 for seconds in steps)


def test_a_system_with_little_memory_is_asked_for_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    assert len(speed.first_touch.__wrapped__().steps) == 1


def test_what_was_not_tried_costs_as_the_last_of_what_was() -> None:
    touch = FirstTouch((1.0, 1.0, 4.0, 4.0, 4.0, 4.0))
    assert touch.seconds(0) == 0
    assert touch.seconds(2 * TOUCH_STEP) == 2
    assert touch.seconds(6 * TOUCH_STEP) == 18
    assert touch.seconds(8 * TOUCH_STEP) == 26


def test_a_limit_of_the_process_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> None:
        raise OSError("no memory")

    monkeypatch.setattr(speed, "_private_memory", refuse)
    assert speed.first_touch.__wrapped__().seconds(1 << 30) == 0


@pytest.mark.parametrize(("measured", "expected"), [(0.5, 0.5), (0.85, 1.0), (1.0, 1.0), (1.2, 1.0), (2.0, 2.0)])
def test_a_machine_is_another_only_if_it_differs_by_more_than_it_drifts(measured: float, expected: float) -> None:
    assert speed.steadied(measured) == expected
