"""A depthwise convolution written with ``zkvm_tensor.h``: the call and the C code give the same bits, with listed and with own channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.guest.compiled import compiled, needs_compiler
from tools.emulator import emulate
from zkvm.riscv.isa.tensors import DEPTHWISE, EXPORT, IMPORT, SCALED_DEPTHWISE
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

pytestmark = needs_compiler
SOURCE = """
#include <zkvm_tensor.h>

/* Two channels of 6 x 7 positions with a border of zeros: a line is a block, from the border on, and one more is read. */
enum { LINES = 6, CHANNELS = 2 };
static const zkvm_import read_image = ZKVM_IMPORT(.vectors = (LINES + 3) * CHANNELS);
static const zkvm_import read_weights = ZKVM_IMPORT(.vectors = 3 * CHANNELS);
ZKVM_VECTORS(kernels) = {
    {1, -2, 3, 0, 0, -4, 5, -6}, {0, 0, 7, -8, 9, 0, 0, 0}, {100, 0, -100, 0, 0, 50, 0, -50}, {0, 0, 25, 0, -25, 0, 0, 0},
};
ZKVM_CHANNELS(scales) = { {5, 1 << 28, 1 << 28}, {-1000, -(1 << 27), 1 << 28} };
static const zkvm_depthwise convolution = ZKVM_DEPTHWISE(.blocks = LINES, .channels = CHANNELS, .windows = 1, .w = ZKVM_AT(kernels),
    .second_row = CHANNELS, .channel_list = ZKVM_AT(scales), .bounds = ZKVM_BOUNDS(-3000, 3000), .third_row = 2 * CHANNELS);
static const zkvm_depthwise own = ZKVM_SCALED_DEPTHWISE(.blocks = LINES, .channels = CHANNELS, .windows = 1, .second_row = CHANNELS,
    .channel_list = 4 * 16, .bounds = ZKVM_BOUNDS(-32768, 32767), .limit = 1 << 20, .third_row = 2 * CHANNELS);
static const zkvm_export all = ZKVM_EXPORT(.vectors = LINES * CHANNELS, .words = 8, .x_stride = 1);
static int32_t numbers[LINES * CHANNELS * 8];

int main(void) {
    zkvm_tensor x = zkvm_tensor_import(&read_image);
    zkvm_tensor w = zkvm_tensor_import(&read_weights);
    zkvm_tensor_export(&all, zkvm_tensor_depthwise(&convolution, x, ZKVM_CONSTANT_VECTORS), numbers);
    zkvm_commit(numbers, sizeof numbers);
    zkvm_tensor_export(&all, zkvm_tensor_depthwise(&own, x, w), numbers);
    zkvm_commit(numbers, sizeof numbers);
    return 0;
}
"""
KERNELS = np.array([[1, -2, 3, -4, 5, -6, 7, -8, 9], [100, 0, -100, 50, 0, -50, 25, 0, -25]]).reshape(2, 3, 3)


@pytest.mark.parametrize(("name", "optimization"), [("main.c", "0"), ("main.c", "3"), ("main.cpp", "3")])
def test_a_convolution(name: str, optimization: str, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    image = np.zeros((9, 2, 8), "<i2")
    image[1:7, :, 1:] = random.integers(-100, 100, (6, 2, 7))
    weights = random.integers(-(2**15), 2**15, (6, 8)).astype("<i2")
    weights[4:] = [[5, 0, 30000, 0, 0, 0, 0, 0], [-700, 2, -20000, 0, 0, 0, 0, 0]]
    stdin = image.tobytes() + weights.tobytes()
    file = compiled(SOURCE, name=name, optimization=optimization)
    (tmp_path / "guest.elf").write_bytes(file)
    called, in_c = (execute(load_image(file, tensors=tensors), stdin) for tensors in (True, False))
    assert called.exit_code == 0, called.stderr
    assert called.journal == in_c.journal == emulate(tmp_path / "guest.elf", stdin).journal
    assert [call.descriptor.operation for call in called.tensor_calls] == [IMPORT, IMPORT, DEPTHWISE, EXPORT, SCALED_DEPTHWISE, EXPORT]
    made = np.frombuffer(called.journal, "<i4").reshape(2, 6, 2, 8)
    assert len(np.unique(made[1])) > 50
    wide = np.concatenate([image.astype(np.int64), np.zeros((9, 2, 2), np.int64)], axis=2)
    for channel, (bias, multiplier) in enumerate([(5, 1 << 28), (-1000, -(1 << 27))]):
        for line in range(6):
            for place in range(7):
                total = (wide[line : line + 3, channel, place : place + 3] * KERNELS[channel]).sum()
                scaled = ((int(total) + bias) * multiplier + 2**31) >> 32
                assert made[0, line, channel, place] == min(max(scaled, -3000), 3000)
