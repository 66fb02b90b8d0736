"""Operations that are tensor calls: the executor's calls, the C code and the integer model agree; integers of layers; layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.ml.models import normal
from tests.ml.tensor_graphs import INT16, Built
from zkvm.ml.ir import Value
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.operations.rearranging import TensorMove
from zkvm.ml.operations.tensors import CALL_CELLS, CELLS, CONSTANT_CELLS, TILE_CELLS, VECTOR_CELLS, layer_cost
from zkvm.ml.operators.layers import Layer, quantized
from zkvm.ml.residence import Reordered
from zkvm.riscv.isa.tensors import LINEAR, Descriptor
from zkvm.session.profiling import columns_of


@pytest.mark.parametrize("start", range(1, 34, 8))
def test_layers(start: int, tmp_path: Path) -> None:
    """Layers of each size."""
    made = Built(start)
    for size in range(start, min(start + 8, 34)):
        other = made.random.integers(1, 34, 4).tolist()
        made.add_layer(size, other[0], other[1])
        made.add_layer(other[2], size, other[3])
        made.add_layer(1, other[0], size)
    made.check(tmp_path)


@pytest.mark.parametrize("shape", [(32, 32, 1 << 14), (32, 32, (1 << 14) - 1), (71, 65, 1 << 13), (7, 300, 1 << 15)])
def test_a_layer_costs_its_rows(shape: tuple[int, int, int]) -> None:
    """Rows of single tiles and of fours are those that the executor makes, and their cells those of the chips."""
    positions, channels, taps = shape
    layout = Layout(channels, positions)
    single, wide = Descriptor(LINEAR, layout.blocks, channels, taps).product_rows
    columns = columns_of()
    tiles = -(-layout.blocks // 2) * -(-channels // 16)
    cells = tiles * TILE_CELLS + layout.vectors * VECTOR_CELLS + -(-channels // LANES) * taps * CONSTANT_CELLS + CALL_CELLS
    cells += single * columns["tensor_products"] + wide * columns["tensor_wide_products"]
    assert layer_cost(layout, taps) == cells // CELLS


@pytest.mark.parametrize("seed", range(3))
def test_elements(seed: int, tmp_path: Path) -> None:
    """Sums, maxima, functions and the largest elements, of blocks that are full or not."""
    made = Built(seed)
    for _ in range(3):
        positions, channels, taps = made.random.integers(1, 20, 3).tolist()
        made.add_elements(positions, channels, taps)
    made.add_elements(1, 3, 2)
    made.check(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_products(seed: int, tmp_path: Path) -> None:
    """Of two computed matrices, whose sizes are multiples of eight or not."""
    made = Built(seed)
    for _ in range(3):
        rows, taps, channels, batch = made.random.integers(1, [20, 20, 20, 4]).tolist()
        made.add_product(rows, taps, channels, batch)
    made.add_product(16, 5, 8, 2)
    made.check(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_combinations(seed: int, tmp_path: Path) -> None:
    """Of elements: sums, products, of tensors, constants and numbers of 30 bits."""
    made = Built(seed)
    for positions, channels in ((1, 5), *made.random.integers(1, 20, (3, 2)).tolist(), (8, 1)):
        made.add_combinations(positions, channels)
    made.check(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_deviations(seed: int, tmp_path: Path) -> None:
    """Of rows, and of the last few of them that fill no block."""
    made = Built(seed)
    for positions, channels in ((1, 4), (8, 3), *made.random.integers(2, 30, (3, 2)).tolist()):
        made.add_deviations(positions, channels)
    made.check(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_movements(seed: int, tmp_path: Path) -> None:
    """Of one tensor, of two, and of more, from which no vector can be made at once."""
    made = Built(seed)
    for count in (1, 2, 3, 5):
        made.add_movement(
            made.random.integers(1, 40, count).tolist(), Layout.of(int(made.random.integers(1, 20)), int(made.random.integers(1, 20)), True)
        )
    made.check(tmp_path)


def test_movements_are_done_once_and_together() -> None:
    """Two in a row are one gather, one that keeps the order in the machine is none, and the same again costs nothing."""
    made = Built(0)
    image = made.value((4, 16))
    image.layout = Layout.of(4, 16, True)
    turned = made.residence.moved([image], np.arange(64).reshape(4, 16).T.copy())
    assert made.graph.operations == []
    rows = made.residence.in_tensor(turned, Layout.of(4, 16, False))
    assert [type(operation) for operation in made.graph.operations] == [Reordered]
    assert rows.root is image
    reversed_twice = made.residence.moved([made.residence.moved([turned], np.arange(64)[::-1])], np.arange(64)[::-1].reshape(16, 4))
    made.residence.in_tensor(reversed_twice, Layout.of(4, 16, False))
    assert len(made.graph.operations) == 1
    for _ in range(2):
        made.residence.in_tensor(made.residence.moved([turned], np.arange(64)[::-1]), Layout(1, 64))
    assert [type(operation) for operation in made.graph.operations] == [Reordered, TensorMove]


@pytest.mark.parametrize(("channels", "positions"), [(1, 1), (5, 1), (1, 20), (3, 8), (2, 9), (4, 33)])
@pytest.mark.parametrize("first", [False, True])
def test_lanes_without_a_position(channels: int, positions: int, first: bool) -> None:
    """They are copies of the last one's; the others hold what their cells say."""
    layout = Layout.of(channels, positions, first)
    filled, cells = layout.filled(), layout.cells()
    assert filled.shape == (layout.vectors, LANES)
    assert (filled.reshape(-1)[cells] == np.arange(channels * positions)).all()
    last = filled[-channels:]
    assert (last[:, (positions - 1) % LANES :] == last[:, [(positions - 1) % LANES]]).all()


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
        dense = Layer("x", "y", random.standard_normal((6, taps)) * sizes, random.standard_normal(6), False)
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
    ordinary = Layer("x", "y", normal(4, 1000).astype(np.float64), np.zeros(4), False)
    assert quantized(ordinary, source, 1e3, 16) is not None
    assert quantized(replace(ordinary, weights=ordinary.weights * 1e6), source, 1e3, 16) is None
    assert quantized(replace(ordinary, bias=np.full(4, 1e18)), source, 1e3, 16) is None
    assert quantized(replace(ordinary, bias=np.full(4, np.nan)), source, 1e3, 16) is None
    zeros = quantized(replace(ordinary, weights=ordinary.weights * 0, bias=np.array([0, 1e6, -1e6, 3e7])), source, 1e3, 16)
    assert zeros is not None
    assert (zeros.bias * zeros.multipliers + (1 << 31) >> 32).tolist() == [0, 1000, -1000, 30000]
