"""How a tensor of the machine holds a value: vectors of 8 positions of one channel. numpy only: whoever runs a model needs it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

LANES = 8
"""Elements of a vector."""
OFFSET = 1 << 15
"""Less than the least int16, by 0."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Vector ``block * channels + c`` holds positions 8 block to 8 block + 7 of channel c.

    Attributes:
        channels: what a layer has products with.
        positions: rows of a matrix, tokens, places of an image.
        channels_first: whether element i of the value is position ``i % positions`` of channel ``i // positions``, as in an image;
            else it is channel ``i % channels`` of position ``i // channels``, as in rows of tokens.
    """

    channels: int
    positions: int
    channels_first: bool = False

    @staticmethod
    def of(channels: int, positions: int, channels_first: bool) -> Layout:
        """The layout; equal ones compare as equal."""
        return Layout(channels, positions, channels_first and channels > 1 and positions > 1)

    @property
    def blocks(self) -> int:
        """Groups of 8 positions, the last perhaps in part."""
        return -(-self.positions // LANES)

    @property
    def vectors(self) -> int:
        """How many there are."""
        return self.blocks * self.channels

    @property
    def words(self) -> int:
        """Elements of a vector that have a word in RAM where the machine moves the tensor: all, or the first of a single position."""
        return 1 if self.positions == 1 else LANES

    def places(self) -> NDArray[np.int64]:
        """For each element of the value, in order, its place among these words."""
        position, channel = np.arange(self.positions)[:, None], np.arange(self.channels)[None, :]
        if self.positions == 1:
            return np.arange(self.channels)
        places = (position // LANES * self.channels + channel) * LANES + position % LANES
        return np.ascontiguousarray(places.T if self.channels_first else places).reshape(-1)

    def cells(self) -> NDArray[np.int64]:
        """For each element of the value, in order, 8 times its vector plus its lane."""
        return np.arange(self.channels) * LANES if self.positions == 1 else self.places()

    def filled(self) -> NDArray[np.int64]:
        """For each lane of each vector, (n, 8), the number of the element that it holds: lanes without a position hold the last one's, so
        that whatever is computed lane by lane, or is true of all of them, has no numbers that the model has not."""
        positions = np.minimum(np.arange(self.blocks * LANES), self.positions - 1)
        numbers = self.matrix(np.arange(self.channels * self.positions))[positions]
        return np.ascontiguousarray(numbers.reshape(self.blocks, LANES, self.channels).swapaxes(1, 2)).reshape(-1, LANES)

    def matrix(self, elements: NDArray[np.int64]) -> NDArray[np.int64]:
        """The elements as (positions, channels)."""
        if self.channels_first:
            return elements.reshape(self.channels, self.positions).T
        return elements.reshape(self.positions, self.channels)

    def flat(self, matrix: NDArray[np.int64]) -> NDArray[np.int64]:
        """The other way round."""
        return np.ascontiguousarray(matrix.T if self.channels_first else matrix).reshape(-1)

    def imported(self, elements: NDArray[np.int64]) -> bytes:
        """The vectors as the machine imports them, lanes without a position as 0."""
        lanes = np.zeros(self.vectors * LANES, "<i2")
        lanes[self.cells()] = elements.reshape(-1)
        return lanes.tobytes()


def flat_layout(size: int) -> Layout:
    """A layout in which a list of numbers is words in RAM, in order."""
    return Layout(1, size) if size % LANES == 0 else Layout(size, 1)


def natural_layout(shape: tuple[int, ...]) -> Layout:
    """The layout of a tensor whose readers ask for none: an image's channels, if their blocks are not mostly empty; else one list."""
    size = prod(shape)
    positions = prod(shape[2:])
    if len(shape) > 2 and shape[0] == 1 and positions >= LANES:
        return Layout.of(shape[1], positions, True)
    return Layout(1, size)
