"""Functions of one element by tables: values at equally spaced integers, between which the guest interpolates linearly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation

MAX_ENTRIES_LOG2 = 12
MIN_ENTRIES_LOG2 = 4
MAX_INTERPOLATION_BITS = 13
"""(difference of two 16-bit entries) * part < 2^(17 + 13) fits a word."""
GOOD_ENOUGH = 1.0
"""Largest error, in units of the output, at which a table is not made finer."""


@dataclass(eq=False)
class Table(Operation):
    """y = interpolation in ``entries``, 2^bits integers apart, from integer ``first`` on.

    Where the function bends too much for that, near 0 as roots and logarithms do, ``fine`` holds its values at all integers from
    ``fine_first`` on.
    """

    entries: IntArray
    first: int
    bits: int
    fine: IntArray
    fine_first: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x = inputs[0].reshape(self.output.shape)
        result = interpolate(self.entries, x, self.first, self.inputs[0].hi, self.bits)
        if not len(self.fine):
            return result
        place = np.clip(x - self.fine_first, 0, len(self.fine) - 1)
        return np.where(x - self.fine_first == place, self.fine[place], result)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        table = code.constant(self.entries, private=False, label="table")
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int32_t x = ({code.pointer(self.inputs[0])})[i];")
        result = f"interpolate({table}, x, {self.first}, {self.inputs[0].hi}, {self.bits})"
        if len(self.fine):
            fine, last = code.constant(self.fine, private=False, label="table"), self.fine_first + len(self.fine) - 1
            result = f"x >= {self.fine_first} && x <= {last} ? {fine}[x - {self.fine_first}] : {result}"
        code.line(f"    ({code.pointer(self.output)})[i] = {result};")
        code.line("}")


def interpolate(entries: IntArray, x: IntArray, lo: int, hi: int, bits: int) -> IntArray:
    """Piecewise linear function: see ``interpolate`` in the runtime."""
    offset = np.clip(x, lo, hi) - lo
    position, part = offset >> bits, offset & ((1 << bits) - 1)
    if bits == 0:
        return np.asarray(entries[position], np.int64)
    left = entries[position]
    return np.asarray(left + (((entries[position + 1] - left) * part + (1 << (bits - 1))) >> bits), np.int64)


def make_table(samples: FloatArray) -> tuple[IntArray, int, float]:
    """Entries, distance in bits and largest error for a function known at all integers of a range.

    Args:
        samples: the function at consecutive integers, in units of the output's scale.
    """
    span = max(1, len(samples) - 1)
    best: tuple[IntArray, int, float] | None = None
    for entries_log2 in range(MIN_ENTRIES_LOG2, MAX_ENTRIES_LOG2 + 1):
        bits = max(0, span.bit_length() - entries_log2)
        if bits > MAX_INTERPOLATION_BITS:
            continue
        positions = np.minimum(np.arange(0, span + (1 << bits) + 1, 1 << bits), span)
        entries = np.round(samples[positions]).astype(np.int64)
        offsets = np.arange(len(samples), dtype=np.int64)
        error = float(np.abs(interpolate(entries, offsets, 0, span, bits) - samples).max())
        if best is None or error < best[2]:
            best = entries, bits, error
        if error <= GOOD_ENOUGH or bits == 0:
            break
    assert best is not None
    return best
