"""The words of tensor calls: operations, descriptors, and constants, as the executor and the chips read them.

A tensor is a list of vectors of 8 int16. A call has a descriptor in read-only memory, whose address is in a0; an operation reads the
first so many of its words. a1 holds the handle of the first operand, a2 that of the second, or an address in RAM. A handle is the id of
the call that made the tensor, or 0: the image's constant vectors.

What the operations mean: ``docs/tensors.md``. Numbers and places of words are part of the machine: never reuse one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LANES = 8
"""Elements of a vector: positions of one channel."""
ROW_BYTES = 16
"""Bytes of a row of constants. Operands begin at a multiple of it, in bytes: an address of constants, or a place in a tensor."""

PATTERN_BYTES = 32
"""Bytes of a row of a pattern."""
ENTRY_BYTES = 2
"""Bytes of an entry of a function."""

IMPORT, LOAD, LINEAR, EXPORT, GATHER, MAXIMUM, APPLY, COMBINE, MULTIPLY, DIGEST, SCALED = range(1, 12)
DEPTHWISE, SCALED_DEPTHWISE, RELATIVE, DIGESTED = range(12, 16)
NAMES = {
    IMPORT: "import", LOAD: "load", LINEAR: "linear", EXPORT: "export", GATHER: "gather", MAXIMUM: "maximum", APPLY: "apply",
    COMBINE: "combine", MULTIPLY: "multiply", DIGEST: "digest", SCALED: "scaled",
    DEPTHWISE: "depthwise", SCALED_DEPTHWISE: "scaled_depthwise", RELATIVE: "relative",
    DIGESTED: "import_digested",
}  # fmt: skip
"""Operation -> name, for messages."""
WORDS = {
    IMPORT: 2, LOAD: 3, LINEAR: 10, EXPORT: 6, GATHER: 9, MAXIMUM: 8, APPLY: 9, COMBINE: 14, MULTIPLY: 14, DIGEST: 5, SCALED: 11,
    DEPTHWISE: 12, SCALED_DEPTHWISE: 12, RELATIVE: 9, DIGESTED: 3,
}  # fmt: skip
"""How many words of its descriptor an operation reads."""
MAKERS = (IMPORT, LOAD, LINEAR, GATHER, MAXIMUM, APPLY, COMBINE, MULTIPLY, SCALED, DEPTHWISE, SCALED_DEPTHWISE, RELATIVE, DIGESTED)
"""Operations that make a tensor."""
LAYERS = (LINEAR, SCALED)
"""Operations whose every element is a sum of products over taps. Of SCALED the channels are vectors of the second operand."""
ELEMENTWISE = (COMBINE, MULTIPLY)
"""Operations whose every element is a sum of two products of elements."""
WINDOWED = (DEPTHWISE, SCALED_DEPTHWISE)
"""Operations whose every element is a sum over windows of one channel."""
RESCALING = (*LAYERS, *ELEMENTWISE, *WINDOWED)
"""Operations whose results are rescaled sums, cut to bounds. How many were cut above and below is in a1 and a2 after the call."""
FUNCTIONS = (APPLY, RELATIVE)
"""Operations whose every element is a function's entry: of RELATIVE, for the element less one of the second operand."""
LISTED, IN_VECTORS = (LINEAR, *ELEMENTWISE, DEPTHWISE), (SCALED, SCALED_DEPTHWISE)
"""Operations whose channels are the image's, and those whose channels are vectors of the second operand."""
WINDOW_ROWS, WINDOW_TAPS = 3, 5
"""A window's rows, and the elements behind one another that it reads of each for one result."""
WINDOW_PRODUCTS = WINDOW_ROWS * WINDOW_TAPS
WINDOW_VECTORS = 2
"""Vectors of a window's weights: row by row, the last lane is nobody's."""
PAIR_BLOCKS = 2
"""Blocks that are read as one: their elements follow one another, and so do those of the block behind them."""
STRIP_VECTORS = PAIR_BLOCKS + 1
"""Vectors of a window's row that a pair of blocks reads."""
Y_STEPS, W_STEPS = 1, 2
"""Bits of a descriptor's steps: y, and the factors w and v, move on with every channel, not with blocks alone."""

