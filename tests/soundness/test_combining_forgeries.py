"""G12: attacks on elementwise products, which one line refuses: the machine without the line accepts them.

See ``test_single_checks.py``.
"""

from __future__ import annotations

import pytest

from tests.soundness.combining_forging import (
    CALL,
    COMBINED,
    FIRST_ID,
    MADE,
    ROWS,
    SECOND,
    SECOND_ID,
    TERMS,
    combining,
    everywhere,
    follow,
    lay_out,
    path_of,
    read,
    result,
    too_large_a_weight,
    walk,
)
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import (
    A1,
    A2,
    QUARTER,
    TWO_16,
    TWO_32,
    descriptor_word,
    lane,
    operand,
    padding_row,
    put,
    results_row,
    vector_of,
)
from zkvm.riscv.chips.tensor.combining import CONSTANT
from zkvm.riscv.isa.tensors import MULTIPLY

# --- rows ----------------------------------------------------------------------------------------------------------------------------


def g12_another_sum() -> Forged:
    forged = combining()
    row = path_of(forged)[1]
    sums = vector_of(forged, ROWS, row, "u")
    sums[3] += 8
    put(forged, ROWS, row, "u", sums)
    result(forged, 1, sums)
    return forged, f"{ROWS}: u3 is the sum"


def g12_padding_contributes() -> Forged:
    forged = combining()
    sums = vector_of(forged, ROWS, path_of(forged)[2], "u")
    row = padding_row(forged, ROWS)
    forged.write(ROWS, row, tensor=MADE, index=2, x0=4, w0=2, u0=8)
    result(forged, 2, [sums[0] + 8, *sums[1:]])
    return forged, f"{ROWS}: u0 is 0 on padding"


def g12_a_vector_of_nobody(stem: str) -> Attack:
    def make() -> Forged:
        forged = combining()
        put(forged, ROWS, path_of(forged)[4], stem, range(8))
        follow(forged)
        return forged, f"{ROWS}: vector {stem}"

    make.__name__ = f"g12_a_vector_of_nobody_as_{stem}"
    return make


def g12_another_vector(name: str) -> Attack:
    """The second row reads what another one should, and the third what is its own."""

    def make() -> Forged:
        forged = combining(steps=3, strides=(4, 3, 3))
        rows = path_of(forged)
        forged.add(ROWS, rows[0], **{f"next_{name}": 1})
        forged.add(ROWS, rows[1], **{name: 1})
        if name == "w":  # v moves as w does
            forged.add(ROWS, rows[1], v=1)
        read(forged, rows[1])
        follow(forged)
        return forged, f"{ROWS}: {name} of the next row"

    make.__name__ = f"g12_another_vector_as_{name}"
    return make


def g12_the_last_too_early() -> Forged:
    forged = combining()
    lay_out(forged, [(2, 3), (4, 3)])
    return forged, f"{ROWS}: the last has no channels behind it"


def g12_the_last_too_late() -> Forged:
    forged = combining()
    lay_out(forged, [(4, 3), (2, 3)])
    return forged, f"{ROWS}: the last has no channels behind it"


def g12_blocks_of_other_channels() -> Forged:
    """Where a block's end moves no operand further than a row does, three of 3, 2 and 1 channels would pass for two of 3."""
    forged = combining(strides=(3, 3, 3), steps=3)
    lay_out(forged, [(3, 2), (2, 1), (1, 3)])
    return forged, f"{ROWS}: back to all channels"


def g12_an_end_of_a_block_without_a_row() -> Forged:
    forged = combining()
    lay_out(forged, [(3, 3), (4, 3)], idle=0)
    return forged, f"{ROWS}: padding is not the last"


# --- calls ---------------------------------------------------------------------------------------------------------------------------


def g12_another_tensor_as_y() -> Forged:
    forged = combining()
    everywhere(forged, y_tensor=FIRST_ID)
    return forged, f"{CALL}: tensor of y"


def g12_the_second_operand_as_y_of_a_product() -> Forged:
    forged = combining(MULTIPLY)
    everywhere(forged, y_tensor=SECOND_ID)
    return forged, f"{CALL}: tensor of y"


def g12_another_tensor_as_factors() -> Forged:
    forged = combining(MULTIPLY)
    everywhere(forged, factors=FIRST_ID)
    return forged, f"{CALL}: tensor of the factors"


def g12_another_weight_than_the_descriptor_says() -> Forged:
    forged = combining(weight=0)
    limit = forged.cell(CALL, 0, "limit")
    forged.write(CALL, 0, products=2 * limit, room_low=(TWO_32 - 2 * limit) % TWO_16)
    everywhere(forged, weight=1)
    return forged, f"{CALL}: weight"


