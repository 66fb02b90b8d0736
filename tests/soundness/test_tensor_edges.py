"""Attacks on rescaling where a result, or a bound, is as near to another one as it can be (G5). See ``test_tensor_single_checks.py``.

At the bounds of what a call may compute nothing is read mod p as another number, and beyond them something is. At the edges of the bounds
of a result, and at ties, one unit in the last place of a sum decides.
"""

from __future__ import annotations

import pytest

from tests.forge import Forgery
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import (
    HALF,
    LAYER,
    QUARTER,
    RESULTS,
    TWO_16,
    TWO_32,
    export_lane,
    layer,
    lie,
    recount,
    results_row,
    signed,
    vector_of,
)
from zkvm.riscv.chips.tensor import call
from zkvm.riscv.chips.tensor.results import TOP_BITS
from zkvm.riscv.isa import tensors
from zkvm.stark.field.goldilocks import P

CALL = "tensor_call"
LEAST, GREATEST = -(1 << 15), (1 << 15) - 1
BIAS = tensors.MAX_SCALED_BIAS // QUARTER
"""The greatest bias of a channel whose multiplier is the limit of 2^30, or less that."""

# --- numbers at their limit, mod p -----------------------------------------------------------------------------------------------------


def extreme(taps: int, sign: int, weight: int = LEAST) -> Forgery:
    """A layer of a limit of 2^30 whose elements, weights, multiplier and bias are as large as they may be, and all of one sign."""
    x, w = [[LEAST] * 8] * taps, [[weight] + [0] * 7] * taps
    return layer(1, 1, taps, listed=[(BIAS, sign * QUARTER, QUARTER)], x=x, w=w).forged()


def scaled(taps: int, sign: int) -> int:
    """What it divides by 2^32."""
    return sign * (taps * LEAST * LEAST + BIAS) * QUARTER + HALF


