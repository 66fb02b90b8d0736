"""A quick start: what a command process may do that a library must not."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from zkvm.session.resources import no_collection, prove_extra, prove_extra_found

EXECUTOR = ("zkvm.riscv.vm.executor",)
PROVER = (*EXECUTOR, "zkvm.stark.prover.prove")
COMMITTER = ("zkvm.stark.prover.preprocessed",)


def load_kernels(modules: tuple[str, ...] = EXECUTOR) -> None:
    """Import what runs or proves, and load the compiled kernels.

    What is loaded here stays until the process ends, so the collector of cyclic garbage need not look at it, now or later.

    Raises:
        UsageError: the ``prove`` extra is missing.
    """
    with no_collection(), prove_extra():
        for module in modules:
            import_module(module)
        library = import_module("zkvm.stark.kernels.library")
        if sys.stderr.isatty() and not library.library_path().is_file():
            print("zkvm: compiling the kernels, once; this takes about a minute", file=sys.stderr, flush=True)
        library.load()
        gc.freeze()


def load_committer() -> None:
    """Load what computes an image ID, as far as it is there: without the ``prove`` extra numpy does the same."""
    if prove_extra_found():
        load_kernels(COMMITTER)