def g12_other_steps_than_the_descriptor_says() -> Forged:
    forged = combining(steps=2)
    channels = forged.cell(CALL, 0, "channels")
    stride = forged.cell(CALL, 0, "y_stride")
    forged.write(CALL, 0, y_step=1, y_block=channels)
    for row in path_of(forged):
        forged.write(ROWS, row, y_step=1, y_jump=stride - channels)
    lay_out(forged, [(3, 3), (3, 3)])
    return forged, f"{CALL}: steps"


def g12_a_step_by_two() -> Forged:
    """y moves two vectors with each row, by flags that are no bits: 2 + 2 w_step is what the descriptor says of w alone."""
    forged = combining(steps=2)
    channels, stride = (forged.cell(CALL, 0, name) for name in ("channels", "y_stride"))
    w_stride = forged.cell(CALL, 0, "w_stride")
    forged.write(CALL, 0, y_step=2, w_step=0, y_block=2 * channels, w_block=0)
    for row in path_of(forged):
        forged.write(ROWS, row, y_step=2, y_jump=stride - 2 * channels, w_step=0, w_jump=w_stride)
    lay_out(forged, [(3, 3), (3, 3)])
    return forged, f"{CALL}: y_step is boolean"


def g12_a_step_of_factors_by_two() -> Forged:
    """The image's descriptor has a bit that means nothing, and w and v move two vectors with each row: 0 + 2 2 is what it says."""
    forged = combining(steps=0)
    channels, stride = (forged.cell(CALL, 0, name) for name in ("channels", "w_stride"))
    descriptor_word(forged, COMBINED, 13, 4)
    forged.write(CALL, 0, w_step=2, w_block=2 * channels)
    for row in path_of(forged):
        forged.write(ROWS, row, w_step=2, w_jump=stride - 2 * channels)
    lay_out(forged, [(3, 3), (3, 3)])
    return forged, f"{CALL}: w_step is boolean"


def g12_too_large_a_weight() -> Forged:
    return too_large_a_weight(QUARTER), f"{CALL}: products of 1 + weight and limit"


def g12_products_without_a_bound() -> Forged:
    return too_large_a_weight(TWO_32 * QUARTER), f"{CALL}: 2^32 - (1 + weight) limit: high limb"


def g12_the_call_itself() -> Forged:
    """A fixed point: zeros."""
    forged = combining(MULTIPLY, 2, 1, 0, (0, 0, 0), 0)
    operand(forged, COMBINED, A1, MADE)
    forged.write(CALL, 0, first_low=TWO_16 - 1, y_tensor=MADE)
    for row in path_of(forged):
        forged.write(ROWS, row, x_tensor=MADE, y_tensor=MADE)
        for stem in "xy":
            put(forged, ROWS, row, stem, [0] * 8)
    follow(forged)
    return forged, f"{CALL}: first operand is earlier: high limb"


def g12_the_call_itself_as_factors() -> Forged:
    forged = combining(MULTIPLY, 3, 1, 0, (0, 0, 0), 0)
    operand(forged, COMBINED, A2, MADE)
    forged.write(CALL, 0, second_low=TWO_16 - 1, factors=MADE)
    for row in path_of(forged):
        forged.write(ROWS, row, factors=MADE)
        for stem in "wv":
            put(forged, ROWS, row, stem, [0] * 8)
    follow(forged)
    return forged, f"{CALL}: second operand is earlier: high limb"


ROW_LIES: tuple[Attack, ...] = (
    g12_another_sum,
    g12_padding_contributes,
    *map(g12_a_vector_of_nobody, TERMS),
    *map(g12_another_vector, "xyw"),
    g12_the_last_too_early,
    g12_the_last_too_late,
    g12_blocks_of_other_channels,
    g12_an_end_of_a_block_without_a_row,
)
CALL_LIES: tuple[Attack, ...] = (
    g12_another_tensor_as_y,
    g12_the_second_operand_as_y_of_a_product,
    g12_another_tensor_as_factors,
    g12_another_weight_than_the_descriptor_says,
    g12_other_steps_than_the_descriptor_says,
    g12_a_step_by_two,
    g12_a_step_of_factors_by_two,
    g12_too_large_a_weight,
    g12_products_without_a_bound,
    g12_the_call_itself,
    g12_the_call_itself_as_factors,
)
FORGERIES = ROW_LIES + CALL_LIES
PROVEN = (g12_another_sum, g12_the_last_too_early, g12_another_tensor_as_y)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


# --- what several lines refuse ---------------------------------------------------------------------------------------------------------


