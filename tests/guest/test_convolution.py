"""A small network with a convolution, in C, proven: receipt, journal against numpy and against the C code without tensor calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.guest.compiled import compiled, needs_compiler
from tools.emulator import emulate
from zkvm import Policy, prove
from zkvm.riscv.isa.tensors import APPLY, EXPORT, GATHER, IMPORT, LINEAR, MAXIMUM
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

pytestmark = needs_compiler

SIZE, KERNEL, MAPS, OUTPUTS = 10, 3, 5, 3
WIDE, POOLED = SIZE - KERNEL + 1, (SIZE - KERNEL + 1) // 2
"""An image of 10 x 10, five maps of 8 x 8 of a 3 x 3 convolution, pooled to 4 x 4, and three scores."""
LIMIT, BIAS = 1 << 25, 70
Integers = NDArray[np.int64]


def position(row: int, column: int, width: int, channel: int = 0, channels: int = 1) -> int:
    """Place of an element of an image in a tensor, positions in rows."""
    number = row * width + column
    return 1 + 8 * (number // 8 * channels + channel) + number % 8


def rows(name: str, kind: str, values: Sequence[Sequence[int]]) -> str:
    """A constant table in C."""
    return f"{kind}({name}) = {{ {', '.join('{' + ', '.join(map(str, row)) + '}' for row in values)} }};\n"


def patches() -> list[list[int]]:
    """The pixels under the kernel, by 8 positions of the map and tap."""
    return [
        [position(8 * block // WIDE + tap // KERNEL, lane + tap % KERNEL, SIZE) for lane in range(8)]
        for block in range(WIDE * WIDE // 8)
        for tap in range(KERNEL * KERNEL)
    ]


def windows() -> list[list[int]]:
    """The four elements under each of 8 pooled positions, by block, map and element."""
    places = []
    for block in range(POOLED * POOLED // 8):
        for channel in range(MAPS):
            for tap in range(4):
                own = [divmod(8 * block + lane, POOLED) for lane in range(8)]
                places.append([position(2 * r + tap // 2, 2 * c + tap % 2, WIDE, channel, MAPS) for r, c in own])
    return places


def flat() -> list[list[int]]:
    """The pooled maps as a list of numbers, map by map."""
    return [[position(r, c, POOLED, m, MAPS), *[0] * 7] for m in range(MAPS) for r in range(POOLED) for c in range(POOLED)]


def weights(taps: int, outputs: int) -> Integers:
    """(taps, outputs)."""
    return np.random.default_rng(taps).integers(-300, 301, (taps, outputs)).astype(np.int64)


def function() -> Integers:
    """A square root that keeps the sign, by argument from -2^15 on."""
    arguments = np.arange(-(2**15), 2**15)
    entries: Integers = (np.sign(arguments) * np.floor(np.sqrt(np.abs(arguments)) * 100)).astype(np.int64)
    return entries


def layer(number: int, blocks: int, taps: int, outputs: int, low: int) -> str:
    """Weights, channels and descriptor of a layer."""
    padded = np.zeros((taps, 8), np.int64)
    padded[:, :outputs] = weights(taps, outputs)
    channels = [[BIAS * c, (LIMIT >> 4) + c, LIMIT] for c in range(outputs)]
    return (
        rows(f"w{number}", "ZKVM_VECTORS", padded.tolist())
        + rows(f"c{number}", "ZKVM_CHANNELS", channels)
        + f"static const zkvm_linear layer{number} = ZKVM_LINEAR(.blocks = {blocks}, .channels = {outputs}, .taps = {taps},\n"
        f"    .x_stride = {taps}, .w = ZKVM_AT(w{number}), .w_stride = {taps}, .channel_list = ZKVM_AT(c{number}),\n"
        f"    .bounds = ZKVM_BOUNDS({low}, 32767));\n"
    )


def source() -> str:
    """The guest."""
    out = f"#include <zkvm_tensor.h>\nstatic const zkvm_import image = ZKVM_IMPORT(.vectors = {-(-SIZE * SIZE // 8)});\n"
    for name, places in (("patches", patches()), ("windows", windows()), ("flat", flat())):
        out += rows(name, "ZKVM_PATTERN", places)
        out += f"static const zkvm_gather g_{name} = ZKVM_GATHER(.vectors = {len(places)}, .pattern = ZKVM_AT({name}));\n"
    out += layer(0, WIDE * WIDE // 8, KERNEL * KERNEL, MAPS, 0) + layer(1, 1, MAPS * POOLED * POOLED, OUTPUTS, -(2**15))
    pooled = MAPS * POOLED * POOLED // 8
    out += f"ZKVM_FUNCTION(root) = {{ {', '.join(map(str, function().tolist()))} }};\n"
    out += f"static const zkvm_maximum pool = ZKVM_MAXIMUM(.vectors = {pooled}, .taps = 4, .x_stride = 4, .step = 1);\n"
    out += f"static const zkvm_apply curve = ZKVM_APPLY(.vectors = {pooled}, .x_stride = 1, .function = ZKVM_AT(root));\n"
    out += f"static const zkvm_export scores = ZKVM_EXPORT(.vectors = {OUTPUTS}, .words = 1, .x_stride = 1);\n"
    return (
        out
        + """
