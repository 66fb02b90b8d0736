"""Choice of elements by computed positions, changes at such positions, and the largest or smallest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zkvm.ml import float32
from zkvm.ml.arithmetic import IntArray, Overflow
from zkvm.ml.code import CodeWriter
from zkvm.ml.float_functions import at_least, at_most
from zkvm.ml.ir import Kind, Operation
from zkvm.ml.operations.integers import Fit

OUTSIDE = "a position is outside its axis"


def checked_positions(name: str, positions: IntArray, extent: int | IntArray) -> IntArray:
    """Positions of an axis; negative ones count from its end.

    Raises:
        Overflow: one is outside.
    """
    result = np.where(positions < 0, positions + extent, positions)
    if ((result < 0) | (result >= extent)).any():
        raise Overflow(name, OUTSIDE)
    return result


@dataclass(eq=False)
class Offsets(Operation):
    """Rows of positions, one for each of some axes, as the sums of ``strides`` times them; a position outside its axis ends the run."""

    strides: tuple[int, ...]
    extents: tuple[int, ...]

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(-1, len(self.strides))
        places = checked_positions(self.name, rows, np.array(self.extents)) @ np.array(self.strides)
        return np.asarray(places, np.int64).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        positions, count = code.pointer(self.inputs[0]), len(self.strides)
        terms = (
            f"whole_position(row[{axis}], {extent}, {code.text(self.name)}) * {stride}"
            for axis, (stride, extent) in enumerate(zip(self.strides, self.extents, strict=True))
        )
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    const int32_t *row = {positions} + i * {count};")
        code.line(f"    ({code.pointer(self.output)})[i] = {' + '.join(terms)};")
        code.line("}")


@dataclass(eq=False)
class Lookup(Operation):
    """output[i] = data[base[i] + stride * p], p = the position input[which[i]]; negative positions count from the end of ``extent``.

    A position outside ends the run.
    """

    base: IntArray
    which: IntArray
    stride: int
    extent: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        positions = checked_positions(self.name, inputs[1].reshape(-1)[self.which], self.extent)
        return np.asarray(inputs[0].reshape(-1)[self.base + self.stride * positions]).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        base = code.constant(self.base, private=False, label="index")
        which = code.constant(self.which, private=False, label="index")
        data, positions = (code.pointer(value) for value in self.inputs)
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int32_t position = whole_position(({positions})[{which}[i]], {self.extent}, {code.text(self.name)});")
        code.line(f"    ({code.pointer(self.output)})[i] = ({data})[{base}[i] + {self.stride} * position];")
        code.line("}")


CHANGES: dict[str, Callable[[IntArray, IntArray], IntArray]] = {
    "none": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "max": np.maximum,
    "min": np.minimum,
}
"""What becomes of an element, from what it was and the update."""
FLOAT_CHANGES: dict[str, Callable[[IntArray, IntArray], IntArray]] = {
    "none": lambda old, new: new,
    "add": float32.add,
    "mul": float32.mul,
    "max": lambda old, new: at_least(new, old),
    "min": lambda old, new: at_most(new, old),
}
FLOAT_CHANGE_TEXTS = {"none": "b", "add": "f32_add(a, b)", "mul": "f32_mul(a, b)", "max": "f32_at_least(b, a)", "min": "f32_at_most(b, a)"}
CHANGE_TEXTS = {
    "none": "b",
    "add": "(int32_t)((uint32_t)a + (uint32_t)b)",
    "mul": "(int32_t)((uint32_t)a * (uint32_t)b)",
    "max": "choose(a > b, a, b)",
    "min": "choose(a < b, a, b)",
}


@dataclass(eq=False)
class Scatter(Operation):
    """A copy of the data in which element base[i] + stride * p, p = the position input[which[i]], is changed by update i, in order.

    Its inputs: data, positions, updates. A position outside ``extent`` ends the run; so does an integer that does not fit.
    """

    base: IntArray
    which: IntArray
    stride: int
    extent: int
    change: str
    fit: Fit | None = None

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        data, updates = inputs[0].reshape(-1).copy(), inputs[2].reshape(-1)
        positions = checked_positions(self.name, inputs[1].reshape(-1)[self.which], self.extent)
        changes = FLOAT_CHANGES if self.output.kind is Kind.FLOAT else CHANGES
        for place, update in zip(self.base + self.stride * positions, updates, strict=True):
            result = changes[self.change](np.asarray(data[place]), np.asarray(update))
            data[place] = result if self.fit is None else self.fit.apply(self.name, result)
        return data.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        base = code.constant(self.base, private=False, label="index")
        which = code.constant(self.which, private=False, label="index")
        data, positions, updates = (code.pointer(value) for value in self.inputs)
        word = (FLOAT_CHANGE_TEXTS if self.output.kind is Kind.FLOAT else CHANGE_TEXTS)[self.change]
        if self.fit is not None:
            wide = f"(int64_t)a {'+' if self.change == 'add' else '*'} b" if self.change in ("add", "mul") else word
            word = self.fit.c(code, self.name, word, wide)
        code.line(f"int32_t *target = {code.pointer(self.output)};")
        code.line(f"for (int i = 0; i < {self.output.size}; i++) target[i] = ({data})[i];")
        code.line(f"for (int i = 0; i < {len(self.base)}; i++) {{")
        code.line(f"    int32_t position = whole_position(({positions})[{which}[i]], {self.extent}, {code.text(self.name)});")
        code.line(f"    int32_t place = {base}[i] + {self.stride} * position, a = target[place], b = ({updates})[i];")
        code.line(f"    target[place] = {word};")
        code.line("    (void)a;")
        code.line("}")


@dataclass(eq=False)
class TopK(Operation):
    """The k largest (or smallest) of each row, in order, or their positions; of equals the first comes first."""

    length: int
    count: int
    largest: bool
    positions: bool

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 12 * self.count * self.inputs[0].size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(-1, self.length)
        order = np.argsort(-rows if self.largest else rows, axis=1, kind="stable")[:, : self.count]
        return (order if self.positions else np.take_along_axis(rows, order, axis=1)).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        count = self.inputs[0].size // self.length
        better = ">" if self.largest else "<"
        code.line(f"static uint8_t taken[{self.length}];")
        code.line(f"for (int r = 0; r < {count}; r++) {{")
        code.line(f"    const int32_t *row = {code.pointer(self.inputs[0])} + r * {self.length};")
        code.line(f"    for (int i = 0; i < {self.length}; i++) taken[i] = 0;")
        code.line(f"    for (int k = 0; k < {self.count}; k++) {{")
        code.line("        int32_t best = -1, found = 0;")
        code.line(f"        for (int i = 0; i < {self.length}; i++) {{")
        code.line(f"            int32_t better = (taken[i] == 0) & ((best < 0) | (row[i] {better} found));")
        code.line("            found = choose(better, row[i], found);")
        code.line("            best = choose(better, i, best);")
        code.line("        }")
        code.line("        taken[best] = 1;")
        result = "best" if self.positions else "found"
        code.line(f"        ({code.pointer(self.output)})[r * {self.count} + k] = {result};")
        code.line("    }")
        code.line("}")
