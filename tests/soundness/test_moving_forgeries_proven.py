"""Forged gathers, maxima and functions, proven for real and refused by the verifier; all of them in the slow tests."""

from __future__ import annotations

from tests.soundness.proven import proven
from tests.soundness.test_moving_forgeries import (
    forged,
    test_g9_a_vector_of_elements_in_other_lanes,
    test_g9_rows_of_a_pattern_exchanged,
    test_g10_the_first_in_the_middle,
    test_g11_entries_of_another_function,
    test_honest,
)

__all__ = [
    "forged",
    "proven",
    "test_g9_a_vector_of_elements_in_other_lanes",
    "test_g9_rows_of_a_pattern_exchanged",
    "test_g10_the_first_in_the_middle",
    "test_g11_entries_of_another_function",
    "test_honest",
]
