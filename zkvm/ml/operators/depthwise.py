"""Convolutions of single channels as sums over windows: how the lines of images lie for them.

A *plane* of a channel are the elements that some taps read at all positions: of every stride-th line and column, from one of each on. Its
lines follow one another, all of one length, so a tap of another line is so many blocks further, and one of another column so many
elements. Behind the end of a line of the result there are sums that nobody reads, up to the next line. A line has whole blocks, or, where
windows have more taps than they need, one element more or less: then the weights of each row of a window move on or back with the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.layout import LANES
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.depthwise import PAIR_BLOCKS, WINDOW_CELLS, WINDOW_PRODUCTS, WINDOW_ROWS, WINDOW_TAPS, Windows
from zkvm.ml.operations.rearranging import GATHER_CELLS
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
    image, leads = _image(lines, columns, shape[0])
    arrangement = _arranged(image, leads)
    weights = np.zeros((len(kernel), arrangement.windows.count * WINDOW_PRODUCTS))
    weights[:, _places(image, columns, arrangement)] = kernel.reshape(len(kernel), -1)
    channel = np.arange(len(kernel))[:, None] // (len(kernel) // shape[1])
    elements = _elements(image, columns, arrangement, prod(shape[1:]))
    index = np.where(elements < 0, -1, elements + channel * prod(shape[2:]))
    kept = np.arange(lines.positions)[:, None] * image.pitch + np.arange(columns.positions)
    kept = np.arange(shape[0])[:, None] * arrangement.size * LANES + kept.reshape(-1)
    windows = Windowed(arrangement.windows, image.blocks + (shape[0] - 1) * arrangement.size, kept)
    return Layer(plain.source, plain.result, weights, plain.bias, True, index, plain.products, windowed=windows, small=plain.small)


@dataclass(frozen=True, slots=True)
class _Plane:
    """Elements that some taps read: of which lines and columns, and how far its first line is from its beginning."""

    lines: Part
    columns: Part
    lead: int = 0


@dataclass(frozen=True, slots=True)
class _Image:
    """What is the same for all windows of an arrangement.

    Attributes:
        lines: their axis. read: of each of its taps the line that it reads. parts: of columns.
        pitch: elements of a line. blocks: of a channel of one sample's result. samples: how many.
    """

    lines: _Axis
    read: list[Part]
    parts: list[Part]
    pitch: int
    blocks: int
    samples: int

    @property
    def step(self) -> int:
        """Elements of a plane from one tap's line to that of the next tap that reads the plane."""
        return self.lines.dilation // gcd(self.lines.dilation, self.lines.stride) * self.pitch

    def size(self, last: int) -> int:
        """Blocks of a plane of one sample, whose last row of a window begins at this one: of several samples an even number, as the
        blocks of a result are."""
        size = last + self.blocks + 1
        return size + size % PAIR_BLOCKS if self.samples > 1 else size


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """How planes lie behind one another, all of one size, and where each tap finds its elements and its weight.

    Attributes:
        size: of a plane of one sample, in blocks. Samples follow one another.
        planes: of a channel.
        windows: of a channel.
        strips: for each tap along lines and each part of columns: window, row of it, and elements of it before those of the first tap.
    """

    size: int
    planes: list[_Plane]
    windows: Windows
    strips: list[list[tuple[int, int, int]]]

    @property
    def gathered(self) -> int:
        """Cells of a block of all planes, as often as a window's are counted: twice."""
        return PAIR_BLOCKS * GATHER_CELLS * len(self.planes)


