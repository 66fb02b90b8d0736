"""C guests of tests, built once per process; tests that need them are skipped without the compiler."""

from __future__ import annotations

import importlib.util
from functools import cache

import pytest

from zkvm.guest import toolchain

needs_compiler = pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="the guest extra (ziglang) is not installed")


@cache
def compiled(
    source: str,
    *,
    name: str = "main.c",
    debug_lines: bool = True,
    runtime: bool = True,
    optimization: str = "3",
    flags: tuple[str, ...] = (),
) -> bytes:
    """The ELF file of one source; ``flags``: of the compiler, after the driver's own."""
    with toolchain.sources_folder() as folder:
        path = folder / name
        path.write_text(source)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(toolchain, "LINK_FLAGS", (*toolchain.LINK_FLAGS, *flags))
            elf = toolchain.build([path], folder / "guest.elf", debug_lines=debug_lines, runtime=runtime, optimization=optimization)
        return elf.read_bytes()
