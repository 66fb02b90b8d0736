"""A quick start: what a command process may do that a library must not."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from zkvm.resources import prove_extra

KERNELS = ("zkvm.kernels.source.goldilocks",)
PROVER = (*KERNELS, "zkvm.prover.prove", "zkvm.vm.executor")


def load_kernels(modules: tuple[str, ...] = KERNELS) -> None:
    """Import numba and compiled kernels, which are most of a small run's start.

    Two things are spared. numba imports ``scipy.linalg``, if it is installed, for ``np.dot``, which no kernel uses. And what is loaded
    here stays until the process ends, so the collector of cyclic garbage need not look at it, now or later.

    Raises:
        UsageError: the ``prove`` extra is missing.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with prove_extra(), absent("scipy"):
            for module in modules:
                import_module(module)
        gc.freeze()
    finally:
        if collecting:
            gc.enable()


@contextmanager
def absent(package: str) -> Iterator[None]:
    """Meanwhile importing a package fails as if it were not installed; one that is loaded already stays."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # documented: the import then raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[package]
