"""Tensors for guests in Python, as CPython computes them; in the machine each call is a system call with tables of its own.

A tensor has C channels and P positions of int16, or C channels alone. *Layers* are calls with constants: they are made at the top of a
file, and called in the guest. What each computes is exact, also in the lanes beyond the last position, of which the counts of
:func:`cuts` know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zkvm.errors import UsageError
from zkvm.guest.python import io

LANES = 8
INT16 = (-(1 << 15), (1 << 15) - 1)
MOST_CHANNELS = 1 << 16
ONE = 1 << 32
"""What a multiplier counts: a sum times it, divided by this, is an element."""
Shape = tuple[int, ...]


def counts(shape: int | Sequence[int]) -> tuple[int, int]:
    """Channels and positions of a shape.

    Raises:
        ValueError: it is none of a tensor.
    """
    lengths = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if len(lengths) not in (1, 2) or min(lengths, default=0) < 1 or lengths[0] > MOST_CHANNELS:
        raise ValueError(f"{shape} is no shape of a tensor: (channels,) or (channels, positions), of 1 to 65536 channels")
    return int(lengths[0]), int(lengths[1]) if len(lengths) == 2 else 1


def blocks_of(positions: int) -> int:
    """How many vectors of 8 a channel takes."""
    return -(-positions // LANES)


class Tensor:
    """A tensor: it never changes.

    Attributes:
        shape: ``(channels,)`` or ``(channels, positions)``.
    """

    def __init__(self, shape: int | Sequence[int], vectors: Any) -> None:
        """``vectors``: int16 (blocks * channels, 8), those of a block of positions side by side."""
        channels, positions = counts(shape)
        self.shape: Shape = (channels,) if isinstance(shape, int | np.integer) or len(shape) == 1 else (channels, positions)
        self.vectors = vectors

    def numbers(self) -> Any:
        """Its elements in an array of ``np.int32`` with the tensor's shape."""
        channels, positions = counts(self.shape)
        return _elements(self.vectors, channels)[:, :positions].reshape(self.shape).astype(np.int32)


def _elements(vectors: Any, channels: int) -> Any:
    """(channels, all lanes)."""
    return np.ascontiguousarray(vectors.reshape(-1, channels, LANES).transpose(1, 0, 2)).reshape(channels, -1)


def _vectors(elements: Any) -> Any:
    """The vectors of elements (channels, positions); lanes behind them are 0."""
    channels, positions = elements.shape
    padded = np.zeros((channels, blocks_of(positions) * LANES), np.int16)
    padded[:, :positions] = elements
    return np.ascontiguousarray(padded.reshape(channels, -1, LANES).transpose(1, 0, 2)).reshape(-1, LANES)


def read(shape: int | Sequence[int]) -> Tensor:
    """A tensor of the private input, as :func:`encode` writes it: 16 bytes for each 8 positions of a channel.

    The run traps if the input ends before.
    """
    channels, positions = counts(shape)
    return Tensor(shape, io.read(np.int16, (blocks_of(positions) * channels, LANES)))


def encode(numbers: Any) -> bytes:
    """For hosts: what :func:`read` reads a tensor of these numbers from.

    Args:
        numbers: array of integers of 16 bits, (channels,) or (channels, positions).

    Raises:
        UsageError: they do not fit.
    """
    array = np.asarray(numbers)
    try:
        channels, positions = counts(array.shape)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if array.dtype.kind not in "iu" or np.any((array < INT16[0]) | (array > INT16[1])):
        raise UsageError("elements of a tensor are integers from -32768 to 32767")
    data: bytes = _vectors(array.reshape(channels, positions).astype(np.int16)).astype("<i2").tobytes()
    return data