int main(void) {
    static int32_t numbers[3];
    zkvm_tensor none = ZKVM_CONSTANT_VECTORS, x = zkvm_tensor_import(&image);
    x = zkvm_tensor_linear(&layer0, zkvm_tensor_gather(&g_patches, x, none), none);
    x = zkvm_tensor_apply(&curve, zkvm_tensor_maximum(&pool, zkvm_tensor_gather(&g_windows, x, none)));
    x = zkvm_tensor_linear(&layer1, zkvm_tensor_gather(&g_flat, x, none), none);
    zkvm_tensor_export(&scores, x, numbers);
    zkvm_commit(numbers, sizeof numbers);
    return 0;
}
"""
    )


def rescaled(sums: Integers, low: int) -> Integers:
    """By the channels of :func:`layer`, which are the last axis."""
    channel = np.arange(sums.shape[-1])
    scaled: Integers = np.clip(((sums + BIAS * channel) * ((LIMIT >> 4) + channel) + 2**31) >> 32, low, 2**15 - 1)
    return scaled


def expected(image: Integers) -> Integers:
    """The scores of an image (10, 10), in numpy."""
    taken = [image[dy : dy + WIDE, dx : dx + WIDE] for dy in range(KERNEL) for dx in range(KERNEL)]
    maps = rescaled(np.stack(taken, axis=-1) @ weights(KERNEL * KERNEL, MAPS), 0)
    pooled = maps.reshape(POOLED, 2, POOLED, 2, MAPS).max(axis=(1, 3))
    numbers = function()[pooled + 2**15].transpose(2, 0, 1).reshape(-1)
    return rescaled(numbers @ weights(MAPS * POOLED * POOLED, OUTPUTS), -(2**15))


def test_a_convolution_is_proven(tmp_path: Path) -> None:
    file = compiled(source())
    image = np.random.default_rng(1).integers(-300, 20000, SIZE * SIZE)
    stdin = np.concatenate([image, np.zeros(4, np.int64)]).astype("<i2").tobytes()
    scores = expected(image.reshape(SIZE, SIZE))
    assert len(set(scores.tolist())) == OUTPUTS
    assert not np.any(np.isin(scores, (-(2**15), 2**15 - 1)))
    (tmp_path / "guest.elf").write_bytes(file)
    journal = scores.astype("<i4").tobytes()
    called = execute(load_image(file, tensors=True), stdin)
    assert called.exit_code == 0, called.stderr
    assert called.journal == journal
    operations = [IMPORT, GATHER, LINEAR, GATHER, MAXIMUM, APPLY, GATHER, LINEAR, EXPORT]
    assert [call.descriptor.operation for call in called.tensor_calls] == operations
    assert execute(load_image(file, tensors=False), stdin).journal == emulate(tmp_path / "guest.elf", stdin).journal == journal
    receipt = prove(file, stdin, params="fast", security=100).receipt
    receipt.verify(receipt.claim.image_id, policy=Policy(100))
    assert receipt.journal == journal
