"""What a tensor call with windows means, and channels in vectors, in plain integers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from zkvm.riscv.isa.tensors import Descriptor

Read = Callable[[int], list[int]]
"""A vector of an operand, counted from where the operand begins."""


def channel_of(vector: list[int], limit: int) -> tuple[int, int, int]:
    """The channel that a vector holds: bias, multiplier, limit."""
    scale = limit // 2**15
    assert limit == scale * 2**15
    assert scale in [2**k for k in range(15)]
    assert vector[3:] == [0] * 5
    return (vector[0] + 2**16 * vector[1]) * 2**14 // scale, vector[2] * scale, limit


def cut(numbers: list[int], descriptor: Descriptor, counts: list[int]) -> list[int]:
    """Numbers within the bounds of a call; adds to the counts how many were above, and below."""
    counts[0] += sum(number > descriptor.high for number in numbers)
    counts[1] += sum(number < descriptor.low for number in numbers)
    return [min(max(number, descriptor.low), descriptor.high) for number in numbers]


def windows_of(d: Descriptor, channels: list[tuple[int, int, int]], counts: list[int], x: Read, w: Read) -> list[list[int]]:
    """The vectors of the result. ``channels``: bias, multiplier and limit of each."""
    assert d.blocks % 2 == 0
    result = []
    for block, c in product(range(d.blocks), range(d.channels)):
        bias, multiplier, limit = channels[c]
        assert abs(multiplier) <= limit
        assert 1 <= 15 * d.taps * limit <= 2**32
        sums = [0] * 8
        for window in range(d.taps):
            at = 2 * (c * d.taps + window)
            weights = w(at) + w(at + 1)
            for row, offset in enumerate((0, d.w_stride, d.y_stride)):
                place = window * d.x_stride + offset + block * d.channels + c
                strip = x(place) + x(place + d.channels)
                for lane, tap in product(range(8), range(5)):
                    sums[lane] += strip[lane + tap] * weights[5 * row + tap]
        result.append(cut([((s + bias) * multiplier + 2**31) // 2**32 for s in sums], d, counts))
    return result