def load(numbers: Any, shape: int | Sequence[int]) -> Tensor:
    """A tensor of the elements of an array of ``np.int8``, ``np.uint8`` or ``np.int16``, in row-major order."""
    array = np.asarray(numbers)
    if array.dtype not in (np.int8, np.uint8, np.int16):
        raise TypeError(f"a tensor of {array.dtype}: np.int8, np.uint8 or np.int16")
    channels, positions = counts(shape)
    if array.size != channels * positions:
        raise ValueError(f"lengths {array.size} and {channels * positions} do not fit together")
    return Tensor(shape, _vectors(array.reshape(channels, positions)))


def cuts() -> tuple[Any, Any]:
    """How many elements the last layer that rescales cut to its upper bound and to its lower one."""
    above, below = io.last_cuts()
    return np.uint32(above), np.uint32(below)


class Layer:
    """A call on tensors with constants: made at the top of a file, called in the guest."""

    operands = 1

    def result(self, *shapes: Shape) -> Shape:
        """The shape of the result.

        Raises:
            ValueError: the operands have no such shapes.
        """
        raise NotImplementedError

    def compute(self, *tensors: Tensor) -> Any:
        """The vectors of the result."""
        raise NotImplementedError

    def __call__(self, *given: Tensor) -> Tensor:
        """The result, a new tensor."""
        if len(given) != self.operands or not all(isinstance(tensor, Tensor) for tensor in given):
            raise TypeError(f"{type(self).__name__} takes {self.operands} tensors")
        shape = self.result(*(tensor.shape for tensor in given))
        return Tensor(shape, self.compute(*given))


class Rescaling(Layer):
    """A layer whose sums become elements: ``floor((sum + bias) * scale + 1/2)``, cut to ``low`` and ``high``.

    Attributes:
        bias: int64 of each channel.
        multiplier: int64 of each channel: the scale times 2^32, without fraction, so that 1 / taps is not too much.
        limit: the greatest multiplier's size.
        low: least element.
        high: greatest element.
    """

    def __init__(self, taps: int, channels: int, scale: Any, bias: Any, low: int, high: int) -> None:
        """``taps``: products in a sum. ``scale`` and ``bias``: a number, or one for each channel."""
        self.multiplier = np.broadcast_to(np.trunc(np.asarray(scale, np.float64) * ONE), channels).astype(np.int64)
        if np.asarray(bias).dtype.kind not in "iu":
            raise ValueError("a bias is an integer, in the units of the sum")
        self.bias = np.broadcast_to(np.asarray(bias, np.int64), channels).copy()
        self.low, self.high = int(low), int(high)
        self.limit = max(1, int(np.abs(self.multiplier).max()))
        if self.limit >= 1 << 31 or taps * self.limit > ONE:
            raise ValueError(f"a sum of {taps} products has a scale of at most 1 / {taps}, and below 1 / 2: give constants more digits")
        scaled = [abs(int(b) * int(m)) for b, m in zip(self.bias, self.multiplier, strict=True)]
        if np.abs(self.bias).max() >= 1 << 48 or max(scaled) > 1 << 61:
            raise ValueError("a bias is below 2^48, and times its scale at most 2^29")
        if not INT16[0] <= self.low <= self.high <= INT16[1]:
            raise ValueError("low and high are from -32768 to 32767, low first")

    def rescaled(self, sums: Any) -> Any:
        """Elements of sums (blocks, channels, 8), in 16 bits."""
        whole = ((sums + self.bias[:, None]) * self.multiplier[:, None] + (ONE >> 1)) >> 32
        io.note_cuts(int(np.count_nonzero(whole > self.high)), int(np.count_nonzero(whole < self.low)))
        return np.clip(whole, self.low, self.high).astype(np.int16).reshape(-1, LANES)


