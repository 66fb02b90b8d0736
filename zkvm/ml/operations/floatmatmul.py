"""Products of two activations in floats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml import float32, float32_dot
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.float32_dot import product_bits
from zkvm.ml.operations.floatlinear import MAX_SUMS, PRODUCT_COST
from zkvm.ml.operations.linear import blocking
from zkvm.ml.operations.matmul import Products


@dataclass(eq=False)
class FloatProduct(Products):
    """y[b] = x[b] w[b]: both are aligned while the guest runs."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 7 * self.macs + 25 * sum(value.size for value in self.inputs) + 60 * self.output.size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        batch, rows, depth, columns = self.extents
        left, right = inputs[0].reshape(batch, rows, depth), inputs[1].reshape(batch, depth, columns)
        bits = product_bits(depth)
        x, w = float32_dot.align(left, bits), float32_dot.align(np.swapaxes(right, 1, 2), bits)
        sums = float32_dot.products(x.integers, np.swapaxes(w.integers, 1, 2))
        result = float32.scaled(sums, x.exponents[:, :, None] + w.exponents[:, None, :])
        for number in np.flatnonzero(x.special.any(axis=(1, 2)) | w.special.any(axis=(1, 2))):
            result[number] = float32_dot.special_sums(left[number], right[number], result[number])
        return result.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        batch, rows, depth, columns = self.extents
        at_once, together = blocking(columns, rows, MAX_SUMS, PRODUCT_COST)
        bits = product_bits(depth)
        left, right, target = (code.pointer(value) for value in (*self.inputs, self.output))
        code.line(f"const struct f32_linear g = {{1, 1, {depth}, 0, 0, 1, 1, {rows}, 0, {depth}, 0, {columns}, 1, 0, 1, 0}};")
        code.line(f"static int32_t rows[{rows * depth}], units[{rows}], columns[{depth * columns}], exponents[{columns}];")
        code.line(f"for (int b = 0; b < {batch}; b++) {{")
        code.line(f"    const int32_t *x = {left} + b * {rows * depth}, *w = {right} + b * {depth * columns};")
        code.line(f"    int32_t special = 0, *y = {target} + b * {rows * columns};")
        code.line(f"    for (int i = 0; i < {rows}; i++)")
        code.line(f"        units[i] = f32_align(x + i * {depth}, 1, {depth}, 1, 0, {bits}, rows + i * {depth}, 1, &special);")
        whole = columns // at_once * at_once
        for first, count, width in ((0, whole, at_once), (whole, columns - whole, columns - whole)):
            if not count:
                continue
            code.line(f"    for (int j = {first}; j < {first + count}; j++) {{")
            code.line(f"        int block = j / {at_once} * {at_once}, place = block * {depth} + (j - block);")
            code.line(f"        exponents[j] = f32_align(w + j, 1, {depth}, {columns}, 0, {bits}, columns + place, {width}, &special);")
            code.line("    }")
        code.line(f"    f32_linear(g, rows, units, columns, exponents, 0, y, {columns}, {together}, {at_once});")
        code.line(f"    if (special) f32_linear_special(&g, x, w, 1, 0, y, {columns}, {columns});")
        code.line("}")
