"""Words of all classes of floats, and guests that apply functions of the runtime to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

import zkvm
from zkvm.guest.toolchain import build, sources_folder
from zkvm.ml import float32
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.float32_elementary import signed

RUNTIME = Path(float32.__file__).parent / "runtime"
POSITIVE_EDGES = (
    0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x3EFFFFFF, 0x3F000000, 0x3F000001, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3FC00000, 0x40200000,
    0x4AFFFFFF, 0x4B000000, 0x4B7FFFFF, 0x4B800000, 0x4EFFFFFF, 0x4F000000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF,
)  # fmt: skip
EDGES: IntArray = signed(np.array([*POSITIVE_EDGES, *(word + (1 << 31) for word in POSITIVE_EDGES)], np.int64))


def words(random: np.random.Generator, count: int) -> IntArray:
    """Patterns of four sorts: any, near 1, with few bits, and at both ends of the exponents."""
    sign, mantissa = random.integers(0, 2, count) << 31, random.integers(0, 1 << 23, count)
    sorts = (
        random.integers(0, 1 << 32, count),
        sign | (random.integers(110, 145, count) << 23) | mantissa,
        sign | (random.integers(100, 155, count) << 23) | (mantissa >> 20 << 20),
        sign | (random.choice([0, 1, 2, 253, 254], count) << 23) | mantissa,
    )
    return signed(np.choose(random.integers(0, len(sorts), count), sorts))


def pairs(random: np.random.Generator, count: int) -> tuple[IntArray, IntArray]:
    """Every edge with every other, random words, and words that differ in the last bits or the sign."""
    left, right = (part.reshape(-1) for part in np.meshgrid(EDGES, EDGES))
    some = words(random, count)
    near = signed((some ^ (random.integers(0, 2, count) << 31)) + random.integers(-3, 4, count))
    return np.concatenate([left, words(random, count), some]), np.concatenate([right, words(random, count), near])


@cache
def built(source: str) -> bytes:
    """The ELF file of a guest that may use the runtime."""
    with sources_folder() as folder:
        path = folder / "main.c"
        path.write_text(source)
        warnings: list[str] = []
        elf = build([path], folder / "guest.elf", include_directories=[RUNTIME], warn=warnings.append)
        assert warnings == [], warnings
        return elf.read_bytes()


def run(source: str, *inputs: IntArray) -> IntArray:
    """The words that a guest commits."""
    stdin = b"".join(array.astype("<i4").tobytes() for array in inputs)
    return np.frombuffer(zkvm.execute(built(source), stdin, max_cycles=1 << 30).journal, "<i4").astype(np.int64)


def applied(expressions: Sequence[str], left: IntArray, right: IntArray) -> list[IntArray]:
    """What C expressions of x[i] and y[i] give for all i."""
    count = len(left)
    loops = [f"for (int i = 0; i < {count}; i++) z[i] = {text}; zkvm_commit(z, sizeof z);" for text in expressions]
    source = "\n".join(
        [
            "#include <float32_angles.h>",
            f"static int32_t x[{count}], y[{count}], z[{count}];",
            "int main(void) { zkvm_read_exact(x, sizeof x); zkvm_read_exact(y, sizeof y);",
            *loops,
            "return 0; }",
        ]
    )
    return list(run(source, left, right).reshape(-1, count))