class Linear(Rescaling):
    """Products with a constant matrix: of ``weights @ x + bias`` times ``scale``, channel by channel and at every position."""

    def __init__(self, weights: Any, scale: Any, bias: Any = 0, low: int = INT16[0], high: int = INT16[1]) -> None:
        """``weights``: integers of 16 bits, (channels, channels of x).

        Args:
            weights: the matrix.
            scale: what sums are multiplied by, a number or one for each channel; at most 1 / (channels of x).
            bias: integer that is added before, a number or one for each channel.
            low: least element of the result; 0 makes a ReLU of it.
            high: greatest element.

        Raises:
            ValueError: a number is outside what can be proven.
        """
        matrix = np.asarray(weights)
        if matrix.ndim != 2 or matrix.size == 0 or matrix.dtype.kind not in "iu" or np.any((matrix < INT16[0]) | (matrix > INT16[1])):
            raise ValueError("weights are a matrix of integers from -32768 to 32767")
        counts(matrix.shape[:1])
        self.weights = matrix.astype(np.int16)
        super().__init__(matrix.shape[1], matrix.shape[0], scale, bias, low, high)

    def result(self, *shapes: Shape) -> Shape:
        """The shape of the result."""
        [shape] = shapes
        if shape[0] != self.weights.shape[1]:
            raise ValueError(f"{self.weights.shape[1]} channels are wanted, and there are {shape[0]}")
        return (self.weights.shape[0], *shape[1:])

    def compute(self, *tensors: Tensor) -> Any:
        """The vectors of the result."""
        [x] = tensors
        return self.rescaled(self.weights.astype(np.int64) @ x.vectors.reshape(-1, self.weights.shape[1], LANES).astype(np.int64))


class Matmul(Rescaling):
    """The product of two tensors: ``w.T @ x`` times ``scale``, x of (taps, positions) and w of (taps, channels)."""

    operands = 2

    def __init__(self, scale: float, bias: int = 0, low: int = INT16[0], high: int = INT16[1]) -> None:
        """Called with x and w, the result has w's positions for channels, a multiple of 8, and x's positions.

        Args:
            scale: what sums are multiplied by; at most 1 / taps.
            bias: integer that is added before.
            low: least element of the result.
            high: greatest element.

        Raises:
            ValueError: a number is outside what can be proven.
        """
        super().__init__(1, 1, scale, bias, low, high)

    def result(self, *shapes: Shape) -> Shape:
        """The shape of the result."""
        x, w = shapes
        if x[0] != w[0] or len(w) != 2 or w[1] % LANES:
            raise ValueError(f"shapes (taps, positions) and (taps, a multiple of {LANES}) are wanted, and there are {x} and {w}")
        if x[0] * self.limit > ONE:
            raise ValueError(f"a sum of {x[0]} products has a scale of at most 1 / {x[0]}")
        return (w[1], *x[1:])

    def compute(self, *tensors: Tensor) -> Any:
        """The vectors of the result."""
        x, w = tensors
        taps = x.shape[0]
        return self.rescaled(_elements(w.vectors, taps).T.astype(np.int64) @ x.vectors.reshape(-1, taps, LANES).astype(np.int64))


class _Elementwise(Rescaling):
    """A layer of two tensors of one shape."""

    operands = 2

    def __init__(self, scale: float, bias: int, low: int, high: int) -> None:
        super().__init__(2, 1, scale, bias, low, high)

    def result(self, *shapes: Shape) -> Shape:
        """The shape of the result."""
        if shapes[0] != shapes[1]:
            raise ValueError(f"tensors of one shape are wanted, and there are {shapes[0]} and {shapes[1]}")
        return shapes[0]


