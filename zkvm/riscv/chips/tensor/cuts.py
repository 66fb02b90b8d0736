"""How many results of a call were cut before a row: the counts that its path carries, above the bounds and below."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.tensor.products import TILE_CHANNELS, tile_count
from zkvm.riscv.chips.tensor.uses import TILE_BLOCKS
from zkvm.riscv.isa.tensors import LAYERS
from zkvm.riscv.records import TensorCall

Counts = NDArray[np.int64]


def halves_of(call: TensorCall) -> Counts:
    """(v,): of each vector of a layer, 2 tile + half, in the order of the path."""
    d = call.descriptor
    index = np.arange(len(call.vectors), dtype=np.int64)
    block, channel = index // d.channels, index % d.channels
    across = -(-d.channels // TILE_CHANNELS)
    halves: Counts = (block // TILE_BLOCKS * across + channel // TILE_CHANNELS) * TILE_BLOCKS + block % TILE_BLOCKS
    return halves


def cuts_before(call: TensorCall) -> Counts:
    """(v, 2): what was cut before each vector, on the call's path."""
    layer = call.descriptor.operation in LAYERS
    order = np.argsort(halves_of(call), kind="stable") if layer else np.arange(len(call.vectors))
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
