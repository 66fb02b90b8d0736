"""Softmax and normalisation: functions of whole rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np

from zkvm.ml.arithmetic import IntArray, Rescale
from zkvm.ml.code import NO_RESULT, CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.operations.table import interpolate

STANDARD_BITS = 30


@dataclass(eq=False)
class Softmax(Operation):
    """y[i] = round(e[i] * units / sum e), e = table(max x - x[i]); rows of ``length``.

    Attributes:
        difference: makes differences of a secret scale those of the table, which everybody may know.
        floor: where elements were cut because they lie far below the rest; one that is not far below its own row is saturated.
    """

    length: int
    entries: IntArray
    reach: int
    bits: int
    units: int
    difference: Rescale | None = None
    floor: int | None = None

    def saturated(self, inputs: Sequence[IntArray], result: IntArray) -> int:
        """See :class:`Operation`."""
        if self.floor is None:
            return 0
        return int(((inputs[0].reshape(-1, self.length) == self.floor) & (self._differences(inputs[0]) < self.reach)).sum())

    def _differences(self, x: IntArray) -> IntArray:
        rows = x.reshape(-1, self.length)
        differences = rows.max(axis=1, keepdims=True) - rows
        return differences if self.difference is None else self.difference.apply(differences)

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        differences = self._differences(inputs[0])
        exponentials = interpolate(self.entries, differences, 0, self.reach, self.bits)
        total = exponentials.sum(axis=1, keepdims=True)
        result = (2 * exponentials * self.units + total) // (2 * total)
        return np.asarray(np.minimum(result, self.output.hi), np.int64).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        table = code.constant(self.entries, private=False, label="table")
        count = self.output.size // self.length
        code.line(f"for (int r = 0; r < {count}; r++) {{")
        source, target = (f"{code.pointer(value)} + r * {self.length}" for value in (self.inputs[0], self.output))
        code.line(f"    differences({source}, {target}, {self.length});")
        if self.difference is not None:
            code.line(f"    int32_t *y = {target};")
            code.line(f"    for (int i = 0; i < {self.length}; i++) y[i] = {code.rescaled(self.difference, 'y[i]')};")
        if self.floor is not None or code.private_weights:
            floor = code.number(NO_RESULT if self.floor is None else self.floor)
            code.line(f"    watch_floor({source}, {target}, {self.length}, {floor}, {self.reach});")
        code.line(f"    softmax({target}, {self.length}, {table}, {self.reach}, {self.bits}, {self.units}, {self.output.hi});")
        code.line("}")


@dataclass(eq=False)
class Normalize(Operation):
    """Rows to mean 0 and variance 1, times gain plus offset per element (or per row).

    With n the length: c = n x - sum x (n times the centred element), d = floor(sqrt(floor(sum c^2 / n) + epsilon)) (n times the
    standard deviation), r = floor(2^30 / d) and u = floor(c r / 2^15) is the normalised element in units of 2^-15. Then
    y = requantize(u * gain + offset) with the channel's integers. Without ``centred`` the mean is not subtracted.
    """

    length: int
    epsilon: int
    gains: IntArray
    offsets: IntArray
    per_row: bool
    centred: bool
    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(-1, self.length)
        centred = rows * self.length - (rows.sum(axis=1, keepdims=True) if self.centred else 0)
        squares = (centred * centred).sum(axis=1) // self.length + self.epsilon
        deviations = np.array([isqrt(int(square)) for square in squares], np.int64)[:, None]
        reciprocals = (1 << STANDARD_BITS) // np.maximum(deviations, 1)
        normal = np.clip((centred * reciprocals) >> 15, -self.rescaling_room, self.rescaling_room)
        repeats = len(rows) // len(self.gains) if self.per_row else 1
        gains = np.tile(self.gains, repeats)[:, None] if self.per_row else self.gains[None, :]
        offsets = np.tile(self.offsets, repeats)[:, None] if self.per_row else self.offsets[None, :]
        return self.rescaling.apply(normal * gains + offsets).reshape(self.output.shape)

    @property
    def rescaling_room(self) -> int:
        """Largest normalised element: sqrt(n) standard deviations, in units of 2^-15, and a little for rounding."""
        return (isqrt(self.length) + 2) << 15

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        gains, offsets = code.constant(self.gains, label="gain"), code.constant(self.offsets, label="offset")
        count = self.output.size // self.length
        source, target = code.pointer(self.inputs[0]), code.pointer(self.output)
        code.line(f"for (int r = 0; r < {count}; r++) {{")
        code.line(f"    const int32_t *x = {source} + r * {self.length};")
        code.line(f"    int32_t *y = {target} + r * {self.length};")
        code.line("    int32_t sum = 0;")
        if self.centred:
            code.line(f"    for (int i = 0; i < {self.length}; i++) sum += x[i];")
        epsilon = code.wide_number(self.epsilon)
        code.line(f"    int32_t reciprocal = normalizer(x, {self.length}, sum, {epsilon}, {self._root_digits(code)});")
        code.line(f"    for (int i = 0; i < {self.length}; i++) {{")
        code.line(f"        int32_t centred = x[i] * {self.length} - sum;")
        room = self.rescaling_room
        code.line(f"        int32_t normal = bounded64(((int64_t)centred * reciprocal) >> 15, {-room}, {room});")
        where = f"r % {len(self.gains)}" if self.per_row else "i"
        code.line(f"        y[i] = {code.rescaled(self.rescaling, f'(normal * {gains}[{where}] + {offsets}[{where}])')};")
        code.line("    }")
        code.line("}")

    def _root_digits(self, code: CodeWriter) -> int:
        """Binary digits that the standard deviation can have: that of private models could be anything, because epsilon is."""
        if code.private_weights:
            return 32
        largest = (2 * self.inputs[0].magnitude * self.length) ** 2 + self.epsilon
        return min(32, (largest.bit_length() + 1) // 2)