def g5_the_other_bound_at_the_limit(sign: int) -> Attack:
    """Four taps: what is farthest below the least, as the greatest, and the reverse."""

    def make() -> Forged:
        forged = extreme(tensors.MAX_PRODUCT_LIMIT // QUARTER, sign)
        told, truth = (LEAST, GREATEST) if sign > 0 else (GREATEST, LEAST)
        assert vector_of(forged, RESULTS, results_row(forged, 0), "x") == [truth] * 8
        assert lie(forged, 0, 3, flag="below" if sign > 0 else "above") == told
        return forged, f"{RESULTS}: v3 has 16 bits"

    make.__name__ = f"g5_the_{'least' if sign > 0 else 'greatest'}_at_the_limit"
    return make


def g5_the_other_bound_beyond_the_limit(sign: int) -> Attack:
    """Six taps: the right side that has the wrong flag is congruent to what limbs can say. Only the bound on taps refuses it.

    The executor's sums have 64 bits with a sign, so its weights are one less than the largest where that is positive.
    """

    def make() -> Forged:
        taps, weight = 6, LEAST + (sign > 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tensors, "MAX_PRODUCT_LIMIT", taps * QUARTER)
            patch.setattr(call, "limit_of", lambda execution, call: 1)
            forged = extreme(taps, sign, weight)
        products = taps * QUARTER
        forged.write(CALL, forged.row(CALL, linear=1), limit=QUARTER, products=products, room_low=(TWO_32 - products) % P % TWO_16)
        told, truth = (LEAST, GREATEST) if sign > 0 else (GREATEST, LEAST)
        assert vector_of(forged, RESULTS, results_row(forged, 0), "x") == [truth] * 8
        for k in range(8):
            assert lie(forged, 0, k, flag="below" if sign > 0 else "above") == told
            row = results_row(forged, 0)
            u, v = (forged.cell(RESULTS, row, f"{stem}{k}") for stem in "uv")
            more = max(0, v - TWO_16 + 1)
            forged.write(RESULTS, row, **{f"u{k}": u + (more << TOP_BITS), f"v{k}": v - more})
        return forged, f"{CALL}: 2^32 - taps limit: high limb"

    make.__name__ = f"g5_the_{'least' if sign > 0 else 'greatest'}_beyond_the_limit"
    return make


# --- edges and ties ----------------------------------------------------------------------------------------------------------------------

LOW, HIGH, EDGE = -3, 5, 4
"""Bounds of a result, and the lane from which on its quotient is one more."""


def about(quotient: int, low: int = LOW, high: int = HIGH) -> Forgery:
    """Sums that are the numbers of the lanes, and a bias by which lane 4 has this quotient and no rest, so that lane 3 has one less."""
    listed = [(quotient * TWO_32 - HALF - EDGE, 1, QUARTER)]
    forged = layer(1, 1, 1, low=low, high=high, listed=listed, x=[list(range(8))], w=[[1] + [0] * 7]).forged()
    expected = [max(low, min(high, quotient - (k < EDGE))) for k in range(8)]
    assert vector_of(forged, RESULTS, results_row(forged, 0), "x") == expected
    return forged


def claim(forged: Forgery, k: int, quotient: int) -> None:
    """A lane says that this is its quotient, and that nothing is cut; the rest is what it then has to be."""
    row = results_row(forged, 0)
    total, bias, low, span = (signed(forged.cell(RESULTS, row, name)) for name in (f"sum{k}", "bias", "low", "span"))
    rest = total + bias + HALF - quotient * TWO_32
    s, r = divmod(rest, TWO_16) if rest >= 0 else (0, rest)
    cells = {"u": quotient - low, "v": span - (quotient - low), "s": s, "r": r, "above": 0, "below": 0, "x": quotient}
    forged.write(RESULTS, row, **{f"{name}{k}": value for name, value in cells.items()})
    export_lane(forged, LAYER, 0, k, quotient)
    recount(forged, LAYER)


def claimed(name: str, honest: int, k: int, quotient: int, limb: str) -> Attack:
    """A claim, and the limb that is no number of 16 bits then."""

    def make() -> Forged:
        forged = about(honest)
        claim(forged, k, quotient)
        return forged, f"{RESULTS}: {limb}{k} has 16 bits"

    make.__name__ = f"g5_{name}"
    return make


def called_cut(name: str, honest: int, k: int, flag: str) -> Attack:
    """The result is its bound, as it should be, and counts as cut."""

    def make() -> Forged:
        forged = about(honest)
        assert not vector_of(forged, RESULTS, results_row(forged, 0), flag)[k]
        assert lie(forged, 0, k, flag=flag) == (HIGH if flag == "above" else LOW)
        return forged, f"{RESULTS}: v{k} has 16 bits"

    make.__name__ = f"g5_{name}"
    return make


FORGERIES: tuple[Attack, ...] = (
    *map(g5_the_other_bound_at_the_limit, (1, -1)),
    *map(g5_the_other_bound_beyond_the_limit, (1, -1)),
    # the first sum above the bounds, the last within them; the first within them, the last below
    claimed("one_above_the_greatest_at_the_edge", HIGH + 1, EDGE, HIGH + 1, "v"),
    claimed("cut_at_the_edge_and_not_counted", HIGH + 1, EDGE, HIGH, "s"),
    called_cut("called_cut_before_the_edge", HIGH + 1, EDGE - 1, "above"),
    claimed("one_below_the_least_at_the_edge", LOW, EDGE - 1, LOW - 1, "u"),
    claimed("cut_below_the_edge_and_not_counted", LOW, EDGE - 1, LOW, "r"),
    called_cut("called_cut_behind_the_edge_below", LOW, EDGE, "below"),
    # halves are rounded up, also below 0; what is one less than a half is rounded down
    *(claimed(f"a_half_rounded_down_to_{q - 1}", q, EDGE, q - 1, "s") for q in (2, 0, -1)),
    *(claimed(f"less_than_a_half_rounded_up_to_{q}", q, EDGE - 1, q, "r") for q in (2, 0, -1)),
)
PROVEN = (FORGERIES[2], FORGERIES[5])

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


def test_g5_no_alias_within_the_limit() -> None:
    """The bounds that the calls prove leave no sum, and nothing that is divided, with two meanings; six taps of 2^30 would."""
    most = scaled(tensors.MAX_PRODUCT_LIMIT // QUARTER, 1)
    assert most == (1 << 62) + tensors.MAX_SCALED_BIAS + HALF
    assert tensors.MAX_PRODUCT_LIMIT * LEAST * LEAST < P // 2
    limbs = ((TWO_16 - 1) * (1 + (1 << TOP_BITS)) + 1) * TWO_32
    assert all(least_wrong(size, sign) >= limbs for size in (4, 5) for sign in (1, -1))
    assert all(least_wrong(6, sign) < limbs for sign in (1, -1))


def least_wrong(taps: int, sign: int) -> int:
    """The right side of the wrong flag at the limit, for the bounds that make it least."""
    z = scaled(taps, sign)
    return (LEAST * TWO_32 - 1 - z) % P if sign > 0 else (z - (GREATEST + 1) * TWO_32) % P


@pytest.mark.parametrize(
    ("low", "high", "honest", "k", "quotient", "limbs"),
    [
        (LOW, HIGH, HIGH + 1, EDGE - 1, HIGH + 1, "vr"),
        (LOW, HIGH, LOW, EDGE, LOW - 1, "us"),
        (LEAST, GREATEST, GREATEST + 1, EDGE, GREATEST + 1, "uv"),
        (LEAST, GREATEST, GREATEST + 1, EDGE - 1, GREATEST + 1, "uvr"),
        (LEAST, GREATEST, LEAST, EDGE - 1, LEAST - 1, "uv"),
        (LEAST, GREATEST, LEAST, EDGE, LEAST - 1, "uvs"),
    ],
)
def test_g5_one_beside_the_bounds(low: int, high: int, honest: int, k: int, quotient: int, limbs: str) -> None:
    """Rounded to it, too; with the widest bounds it is no int16, and no word either."""
    forged = about(honest, low, high)
    claim(forged, k, quotient)
    word = set() if LEAST <= quotient <= GREATEST else {f"tensor_words: x{k} is an int16 of that sign"}
    assert forged.refusals() == word | {f"{RESULTS}: {limb}{k} has 16 bits" for limb in limbs}