SECOND_OPERAND = 1 << 31
"""Added to the places of a pattern's row that takes its elements from the second operand."""
INT16_OFFSET = 1 << 15
"""Added to an int16 it is in [0, 2^16): place of its entry in a function."""
RELATIVE_OFFSET = (1 << 16) - 1
"""Added to an int16 less one that is not smaller it is in [0, 2^16): place of its entry, for RELATIVE."""
BOUND_OFFSET = 1 << 15
"""Added to a bound, so that it is not negative."""
MAX_CHANNELS = 1 << 16
MAX_PRODUCT_LIMIT = 1 << 32
"""Bound on taps times the limit of the multipliers, so that nothing wraps: |sum multiplier| <= 2^62."""
SHIFT = 32
"""A rescaled sum is divided by 2 to this power."""
MAX_LIMIT, MAX_BIAS, MAX_SCALED_BIAS = (1 << 31) - 1, (1 << 48) - 1, 1 << 61
"""Bounds of a channel: of its limit, |bias| and |bias multiplier|."""
WIDE_BLOCKS, WIDE_CHANNELS = 4, 32
"""Blocks of positions and channels of four tiles, two by two, that are proven together."""
WIDE_LEAST = 1 << 14
"""Taps of such fours that a call must have for that: a table more has columns of its own, which every receipt opens."""


