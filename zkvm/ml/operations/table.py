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
    ``fine_first`` on. The entries say something about the weights if they are ``secret``.
    """

    entries: IntArray
    first: int
    bits: int
    fine: IntArray
    fine_first: int
    secret: bool = False

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
        table = code.constant(self.entries, private=self.secret, label="table")
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int32_t x = ({code.pointer(self.inputs[0])})[i];")
        result = f"interpolate({table}, x, {self.first}, {self.inputs[0].hi}, {self.bits})"
        if code.private_weights:  # values at the ends are common, and where they are says something about scales
            result = f"entry_at({table}, bounded(x, {self.first}, {self.inputs[0].hi}) - {self.first}, {self.bits})"
        if len(self.fine):
            fine = code.constant(self.fine, private=self.secret, label="table")
            result = f"finer({fine}, {len(self.fine)}, x - {self.fine_first}, {result})"
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


def sampled(samples: FloatArray, bits: int) -> tuple[IntArray, float]:
    """Entries 2^bits apart, and the largest error, for a function known at all integers of a range."""
    span = max(1, len(samples) - 1)
    positions = np.minimum(np.arange(0, span + (1 << bits) + 1, 1 << bits), span)
    entries = np.round(samples[positions]).astype(np.int64)
    return entries, float(np.abs(interpolate(entries, np.arange(len(samples)), 0, span, bits) - samples).max())


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
        entries, error = sampled(samples, bits)
        if best is None or error < best[2]:
            best = entries, bits, error
        if error <= GOOD_ENOUGH or bits == 0:
            break
    assert best is not None
    return best
