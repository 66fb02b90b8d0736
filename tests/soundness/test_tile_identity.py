"""The identity that sums prove, at a size where errors are frequent enough to count: all challenges of a field of 257 elements.

Written from the page on the arithmetization, on nothing that the package has.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

I64 = NDArray[np.int64]
SMALL_P = 257


def totals(x: I64, w: I64, y: I64, skipped: tuple[int, int] | None = None) -> I64:
    """The sum of all fractions at every pair of challenges of F_257 at which no denominator is zero.

    Tiles of 2 by 2, keys (tile), tiles side by side.
    """
    alpha, beta = (own.ravel() for own in np.meshgrid(np.arange(SMALL_P), np.arange(SMALL_P), indexing="ij"))
    inverses = np.array([0] + [pow(value, -1, SMALL_P) for value in range(1, SMALL_P)])
    total, usable = np.zeros_like(alpha), np.ones(len(alpha), bool)
    for tile in range(w.shape[1] // 2):
        key = (alpha - (5 + beta * (tile + 1))) % SMALL_P
        usable &= key != 0
        for tap in range(x.shape[1]):
            if (tile, tap) == skipped:
                continue
            left = x[0, tap] + beta * x[1, tap]
            right = w[tap, 2 * tile] + beta**2 * w[tap, 2 * tile + 1]
            total = (total + left % SMALL_P * (right % SMALL_P) * inverses[key]) % SMALL_P
        for channel in range(2):
            own = y[0, 2 * tile + channel] + beta * y[1, 2 * tile + channel]
            total = (total - beta ** (2 * channel) * (own % SMALL_P) * inverses[key]) % SMALL_P
    return total[usable]


TILE_X = np.array([[1, -2, 3], [4, 5, -6]])
TILE_W = np.array([[7, -8, 9, 1], [2, 3, -4, 5], [-6, 7, 8, -9]])
SMALL_LIES = {
    "one more": [[1, 0, 0, 0], [0, 0, 0, 0]], "+1 -1 in a row": [[0, 0, 0, 0], [0, 1, 0, -1]],
    "+1 -1 in a tile": [[1, 0, 0, 0], [-1, 0, 0, 0]],
    "a tile only": [[0, 0, 3, 3], [0, 0, 3, 3]], "everything": [[5, 4, 3, 2], [1, 2, 3, 4]],
}  # fmt: skip


def false_share(values: I64) -> float:
    """At which share of the challenges a total vanishes."""
    return float((values == 0).mean())


def test_the_identity_accepts_the_product_at_every_challenge() -> None:
    assert false_share(totals(TILE_X, TILE_W, TILE_X @ TILE_W)) == 1.0


@pytest.mark.parametrize("name", list(SMALL_LIES))
def test_the_identity_accepts_anything_else_at_few_challenges(name: str) -> None:
    """No more than the degree of the cleared total over p: 2 keys of one value, and coefficients up to beta^3."""
    bound = (2 * (1 + 2) + 3) / SMALL_P
    share = false_share(totals(TILE_X, TILE_W, TILE_X @ TILE_W + np.array(SMALL_LIES[name])))
    assert share <= bound


def test_the_identity_notices_taps() -> None:
    """A tap that one tile leaves out; operands of a tap that change places."""
    bound = (2 * (1 + 2) + 3) / SMALL_P
    assert false_share(totals(TILE_X, TILE_W, TILE_X @ TILE_W, skipped=(1, 2))) <= bound
    assert false_share(totals(TILE_X[::-1], TILE_W, TILE_X @ TILE_W)) <= bound
    assert false_share(totals(TILE_X[:, [1, 0, 2]], TILE_W, TILE_X @ TILE_W)) <= bound


def test_keys_keep_tiles_apart() -> None:
    """Under one key for both tiles a lie that moves from one to the other would be accepted everywhere."""
    moved = TILE_X @ TILE_W + np.array([[1, 0, -1, 0], [0, 0, 0, 0]])
    total = np.zeros(SMALL_P, np.int64)
    beta = np.arange(SMALL_P)
    difference = moved - TILE_X @ TILE_W
    for column in range(4):
        total = (total + beta ** (2 * (column % 2)) * (difference[0, column] + beta * difference[1, column])) % SMALL_P
    assert not total.any()
    assert false_share(totals(TILE_X, TILE_W, moved)) <= (2 * (1 + 2) + 3) / SMALL_P
