"""Tensor calls whose channels have sums of their own: windows slide over one channel, as in a depthwise convolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.tensors import (
    IN_VECTORS,
    LANES,
    PAIR_BLOCKS,
    ROW_BYTES,
    STRIP_VECTORS,
    WINDOW_ROWS,
    WINDOW_VECTORS,
    products_of_windows,
)  # fmt: skip
from zkvm.riscv.records import TensorCall
from zkvm.riscv.vm.combining import check_limit, check_results, rescale
from zkvm.riscv.vm.tensor_call import Call, Elements

MAX_WINDOWS = 1 << 16


def depthwise(call: Call) -> TensorCall:
    """depthwise, scaled depthwise: sums of each channel's windows, rescaled."""
    words = call.words
    check_results(call)
    if not 1 <= words.taps <= MAX_WINDOWS:
        raise call.refuse(f"{words.taps} windows: from 1 to {MAX_WINDOWS} can be proven")
    if words.blocks % PAIR_BLOCKS:
        raise call.refuse(f"its blocks are made by twos, and {words.blocks} is odd")
    call.check_earlier(call.first)
    call.check_earlier(call.second)
    if words.operation in IN_VECTORS:  # the descriptor says it, also for no blocks
        check_limit(call, words.y)
    if words.blocks == 0:
        return call.record()
    results, rows = words.blocks * words.channels, words.blocks // PAIR_BLOCKS * words.channels * words.taps
    call.check_room(rows, 0)
    # Beside the strips there are those of one row of the windows, with their numbers.
    strips = (WINDOW_ROWS + 1) * STRIP_VECTORS * ROW_BYTES + STRIP_VECTORS * 8
    call.check_room(results, (1 + 3 * 4) * ROW_BYTES + -(-rows * strips // results))
    x, w = _strips(call), _weights(call)
    channels = call.channels()
    check_limit(call, int(channels["limit"][0]))
    sums = sums_of_windows(x, w)
    made, cuts = rescale(sums, channels["bias"], channels["multiplier"], words.low, words.high)
    return call.record(vectors=made.reshape(-1, LANES), x=x, w=w, sums=sums.reshape(-1, LANES), cuts=cuts)


def _strips(call: Call) -> Elements:
    """What each pair of blocks reads: (pairs, channels, windows, rows, vectors, 8)."""
    words = call.words
    axes = (
        (words.blocks // PAIR_BLOCKS, PAIR_BLOCKS * words.channels),
        (words.channels, 1),
        (words.taps, words.x_stride),
        (STRIP_VECTORS, words.channels),
    )
    made = np.empty((axes[0][0], words.channels, words.taps, WINDOW_ROWS, STRIP_VECTORS, LANES), np.int16)
    for row, offset in enumerate((0, words.w_stride, words.y_stride)):
        made[:, :, :, row] = call.vectors(call.first, words.x + ROW_BYTES * offset, *axes)
    return made


def _weights(call: Call) -> Elements:
    """The weights of each channel's windows: (channels, windows, 2, 8)."""
    words = call.words
    held = call.vectors(call.second, words.w, (words.channels * words.taps * WINDOW_VECTORS, 1))
    return held.reshape(words.channels, words.taps, WINDOW_VECTORS, LANES)


def sums_of_windows(x: Elements, w: Elements) -> NDArray[np.int64]:
    """For each block and each channel, the sums over its windows: (b, c, 8) int64, exact.

    Args:
        x: (pairs, c, windows, rows, 3, 8) what a pair of blocks reads.
        w: (c, windows, 2, 8) weights, row by row; the last lane is nobody's.
    """
    pairs, channels, windows = x.shape[:3]
    strips = x.reshape(pairs, channels, windows, WINDOW_ROWS, STRIP_VECTORS * LANES)
    weights = w.reshape(channels, windows, WINDOW_VECTORS * LANES)
    sums = products_of_windows(strips[:, :, 0], weights[:, 0])
    for window in range(1, windows):
        sums += products_of_windows(strips[:, :, window], weights[:, window])
    by_block = sums.reshape(pairs, channels, PAIR_BLOCKS, LANES).swapaxes(1, 2)
    return np.ascontiguousarray(by_block).reshape(pairs * PAIR_BLOCKS, channels, LANES)
