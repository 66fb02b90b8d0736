"""Pooling: maximum or requantized sum of windows."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation

Extent = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Windows:
    """Channels, input size, window, stride, dilation and output size; each three numbers: planes, lines, columns."""

    channels: int
    size: Extent
    window: Extent
    stride: Extent
    dilation: Extent
    output: Extent


@dataclass(eq=False)
class Pool(Operation):
    """Maximum, or requantized sum if there is a rescaling, of each window; ``multipliers`` differ where padding does not count.

    Attributes:
        ordered: a maximum where INT32_MIN is padding and INT32_MAX is the maximum of a window that it begins, and else is skipped.
        empty: the maximum of nothing but padding then.
    """

    windows: Windows
    rescaling: Rescale | None = None
    ordered: bool = False
    empty: int = 0

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        shape = self.windows
        image = np.ascontiguousarray(inputs[0].reshape(shape.channels, *shape.size))
        strides = [step * stride for step, stride in zip(image.strides[1:], shape.stride, strict=True)]
        dilations = [step * dilation for step, dilation in zip(image.strides[1:], shape.dilation, strict=True)]
        steps = (image.strides[0], *strides, *dilations)
        views = np.lib.stride_tricks.as_strided(image, (shape.channels, *shape.output, *shape.window), steps)
        if self.ordered:
            return self._ordered_maxima(views.reshape(-1, prod(shape.window))).reshape(self.output.shape)
        if self.rescaling is None:
            return np.asarray(views.max(axis=(4, 5, 6))).reshape(self.output.shape)
        sums = views.sum(axis=(4, 5, 6)).reshape(shape.channels, -1)
        return self.rescaling.apply(sums, 1).reshape(self.output.shape)

    def _ordered_maxima(self, windows: IntArray) -> IntArray:
        first = np.take_along_axis(windows, (windows != INT32_MIN).argmax(axis=1)[:, None], axis=1)[:, 0]
        largest = np.where(windows == INT32_MAX, INT32_MIN, windows).max(axis=1)
        return np.select([first == INT32_MAX, first == INT32_MIN], [first, self.empty], largest)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        shape = self.windows
        (depth, height, width), (planes, rows, columns) = shape.size, shape.output
        code.line(f"int32_t *target = {code.pointer(self.output)};")
        multiplier = ""
        if self.rescaling is not None and len(self.rescaling.multipliers) > 1:
            table = code.constant(np.array(self.rescaling.multipliers), private=self.rescaling.secret, label="multiplier")
            multiplier = f"{table}[(z * {rows} + y) * {columns} + x]"
        code.line(f"for (int c = 0; c < {shape.channels}; c++)")
        code.line(f" for (int z = 0; z < {planes}; z++)")
        code.line(f"  for (int y = 0; y < {rows}; y++)")
        code.line(f"    for (int x = 0; x < {columns}; x++) {{")
        code.line(f"        const int32_t *corner = {code.pointer(self.inputs[0])} + c * {depth * height * width}")
        steps = (shape.stride[0] * height * width, shape.stride[1] * width, shape.stride[2])
        code.line(f"            + z * {steps[0]} + y * {steps[1]} + x * {steps[2]};")
        code.line(f"        int32_t value = {'corner[0]' if self.rescaling is None else '0'};")
        unroll = "UNROLL_ALL " if prod(shape.window) <= 16 else ""
        code.line(f"        {unroll}for (int h = 0; h < {shape.window[0]}; h++)")
        code.line(f"         {unroll}for (int i = 0; i < {shape.window[1]}; i++)")
        code.line(f"            {unroll}for (int j = 0; j < {shape.window[2]}; j++) {{")
        place = f"h * {shape.dilation[0] * height * width} + i * {shape.dilation[1] * width} + j * {shape.dilation[2]}"
        code.line(f"                int32_t next = corner[{place}];")
        larger = "next > value"
        if self.ordered:
            larger = "((next > value) & (next != INT32_MAX)) | (value == INT32_MIN)"
        largest = f"value = choose({larger}, next, value);" if code.private_weights else f"if ({larger}) value = next;"
        code.line(f"                {largest if self.rescaling is None else 'value += next;'}")
        code.line("            }")
        if self.ordered:
            code.line(f"        value = choose(value == INT32_MIN, {self.empty}, value);")
        result = "value" if self.rescaling is None else code.rescaled(self.rescaling, "value", multiplier or None)
        code.line(f"        *target++ = {result};")
        code.line("    }")
