"""G15: lies about the row of a call with windows that several lines refuse, or a bus; see ``test_depthwise_calls.py``."""

from __future__ import annotations

from dataclasses import replace

from tests.soundness.depthwise_forging import (
    CALL,
    LIST,
    RESULTS,
    ROWS,
    UNIT,
    W_AT,
    W_ID,
    WINDOWED,
    X_AT,
    X_ID,
    W,
    X,
    depthwise,
    follow,
    path_of,
    read,
)
from tests.soundness.tensor_forging import (
    FULL,
    IMPORTED,
    LAYER,
    TWO_16,
    TWO_32,
    Program,
    descriptor_word,
    id_of,
    layer,
    lie,
    results_row,
    vector_of,
)
from zkvm.riscv.isa.tensors import DEPTHWISE, EXPORT, IMPORT, SCALED, WINDOW_PRODUCTS, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA


def test_g15_no_windows() -> None:
    """Of no block; then there are no products either, and 1 to 2^32 are demanded."""
    forged = depthwise(0)
    descriptor_word(forged, WINDOWED, 3, 0)
    forged.write(CALL, 0, windows=0, rows=0, x_over=0, products=0, room_low=0)
    assert forged.refusals() == {f"{CALL}: 1 to 2^16 windows", f"{CALL}: 2^32 - 15 windows limit: high limb"}


def test_g15_another_lower_half_of_the_bounds() -> None:
    """Then the upper half is no integer: it is not in range, and its difference to one that is cannot be either."""
    forged = depthwise(0)
    forged.add(CALL, 0, low=1)
    assert forged.refusals() == {f"{CALL}: {line}" for line in ("greatest result", "bounds are in order")}


def test_g15_a_layer_that_passes_for_windows() -> None:
    """Flags that are no bits name any operation: 2 and -1 a layer with private channels."""
    forged = depthwise(0)
    descriptor_word(forged, WINDOWED, 0, SCALED)
    forged.write(CALL, 0, listed=2, scaled=-1, list_start=forged.cell(CALL, 0, "list_start") - (W_ID + 1) * (1 << 30), limit=UNIT)
    forged.write(CALL, 0, products=WINDOW_PRODUCTS * 2 * UNIT, room_low=(TWO_32 - WINDOW_PRODUCTS * 2 * UNIT) % TWO_16)
    descriptor_word(forged, WINDOWED, 10, UNIT)
    assert forged.refusals() == {f"{CALL}: listed is boolean", f"{CALL}: scaled is boolean"}


def test_g15_both_operations_at_once() -> None:
    forged = depthwise(scaled=True)
    forged.write(CALL, 0, listed=1)
    assert {f"{CALL}: at most one operation", f"{CALL}: operation"} <= forged.refusals()


def test_g15_rows_of_two_calls_exchanged() -> None:
    """Two calls that differ in the places of their rows: each takes a row of the other."""
    call = Descriptor(DEPTHWISE, 2, 2, 1, 16 * X_AT, 0, 16 * W_AT, 1, CHANNELS, FULL, 0, 2)
    made = [
        (Descriptor(IMPORT, len(X)), 0, 0),
        (Descriptor(IMPORT, len(W)), 0, 0),
        (call, X_ID, W_ID),
        (call._replace(y_stride=5), X_ID, W_ID),
        (Descriptor(EXPORT, 4, 8, 0, 0, 1), id_of(2), DATA),
        (Descriptor(EXPORT, 4, 8, 0, 0, 1), id_of(3), DATA + 128),
    ]
    forged = Program(made, [], LIST, X + W, [0] * 64).forged()
    rows = [path_of(forged, tensor)[1] for tensor in (id_of(2), id_of(3))]
    for row, tensor in zip(rows, (id_of(3), id_of(2)), strict=True):
        forged.write(ROWS, row, tensor=tensor)
    before = vector_of(forged, RESULTS, results_row(forged, 1, id_of(2)), "x")
    for tensor in (id_of(2), id_of(3)):
        follow(forged, tensor)
    assert vector_of(forged, RESULTS, results_row(forged, 1, id_of(2)), "x") != before
    assert forged.refusals() == {"bus depthwise path"}


def test_g15_a_sum_among_those_of_a_layer() -> None:
    """Under the key of a tile, whose results take it, from a row without a call. With no channels both of its sums have one key."""
    call = Descriptor(DEPTHWISE, 2, 1, 2, 0, 1, 0, 0, CHANNELS, FULL, 0, 0)
    program = layer(channels=8, listed=[(0, UNIT, UNIT)] * 8)
    forged = replace(program, calls=[*program.calls, (call, IMPORTED, IMPORTED)]).forged()
    row = forged.copy_row(ROWS, path_of(forged, id_of(len(program.calls)))[0])
    forged.write(ROWS, row, tensor=LAYER, channels=0, channels_left=1)
    for name in ("index", "last", "end", "renewed", "back"):
        assert not forged.cell(ROWS, row, name)
    read(forged, row)
    added = [a + b for a, b in zip(vector_of(forged, ROWS, row, "u"), vector_of(forged, ROWS, row, "t"), strict=True)]
    assert any(added)
    honest = vector_of(forged, RESULTS, results_row(forged, 0), "sum")
    for k, value in enumerate(added):
        lie(forged, 0, k, honest[k] + value)
    assert forged.refusals() == {"bus depthwise path"}
