"""How many results of a call were cut before a row: the counts that its path carries, above the bounds and below."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.tensor.products import TILE_CHANNELS, tile_count
from zkvm.riscv.chips.tensor.uses import TILE_BLOCKS
from zkvm.riscv.isa.tensors import LAYERS, PAIR_BLOCKS, WINDOWED
from zkvm.riscv.records import TensorCall

Counts = NDArray[np.int64]
SIDES = ("above", "below")
CUTS = [f"{stage}_{side}" for stage in ("cut", "middle", "next") for side in SIDES]
"""Columns of a row with two paths of results: what was cut before it, before its second path, and behind it."""


def halves_of(call: TensorCall) -> Counts:
    """(v,): of each vector of a layer, 2 tile + half, in the order of the path."""
    block, channel = _places(call)
    across = -(-call.descriptor.channels // TILE_CHANNELS)
    halves: Counts = (block // TILE_BLOCKS * across + channel // TILE_CHANNELS) * TILE_BLOCKS + block % TILE_BLOCKS
    return halves


def _places(call: TensorCall) -> tuple[Counts, Counts]:
    """Block and channel of each vector."""
    index = np.arange(len(call.vectors), dtype=np.int64)
    return index // call.descriptor.channels, index % call.descriptor.channels


def cuts_before(call: TensorCall) -> Counts:
    """(v, 2): what was cut before each vector, on the call's path."""
    order = np.arange(len(call.vectors))
    if call.descriptor.operation in LAYERS:
        order = np.argsort(halves_of(call), kind="stable")
    if call.descriptor.operation in WINDOWED:  # both blocks of a pair, channel by channel
        block, channel = _places(call)
        order = np.lexsort((block, channel, block // PAIR_BLOCKS))
    own = call.cuts.astype(np.int64)
    before = np.zeros_like(own)
    before[order] = np.cumsum(own[order], axis=0) - own[order]
    return before


def cuts_of_tiles(call: TensorCall) -> Counts:
    """(t, 3, 2): what was cut before each tile of a layer, before its second half, and behind it."""
    halves = np.zeros((tile_count(call) * TILE_BLOCKS, 2), np.int64)
    np.add.at(halves, halves_of(call), call.cuts)
    ends = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(halves, axis=0)])
    return np.stack([ends[:-1:2], ends[1::2], ends[2::2]], axis=1)


def cuts_of_windows(call: TensorCall, index: Counts, last: Counts) -> Counts:
    """What was cut before each window, before its second result, and behind it.

    Args:
        call: with windows.
        index: (n,) of each window's first result.
        last: (n,) 1 if the window is the last of its channel, and has results, else 0.

    Returns:
        (n, 6) in the order of :data:`CUTS`.
    """
    before, own = cuts_before(call), call.cuts.astype(np.int64)
    second = index + call.descriptor.channels
    start, flag = before[index], last[:, None]
    middle = start + flag * own[index]
    return np.concatenate([start, middle, middle + flag * own[second]], axis=1)
