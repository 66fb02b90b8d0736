from __future__ import annotations

import numpy as np
import pytest

from zkvm import tables
from zkvm.field.goldilocks import P
from zkvm.kernels import trace

SIZE = 1 << 10
BOTH: tuple[tables.Counter, ...] = (trace.count_values, tables.count_values)


@pytest.mark.parametrize("bad", [None, SIZE - 1, SIZE, 2**32, 2**63, P - 2**32, P - 1])
def test_count_values(bad: int | None) -> None:
    """The kernel and its numpy twin, with one value that nobody serves, on a live row and on a mute one."""
    generator = np.random.default_rng(bad or 0)
    known = np.ones(SIZE, bool)
    known[SIZE - 1] = False
    for live in (True, False):
        values = generator.integers(0, SIZE - 1, 4096, dtype=np.uint64)
        counts = generator.choice(np.array([0, 1, P - 1], np.uint64), 4096)
        if bad is not None:
            values[1234], counts[1234] = bad, int(live)
        found = [np.full(SIZE, 7, np.uint64) for _ in range(2)]
        rows = [count(values, counts, known, own) for count, own in zip(BOTH, found, strict=True)]
        assert rows == ([1234, 1234] if bad is not None and live else [-1, -1])
        if rows[0] < 0:
            assert np.array_equal(found[0], found[1])
            assert int(found[0].sum()) == 7 * SIZE + int((counts != 0).sum())


def test_no_rows() -> None:
    none, histogram = np.zeros(0, np.uint64), np.zeros(4, np.uint64)
    for count in BOTH:
        assert count(none, none, np.ones(4, bool), histogram) == -1
    assert not histogram.any()
