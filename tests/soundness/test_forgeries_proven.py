"""Forged tables of every kind of refusal, proven for real and refused by the verifier; all of them in the slow tests."""

from __future__ import annotations

from tests.soundness.proven import proven
from tests.soundness.test_forgeries import (
    forged,
    test_a1_one_of_two_equal_operands,
    test_a4_quotient_by_zero,
    test_a6_shift_by_more_than_31,
    test_b1_value_never_written,
    test_e1_no_exit,
    test_honest,
)
from tests.soundness.test_memory_map import test_b3_a_word_of_the_guard_after_the_heap, test_b3_a_word_of_the_guard_that_nobody_opens

__all__ = [
    "forged",
    "proven",
    "test_a1_one_of_two_equal_operands",
    "test_a4_quotient_by_zero",
    "test_a6_shift_by_more_than_31",
    "test_b1_value_never_written",
    "test_b3_a_word_of_the_guard_after_the_heap",
    "test_b3_a_word_of_the_guard_that_nobody_opens",
    "test_e1_no_exit",
    "test_honest",
]
