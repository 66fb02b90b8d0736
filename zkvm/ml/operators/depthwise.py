"""Convolutions of single channels as sums over windows: how the lines of images lie for them.

A *plane* of a channel are the elements that some taps read at all positions: of every stride-th line and column, from one of each on. Its
lines begin with whole blocks, so a tap of another line is so many blocks further, and one of another column so many elements. Behind the
end of a line of the result there are sums that nobody reads, up to the next line.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.layout import LANES
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.depthwise import PAIR_BLOCKS, WINDOW_PRODUCTS, WINDOW_ROWS, WINDOW_TAPS, Windows
from zkvm.ml.operators.common import spatial_pads
from zkvm.ml.operators.layers import Layer, Windowed

Part = tuple[int, int]
"""The columns of a plane: of which remainder by the stride, from which one on, in windows. Its lines: from which one on."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """A convolution along one axis: elements, taps, padding at the beginning, results."""

    size: int
    taps: int
    stride: int
    dilation: int
    begin: int
    positions: int

    def of_tap(self, tap: int) -> Part:
        """Which elements a tap reads: of which remainder, and from which one of these on."""
        return tap * self.dilation % self.stride, tap * self.dilation // self.stride

    def elements(self, part: Part, count: int) -> IntArray:
        """The first elements of a part, as those of the axis; -1 outside."""
        found = (np.arange(count) + part[1]) * self.stride + part[0] - self.begin
        return np.where((found >= 0) & (found < self.size), found, -1)


def windowed_of(context: Context, node: Node, plain: Layer) -> Layer | None:
    """A convolution of single channels as a layer with windows; None if it is none, or in three dimensions.

    Args:
        context: of the lowering.
        node: any node.
        plain: the layer that it is, whose taps are those of all channels.
    """
    if node.operator != "Conv":
        return None
    kernel = context.required_constant(node, 1).astype(np.float64)
    rank = kernel.ndim - 2
    if kernel.shape[1] != 1 or rank not in (1, 2):
        return None
    shape, positions = context.info(node.inputs[0]).shape, context.info(node.outputs[0]).shape[2:]
    strides, dilations = (list(node.attributes.get(name, [1] * rank)) for name in ("strides", "dilations"))
    pads = spatial_pads(node, shape[2:], kernel.shape[2:], strides, dilations)
    axes = [_Axis(*numbers) for numbers in zip(shape[2:], kernel.shape[2:], strides, dilations, pads[:rank], positions, strict=True)]
    lines, columns = [_Axis(1, 1, 1, 1, 0, 1), *axes][-2:]
    arrangement = _arranged(lines, columns, shape[0])
    weights = np.zeros((len(kernel), arrangement.windows.count * WINDOW_PRODUCTS))
    weights[:, arrangement.places] = kernel.reshape(len(kernel), -1)
    channel = np.arange(len(kernel))[:, None] // (len(kernel) // shape[1])
    elements = _elements(lines, columns, arrangement, (shape[0], prod(shape[1:])))
    index = np.where(elements < 0, -1, elements + channel * prod(shape[2:]))
    kept = np.arange(lines.positions)[:, None] * arrangement.pitch * LANES + np.arange(columns.positions)
    kept = np.arange(shape[0])[:, None] * arrangement.size * LANES + kept.reshape(-1)
    windows = Windowed(arrangement.windows, arrangement.blocks, kept)
    return Layer(plain.source, plain.result, weights, plain.bias, True, index, plain.products, windowed=windows)


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """How planes lie behind one another, all of one size, and where each tap finds its elements and its weight.

    Attributes:
        pitch: blocks of a line. blocks: of a channel of the result. size: of a plane of one sample, in blocks. Samples follow one another.
        planes: lines and columns of each.
        windows: of a channel.
        places: (taps,) of the weights among those of the windows.
    """

    pitch: int
    blocks: int
    size: int
    planes: list[tuple[Part, Part]]
    windows: Windows
    places: IntArray


def _arranged(lines: _Axis, columns: _Axis, samples: int) -> _Arrangement:
    parts = sorted({_column_part(columns, tap)[0] for tap in range(columns.taps)})
    pitch = _line(columns, parts) // LANES
    blocks = (lines.positions - 1) * pitch + -(-columns.positions // LANES)
    blocks += blocks % PAIR_BLOCKS
    read = [lines.of_tap(tap) for tap in range(lines.taps)]
    step = lines.dilation // gcd(lines.dilation, lines.stride)  # lines of a plane from one tap to the next that reads it
    phases = list(dict.fromkeys(phase for phase, _ in read))
    if lines.taps <= WINDOW_ROWS:  # a window has all rows, wherever they are
        rows = [(0, tap) for tap in range(lines.taps)]
        line_parts = [(phase, 0) for phase in phases]
        size = _of_sample(max(line for _, line in read) * pitch + blocks + 1, samples)
        plane = samples * size
        starts = [phases.index(phase) * len(parts) * plane + line * pitch for phase, line in read] + [0] * (WINDOW_ROWS - lines.taps)
        windows = Windows(len(parts), plane if len(parts) > 1 else 0, starts[1], starts[2])
    elif len(parts) == len(phases) == 1:  # windows follow one another in one plane
        rows = [divmod(tap, WINDOW_ROWS) for tap in range(lines.taps)]
        line_parts = [(0, 0)]
        count = rows[-1][0] + 1
        size = _of_sample((WINDOW_ROWS * count - 1) * step * pitch + blocks + 1, samples)
        windows = Windows(count, WINDOW_ROWS * step * pitch, step * pitch, 2 * step * pitch)
    else:  # each window has planes of its own
        line_parts, rows = [], []
        for phase, line in read:
            before = [number for number, (other, _) in enumerate(line_parts) if other == phase]
            row = (line - line_parts[before[-1]][1]) // step if before else WINDOW_ROWS
            if row == WINDOW_ROWS:
                line_parts.append((phase, line))
                before, row = [len(line_parts) - 1], 0
            rows.append((before[-1] * len(parts), row))
        size = _of_sample((WINDOW_ROWS - 1) * step * pitch + blocks + 1, samples)
        windows = Windows(len(line_parts) * len(parts), samples * size, step * pitch, 2 * step * pitch)
    places = [
        ((window + parts.index(part)) * WINDOW_ROWS + row) * WINDOW_TAPS + within
        for window, row in rows
        for part, within in (_column_part(columns, tap) for tap in range(columns.taps))
    ]
    blocks += (samples - 1) * size
    return _Arrangement(pitch, blocks, size, [(line, part) for line in line_parts for part in parts], windows, np.array(places))


def _of_sample(size: int, samples: int) -> int:
    """Blocks of a plane of one sample: of several an even number, as the blocks of a result are."""
    return size + size % PAIR_BLOCKS if samples > 1 else size


def _column_part(columns: _Axis, tap: int) -> tuple[Part, int]:
    """The columns that a tap's window reads, and how far from their beginning the tap does."""
    phase, first = columns.of_tap(tap)
    return (phase, first - first % WINDOW_TAPS), first % WINDOW_TAPS


