"""The quotient's selectors against their definitions, point by point."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import TOY
from zkvm.errors import ProvingError
from zkvm.riscv.machine import machine
from zkvm.stark.air.machine import Machine
from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.kernels import parallel
from zkvm.stark.protocol.params import EXTRA_POINTS, parameters
from zkvm.stark.protocol.shape import QUOTIENT_CHUNKS, ProofShape
from zkvm.stark.prover.columns import extra_shift
from zkvm.stark.prover.quotient import coset_selectors, exempt_polynomial, extra_selectors, lifted_quotient


def product_over_exempt_rows(height: int, exempt: int, x: int) -> int:
    """E(x) by its definition."""
    result, root = 1, root_of_unity(height)
    for row in range(height - exempt, height):
        result = result * (x - pow(root, row, P)) % P
    return result


def selectors_at(height: int, exempt: int, x: int) -> list[int]:
    """The three inverse selectors by their definitions."""
    root = root_of_unity(height)
    values = (pow(x, height, P) - 1, x - pow(root, height - 1, P), x - pow(root, height - exempt, P))
    factors = (product_over_exempt_rows(height, exempt, x), 1, 1)
    return [factor * pow(value, -1, P) % P for factor, value in zip(factors, values, strict=True)]


@pytest.mark.parametrize(("height", "exempt"), [(256, 1), (256, 255), (512, 150), (1 << 20, 203)])
def test_the_exempt_polynomial_is_the_product_over_the_exempt_rows(height: int, exempt: int) -> None:
    coefficients = [int(c) for c in exempt_polynomial(height, exempt)]
    assert len(coefficients) == exempt + 1
    for x in (0, 1, 7, pow(root_of_unity(height), height - exempt, P), 0x0123456789ABCDEF):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * x + coefficient) % P
        assert value == product_over_exempt_rows(height, exempt, x)


@pytest.mark.parametrize(("height", "exempt"), [(256, 140), (512, 150), (4096, 33)])
def test_selectors_are_their_definitions(height: int, exempt: int) -> None:
    shift, root = coset_shift(height) * root_of_unity(2 * height) % P, root_of_unity(height)
    on_coset = coset_selectors(height, exempt, shift)
    assert on_coset.shape == (3, height)
    for row in (0, 1, 100, height - 1):
        assert [int(v) for v in on_coset[:, row]] == selectors_at(height, exempt, shift * pow(root, row, P) % P)
    on_extra, root = extra_selectors(height, exempt), root_of_unity(EXTRA_POINTS)
    assert on_extra.shape == (3, EXTRA_POINTS)
    for row in (0, 5, EXTRA_POINTS - 1):
        assert [int(v) for v in on_extra[:, row]] == selectors_at(height, exempt, extra_shift(height) * pow(root, row, P) % P)


def test_a_second_instance_shares_the_tapes_of_the_first() -> None:
    codes = Machine("again", machine().chips, machine().max_rows).codes  # nobody has asked these for tapes yet
    by_name = {code.chip.name: code for code in codes}
    seconds = [code for code in codes if code.first]
    assert {code.chip.first for code in seconds} == {code.chip.first for code in codes if code.chip.first}
    for code in seconds:
        assert code.chip.first is not None
        first = by_name[code.chip.first]
        assert code.constraint_tape is first.constraint_tape
        assert code.fraction_tape is first.fraction_tape


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_quotients_of_all_heights_are_lifted(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Q_n(X^(N/n)): every coefficient moves to N/n times its place, whatever the order of the heights and the number of threads."""
    monkeypatch.setattr(parallel, "SERIAL_WORDS", 1)
    shape = ProofShape(TOY, parameters("fast", 100), (9, 11, 15))
    length = QUOTIENT_CHUNKS * shape.chunk_length
    generator = np.random.default_rng(threads)
    per_height = {}
    for height in (512, shape.tallest, 2048):
        per_height[height] = np.zeros((3, 2 * height + EXTRA_POINTS), np.uint64)
        used = min(length * height // shape.tallest, 2 * height + EXTRA_POINTS)
        per_height[height][:, :used] = generator.integers(0, P, (3, used), dtype=np.uint64)
    expected = np.zeros((3, length), np.uint64)
    for height, coefficients in per_height.items():
        for place in range(0, length, shape.tallest // height):
            source = place * height // shape.tallest
            if source < coefficients.shape[1]:
                expected[:, place] = goldilocks.add(expected[:, place], coefficients[:, source])
    assert np.array_equal(lifted_quotient(shape, per_height, threads), expected)
    per_height[512][2, -1] = 1
    with pytest.raises(ProvingError, match="does not fit its chunks"):
        lifted_quotient(shape, per_height, threads)
