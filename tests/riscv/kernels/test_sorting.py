"""Sorting steps by operation: the kernel and its twin."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.riscv.records import STEP, sort_steps
from zkvm.riscv.vm.executor import sort_kernel


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_sort_steps(count: int) -> None:
    generator = np.random.default_rng(count)
    keys = (2 * generator.integers(0, 128, 50)).astype(np.uint8)
    steps = np.zeros(count, STEP)
    steps["row"], steps["rom"] = generator.integers(0, 50, count), generator.integers(0, 2, count)
    for kernel, twin in zip(sort_kernel(steps, keys), sort_steps(steps, keys), strict=True):
        assert kernel.dtype == twin.dtype == np.int64
        assert np.array_equal(kernel, twin)
