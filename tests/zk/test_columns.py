"""One column under every parameter set: its exempt rows hide everything that a proof shows of it, exactly, and no fewer rows do.

A value of a column at a point is a combination of its rows with Lagrange's coefficients. Those of the exempt rows, at all the points
that a proof shows, form a matrix of full rank: whatever the active rows are, some exempt rows give the values that were seen.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.zk.linear import explains, rank
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import Ext, ext_scale
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.protocol.params import MAX_HEIGHT, PARAMETERS, Parameters

U64 = NDArray[np.uint64]
ZETA: Ext = (1234567890123456789, 987654321987654321, 555555555555555555)
PIN: Ext = (222222222222222222, 333333333333333333, 444444444444444444)
every_set = pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(chosen, id=f"{chosen.name}-{chosen.security_bits}", marks=[pytest.mark.slow] if chosen.queries > 150 else [])
        for chosen in PARAMETERS
    ],
)


def coefficients(height: int, rows: U64, point: Ext) -> U64:
    """Lagrange coefficients w^k (z^n - 1) / (n (z - w^k)) of rows k at a point of the extension: (k, 3)."""
    roots = np.array([pow(root_of_unity(height), int(row), P) for row in rows], np.uint64)
    differences = extension.sub(extension.from_ext(point), extension.embed(roots))
    factor = ext_scale(extension.ext_sub(extension.ext_pow(point, height), extension.ONE), pow(height, -1, P))
    return extension.mul(extension.mul_base(extension.inv(differences), roots), extension.from_ext(factor))


def shown_matrix(chosen: Parameters, height: int, rows: U64, running: bool, shift: int | None = None) -> U64:
    """Base values seen of a column, by rows: three coordinates at zeta, one at each query; of a running column also one row on."""
    rng = np.random.default_rng(height + chosen.queries)
    positions = np.unique(rng.integers(0, chosen.blowup * height, chosen.queries))
    start = coset_shift(height) if shift is None else shift
    fine = root_of_unity(chosen.blowup * height)
    points = [start * pow(fine, int(position // height + chosen.blowup * (position % height)), P) % P for position in positions]
    step = root_of_unity(height)
    base_points = sorted({*points, *([point * step % P for point in points] if running else [])})
    result = [coefficients(height, rows, (point, 0, 0))[:, :1].T for point in base_points]
    for factor in (1, step) if running else (1,):
        result.append(coefficients(height, rows, ext_scale(ZETA, factor)).T)
    return np.concatenate(result)


@every_set
@pytest.mark.parametrize("height", [512, 1 << 20])
def test_exempt_rows_hide_a_running_column(chosen: Parameters, height: int) -> None:
    """Without row n - h, which is the terminal, and row n - 1, which holds start cells."""
    rows = np.arange(height - chosen.exempt + 1, height - 1, dtype=np.uint64)
    matrix = shown_matrix(chosen, height, rows, running=True)
    assert rank(matrix) == len(matrix)
    if height > 512:  # no two queries fall on neighbouring rows there
        assert len(matrix) == 2 * (3 + chosen.queries) == len(rows)


@every_set
@pytest.mark.parametrize("height", [512, 1 << 20])
def test_exempt_rows_hide_an_early_column(chosen: Parameters, height: int) -> None:
    """Without row n - 1, which may hold a start cell: three coordinates more, where it is pinned."""
    rows = np.arange(height - chosen.exempt, height - 1, dtype=np.uint64)
    pinned = coefficients(height, rows, extension.ext_pow(PIN, MAX_HEIGHT // height)).T
    matrix = np.concatenate([shown_matrix(chosen, height, rows, running=False), pinned])
    assert rank(matrix) == len(matrix) <= chosen.queries + 6 < len(rows)


@every_set
def test_one_row_fewer_does_not(chosen: Parameters) -> None:
    height = 1 << 20
    rows = np.arange(height - chosen.exempt + 2, height - 1, dtype=np.uint64)
    matrix = shown_matrix(chosen, height, rows, running=True)
    assert rank(matrix) == len(matrix) - 1


def test_a_guess_of_the_witness_explains_a_proof_only_without_enough_exempt_rows() -> None:
    """The strongest distinguisher: do some exempt rows give a guessed column the values seen?"""
    chosen, height = Parameters("test", 2, 20, 48, 0), 512
    active = np.arange(height - chosen.exempt + 1, dtype=np.uint64)
    columns = [np.random.default_rng(seed).integers(0, 2, len(active), dtype=np.uint64) for seed in (1, 2)]
    of_active = shown_matrix(chosen, height, active, running=True)
    for fewer, says in ((0, [True, True]), (2, [True, False])):
        rows = np.arange(height - chosen.exempt + 1 + fewer, height - 1, dtype=np.uint64)
        of_exempt = shown_matrix(chosen, height, rows, running=True)
        noise = np.random.default_rng(3).integers(0, P, len(rows), dtype=np.uint64)
        seen = goldilocks.add(combine(of_active, columns[0]), combine(of_exempt, noise))
        told = [explains(np.ascontiguousarray(of_exempt.T), goldilocks.sub(seen, combine(of_active, guess))) for guess in columns]
        assert told == says


def combine(matrix: U64, vector: U64) -> U64:
    """Matrix (r, c) times vector (c,)."""
    products = goldilocks.mul(matrix, vector[None, :])
    return np.array([sum(map(int, row)) % P for row in products], np.uint64)


def test_queries_inside_the_trace_domain_would_open_rows() -> None:
    """Without the coset, a query is a row of the trace: no exempt row has a part in it."""
    chosen, height = PARAMETERS[1], 512
    rows = np.arange(height - chosen.exempt, height, dtype=np.uint64)
    away = shown_matrix(chosen, height, rows, running=False)
    fine = root_of_unity(chosen.blowup * height)
    with pytest.raises(ZeroDivisionError):
        shown_matrix(chosen, height, rows, running=False, shift=pow(fine, chosen.blowup - 1, P))
    assert rank(away) == len(away)
