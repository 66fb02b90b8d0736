"""The processor that kernels are compiled for, and how many lanes one of its vector registers has: the one place that asks.

LLVM would split wider vectors, but a kernel that keeps sixteen of them alive then spills most of its registers. The width follows
the features that numba compiles for, so its own ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` choose the narrow code on any
machine; compiled kernels for different features are kept apart.
"""

from __future__ import annotations

import os

import llvmlite.binding as llvm


def cpu_name() -> str:
    """The processor that kernels are compiled for, in LLVM's words."""
    return os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()


def cpu_features() -> str:
    """The features that kernels are compiled for, in LLVM's words: those of this machine unless the settings say others."""
    chosen = os.environ.get("NUMBA_CPU_FEATURES")
    if chosen is not None or cpu_name().lower() == "generic":
        return chosen or ""
    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:  # unknown processor: the code for any width is correct
        return ""


def has_wide_vectors() -> bool:
    """Whether kernels are compiled for 512-bit vectors. Of another processor without a list of features that is not known."""
    if "NUMBA_CPU_FEATURES" not in os.environ and cpu_name() != llvm.get_host_cpu_name():
        return False
    return "+avx512f" in cpu_features().split(",") and os.environ.get("NUMBA_ENABLE_AVX") != "0"


WORD_LANES = 8 if has_wide_vectors() else 4
"""64-bit lanes of a vector; there are twice as many 32-bit lanes."""