def _image(lines: _Axis, columns: _Axis, samples: int) -> tuple[_Image, dict[int, int]]:
    """What windows have to do, and how far the first line of each phase is from its plane's beginning."""
    parts = sorted({_column_part(columns, tap)[0] for tap in range(columns.taps)})
    read = [lines.of_tap(tap) for tap in range(lines.taps)]
    pitch = _line(columns, parts)
    leads = dict.fromkeys((phase for phase, _ in read), 0)
    if lines.taps <= WINDOW_ROWS:
        room = WINDOW_TAPS - 1 - max(_column_part(columns, tap)[1] for tap in range(columns.taps))
        pitch, leads = _least_pitch(read, pitch, room)
    else:
        pitch += -pitch % LANES
    blocks = -(-((lines.positions - 1) * pitch + columns.positions) // LANES)
    return _Image(lines, read, parts, pitch, blocks + blocks % PAIR_BLOCKS, samples), leads


def _least_pitch(read: list[Part], least: int, room: int) -> tuple[int, dict[int, int]]:
    """How long a line is, at least so many elements, and where each phase's first one begins: such that all rows of a window begin with a
    block or, at most, so many elements behind. Lines of whole blocks always do."""
    while True:
        leads = {}
        for phase, _ in read:
            starts = [line * least for other, line in read if other == phase]
            found = (lead for lead in range(LANES) if all((lead + start) % LANES <= room for start in starts))
            leads[phase] = next(found, -1)
        if min(leads.values()) >= 0:
            return least, leads
        least += 1


def _arranged(image: _Image, leads: dict[int, int]) -> _Arrangement:
    """The arrangement that costs least."""
    phases = list(leads)
    if len(image.read) <= WINDOW_ROWS:
        return _of_few_lines(image, phases, leads)
    possible = [_of_own_planes(image)]
    if len(phases) == 1:
        possible += [_of_one_plane(image)] if len(image.parts) == 1 else []
        possible += [_of_own_lines(image)] if len(image.parts) <= WINDOW_ROWS else []
    return min(possible, key=lambda found: image.blocks * found.windows.count * WINDOW_CELLS + found.size * found.gathered)


def _of_few_lines(image: _Image, phases: list[int], leads: dict[int, int]) -> _Arrangement:
    """A window has the rows of all taps, wherever they are."""
    parts = len(image.parts)
    begun = [divmod(leads[phase] + line * image.pitch, LANES) for phase, line in image.read]
    size = image.size(max(start for start, _ in begun))
    plane = image.samples * size
    starts = [phases.index(phase) * parts * plane + start for (phase, _), (start, _) in zip(image.read, begun, strict=True)]
    starts += [0] * (WINDOW_ROWS - len(starts))
    planes = [_Plane((phase, 0), part, leads[phase]) for phase in phases for part in image.parts]
    strips = [[(part, row, shift) for part in range(parts)] for row, (_, shift) in enumerate(begun)]
    return _Arrangement(size, planes, Windows(parts, plane if parts > 1 else 0, starts[1], starts[2]), strips)


def _of_one_plane(image: _Image) -> _Arrangement:
    """Windows follow one another in one plane."""
    step, count = image.step // LANES, -(-len(image.read) // WINDOW_ROWS)
    strips = [[(*divmod(tap, WINDOW_ROWS), 0)] for tap in range(len(image.read))]
    windows = Windows(count, WINDOW_ROWS * step, step, 2 * step)
    return _Arrangement(image.size((WINDOW_ROWS * count - 1) * step), [_Plane((0, 0), image.parts[0])], windows, strips)


def _of_own_lines(image: _Image) -> _Arrangement:
    """Each line has a window, whose rows are the parts of columns."""
    step, taps, parts = image.step // LANES, len(image.read), len(image.parts)
    size = image.size((taps - 1) * step)
    plane = image.samples * size
    windows = Windows(taps, step, plane if parts > 1 else 0, 2 * plane if parts > 2 else 0)
    strips = [[(tap, part, 0) for part in range(parts)] for tap in range(taps)]
    return _Arrangement(size, [_Plane((0, 0), part) for part in image.parts], windows, strips)


def _of_own_planes(image: _Image) -> _Arrangement:
    """Each window has a plane of its own."""
    parts, first, strips = len(image.parts), list[Part](), []
    step = image.step // LANES
    for phase, line in image.read:
        before = [number for number, (other, _) in enumerate(first) if other == phase]
        row = (line - first[before[-1]][1]) * image.pitch // image.step if before else WINDOW_ROWS
        if row == WINDOW_ROWS:
            first.append((phase, line))
            before, row = [len(first) - 1], 0
        strips.append([(before[-1] * parts + part, row, 0) for part in range(parts)])
    size = image.size((WINDOW_ROWS - 1) * step)
    windows = Windows(len(first) * parts, image.samples * size, step, 2 * step)
    return _Arrangement(size, [_Plane(lines, part) for lines in first for part in image.parts], windows, strips)


def _places(image: _Image, columns: _Axis, arrangement: _Arrangement) -> IntArray:
    """(taps,) Of the weights among those of the windows."""
    found = []
    for strips in arrangement.strips:
        for part, within in (_column_part(columns, tap) for tap in range(columns.taps)):
            window, row, shift = strips[image.parts.index(part)]
            found.append((window * WINDOW_ROWS + row) * WINDOW_TAPS + shift + within)
    return np.array(found)


def _column_part(columns: _Axis, tap: int) -> tuple[Part, int]:
    """The columns that a tap's window reads, and how far from their beginning the tap does."""
    phase, first = columns.of_tap(tap)
    return (phase, first - first % WINDOW_TAPS), first % WINDOW_TAPS


def _line(columns: _Axis, parts: list[Part]) -> int:
    """Elements of a line, at least. Zeros at its end may be those at the beginning of the next one."""
    beyond = max(_column_part(columns, tap)[1] for tap in range(columns.taps))
    count = columns.positions + beyond
    zero = np.all([columns.elements(part, count) < 0 for part in parts], axis=0)
    shared = max(number for number in range(beyond + 1) if zero[:number].all() and zero[count - number :].all())
    return count - shared


def _elements(image: _Image, columns: _Axis, arrangement: _Arrangement, size: int) -> IntArray:
    """For each position of all planes the element of a channel, -1 outside. ``size``: elements of a sample."""
    made = []
    beyond = max(_column_part(columns, tap)[1] for tap in range(columns.taps))
    for plane in arrangement.planes:
        line, place = np.divmod(np.arange(arrangement.size * LANES) - plane.lead, image.pitch)
        column = columns.elements(plane.columns, image.pitch)
        column[columns.positions + beyond :] = -1  # nobody reads them
        found, column = image.lines.elements(plane.lines, int(line.max()) + 1)[line], column[place]
        elements = np.where((line < 0) | (found < 0) | (column < 0), -1, found * columns.size + column)
        made += [np.where(elements < 0, -1, elements + sample * size) for sample in range(image.samples)]
    return np.concatenate(made)
