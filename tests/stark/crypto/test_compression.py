"""The compression function's two versions against each other; hashes made of them are compared with the reference in ``test_hashes.py``."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.stark.crypto import compression


def test_lane_compression_equals_scalar_compression_with_high_counters() -> None:
    rng = np.random.default_rng(3)
    chaining = rng.integers(0, 2**32, (8, 5), dtype=np.uint32)
    block = rng.integers(0, 2**32, (16, 5), dtype=np.uint32)
    counters = np.array([0, 1, 2**32 - 1, 2**32, 2**64 - 1], dtype=np.uint64)
    out = compression.compress_lanes(chaining, block, counters, 17, 11, full_output=True)
    for lane in range(5):
        expected = compression.compress_scalar(chaining[:, lane].tolist(), block[:, lane].tolist(), int(counters[lane]), 17, 11)
        assert out[:, lane].tolist() == expected


@pytest.mark.parametrize("lanes", [1, 2, 3, 8, 300])
def test_inputs_of_lanes_may_be_arrays_or_integers(lanes: int) -> None:
    rng = np.random.default_rng(lanes)
    chaining = rng.integers(0, 2**32, (8, 1), dtype=np.uint32)
    block = rng.integers(0, 2**32, (16, lanes), dtype=np.uint32)
    lengths = rng.integers(0, 65, lanes, dtype=np.uint32)
    flags = rng.integers(0, 32, lanes, dtype=np.uint32)
    inputs = compression.lane_inputs(chaining, block, 2**40 + 3, lengths, flags)
    before = inputs.copy()
    out = compression.compress_many(inputs)
    assert np.array_equal(inputs, before)
    for lane in range(lanes):
        words = block[:, lane].tolist()
        expected = compression.compress_scalar(chaining[:, 0].tolist(), words, 2**40 + 3, int(lengths[lane]), int(flags[lane]))
        assert out[:, lane].tolist() == expected[:8]
