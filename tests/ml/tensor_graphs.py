"""Integer models of tensor calls side by side, made by hand, and every opinion on what they compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.emulator import emulate
from zkvm.ml.codegen import Privacy, generate
from zkvm.ml.compiler import build_guest
from zkvm.ml.ir import Graph, Operation, Value, evaluate
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.operations.rearranging import TensorApply, TensorMaximum, TensorPeaks, TensorSums
from zkvm.ml.operations.tensor_combining import TensorCombine, TensorMultiply
from zkvm.ml.operations.tensor_products import TensorProduct
from zkvm.ml.operations.tensor_rows import RowDeviations
from zkvm.ml.operations.tensors import TensorLinear
from zkvm.ml.residence import Residence
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

INT16 = -(1 << 15), (1 << 15) - 1
ELEMENTS = np.array([-(1 << 15), -(1 << 15) + 1, -1, 0, 1, (1 << 15) - 1])


def extreme(random: np.random.Generator, *shape: int) -> NDArray[np.int64]:
    """int16, of which a third are at the ends or around 0."""
    drawn = random.integers(INT16[0], INT16[1] + 1, shape)
    return np.asarray(np.where(random.random(shape) < 1 / 3, random.choice(ELEMENTS, shape), drawn), np.int64)


class Built:
    """An integer model of operations side by side: inputs are imported or loaded, results exported."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.graph = Graph([], [])
        self.words: list[NDArray[np.int64]] = []
        self.residence = Residence(self.add, self.value)

    def add(self, operation: Operation) -> Value:
        self.graph.operations.append(operation)
        return operation.output

    def value(self, shape: tuple[int, ...], like: Value | None = None) -> Value:
        lo, hi = INT16 if like is None else (like.lo, like.hi)
        return Value(f"v{len(self.graph.operations)}", shape, lo, hi)

    def input(self, layout: Layout, origin: int | None = None) -> Value:
        """An input that is a tensor of this layout as it comes, with any origin if none is given, or words."""
        source = self.value((layout.channels * layout.positions,))
        if self.random.integers(2):
            source.layout, source.origin = layout, int(self.random.integers(-(1 << 15), 1 << 15)) if origin is None else origin
            source.lo, source.hi = INT16[0] + source.origin, INT16[1] + source.origin
        self.graph.inputs.append(source)
        self.words.append(extreme(self.random, source.size) + source.origin)
        return source

    def output(self, layout: Layout) -> Value:
        """A tensor that is cut somewhere."""
        result = self.value((layout.channels * layout.positions,))
        result.lo, result.hi = sorted(extreme(self.random, 2).tolist())
        result.layout = layout
        return result

    def finish(self, value: Value) -> None:
        """What is compared."""
        self.graph.outputs.append(self.residence.in_memory(value))

    def scales(self, taps: int, channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bias and multipliers at the ends of what a call takes."""
        limit = min((1 << 32) // taps, (1 << 31) - 1) >> int(self.random.choice([0, 0, 4, 12, 16, 30]))
        multipliers = self.random.integers(1, max(limit, 1) + 1, channels)
        multipliers[int(self.random.integers(channels))] = max(limit, 1)
        bias = []
        for most in np.minimum((1 << 48) - 1, (1 << 61) // multipliers).tolist():
            bias.append(int(self.random.choice([0, 1, -1, int(self.random.integers(-most, most + 1)), most, -most])))
        return np.array(bias, np.int64), multipliers

    def add_layer(self, positions: int, channels: int, taps: int) -> None:
        first = bool(self.random.integers(2))
        taken, given = Layout.of(taps, positions, first), Layout.of(channels, positions, first)
        tensor = self.residence.in_tensor(self.input(taken), taken)
        bias, multipliers = self.scales(taps, channels)
        self.finish(self.add(TensorLinear("layer", (tensor,), self.output(given), extreme(self.random, channels, taps), bias, multipliers)))

    def add_elements(self, positions: int, channels: int, taps: int) -> None:
        """Sums, maxima, a function, and the largest elements of what these make."""
        taken, given = Layout.of(channels * taps, positions, True), Layout.of(channels, positions, True)
        tensor = self.residence.in_tensor(self.input(taken), taken)
        bias, multipliers = self.scales(taps, 1)
        sums = TensorSums("sums", (tensor,), self.output(given), extreme(self.random, taps), int(bias[0]), int(multipliers[0]))
        self.finish(self.add(sums))
        largest = self.value((channels * positions,), tensor)
        largest.layout, largest.origin = given, tensor.origin
        self.add(TensorMaximum("maximum", (tensor,), largest, taps))
        applied = self.value(largest.shape)
        applied.layout = given
        self.finish(self.add(TensorApply("apply", (largest,), applied, extreme(self.random, 1 << 16))))
        peaks = self.value((given.words,))
        peaks.layout = Layout(1, given.words)
        # Lanes without a position hold what is there only after a gather.
        clean = self.residence.in_tensor(self.residence.moved([applied], np.roll(np.arange(applied.size), 1)), given)
        self.finish(self.add(TensorPeaks("peaks", (clean,), peaks)))

    def add_product(self, rows: int, taps: int, channels: int, batch: int) -> None:
        """Of the channels of one tensor with those of another, of every number of positions."""
        taken, others = Layout.of(taps * batch, rows, False), Layout.of(taps * batch, channels, False)
        x, w = self.residence.in_tensor(self.input(taken, 0), taken), self.residence.resident(self.input(others, 0))
        index = np.arange(w.size).reshape(channels, taps * batch)
        index = np.concatenate([index, np.full((-channels % LANES, taps * batch), -1)])
        w = self.residence.in_tensor(self.residence.moved([w], index), Layout.of(taps * batch, len(index), False))
        for number in range(batch):
            multiplier = int(self.scales(taps, 1)[1][0])
            output, first = self.output(Layout.of(channels, rows, False)), number * taps
            self.finish(self.add(TensorProduct("product", (x, w), output, taps, first, first, multiplier)))

    def add_combinations(self, positions: int, channels: int) -> None:
        """Sums and products with a tensor, with a number for each position, and with constants."""
        first = bool(self.random.integers(2))
        layout, single = Layout.of(channels, positions, first), Layout.of(1, positions, False)
        size = channels * positions
        x, y = (self.residence.in_tensor(self.input(layout, 0), layout) for _ in range(2))
        each = self.residence.in_tensor(self.input(single, 0), single)
        for other in (y, each, None):
            for varied in (False, True):
                bias, multipliers = self.scales(2, 1)
                w, v = (extreme(self.random, size if varied and self.random.integers(3) else 1) for _ in range(2))
                constant = extreme(self.random, size if varied else 1)
                inputs = (x,) if other is None else (x, other)
                output, scale = self.output(layout), (int(bias[0]), int(multipliers[0]))
                self.finish(self.add(TensorCombine("combine", inputs, output, w, v, *scale, constant)))
            if other is not None:
                multiplier = int(self.scales(1, 1)[1][0])
                self.finish(self.add(TensorMultiply("multiply", (x, other), self.output(layout), np.array([multiplier]))))
        pair = Layout.of(2, positions, False)
        parts = self.residence.in_tensor(self.input(pair, 0), pair)
        multipliers = self.random.integers(1, 1 << 16, channels) * self.random.choice([-1, 1], channels)
        bias = self.random.integers(-(1 << 40), 1 << 40, channels)
        self.finish(self.add(TensorMultiply("scale", (x, parts), self.output(layout), multipliers, bias, True)))

    def add_deviations(self, positions: int, channels: int) -> None:
        """Of rows of large and of small numbers, one of them of zeros."""
        layout = Layout.of(channels, positions, False)
        source = self.input(layout, 0)
        rows = self.words[-1].reshape(positions, channels)
        rows >>= self.random.integers(0, 16, (positions, 1))
        rows[-1] = 0
        bits, halvings = int(self.random.integers(23, 39)), max(2, (channels - 1).bit_length())
        epsilon = int(self.random.choice(np.array([1, (1 << 31) - 1, int(self.random.integers(1, 1 << 31))])))
        output, first = self.value((positions, 2)), int(self.random.integers(3))
        tensor, skipped = self.residence.in_tensor(source, layout), int(self.random.integers(5 - first))
        deviations = RowDeviations("deviations", (tensor,), output, bits, halvings, epsilon, 5 - first, first, skipped)
        self.graph.outputs.append(self.add(deviations))

    def add_movement(self, sizes: list[int], layout: Layout) -> None:
        """Elements of several tensors and constants, with zeros between, moved twice."""
        values = []
        for size in sizes:
            value = self.input(Layout.of(size, 1, False), 0) if self.random.integers(3) else self.constant(size)
            values.append(self.residence.resident(value))
        once = self.residence.moved(values, self.random.integers(-1, sum(sizes), (3, 11)))
        twice = self.residence.moved([once], self.random.integers(-1, once.size, (layout.channels * layout.positions,)))
        self.finish(self.residence.in_tensor(twice, layout))

    def constant(self, size: int) -> Value:
        return Value("constant", (size,), *INT16, data=extreme(self.random, size))

    def stdin(self) -> bytes:
        parts = []
        for value, words in zip(self.graph.inputs, self.words, strict=True):
            parts.append(words.astype("<i4").tobytes() if value.layout is None else value.layout.imported(words - value.origin))
        return b"".join(parts)

    def check(self, folder: Path) -> None:
        """numpy, the executor's calls, and the C code under the executor and the emulator agree."""
        elf = build_guest(generate(self.graph, Privacy(), bytes(32)).source)
        expected = bytes(32) + b"".join(result.astype("<i4").tobytes() for result in evaluate(self.graph, self.words))
        for served in (True, False):
            run = execute(load_image(elf, tensors=served), self.stdin(), trace=False)
            assert (run.exit_code, run.journal) == (0, expected), run.stderr
        (folder / "guest.elf").write_bytes(elf)
        assert emulate(folder / "guest.elf", self.stdin()).journal == expected
