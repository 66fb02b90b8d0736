"""Attacks on rescaling where a result, or a bound, is as near to another one as it can be (G5). See ``test_tensor_single_checks.py``.

At the bounds of what a call may compute nothing is read mod p as another number, and beyond them something is. At the edges of the bounds
of a result, and at ties, one unit in the last place of a sum decides.
"""

from __future__ import annotations

import itertools

import pytest

from tests.forge import Forgery
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import (
    FULL,
    HALF,
    LAYER,
    QUARTER,
    RESULTS,
    TWO_16,
    TWO_32,
    Program,
    export_lane,
    id_of,
    layer,
    lie,
    recount,
    results_row,
    signed,
    vector_of,
)
from zkvm.riscv.chips.tensor import call, combine_call, depthwise_call
from zkvm.riscv.chips.tensor.results import TOP_BITS
from zkvm.riscv.isa import tensors
from zkvm.riscv.isa.opcodes import TIME_STEP
from zkvm.riscv.isa.tensors import COMBINE, DEPTHWISE, EXPORT, IMPORT, WINDOW_PRODUCTS, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, VECTORS
from zkvm.stark.field.goldilocks import P

LEAST, GREATEST = -(1 << 15), (1 << 15) - 1
BOUNDED = {
    "tensor_call": "2^32 - taps limit: high limb",
    "tensor_combine_call": "2^32 - (1 + weight) limit: high limb",
    "tensor_depthwise_call": "2^32 - 15 windows limit: high limb",
}
"""Calls that rescale sums of products, and what bounds how many products times what multiplier."""
WITHIN, BEYOND = 4, 6
"""How many products of a multiplier of 2^30 leave no number with two meanings, and the first number of them that does not."""

# --- numbers at their limit, mod p -----------------------------------------------------------------------------------------------------


def limit_for(chip: str, products: int) -> int:
    """Of as much as so many products of a limit of 2^30, or just less: a window has 15."""
    return products * QUARTER // WINDOW_PRODUCTS if chip == "tensor_depthwise_call" else QUARTER


def extreme(chip: str, products: int, sign: int, weight: int = LEAST) -> Forgery:
    """A call whose elements, weights, multiplier and bias are as large as they may be, and all of one sign."""
    limit = limit_for(chip, products)
    listed = [(tensors.MAX_SCALED_BIAS // limit, sign * limit, limit)]
    if chip == "tensor_call":
        return layer(1, 1, products, listed=listed, x=[[LEAST] * 8] * products, w=[[weight] + [0] * 7] * products).forged()
    operation, blocks = (COMBINE, 1) if chip == "tensor_combine_call" else (DEPTHWISE, 2)
    words = Descriptor(operation, blocks, 1, products - 1 if operation == COMBINE else 1, w=VECTORS, channel_list=CHANNELS, bounds=FULL)
    words = words._replace(v=VECTORS if operation == COMBINE else 0)
    calls = [(Descriptor(IMPORT, 3), 0, 0), (words, id_of(0), id_of(0) if operation == COMBINE else 0)]
    calls.append((Descriptor(EXPORT, blocks, 8, 0, 0, 1), LAYER, DATA))
    return Program(calls, [[weight] * 8] * 2, listed, [[LEAST] * 8] * 3, [0] * (8 * blocks)).forged()


def least_wrong(chip: str, products: int, sign: int, weight: int = LEAST) -> int:
    """The right side of the wrong flag, of such a call and the widest bounds: these make it least."""
    limit = limit_for(chip, products)
    count = WINDOW_PRODUCTS if chip == "tensor_depthwise_call" else products
    z = sign * (count * LEAST * weight + tensors.MAX_SCALED_BIAS // limit) * limit + HALF
    return (LEAST * TWO_32 - 1 - z) % P if sign > 0 else (z - (GREATEST + 1) * TWO_32) % P


def called(forged: Forgery, k: int, sign: int) -> None:
    """A lane of the first result is the other bound."""
    told, truth = (LEAST, GREATEST) if sign > 0 else (GREATEST, LEAST)
    row = results_row(forged, 0)
    assert vector_of(forged, RESULTS, row, "x")[k] == truth
    assert lie(forged, 0, k, flag="below" if sign > 0 else "above") == told
    u, v = (forged.cell(RESULTS, row, f"{stem}{k}") for stem in "uv")
    if u + (v << TOP_BITS) < TOP:  # v may be one less, and u has its bits
        more = max(0, v - TWO_16 + 1)
        forged.write(RESULTS, row, **{f"u{k}": u + (more << TOP_BITS), f"v{k}": v - more})


TOP = (TWO_16 - 1) * (1 + (1 << TOP_BITS)) + 1
"""What the limbs say above 32 bits is less."""


def the_other_bound(chip: str, sign: int, products: int) -> Attack:
    """What is farthest below the least result, as the greatest, and the reverse.

    Of as many products as there may be the limbs can not say that. Of more they can, mod p, and only what bounds them refuses it; the
    executor's sums have 64 bits with a sign, so weights are one less than the largest where that is positive.
    """

    def within() -> Forged:
        forged = extreme(chip, products, sign)
        called(forged, 3, sign)
        return forged, f"{RESULTS}: v3 has 16 bits"

    def beyond() -> Forged:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tensors, "MAX_PRODUCT_LIMIT", products * QUARTER)
            for module in (call, combine_call, depthwise_call):
                patch.setattr(module, "limit_of", lambda execution, call: 1)
            forged = extreme(chip, products, sign, LEAST + (sign > 0))
        limit = limit_for(chip, products)
        total = limit * (WINDOW_PRODUCTS if chip == "tensor_depthwise_call" else products)
        row = forged.row(chip, t=TIME_STEP * LAYER)
        forged.write(chip, row, limit=limit, products=total, room_low=(TWO_32 - total) % P % TWO_16)
        for k in range(8):
            called(forged, k, sign)
        return forged, f"{chip}: {BOUNDED[chip]}"

    make = within if products == WITHIN else beyond
    place = "at" if products == WITHIN else "beyond"
    make.__name__ = f"g5_the_{'least' if sign > 0 else 'greatest'}_{place}_the_limit_of_{chip}"
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
    *(the_other_bound(chip, sign, products) for products in (WITHIN, BEYOND) for chip in BOUNDED for sign in (1, -1)),
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
PROVEN = (FORGERIES[2 * len(BOUNDED)], FORGERIES[-1])

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


def test_g5_no_alias_within_the_limit() -> None:
    """The bounds that the calls prove leave no sum, and nothing that is divided, with two meanings."""
    assert WITHIN * QUARTER == tensors.MAX_PRODUCT_LIMIT
    assert tensors.MAX_PRODUCT_LIMIT * LEAST * LEAST < P // 2
    for chip, sign in itertools.product(BOUNDED, (1, -1)):
        assert all(least_wrong(chip, products, sign) >> 32 >= TOP for products in range(1, BEYOND))
        assert least_wrong(chip, BEYOND, sign) >> 32 < TOP


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