def _line(columns: _Axis, parts: list[Part]) -> int:
    """Elements of a line, a multiple of 8. Zeros at its end may be those at the beginning of the next one."""
    beyond = max(_column_part(columns, tap)[1] for tap in range(columns.taps))
    count = columns.positions + beyond
    zero = np.all([columns.elements(part, count) < 0 for part in parts], axis=0)
    shared = max(number for number in range(beyond + 1) if zero[:number].all() and zero[count - number :].all())
    return -(-(count - shared) // LANES) * LANES


def _elements(lines: _Axis, columns: _Axis, arrangement: _Arrangement, samples: tuple[int, int]) -> IntArray:
    """For each position of all planes the element of a channel, -1 outside. ``samples``: how many, and the elements of one."""
    width, made = arrangement.pitch * LANES, []
    beyond = max(_column_part(columns, tap)[1] for tap in range(columns.taps))
    for line_part, part in arrangement.planes:
        line = lines.elements(line_part, -(-arrangement.size // arrangement.pitch))[:, None]
        column = columns.elements(part, width)
        column[columns.positions + beyond :] = -1  # nobody reads them
        plane = np.where((line < 0) | (column < 0), -1, line * columns.size + column).reshape(-1)[: arrangement.size * LANES]
        made += [np.where(plane < 0, -1, plane + sample * samples[1]) for sample in range(samples[0])]
    return np.concatenate(made)
