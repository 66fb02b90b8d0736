"""Operations that are tensor calls: the executor's calls, the C code and the integer model agree; integers of layers; layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.ml.models import normal
from tools.emulator import emulate
from zkvm.ml.codegen import Privacy, generate
from zkvm.ml.compiler import build_guest
from zkvm.ml.ir import Graph, Value, evaluate
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.operations.tensors import TensorLinear, exported, loaded
from zkvm.ml.operators.tensors import Dense, quantized
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

INT16 = -(1 << 15), (1 << 15) - 1
ELEMENTS = np.array([-(1 << 15), -(1 << 15) + 1, -1, 0, 1, (1 << 15) - 1])


def extreme(random: np.random.Generator, *shape: int) -> NDArray[np.int64]:
    """int16, of which a third are at the ends or around 0."""
    drawn = random.integers(INT16[0], INT16[1] + 1, shape)
    return np.asarray(np.where(random.random(shape) < 1 / 3, random.choice(ELEMENTS, shape), drawn), np.int64)


class Built:
    """An integer model of layers side by side, made by hand."""

    def __init__(self) -> None:
        self.graph = Graph([], [])
        self.words: list[NDArray[np.int64]] = []

    def value(self, shape: tuple[int, ...], like: Value | None = None) -> Value:
        lo, hi = INT16 if like is None else (like.lo, like.hi)
        return Value(f"v{len(self.graph.operations)}", shape, lo, hi)

    def add_layer(self, random: np.random.Generator, positions: int, channels: int, taps: int) -> None:
        """A layer with numbers at the ends of what a call takes; its input is imported or loaded, its output exported."""
        first = bool(random.integers(2))
        taken, given = Layout.of(taps, positions, first), Layout.of(channels, positions, first)
        source = self.value((positions * taps,))
        if random.integers(2):
            source.layout, source.origin = taken, int(random.integers(-(1 << 15), 1 << 15))
            source.lo, source.hi = INT16[0] + source.origin, INT16[1] + source.origin
        self.graph.inputs.append(source)
        self.words.append(extreme(random, source.size) + source.origin)
        tensor = source
        if source.layout is None:
            self.graph.operations += loaded("load", source, taken, self.value)
            tensor = self.graph.operations[-1].output
        output = self.value((positions * channels,))
        low, high = sorted(extreme(random, 2).tolist())
        output.lo, output.hi, output.layout = low, high, given
        limit = min((1 << 32) // taps, (1 << 31) - 1) >> int(random.choice([0, 0, 4, 12, 16, 30]))
        multipliers = random.integers(1, max(limit, 1) + 1, channels)
        multipliers[int(random.integers(channels))] = max(limit, 1)
        most = np.minimum((1 << 48) - 1, (1 << 61) // multipliers)
        bias = np.array([int(random.choice([0, 1, -1, int(random.integers(-top, top + 1)), top, -top])) for top in most.tolist()], np.int64)
        self.graph.operations.append(TensorLinear("layer", (tensor,), output, extreme(random, channels, taps), bias, multipliers))
        self.graph.operations += exported("export", output, self.value)
        self.graph.outputs.append(self.graph.operations[-1].output)

    def stdin(self) -> bytes:
        parts = []
        for value, words in zip(self.graph.inputs, self.words, strict=True):
            parts.append(words.astype("<i4").tobytes() if value.layout is None else value.layout.imported(words - value.origin))
        return b"".join(parts)


@pytest.mark.parametrize("start", range(1, 34, 8))
def test_every_opinion_is_the_same(start: int, tmp_path: Path) -> None:
    """numpy, the executor's calls, and the C code under the executor and the emulator, on layers of each size."""
    random, made = np.random.default_rng(start), Built()
    for size in range(start, min(start + 8, 34)):
        other = [int(number) for number in random.integers(1, 34, 4)]
        made.add_layer(random, size, other[0], other[1])
        made.add_layer(random, other[2], size, other[3])
        made.add_layer(random, 1, other[0], size)
    code = generate(made.graph, Privacy(), bytes(32))
    elf = build_guest(code.source)
    expected = bytes(32) + b"".join(result.astype("<i4").tobytes() for result in evaluate(made.graph, made.words))
    for served in (True, False):
        run = execute(load_image(elf, tensors=served), made.stdin(), trace=False)
        assert (run.exit_code, run.journal) == (0, expected), run.stderr
    (tmp_path / "guest.elf").write_bytes(elf)
    assert emulate(tmp_path / "guest.elf", made.stdin()).journal == expected


