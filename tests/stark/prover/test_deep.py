"""The weighted sums under the DEEP quotient against their definition on every point of the domain."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.stark.field.goldilocks import P
from zkvm.stark.prover import twins
from zkvm.stark.prover.columns import extend
from zkvm.stark.prover.deep import HERE, Opened, lifted_sum

HEIGHTS = (512, 1024, 4096)


@pytest.mark.parametrize("blowup", [2, 4, 8])
@pytest.mark.parametrize("heights", [HEIGHTS, HEIGHTS[:1], HEIGHTS[-1:], ()])
def test_sums_are_taken_on_one_coset_and_hold_on_all(blowup: int, heights: tuple[int, ...]) -> None:
    rng = np.random.default_rng(blowup)
    tallest, matrices, position = HEIGHTS[-1], [], 0
    for width, height in enumerate(heights, 1):
        lde, _, _ = extend(rng.integers(0, P, (width, height), np.uint64), blowup, 1)
        matrices.append(Opened(height, lde, position, HERE))
        position += width
    weights = rng.integers(0, P, (position + 1, 3), np.uint64)
    expected = np.zeros((3, blowup * tallest), np.uint64)
    for matrix in matrices:
        lifted = np.tile(matrix.lde, tallest // matrix.height).reshape(len(matrix.lde), -1)
        own = weights[matrix.position : matrix.position + len(matrix.lde)]
        expected = twins.accumulate(lifted, own, expected)
    for threads in (1, 2):
        assert np.array_equal(lifted_sum(matrices, weights, blowup, tallest, threads), expected)
