"""Products of two computed matrices as tensor calls. See ``docs/tensors.md``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import ROW_BYTES, CodeWriter
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.operations.tensors import SHIFT, RescalingCall, layer_cost, layout_of


@dataclass(eq=False)
class TensorProduct(RescalingCall):
    """y[n, m] = floor((sum over k < taps of x[first + k, m] w[w_first + k, n] multiplier + 2^31) / 2^32), cut to the output's limits.

    Channels of the second operand are taps, and its positions the channels of the result: with them go those that fill the last eight,
    which hold zeros. Of both operands the tensors hold the integers of the values themselves.

    Attributes:
        taps: products of a sum.
        x_first, w_first: the channels where they begin.
        multiplier: from 1 to 2^31 - 1; taps times it is at most 2^32.
        limit: of a private multiplier, which counts limit / 2^15 and may be negative; 0: it is public.
        w_layout: of the second operand, if its multiplier is private: then its vectors are a flat list, and those of its channels follow.
    """

    taps: int
    x_first: int
    w_first: int
    multiplier: int
    limit: int = 0
    w_layout: Layout | None = None

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.output.size * self.taps

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return layer_cost(layout_of(self.output), self.taps)

    def uncut(self, *inputs: IntArray) -> IntArray:
        """See :class:`RescalingCall`; the float64 product is exact, because sums stay below 2^53."""
        layout = layout_of(self.output)
        x, w = layout_of(self.inputs[0]).matrix(inputs[0].reshape(-1)), self._second(inputs[1].reshape(-1))
        x = x[:, self.x_first : self.x_first + self.taps]
        w = w[: layout.channels, self.w_first : self.w_first + self.taps]
        sums = (x.astype(np.float64) @ w.T.astype(np.float64)).astype(np.int64)
        scaled = (sums * self.multiplier + (1 << (SHIFT - 1))) >> SHIFT
        return layout.flat(scaled).reshape(self.output.shape)

    def _second(self, elements: IntArray) -> IntArray:
        """The second operand as (positions, channels)."""
        if self.w_layout is None:
            return layout_of(self.inputs[1]).matrix(elements)
        lanes = elements[: self.w_layout.vectors * LANES].reshape(self.w_layout.blocks, self.w_layout.channels, LANES)
        return np.ascontiguousarray(lanes.swapaxes(1, 2)).reshape(-1, self.w_layout.channels)

    def _emit_secretly(self, code: CodeWriter) -> None:
        layout, x, w = layout_of(self.output), layout_of(self.inputs[0]), self.w_layout
        assert w is not None
        layer = code.descriptor(
            "scaled_linear",
            f".blocks = {layout.blocks}, .channels = {layout.channels}, .taps = {self.taps}, .x = {ROW_BYTES * self.x_first}, "
            f".x_stride = {x.channels}, .w = {ROW_BYTES * self.w_first}, .w_stride = {w.channels}, "
            f".channel_list = {ROW_BYTES * w.vectors}, .limit = {self.limit}, {self.bounds}",
        )
        operands = ", ".join(map(code.tensor, self.inputs))
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_scaled_linear(&{layer}, {operands});")
        self.emit_watch(code)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        if self.limit:
            self._emit_secretly(code)
            return
        layout, (x, w) = layout_of(self.output), map(layout_of, self.inputs)
        assert w.positions % LANES == 0
        scales = code.channels(np.zeros(layout.channels, np.int64), np.full(layout.channels, self.multiplier))
        low, high = self.output.limits
        layer = code.descriptor(
            "linear",
            f".blocks = {layout.blocks}, .channels = {layout.channels}, .taps = {self.taps}, .x = {2 * LANES * self.x_first}, "
            f".x_stride = {x.channels}, .w = {2 * LANES * self.w_first}, .w_stride = {w.channels}, .channel_list = ZKVM_AT({scales}), "
            f".bounds = ZKVM_BOUNDS({low}, {high})",
        )
        operands = ", ".join(map(code.tensor, self.inputs))
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_linear(&{layer}, {operands});")
        self.emit_watch(code)
