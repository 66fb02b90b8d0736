"""Chips for private weights: channels in vectors, digests. Random and extreme scripts satisfy every constraint and every bus."""

from __future__ import annotations

import random

import pytest

from tests.riscv.chips.test_tensors import satisfied
from tests.riscv.vm.digest_programs import random_digested, random_digests, with_digest
from tests.riscv.vm.random_tensors import private_extremes, random_layer, random_vectors
from tests.riscv.vm.tensor_programs import Script, bounds
from zkvm.riscv.isa.tensors import DIGEST, SCALED, Descriptor

ALL = bounds(-(2**15), 2**15 - 1)


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 30])
def test_digests(rows: int) -> None:
    satisfied(random_digests(random.Random(rows), rows))


@pytest.mark.parametrize(("rows", "byte_rows"), [(1, 0), (1, 1), (7, 0), (2, 30), (30, 2)])
def test_digested_imports(rows: int, byte_rows: int) -> None:
    satisfied(random_digested(random.Random(rows), rows, byte_rows))


def test_digested_imports_of_extremes() -> None:
    """The least and the greatest elements of the field that seven bytes and three int16 make."""
    script = Script()
    for small, large in ((-(2**15), -(2**15)), (2**15 - 2**8, 2**15 - 1)):
        script.add_digested([[small] * 8] * 14, [[large] * 8] * 6)
    satisfied(script)


@pytest.mark.parametrize("seed", range(6))
def test_layers_with_their_own_channels(seed: int) -> None:
    rng = random.Random(seed)
    satisfied(random_layer(rng, rng.randrange(1, 30), rng.randrange(1, 30), rng.randrange(1, 9), scaled=True))


@pytest.mark.parametrize(("taps", "limit"), [(8, 2**29), (16, 2**28), (2**9, 2**23), (3, 2**15), (1, 2**15), (1, 2**29)])
def test_channels_at_their_bounds(taps: int, limit: int) -> None:
    """Every corner of a bias and a multiplier, the largest sums of both signs: up to taps limit = 2^32 nothing wraps."""
    satisfied(private_extremes(taps, limit))


def test_digests_of_extremes() -> None:
    """The least and the greatest elements of the field that three lanes make."""
    script = Script()
    for lane in (-(2**15), 2**15 - 1):
        script.add(Descriptor(DIGEST, 2), script.add_import(with_digest([[lane] * 8] * 6)))
    satisfied(script)


def test_channels_that_two_layers_share() -> None:
    """With one limit they have one row, with another one of their own; a digest is asked for twice."""
    rng = random.Random(7)
    script = Script()
    weights = random_vectors(rng, 4, 3) + random_vectors(rng, 4, 3)
    x, w = script.add_import(random_vectors(rng, 12)), script.add_import(with_digest(weights))
    for limit in (2**20, 2**20, 2**17):
        script.add(Descriptor(SCALED, 3, 3, 4, 0, 4, 0, 4, 64, ALL, limit), x, w)
    script.add(Descriptor(SCALED, 1, 3, 4, 0, 4, 0, 4, 80, ALL, 2**20), x, w)
    script.add(Descriptor(SCALED, 0, 1, 4, 1, 2, 3, 4, 5, ALL, 2**30), x, w)
    for _ in range(2):
        script.add(Descriptor(DIGEST, 3), w)
    satisfied(script)
