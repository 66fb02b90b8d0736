"""Division of floats in guests: every quotient is the nearest number, the subnormal ones too."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import compiled, needs_compiler

COUNT = 400
SOURCE = f"""#include <zkvm.h>
static float a[{COUNT}], b[{COUNT}];
static double c[{COUNT}], d[{COUNT}];
int main(void) {{
    zkvm_read_exact(a, sizeof a);
    zkvm_read_exact(b, sizeof b);
    zkvm_read_exact(c, sizeof c);
    zkvm_read_exact(d, sizeof d);
    for (int i = 0; i < {COUNT}; i++) a[i] /= b[i], c[i] /= d[i];
    zkvm_commit(a, sizeof a);
    zkvm_commit(c, sizeof c);
    return 0;
}}
"""
KINDS = ("any", "near one", "ends", "subnormal", "small", "large")


@cache
def numbers(kind: str, dtype: str, seed: int) -> Any:
    """Floats by their bits: any, from 1/8 to 8, those where something begins or ends, subnormal, with the least or greatest exponents."""
    random = np.random.default_rng(seed)
    unsigned: Any
    bits, unsigned = (23, np.uint32) if dtype == "float32" else (52, np.uint64)
    width = 8 * np.dtype(unsigned).itemsize
    sign, fraction, most = 1 << (width - 1), (1 << bits) - 1, (1 << (width - 1 - bits)) - 1
    found: Any = random.integers(0, 1 << width, COUNT, dtype=unsigned)
    if kind == "ends":
        ends = [
            0,
            1,
            2,
            fraction - 1,
            fraction,
            fraction + 1,
            most // 2 << bits,
            (most // 2 << bits) - 1,
            (most << bits) - 1,
            most << bits,
            (most << bits) + 1,
        ]
        return random.choice(np.array([end + extra for end in ends for extra in (0, sign)], unsigned), COUNT).view(dtype)
    if kind == "subnormal":
        # Of all lengths.
        return ((found & unsigned(sign | fraction)) >> random.integers(0, bits, COUNT).astype(unsigned)).view(dtype)
    ranges = {"near one": (most // 2 - 3, most // 2 + 3), "small": (0, bits + 3), "large": (most - bits - 3, most)}
    if kind in ranges:
        exponents: Any = random.integers(*ranges[kind], COUNT).astype(unsigned) << unsigned(bits)
        return ((found & unsigned(sign | fraction)) | exponents).view(dtype)
    return found.view(dtype)


@needs_compiler
@pytest.mark.parametrize("left", KINDS)
def test_quotients_are_rounded_to_the_nearest(left: str) -> None:
    elf = compiled(SOURCE)
    for number, right in enumerate(KINDS):
        sides = [numbers(kind, dtype, number) for dtype in ("float32", "float64") for kind in (left, right)]
        sides[1], sides[3] = (np.roll(side, 1) for side in (sides[1], sides[3]))
        journal = zkvm.execute(elf, b"".join(side.tobytes() for side in sides)).journal
        with np.errstate(all="ignore"):
            expected: tuple[Any, Any] = sides[0] / sides[1], sides[2] / sides[3]
        found: tuple[Any, Any] = np.frombuffer(journal[: 4 * COUNT], np.float32), np.frombuffer(journal[4 * COUNT :], np.float64)
        for wanted, got in zip(expected, found, strict=True):
            assert np.array_equal(np.isnan(wanted), np.isnan(got))
            valid = ~np.isnan(wanted)
            assert wanted[valid].tobytes() == got[valid].tobytes(), right
