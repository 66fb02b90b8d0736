"""Where values are: in RAM, in a tensor, or nowhere yet as elements of tensors in another order. Brings them to where they are read.

A movement of tensors is not done when it is lowered: who reads its result says in which layout, and one gather serves a chain of
movements, im2col included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.ir import Operation, View
from zkvm.ml.layout import LANES, Layout, flat_layout
from zkvm.ml.operations.rearranging import TensorConstant, TensorMove, is_pure, sources_of
from zkvm.ml.operations.tensor_private import TensorPrivate
from zkvm.ml.operations.tensors import TensorExport, TensorLoad, layout_of
from zkvm.ml.value import Moved, Value


class InMemory(Exception):
    """An input that the guest would make a tensor as it comes is wanted in RAM, too: names it."""


@dataclass(eq=False)
class Reordered(View):
    """The same tensor, under a layout in which its elements have another order, and elements that are always 0 are any zeros."""

    index: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return np.append(inputs[0].reshape(-1), 0)[self.index].reshape(self.output.shape)


@dataclass
class Residence:
    """What was moved where already.

    Attributes:
        add: appends an operation to the graph; returns its output.
        like: a new value of this shape, with bounds, scale and kind of another one, in RAM.
        private: whether constants are, but for those that say so.
    """

    add: Callable[[Operation], Value]
    like: Callable[[tuple[int, ...], Value], Value]
    private: bool = False
    _words: dict[tuple[object, ...], Value] = field(default_factory=dict)
    _loaded: dict[int, tuple[Value, Value]] = field(default_factory=dict)
    _gathered: dict[tuple[object, ...], Value] = field(default_factory=dict)

    def moved(self, values: list[Value], index: IntArray) -> Value:
        """Elements of values in tensors laid end to end, -1 for zeros; of one scale, and of one origin, which is 0 if there are zeros."""
        parts = [_parts(value) for value in values]
        sources = list({id(source): source for part in parts for source in part.sources}.values())
        starts = dict(zip(map(id, sources), np.cumsum([0, *(source.size for source in sources)])[:-1].tolist(), strict=True))
        numbers = []
        for part in parts:
            own = np.concatenate([np.arange(source.size) + starts[id(source)] for source in part.sources])
            numbers.append(np.where(part.index < 0, -1, own[part.index]))
        pool = np.concatenate([*numbers, np.full(1, -1, np.int64)])
        result = self.like(index.shape, values[0])
        result.moved, result.origin = _trimmed(sources, pool[index.reshape(-1)]), values[0].origin
        result.lo, result.hi = min(value.lo for value in values), max(value.hi for value in values)
        if (index < 0).any():
            assert not result.origin
            result.lo, result.hi = min(result.lo, 0), max(result.hi, 0)
        return result

    def in_memory(self, value: Value) -> Value:
        """The value as words in RAM: exported if tensors hold it, whose integers must be its own."""
        if not value.resident:
            return value
        assert not value.origin
        key = _key(_parts(value), value)
        if key not in self._words:
            held = value
            if value.layout is None or not _in_order(value.layout):
                held = self.in_tensor(value, flat_layout(value.size))
            self._words[key] = self.add(TensorExport(value.name, (held,), self.like(value.shape, value)))
        words = self._words[key]
        return words if words.shape == value.shape else self._viewed(words, value)

    def _viewed(self, words: Value, value: Value) -> Value:
        result = self.like(value.shape, value)
        result.root = words
        return self.add(View(value.name, (words,), result))

    def in_tensor(self, value: Value, layout: Layout) -> Value:
        """The value as a tensor of this layout: itself, gathered, or loaded from RAM."""
        held = self.resident(value)
        if held.layout == layout:
            return held
        part = _parts(held)
        key = (*_key(part, value), layout)
        if key not in self._gathered:
            self._gathered[key] = self._gather(held, part, layout)
        found = self._gathered[key]
        return found if found.shape == value.shape else self._again(found, value)

    def _again(self, found: Value, value: Value) -> Value:
        result = self.like(value.shape, value)
        result.root, result.layout, result.origin = found, found.layout, found.origin
        return self.add(View(value.name, (found,), result))

    def resident(self, value: Value) -> Value:
        """The value in a tensor: itself, or loaded from RAM, or made of a constant."""
        if value.resident:
            return value
        if id(value) not in self._loaded:
            result = self.like(value.shape, value)
            if value.data is not None:
                result.layout = Layout(1, value.size)
                make = TensorPrivate if self.private and value.private else TensorConstant
                self.add(make(value.name, (), result, value.data))
            else:
                result.layout = flat_layout(value.size)
                self.add(TensorLoad(value.name, (value,), result))
            self._loaded[id(value)] = value, result
        return self._loaded[id(value)][1]

    def _gather(self, value: Value, part: Moved, layout: Layout) -> Value:
        part = self._merged(part, value, layout)
        result = self.like(value.shape, value)
        result.layout, result.origin = layout, value.origin
        source = part.sources[0]
        if len(part.sources) == 1 and layout_of(source).vectors == layout.vectors and _lies(source, part.index, layout):
            result.root = source
            return self.add(Reordered(value.name, (source,), result, part.index))
        return self.add(TensorMove(value.name, part.sources, result, part.index))

    def _merged(self, part: Moved, value: Value, layout: Layout) -> Moved:
        """The same elements of at most two tensors, such that no vector of the layout reads both."""
        sources, index = list(part.sources), part.index
        while len(sources) > 2 or not is_pure(sources_of(index, [source.size for source in sources], layout)):
            first, second = sources[:2]
            padding = -first.size % LANES
            together = np.concatenate([
                np.arange(first.size), np.full(padding, first.size - 1), first.size + np.arange(second.size)
            ])  # fmt: skip
            pool = self.like(together.shape, value)
            pool.layout, pool.origin = Layout(1, len(together)), value.origin
            pool.lo, pool.hi = min(pool.lo, first.lo, second.lo), max(pool.hi, first.hi, second.hi)
            self.add(TensorMove(value.name, (first, second), pool, together))
            sources, index = [pool, *sources[2:]], np.where(index >= first.size, index + padding, index)
        return Moved(tuple(sources), index)


def _owner(value: Value) -> Value:
    """The tensor of which a value is a view in the same order."""
    while value.root is not None and value.root.layout == value.layout:
        value = value.root
    return value


def owners(value: Value) -> tuple[Value, ...]:
    """The tensors whose elements a value has, that are no views."""
    return tuple(source.storage() for source in _parts(value).sources)


def _parts(value: Value) -> Moved:
    return value.moved or Moved((_owner(value),), np.arange(value.size))


def _lies(source: Value, index: IntArray, layout: Layout) -> bool:
    """Whether a tensor holds its elements of these numbers, and zeros for -1, where a layout of as many vectors has them."""
    held, cells = layout_of(source), layout.cells()
    zeros = np.zeros(held.vectors * LANES, np.bool_)
    if source.zeros is not None:
        zeros[held.cells()] = source.zeros
    return bool(np.where(index < 0, zeros[cells], held.cells()[index] == cells).all())


def _key(part: Moved, value: Value) -> tuple[object, ...]:
    """What says where integers come from, and what they stand for."""
    return (*map(id, part.sources), part.index.tobytes(), value.scale, value.kind)


def _trimmed(sources: list[Value], index: IntArray) -> Moved:
    """Without the sources that nobody reads."""
    starts = np.cumsum([0, *(source.size for source in sources)])
    used = [bool(((index >= start) & (index < end)).any()) for start, end in zip(starts[:-1], starts[1:], strict=True)]
    if not any(used):
        return Moved((sources[0],), index)
    shift, kept, dropped = np.zeros(int(starts[-1]) + 1, np.int64), [], 0
    for source, start, end, read in zip(sources, starts[:-1], starts[1:], used, strict=True):
        shift[start:end] = dropped
        if read:
            kept.append(source)
        else:
            dropped += source.size
    return Moved(tuple(kept), np.where(index < 0, -1, index - shift[index]))


def _in_order(layout: Layout) -> bool:
    """Whether the machine brings all elements to RAM as they are, and no others."""
    places = layout.places()
    return layout.vectors * layout.words == len(places) and bool((places == np.arange(len(places))).all())