class Descriptor(NamedTuple):
    """The words of a descriptor, unsigned; those that the operation does not read are 0.

    Attributes:
        operation: its number.
        blocks: LINEAR, RELATIVE: blocks of 8 positions. DIGEST, DIGESTED: rows of three vectors. Others: vectors.
        channels: LINEAR, RELATIVE: of the result. LOAD, EXPORT: elements of a vector that have a word in RAM, 1 or 8.
            DIGESTED: rows of seven vectors of bytes.
        taps: products of a sum. MAXIMUM: vectors that are compared. COMBINE, MULTIPLY: what the second product counts. DEPTHWISE:
            windows of a channel.
        x: where the first operand begins, in bytes.
        x_stride: LINEAR, COMBINE, MULTIPLY: vectors from one block of positions to the next. EXPORT, MAXIMUM, APPLY, RELATIVE: from one
            result to the next. DEPTHWISE: from one window to the next.
        w: where the second operand begins, in bytes; RELATIVE: a vector for each block. COMBINE, MULTIPLY: the factors of x.
        w_stride: vectors from 8 channels to the next 8. MAXIMUM: vectors of x from one that is compared to the next. COMBINE, MULTIPLY:
            vectors of w, and of v, from one block of positions to the next. DEPTHWISE: vectors of x from a window's first row to its
            second.
        channel_list: address of the first channel. GATHER: of the pattern. APPLY, RELATIVE: of the function. SCALED, SCALED_DEPTHWISE:
            where the channels begin in the second operand, in bytes.
        bounds: lo + 2^15 + 2^16 (hi + 2^15).
        y: where what is multiplied by v begins, in bytes. SCALED, SCALED_DEPTHWISE: limit of the channels.
        y_stride: its vectors from one block of positions to the next. DEPTHWISE: vectors of x from a window's first row to its third.
        v: where the factors of y begin, in bytes.
        steps: Y_STEPS and W_STEPS, added.
    """

    operation: int
    blocks: int = 0
    channels: int = 0
    taps: int = 0
    x: int = 0
    x_stride: int = 0
    w: int = 0
    w_stride: int = 0
    channel_list: int = 0
    bounds: int = 0
    y: int = 0
    y_stride: int = 0
    v: int = 0
    steps: int = 0

    @property
    def low(self) -> int:
        """The least value of the result."""
        return (self.bounds & 0xFFFF) - BOUND_OFFSET

    @property
    def high(self) -> int:
        """The greatest value of the result."""
        return (self.bounds >> 16) - BOUND_OFFSET

    @property
    def halves(self) -> int:
        """How many groups of 8 channels there are, the last perhaps in part."""
        return -(-self.channels // LANES)

    @property
    def fours(self) -> tuple[int, int]:
        """How many times a layer has four whole tiles of 16 positions by 16 channels, two by two: along positions, along channels."""
        return (self.blocks // WIDE_BLOCKS, self.channels // WIDE_CHANNELS) if self.operation in LAYERS else (0, 0)

    @property
    def wide(self) -> bool:
        """Whether a layer is so large that the executor has its fours of tiles proven together."""
        return math.prod(self.fours) * self.taps >= WIDE_LEAST

    @property
    def product_rows(self) -> tuple[int, int]:
        """Rows that a layer then has in the tables of products: of single tiles, and of fours."""
        tiles = -(-self.blocks // (WIDE_BLOCKS // 2)) * -(-self.channels // (WIDE_CHANNELS // 2))
        fours = math.prod(self.fours) * self.wide
        return (tiles - 4 * fours) * self.taps, fours * self.taps


CHANNEL = np.dtype([("bias", np.int64), ("multiplier", np.int32), ("limit", np.uint32)])
"""How an output channel is rescaled, as it lies in memory. ``limit`` bounds |multiplier|, and is the same in a whole list."""
SCALE_BITS, BIAS_STEPS = 15, 1 << 14
"""A channel in a vector: its limit is 2^15 s with s a power of two from 1 to 2^14, its multiplier an int16 times s, and its bias
(x0 + 2^16 x1) 2^14 / s. So |bias multiplier| <= (2^31 + 2^15) 2^14 2^15 < 2^61, and |bias| < 2^46."""
ROW_VECTORS, RATE, PACKED = 3, 8, 3
"""DIGEST: vectors that a permutation absorbs, as so many elements of the field, each of so many lanes."""
BYTE_ROW_VECTORS, PACKED_BYTES, BYTE_OFFSET = 7, 7, 1 << 7
"""DIGESTED: vectors of bytes that a permutation absorbs, lanes of an element of the field, and what makes a byte one without a sign."""
BYTE_STEP = 1 << 8
"""What a byte counts in its lane: so sums of bytes reach as far as sums of int16, with the same limit of multipliers."""
DIGEST_VECTORS = 2
"""Vectors of a digest: four elements of 64 bits, by lanes."""
DIGEST_TAG = 0x7A6B
"""Element of the capacity that says that a tensor is digested; the next ones say how many rows of vectors, and how many of bytes."""
CHANNEL_LANES = 3
"""Lanes of a vector that a channel has: bias by 16 bits, with their signs, and multiplier. The others are 0."""


def is_scale(limit: int) -> bool:
    """Whether channels in vectors have such a limit."""
    scale = limit >> SCALE_BITS
    return limit == scale << SCALE_BITS and 1 <= scale <= BIAS_STEPS and scale & (scale - 1) == 0


def channels_in(vectors: NDArray[np.int16], limit: int) -> NDArray[np.void]:
    """The channels that vectors hold.

    Args:
        vectors: (n, 8), lanes from CHANNEL_LANES on are 0.
        limit: theirs, see :func:`is_scale`.
    """
    scale, lanes = limit >> SCALE_BITS, vectors.astype(np.int64)
    found = np.zeros(len(lanes), CHANNEL)
    found["bias"] = (lanes[:, 0] + (lanes[:, 1] << 16)) * (BIAS_STEPS // scale)
    found["multiplier"], found["limit"] = lanes[:, 2] * scale, limit
    return found


def products_of_windows(strips: NDArray[np.int16], weights: NDArray[np.int16]) -> NDArray[np.int64]:
    """The sums of windows, for two blocks of positions: (..., 16), exact.

    Args:
        strips: (..., 3, 24) by row of the window.
        weights: (..., 16) row by row, the last is nobody's; axes broadcast.
    """
    width = PAIR_BLOCKS * LANES
    sums = np.zeros((*np.broadcast_shapes(strips.shape[:-2], weights.shape[:-1]), width), np.int64)
    for row in range(WINDOW_ROWS):
        for tap in range(WINDOW_TAPS):
            weight = weights[..., row * WINDOW_TAPS + tap, None]
            if weight.any():
                sums += np.multiply(strips[..., row, tap : tap + width], weight, dtype=np.int64)
    return sums


@dataclass(frozen=True, slots=True)
class TensorConstants:
    """The constants of an image that tensor calls read.

    Attributes:
        first_vector: address of the first vector, divided by its size.
        vectors: (n, 8) int16.
        first_channel: address of the first channel, divided by its size.
        channels: (n,) CHANNEL.
        first_pattern: address of the first row of patterns, divided by its size.
        patterns: (n, 8) uint32: 0, or one more than the place of an element in its tensor; plus SECOND_OPERAND in all of a row.
        first_entry: address of the first entry of functions, divided by its size.
        entries: (n,) int16.
    """

    first_vector: int
    vectors: NDArray[np.int16]
    first_channel: int
    channels: NDArray[np.void]
    first_pattern: int = 0
    patterns: NDArray[np.uint32] = field(default_factory=lambda: np.zeros((0, LANES), np.uint32))
    first_entry: int = 0
    entries: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))

    def holds(self, address: int) -> bool:
        """Whether a byte is one of these constants."""
        return any(
            0 <= address // size - first < len(held)
            for size, first, held in (
                (ROW_BYTES, self.first_vector, self.vectors),
                (ROW_BYTES, self.first_channel, self.channels),
                (PATTERN_BYTES, self.first_pattern, self.patterns),
                (ENTRY_BYTES, self.first_entry, self.entries),
            )
        )
