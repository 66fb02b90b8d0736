"""Kernels that count, sort and merge what a run recorded, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.stark import multiplicities
from zkvm.stark.field.goldilocks import P
from zkvm.stark.prover import counting

SIZE = 1 << 10
BOTH: tuple[multiplicities.Counter, ...] = (counting.count_values, multiplicities.count_values)


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
        assert np.array_equal(found[0], found[1])
        assert int(found[0].sum()) == 7 * SIZE + (int((counts != 0).sum()) if rows[0] < 0 else 0)


def test_no_rows() -> None:
    none, histogram = np.zeros(0, np.uint64), np.zeros(4, np.uint64)
    for count in BOTH:
        assert count(none, none, np.ones(4, bool), histogram) == -1
    assert not histogram.any()


@pytest.mark.parametrize("arity", [2, 3, 6])
@pytest.mark.parametrize("slots", [1, 16, 1 << 16])
def test_merge_tuples(arity: int, slots: int) -> None:
    """What is in the slots and what moved out is, together, every asked tuple as often as it was asked for."""
    generator = np.random.default_rng(arity)
    held = np.zeros((slots, arity + 1), np.uint64)
    seen: dict[tuple[int, ...], int] = {}
    expected: dict[tuple[int, ...], int] = {}
    for size in (1000, 1, 300):
        values = generator.choice(np.array([0, 1, 255, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1], np.uint64), (arity, size))
        values[0] = generator.integers(0, 3, size)
        counts = generator.choice(np.array([0, 1, P - 1], np.uint64), size)
        for merge, found in ((counting.merge_tuples, seen), (multiplicities.merge_tuples, expected)):
            for *items, times in merge(values, counts, held).tolist():
                found[tuple(items)] = found.get(tuple(items), 0) + times
    for *items, times in held[held[:, -1] != 0].tolist():
        seen[tuple(items)] = seen.get(tuple(items), 0) + times
    assert seen == expected
    assert slots == 1 or (held[:, -1] != 0).sum() > 1


def test_bytes_have_slots_of_their_own() -> None:
    values = np.stack([np.tile(np.arange(256, dtype=np.uint64), 256), np.repeat(np.arange(256, dtype=np.uint64), 256)])
    held = np.zeros((1 << 16, 3), np.uint64)
    for _ in range(2):
        assert not len(counting.merge_tuples(values, np.ones(1 << 16, np.uint64), held))
    assert np.array_equal(held[:, :2].T, values)
    assert (held[:, 2] == 2).all()
