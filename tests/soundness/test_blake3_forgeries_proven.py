"""Forged BLAKE3 calls, proven for real and refused by the verifier; all of them in the slow tests."""

from __future__ import annotations

from tests.soundness.proven import proven
from tests.soundness.test_blake3_forgeries import test_honest
from tests.soundness.test_blake3_wires import (
    test_i2_diagonals_as_columns_of_half_a_round,
    test_i2_the_output_of_another_compression,
    test_i3_an_output_from_2_32_on,
)

__all__ = [
    "proven",
    "test_honest",
    "test_i2_diagonals_as_columns_of_half_a_round",
    "test_i2_the_output_of_another_compression",
    "test_i3_an_output_from_2_32_on",
]