class Sum(_Elementwise):
    """``(x * first + y * second + bias) * scale``, element by element."""

    def __init__(self, scale: float, first: int = 1, second: int = 1, bias: int = 0, low: int = INT16[0], high: int = INT16[1]) -> None:
        """``scale`` is below 1 / 2: x + y is ``Sum(1 / 4, first=4, second=4)``.

        Args:
            scale: what sums are multiplied by.
            first: factor of x, 16 bits.
            second: factor of y, 16 bits.
            bias: integer that is added before.
            low: least element of the result.
            high: greatest element.

        Raises:
            ValueError: a number is outside what can be proven.
        """
        if not all(INT16[0] <= factor <= INT16[1] for factor in (first, second)):
            raise ValueError("factors are from -32768 to 32767")
        self.first, self.second = int(first), int(second)
        super().__init__(scale, bias, low, high)

    def compute(self, *tensors: Tensor) -> Any:
        """The vectors of the result."""
        x, y = (tensor.vectors.astype(np.int64) for tensor in tensors)
        return self.rescaled((self.first * x + self.second * y)[:, None])


class Product(_Elementwise):
    """``(x * y + bias) * scale``, element by element."""

    def __init__(self, scale: float, bias: int = 0, low: int = INT16[0], high: int = INT16[1]) -> None:
        """``scale`` is below 1 / 2.

        Args:
            scale: what products are multiplied by.
            bias: integer that is added before.
            low: least element of the result.
            high: greatest element.

        Raises:
            ValueError: a number is outside what can be proven.
        """
        super().__init__(scale, bias, low, high)

    def compute(self, *tensors: Tensor) -> Any:
        """The vectors of the result."""
        x, y = (tensor.vectors.astype(np.int64) for tensor in tensors)
        return self.rescaled((x * y)[:, None])


class Gather(Layer):
    """Elements by constant places: unfolded windows of a convolution, other shapes and orders, padding."""

    def __init__(self, places: Any) -> None:
        """``places``: integers in the shape of the result: c * positions + p for an element of x, -1 for the number 0."""
        self.places = np.asarray(places, np.int64)
        self.shape = tuple(int(length) for length in self.places.shape)
        counts(self.shape)
        if self.places.min() < -1:
            raise ValueError("places are those of elements, or -1 for zero")

    def result(self, *shapes: Shape) -> Shape:
        """The shape of the result."""
        size = int(np.prod(shapes[0]))
        if self.places.max() >= size:
            raise ValueError(f"place {self.places.max()} of a tensor of {size} elements")
        return self.shape

    def compute(self, *tensors: Tensor) -> Any:
        """The vectors of the result."""
        elements = tensors[0].numbers().ravel()
        chosen = np.where(self.places < 0, 0, elements[np.maximum(self.places, 0)])
        return _vectors(chosen.reshape(counts(self.shape)).astype(np.int16))


class Maximum(Layer):
    """The greatest of each so many channels in a row, at every position: pools, behind a :class:`Gather`."""

    def __init__(self, channels: int) -> None:
        """``channels``: how many of them become one."""
        if channels < 1:
            raise ValueError("a maximum of no channels")
        self.channels = int(channels)

    def result(self, *shapes: Shape) -> Shape:
        """The shape of the result."""
        if shapes[0][0] % self.channels:
            raise ValueError(f"{shapes[0][0]} channels cannot be compared by {self.channels}")
        return (shapes[0][0] // self.channels, *shapes[0][1:])

    def compute(self, *tensors: Tensor) -> Any:
        """The vectors of the result."""
        return tensors[0].vectors.reshape(-1, self.channels, LANES).max(axis=1)


class Function(Layer):
    """A function of one element, by a table of all of them."""

    def __init__(self, values: Any) -> None:
        """``values``: 65,536 integers of 16 bits, that of -32768 first."""
        table = np.asarray(values)
        if table.shape != (1 << 16,) or table.dtype.kind not in "iu" or np.any((table < INT16[0]) | (table > INT16[1])):
            raise ValueError("a function has 65536 values from -32768 to 32767, those for np.arange(-32768, 32768)")
        self.values = table.astype(np.int16)

    def result(self, *shapes: Shape) -> Shape:
        """The shape of the result."""
        return shapes[0]

    def compute(self, *tensors: Tensor) -> Any:
        """The vectors of the result."""
        return self.values[tensors[0].vectors.astype(np.int64) + (1 << 15)]
