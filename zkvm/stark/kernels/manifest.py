"""Which modules are compiled to kernels, and where what they become is kept. The one place that names kernels of both wings.

What is compiled is kept in a directory named by a digest of the kernel sources: ``$NUMBA_CACHE_DIR/<digest>`` if the user set that
variable, else ``$XDG_CACHE_HOME/zkvm/<digest>`` (``~/.cache/zkvm/<digest>``).
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from itertools import chain
from pathlib import Path

STARK = "zkvm.stark.kernels.source."
RISCV = "zkvm.riscv.kernels.source."
GROUPS = (
    (f"{STARK}ntt", f"{STARK}transforms", f"{STARK}twiddles", f"{STARK}interpolation"),
    (f"{STARK}tape_runner", f"{STARK}combine", f"{STARK}column_loops"),
    (f"{STARK}merkle", f"{STARK}blake3", f"{STARK}random", f"{STARK}counting", f"{STARK}dots", f"{STARK}inverses"),
    (f"{RISCV}interpreter", f"{STARK}fri_fold", f"{RISCV}fills", f"{RISCV}sorting", f"{RISCV}poseidon2", f"{STARK}prefixes"),
)
"""The modules that hold kernels which Python calls, in groups that take about as long to compile."""
MODULES = tuple(chain.from_iterable(GROUPS))
FOLDERS = ("stark/kernels", "riscv/kernels")
"""Where kernels and what they share lie, below the package."""
CONSTANTS = ("stark/air/operations.py", "stark/field/goldilocks.py", "riscv/isa/opcodes.py", "riscv/operations.py", "riscv/records.py")
"""Other sources whose constants are compiled into kernels."""


def _home() -> Path:
    """The user's home directory. Without one it is a place where there is nothing and nothing can be written, as callers expect of some."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def cache_directory() -> Path:
    """Where the compiled kernels of exactly these sources live."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "zkvm"
    return base / sources_digest()


@cache
def sources_digest() -> str:
    """What names the kernel sources: 16 hexadecimal digits. They are read once a process, as Python reads its modules."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[2]
    sources = [path for folder in FOLDERS for path in sorted((package / folder).rglob("*.py"))]
    for path in (*sources, *(package / name for name in CONSTANTS)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