def test_g12_sums_of_two_results_exchanged() -> None:
    """Each result takes the sums of the other: they are under other keys."""
    forged = combining()
    rows = path_of(forged)
    first, second = (vector_of(forged, ROWS, row, "u") for row in rows[:2])
    assert first != second
    result(forged, 0, second)
    result(forged, 1, first)
    assert {where.partition(":")[0] for where in forged.refusals()} == {"bus sums"}


@pytest.mark.parametrize("twice", [False, True])
def test_g12_a_row_left_out_or_twice(twice: bool) -> None:
    forged = combining()
    row = path_of(forged)[2]
    if twice:
        forged.copy_row(ROWS, row)
    else:
        forged.erase(ROWS, row)
    assert {"bus combine path", "bus sums", "bus out path"} <= {where.partition(":")[0] for where in forged.refusals()}


OTHERS: dict[str, dict[int, int]] = {
    "weight": {3: 1},
    "low": {1: 1},
    "span": {1: -1},
    "limit": {1: 1},
    "x_tensor": {2: SECOND_ID - FIRST_ID},
    "y_tensor": {2: SECOND_ID - FIRST_ID},
    "factors": {2: FIRST_ID - SECOND_ID},
    "y_step": {0: 1, 1: -1},
    "w_step": {0: 1, 1: -1},
    **{f"{name}_jump": {2: 1, 5: -1} for name in "xyw"},
    "channels": {2: -1, 4: -2},
}
"""What is added to a constant of some rows of a call, so that all operands end where they should."""


@pytest.mark.parametrize("name", CONSTANT)
def test_g12_a_row_of_another_constant(name: str) -> None:
    """What the call says goes from row to row: one that takes something else hands it on."""
    forged = combining(MULTIPLY, strides=(3, 3, 3), steps=3)
    rows = path_of(forged)
    if name == "channels":  # blocks of 3, 2 and 1
        for number, row in enumerate(rows):
            forged.write(ROWS, row, last=int(number in (2, 4, 5)))
    for number, other in OTHERS[name].items():
        forged.add(ROWS, rows[number], **{name: other})
        if name in ("low", "span", "limit"):
            forged.add("tensor_results", results_row(forged, number, MADE), **{name: other})
    walk(forged)
    unlisted = {"tensor_results: channel"} if name == "limit" else set()
    assert forged.refusals() == {"bus combine path"} | unlisted


@pytest.mark.parametrize("name", ["left", "x", "y", "w", "v", "channel"])
def test_g12_a_row_elsewhere(name: str) -> None:
    """A row is where the one before says, and not where it would like to be."""
    forged = combining(strides=(4, 3, 3), steps=3)
    if name == "left":  # blocks of 2 and 4, whose last rows say that they have one channel left
        lay_out(forged, [(2, 3), (4, 3)])
        for row in path_of(forged):
            forged.write(ROWS, row, **({"left": 1} if forged.cell(ROWS, row, "last") else {}))
    else:
        row = path_of(forged)[1]
        forged.add(ROWS, row, **{name: 1}, **({f"next_{name}": 1} if name in "xyw" else {}))
        if name == "channel":
            forged.add("tensor_results", results_row(forged, 1, MADE), channel=1)
        read(forged, row)
        follow(forged)
    assert forged.refusals() == {"bus combine path"}


RESULT_OTHERS = {"channel": 1, "low": 1, "span": -1, "limit": 1, "index": 6, "tensor": FIRST_ID - MADE, "tile": 1, "half": 1, "high1": 1}


@pytest.mark.parametrize("name", RESULT_OTHERS)
def test_g12_a_result_of_its_own(name: str) -> None:
    """Another channel, bound or name than the row of the sum says. All sums are 0, so their keys do not matter."""
    forged = combining(MULTIPLY, second=[[0] * 8] * len(SECOND))
    row = results_row(forged, 0, MADE)
    forged.add("tensor_results", row, **{name: RESULT_OTHERS[name]}, **({"high0": -1} if name == "high1" else {}))
    for k in range(8):
        lane(forged, row, k)
    unlisted = {"tensor_results: channel"} if name == "limit" else set()
    assert {where for where in forged.refusals() if "exported" not in where} == {"bus out path"} | unlisted


def test_g12_a_row_that_is_its_own_predecessor() -> None:
    """With strides of 0 a row moves nothing but its index: twice there, its sums can be divided as one likes among two results."""
    forged = combining(channels=1, strides=(0, 0, 0), steps=0)
    row = path_of(forged)[1]
    sums = vector_of(forged, ROWS, row, "u")
    forged.copy_row(ROWS, row)
    other = forged.copy_row("tensor_results", results_row(forged, 1, MADE))
    for k, total in enumerate(sums):
        lane(forged, other, k, total - 4000)
    result(forged, 1, [total + 4000 for total in sums])
    assert forged.refusals() == {"bus combine path"}