@pytest.mark.parametrize(("channels", "positions"), [(1, 1), (5, 1), (1, 20), (3, 8), (2, 9), (4, 33)])
@pytest.mark.parametrize("first", [False, True])
def test_layouts(channels: int, positions: int, first: bool) -> None:
    """Vector block C + c holds positions 8 block to 8 block + 7 of channel c."""
    layout = Layout.of(channels, positions, first)
    elements = np.arange(1, channels * positions + 1)
    lanes = np.frombuffer(layout.imported(elements), "<i2").reshape(-1, LANES)
    assert len(lanes) == layout.vectors == -(-positions // 8) * channels
    matrix = layout.matrix(elements)
    for position in range(8 * layout.blocks):
        for channel in range(channels):
            expected = matrix[position, channel] if position < positions else 0
            assert lanes[position // 8 * channels + channel, position % 8] == expected
    assert (layout.flat(matrix) == elements).all()
    assert matrix[0, -1] == elements[(channels - 1) * positions if first else channels - 1]


def test_one_position_is_a_flat_list() -> None:
    assert Layout.of(7, 1, True) == Layout.of(7, 1, False)
    assert (Layout.of(7, 1, False).words, Layout.of(7, 2, False).words) == (1, LANES)


@pytest.mark.parametrize("weight_bits", [16, 8, 2])
def test_the_multiplier_has_no_error(weight_bits: int) -> None:
    """So a result is off by what rounding of weights, bias and itself make, and by nothing else."""
    random = np.random.default_rng(weight_bits)
    top = (1 << (weight_bits - 1)) - 1
    for taps in (1, 3, 40, 700):
        sizes = 10.0 ** random.uniform(-4, 0, (6, 1))
        dense = Dense("x", "y", random.standard_normal((6, taps)) * sizes, random.standard_normal(6), False)
        source = Value("x", (taps,), 0, (1 << 16) - 1, 2.0**-16, origin=1 << 15)
        scale = float(np.abs(dense.weights).sum(axis=1).max() + np.abs(dense.bias).max()) / INT16[1]
        found = quantized(dense, source, scale, weight_bits)
        assert found is not None
        assert np.abs(found.weights >> (16 - weight_bits)).max() <= top
        assert ((found.weights >> (16 - weight_bits)) << (16 - weight_bits) == found.weights).all()
        words = random.integers(0, 1 << 16, taps)
        sums = found.weights @ (words - source.origin) + found.bias
        results = (sums * found.multipliers + (1 << 31)) >> 32
        steps = found.multipliers * scale / (source.scale * 2.0**32) * 2 ** (16 - weight_bits)
        real = dense.weights @ (words * source.scale) + dense.bias
        allowed = 0.5 + (steps / 2 * (words * source.scale).sum() + steps * source.scale / 2) / scale
        assert (np.abs(results - real / scale) <= allowed + 1e-6).all()
        assert taps * int(found.multipliers.max()) <= 1 << 32
        low, high = found.extremes(*INT16)
        assert low <= results.min() <= results.max() <= high


def test_what_a_call_does_not_take() -> None:
    """Weights that send one step of the input beyond all results, and a bias far beyond them."""
    source = Value("x", (1000,), *INT16, 1.0)
    ordinary = Dense("x", "y", normal(4, 1000).astype(np.float64), np.zeros(4), False)
    assert quantized(ordinary, source, 1e3, 16) is not None
    assert quantized(replace(ordinary, weights=ordinary.weights * 1e6), source, 1e3, 16) is None
    assert quantized(replace(ordinary, bias=np.full(4, 1e18)), source, 1e3, 16) is None
    assert quantized(replace(ordinary, bias=np.full(4, np.nan)), source, 1e3, 16) is None
    zeros = quantized(replace(ordinary, weights=ordinary.weights * 0, bias=np.array([0, 1e6, -1e6, 3e7])), source, 1e3, 16)
    assert zeros is not None
    assert (zeros.bias * zeros.multipliers + (1 << 31) >> 32).tolist() == [0, 1000, -1000, 30000]
