"""Tensor calls that compute element by element: sums of two products, rescaled as those of a layer.

In place, so that a call takes no more memory than it has asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa import tensors
from zkvm.riscv.isa.tensors import LANES, MULTIPLY, W_STEPS, Y_STEPS
from zkvm.riscv.records import TensorCall
from zkvm.riscv.vm.tensor_call import Call, Elements


def check_results(call: Call) -> None:
    """Refuse numbers of channels and bounds that have no proof."""
    words = call.words
    if not 1 <= words.channels <= tensors.MAX_CHANNELS:
        raise call.refuse(f"{words.channels} channels: from 1 to {tensors.MAX_CHANNELS} can be proven")
    if words.low > words.high:
        raise call.refuse(f"the least value of its result, {words.low}, is above the greatest, {words.high}")


def rescale(
    sums: NDArray[np.int64], bias: NDArray[np.int64], multiplier: NDArray[np.int32], low: int, high: int
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """min(max(floor(((sum + bias) multiplier + 2^31) / 2^32), low), high), where nothing wraps by the bounds of a call.

    Args:
        sums: (b, n, 8) by block, channel and position.
        bias: (n,) by channel.
        multiplier: (n,) by channel.
        low: the least result.
        high: the greatest.

    Returns:
        The results, (b, n, 8), and how many of each vector were greater than the greatest, and less than the least: (b n, 2).
    """
    scaled = sums + bias[:, None]
    scaled *= multiplier.astype(np.int64)[:, None]
    scaled += 1 << (tensors.SHIFT - 1)
    scaled >>= tensors.SHIFT
    cuts = np.zeros((scaled.shape[0] * scaled.shape[1], 2), np.uint8)
    cuts[:, 0] = np.count_nonzero(scaled > high, axis=-1).reshape(-1)
    cuts[:, 1] = np.count_nonzero(scaled < low, axis=-1).reshape(-1)
    return np.clip(scaled, low, high, out=scaled).astype(np.int16), cuts


def check_limit(call: Call, limit: int) -> None:
    """Refuse more products of a sum than the limit of the multipliers leaves room for."""
    taps = call.words.taps * (tensors.WINDOW_PRODUCTS if call.words.operation in tensors.WINDOWED else 1)
    if not 1 <= taps * limit <= tensors.MAX_PRODUCT_LIMIT:
        raise call.refuse(f"{taps} taps times the limit {limit} of its multipliers is not between 1 and 2^32")


def combine(call: Call) -> TensorCall:
    """combine, multiply: x w + weight y v, of each element, rescaled."""
    words = call.words
    check_results(call)
    if words.steps > Y_STEPS + W_STEPS:
        raise call.refuse(f"its steps are {words.steps}: from 0 to {Y_STEPS + W_STEPS} mean something")
    call.check_room(words.blocks * words.channels, (1 + 4 + 2 * 4) * tensors.ROW_BYTES)
    terms = _terms(call)
    if words.blocks == 0:
        return call.record()
    channels = call.channels()
    limit = int(channels["limit"][0])
    if not 1 <= (words.taps + 1) * limit <= tensors.MAX_PRODUCT_LIMIT:
        raise call.refuse(f"1 + weight {words.taps} times the limit {limit} of its multipliers is not between 1 and 2^32")
    x, w, y, v = terms
    sums = np.multiply(x, w, dtype=np.int64)
    second = np.multiply(y, v, dtype=np.int64)
    second *= words.taps
    sums += second
    del second
    made, cuts = rescale(sums, channels["bias"], channels["multiplier"], words.low, words.high)
    return call.record(vectors=made.reshape(-1, LANES), terms=terms.reshape(4, -1, LANES), sums=sums.reshape(-1, LANES), cuts=cuts)


def _terms(call: Call) -> Elements:
    """x, w, y, v of each element: (4, blocks, channels, 8)."""
    words = call.words
    second, factors = (call.first, call.second) if words.operation == MULTIPLY else (call.second, 0)
    call.check_earlier(call.second)
    y_step, w_step = words.steps & Y_STEPS, words.steps // W_STEPS
    return np.stack([
        call.vectors(handle, start, (words.blocks, stride), (words.channels, step))
        for handle, start, stride, step in (
            (call.first, words.x, words.x_stride, 1),
            (factors, words.w, words.w_stride, w_step),
            (second, words.y, words.y_stride, y_step),
            (factors, words.v, words.w_stride, w_step),
        )
    ])  # fmt: skip
