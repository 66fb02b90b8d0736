"""Choice of elements by computed positions, and of the largest or smallest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation


@dataclass(eq=False)
class Lookup(Operation):
    """output[i] = data[base[i] + stride * p], p = the position input[which[i]]; negative positions count from the end, all are cut."""

    base: IntArray
    which: IntArray
    stride: int
    extent: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        data, positions = inputs[0].reshape(-1), inputs[1].reshape(-1)[self.which]
        positions = np.clip(np.where(positions < 0, positions + self.extent, positions), 0, self.extent - 1)
        return np.asarray(data[self.base + self.stride * positions]).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        base = code.constant(self.base, private=False, label="index")
        which = code.constant(self.which, private=False, label="index")
        data, positions = (code.pointer(value) for value in self.inputs)
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int32_t position = ({positions})[{which}[i]];")
        code.line(f"    position += {self.extent} & (position >> 31);")
        code.line(f"    ({code.pointer(self.output)})[i] = ({data})[{base}[i] + {self.stride} * bounded(position, 0, {self.extent - 1})];")
        code.line("}")


@dataclass(eq=False)
class TopK(Operation):
    """The k largest (or smallest) of each row, in order, or their positions; of equals the first comes first."""

    length: int
    count: int
    largest: bool
    positions: bool

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
