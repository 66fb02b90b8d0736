"""Streams of the prover's randomness: reproducible, distinct, used once."""

from __future__ import annotations

import numpy as np
import pytest

from zkvm.errors import ProvingError
from zkvm.stark.field.goldilocks import P
from zkvm.stark.prover.randomness import Randomness

SEED = bytes(range(32))


def test_a_seed_and_a_name_fix_the_stream() -> None:
    first = Randomness(SEED).elements("rows", (3, 1000))
    assert first.shape == (3, 1000)
    assert np.array_equal(Randomness(SEED).elements("rows", 3000), first.reshape(-1))
    assert int(first.max()) < P


def test_threads_and_order_do_not_matter() -> None:
    one, other = Randomness(SEED), Randomness(SEED)
    other.elements("before", 10)
    size = (1 << 16) + 77
    assert np.array_equal(one.elements("x", size), other.elements("x", size, threads=3))


def test_streams_seeds_and_processes_differ() -> None:
    source = Randomness(SEED)
    streams = [source.elements("a", 8), source.elements("b", 8), Randomness(bytes(32)).elements("a", 8)]
    streams += [Randomness().elements("a", 8), Randomness().elements("a", 8)]
    assert len({tuple(stream.tolist()) for stream in streams}) == 5


def test_a_stream_is_used_once() -> None:
    for source in (Randomness(SEED), Randomness.zeros()):
        source.elements("salt", 2)
        with pytest.raises(ProvingError, match="'salt' is used twice"):
            source.elements("salt", 2)


def test_elements_are_spread_over_the_field() -> None:
    top = Randomness(SEED).elements("x", 8000) >> np.uint64(60)
    counts = np.bincount(top.astype(np.int64), minlength=16)
    assert counts.min() > 380  # mean 500, standard deviation 22
    assert counts.max() < 620


def test_zeros() -> None:
    source = Randomness.zeros()
    assert source.is_zero
    assert not Randomness(SEED).is_zero
    values = source.elements("x", (2, 5))
    assert values.shape == (2, 5)
    assert values.dtype == np.uint64
    assert not values.any()


def test_empty_streams_and_bad_seeds() -> None:
    assert Randomness(SEED).elements("x", (0, 4)).shape == (0, 4)
    with pytest.raises(ProvingError, match="32 bytes"):
        Randomness(b"short")
