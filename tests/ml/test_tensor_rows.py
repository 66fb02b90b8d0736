"""What instructions compute for rows of tensors: roots, against Python's exact ones."""

from __future__ import annotations

from math import isqrt

import numpy as np

from tests.ml.guest_floats import run

COUNT = 4_096
SOURCE = f"""
#include <zkvm.h>
#include "tensor_rows.h"

int main(void) {{
    static uint32_t values[{COUNT}];
    zkvm_read_exact(values, sizeof values);
    for (int i = 0; i < {COUNT}; i++) values[i] = root_of_word(values[i]);
    zkvm_commit(values, sizeof values);
    return 0;
}}
"""


def test_roots_of_words() -> None:
    """Beside all kinds of squares, at both ends of every number of bits, and anywhere."""
    random = np.random.default_rng(5)
    squares = random.integers(1, 1 << 16, 512, dtype=np.int64) ** 2
    powers = np.array([1 << bits for bits in range(33)], np.int64)
    ends = np.array([65535**2 - 1, 65535**2, 65535**2 + 1, (1 << 32) - 1])
    beside = [np.concatenate([squares, powers]) + delta for delta in (-1, 0, 1)]
    chosen = np.concatenate([np.arange(300), ends, *beside])
    chosen = chosen[(chosen > 0) & (chosen < 1 << 32)]
    rest = random.integers(1 << 31, 1 << 32, COUNT - len(chosen)) >> random.integers(0, 32, COUNT - len(chosen))
    values = np.concatenate([chosen, rest])
    found = run(SOURCE, values.astype(np.uint32).view(np.int32).astype(np.int64))
    assert found.tolist() == [isqrt(int(value)) for value in values]
