"""Forged tensor calls, proven for real and refused by the verifier; all of them in the slow tests."""

from __future__ import annotations

from tests.soundness.proven import proven
from tests.soundness.test_tensor_calls import test_g4_two_entries_for_one_vector, test_g5_a_flag_alone
from tests.soundness.test_tensor_forgeries import (
    forged,
    test_g1_one_more_and_one_less,
    test_g2_a_tap_left_out,
    test_g3_fewer_than_no_channels_left,
    test_honest,
    tiles,
)
from tests.soundness.test_tensor_runs import test_g7_a_call_behind_the_end, test_publishing_is_honest

__all__ = [
    "forged",
    "proven",
    "test_g1_one_more_and_one_less",
    "test_g2_a_tap_left_out",
    "test_g3_fewer_than_no_channels_left",
    "test_g4_two_entries_for_one_vector",
    "test_g5_a_flag_alone",
    "test_g7_a_call_behind_the_end",
    "test_honest",
    "test_publishing_is_honest",
    "tiles",
]
