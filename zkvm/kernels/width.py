"""How many lanes one vector register of this machine has: the one place where kernels learn about it.

LLVM would split wider vectors, but a kernel that keeps sixteen of them alive then spills most of its registers. The width follows
the features that numba compiles for, so its own ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` choose the narrow code on any
machine; numba's cache keeps code for different features apart.
"""

from __future__ import annotations

import llvmlite.binding as llvm
import numba


def has_wide_vectors() -> bool:
    """Whether kernels are compiled for 512-bit vectors."""
    features = numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    if features is not None:
        return "+avx512f" in features.split(",")
    if numba.config.CPU_NAME not in (None, "", llvm.get_host_cpu_name()):  # type: ignore[attr-defined]
        return False
    try:
        return bool(llvm.get_host_cpu_features().get("avx512f", False))
    except RuntimeError:  # unknown processor: the code for any width is correct
        return False


WORD_LANES = 8 if has_wide_vectors() else 4
"""64-bit lanes of a vector; there are twice as many 32-bit lanes."""
