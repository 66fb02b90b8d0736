"""Pooling: maximum or requantized sum of windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation


@dataclass(frozen=True, slots=True)
class Windows:
    """Channels, input size, window, stride, dilation and output size; each pair is (vertical, horizontal)."""

    channels: int
    size: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    output: tuple[int, int]


@dataclass(eq=False)
class Pool(Operation):
    """Maximum, or requantized sum if there is a rescaling, of each window; ``multipliers`` differ where padding does not count."""

    windows: Windows
    rescaling: Rescale | None = None

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        shape = self.windows
        image = np.ascontiguousarray(inputs[0].reshape(shape.channels, *shape.size))
        plane, line, word = image.strides
        steps = (plane, line * shape.stride[0], word * shape.stride[1], line * shape.dilation[0], word * shape.dilation[1])
        views = np.lib.stride_tricks.as_strided(image, (shape.channels, *shape.output, *shape.window), steps)
        if self.rescaling is None:
            return np.asarray(views.max(axis=(3, 4))).reshape(self.output.shape)
        sums = views.sum(axis=(3, 4)).reshape(shape.channels, -1)
        return self.rescaling.apply(sums, 1).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        shape = self.windows
        (height, width), (rows, columns) = shape.size, shape.output
        code.line(f"int32_t *target = {code.pointer(self.output)};")
        multiplier = ""
        if self.rescaling is not None and len(self.rescaling.multipliers) > 1:
            table = code.constant(np.array(self.rescaling.multipliers), private=self.rescaling.secret, label="multiplier")
            multiplier = f"{table}[y * {columns} + x]"
        code.line(f"for (int c = 0; c < {shape.channels}; c++)")
        code.line(f"  for (int y = 0; y < {rows}; y++)")
        code.line(f"    for (int x = 0; x < {columns}; x++) {{")
        code.line(f"        const int32_t *corner = {code.pointer(self.inputs[0])} + c * {height * width}")
        code.line(f"            + y * {shape.stride[0] * width} + x * {shape.stride[1]};")
        code.line(f"        int32_t value = {'corner[0]' if self.rescaling is None else '0'};")
        unroll = "UNROLL_ALL " if shape.window[0] * shape.window[1] <= 16 else ""
        code.line(f"        {unroll}for (int i = 0; i < {shape.window[0]}; i++)")
        code.line(f"            {unroll}for (int j = 0; j < {shape.window[1]}; j++) {{")
        code.line(f"                int32_t next = corner[i * {shape.dilation[0] * width} + j * {shape.dilation[1]}];")
        largest = "value = choose(next > value, next, value);" if code.private_weights else "if (next > value) value = next;"
        code.line(f"                {largest if self.rescaling is None else 'value += next;'}")
        code.line("            }")
        result = "value" if self.rescaling is None else code.rescaled(self.rescaling, "value", multiplier or None)
        code.line(f"        *target++ = {result};")
        code.line("    }")
